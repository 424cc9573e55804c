"""Running a study: each run is condensed, judged and marked done; the page is drawn at the end."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from condensery import api
from condensery.artefact.files import write_json
from condensery.data import Problem, load_problem
from condensery.engine.progress import Counted, Progress
from condensery.errors import CondenseryError, RunError, UsageError
from condensery.evaluate import name_of
from condensery.evaluate.precision import Precision
from condensery.evaluate.share import Claims, each, executor
from condensery.methods import METHODS
from condensery.methods.base import of_today
from condensery.models import PeerSpec
from condensery.presets import Plan
from condensery.records import Record
from condensery.report import report
from condensery.study.drawing import check_parts, heading, sections
from condensery.study.left import Left, condensing, judging, sets_beside, trainings
from condensery.study.plan import Cell, Study, cells

MARK = "study.json"
SILENCE = 60.0  # seconds between lines of progress, where there is no terminal for a bar
Tell = Callable[[str], object]


def run(
    study: Study,
    out: Path,
    only: str | None = None,
    workers: int = 1,
    data_dir: Path | None = None,
    tell: Tell = print,
    expected: Mapping[str, float] | None = None,
    precision: Precision = "float32",
) -> Path | None:
    """Do what is missing of a study, then draw what is there.

    Stopped at any time, the same call goes on: runs resume from their last checkpoint, and finished
    trainings are never done twice. A cell that fails keeps no other one from being run; it is a
    hole of what is drawn.

    Args:
        study: see ``condensery.study.read``. out: the study's directory, a run directory below it
            for each cell.
        only: cells whose name holds this text; None: all.
        workers: processes, one thread each: runs beside one another, then trainings.
        data_dir: where local copies of data lie. tell: called with a line for each cell, which
            says how much time is left, as far as that is known.
        expected: seconds of one cell by kind, see ``Estimate.what``. precision: of testing, see
            ``condensery.evaluate``.

    Returns:
        The page, or None when no cell has been run.

    Raises:
        UsageError: no cell of that name, or what ``condense`` and ``evaluate`` refuse.
        RunError: cells failed; the others are done and drawn, and the same call tries these again.
    """
    chosen = chosen_cells(study, only, out)
    check(study, out, chosen, data_dir)
    left = _left(study, out, chosen, data_dir, Left(workers, expected))
    failed = _condense_all(study, out, chosen, workers, data_dir, tell, left)
    for number, cell in enumerate(chosen, start=1):
        if not study.models or cell.name in failed:
            continue
        tell(f"evaluate {number}/{len(chosen)}: {cell.name}{left.words()}")
        judge = partial(_evaluate, study, cell, out / cell.name, workers, data_dir, left, precision)
        why = _judged(judge, study.models)
        if why:
            failed[cell.name] = why
            tell(f"evaluate {number}/{len(chosen)}: {cell.name} failed: {why}")
    there = [out / cell.name for cell in cells(study) if (out / cell.name / MARK).is_file()]
    page = (report(there, out / "report", sections(study, out), heading(study, out))
            if there else None)  # fmt: skip
    if failed:
        raise RunError(_failed(failed, len(chosen), page))
    return page


def _judged(judge: Callable[[Sequence[PeerSpec]], None], models: Sequence[PeerSpec]) -> str:
    """Judge a run by all networks; where one fails, by each alone. Why the first failed."""
    try:
        judge(models)
    except Exception as error:  # as in ``_tried``
        if len(models) == 1:
            return _words(error)
        return next(filter(None, [_judged(judge, (one,)) for one in models]), "")
    return ""


def _failed(failed: Mapping[str, str], of: int, page: Path | None) -> str:
    name, why = next(iter(failed.items()))
    drawn = f"; what is there is drawn in {page}" if page else ""
    return (f"{len(failed)} of {of} cells failed, first {name}: {why}{drawn}; the same command "
            f"tries them again")  # fmt: skip


def check(study: Study, out: Path, chosen: Sequence[Cell], data_dir: Path | None) -> None:
    """Say before any time is spent what cannot be.

    Raises:
        UsageError: an unknown part of the page, data that are not here, or runs of another plan.
    """
    check_parts(study)
    for cell in chosen:
        _problem(cell.data, study.label, study.side, data_dir)
        finished(study, cell, out / cell.name, data_dir)


def _left(
    study: Study, out: Path, chosen: Sequence[Cell], data_dir: Path | None, left: Left
) -> Left:
    """The same with all trainings in it that no record holds."""
    for cell in chosen:
        problem = _problem(cell.data, study.label, study.side, data_dir)
        codec = arm_plan(cell, problem).method.codec(problem)
        sets = sets_beside(study, cell, codec, problem.modality.kind)
        for model in study.models:
            missing, _ = trainings(study, model, sets, out / cell.name)
            left.add(judging(cell, model), missing)
    return left


def chosen_cells(study: Study, only: str | None, out: Path | None = None) -> list[Cell]:
    """The cells of a study, or those whose name holds a text.

    Where the cell is not among them that baselines stand beside, they stand beside the first of its
    rivals that is; not where it has been run in ``out``: then they are there.

    Raises:
        UsageError: there is none.
    """
    every = list(cells(study))
    chosen = [cell for cell in every if only is None or only in cell.name]
    if not chosen:
        some = ", ".join(cell.name for cell in every[:3])
        raise UsageError(f"no cell's name holds {only!r}; the first are {some} (--dry-run lists "
                         f"all)")  # fmt: skip
    beside = {_rivals(cell) for cell in every if cell.first
              and (cell in chosen or (out and (out / cell.name / MARK).is_file()))}  # fmt: skip
    found = []
    for cell in chosen:
        found.append(replace(cell, first=cell.first or _rivals(cell) not in beside))
        beside.add(_rivals(cell))
    return found


def _rivals(cell: Cell) -> tuple[str, int, int]:
    """What cells have in common that are compared with the same baselines."""
    return cell.data, cell.per_class, cell.seed


def _condense_all(
    study: Study,
    out: Path,
    chosen: Sequence[Cell],
    workers: int,
    data_dir: Path | None,
    tell: Tell,
    left: Left,
) -> dict[str, str]:
    """Make the sets that are missing; which of them failed, and why."""
    failed: dict[str, str] = {}
    missing = [cell for cell in chosen if not finished(study, cell, out / cell.name, data_dir)]
    # One after another on all cores, or beside one another on one thread each.
    few = min(workers, max(1, len(missing)))
    for cell in missing:
        left.add(condensing(cell))
    claims = Claims(out / ".claims")
    with claims, executor(few, torch.set_num_threads, (1,)) as work:
        places = each(
            work, partial(_tried, study, out=out, data_dir=data_dir, plain=few > 1), missing,
            lambda cell: cell.name, claims,
            lambda cell: 0.0 if finished(study, cell, out / cell.name, data_dir) else None, few,
        )  # fmt: skip
        try:
            for done, (place, seconds, ours) in enumerate(places, start=1):
                name = missing[place].name
                if isinstance(seconds, str):
                    failed[name] = seconds
                    took = f" failed: {seconds}"
                else:
                    took = f", {seconds:.0f} s" if ours else ", by another job"
                known = seconds if ours and not isinstance(seconds, str) else None
                left.done(condensing(missing[place]), known)
                tell(f"condense {done}/{len(missing)}: {name}{took}{left.words()}")
        finally:
            work.shutdown(cancel_futures=True)
    return failed


def _tried(
    study: Study, cell: Cell, out: Path, data_dir: Path | None, plain: bool
) -> float | str:
    """Seconds that a set took to make, or why it could not be made."""
    try:
        return condense_cell(study, cell, out, data_dir, plain)
    except Exception as error:  # whatever it is, memory too: the next cell may be spared
        return _words(error)


def _words(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said if isinstance(error, CondenseryError) else f"{type(error).__name__}: {said}"


def condense_cell(
    study: Study, cell: Cell, out: Path, data_dir: Path | None, plain: bool = False
) -> float:
    """Make one set, or what is left of making it. Seconds of condensing, in all sessions.

    Args:
        plain: other processes write to the terminal too.
    """
    arm, place, begin = cell.arm, out / cell.name, time.perf_counter()
    plan = arm_plan(cell, _problem(cell.data, study.label, study.side, data_dir))
    steps = max(1, plan.steps or 1)
    with Progress(cell.name, lambda step, _: step / steps, every=SILENCE, plain=plain) as shown:
        made = api.condense(
            cell.data, arm.method, per_class=cell.per_class, steps=plan.steps or None,
            minutes=plan.minutes, seed=cell.seed, preset=arm.preset, settings=arm.settings,
            out=place, data_dir=data_dir, label=study.label, size=study.side, quiet=True,
            on_step=lambda step, *_: shown.show(step, time.perf_counter() - begin),
        )  # fmt: skip
    write_json(place / MARK, told(study, cell, data_dir))
    return float(made.about["seconds"])


def told(study: Study, cell: Cell, data_dir: Path | None) -> dict[str, Any]:
    """What a finished run is: another plan, or another size of it, must not take it for its own."""
    plan = arm_plan(cell, _problem(cell.data, study.label, study.side, data_dir))
    fields = dataclasses.asdict(plan.method)
    asked = {
        "method": cell.arm.method, "fields": fields,
        "steps": plan.steps, "data": cell.data, "label": study.label, "side": study.side,
        "per_class": cell.per_class, "seed": cell.seed,
    }  # fmt: skip
    # As it is read back: tuples are lists.
    return json.loads(json.dumps({"arm": cell.arm.name, "note": cell.arm.note, "asked": asked}))


def finished(study: Study, cell: Cell, place: Path, data_dir: Path | None) -> bool:
    """Whether a cell's set is there.

    Raises:
        UsageError: a set is there that was made by another plan, or by another size of this one.
    """
    if not (place / MARK).is_file():
        return False
    there, here = mark(place).get("asked", {}), told(study, cell, data_dir)["asked"]
    if "fields" in there:
        there = there | {"fields": of_today(there["fields"], METHODS[here["method"]])}
    # Settings one by one: which of them differs is what has to be told.
    held = there.pop("fields", {}) | there
    for name, value in (here.pop("fields") | here).items():
        if held.get(name) != value:
            raise UsageError(
                f"{place} was made by another plan, or another size of this one ({name} is "
                f"{_short(held.get(name))} there and {_short(value)} here): choose another --out, "
                f"or remove it"
            )
    return True


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def arm_plan(cell: Cell, problem: Problem) -> Plan:
    """The method of a cell with all its settings, and its budget."""
    arm = cell.arm
    plan = api.changed(api.resolve(arm.method, arm.preset, problem, cell.per_class), arm.settings)
    steps = arm.steps or plan.steps or plan.method.default_steps
    steps = max(1, round(steps * arm.proportion)) if steps else 0
    return Plan(plan.method, steps, None)


def mark(place: Path) -> dict[str, Any]:
    """What a study wrote beside a finished run; empty where it did not."""
    try:
        found = json.loads((place / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _evaluate(
    study: Study,
    cell: Cell,
    place: Path,
    workers: int,
    data_dir: Path | None,
    left: Left,
    precision: Precision,
    models: Sequence[PeerSpec],
) -> None:
    kinds = {name_of(model): judging(cell, model) for model in study.models}

    def measured(record: Record, done: int, of: int) -> None:
        left.done(kinds[record.model], record.seconds)
        shown.count(done, of)

    with Counted(cell.name, "training", SILENCE) as shown:
        api.evaluate(
            place, models=models, recipe=study.recipe, epochs=study.epochs,
            updates=study.updates, seeds=study.evaluation_seeds, draws=study.random_draws,
            rows=study.rows if cell.first else (), workers=workers, data_dir=data_dir,
            check_every=study.check_every, precision=precision, on_record=measured,
        )  # fmt: skip


@lru_cache(maxsize=2)
def _problem(data: str, label: str | None, side: int | None, data_dir: Path | None) -> Problem:
    return load_problem(data, label=label, size=side, data_dir=data_dir)
