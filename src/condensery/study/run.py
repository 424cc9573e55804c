"""Running a study: each run is condensed, judged and marked done; the page is drawn at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from condensery import api
from condensery.artefact.files import write_json
from condensery.data import Problem, load_problem
from condensery.errors import UsageError
from condensery.evaluate.share import executor
from condensery.presets import Plan
from condensery.report import report
from condensery.study.drawing import sections
from condensery.study.plan import Cell, Study, cells

MARK = "study.json"
Tell = Callable[[str], object]


def run(
    study: Study,
    out: Path,
    only: str | None = None,
    workers: int = 1,
    data_dir: Path | None = None,
    tell: Tell = print,
) -> Path | None:
    """Do what is missing of a study, then draw what is there.

    Stopped at any time, the same call goes on: runs resume from their last checkpoint, and finished
    trainings are never done twice.

    Args:
        study: see ``condensery.study.read``. out: the study's directory, a run directory below it
            for each cell.
        only: cells whose name holds this text; None: all.
        workers: processes, one thread each: runs beside one another, then trainings.
        data_dir: where local copies of data lie. tell: called with a line for each cell.

    Returns:
        The page, or None when no cell has been run.

    Raises:
        UsageError: no cell of that name, or what ``condense`` and ``evaluate`` refuse.
        RunError: it went wrong on the way; finished cells are kept.
    """
    chosen = chosen_cells(study, only)
    for data in {cell.data for cell in chosen}:
        _problem(data, study.label, study.side, data_dir)  # what is not there is said at once
    _condense_all(study, out, chosen, workers, data_dir, tell)
    for number, cell in enumerate(chosen, start=1):
        if study.models:
            tell(f"evaluate {number}/{len(chosen)}: {cell.name}")
            _evaluate(study, cell, out / cell.name, workers, data_dir)
    there = [out / cell.name for cell in cells(study) if (out / cell.name / MARK).is_file()]
    return report(there, out / "report", sections(study, out)) if there else None


def chosen_cells(study: Study, only: str | None) -> list[Cell]:
    """The cells of a study, or those whose name holds a text.

    Raises:
        UsageError: there is none.
    """
    every = list(cells(study))
    chosen = [cell for cell in every if only is None or only in cell.name]
    if not chosen:
        some = ", ".join(cell.name for cell in every[:3])
        raise UsageError(f"no cell's name holds {only!r}; the first are {some} (--dry-run lists "
                         f"all)")  # fmt: skip
    return chosen


def _condense_all(
    study: Study,
    out: Path,
    chosen: Sequence[Cell],
    workers: int,
    data_dir: Path | None,
    tell: Tell,
) -> None:
    missing = [cell for cell in chosen if not (out / cell.name / MARK).is_file()]
    running: dict[Future[float], Cell] = {}
    done = 0
    # One after another on all cores, or beside one another on one thread each.
    with executor(min(workers, max(1, len(missing))), torch.set_num_threads, (1,)) as work:
        ready = list(reversed(missing))
        try:
            while ready or running:
                while ready and len(running) < workers:
                    cell = ready.pop()
                    where = (study.label, study.side, data_dir)
                    running[work.submit(condense_cell, cell, out / cell.name, *where)] = cell
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    cell = running.pop(future)
                    done += 1
                    tell(f"condense {done}/{len(missing)}: {cell.name}, {future.result():.0f} s")
        finally:
            work.shutdown(cancel_futures=True)


def condense_cell(
    cell: Cell, place: Path, label: str | None, side: int | None, data_dir: Path | None
) -> float:
    """Make one set, or what is left of making it. Seconds of condensing, in all sessions."""
    arm, problem = cell.arm, _problem(cell.data, label, side, data_dir)
    plan = arm_plan(cell, problem)
    made = api.condense(
        cell.data, arm.method, per_class=cell.per_class, steps=plan.steps or None,
        minutes=plan.minutes, seed=cell.seed, preset=arm.preset, settings=arm.settings,
        out=place, data_dir=data_dir, label=label, size=side, quiet=True,
    )  # fmt: skip
    told = {"arm": arm.name, "method": arm.method, "note": arm.note}
    write_json(place / MARK, told)
    return float(made.about["seconds"])


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
    study: Study, cell: Cell, place: Path, workers: int, data_dir: Path | None
) -> None:
    api.evaluate(
        place, models=study.models, recipe=study.recipe, epochs=study.epochs,
        updates=study.updates, seeds=study.evaluation_seeds, draws=study.draws,
        rows=study.rows if cell.first else (), workers=workers, data_dir=data_dir,
    )  # fmt: skip


@lru_cache(maxsize=2)
def _problem(data: str, label: str | None, side: int | None, data_dir: Path | None) -> Problem:
    return load_problem(data, label=label, size=side, data_dir=data_dir)
