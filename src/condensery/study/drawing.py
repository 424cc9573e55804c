"""What a study draws besides the ordinary report, from what its runs left on disk."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from condensery.errors import unknown
from condensery.report import published
from condensery.report.arms import arms_table, largest_gradients
from condensery.report.gather import RunFiles, read_run
from condensery.report.sections import Heading, Section
from condensery.study.plan import Study, cells

Part = Callable[[Study, list[RunFiles]], list[Section]]


def heading(study: Study, out: Path) -> Heading:
    """Which study a page is of, and the command that runs it again.

    Args:
        study: one that was read knows how it was called. out: its directory.
    """
    called = study.called or "PLAN.toml --size SIZE"
    source = (study.source,) if study.source else ()
    size = study.called.rpartition(" ")[2]
    told = (f"size {size}",) if size else ()
    place = shlex.quote(f"runs/{out.resolve().name}")
    command = f"condensery study {called} --out {place}"
    return Heading(study.title, (*source, *told), command, evaluated=bool(study.models))


def sections(study: Study, out: Path) -> list[Section]:
    """The parts that the study asks for; one whose runs are missing says so, or draws nothing.

    Raises:
        UsageError: an unknown part.
    """
    check_parts(study)
    places = [(cell, out / cell.name) for cell in cells(study)]
    runs = [read_run(place, cell.name) for cell, place in places
            if (place / "study.json").is_file()]  # fmt: skip
    return [one for name in study.draw for one in PARTS[name](study, runs)]


def check_parts(study: Study) -> None:
    """Say before any time is spent that a part is unknown.

    Raises:
        UsageError: it is.
    """
    for name in study.draw:
        if name not in PARTS:
            raise unknown("part to draw", name, PARTS)


def figure5(study: Study, runs: list[RunFiles]) -> list[Section]:
    """HMDC's Figure 5, from the first data set, size and seed that has both arms."""
    sides: dict[tuple[str, str, str], dict[str, RunFiles]] = {}
    for run in runs:
        data, arm, seed = run.name.rsplit("/", 2)
        sides.setdefault((data, arm.rpartition("-ipc")[2], seed), {})[run.arm] = run
    pairs = next((both for both in sides.values() if {"with", "without"} <= set(both)), None)
    if pairs is None:
        there = ", ".join(run.name for run in runs) or "none"
        return [Section(
            "Largest gradients: with and without the balance",
            "Not drawn yet: this figure compares a run with the balance to one without, of one "
            f"data set, size and seed. Finished so far: {there}.",
        )]  # fmt: skip
    every = pairs["with"].settings.get("fields", {}).get("restart_every", 100)
    return largest_gradients(pairs, int(every))


def ablation(study: Study, runs: list[RunFiles]) -> list[Section]:
    """Arms against the arm ``none``, for each data set and number of samples."""
    return _by_problem(study, runs, "none", published.ablation())


def arms(study: Study, runs: list[RunFiles]) -> list[Section]:
    """Arms by networks, without differences."""
    return _by_problem(study, runs, "")


def _by_problem(
    study: Study, runs: list[RunFiles], against: str, paper: published.Ablation | None = None
) -> list[Section]:
    """One table for each data set and number of samples, beside the paper's on its data."""
    found = []
    for data in study.data:
        for per_class in study.per_class:
            head = f"{Path(data).name}/"
            own = [run for run in runs if run.name.startswith(head)
                   and f"-ipc{per_class}/" in run.name]  # fmt: skip
            title = f"{study.title}: {Path(data).name}, {per_class} per class"
            beside = paper if paper is not None and Path(data).name == paper.data else None
            planned = {arm.name: arm.note for arm in study.arms}
            found += arms_table(own, title, against, study.about, beside, planned)
    return found


PARTS: dict[str, Part] = {"figure5": figure5, "ablation": ablation, "arms": arms}
