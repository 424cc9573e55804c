"""``condensery report DIR... --out DIR``: tables, figures and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from condensery.cli.common import DEBUG, Page
from condensery.cli.options import Option
from condensery.errors import UsageError

PAGE = Page(
    "condensery report",
    "DIR... --out DIR",
    """\
Draw what the records of runs say: tables (.md, .csv), figures (.png, .svg) and one self-contained
report.html. Runs that differ in nothing but their seed are put together. Files of an earlier report
in the same place are replaced.

Of a folder that is no run directory, all runs below it are drawn, as far as they have come; of a
study's, with its own parts.""",
    (Option("--out", "where to write", "DIR", standard="DIR/report of a single one"), DEBUG),
    (
        "condensery report runs/digits --out runs/digits/report",
        "condensery report runs/ablation-mini",
    ),
)


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery report``.

    Raises:
        UsageError: see ``condensery.report.report`` and ``condensery.study.redraw``.
    """
    given = PAGE.read(arguments)
    if given is None:
        return
    directories = PAGE.directories(given.words)
    out = given.values.get("out") or (directories[0] / "report" if len(directories) == 1 else None)
    if out is None:
        raise UsageError("a report of several runs wants a place of its own: --out DIR")
    from condensery.report import report
    from condensery.report.gather import PLAN

    if len(directories) == 1 and (directories[0] / PLAN).is_file():
        from condensery import study  # brings torch, which other reports do without

        print(f"report: {study.redraw(directories[0], Path(out))}")
        return
    print(f"report: {report(directories, out)}")
