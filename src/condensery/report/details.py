"""What records tell beyond one accuracy: classes, confusion, the way there, seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from condensery.records import Record
from condensery.report.panels import Panel


def class_accuracy(panel: Panel, row: str) -> list[float]:
    """Mean accuracy of each class, one vote per training; empty where not all records tell it."""
    told = [one.class_accuracy or [] for one in _own(panel, row)]
    return _means(told) if all(len(one) == panel.classes for one in told) else []


def confusion(panel: Panel, row: str) -> list[list[int]]:
    """Counts ``[true class][predicted class]``, summed over networks and trainings that kept them.

    Empty where none did.
    """
    kept = [one.confusion for one in _own(panel, row) if _square(one.confusion, panel.classes)]
    return [[sum(cells) for cells in zip(*lines, strict=True)]
            for lines in zip(*kept, strict=True)]  # type: ignore[arg-type]  # fmt: skip


def curve(panel: Panel, row: str, model: str) -> list[tuple[float, float]]:
    """Epoch and mean accuracy of each check that all trainings of the cell have; else nothing."""
    told = [{point[0]: point[1] for point in one.curve or [] if len(point) == 2}
            for one in _own(panel, row) if one.model == model]  # fmt: skip
    if not told or not all(told):
        return []
    common = sorted(set.intersection(*(set(one) for one in told)))
    return [(epoch, sum(one[epoch] for one in told) / len(told)) for epoch in common]


def training_seconds(panel: Panel, row: str) -> float | None:
    """Mean seconds of one training with its test, on the headline's networks."""
    unseen = panel.scope == "mean of unseen"
    spent = [one.seconds for one in _own(panel, row) if one.seen is not unseen]
    return sum(spent) / len(spent) if spent else None


def condense_seconds(panel: Panel, row: str) -> float | None:
    """Mean seconds to make a set, one vote per set; None where no record tells them."""
    by_set = {one.replicate: one.condense_seconds for one in _own(panel, row)}
    told = [value for value in by_set.values() if value is not None]
    return sum(told) / len(told) if told else None


def class_values(panel: Panel, names: Sequence[str]) -> list[dict[str, Any]]:
    """Accuracy per class as lines of a ``.csv`` file, parts of 1."""
    return [
        _where(panel) | {"row": row, "class": name, "accuracy": value}
        for row in panel.rows
        for name, value in zip(names, class_accuracy(panel, row), strict=False)
    ]


def counts(panel: Panel, names: Sequence[str]) -> list[dict[str, Any]]:
    """Confusion as lines of a ``.csv`` file: a count for each pair of classes."""
    return [
        _where(panel) | {"row": row, "true": true, "taken for": taken, "count": count}
        for row in panel.rows
        for true, line in zip(names, confusion(panel, row), strict=False)
        for taken, count in zip(names, line, strict=True)
    ]


def _where(panel: Panel) -> dict[str, Any]:
    return {"data": panel.data, "per_class": panel.per_class, "recipe": panel.recipe,
            "split": panel.split, "labels": panel.labels}  # fmt: skip


def _own(panel: Panel, row: str) -> list[Record]:
    return [one for one in panel.records if one.row == row]


def _means(lists: Sequence[Sequence[float]]) -> list[float]:
    return [sum(values) / len(values) for values in zip(*lists, strict=True)]


def _square(counts: Iterable[Sequence[int]] | None, classes: int) -> bool:
    lines = list(counts or [])
    return len(lines) == classes and all(len(line) == classes for line in lines)
