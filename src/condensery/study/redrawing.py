"""A study's plan beside its runs, so that its page can be drawn again without naming the plan."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from condensery.artefact.files import write_json
from condensery.errors import UsageError
from condensery.report import report
from condensery.report.gather import PLAN, run_directories
from condensery.study.drawing import heading, sections
from condensery.study.plan import Study, cells
from condensery.study.reading import restored
from condensery.study.run import MARK


def keep(study: Study, out: Path) -> None:
    """Write the plan into the study's directory: its values, since a plan's file may change."""
    write_json(out / PLAN, dataclasses.asdict(study))


def kept(out: Path) -> Study:
    """The plan that lies in a study's directory.

    Raises:
        UsageError: it cannot be read, or says what this version does not know.
    """
    try:
        return restored(json.loads((out / PLAN).read_text(encoding="utf-8")), PLAN)
    except (OSError, ValueError) as error:  # a usage error is a ValueError
        raise UsageError(f"{out / PLAN} cannot be read ({error}): run the study again, or remove "
                         f"that file and draw its runs alone") from None  # fmt: skip


def redraw(out: Path, page: Path) -> Path:
    """Draw all runs below a study's directory, and the study's own parts.

    Cells of the plan that are not finished are left out, as ``run`` does; runs of other plans in
    the same directory are drawn too, behind them.

    Args:
        out: where a plan lies. page: the folder to write to.

    Returns:
        The path of ``report.html``.

    Raises:
        UsageError: the plan cannot be read, or nothing is finished yet.
    """
    study = kept(out)
    places = {out / cell.name: place for place, cell in enumerate(cells(study))}
    there = [one for one in run_directories(out)
             if one not in places or (one / MARK).is_file()]  # fmt: skip
    if not there:
        raise UsageError(f"nothing of the study in {out} is finished yet: let it go on")
    ordered = sorted(there, key=lambda one: places.get(one, len(places)))
    return report(ordered, page, sections(study, out), heading(study, out))
