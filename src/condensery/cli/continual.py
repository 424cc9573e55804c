"""``condensery continual DATA``: classes arrive in stages, and only condensed memory stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from condensery.cli.common import DATA_DIR, DEBUG, THREADS, Page, use_threads
from condensery.cli.options import Option
from condensery.errors import UsageError, unknown

PAGE = Page(
    "condensery continual",
    "DATA",
    """\
Class-incremental learning with condensed memory: each stage's classes are condensed from their own
data alone, and after each stage a fresh network learns from all memories so far. Random, herding
and k-means memories of equal bytes stand beside it, and all real data as the ceiling.

Stopped at any time, the same command goes on.""",
    (
        Option("--preset", "sizes: small (CIFAR-10 on 2 cores), tiny20, paper, smoke", "NAME",
               standard="small"),
        Option("--method", "what condenses a stage", "NAME", standard="dm"),
        Option("--stages", "in which the classes arrive", "N", int, "5"),
        Option("--per-class", "stored samples of each class", "N", int, "the preset's"),
        Option("--steps", "of condensing a stage", "N", int, "the preset's"),
        Option("--orders", "seeds of the order of classes", "N,N,...", tuple[int, ...],
               "the preset's"),
        Option("--out", "where to keep everything", "DIR", standard="runs/continual"),
        DATA_DIR,
        THREADS,
        DEBUG,
    ),
    ("condensery continual cifar10 --preset small --out runs/continual",),
)  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery continual``.

    Raises:
        UsageError, RunError: see ``condensery.study.continual.run``.
    """
    given = PAGE.read(arguments)
    if given is None:
        return
    from condensery.data import load_problem
    from condensery.report.continual import continual_report
    from condensery.report.tables import markdown_grids
    from condensery.study import continual

    if len(given.words) != 1:
        raise UsageError("continual wants one data set: condensery continual cifar10")
    values = dict(given.values)
    use_threads(values.pop("threads", None))
    preset = values.pop("preset", "small")
    if preset not in continual.CONTINUAL:
        raise unknown("preset of continual learning", preset, continual.CONTINUAL)
    out = Path(values.pop("out", "runs/continual")).expanduser()
    problem = load_problem(given.words[0], data_dir=values.pop("data_dir", None))
    values.pop("debug", None)
    what = dataclasses.replace(continual.CONTINUAL[preset], **values)
    lines = continual.run(problem, what, out, lambda line: print(line, flush=True))
    grids = continual_report(lines, out / "report")
    print("\n" + markdown_grids(f"Continual learning on {problem.name}", grids))
    print(f"report: {out / 'report' / 'continual.md'}")
