"""Small problems and networks made for the tests of the core."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from condensery.core.cohort import Cohort
from condensery.data.problem import Problem, Split
from condensery.modality import Image
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.types import Batch, Tap


def problem(
    counts: Sequence[int] = (6, 5, 7),
    shape: tuple[int, int, int] = (1, 8, 8),
    seed: int = 0,
    mirror: bool = True,
) -> Problem:
    """Noise images, ``counts[label]`` of each class, in mixed order; mean and std as measured."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)
    samples = generator.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
    pixels = samples / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    image = Image(shape, tuple(mean.tolist()), tuple(std.tolist()), mirror)
    train = Split(samples, labels)
    names = tuple(f"class {label}" for label in range(len(counts)))
    return Problem("made", image, names, train, Split(samples[:0], labels[:0]), train)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def cohort(
    *names: str, data: Problem | None = None, seed: int = 0, modules: object = None, **spec: object
) -> Cohort:
    """Peers by name on ``problem()``, with SGD at rate 1 unless said otherwise."""
    specs = [PeerSpec(name, **({"lr": 1.0} | spec)) for name in names]  # type: ignore[arg-type]
    where = torch.device("cpu")
    return Cohort.build(specs, data or problem(), Streams(seed), where, modules or {})  # type: ignore[arg-type]


def noise_batch(count: int = 4, classes: int = 3, shape: tuple[int, ...] = (1, 8, 8)) -> Batch:
    return Batch(normal(count, *shape, seed=9), torch.arange(count) % classes)


def taps(*shapes: tuple[int, ...], batch: int = 3, seed: int = 0) -> tuple[Tap, ...]:
    """Made-up taps ``(channels, *grid)``; their semantics are no means of their maps."""
    return tuple(
        Tap(
            normal(batch, *shape, seed=100 * seed + index),
            normal(batch, shape[0], seed=100 * seed + index + 50),
        )
        for index, shape in enumerate(shapes)
    )
