"""The grid: every set x every network x every evaluation seed, one record a cell."""

from __future__ import annotations

import hashlib
import math
import pickle
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from condensery import records as files
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem, Split, SplitName
from condensery.errors import RunError, UsageError
from condensery.evaluate.precision import Precision, precision_from
from condensery.evaluate.recipes import Recipe, recipe_from, shorten
from condensery.evaluate.share import Claims, each, executor, keep_memory, started
from condensery.evaluate.soft import HARD, Labels, Lesson, hired, labels_from
from condensery.evaluate.train import (
    Diverged,
    Tested,
    TestSamples,
    Watch,
    family_of,
    tested,
    train_network,
)
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec
from condensery.records import ALL_BYTES, Record
from condensery.streams import Streams

Rows = Mapping[str, Sequence[tuple[int, SyntheticSet]]]
OnRecord = Callable[[Record, int, int], None]
Choices = Mapping[tuple[str, int, str], Recipe]
CONFUSED = 20  # up to so many classes a record keeps the confusion matrix


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
    precision: Precision = "float32",
    known: Mapping[str, Record] | None = None,
) -> list[Record]:
    """Train fresh networks on each set and test them, cell by cell.

    Cells go seed by seed, network by network, so that rows that are compared stand side by side
    from early on (of the last few the longest first, where workers share them). Initial weights
    and batch orders depend on evaluation seed, network and recipe, not on the row: differences
    between rows are paired.

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
        out: a file of records; each is on disk before its cell is given up, and a cell that is
            already there (same key, set and recipe values, with the checks and in the precision
            that are asked for) is not run again. Several jobs, also on several machines, may work
            on one file: each cell is run by one of them.
        on_record: called as ``on_record(record, done, of)`` after each cell that was run.
        check_every: test every so many epochs too and record the best, which is chosen on the
            evaluated split and therefore never a result. None: as the recipe says, most test the
            last epoch only.
        workers: processes that share the cells, each on one thread; what pays for small networks on
            a CPU. More than 1 needs a script that can be imported (``if __name__ == "__main__"``).
        labels: ``hard``, or soft ones of a teacher, whose bytes are counted with those of the set.
            The row ``random, all bytes`` has hard ones all the same.
        choices: recipes for single sets and networks, by (row, replicate, name of the network), in
            the place of ``recipe``; all have one name.
        tolerant: a loss that is not finite gives an accuracy of 0, not that of the last finite
            weights; for trials.
        precision: of testing, network by network, see ``condensery.evaluate.precision``; training
            has 32 bits. Records in any precision serve ``auto``, the others their own alone.
        known: records of other runs by ``Record.training``; where one tells of the very same
            training (``full`` is one set for all runs), its numbers are taken over.

    Returns:
        One record a cell, also of those that were there already, in the order of the cells. Where a
        loss was not finite, ``failed`` says so, and the accuracy is that of the last finite weights
        (no other seed is tried in its place).

    Raises:
        UsageError: an unknown name, an empty list, a set that does not belong to the data.
        RunError: a network or a set cannot be read; names the cell. Records so far are kept.
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
                taught, choices or {}, tolerant, precision_from(precision))  # fmt: skip
    last = list(rows.values())[-1][0][1]  # the condensed set
    grid.condensed = len(last) * last.codec.multiplies
    cells = list(_cells(rows, specs, seeds))
    board = _Board(grid, out, known or {})
    found = {place: old for place, cell in enumerate(cells) if (old := board.there(cell))}
    missing = [place for place in range(len(cells)) if place not in found]
    if missing:
        grid.teacher = hired(taught, problem, modules, device)
    with closing(_measured(grid, [cells[place] for place in missing], workers, board)) as measured:
        for place, new in measured:
            found[missing[place]] = new
            if on_record is not None:
                on_record(new, len(found), len(cells))
    return [found[place] for place in range(len(cells))]


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
    precision: Precision = "float32"
    teacher: Backbone | None = None
    condensed: int = 1

    def __post_init__(self) -> None:
        self._samples: dict[Modality, TestSamples] = {}

    def recipe_of(self, cell: Cell) -> Recipe:
        """What a cell is trained by, overrides not yet worked in."""
        key = (cell.subject.row, cell.subject.replicate, name_of(cell.spec))
        recipe = self.choices.get(key, self.recipe)
        if cell.subject.row == "full" and recipe.solver == "descent":
            return recipe.on_whole_data(len(cell.subject.synthetic), self.condensed)
        return recipe

    def labels_of(self, cell: Cell) -> Labels:
        """Of which kind its labels are: samples that took the bytes of soft ones have hard ones."""
        return HARD if cell.subject.row == ALL_BYTES else self.labels

    def lesson(self, cell: Cell) -> Lesson:
        """What a cell learns from."""
        labels, modality = self.labels_of(cell), cell.subject.synthetic.modality
        if labels.regime == "hard":
            return Lesson(labels)
        return Lesson(labels, self.teacher, modality, self.problem.modality)

    def samples(self, modality: Modality) -> TestSamples:
        """The tested split as this set's networks see it; normalised once for all cells."""
        if modality not in self._samples:
            made = TestSamples(self.problem, self.split, modality, self.device)
            self._samples[modality] = made
        return self._samples[modality]

    def record(
        self,
        cell: Cell,
        found: Tested | None = None,
        curve: list[list[float]] | None = None,
        seconds: float = 0.0,
        parameters: int | None = None,
        failed: str = "",
    ) -> Record:
        """The record of a cell; before it is measured, with an accuracy of 0.

        Args:
            found: what the trained network made of the split. curve: ``[epoch, accuracy]`` of the
                checks on the way; None where nobody asked for any. parameters: of the network.
            failed: why training ended early.
        """
        synthetic, name = cell.subject.synthetic, name_of(cell.spec)
        samples = len(synthetic) * synthetic.codec.multiplies
        recipe = self.recipe_of(cell)
        applied = recipe.for_network(cell.spec.name, family_of(cell.spec, self.modules))
        epochs, updates = applied.length(samples)
        labels = self.labels_of(cell)
        soft = {} if labels.regime == "hard" else {"labels": labels.values()}
        taught = self.lesson(cell).nbytes(samples, synthetic.classes)
        last = found.accuracy if found else 0.0
        best = None if curve is None else max([last, *(accuracy for _, accuracy in curve)])
        told = {"tested in": found.precision} if found else {}
        return Record(
            row=cell.subject.row, model=name, seen=bool({name, cell.spec.name} & self.seen),
            replicate=cell.subject.replicate, seed=cell.seed, recipe=recipe.name,
            split=self.split, accuracy=last, best=best, data=self.problem.name,
            classes=self.problem.classes, per_class=self.per_class, samples=samples,
            stored_bytes=cell.subject.stored_bytes + taught, epochs=epochs, updates=updates,
            seconds=seconds, condense_seconds=synthetic.about.get("seconds"),
            settings=applied.values() | soft, fingerprint=cell.subject.fingerprint,
            circumstances=files.circumstances() | told,
            labels=labels.told(name_of(labels.teacher)),
            class_accuracy=found.class_accuracy if found else None,
            confusion=found.confusion if found and self.problem.classes <= CONFUSED else None,
            curve=curve,
            family=family_of(cell.spec, self.modules),
            parameters=parameters,
            failed=failed,
        )  # fmt: skip

    def measure(self, cell: Cell) -> Record:
        """Train and test one cell.

        Where the loss is not finite, the last finite weights are tested (a grid that is tolerant
        gives 0).

        Raises:
            RunError: the network cannot be trained; names the cell.
        """
        begin = time.perf_counter()
        samples, failed = self.samples(cell.subject.synthetic.modality), ""
        curve: list[list[float]] | None = [] if self.check_every else None
        try:
            backbone = self._trained(cell, self._watch(curve, samples))
        except Diverged as error:
            if self.tolerant:
                return self.record(cell, seconds=time.perf_counter() - begin)
            backbone, failed = self._last_finite(cell, error.epoch), str(error)
        except RunError as error:
            raise RunError(
                f"{name_of(cell.spec)} on row {cell.subject.row!r} (replicate "
                f"{cell.subject.replicate}, evaluation seed {cell.seed}): {error}, or leave it "
                f"out of --models"
            ) from None
        found = tested(backbone, samples, self.precision)
        numbers = sum(one.numel() for one in backbone.parameters())
        return self.record(cell, found, curve, time.perf_counter() - begin, numbers, failed)

    def _trained(
        self, cell: Cell, watch: Watch | None = None, stop: int | None = None
    ) -> Backbone:
        recipe = self.recipe_of(cell)
        streams = cell_streams(cell.seed, name_of(cell.spec), recipe.name)
        return train_network(cell.subject.synthetic, cell.spec, recipe, streams, self.modules,
                             self.device, watch, self.lesson(cell), stop=stop)  # fmt: skip

    def _last_finite(self, cell: Cell, epoch: int) -> Backbone:
        """The network as it was before the epoch in which its loss was not finite.

        Trained once more up to there, which costs nothing where no loss ever diverges. The last
        update of the epoch before may have spoilt the weights already: then it is one epoch less.
        """
        for stop in (epoch - 1, epoch - 2):
            backbone = self._trained(cell, stop=max(0, stop))
            if all(bool(one.isfinite().all()) for one in backbone.state_dict().values()):
                break
        return backbone

    def _watch(self, curve: list[list[float]] | None, samples: TestSamples) -> Watch | None:
        every = self.check_every
        if every is None or curve is None:
            return None

        def watch(epoch: int, backbone: Backbone) -> None:
            if epoch % every == 0:
                curve.append([epoch, tested(backbone, samples, self.precision).accuracy])

        return watch

    def for_others(self) -> tuple[bytes, dict[Modality, TestSamples]]:
        """What another process needs: all but the samples as bytes, these where memory is shared.

        Training samples stay behind. A tested split that is too large to be kept goes along.
        """
        none = Split(self.problem.train.samples[:0], self.problem.train.labels[:0])
        light = replace(self.problem, train=none, val=none, test=none)
        return pickle.dumps(replace(self, problem=light)), self._samples

    @staticmethod
    def from_other(sent: bytes, samples: dict[Modality, TestSamples]) -> Grid:
        """The grid of the process that sent it."""
        grid: Grid = pickle.loads(sent)
        grid._samples = samples
        return grid


class _Board:
    """What is in the file of records by now; jobs that share it look again when it has grown."""

    def __init__(self, grid: Grid, out: Path | None, known: Mapping[str, Record]) -> None:
        self.grid, self.out, self._known = grid, out, known
        self._read, self._size = dict[tuple[Any, ...], Record](), -1

    def there(self, cell: Cell) -> Record | None:
        """The record of this cell, if it was of this very set, by these very values."""
        if self.out is None and not self._known:
            return None
        new = self.grid.record(cell)
        old = self._file().get(new.key())
        same = old and (old.fingerprint, old.settings) == (new.fingerprint, new.settings)
        if old and same and self._tells_enough(old):
            return old
        return self._elsewhere(new)

    def _file(self) -> dict[tuple[Any, ...], Record]:
        if self.out is None:
            return {}
        size = self.out.stat().st_size if self.out.exists() else 0
        if size != self._size:
            self._read, self._size = {one.key(): one for one in files.read(self.out)}, size
        return self._read

    def _elsewhere(self, new: Record) -> Record | None:
        """What another run measured on the same set; in this run's file from now on."""
        other = self._known.get(new.training())
        if other is None or not self._tells_enough(other):
            return None
        taken = new.measured_as(other)
        if self.out is not None:
            files.append(self.out, [taken])
        return taken

    def _tells_enough(self, old: Record) -> bool:
        """Whether a record has the checks and the precision that are asked for.

        Else its cell is measured again: the newest record of a cell is the one that holds.
        """
        tested_in, every = old.circumstances.get("tested in"), self.grid.check_every
        if tested_in not in (None, self.grid.precision) and self.grid.precision != "auto":
            return False
        if every is None:
            return True
        checked = {epoch for epoch, *_ in old.curve or ()}
        return old.curve is not None and checked >= set(range(every, old.epochs + 1, every))

    def key(self, cell: Cell) -> str:
        """The cell's name among the jobs that share the file."""
        new = self.grid.record(cell)
        return repr((new.key(), new.fingerprint, sorted(new.settings.items())))

    def claims(self) -> Claims:
        """Who runs what; nobody else is there where records are not kept in a file."""
        return Claims(self.out and self.out.with_name(f".{self.out.name}.claims"))


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


def _measured(
    grid: Grid, cells: Sequence[Cell], workers: int, board: _Board
) -> Generator[tuple[int, Record], None, None]:
    """Positions of cells and their records, as they are measured, each on disk by then."""
    if not cells:
        return
    workers = min(workers, len(cells))
    if workers > 1:
        started(_begin_worker)
    for one in {cell.subject.synthetic.modality for cell in cells} if workers > 1 else ():
        grid.samples(one)  # before the others start, so that they share its memory
    given = grid.for_others() if workers > 1 else ()
    took = dict[tuple[str, PeerSpec], float]()

    def length(cell: Cell) -> float:
        return took.get((cell.subject.row, cell.spec), math.inf)

    with board.claims() as claims, executor(workers, _begin_worker, given) as work:
        measure = grid.measure if workers == 1 else _measure
        done = each(work, measure, cells, board.key, claims, board.there, workers, length)
        try:
            for place, record, ours in done:
                took[record.row, cells[place].spec] = record.seconds
                if ours and board.out is not None:
                    files.append(board.out, [record])
                yield place, record
        finally:
            work.shutdown(cancel_futures=True)


_worker_grid: Grid | None = None


def _begin_worker(sent: bytes, samples: dict[Modality, TestSamples]) -> None:
    """What each process does first: small networks are fastest on one thread each."""
    global _worker_grid
    torch.set_num_threads(1)
    keep_memory()
    _worker_grid = Grid.from_other(sent, samples)


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
        if not problem.modality.fits(synthetic.modality) or synthetic.classes != problem.classes:
            raise UsageError(
                f"row {row!r} holds {synthetic.classes} classes of shape "
                f"{tuple(synthetic.modality.shape)}, {problem.name} has {problem.classes} of shape "
                f"{tuple(problem.modality.shape)}: evaluate a set on the data it was made from"
            )
