"""A study as one file: what is condensed, on what it is judged, what is drawn. Plain values."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from condensery.evaluate.runs import enough_draws
from condensery.models import PeerSpec

Size = Literal["paper", "mini", "smoke", "released"]
SIZES = typing.get_args(Size)


@dataclass(frozen=True)
class Arm:
    """One row that is condensed.

    Attributes:
        method: a name of the table of methods. name: of the row; the method's unless given.
        preset, settings: see ``condensery.condense``; networks in settings are names or tables.
        steps: updates of the set; None: the preset's.
        proportion: of those steps, from above 0; 0.25 is a quarter of them.
        note: what a reader should know of this row.
    """

    method: str
    name: str = ""
    preset: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    proportion: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Study:
    """A table or a figure as a list of cells.

    Attributes:
        arms: what is condensed.
        data: names or paths. label: the column of labels. side: to which images are brought.
        per_class: stored samples per class. seeds: of condensing.
        models: networks that judge; none of them: nothing is evaluated.
        recipe, epochs, updates: how they are trained; several recipes with commas between them.
        evaluation_seeds: of that. check_every: tests every so many epochs too, for learning curves.
        rows: baselines beside the first arm, of equal bytes.
        draws: of the random rows beside each run; None: as many as make ten over all seeds.
        draw: parts of the page besides the ordinary report; see ``condensery.study.drawing.PARTS``.
        title, about, source: for people.
        called: plan and size as they were asked for, ``mine.toml --size mini``; no field of a
            plan's file: who reads it sets it.
    """

    arms: tuple[Arm, ...]
    data: tuple[str, ...] = ("cifar10",)
    label: str | None = None
    side: int | None = None
    per_class: tuple[int, ...] = (1,)
    seeds: tuple[int, ...] = (0, 1, 2)
    models: tuple[PeerSpec, ...] = ()
    recipe: str = "hmdc"
    epochs: int | None = None
    updates: int | None = None
    check_every: int | None = None
    evaluation_seeds: tuple[int, ...] = (0,)
    rows: tuple[str, ...] = ("random",)
    draws: int | None = None
    draw: tuple[str, ...] = ()
    title: str = ""
    about: str = ""
    source: str = ""
    called: str = ""

    @property
    def random_draws(self) -> int:
        """Of the random rows beside each run."""
        return enough_draws(len(self.seeds)) if self.draws is None else self.draws


@dataclass(frozen=True)
class Cell:
    """One run: condensed first, then judged.

    Attributes:
        arm, data, per_class, seed: which. first: whether the baselines stand beside it.
    """

    arm: Arm
    data: str
    per_class: int
    seed: int
    first: bool

    @property
    def name(self) -> str:
        """``cifar10/hmdc-ipc10/2``: also where it lies in the study's directory."""
        return f"{Path(self.data).name}/{self.arm.name}-ipc{self.per_class}/{self.seed}"


def cells(study: Study) -> Iterator[Cell]:
    """All runs: seed by seed, so that rows that are compared stand side by side from early on."""
    for data in study.data:
        for per_class in study.per_class:
            for seed in study.seeds:
                for number, arm in enumerate(study.arms):
                    yield Cell(arm, data, per_class, seed, number == 0)


def names() -> tuple[str, ...]:
    """The studies that come along."""
    found = (one.name for one in files("condensery.study").joinpath("plans").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))
