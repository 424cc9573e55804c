"""``condensery continual DATA``: classes arrive in stages, and only condensed memory stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from condensery.cli.common import DATA_DIR, DEBUG, THREADS, Page, use_threads
from condensery.cli.options import Option
from condensery.errors import UsageError, unknown

ABOUT = """\
Class-incremental learning with condensed memory: each stage's classes are condensed from their own
data alone, and after each stage a network learns from all memories so far, a fresh one or, with
--warm, the one of the stage before. Memories of real samples of equal bytes stand beside it, and
all real data as the ceiling.

Stopped at any time, the same command goes on."""
EXAMPLES = (
    "condensery continual cifar10 --preset small --out runs/continual",
    "condensery continual digits --preset smoke --warm --seeds 0,1",
    "condensery continual digits --method herding --budget total --rows random,kmeans",
)
OURS = "the preset's"


def options() -> tuple[Option, ...]:
    """The flags of this verb."""
    from condensery.models import PeerSpec

    return (
        Option("--preset", "sizes: small (CIFAR-10 on 2 cores), tiny20, paper, smoke", "NAME",
               standard="small"),
        Option("--method", "what condenses a stage", "NAME", standard="dm"),
        Option("--stages", "in which the classes arrive", "N", int, "5"),
        Option("--per-class", "stored samples of each class", "N", int, OURS),
        Option("--steps", "of condensing a stage", "N", int, OURS),
        Option("--orders", "seeds of the order of classes", "N,N,...", tuple[int, ...], OURS),
        Option("--rows", "memories of real samples beside it: random, herding, kmeans, mean; or "
               "none", "A,B,...", tuple[str, ...], "random,herding,kmeans"),
        Option("--ceiling", "after which stages a row learns from all real data of the classes "
               "seen", "every|last|none", Literal["every", "last", "none"], OURS),
        Option("--budget", "class: each class keeps its memory; total: all classes share what they "
               "hold together in the end, so that earlier memories shrink at each stage (random, "
               "herding and kmeans only, whole samples)", "class|total",
               Literal["class", "total"], "class"),
        Option("--network", "what learns from the memory (condensery list models)", "NAME",
               PeerSpec, OURS),
        Option("--recipe", "how it is trained (condensery list recipes)", "NAME", standard=OURS),
        Option("--epochs", "length of the recipe", "N", int, OURS),
        Option("--updates", "its length in optimiser steps instead", "N", int, OURS),
        Option("--seeds", "of the trainings", "N,N,...", tuple[int, ...], OURS),
        Option("--warm", "go on with the network of the stage before, its head grown, instead of a "
               "fresh one; its former answers are held to", kind=None),
        Option("--out", "where to keep everything", "DIR", standard="runs/continual"),
        DATA_DIR,
        THREADS,
        DEBUG,
    )  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery continual``.

    Raises:
        UsageError, RunError: see ``condensery.study.continual.run``.
    """
    given = Page("condensery continual", "DATA", ABOUT, options(), EXAMPLES).read(arguments)
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
    values.pop("debug", None)
    preset = values.pop("preset", "small")
    if preset not in continual.CONTINUAL:
        raise unknown("preset of continual learning", preset, continual.CONTINUAL)
    out = Path(values.pop("out", "runs/continual")).expanduser()
    data_dir = values.pop("data_dir", None)
    what = dataclasses.replace(continual.CONTINUAL[preset], **_settings(values))
    problem = load_problem(given.words[0], data_dir=data_dir)
    lines = continual.run(problem, what, out, lambda line: print(line, flush=True))
    grids = continual_report(lines, out / "report")
    print("\n" + markdown_grids(f"Continual learning on {problem.name}", grids))
    print(f"report: {out / 'report' / 'continual.md'}")


def _settings(values: dict[str, Any]) -> dict[str, Any]:
    """Flags as settings: a length takes the place of the preset's, ``none`` is no row.

    Raises:
        UsageError: two lengths, or steps for a method that makes none.
    """
    from condensery.methods import METHODS

    if {"epochs", "updates"} <= set(values):
        raise UsageError("give --epochs or --updates, not both: each sets the length of training")
    if values.get("rows") == ("none",):
        values["rows"] = ()
    method = values.get("method")
    if "steps" in values and method in METHODS and not METHODS[method].default_steps:
        raise UsageError(f"{method} only selects, it makes no steps: leave --steps away")
    other = {"epochs": "updates", "updates": "epochs"}
    return values | {other[name]: None for name in other if name in values}
