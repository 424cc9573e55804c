"""Runs that take milliseconds, and what lies in their directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from cases import HMDC_SETTINGS, images
from condensery.data import load_problem
from condensery.data.problem import Problem
from condensery.engine import Budget, Run, execute
from condensery.methods import HMDC, Random
from condensery.presets import PRESETS


def hmdc_run(steps: int, problem: Problem | None = None, **changes: Any) -> Run:
    """A small HMDC run; changes of the run (seed, per_class, ...) or, else, of the method."""
    of_run = {name: changes.pop(name) for name in list(changes) if name in Run.__annotations__}
    method = HMDC(**{**HMDC_SETTINGS, **changes})
    of_run = {"per_class": 1, "budget": Budget(steps, None), **of_run}
    return Run("hmdc", method, problem or images(1), **of_run)


def random_run(**changes: Any) -> Run:
    """A run that makes no step."""
    values: dict[str, Any] = {"per_class": 1, "budget": Budget(0, None), **changes}
    return Run("random", Random(), images(1), **values)


def content(folder: Path) -> dict[str, bytes]:
    """All files under a folder by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip


def events(out: Path) -> list[dict[str, Any]]:
    """Lines of ``events.jsonl``; a word that JSON does not know (NaN) is an error."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    lines = (out / "events.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


def digits_run(out: Path, steps: int, checkpoint_seconds: float = 0.0) -> None:
    """Condense the digits with tiny networks; a checkpoint after every step, if not told else."""
    torch.set_num_threads(1)
    problem = load_problem("digits")
    method = PRESETS["smoke"]("hmdc", problem, 1).method
    budget = Budget(steps, None)
    run = Run("hmdc", method, problem, 1, budget, checkpoint_seconds=checkpoint_seconds)
    execute(run, out, quiet=True)
