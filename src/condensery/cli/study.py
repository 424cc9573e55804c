"""``condensery study NAME|FILE``: a whole table or figure, resumable cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from condensery.cli.common import DATA_DIR, DEBUG, THREADS, Page, use_threads
from condensery.cli.options import Option, columns
from condensery.errors import UsageError

if TYPE_CHECKING:
    from condensery.study import Estimate, Study

PAGE = Page(
    "condensery study",
    "NAME|FILE --out DIR",
    """\
Condense, evaluate and report everything that a table or a figure needs (condensery list studies),
or what a plan of your own asks for: a TOML file like those that come along (condensery show NAME
prints one).

Stopped at any time, the same command goes on: runs resume from their last checkpoint, and a
finished training is never done twice. Each cell is an ordinary run directory below --out.""",
    (
        Option("--out", "the study's directory", "DIR", standard="runs/NAME-SIZE"),
        Option("--size", "paper: as published, for a GPU; mini: what two cores finish; smoke: "
               "seconds; released: as the released code does it, of table2 and table3, for a GPU",
               "paper|mini|smoke|released",
               Literal["paper", "mini", "smoke", "released"], "paper"),
        Option("--dry-run", "only say which cells there are, and how long they take by a few "
               "measured steps of each kind", kind=None),
        Option("--patience", "seconds that each of these measurements may take", "X", float, "60"),
        Option("--only", "cells whose name holds this", "TEXT"),
        Option("--workers", "processes, one thread each", "N", int, "1"),
        DATA_DIR,
        THREADS,
        DEBUG,
    ),
    (
        "condensery study figure5 --size mini --out runs/figure5",
        "condensery study table1 --size mini --dry-run",
        "condensery study mine.toml --size mini --only cifar10/hmdc --out runs/mine",
    ),
)  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery study``.

    Raises:
        UsageError, RunError: see ``condensery.study.run``.
    """
    given = PAGE.read(arguments)
    if given is None:
        return
    from condensery import study

    if len(given.words) != 1:
        raise UsageError(f"study wants one name or file: {', '.join(study.names())}")
    use_threads(given.values.get("threads"))
    size = given.values.get("size", "paper")
    plan = study.read(given.words[0], size)
    usual = f"runs/{Path(given.words[0]).stem}-{size}"
    out = Path(given.values.get("out") or usual).expanduser()
    data_dir = given.values.get("data_dir")
    where = None if data_dir is None else Path(data_dir).expanduser()
    workers = given.values.get("workers", 1)
    if workers < 1:
        raise UsageError(f"--workers counts processes, from 1; got {workers}")
    if given.values.get("dry_run"):
        chosen = study.chosen_cells(plan, given.values.get("only"))
        patience = given.values.get("patience", 60.0)
        print(told(plan, study.estimates(plan, chosen, out, where, patience), workers))
        print("\n".join(["", "cells:", *(f"  {cell.name}" for cell in chosen)]))
        return
    page = study.run(plan, out, given.values.get("only"), workers, where,
                     lambda line: print(line, flush=True))  # fmt: skip
    print(f"report: {page}" if page else "nothing is finished yet")


def told(plan: Study, found: Sequence[Estimate], workers: int) -> str:
    """The estimates as a table, and what they come to."""
    rows = [("what", "cells", "done", "each", "memory", "all")]
    for one in found:
        more = ">= " if one.least else ""
        each = "-" if one.seconds is None else f"{more}{duration(one.seconds)}"
        whole = "-" if one.seconds is None else f"{more}{duration(one.seconds * one.cells)}"
        memory = "-" if one.gigabytes is None else f"{one.gigabytes:.1f} GB"
        rows.append((one.what, str(one.cells), str(one.done), each, memory, whole))
    known = [one.seconds * one.cells for one in found if one.seconds is not None]
    least = any(one.least for one in found) or any(one.seconds is None for one in found)
    at_least = "at least " if least else ""
    lines = [f"{plan.title} ({plan.source})", "", columns(rows), "",
             f"{sum(one.cells for one in found)} cells to run, {at_least}{duration(sum(known))} on "
             f"one process of this machine, {at_least}{duration(sum(known) / workers)} on "
             f"{workers}"]  # fmt: skip
    lines += [f"not measured: {one.what}: {one.why}" for one in found if one.seconds is None]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """``12 s``, ``3.5 min``, ``2.1 h``, ``8.4 days``."""
    for unit, size, limit in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 72 * 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} s" if unit == "s" else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
