"""Where a synthetic set begins: real samples, parts or means of them, or noise; plain or packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.core.crops import View, best_crops, cut, draw_crops
from condensery.core.sampling import candidates, cluster, herd, representatives
from condensery.core.synthetic import SyntheticSet
from condensery.core.teacher import TEACHER, teacher
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.modality import Codec, Modality, SoftTokens, Text
from condensery.streams import Streams
from condensery.types import Tokens

Embed = Callable[[np.ndarray], Tensor]
ForClass = Callable[[int], dict[str, Tensor]]


def random_start(problem: Problem, per_class: int, codec: Codec, streams: Streams) -> SyntheticSet:
    """Real samples drawn without replacement, ``codec.holds`` of them in each stored one.

    Args:
        problem: the data. per_class: stored samples per class, at least 1.
        codec: how they are stored. streams: draws are keyed by class.

    Raises:
        UsageError: a class has too few samples.
    """
    wanted = per_class * codec.holds

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
        most: cluster at most this many samples of a class, drawn at random, but never fewer than
            are wanted; None: all.
        seeding: see ``condensery.core.sampling.seeds``.
    """
    wanted = per_class * codec.holds
    most = None if most is None else max(most, wanted)

    def one(label: int) -> dict[str, Tensor]:
        positions = candidates(
            enough(problem, label, wanted), most, streams("start candidates", label)
        )
        features = embed(positions) if embed else plain(problem, positions)
        generator = streams("start kmeans", label)
        chosen = representatives(features, wanted, generator, distinct=True, seeding=seeding)
        return codec.encode(problem.samples(positions[chosen]), problem.modality)

    return assemble(problem, per_class, codec, one)


def herding_start(
    problem: Problem, per_class: int, codec: Codec, streams: Streams, embed: Embed | None = None
) -> SyntheticSet:
    """The real samples whose running mean follows the class mean; see ``sampling.herd``.

    Args:
        embed: as in ``kmeans_start``; None: pixels.
    """
    wanted = per_class * codec.holds

    def one(label: int) -> dict[str, Tensor]:
        positions = enough(problem, label, wanted)
        features = embed(positions) if embed else plain(problem, positions)
        chosen = positions[herd(features, wanted)]
        return codec.encode(problem.samples(chosen), problem.modality)

    return assemble(problem, per_class, codec, one)


def mosaic_start(
    problem: Problem,
    per_class: int,
    codec: Codec,
    streams: Streams,
    judge: nn.Module | None = None,
    pool: int = 300,
    crops: int = 5,
    area: tuple[float, float] = (0.08, 1.0),
    view: Literal["source", "decoded", "padded", "unscored"] = "source",
    device: str | torch.device = "cpu",
) -> SyntheticSet:
    """Parts of real images that a network recognises best (RDED, Sun et al., CVPR 2024).

    Of each image of a pool the crop with the lowest cross-entropy is kept, of these the lowest, one
    crop an image. The r-th best becomes tile ``r // per_class`` of stored sample ``r % per_class``.

    Args:
        judge: gives logits; None: a small ConvNet is trained on the training split first.
        pool: images of a class that are looked at, drawn at random; at most all.
        crops: tried of each image. area: their smallest and largest share of it.
        view: what the judge sees: a crop at full size (``source``), as it comes out of the codec
            (``decoded``), as a small tile on the mean colour (``padded``, as published); or nothing
            (``unscored``): random crops of random images.
        device: where the judge is.

    Raises:
        UsageError: not images, or a pool that is smaller than what is wanted of a class.
    """
    wanted = per_class * codec.holds
    if problem.modality.kind != "image":
        raise UsageError(
            f"mosaics are made of images; {problem.name} holds {problem.modality.kind}"
        )
    if pool < wanted:
        raise UsageError(f"a pool of {pool} images gives no {wanted} crops of different images: "
                         f"raise pool, or lower --per-class or the packing factor")  # fmt: skip
    if not (0 < area[0] <= area[1] <= 1 and crops >= 1):
        raise UsageError(f"crops count from 1 and their area lies in (0, 1]; got {crops}, {area}")
    if judge is None and view != "unscored":
        judge = teacher(TEACHER, problem, streams.child("teacher"), torch.device(device))
    size = (problem.modality.shape[1], problem.modality.shape[2])

    def one(label: int) -> dict[str, Tensor]:
        drawn = candidates(enough(problem, label, wanted), pool, streams("start pool", label))
        each = 1 if view == "unscored" else crops
        found = draw_crops(len(drawn) * each, size, area, streams("start crops", label))
        order = list(range(len(drawn)))
        images = problem.samples(drawn, device=device)
        if judge is not None and view != "unscored":
            seen = mosaic_view(view, codec, problem.modality)
            found, losses = best_crops(images, found, label, judge, seen)
            order = losses.argsort(stable=True).tolist()
        best = torch.stack([cut(images[place], found[place]) for place in order[:wanted]])
        return codec.encode(best.cpu(), problem.modality)

    return assemble(problem, per_class, codec, one)


def mosaic_view(name: str, codec: Codec, modality: Modality) -> View:
    """What a judge of mosaics is shown of crops ``(n, channels, height, width)``."""

    def decoded(x: Tensor) -> Tensor:
        # Each sample fills a stored one by itself: its parts are all the same.
        stored = codec.encode(x.repeat(codec.holds, 1, 1, 1), modality)
        # The last part: a whole tile, also where the codec reads coarser ones before it.
        return codec.decode(codec.quantise(stored, modality), modality)[-len(x) :]

    def padded(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        factor = round(codec.holds**0.5)
        rows, columns = height // factor, width // factor
        x = F.interpolate(x, [rows, columns], mode="bilinear", antialias=True)
        left, top = (width - columns) // 2, (height - rows) // 2
        return F.pad(x, (left, width - columns - left, top, height - rows - top))

    views: dict[str, View] = {"source": lambda x: x, "decoded": decoded, "padded": padded}
    return views[name]


def mean_start(problem: Problem, per_class: int, codec: Codec, streams: Streams) -> SyntheticSet:
    """Class means; several per class are k-means centres, largest cluster first.

    Raises:
        UsageError: text, whose token ids have no mean.
    """
    if problem.modality.kind == "text":
        raise UsageError(f"the texts of {problem.name} have no mean: choose odds, random or kmeans")
    wanted = per_class * codec.holds

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


def odds_start(problem: Problem, per_class: int, codec: Codec, streams: Streams) -> SyntheticSet:
    """The tokens that tell a class from the others best: naive Bayes as texts, made by hand.

    A token weighs ``p log(p / q)``, its part in the divergence between the class's distribution of
    tokens ``p`` and the mean of the other classes' ``q`` (one is added to each count). The heaviest
    are dealt out position by position, the heaviest first, as many as fit. A first token that all
    texts begin with stays where it is. Draws nothing.

    Raises:
        UsageError: not text.
    """
    modality = problem.modality
    if not (isinstance(modality, Text) and isinstance(codec, SoftTokens)):
        raise UsageError(f"odds of tokens are of text; {problem.name} holds {modality.kind}")
    counts = torch.stack([_counted(problem, label, modality) for label in problem.labels])
    shares = (counts + 1) / (counts + 1).sum(1, keepdim=True)
    others = (shares.sum(0) - shares) / max(1, problem.classes - 1)
    odds = (shares * (shares / others).log()).clamp(min=0)
    beginnings = np.unique(problem.train.samples[:, 0])
    first = int(beginnings[0]) if len(beginnings) == 1 else None

    def one(label: int) -> dict[str, Tensor]:
        width, free = codec.holds, modality.length - (first is not None)
        wanted = min(per_class * free * width, modality.vocabulary)
        top = odds[label].topk(wanted)
        # Rank r stands in slot r // (per_class * free), in text r % per_class.
        ids = torch.full((per_class * free * width,), modality.pad)
        weights = torch.zeros(len(ids))
        ids[:wanted], weights[:wanted] = top.indices, top.values.float()
        ids, weights = (part.view(width, free, per_class).permute(2, 1, 0).contiguous()
                        for part in (ids, weights))  # fmt: skip
        if first is not None:
            ids = F.pad(ids, (0, 0, 1, 0), value=first)
            weights = F.pad(weights, (0, 0, 1, 0), value=1.0)
        return codec.hold(Tokens(ids, weights), modality)

    return assemble(problem, per_class, codec, one)


def _counted(problem: Problem, label: int, modality: Text) -> Tensor:
    """How often each token stands in a class, ``(vocabulary,)``; specials count nothing."""
    raw = torch.from_numpy(problem.train.samples[problem.of(label)]).flatten().long()
    counts = torch.bincount(raw, minlength=modality.vocabulary).double()
    counts[list({*modality.special, modality.pad})] = 0
    return counts


def noise_start(problem: Problem, per_class: int, codec: Codec, streams: Streams) -> SyntheticSet:
    """Noise that knows nothing of the data (see the codec)."""

    def one(label: int) -> dict[str, Tensor]:
        return codec.noise(per_class, problem.modality, streams("start noise", label))

    return assemble(problem, per_class, codec, one)


def plain(problem: Problem, positions: np.ndarray) -> Tensor:
    """The modality's own features ``(count, width)`` of training samples."""
    return problem.modality.features(problem.samples(positions))


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
    "herding": herding_start,
    "mosaic": mosaic_start,
    "odds": odds_start,
}
