"""Selections: real samples, medoids and means, chosen once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import images
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem, Split
from condensery.errors import UsageError
from condensery.methods import KMeans, Mean, Random
from condensery.methods.selection import Selection
from condensery.modality import Image
from methods.test_conformance import context, leaves, same

ALL = pytest.mark.parametrize("kind", [Random, KMeans, Mean])


def pixels(problem: Problem, label: int) -> Tensor:
    """A class's real samples as pixels in [0, 1], ``(count, C, H, W)``."""
    return torch.from_numpy(problem.train.samples[problem.of(label)]) / 255


def taken(made: SyntheticSet, problem: Problem, label: int) -> list[int]:
    """Which of a class's real samples the stored ones are."""
    real = pixels(problem, label).flatten(1)
    gaps = torch.cdist(made.of(label)["pixels"].flatten(1), real)
    assert float(gaps.amin(1).max()) < 1e-4, "a stored sample is none of the real ones"
    return gaps.argmin(1).tolist()


def blobs() -> tuple[Problem, list[list[int]]]:
    """Two classes of three tight groups of five, four and three; the groups' positions."""
    generator = np.random.default_rng(0)
    samples, labels = [], []
    for label in range(2):
        for count in (5, 4, 3):
            centre = generator.integers(40, 200, (1, 1, 8, 8))
            samples.append(centre + generator.integers(-2, 3, (count, 1, 8, 8)))
            labels += [label] * count
    split = Split(np.concatenate(samples).astype(np.uint8), np.array(labels))
    modality = Image((1, 8, 8), (0.5,), (0.25,))
    groups = [list(range(5)), list(range(5, 9)), list(range(9, 12))]
    return Problem("blobs", modality, ("a", "b"), split, split, split), groups


@pytest.mark.parametrize("kind", [Random, KMeans])
def test_a_selection_holds_real_samples_of_the_right_class_and_none_twice(
    kind: type[Selection],
) -> None:
    problem = images(3, (9, 14, 11))
    made = kind().start(problem, 5, context())
    for label in problem.labels:
        assert len(set(taken(made, problem, label))) == 5


def test_as_many_as_there_are_takes_all_of_them() -> None:
    problem = images(1, (7, 7, 7))
    made = Random().start(problem, 7, context())
    assert all(sorted(taken(made, problem, label)) == list(range(7)) for label in problem.labels)


def test_random_draws_each_sample_equally_often() -> None:
    problem = images(1, (8, 8, 8))
    draws = [taken(Random().start(problem, 2, context(seed)), problem, 0) for seed in range(200)]
    counts = np.bincount(np.concatenate(draws), minlength=8)
    # 50 each on average with a standard deviation of 6: four of them to either side.
    assert counts.min() > 26 and counts.max() < 74


def test_the_draw_of_a_class_does_not_depend_on_the_other_classes() -> None:
    few, many = images(1, (12, 12)), images(1, (12, 12, 12))
    one, other = (taken(Random().start(p, 3, context()), p, 1) for p in (few, many))
    assert one == other


def test_kmeans_takes_one_sample_of_each_group() -> None:
    problem, groups = blobs()
    made = KMeans().start(problem, 3, context())
    for label in problem.labels:
        chosen = taken(made, problem, label)
        assert sorted(next(i for i, g in enumerate(groups) if c in g) for c in chosen) == [0, 1, 2]


def test_kmeans_with_one_per_class_takes_the_sample_nearest_to_the_mean() -> None:
    problem = images(3)
    made = KMeans().start(problem, 1, context())
    for label in problem.labels:
        # Normalising weighs channels; so does the distance.
        x = problem.samples(problem.of(label)).flatten(1)
        expected = int((x - x.mean(0)).square().sum(1).argmin())
        assert taken(made, problem, label) == [expected]


def test_one_mean_per_class_is_the_mean_of_its_pixels() -> None:
    problem = images(3, (9, 14, 11))
    made = Mean().start(problem, 1, context())
    for label in problem.labels:
        expected = pixels(problem, label).double().mean(0).float()
        torch.testing.assert_close(made.of(label)["pixels"][0], expected, atol=1e-6, rtol=0)


def test_several_means_are_the_groups_means_the_largest_group_first() -> None:
    problem, groups = blobs()
    made = Mean().start(problem, 3, context())
    for label in problem.labels:
        real = pixels(problem, label)
        expected = torch.stack([real[group].mean(0) for group in groups])
        torch.testing.assert_close(made.of(label)["pixels"], expected, atol=1e-5, rtol=0)
    assert all(len(a) > len(b) for a, b in pairwise(groups))


@ALL
def test_a_packed_selection_holds_four_times_as_many_samples_in_the_same_bytes(
    kind: type[Selection],
) -> None:
    problem = images(3)
    plain, packed = (kind(factor).start(problem, 2, context()) for factor in (1, 2))
    assert len(packed) == len(plain) == 6
    assert packed.nbytes() == plain.nbytes()
    assert len(packed.decode().y) == 4 * len(plain.decode().y) == 24
    assert packed.decode().x.shape[1:] == plain.decode().x.shape[1:]


def test_packed_samples_are_real_ones_at_half_the_size() -> None:
    problem = images(1)
    made = Random(factor=2).start(problem, 1, context())
    for label in problem.labels:
        image = made.of(label)["pixels"][0]
        tiles = [image[:, a : a + 4, b : b + 4] for a in (0, 4) for b in (0, 4)]
        halves = pixels(problem, label).unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
        found = [int((halves - tile).square().flatten(1).sum(1).argmin()) for tile in tiles]
        assert len(set(found)) == 4
        for tile, index in zip(tiles, found, strict=True):
            torch.testing.assert_close(tile, halves[index], atol=1e-5, rtol=0)


@ALL
def test_a_selection_counts_steps_and_does_not_move(kind: type[Selection]) -> None:
    problem, method = images(1), kind()
    start = method.start(problem, 2, context())
    state = method.init(problem, start, context())
    for _ in range(3):
        assert method.step(state, problem, context()).values == {}
    assert state.step == 3 and same(leaves(state.synthetic), leaves(start))


@ALL
def test_more_than_a_class_has_is_said_in_one_line(kind: type[Selection]) -> None:
    with pytest.raises(UsageError, match=r"class 'band 1' of bands has 2 training samples, 3 are"):
        kind().start(images(1, (9, 2, 9)), 3, context())


@ALL
@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_per_class_is_said_in_one_line(kind: type[Selection], count: int) -> None:
    with pytest.raises(UsageError, match=f"from 1; got {count}"):
        kind().start(images(1), count, context())


@ALL
def test_a_factor_that_does_not_divide_the_image_is_said_in_one_line(kind: type[Selection]) -> None:
    with pytest.raises(UsageError, match="8 x 8"):
        kind(factor=3).start(images(1, (20, 20, 20)), 1, context())
