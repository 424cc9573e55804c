"""What can be measured of a run besides accuracies: files in its directory, for the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from condensery.artefact import load
from condensery.data.problem import Problem
from condensery.errors import unknown
from condensery.evaluate.cost import write_costs
from condensery.evaluate.embeddings import write_embeddings
from condensery.evaluate.neighbours import write_neighbours


def measure(directory: Path, problem: Problem, name: str) -> Path | None:
    """Measure one thing of a run, unless that was done of this very set.

    Args:
        directory: of the run. problem: its data. name: of ``MEASURES``.

    Returns:
        The file, or None where it was there already.

    Raises:
        UsageError: an unknown name.
    """
    if name not in MEASURES:
        raise unknown("measure", name, MEASURES)
    file, make = MEASURES[name]
    path, made_of = directory / file, directory / "synthetic" / "card.json"
    fresh = path.is_file() and path.stat().st_mtime >= made_of.stat().st_mtime
    if fresh:
        return None
    make(directory, problem)
    return path


def _neighbours(directory: Path, problem: Problem) -> object:
    return write_neighbours(load(directory), problem, directory)


def _embeddings(directory: Path, problem: Problem) -> object:
    start = load(directory / "start") if (directory / "start").is_dir() else None
    return write_embeddings(load(directory), problem, directory, start)


def _costs(directory: Path, problem: Problem) -> object:
    return write_costs(load(directory), problem, directory)


MEASURES: dict[str, tuple[str, Callable[[Path, Problem], object]]] = {
    "neighbours": ("neighbours.json", _neighbours),
    "embeddings": ("embeddings.json", _embeddings),
    "cost": ("costs.json", _costs),
}
