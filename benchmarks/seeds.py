"""One preset over several condensation seeds, beside the baselines: the rows of the ledger.

Runs and cells that are there already are not run again, so a benchmark can be stopped and resumed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from condensery import condense, evaluate, report
from condensery.records import Record, circumstances
from condensery.report import terminal_table
from condensery.statistics import compare

# Settings were chosen with condensation seed 100 on validation data: none of these seeds had a say.
SEEDS = (1, 2, 3, 4, 5)


def _condense(job: tuple[str, str, int, Path]) -> float:
    """One run, on one thread: small networks are fastest so, and two runs fit beside each other."""
    data, preset, seed, out = job
    torch.set_num_threads(1)
    made = condense(data, "hmdc", preset=preset, per_class=1, seed=seed, out=out, quiet=True)
    return float(made.about["seconds"])


def run(
    data: str, preset: str, networks: Sequence[str], out: Path, recipe: str = "quick"
) -> list[Record]:
    """Condense with each seed, evaluate all runs on the test split, print and draw the result.

    Two random draws a run make ten in all.
    """
    from rich.console import Console

    console, processes = Console(width=140), max(1, min(len(SEEDS), os.cpu_count() or 1))
    directories = [out / f"seed{seed}" for seed in SEEDS]
    jobs = [(data, preset, seed, place) for seed, place in zip(SEEDS, directories, strict=True)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        seconds = list(pool.imap(_condense, jobs, chunksize=1))
    records = evaluate(
        directories,
        data=data,
        models=networks,
        recipe=recipe,
        seeds=(0, 1, 2),
        draws=2,
        workers=processes,
    )
    report(directories, out / "report")
    console.print(terminal_table(records))
    console.print(f"condensing: {', '.join(f'{one:.0f}' for one in seconds)} s, one thread each")
    for row in sorted({one.row for one in records} - {"hmdc"}):
        for one in compare(records, "hmdc", row):
            console.print(f"hmdc - {row}: {one}")
    console.print(circumstances())
    return records
