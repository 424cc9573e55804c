"""What can be measured of a run besides accuracies: files in its directory, for the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from condensery.artefact import load
from condensery.artefact.files import write_json
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import unknown
from condensery.evaluate.cost import over, write_costs
from condensery.evaluate.embeddings import write_embeddings
from condensery.evaluate.grid import fingerprint, name_of
from condensery.evaluate.neighbours import write_neighbours
from condensery.evaluate.usual import usual
from condensery.modality import Modality
from condensery.models import PeerSpec, entry

Make = Callable[[SyntheticSet, Problem, Path, SyntheticSet | None, PeerSpec | None], object]


class Measure(NamedTuple):
    """One of them.

    Attributes:
        file: its name in the run's directory. make: from the set, its data, the directory, the
            step-0 set and the network that looks. network: whether one has to look at the samples.
    """

    file: str
    make: Make
    network: bool


def check(name: str, modality: Modality, network: PeerSpec | None = None) -> None:
    """Say at once what cannot be measured of a set.

    Args:
        network: that looks at the samples; None: the usual one for their kind.

    Raises:
        UsageError: an unknown name, a kind of samples that no network is chosen for, or a network
            that does not read them.
    """
    if name not in MEASURES:
        raise unknown("measure", name, MEASURES)
    if not MEASURES[name].network:
        return
    if network is None:
        usual(modality)
    else:
        entry(network.name).plan(network, modality, 2)  # says what it cannot read; builds nothing


def measure(
    directory: Path, problem: Problem, name: str, network: PeerSpec | None = None
) -> Path | None:
    """Measure one thing of a run, unless that was done of this very set, data and network.

    Args:
        directory: of the run, or of a set alone. problem: its data. name: of ``MEASURES``.
        network: that looks at the samples, or is trained on them; None: the usual one for their
            kind. What needs none takes no notice of it.

    Returns:
        The file, or None where it was there already.

    Raises:
        UsageError: there is no set, or see ``check``.
    """
    synthetic = load(directory)
    check(name, synthetic.modality, network)
    folder = directory.parent if directory.is_file() else directory
    start = load(folder / "start") if (folder / "start").is_dir() else None
    made_of = {
        "set": fingerprint(synthetic),
        "start": None if start is None else fingerprint(start),
        "seconds": synthetic.about.get("seconds"),
        "data": problem.fingerprint,
    }
    if network is not None and MEASURES[name].network:
        made_of["network"] = name_of(network)
    path = folder / MEASURES[name].file
    if _read(path).get("made_of") == made_of:
        return None
    MEASURES[name].make(synthetic, problem, folder, start, network)
    write_json(path, _read(path) | {"made_of": made_of})
    return path


def alike(directories: Sequence[Path]) -> list[list[Path]]:
    """Runs sorted by what they are apart from their seed, in their order."""
    found: dict[str, list[Path]] = {}
    for directory in directories:
        about = load(directory).about
        budget = _read(directory / "config.json").get("budget", about.get("steps"))
        settings = about.get("settings", {})
        kept = {name: settings[name] for name in settings if name not in ("seed", "init")}
        kept |= {"budget": budget, "begun": settings.get("init") is not None}
        found.setdefault(json.dumps(kept, sort_keys=True, default=str), []).append(directory)
    return list(found.values())


def cost_over(directories: Sequence[Path]) -> str:
    """Break-even over replicates, from their files of costs; see ``condensery.evaluate.cost``."""
    return over([_read(directory / MEASURES["cost"].file) for directory in directories])


def _read(path: Path) -> dict[str, Any]:
    """What was measured before; nothing where it is not there or was damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _neighbours(
    synthetic: SyntheticSet,
    problem: Problem,
    folder: Path,
    start: SyntheticSet | None,
    network: PeerSpec | None,
) -> object:
    return write_neighbours(synthetic, problem, folder)


def _costs(
    synthetic: SyntheticSet,
    problem: Problem,
    folder: Path,
    start: SyntheticSet | None,
    network: PeerSpec | None,
) -> object:
    return write_costs(synthetic, problem, folder, network)


MEASURES: dict[str, Measure] = {
    "neighbours": Measure("neighbours.json", _neighbours, network=False),
    "embeddings": Measure("embeddings.json", write_embeddings, network=True),
    "cost": Measure("costs.json", _costs, network=True),
}
