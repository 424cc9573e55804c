"""What is left of a study: trainings that no record holds yet, and the time that it will take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from condensery import records
from condensery.evaluate import name_of, recipes_from, shorten
from condensery.evaluate.baselines import planned
from condensery.modality import Codec
from condensery.models import PeerSpec
from condensery.study.plan import Cell, Study


def condensing(cell: Cell) -> str:
    """Of which kind a run is: those of one kind take alike long."""
    return f"condense {cell.data} {cell.arm.name}, {cell.per_class} per class"


def judging(cell: Cell, model: PeerSpec) -> str:
    """Of which kind the trainings of a network on a run's rows are."""
    return f"evaluate {cell.data} {name_of(model)}, {cell.per_class} per class"


def sets_beside(study: Study, cell: Cell, codec: Codec, kind: str) -> dict[str, int]:
    """Rows that are judged with a run and how many sets each has: its start and itself, too.

    Args:
        codec: by which the run's set is stored. kind: of samples, ``image``, ``audio``, ``text``.
    """
    rows = planned(study.rows, codec, kind, study.random_draws) if cell.first else {}
    name = cell.arm.method
    return rows | {"start": 1, f"{name} (run)" if name in rows else name: 1}


def trainings(
    study: Study, model: PeerSpec, sets: Mapping[str, int], place: Path
) -> tuple[int, int]:
    """Trainings of a network that a study still needs beside a run, and those on record.

    Args:
        sets: of each row. place: the run's directory; records of other recipes, seeds or splits
            there are no part of this. Whether its set has changed since is not looked at: then more
            are needed.
    """
    recipes = {shorten(one, study.epochs, study.updates).name
               for one in recipes_from(study.recipe)}  # fmt: skip
    found = {
        (one.row, one.replicate, one.seed, one.recipe)
        for one in records.read(place / "records.jsonl")
        if (one.model, one.split, one.labels) == (name_of(model), "test", "hard")
        and one.recipe in recipes
        and one.seed in study.evaluation_seeds
    }
    seeds = len(study.evaluation_seeds) * len(recipes)
    done = {row: min(count * seeds, sum(one == row for one, *_ in found))
            for row, count in sets.items()}  # fmt: skip
    return seeds * sum(sets.values()) - sum(done.values()), sum(done.values())


class Left:
    """The time that is left: what is missing of each kind, at what that kind took so far.

    Args:
        workers: that share it. expected: seconds of one of a kind, as they were measured before;
            they stand until one has been done.
    """

    def __init__(self, workers: int, expected: Mapping[str, float] | None = None) -> None:
        self.workers, self.expected = workers, dict(expected or {})
        self._missing: dict[str, int] = {}
        self._took: dict[str, list[float]] = {}

    def add(self, kind: str, count: int = 1) -> None:
        """So many more are missing."""
        self._missing[kind] = self._missing.get(kind, 0) + count

    def done(self, kind: str, seconds: float | None) -> None:
        """One less; None: nobody knows what it took, another job did it."""
        self._missing[kind] = max(0, self._missing.get(kind, 0) - 1)
        if seconds is not None:
            self._took.setdefault(kind, []).append(seconds)

    @property
    def seconds(self) -> float:
        """Of all kinds of which anything is known."""
        known = ((self._one(kind), count) for kind, count in self._missing.items())
        return sum(one * count for one, count in known if one is not None) / self.workers

    @property
    def whole(self) -> bool:
        """Whether something is known of every kind that is missing."""
        return all(not n or self._one(kind) is not None for kind, n in self._missing.items())

    def words(self) -> str:
        """``, 3.5 min left``; ``, at least ...`` where a kind is not known, empty where none is."""
        if not any(self._missing.values()):
            return ""
        if not self.whole and not self.seconds:
            return ""
        return f", {'' if self.whole else 'at least '}{duration(self.seconds)} left"

    def _one(self, kind: str) -> float | None:
        took = self._took.get(kind)
        return sum(took) / len(took) if took else self.expected.get(kind)


def duration(seconds: float) -> str:
    """``12 s``, ``3.5 min``, ``2.1 h``, ``8.4 days``."""
    for unit, size, limit in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 72 * 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} s" if unit == "s" else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
