"""What a run directory gives to evaluation: its set, its step-0 set, and rows to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from condensery.artefact import load
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.evaluate.baselines import BASELINES, baselines


class RunRows(NamedTuple):
    """The rows of one run, for ``evaluate``.

    Attributes:
        rows: baselines, ``start`` where it was kept, and the method's own row, last.
        name: of the method's row. replicate: the run's seed.
        seen: networks that took part in condensing.
        records_file: where the run keeps its records.
    """

    rows: dict[str, list[tuple[int, SyntheticSet]]]
    name: str
    replicate: int
    seen: tuple[str, ...]
    records_file: Path


def rows_of(
    directory: str | Path, problem: Problem, which: Sequence[str] = tuple(BASELINES)
) -> RunRows:
    """Rows of a run directory; a baseline is drawn with the run's seed, so that all rows pair.

    Evaluated one by one, runs of several seeds make the replicates of one comparison when their
    records are put together.

    Args:
        directory: that ``condense`` made. problem: its data. which: names of ``BASELINES``.

    Raises:
        UsageError: there is no set, or it cannot be compared (see ``baselines``).
    """
    path = Path(directory)
    synthetic = load(path)
    settings = synthetic.about.get("settings", {})
    name, replicate = str(synthetic.about.get("method", "set")), int(settings.get("seed", 0))
    start = [(replicate, load(path / "start"))] if (path / "start").is_dir() else []
    rows = baselines(problem, [(replicate, synthetic)], name=name, start=start, which=which)
    seen = tuple(str(peer) for peer in synthetic.about.get("peers", ()))
    return RunRows(rows, list(rows)[-1], replicate, seen, path / "records.jsonl")
