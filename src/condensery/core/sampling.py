"""Which real samples speak for their class: drawn, nearest to k-means centres, or herded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from condensery.data.problem import Problem
from condensery.models.backbone import Backbone
from condensery.streams import Streams
from condensery.types import Batch


@torch.no_grad()
def embed(
    backbone: Backbone,
    problem: Problem,
    positions: np.ndarray,
    device: torch.device,
    batch: int = 256,
) -> Tensor:
    """Embeddings of training samples, ``(count, features)`` on the CPU; unaugmented.

    The network is read in evaluation mode (its batch statistics stay as they are) and left in the
    mode it was in.
    """
    training = backbone.training
    backbone.eval()
    parts = []
    for start in range(0, len(positions), batch):
        x = problem.samples(positions[start : start + batch], device=device)
        y = torch.zeros(len(x), dtype=torch.long, device=device)
        parts.append(backbone.read(Batch(x, y), taps=False).embedding.flatten(1).float().cpu())
    backbone.train(training)
    return torch.cat(parts)


def candidates(positions: np.ndarray, most: int | None, generator: torch.Generator) -> np.ndarray:
    """At most ``most`` of these positions, drawn without replacement; all when ``most`` is None."""
    if most is None or most >= len(positions):
        return positions
    return positions[torch.randperm(len(positions), generator=generator)[:most].numpy()]


def drawn(
    problem: Problem, label: int, count: int, generator: torch.Generator, device: torch.device
) -> Batch:
    """``min(count, samples)`` training samples of a class, uniform and none twice; unaugmented."""
    return problem.batch(candidates(problem.of(label), count, generator), device=device)


def seeds(features: Tensor, count: int, generator: torch.Generator, power: int = 2) -> Tensor:
    """k-means++ starting centres, ``(count, features)``.

    The first is uniform, each next is drawn with probability proportional to the squared distance
    to the nearest centre so far (Arthur & Vassilvitskii 2007); ``power=1``: to the distance itself
    (the authors' released code). Where all samples coincide with a centre the draw is uniform.
    """
    # Norms minus products round badly far from the origin, so everything moves to the middle.
    middled = features - features.mean(0)
    squares = middled.square().sum(1)
    chosen = [int(torch.randint(len(features), (), generator=generator))]
    nearest = torch.full((len(features),), float("inf"))
    for _ in range(count - 1):
        centre = middled[chosen[-1]]
        gap = squares - 2 * (middled @ centre) + centre.square().sum()
        nearest = torch.minimum(nearest, gap.clamp(min=0))
        odds = nearest if power == 2 else nearest.sqrt()
        odds = odds if float(odds.sum()) > 0 else torch.ones_like(odds)
        chosen.append(int(torch.multinomial(odds, 1, generator=generator)))
    return features[chosen]


def cluster(
    features: Tensor,
    count: int,
    generator: torch.Generator,
    seeding: Literal["squared", "distance"] = "squared",
) -> tuple[Tensor, Tensor]:
    """Lloyd's k-means, at most 100 iterations: centres ``(count, width)``, members ``(samples,)``.

    scikit-learn's, on one thread, so that a run repeats bit for bit; it never holds samples x
    clusters x width. ``count`` must not exceed the number of samples.
    """
    from sklearn.cluster import KMeans

    start = seeds(features, count, generator, power=2 if seeding == "squared" else 1)
    with _threads().limit(limits=1):
        fitted = KMeans(count, init=start.numpy(), n_init=1, max_iter=100).fit(features.numpy())
    return torch.from_numpy(fitted.cluster_centers_), torch.from_numpy(fitted.labels_).long()


@cache
def _threads() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def nearest(features: Tensor, centres: Tensor, distinct: bool = False) -> list[int]:
    """For each centre its nearest sample (ties: the lowest index); ``distinct``: not taken yet.

    Distances are norms minus products (about the samples' mean, where they round least): nothing
    of size samples x centres x width is made.
    """
    middle = features.mean(0)
    features, centres = features - middle, centres - middle
    gaps = features.square().sum(1)[None] - 2 * centres @ features.T
    if not distinct:
        return gaps.argmin(1).tolist()
    chosen: list[int] = []
    for row in gaps:
        row = row.clone()
        row[chosen] = float("inf")
        chosen.append(int(row.argmin()))
    return chosen


def representatives(
    features: Tensor,
    count: int,
    generator: torch.Generator,
    distinct: bool = False,
    seeding: Literal["squared", "distance"] = "squared",
) -> list[int]:
    """Indices of ``min(count, samples)`` samples that stand for all (DREAM, Liu et al., ICCV 2023).

    Args:
        features: ``(samples, width)``.
        count: clusters. generator: seeds the centres.
        distinct: no sample twice (a start); otherwise repeats are possible (a matching batch).
        seeding: see ``seeds``.
    """
    if count >= len(features):
        return list(range(len(features)))
    centres, _ = cluster(features, count, generator, seeding)
    return nearest(features, centres, distinct)


def spokesmen(
    backbone: Backbone,
    problem: Problem,
    labels: Sequence[int],
    count: int,
    streams: Streams,
    key: tuple[str | int, ...],
    device: torch.device,
    most: int | None = None,
    seeding: Literal["squared", "distance"] = "squared",
    choose: Literal["kmeans", "random"] = "kmeans",
) -> Tensor:
    """Real samples that speak for their class in the eyes of a network (DREAM, Liu et al., 2023).

    Args:
        labels: the classes that are asked for. count: of each; all of a smaller class.
        streams, key: of this one choice; draws are keyed by class too.
        most: cluster at most this many samples of a class, drawn at random; None: all.
        seeding: see ``seeds``. choose: ``random`` asks no network.

    Returns:
        Positions of training samples ``(classes, count)``: -1 where a class has no more samples,
        0 in the rows of classes that were not asked for, so that workers can add theirs.
    """
    found = torch.zeros(problem.classes, count, dtype=torch.long)
    for label in labels:
        positions = candidates(problem.of(label), most, streams("candidates", *key, label))
        generator = streams(*key, label)
        if choose == "random":
            picked = torch.randperm(len(positions), generator=generator)[:count].tolist()
        else:
            features = embed(backbone, problem, positions, device)
            picked = representatives(features, count, generator, seeding=seeding)
        found[label] = -1
        found[label, : len(picked)] = torch.from_numpy(positions[picked])
    return found


def herd(features: Tensor, count: int) -> list[int]:
    """Indices of ``count`` samples whose running mean stays as near as can be to the mean of all.

    Herding (Welling, ICML 2009) in its greedy form for means (Rebuffi et al., iCaRL, CVPR 2017,
    algorithm 4), no sample twice: the k-th is the one that brings the mean of the first k nearest
    to the mean. A smaller selection is therefore the beginning of a larger one. Ties go to the
    lowest index.

    Args:
        features: ``(samples, width)``; sums are taken in double precision.
        count: how many, at most ``samples``.
    """
    centred = features.double() - features.double().mean(0)
    squares = centred.square().sum(1)
    total = torch.zeros_like(centred[0])
    chosen: list[int] = []
    for _ in range(count):
        # |total + f|^2 without the part that is the same for all.
        gaps = squares + 2 * (centred @ total)
        gaps[chosen] = float("inf")
        # What differs by rounding alone is a tie.
        tied = gaps <= gaps.min() + 1e-12 * (squares.max() + total.square().sum())
        chosen.append(int(tied.nonzero()[0]))
        total = total + centred[chosen[-1]]
    return chosen
