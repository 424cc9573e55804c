"""Scores, cost, nearest real samples and embeddings on the page: from records and run files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from condensery.report import style
from condensery.report.figures import Drawing, dressed, legend_above, panes, slug
from condensery.report.gather import Gathered, RunFiles, mapping
from condensery.report.nearest import nearest
from condensery.report.panels import Panel
from condensery.report.sections import Section
from condensery.report.tables import Cell, Grid
from condensery.scores import (
    Dependency,
    Score,
    augmentation_robust_of,
    held_out_worst,
    label_robust_of,
    model_dependency,
)

MOST_RUNS = 6  # runs whose neighbours and embeddings a page shows


def sections(gathered: Gathered, shown: Sequence[Panel]) -> list[Section]:
    """What was measured besides accuracies; nothing where nothing was."""
    found = [one for panel in shown
             for one in (_dependency(panel, shown), _label_robust(panel, shown),
                         _augmentation_robust(panel, shown)) if one]  # fmt: skip
    found += [one for one in (_costs(gathered.runs),) if one]
    return found + _of_runs(gathered.runs)


def _of_runs(runs: Sequence[RunFiles]) -> list[Section]:
    """Nearest samples and embeddings of the first runs that have some; the others are named."""
    found: list[Section] = []
    for make, file in ((nearest, "neighbours.json"), (_embeddings, "embeddings.json")):
        held = [run for run in runs if run.read(file)]
        found += [one for run in held[:MOST_RUNS] if (one := make(run)) is not None]
        left = ", ".join(run.name for run in held[MOST_RUNS:])
        if left and found:
            notes = (*found[-1].notes, f"{file} is not shown of {left}")
            found[-1] = dataclasses.replace(found[-1], notes=notes)
    return found


def _equal(panel: Panel, row: str) -> str:
    """The random samples that a row is measured by: packed like it, of equal bytes."""
    name = "random packed" if panel.packs(row) else "random"
    return panel.counterpart(row, name) or name


def _dependency(panel: Panel, shown: Sequence[Panel]) -> Section | None:
    """Model dependency of the condensed rows, over all sizes; once, at the first of them."""
    alike = [one for one in shown if (one.data, one.recipe, one.split, one.labels)
             == (panel.data, panel.recipe, panel.split, panel.labels)]  # fmt: skip
    if panel is not alike[0] or len(panel.seen) < 2:
        return None
    told = _dependencies(alike)
    if not told:
        return None
    rows = []
    for row, found in told.items():
        for own, one in found:
            worst = held_out_worst(own.records, row, _equal(own, row))
            count = style.count(one.per_class)
            cells = (Cell(style.points(one.sd)), Cell(style.points(one.spread)),
                     Cell(style.HOLE if worst is None else style.signed(worst)))  # fmt: skip
            head = Cell(f"{style.look(row).label}, {count} per class",
                        f"gap to {style.look(_equal(own, row)).label}")  # fmt: skip
            rows.append((f"{row} {count}", head, cells))
    heads = (Cell("deviation", "over networks"), Cell("range", "over networks"),
             Cell("worst network", "picked by the other sets"))  # fmt: skip
    name = slug(f"dependency {panel.data} {panel.apart(shown)}")
    drawn = _dependency_curves(told, name)
    return Section(
        f"Model dependency: {panel.conditions}",
        "How much the gap to Random hangs on the network, in points: a set that serves all alike "
        "has a small deviation. Packed sets are measured by packed Random, size by size.",
        (Grid("Gap to Random over networks", "trained on", heads, tuple(rows)),),
        (drawn,) if drawn else (), open=False, name=name,
    )  # fmt: skip


def _dependencies(alike: Sequence[Panel]) -> dict[str, list[tuple[Panel, Dependency]]]:
    """What each condensed row's gap to Random of its own size hangs on networks, by size."""
    found: dict[str, list[tuple[Panel, Dependency]]] = {}
    for panel in sorted(alike, key=lambda one: one.per_class):
        for row in panel.condensed:
            (one,) = model_dependency(panel.records, row, _equal(panel, row))
            if one.sd is not None:
                found.setdefault(row, []).append((panel, one))
    return found


def _dependency_curves(
    told: Mapping[str, Sequence[tuple[Panel, Dependency]]], name: str
) -> Drawing | None:
    """The deviation over networks against samples per class; None with one size only."""
    curves = {row: [(one.per_class, 100 * (one.sd or 0)) for _, one in found]
              for row, found in told.items() if len(found) > 1}  # fmt: skip
    if not curves:
        return None
    with dressed():
        figure, (axes,) = panes(1, each=2.6)
        for row, points in curves.items():
            look = style.look(row)
            axes.plot(*zip(*points, strict=True), marker=look.marker, color=look.colour,
                      label=look.label)  # fmt: skip
        axes.set_xscale("log")
        ticks = sorted({count for points in curves.values() for count, _ in points})
        axes.set_xticks(ticks, [style.count(one) for one in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("stored samples per class")
        axes.set_ylabel("deviation over networks")
        legend_above(figure, axes)
    return Drawing(
        name, "Model dependency against samples per class",
        "Standard deviation over networks of the gap to Random, in points.",
        f"Curves of the model dependency of {', '.join(curves)}.", figure,
    )  # fmt: skip


def _label_robust(panel: Panel, shown: Sequence[Panel]) -> Section | None:
    """LRS, where the whole data were trained on too; for soft labels from their own comparison."""
    hard = next((one for one in shown if one.labels == "hard" and "full" in one.rows
                 and (one.data, one.per_class, one.recipe, one.split)
                 == (panel.data, panel.per_class, panel.recipe, panel.split)), None)  # fmt: skip
    if hard is None:
        return None if panel.labels == "hard" else _unscored(panel)
    records = [*hard.records, *(panel.records if panel is not hard else ())]
    scores = {row: label_robust_of(records, row, _equal(panel, row)) for row in panel.condensed}
    return Section(
        f"Label-robust score: {panel.title}",
        "From 0 to 1; Random against itself lies below 0.269. With hard labels it says no more "
        "than the gap to Random; it is meant for soft ones.",
        (_score_grid("LRS", panel, scores),), open=False, name=slug(f"lrs {panel.title}"),
    )  # fmt: skip


def _unscored(panel: Panel) -> Section:
    """A visible hole where soft labels, which the score is for, lack the whole data beside them."""
    scores: dict[str, list[Score]] = {row: [] for row in panel.condensed}
    grid = _score_grid("LRS", panel, scores, "no record of the whole data")
    return Section(
        f"Label-robust score: {panel.title}",
        "Not measured: it wants the whole data and random samples with hard labels, by the same "
        "recipe. `condensery evaluate DIR --rows random,full`, without --labels and with the "
        "recipe, networks and seeds of these records, fills it.",
        (grid,), open=False, name=slug(f"lrs {panel.title}"),
    )  # fmt: skip


def _augmentation_robust(panel: Panel, shown: Sequence[Panel]) -> Section | None:
    """ARS, where the recipe was run without augmentation too (``NAME-plain``)."""
    plain = next((one for one in shown if one.recipe != panel.recipe
                  and one.recipe.replace("-plain", "", 1) == panel.recipe
                  and (one.data, one.per_class, one.split, one.labels)
                  == (panel.data, panel.per_class, panel.split, panel.labels)), None)  # fmt: skip
    if plain is None:
        return None
    scores = {
        row: augmentation_robust_of(panel.records, plain.records, row, _equal(panel, row))
        for row in panel.condensed
    }
    return Section(
        f"Augmentation-robust score: {panel.title}",
        f"From 0 to 1; Random against itself is 0.269. With the recipe's augmentation and, by "
        f"recipe {plain.recipe}, without.",
        (_score_grid("ARS", panel, scores),), open=False, name=slug(f"ars {panel.title}"),
    )  # fmt: skip


def _score_grid(
    title: str, panel: Panel, scores: Mapping[str, Sequence[Score]], hole: str = ""
) -> Grid:
    """Rows by networks; what no record holds is a hole that says so, or says ``hole``."""
    rows = []
    for row, found in scores.items():
        by_network = {one.model: one for one in found}
        cells = tuple(_score_cell(by_network.get(name), hole) for name in panel.seen)
        rows.append((row, Cell(style.look(row).label), cells))
    heads = tuple(Cell(name) for name in panel.seen)
    return Grid(title, "trained on", heads, tuple(rows))


def _score_cell(score: Score | None, hole: str) -> Cell:
    if score is None or score.interval is None:
        missing = ", ".join(score.missing) if score else "this network"
        return Cell(style.HOLE, hole or f"no record: {missing}", "hole")
    spread = "" if score.interval.sd is None else f" ± {score.interval.sd:.3f}"
    return Cell(f"{score.interval.mean:.3f}{spread}", f"n = {score.interval.n}")


def _costs(runs: Sequence[RunFiles]) -> Section | None:
    """What sets took, and after how many trainings they have paid off."""
    told = [(run, found) for run in runs if (found := run.read("costs.json"))]
    if not told:
        return None
    heads = (Cell("target", "points"), Cell("made", "seconds"), Cell("training", "seconds"),
             Cell("against", "k-means set"), Cell("its making", "seconds"),
             Cell("its training", "seconds"), Cell("pays off"))  # fmt: skip
    rows = []
    for run, found in told:
        own = mapping(found.get("set"))
        against = str(found.get("against") or style.HOLE)
        rungs = [mapping(one) for one in found.get("rungs", [])]
        other = next((one for one in rungs if one.get("row") == against), {})
        cells = (
            Cell(style.points(found.get("target"))), Cell(style.seconds(own.get("made"))),
            Cell(style.seconds(own.get("trained"))), Cell(against),
            Cell(style.seconds(other.get("made"))), Cell(style.seconds(other.get("trained"))),
            Cell(str(found.get("break_even")),
                 "" if found.get("whole") else "the ladder was not climbed to its end"),
        )  # fmt: skip
        rows.append((run.name, Cell(run.name, str(found.get("network", ""))), cells))
    return Section(
        "Cost",
        "At equal accuracy, on real samples that no baseline holds (the set may have been made "
        "with them): seconds of a training until it reaches the condensed set's accuracy less half "
        "a point, and of making the set.",
        (Grid("When condensing pays off against k-means", "run", heads, tuple(rows)),),
        open=False, name="cost",
    )  # fmt: skip


def _embeddings(run: RunFiles) -> Section | None:
    """Real and synthetic samples in a plane."""
    found = run.read("embeddings.json")
    points = found.get("points") or []
    if not points:
        return None
    drawings = tuple(
        Drawing(
            slug(f"{plane} {run.name}"), f"{title} of {run.name}",
            f"Real samples faint, the step-0 set as crosses, the synthetic set as circles; one "
            f"colour a class. Embeddings of {found.get('network')} after {found.get('updates')} "
            f"updates on real data. Distances in t-SNE mean little.",
            f"Scatter of real and synthetic samples by {title}.", _scatter(points, plane),
        )
        for plane, title in (("pca", "Principal components"), ("tsne", "t-SNE"))
    )  # fmt: skip
    return Section(f"Real and synthetic samples: {run.name}", drawings=drawings, open=False)


def _scatter(points: Sequence[Mapping[str, Any]], plane: str) -> Any:
    """One plane: a colour a class, a marker a kind."""
    import matplotlib

    colours = matplotlib.colormaps["tab10"]
    looks = {"real": ("o", 6, 0.35), "start": ("x", 36, 0.9), "synthetic": ("o", 42, 1.0)}
    with dressed():
        figure, (axes,) = panes(1, each=3.6)
        for kind, (marker, size, strength) in looks.items():
            own = [one for one in points if one["kind"] == kind]
            if not own:
                continue
            edge = style.INK if kind == "synthetic" else None
            axes.scatter([one[plane][0] for one in own], [one[plane][1] for one in own], s=size,
                         marker=marker, alpha=strength, label={"start": "step 0"}.get(kind, kind),
                         edgecolors=edge,
                         c=[colours(one["label"] % 10) for one in own])  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        legend_above(figure, axes)
    return figure
