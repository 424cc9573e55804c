"""``condensery evaluate DIR...``: what a synthetic set is worth to fresh networks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from condensery.cli.common import DATA_DIR, DEBUG, DEVICE, THREADS, Page, next_command, use_threads
from condensery.cli.options import Option

if TYPE_CHECKING:
    from condensery.records import Record

ABOUT = """\
Train fresh networks on the set of each run, on its step-0 set, and on real samples of equal bytes;
test them on real samples. One line a training is added to DIR/records.jsonl, and what stands there
already is not measured again."""
EXAMPLES = (
    "condensery evaluate runs/digits --models convnet3,vit_mini,mlp --recipe quick",
    'condensery evaluate runs/c10 --models \'[{"name": "vit_tiny", "weights": "pretrained"}]\'',
)


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery evaluate``.

    Raises:
        UsageError, RunError: see ``condensery.api.evaluate``.
    """
    page = Page("condensery evaluate", "DIR...", ABOUT, options(), EXAMPLES)
    given = page.read(arguments)
    if given is None:
        return
    from condensery.api import evaluate

    directories, values = page.directories(given.words), dict(given.values)
    use_threads(values.pop("threads", None))
    values.pop("debug", None)
    if values.get("rows") == ("none",):
        values["rows"] = ()
    with Told() as told:
        records = evaluate(directories, **values, on_record=told)
    _print(directories, records)
    common = Path("runs/report") if len(directories) > 1 else directories[0] / "report"
    next_command("condensery", "report", *directories, "--out", common)


def options() -> tuple[Option, ...]:
    """The flags of this verb."""
    from condensery.models import PeerSpec

    return (
        Option("--models", "networks to train (condensery list models)", "A,B,...",
               tuple[PeerSpec, ...], "convnet3,vit_mini"),
        Option("--data", "the data that test them", "DATA", standard="what the run was made from"),
        DATA_DIR,
        Option("--split", "val for what is chosen by results, test for the last number",
               "test|val", Literal["test", "val"], "test"),
        Option("--seeds", "of the trainings", "N,N,...", tuple[int, ...], "0,1,2"),
        Option("--recipe", "how to train (condensery list recipes)", "NAME", standard="hmdc"),
        Option("--epochs", "shorten the recipe", "N", int),
        Option("--updates", "shorten it in optimiser steps instead", "N", int),
        Option("--rows", "sets of real samples beside it: random, kmeans, mean, herding, or none",
               "A,B,...", tuple[str, ...], "random,kmeans,mean"),
        Option("--draws", "of the random rows", "N", int, "1"),
        DEVICE,
        THREADS,
        Option("--workers", "processes that share the trainings, one thread each", "N", int, "1"),
        Option("--check-every", "also log the best of every N epochs, apart: it is chosen on the "
               "evaluated split", "N", int),
        DEBUG,
    )  # fmt: skip


class Told:
    """Progress from cell to cell. A context manager, called like ``on_record``."""

    def __init__(self) -> None:
        from condensery.engine.progress import Progress

        self.of, self.began = 1, time.perf_counter()
        self.progress = Progress("evaluate", lambda done, _: done / self.of, unit="training")

    def __enter__(self) -> Told:
        self.progress.__enter__()
        return self

    def __exit__(self, *told: Any) -> None:
        self.progress.__exit__(*told)

    def __call__(self, record: Record, done: int, of: int) -> None:
        """One cell is measured."""
        self.of = of
        self.progress.show(done, time.perf_counter() - self.began)


def _print(directories: Sequence[Path], records: Sequence[Record]) -> None:
    """The table of what was asked for; unlike runs of one method are told apart."""
    from rich.console import Console

    from condensery.report import terminal_table
    from condensery.report.gather import gather

    def cell(one: Record) -> tuple[Any, ...]:
        return one.fingerprint, one.model, one.seed, one.recipe, one.split, one.replicate

    asked = {cell(one) for one in records}
    shown = [one for one in gather(directories).records if cell(one) in asked]
    console = Console()
    if console.is_terminal:
        console.print(terminal_table(shown))
        return
    wide = Console(width=140)  # a file has no edge at which to fold
    with wide.capture() as captured:
        wide.print(terminal_table(shown))
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
