"""``condensery study NAME|FILE``: a whole table or figure, resumable cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from condensery.cli.common import DATA_DIR, DEBUG, PRECISION, THREADS, Page, use_threads
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
finished training is never done twice. Each cell is an ordinary run directory below --out;
condensery report DIR draws what is there, also while the study runs.""",
    (
        Option("--out", "the study's directory", "DIR", standard="runs/NAME-SIZE"),
        Option("--size", "paper: as published, for a GPU; mini: what two cores finish; smoke: "
               "seconds; released: as the released code does it, of table2 and table3, for a GPU",
               "paper|mini|smoke|released",
               Literal["paper", "mini", "smoke", "released"], "paper"),
        Option("--dry-run", "only say which cells there are, and how long they take by a few "
               "measured steps of each kind", kind=None),
        Option("--patience", "seconds that each of these measurements may take; they are made "
               "before a run too, not of size smoke; 0: none", "X", float, "60"),
        Option("--only", "cells whose name holds this", "TEXT"),
        Option("--workers", "processes, one thread each", "N", int, "1"),
        PRECISION,
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
    dry = given.values.get("dry_run")
    chosen = study.chosen_cells(plan, given.values.get("only"), out)
    patience = given.values.get("patience", 60.0 if dry or size != "smoke" else 0.0)
    found: list[Estimate] = []
    if not dry:
        study.check(plan, out, chosen, where)
    if dry or patience > 0:
        found = study.estimates(plan, chosen, out, where, patience)
        print(told(plan, found, workers), flush=True)
    if dry:
        print("\n".join(["", "cells:", *(f"  {cell.name}" for cell in chosen)]))
        return
    expected = {one.what: one.seconds for one in found if one.seconds is not None and one.cells}
    study.keep(plan, out)
    page = study.run(plan, out, given.values.get("only"), workers, where,
                     lambda line: print(line, flush=True), expected,
                     given.values.get("precision", "float32"))  # fmt: skip
    print(f"report: {page}" if page else "nothing is finished yet")


def told(plan: Study, found: Sequence[Estimate], workers: int) -> str:
    """The estimates as a table, and what they come to."""
    from condensery.study import duration

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
    lines = [f"{plan.title} ({plan.source})", "", columns(rows, widest=60), "",
             f"{sum(one.cells for one in found)} cells to run, {at_least}{duration(sum(known))} on "
             f"one process of this machine, {at_least}{duration(sum(known) / workers)} on "
             f"{workers}{_memory(found, workers)}"]  # fmt: skip
    lines += [f"not measured: {one.what}: {one.why}" for one in found if one.seconds is None]
    return "\n".join(lines)


def _memory(found: Sequence[Estimate], workers: int) -> str:
    """``; up to 2.4 GB of memory``: each process may be at the cell that takes most."""
    known = [one.gigabytes for one in found if one.gigabytes is not None]
    if not known:
        return ""
    missing = any(one.cells and one.gigabytes is None for one in found)
    return f"; {'at least' if missing else 'up to'} {workers * max(known):.1f} GB of memory in all"
