"""What a run directory gives to evaluation: its set, its step-0 set, and rows to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from condensery.artefact import load
from condensery.core.synthetic import SyntheticSet
from condensery.core.teacher import teacher
from condensery.data.problem import Problem
from condensery.evaluate.baselines import USUAL, baselines
from condensery.evaluate.soft import HARD, Labels, Lesson
from condensery.modality import Modality
from condensery.streams import Streams

DRAWS = 10  # of the random rows of a comparison, over all of its condensed sets: the least


class RunRows(NamedTuple):
    """The rows of one run, for ``evaluate``.

    Attributes:
        rows: baselines, ``start`` where it was kept, and the method's own row, last.
        name: of the method's row. replicate: the run's seed.
        seen: networks that took part in condensing.
        records_file: where the run keeps its records; None for a set in memory.
    """

    rows: dict[str, list[tuple[int, SyntheticSet]]]
    name: str
    replicate: int
    seen: tuple[str, ...]
    records_file: Path | None = None

    def sets(self) -> int:
        """How many there are, all rows together."""
        return sum(len(sets) for sets in self.rows.values())

    @property
    def modality(self) -> Modality:
        """Of the run's own set."""
        return list(self.rows.values())[-1][0][1].modality


def rows_of(
    directory: str | Path,
    problem: Problem,
    which: Sequence[str] = USUAL,
    draws: int = 1,
    labels: Labels = HARD,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
) -> RunRows:
    """Rows of a run directory; a baseline is drawn with the run's seed, so that all rows pair.

    Evaluated one by one, runs of several seeds make the replicates of one comparison when their
    records are put together.

    Args:
        directory: that ``condense`` made. problem: its data. which: names of ``BASELINES``.
        draws: of the random rows; further ones belong to no run, so they enter means but no pairs.
        labels: soft ones cost bytes, which random samples with hard labels may take instead.
        modules: factories of the user's own networks, for a teacher that is one.

    Raises:
        UsageError: there is no set, or it cannot be compared (see ``baselines``).
    """
    path = Path(directory)
    start = load(path / "start") if (path / "start").is_dir() else None
    made = rows_beside(load(path), problem, which, draws, start, labels, modules)
    return made._replace(records_file=path / "records.jsonl")


def enough_draws(sets: int) -> int:
    """Random draws beside each of so many condensed sets that make ``DRAWS`` together, or more."""
    return max(1, math.ceil(DRAWS / max(1, sets)))


def draws_beside(directories: Sequence[str | Path], problems: Sequence[Problem]) -> list[int]:
    """``enough_draws`` beside each run: those of one data set and size stand beside each other.

    Runs of one seed and size have the same random draws, whatever their methods: they count once.
    """
    kinds: list[tuple[str, int]] = []
    seeds: dict[tuple[str, int], set[int]] = {}
    for directory, problem in zip(directories, problems, strict=True):
        synthetic = load(directory)
        kinds.append((problem.fingerprint, synthetic.nbytes()))
        seeds.setdefault(kinds[-1], set()).add(_replicate(synthetic))
    return [enough_draws(len(seeds[kind])) for kind in kinds]


def rows_beside(
    synthetic: SyntheticSet,
    problem: Problem,
    which: Sequence[str] = USUAL,
    draws: int = 1,
    start: SyntheticSet | None = None,
    labels: Labels = HARD,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
) -> RunRows:
    """A set with its baselines, and with its step-0 set where that is known. See ``rows_of``."""
    about, replicate = synthetic.about, _replicate(synthetic)
    name = str(about.get("method", "set"))
    rows = baselines(
        problem,
        [(replicate, synthetic)],
        name=name,
        start=[] if start is None else [(replicate, start)],
        which=which,
        draws=draws,
        extra_bytes=label_bytes(labels, problem, synthetic, modules) if "random" in which else 0,
    )
    seen = tuple(str(peer) for peer in about.get("peers", ()))
    return RunRows(rows, list(rows)[-1], replicate, seen)


def label_bytes(
    labels: Labels,
    problem: Problem,
    synthetic: SyntheticSet,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
) -> int:
    """What labels add to the bytes of a set: answers that are kept, or a live teacher.

    A teacher is built to be counted, not trained.
    """
    network = None
    if labels.regime == "live":
        streams, place = Streams(labels.seed).child("labels"), torch.device("cpu")
        network = teacher(labels.teacher, problem, streams, place, modules, updates=0)
    samples = len(synthetic) * synthetic.codec.multiplies
    return Lesson(labels, network).nbytes(samples, synthetic.classes)


def _replicate(synthetic: SyntheticSet) -> int:
    """The seed that a set was condensed with."""
    return int(synthetic.about.get("settings", {}).get("seed", 0))
