"""Where a synthetic set begins: real samples, their means, or noise; plain or packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from condensery.core.sampling import candidates, cluster, representatives
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.modality import Codec
from condensery.streams import Streams

Embed = Callable[[np.ndarray], Tensor]
ForClass = Callable[[int], dict[str, Tensor]]


def random_start(problem: Problem, per_class: int, codec: Codec, streams: Streams) -> SyntheticSet:
    """Real samples drawn without replacement, ``codec.multiplies`` of them in each stored one.

    Args:
        problem: the data. per_class: stored samples per class, at least 1.
        codec: how they are stored. streams: draws are keyed by class.

    Raises:
        UsageError: a class has too few samples.
    """
    wanted = per_class * codec.multiplies

    def one(label: int) -> dict[str, Tensor]:
        positions = enough(problem, label, wanted)
        order = torch.randperm(len(positions), generator=streams("start random", label))
        return codec.encode(problem.samples(positions[order[:wanted].numpy()]), problem.modality)

    return assemble(problem, per_class, codec, one)


def kmeans_start(
    problem: Problem,
    per_class: int,
    codec: Codec,
    streams: Streams,
    embed: Embed | None = None,
    most: int | None = None,
    seeding: Literal["squared", "distance"] = "squared",
) -> SyntheticSet:
    """The real samples nearest to k-means centres, no sample twice (DREAM section 3; HMDC).

    Args:
        embed: features ``(count, width)`` of training samples at these positions; None: their
            pixels.
        most: cluster at most this many samples of a class, drawn at random; None: all.
        seeding: see ``condensery.core.sampling.seeds``.
    """
    wanted = per_class * codec.multiplies

    def one(label: int) -> dict[str, Tensor]:
        positions = candidates(
            enough(problem, label, wanted), most, streams("start candidates", label)
        )
        features = embed(positions) if embed else problem.samples(positions).flatten(1)
        generator = streams("start kmeans", label)
        chosen = representatives(features, wanted, generator, distinct=True, seeding=seeding)
        return codec.encode(problem.samples(positions[chosen]), problem.modality)

    return assemble(problem, per_class, codec, one)


def mean_start(problem: Problem, per_class: int, codec: Codec, streams: Streams) -> SyntheticSet:
    """Class means; several per class are k-means centres, largest cluster first."""
    wanted = per_class * codec.multiplies

    def one(label: int) -> dict[str, Tensor]:
        x = problem.samples(enough(problem, label, wanted))
        flat = x.flatten(1)
        if wanted == 1:
            centres = flat.double().mean(0, keepdim=True).float()
        else:
            centres, members = cluster(flat, wanted, streams("start mean", label))
            centres = centres[
                torch.bincount(members, minlength=wanted).argsort(descending=True, stable=True)
            ]
        return codec.encode(centres.view(wanted, *x.shape[1:]), problem.modality)

    return assemble(problem, per_class, codec, one)


def noise_start(problem: Problem, per_class: int, codec: Codec, streams: Streams) -> SyntheticSet:
    """Noise that knows nothing of the data (see the codec)."""

    def one(label: int) -> dict[str, Tensor]:
        return codec.noise(per_class, problem.modality, streams("start noise", label))

    return assemble(problem, per_class, codec, one)


def enough(problem: Problem, label: int, wanted: int) -> np.ndarray:
    """Positions of a class's training samples, at least ``wanted`` of them.

    Raises:
        UsageError: there are fewer; says how many fit.
    """
    positions = problem.of(label)
    if len(positions) < wanted:
        raise UsageError(
            f"class {problem.label_names[label]!r} of {problem.name} has {len(positions)} training "
            f"samples, {wanted} are needed: lower --per-class or the packing factor, or add samples"
        )
    return positions


def assemble(problem: Problem, per_class: int, codec: Codec, one: ForClass) -> SyntheticSet:
    """A set whose classes are made one by one.

    Raises:
        UsageError: ``per_class`` is below 1, or the codec cannot hold such samples.
    """
    if per_class < 1:
        raise UsageError(f"--per-class counts stored samples, from 1; got {per_class}")
    try:
        parts = [one(label) for label in problem.labels]
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None
    stored = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    labels = torch.arange(problem.classes).repeat_interleave(per_class)
    return SyntheticSet(stored, labels, problem.modality, codec, problem.label_names)


STARTS: dict[str, Callable[..., SyntheticSet]] = {
    "random": random_start,
    "kmeans": kmeans_start,
    "mean": mean_start,
    "noise": noise_start,
}
