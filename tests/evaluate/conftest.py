"""A problem that is easy to solve, and sets of its samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from condensery.core.starts import random_start
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem, Split
from condensery.modality import Image, Pixels
from condensery.streams import Streams


def banded(count: int, seed: int) -> Split:
    """Grey 8 x 8 images of three classes: a bright band at the top, the middle, the bottom."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    samples = generator.integers(0, 40, (count, 1, 8, 8), dtype=np.uint8)
    for label in range(3):
        samples[labels == label, :, 3 * label : 3 * label + 2] += 200
    return Split(samples, labels)


@pytest.fixture(scope="session")
def problem() -> Problem:
    train = banded(60, 0)
    pixels = train.samples / 255
    modality = Image((1, 8, 8), (float(pixels.mean()),), (float(pixels.std()),), mirror=False)
    names = ("top", "middle", "bottom")
    return Problem("bands", modality, names, train, banded(30, 1), banded(90, 2))


@pytest.fixture
def drawn(problem: Problem) -> Callable[..., SyntheticSet]:
    def draw(seed: int = 0, per_class: int = 2, factor: int = 1) -> SyntheticSet:
        return random_start(problem, per_class, Pixels(factor=factor), Streams(seed))

    return draw


@pytest.fixture(autouse=True)
def global_generators_stay() -> object:
    """Nothing in evaluation draws from the global generator or seeds it."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())
