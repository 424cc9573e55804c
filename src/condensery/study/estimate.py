"""What a study takes before it is run: cells, hours, gigabytes; measured by a few steps of each."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from condensery import api
from condensery.core.starts import random_start
from condensery.errors import CondenseryError
from condensery.evaluate import recipes_from, shorten
from condensery.evaluate.train import family_of, train_network
from condensery.modality import Pixels
from condensery.models import PeerSpec
from condensery.records import peak_memory
from condensery.streams import Streams
from condensery.study.left import condensing, judging, sets_beside, trainings
from condensery.study.plan import Cell, Study
from condensery.study.run import MARK, _problem, arm_plan

MEASURED = 3  # steps, the first of which is not counted: it waits for what the others find ready
PATIENCE = 60.0  # seconds that a measurement may take


@dataclass(frozen=True)
class Estimate:
    """What cells of one kind take.

    Attributes:
        what: of which kind: condensing an arm, or training a network.
        cells: how many are missing; done: how many are there.
        seconds: of one cell; None where it could not be measured. least: it takes that or more.
        gigabytes: largest memory of the process that measured it; None likewise.
        why: what kept it from being measured.
    """

    what: str
    cells: int
    done: int
    seconds: float | None
    least: bool = False
    gigabytes: float | None = None
    why: str = ""


def estimates(
    study: Study,
    chosen: Iterable[Cell],
    out: Path,
    data_dir: Path | None,
    patience: float = PATIENCE,
) -> list[Estimate]:
    """One for each arm, data set and number of samples, and one for each network that judges.

    A few steps are run in a process of their own, which is stopped when they last too long; the
    time of a whole run is what a step took times the number of steps.

    Args:
        chosen: cells. out: the study's directory: finished ones cost nothing.
        patience: seconds for each measurement.
    """
    kinds: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in chosen:
        kinds.setdefault((cell.data, cell.arm.name, cell.per_class), []).append(cell)
    found = [_condensing(study, own, out, data_dir, patience) for own in kinds.values()]
    for data, per_class in dict.fromkeys((data, count) for data, _, count in kinds):
        own = [cell for (name, _, count), some in kinds.items() for cell in some
               if (name, count) == (data, per_class)]  # fmt: skip
        found += [_judging(study, own, model, out, data_dir, patience) for model in study.models]
    return found


def _condensing(
    study: Study, own: list[Cell], out: Path, data_dir: Path | None, patience: float
) -> Estimate:
    cell = own[0]
    what = condensing(cell)
    done = sum((out / one.name / MARK).is_file() for one in own)
    if done == len(own):
        return Estimate(what, 0, done, 0.0)
    where = (study.label, study.side, data_dir)
    told = _apart(_measure_steps, (cell, *where), patience)
    return _estimate(what, len(own) - done, done, told, patience)


def _judging(
    study: Study,
    own: list[Cell],
    model: PeerSpec,
    out: Path,
    data_dir: Path | None,
    patience: float,
) -> Estimate:
    found = [trainings(study, model, _sets(study, cell, data_dir), out / cell.name)
             for cell in own]  # fmt: skip
    count, done = sum(missing for missing, _ in found), sum(there for _, there in found)
    what = judging(own[0], model)
    if not count:
        return Estimate(what, 0, done, 0.0)
    told = _apart(_measure_training, (study, own[0], model, data_dir), patience)
    return _estimate(what, count, done, told, patience)


def _sets(study: Study, cell: Cell, data_dir: Path | None) -> dict[str, int]:
    """Rows that are judged with a run; where its data are not here, as if no set were packed."""
    try:
        problem = _problem(cell.data, study.label, study.side, data_dir)
    except CondenseryError:  # the measurement will say so
        return sets_beside(study, cell, Pixels(), "image")
    codec = arm_plan(cell, problem).method.codec(problem)
    return sets_beside(study, cell, codec, problem.modality.kind)


def _estimate(what: str, count: int, done: int, told: Any, patience: float) -> Estimate:
    if isinstance(told, str):
        return Estimate(what, count, done, None, why=told)
    per_step, steps, fixed, memory, least = told
    return Estimate(what, count, done, per_step * steps + fixed, least, memory)


def _apart(call: Any, given: tuple[Any, ...], patience: float) -> Any:
    """(seconds a step, steps, seconds besides, gigabytes, whether it is a bound), or why not.

    From a process of its own.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(theirs, call, given), daemon=True)
    process.start()
    theirs.close()
    started: tuple[int, float, float, bool] | None = None
    at = time.monotonic()
    deadline = at + patience
    try:
        while ours.poll(max(0.0, deadline - time.monotonic())):
            told = ours.recv()
            if not (isinstance(told, tuple) and told[0] == "begun"):
                return told
            started, at = told[1:], time.monotonic()  # data are loaded: what follows is measured
    except EOFError:
        return "the measuring process ended without a word (too little memory?)"
    finally:
        process.kill()
        process.join()
    if started is None:
        return f"not begun within {patience:.0f} s"
    (steps, each, besides, in_step), lasted = started, max(0.0, deadline - at)
    if in_step and not each:
        return lasted, steps, besides, None, True  # the first step that tells of the others
    # A step that lasts longer than those before it, or what comes before or after all steps.
    return each, steps, besides + max(0.0, lasted - each * in_step), None, True


def _report(sender: Connection, call: Any, given: tuple[Any, ...]) -> None:
    try:
        told = call(lambda *said: sender.send(("begun", *said)), *given)
        held = peak_memory()
        sender.send((*told, None if held is None else held / 2**30, False))
    except (CondenseryError, OSError, MemoryError) as error:
        sender.send(" ".join(str(error).split()))


def _measure_steps(
    begun: Any, cell: Cell, label: str | None, side: int | None, data_dir: Path | None
) -> tuple[float, int, float]:
    problem = _problem(cell.data, label, side, data_dir)
    plan = arm_plan(cell, problem)
    steps = plan.steps or 0
    # As many as a method's interval, so that what it does now and then has its weight.
    few = min(getattr(plan.method, "interval", 0) + MEASURED, steps)
    timed = _Steps(begun, steps)
    api.condense(problem, plan.method, per_class=cell.per_class, steps=few or None,
                 quiet=True, on_step=lambda *_: timed.tell())  # fmt: skip
    return timed.each, steps, timed.besides


class _Steps:
    """Steps that are timed one by one, and told at each end: what comes then may last minutes.

    Args:
        begun: what tells (steps in all, seconds of each so far, seconds besides, whether a step
            follows).
        steps: that there would be in all.
    """

    def __init__(self, begun: Any, steps: int) -> None:
        self._begun, self._steps = begun, steps
        self._ends = [time.perf_counter()]
        begun(steps, 0.0, 0.0, False)

    def tell(self) -> None:
        """A step has ended."""
        self._ends.append(time.perf_counter())
        self._begun(self._steps, self.each, self.besides, True)

    @property
    def each(self) -> float:
        """Seconds of a step after the first; 0 until there are two."""
        _, *ends = self._ends
        return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else 0.0

    @property
    def besides(self) -> float:
        """Seconds up to the end of the first step, which hold the making of a start."""
        first, *ends = self._ends
        return (ends[0] if ends else time.perf_counter()) - first


def _measure_training(
    begun: Any, study: Study, cell: Cell, model: PeerSpec, data_dir: Path | None
) -> tuple[float, int, float]:
    problem = _problem(cell.data, study.label, study.side, data_dir)
    # Of several recipes the first stands for all.
    recipe = shorten(recipes_from(study.recipe)[0], study.epochs, study.updates)
    # Real samples, stored as the arm stores its own.
    codec = arm_plan(cell, problem).method.codec(problem)
    some = random_start(problem, cell.per_class, codec, Streams(0))
    applied = recipe.for_network(model.name, family_of(model, None))
    _, updates = applied.length(len(some) * some.codec.multiplies)
    few = min(1 + MEASURED, updates)
    timed = _Steps(begun, updates)
    train_network(some, model, shorten(recipe, updates=few), Streams(0),
                  after_update=lambda *_: timed.tell())  # fmt: skip
    # The first step is a part of this training, too.
    begun(updates, timed.each, 0.0, False)
    begin = time.perf_counter()
    api.evaluate(some, problem, (model,), recipe=recipe, seeds=(0,), rows=(), updates=1)
    return timed.each, updates, time.perf_counter() - begin
