"""Where a set begins: every stored sample is what its start says it is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from condensery.core.sampling import cluster
from condensery.core.starts import (
    STARTS,
    kmeans_start,
    mean_start,
    noise_start,
    random_start,
)
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.modality import Image, Pixels
from condensery.streams import Streams
from core.made import problem

PLAIN, PACKED = Pixels(1), Pixels(2, shrink="nearest")
UNEQUAL = (9, 16, 12)


def tiles(synthetic: SyntheticSet, label: int) -> Tensor:
    """The uint8 tiles of a class: of a factor-1 codec its images."""
    codec = synthetic.codec
    assert isinstance(codec, Pixels)
    factor = codec.factor
    packed = codec.pack(synthetic.of(label), synthetic.modality)["pixels"]
    count, channels, height, width = packed.shape
    cut = packed.view(count, channels, factor, height // factor, factor, width // factor)
    return cut.permute(2, 4, 0, 1, 3, 5).reshape(-1, channels, height // factor, width // factor)


def sources(synthetic: SyntheticSet, data: Problem, label: int) -> list[int]:
    """Which training samples of the class were taken, by their pixels."""
    codec = synthetic.codec
    assert isinstance(codec, Pixels)
    real = torch.from_numpy(data.train.samples[:, :, :: codec.factor, :: codec.factor])
    found = []
    for tile in tiles(synthetic, label):
        same = [int(index) for index in data.of(label) if torch.equal(real[index], tile)]
        assert len(same) == 1, "every tile is one real sample of its class"
        found += same
    return found


@pytest.mark.parametrize("codec", [PLAIN, PACKED], ids=["plain", "packed"])
@pytest.mark.parametrize("name", ["random", "kmeans"])
def test_real_starts_hold_real_samples_of_their_class_and_none_twice(
    name: str, codec: Pixels
) -> None:
    data = problem(UNEQUAL, shape=(3, 8, 6))
    synthetic = STARTS[name](data, 2, codec, Streams(0))
    assert synthetic.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert synthetic.label_names == data.label_names
    for label in data.labels:
        taken = sources(synthetic, data, label)
        assert len(set(taken)) == len(taken) == 2 * codec.multiplies


@pytest.mark.parametrize("name", ["random", "kmeans", "mean", "noise"])
def test_a_start_depends_on_its_seed_alone(name: str) -> None:
    data = problem(UNEQUAL)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    once, again, other = (STARTS[name](data, 2, PLAIN, Streams(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(once.stored["pixels"], again.stored["pixels"])
    assert not torch.equal(once.stored["pixels"], other.stored["pixels"])


def test_random_takes_every_sample_equally_often() -> None:
    data = problem((4, 5))
    taken = Counter(
        index
        for seed in range(200)
        for index in sources(random_start(data, 2, PLAIN, Streams(seed)), data, 0)
    )
    assert sum(taken.values()) == 400
    assert all(70 < taken[int(index)] < 130 for index in data.of(0))


def test_a_start_of_all_samples_holds_each_of_them() -> None:
    data = problem((8, 8))
    for name in ("random", "kmeans"):
        synthetic = STARTS[name](data, 2, PACKED, Streams(0))
        for label in data.labels:
            assert sorted(sources(synthetic, data, label)) == sorted(data.of(label).tolist())


def test_kmeans_asks_for_features_of_the_candidates_only() -> None:
    data, asked = problem((30, 20)), []

    def embed(positions: np.ndarray) -> Tensor:
        asked.append(positions)
        return data.samples(positions).flatten(1) ** 2

    synthetic = kmeans_start(data, 3, PLAIN, Streams(0), embed=embed, most=7)
    for label, positions in zip(data.labels, asked, strict=True):
        assert len(set(positions.tolist())) == 7
        assert set(sources(synthetic, data, label)) <= set(positions.tolist())
        assert set(positions.tolist()) <= set(data.of(label).tolist())


def test_kmeans_looks_at_as_many_samples_as_are_wanted_however_few_it_was_given() -> None:
    data = problem((9, 9, 9))
    synthetic = kmeans_start(data, 6, PLAIN, Streams(0), most=2)
    assert all(len(set(sources(synthetic, data, label))) == 6 for label in data.labels)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_kmeans_takes_no_sample_twice_even_where_a_network_sees_them_as_equal() -> None:
    data = problem((9, 8))
    synthetic = kmeans_start(data, 6, PLAIN, Streams(0), embed=lambda at: torch.ones(len(at), 4))
    for label in data.labels:
        assert len(set(sources(synthetic, data, label))) == 6


@pytest.mark.parametrize("counts", [(9, 16), (6, 6)])
def test_one_mean_per_class_is_the_mean_that_numpy_computes(counts: tuple[int, ...]) -> None:
    data = problem(counts, shape=(3, 5, 4))
    decoded = mean_start(data, 1, PLAIN, Streams(0)).decode()
    assert isinstance(data.modality, Image) and isinstance(decoded.x, Tensor)
    pixels = data.modality.to_pixels(decoded.x).numpy()
    for label in data.labels:
        mean = data.train.samples[data.of(label)].astype(np.float64).mean(0) / 255
        np.testing.assert_allclose(pixels[label], mean, atol=1e-6)


def test_several_means_are_centres_of_clusters_the_largest_first() -> None:
    data = problem((20, 30))
    synthetic = mean_start(data, 3, PLAIN, Streams(4))
    for label in data.labels:
        x = data.samples(data.of(label)).flatten(1)
        centres, members = cluster(x, 3, Streams(4)("start mean", label))
        sizes = members.bincount()
        order = sorted(range(3), key=lambda index: (-int(sizes[index]), index))
        found = synthetic.codec.decode(synthetic.of(label), data.modality).flatten(1)
        torch.testing.assert_close(found, centres[order], atol=1e-5, rtol=0)


def test_packed_means_are_one_mosaic_of_as_many_centres() -> None:
    data = problem((9, 8))
    synthetic = mean_start(data, 2, Pixels(2), Streams(0))
    assert len(synthetic) == 4 and len(synthetic.decode().y) == 16
    assert len(torch.unique(tiles(synthetic, 1), dim=0)) == 8


@pytest.mark.parametrize("codec", [PLAIN, PACKED], ids=["plain", "packed"])
def test_noise_knows_nothing_of_the_data(codec: Pixels) -> None:
    one, other = problem((3, 4), seed=0), problem((6, 2), seed=5)
    other = Problem("other", one.modality, one.label_names, other.train, other.val, other.test)
    made = [noise_start(data, 2, codec, Streams(0)) for data in (one, other)]
    assert torch.equal(made[0].stored["pixels"], made[1].stored["pixels"])
    assert len(torch.unique(made[0].stored["pixels"].flatten(1), dim=0)) == 4


@pytest.mark.parametrize("name", ["random", "kmeans", "mean"])
def test_too_few_samples_are_said_with_the_class_and_how_many_there_are(name: str) -> None:
    data = problem((9, 7, 12))
    with pytest.raises(UsageError, match="'class 1' of made has 7 training samples, 8 are needed"):
        STARTS[name](data, 2, PACKED, Streams(0))
    assert len(STARTS[name](data, 7, PLAIN, Streams(0))) == 21


@pytest.mark.parametrize("name", ["random", "kmeans", "mean", "noise"])
@pytest.mark.parametrize("per_class", [0, -1])
def test_no_samples_per_class_is_refused(name: str, per_class: int) -> None:
    with pytest.raises(UsageError, match="from 1; got"):
        STARTS[name](problem(), per_class, PLAIN, Streams(0))


@pytest.mark.parametrize("name", ["random", "kmeans", "mean"])
def test_images_that_cannot_be_packed_are_refused_with_what_to_do(name: str) -> None:
    data = problem((20, 20), shape=(1, 8, 8))
    with pytest.raises(UsageError, match="8 x 8 cannot be packed 3 x 3: choose a factor"):
        STARTS[name](data, 1, Pixels(3), Streams(0))


@pytest.mark.parametrize("space", ["pixel", "normalised"])
def test_what_is_stored_lies_in_the_range_of_pixels(space: Any) -> None:
    data = problem(UNEQUAL)
    assert isinstance(data.modality, Image)
    for name in ("random", "kmeans", "mean", "noise"):
        synthetic = STARTS[name](data, 1, Pixels(2, space=space), Streams(0))
        pixels = data.modality.to_pixels(synthetic.as_stored())
        assert float(pixels.min()) >= -1e-6 and float(pixels.max()) <= 1 + 1e-6
