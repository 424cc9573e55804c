"""Each synthetic sample's nearest real training sample: what it resembles, and whether it is one.

A condensed set is often taken for anonymous. It is only as long as no sample of it is a real one:
selections, packed real samples and sets that hardly moved from a real start are not.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from condensery.artefact.files import write_json
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError

BLOCK = 2000  # real samples that are compared at once
LEAK = 0.05  # root mean square of a difference, in data-normalised units, below which two are one


@dataclass(frozen=True)
class Neighbour:
    """The nearest real sample of a synthetic one.

    Attributes:
        sample: position among the decoded samples. label: its class.
        position: of the real sample in the training split.
        distance: root mean square of their difference, in data-normalised units (of text: of
            bags of words): 0 is the same, and two unrelated samples lie near 1.4.
    """

    sample: int
    label: int
    position: int
    distance: float

    @property
    def leaked(self) -> bool:
        """Whether it is a real sample for any practical purpose."""
        return self.distance < LEAK


def neighbours(synthetic: SyntheticSet, problem: Problem) -> list[Neighbour]:
    """The nearest training sample of the same class for each decoded sample of a set.

    A packed set is compared tile by tile, as it is decoded: real samples are brought to the same
    coarseness first (through the set's codec), so that a packed real sample is found as what it is.

    Raises:
        UsageError: the set does not belong to the data.
    """
    if not problem.modality.fits(synthetic.modality):
        raise UsageError(f"the set holds samples of {tuple(synthetic.modality.shape)}, "
                         f"{problem.name} of {tuple(problem.modality.shape)}")  # fmt: skip
    batch = synthetic.quantised().decode()
    found = []
    for label in sorted(set(batch.y.tolist())):
        where = (batch.y == label).nonzero().flatten()
        own = problem.modality.compared(batch.x[where])
        best, place = torch.full((len(own),), math.inf), torch.zeros(len(own), dtype=torch.long)
        positions = torch.from_numpy(problem.of(label))
        for start in range(0, len(positions), BLOCK):
            block = positions[start : start + BLOCK]
            real = problem.modality.compared(_as_decoded(synthetic, problem, block))
            nearest, index = torch.cdist(own, real).min(1)
            closer = nearest < best
            best[closer], place[closer] = nearest[closer], block[index[closer]]
        width = math.sqrt(own.shape[1])
        apart = (best / width).tolist()
        rows = zip(where.tolist(), place.tolist(), apart, strict=True)
        found += [Neighbour(sample, label, position, distance)
                  for sample, position, distance in rows]  # fmt: skip
    return sorted(found, key=lambda one: one.sample)


def _as_decoded(synthetic: SyntheticSet, problem: Problem, positions: Tensor) -> Tensor:
    """Real samples after the set's codec: quantised, and as coarse as a tile."""
    codec, modality = synthetic.codec, synthetic.modality
    x = problem.samples(positions)
    # Each fills a stored sample by itself; the last part of it is a whole tile.
    stored = codec.encode(x.repeat(codec.holds, *([1] * (x.ndim - 1))), modality)
    return codec.decode(codec.quantise(stored, modality), modality)[-len(x) :]


def write_neighbours(synthetic: SyntheticSet, problem: Problem, directory: Path) -> Path:
    """``neighbours.json``, and pictures of both sides one below the other.

    Args:
        directory: of the run.

    Returns:
        The path of ``neighbours.json``.
    """
    found = neighbours(synthetic, problem)
    batch = synthetic.quantised().decode()
    real = problem.samples(torch.tensor([one.position for one in found]))
    columns = min(len(found), 10)
    places = [
        problem.modality.preview(side, directory / "neighbours" / name, columns)
        for name, side in (("synthetic", batch.x), ("real", real))
    ]
    leaks = sum(one.leaked for one in found)
    note = f"none lies within {LEAK} of a real one, which does not make the set anonymous"
    if leaks:
        note = (f"{leaks} of {len(found)} samples are real ones for any practical purpose: this "
                f"set is not anonymous")  # fmt: skip
    told = {
        "threshold": LEAK, "leaked": leaks, "note": note,
        "pictures": [str(place.relative_to(directory)) for place in places],
        "columns": columns,
        "nearest": [dataclasses.asdict(one) | {"distance": round(one.distance, 5)}
                    for one in found],
    }  # fmt: skip
    path = directory / "neighbours.json"
    write_json(path, told)
    return path
