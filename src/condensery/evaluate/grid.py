"""The grid: every set x every network x every evaluation seed, one record a cell."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from condensery import records as files
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem, SplitName
from condensery.errors import RunError, UsageError
from condensery.evaluate.recipes import Recipe, recipe_from, shorten
from condensery.evaluate.soft import HARD, Labels, Lesson, hired, labels_from
from condensery.evaluate.train import (
    Diverged,
    TestSamples,
    Watch,
    accuracy,
    family_of,
    train_network,
)
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec
from condensery.records import Record
from condensery.streams import Streams

Rows = Mapping[str, Sequence[tuple[int, SyntheticSet]]]
OnRecord = Callable[[Record, int, int], None]
Choices = Mapping[tuple[str, int, str], Recipe]


def evaluate(
    rows: Rows,
    problem: Problem,
    models: Sequence[str | PeerSpec],
    *,
    recipe: str | Recipe = "hmdc",
    seeds: Sequence[int] = (0, 1, 2),
    split: SplitName = "test",
    epochs: int | None = None,
    updates: int | None = None,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    seen: Collection[str] = (),
    per_class: float | None = None,
    device: str | torch.device = "cpu",
    out: Path | None = None,
    on_record: OnRecord | None = None,
    check_every: int | None = None,
    workers: int = 1,
    labels: str | Labels = HARD,
    choices: Choices | None = None,
    tolerant: bool = False,
) -> list[Record]:
    """Train fresh networks on each set and test them, cell by cell.

    Cells go seed by seed, network by network, so that rows that are compared stand side by side
    from early on. Initial weights and batch orders depend on evaluation seed, network and recipe,
    not on the row: differences between rows are paired.

    Args:
        rows: sets by row name, each with its replicate (condensation seed, or seed of a draw); see
            ``condensery.evaluate.baselines``.
        problem: the data whose real samples test the networks.
        models: names, or ``PeerSpec`` for weights or a size of one's own.
        recipe: a name of ``RECIPES`` or a ``Recipe``. epochs, updates: shorten it; see ``shorten``.
        seeds: evaluation seeds.
        split: ``test`` or ``val`` (what is chosen by results is chosen on ``val``).
        modules: factories of the user's own networks.
        seen: names of networks that took part in condensing.
        per_class: stored samples per class of the condensed set, for the records; None: of the last
            row, where the condensed set stands.
        device: where to train.
        out: a file of records; each is on disk before the next cell starts, and a cell that is
            already there (same key, set and recipe values) is not run again.
        on_record: called as ``on_record(record, done, of)`` after each cell that was run.
        check_every: test every so many epochs too and record the best, which is chosen on the
            evaluated split and therefore never a result. None: as the recipe says, most test the
            last epoch only.
        workers: processes that share the cells, each on one thread; what pays for small networks on
            a CPU. More than 1 needs a script that can be imported (``if __name__ == "__main__"``).
        labels: ``hard``, or soft ones of a teacher, whose bytes are counted with those of the set.
        choices: recipes for single sets and networks, by (row, replicate, name of the network), in
            the place of ``recipe``; all have one name.
        tolerant: a loss that is not finite gives an accuracy of 0 rather than an error; for trials.

    Returns:
        One record a cell, also of those that were there already, in the order of the cells.

    Raises:
        UsageError: an unknown name, an empty list, a set that does not belong to the data.
        RunError: a loss that is not finite; names the cell. Records so far are kept.
    """
    chosen = shorten(recipe_from(recipe), epochs, updates)
    taught = labels_from(labels)
    specs = [PeerSpec(one) if isinstance(one, str) else one for one in models]
    _check(rows, problem, specs, seeds, chosen, check_every)
    if workers < 1:
        raise UsageError(f"--workers counts processes, from 1; got {workers}")
    for spec in specs:
        family_of(spec, modules)  # an unknown name is said before any time is spent
    grid = Grid(problem, chosen, split, modules or {}, frozenset(seen), str(device),
                check_every or chosen.check_every,
                _per_class(rows) if per_class is None else per_class,
                taught, choices or {}, tolerant)  # fmt: skip
    there = {one.key(): one for one in files.read(out)} if out else {}
    cells = list(_cells(rows, specs, seeds))
    found = {index: old for index, cell in enumerate(cells)
             if (old := _already(grid.record(cell), there)) is not None}  # fmt: skip
    missing = [index for index in range(len(cells)) if index not in found]
    if missing:
        grid.teacher = hired(taught, problem, modules, device)
    measured = _measured(grid, [cells[index] for index in missing], workers)
    for index, new in zip(missing, measured, strict=True):
        if out:
            files.append(out, [new])
        found[index] = new
        if on_record is not None:
            on_record(new, len(found), len(cells))
    return [found[index] for index in range(len(cells))]


@dataclass(frozen=True, eq=False)
class Subject:
    """A set that is judged, with what a record says of it (found once, not once a cell)."""

    row: str
    replicate: int
    synthetic: SyntheticSet

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the exported form."""
        return fingerprint(self.synthetic)

    @cached_property
    def stored_bytes(self) -> int:
        """Bytes of the exported form, labels included."""
        return self.synthetic.nbytes()


@dataclass(frozen=True)
class Cell:
    """One network trained on one set, once."""

    subject: Subject
    spec: PeerSpec
    seed: int


@dataclass(eq=False)
class Grid:
    """What all cells of one evaluation share."""

    problem: Problem
    recipe: Recipe
    split: SplitName
    modules: Mapping[str, Callable[[], nn.Module]]
    seen: frozenset[str]
    device: str
    check_every: int | None
    per_class: float
    labels: Labels = HARD
    choices: Choices = field(default_factory=dict)
    tolerant: bool = False
    teacher: Backbone | None = None

    def __post_init__(self) -> None:
        self._samples: dict[Modality, TestSamples] = {}

    def recipe_of(self, cell: Cell) -> Recipe:
        """What a cell is trained by, overrides not yet worked in."""
        key = (cell.subject.row, cell.subject.replicate, name_of(cell.spec))
        return self.choices.get(key, self.recipe)

    def lesson(self, cell: Cell) -> Lesson:
        """What a cell learns from."""
        modality = cell.subject.synthetic.modality
        return Lesson(self.labels, self.teacher, modality, self.problem.modality)

    def samples(self, modality: Modality) -> TestSamples:
        """The tested split as this set's networks see it; normalised once for all cells."""
        if modality not in self._samples:
            made = TestSamples(self.problem, self.split, modality, self.device)
            self._samples[modality] = made
        return self._samples[modality]

    def record(
        self, cell: Cell, accuracy: float = 0.0, best: float | None = None, seconds: float = 0.0
    ) -> Record:
        """The record of a cell; before it is measured, with an accuracy of 0."""
        synthetic, name = cell.subject.synthetic, name_of(cell.spec)
        samples = len(synthetic) * synthetic.codec.multiplies
        recipe = self.recipe_of(cell)
        applied = recipe.for_network(cell.spec.name, family_of(cell.spec, self.modules))
        epochs, updates = applied.length(samples)
        soft = {} if self.labels.regime == "hard" else {"labels": self.labels.values()}
        taught = self.lesson(cell).nbytes(samples, synthetic.classes)
        return Record(
            row=cell.subject.row, model=name, seen=bool({name, cell.spec.name} & self.seen),
            replicate=cell.subject.replicate, seed=cell.seed, recipe=recipe.name,
            split=self.split, accuracy=accuracy, best=best, data=self.problem.name,
            classes=self.problem.classes, per_class=self.per_class, samples=samples,
            stored_bytes=cell.subject.stored_bytes + taught, epochs=epochs, updates=updates,
            seconds=seconds, condense_seconds=synthetic.about.get("seconds"),
            settings=applied.values() | soft, fingerprint=cell.subject.fingerprint,
            circumstances=files.circumstances(),
            labels=self.labels.told(name_of(self.labels.teacher)),
        )  # fmt: skip

    def measure(self, cell: Cell) -> Record:
        """Train and test one cell.

        Raises:
            RunError: the loss is not finite; names the cell. Not where the grid is tolerant.
        """
        begin = time.perf_counter()
        synthetic, samples = cell.subject.synthetic, self.samples(cell.subject.synthetic.modality)
        checks: list[float] = []
        recipe = self.recipe_of(cell)
        streams = cell_streams(cell.seed, name_of(cell.spec), recipe.name)
        try:
            backbone = train_network(synthetic, cell.spec, recipe, streams, self.modules,
                                     self.device, self._watch(checks, samples),
                                     self.lesson(cell))  # fmt: skip
        except RunError as error:
            if self.tolerant and isinstance(error, Diverged):
                return self.record(cell, seconds=time.perf_counter() - begin)
            raise RunError(
                f"{name_of(cell.spec)} on row {cell.subject.row!r} (replicate "
                f"{cell.subject.replicate}, evaluation seed {cell.seed}): {error}, or leave it "
                f"out of --models"
            ) from None
        last = accuracy(backbone, samples)
        best = max([*checks, last]) if self.check_every else None
        return self.record(cell, last, best, time.perf_counter() - begin)

    def _watch(self, checks: list[float], samples: TestSamples) -> Watch | None:
        every = self.check_every
        if every is None:
            return None

        def watch(epoch: int, backbone: Backbone) -> None:
            if epoch % every == 0:
                checks.append(accuracy(backbone, samples))

        return watch


def cell_streams(seed: int, model: str, recipe: str) -> Streams:
    """The streams of one training: of evaluation seed, network and recipe, never of the set."""
    return Streams(seed).child("evaluate", model, recipe)


def name_of(spec: PeerSpec) -> str:
    """How records and tables call a network: its name, and what was asked for beside it."""
    weights = "" if spec.weights is None else f" {Path(spec.weights).name}"
    size = "" if spec.size is None else f" {spec.size}px"
    own = "" if spec.normalise == "auto" else f" {spec.normalise} statistics"
    return spec.name + weights + size + own


def fingerprint(synthetic: SyntheticSet) -> str:
    """Sixteen hexadecimal digits that change with exported samples, labels, codec or modality."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr((synthetic.codec.to_dict(), synthetic.modality.to_dict())).encode())
    digest.update(synthetic.labels.cpu().numpy().tobytes())
    packed = synthetic.codec.pack(synthetic.stored, synthetic.modality)
    for name in sorted(packed):
        digest.update(name.encode())
        digest.update(packed[name].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cells(rows: Rows, specs: Sequence[PeerSpec], seeds: Sequence[int]) -> Iterator[Cell]:
    subjects = [
        Subject(row, replicate, synthetic)
        for row, sets in rows.items()
        for replicate, synthetic in sets
    ]
    for seed in seeds:
        for spec in specs:
            for subject in subjects:
                yield Cell(subject, spec, seed)


def _already(new: Record, there: Mapping[tuple[Any, ...], Record]) -> Record | None:
    """The record of this cell that is there, if it was of this very set, by these very values."""
    old = there.get(new.key())
    same = old is not None and (old.fingerprint, old.settings) == (new.fingerprint, new.settings)
    return old if same else None


def _measured(grid: Grid, cells: Sequence[Cell], workers: int) -> Iterator[Record]:
    """The records of these cells in their order, as they are measured."""
    if workers == 1 or len(cells) < 2:
        yield from map(grid.measure, cells)
        return
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(min(workers, len(cells)), _begin_worker, (grid,)) as pool:
        yield from pool.imap(_measure, cells)


_worker_grid: Grid | None = None


def _begin_worker(grid: Grid) -> None:
    """What each process does first: small networks are fastest on one thread each."""
    global _worker_grid
    torch.set_num_threads(1)
    _worker_grid = grid


def _measure(cell: Cell) -> Record:
    assert _worker_grid is not None
    return _worker_grid.measure(cell)


def _per_class(rows: Rows) -> float:
    return list(rows.values())[-1][0][1].per_class


def _check(
    rows: Rows,
    problem: Problem,
    specs: Sequence[PeerSpec],
    seeds: Sequence[int],
    recipe: Recipe,
    check_every: int | None,
) -> None:
    """Say what cannot be before any time is spent."""
    for what, given in (("row", rows), ("network", specs), ("evaluation seed", seeds)):
        if not given:
            raise UsageError(f"nothing to evaluate: give at least one {what}")
    names = [name_of(spec) for spec in specs]
    listings: list[tuple[str, list[Any]]] = [("network", names), ("evaluation seed", list(seeds))]
    for what, listed in listings:
        twice = next((one for one in listed if listed.count(one) > 1), None)
        if twice is not None:
            raise UsageError(f"{what} {twice} is named twice; name each once")
    if check_every is not None and check_every < 1:
        raise UsageError(f"--check-every counts epochs, from 1; got {check_every}")
    if check_every is not None and recipe.solver == "ridge":
        raise UsageError(f"{recipe.name} is solved at once: there is nothing on the way to check, "
                         f"leave --check-every away")  # fmt: skip
    for row, sets in rows.items():
        _check_row(row, sets, problem)


def _check_row(row: str, sets: Sequence[tuple[int, SyntheticSet]], problem: Problem) -> None:
    replicates = [replicate for replicate, _ in sets]
    if not sets or len(set(replicates)) < len(replicates):
        raise UsageError(f"row {row!r} needs at least one set, each with a replicate of its own; "
                         f"got replicates {replicates}")  # fmt: skip
    for _, synthetic in sets:
        same_shape = tuple(synthetic.modality.shape) == tuple(problem.modality.shape)
        if not same_shape or synthetic.classes != problem.classes:
            raise UsageError(
                f"row {row!r} holds {synthetic.classes} classes of shape "
                f"{tuple(synthetic.modality.shape)}, {problem.name} has {problem.classes} of shape "
                f"{tuple(problem.modality.shape)}: evaluate a set on the data it was made from"
            )
