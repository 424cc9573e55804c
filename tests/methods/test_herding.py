"""Herding: the greedy choice, its features, and what is stored."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cases import images
from condensery.core.sampling import cluster, herd, nearest
from condensery.core.starts import STARTS
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.evaluate import BASELINES, USUAL, baselines
from condensery.methods import Context, Herding
from condensery.modality import Pixels
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.world import Solo


def context(seed: int = 0) -> Context:
    return Context(Streams(seed), Solo())


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gaps(features: Tensor, chosen: list[int]) -> list[float]:
    """Distance of the running mean of the chosen to the mean of all, after each choice."""
    mean = features.mean(0)
    return [float((features[chosen[: k + 1]].mean(0) - mean).norm()) for k in range(len(chosen))]


def naive(features: Tensor, count: int) -> list[int]:
    """Herding as it is defined: try each sample that is left."""
    chosen: list[int] = []
    for _ in range(count):
        left = [index for index in range(len(features)) if index not in chosen]
        distance = [
            float((features[[*chosen, index]].mean(0) - features.mean(0)).norm()) for index in left
        ]
        chosen.append(left[distance.index(min(distance))])
    return chosen


def test_s1_five_numbers_are_chosen_in_the_order_worked_out_by_hand() -> None:
    features = torch.tensor([[0.0], [1], [2], [3], [9]], dtype=torch.float64)
    chosen = herd(features, 5)
    assert chosen == [3, 2, 1, 4, 0]
    assert gaps(features, chosen) == pytest.approx([0, 0.5, 1, 0.75, 0])


def test_s2_ties_go_to_the_lowest_index() -> None:
    corners = torch.tensor([[0.0, 0], [4, 0], [0, 4], [4, 4], [1, 2]], dtype=torch.float64)
    chosen = herd(corners, 5)
    assert chosen == [4, 1, 2, 3, 0]
    found = gaps(corners, chosen)
    assert found == pytest.approx([0.8, 1.220656, 0.133333, 0.672681, 0], abs=1e-6)
    for pair in ([0.0], [2.0]), ([2.0], [0.0]):
        assert herd(torch.tensor(pair), 1) == [0]


def test_s3_all_samples_are_a_permutation_and_less_is_its_beginning() -> None:
    features = normal(40, 6)
    whole = herd(features, 40)
    assert sorted(whole) == list(range(40)) and gaps(features, whole)[-1] < 1e-12
    assert all(herd(features, count) == whole[:count] for count in (1, 7, 23))


def test_the_quick_form_chooses_what_the_definition_chooses() -> None:
    for seed in range(5):
        features = normal(30, 4, seed=seed)
        assert herd(features, 12) == naive(features, 12)


def test_s3_shift_rotation_and_scale_change_nothing_but_norms_do() -> None:
    features = normal(50, 5) + 3
    chosen = herd(features, 20)
    rotation = torch.linalg.qr(normal(5, 5, seed=1)).Q
    for other in (features + 7, features @ rotation, 0.01 * features):
        assert herd(other, 20) == chosen
    assert herd(torch.nn.functional.normalize(features), 20) != chosen


def test_s3_it_stays_nearer_to_the_mean_than_chance_does() -> None:
    features = normal(500, 16)
    found = gaps(features, herd(features, 50))
    chance = math.sqrt(16 / 50)  # the norm of the mean of 50 standard normal samples
    assert found[9] < 0.35 and found[49] < 0.1 < chance


def test_s4_features_of_one_norm_are_chosen_by_inner_products_and_the_first_is_the_medoid() -> None:
    features = torch.nn.functional.normalize(normal(30, 4))
    chosen, total, mean = [], torch.zeros(4, dtype=torch.float64), features.mean(0)
    for k in range(1, 11):
        products = features @ (k * mean - total)
        products[chosen] = -math.inf
        chosen.append(int(products.argmax()))
        total += features[chosen[-1]]
    assert herd(features, 10) == chosen
    centre, _ = cluster(features.float(), 1, torch.Generator().manual_seed(0))
    assert nearest(features.float(), centre) == chosen[:1]


def test_s5_six_numbers_are_chosen_in_the_order_worked_out_by_hand() -> None:
    features = torch.tensor([[0.0], [1], [2], [10], [11], [15]])
    assert [float(features[index]) for index in herd(features, 6)] == [10, 2, 11, 1, 15, 0]


# The method.


def taken(made: SyntheticSet, problem: Problem, label: int) -> list[int]:
    """Which of a class's real samples the stored ones are."""
    real = torch.from_numpy(problem.train.samples[problem.of(label)]).flatten(1) / 255
    distances = torch.cdist(made.of(label)["pixels"].flatten(1), real)
    assert float(distances.amin(1).max()) < 1e-4
    return distances.argmin(1).tolist()


def test_s8_it_stores_the_herd_of_each_class_and_repeats_itself() -> None:
    problem = images(3, (9, 14, 11))
    made = Herding(features="pixels").start(problem, 5, context())
    for label in problem.labels:
        pixels = problem.samples(problem.of(label)).flatten(1)
        assert taken(made, problem, label) == herd(pixels, 5)
    again = Herding(features="pixels").start(problem, 5, context(1))
    assert torch.equal(made.stored["pixels"], again.stored["pixels"])


def test_s9_packed_the_ranks_go_from_tile_to_tile_of_different_images() -> None:
    problem = images(1, (12, 12, 12))
    made = Herding(features="pixels", factor=2).start(problem, 2, context())
    chosen = problem.of(1)[herd(problem.samples(problem.of(1)).flatten(1), 8)]
    codec = Pixels(2)
    expected = codec.encode(problem.samples(chosen), problem.modality)["pixels"]
    assert torch.equal(made.of(1)["pixels"], expected)
    small = torch.nn.functional.interpolate(problem.samples(chosen), size=[4, 4], mode="bilinear")
    tiles = problem.modality.to_pixels(small)  # type: ignore[attr-defined]
    for rank in range(8):
        tile, image = divmod(rank, 2)
        row, column = divmod(tile, 2)
        part = made.of(1)["pixels"][image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        torch.testing.assert_close(part, tiles[rank])


@pytest.mark.parametrize("features", ["random", "trained"])
def test_features_of_a_network_choose_other_samples_than_pixels(features: str) -> None:
    problem = images(3, (20, 20, 20))
    network = PeerSpec("convnet2_w8", momentum=0.9)
    method = Herding(features=features, network=network, updates=5)  # type: ignore[arg-type]
    made = method.start(problem, 4, context())
    plain = Herding(features="pixels").start(problem, 4, context())
    assert [len(set(taken(made, problem, label))) for label in problem.labels] == [4, 4, 4]
    assert not torch.equal(made.stored["pixels"], plain.stored["pixels"])
    assert method.peers_used() == ("convnet2_w8",) and Herding(features="pixels").peers_used() == ()


def test_training_is_what_tells_trained_features_from_random_ones() -> None:
    problem, network = images(3, (20, 20, 20)), PeerSpec("convnet2_w8", momentum=0.9)
    random = Herding(features="random", network=network).start(problem, 4, context())
    untrained = Herding(network=network, updates=0).start(problem, 4, context())
    trained = Herding(network=network, updates=20).start(problem, 4, context())
    assert torch.equal(random.stored["pixels"], untrained.stored["pixels"])
    assert not torch.equal(random.stored["pixels"], trained.stored["pixels"])


def test_it_is_a_start_and_a_baseline_on_request_but_no_usual_row() -> None:
    problem = images(1)
    made = STARTS["herding"](problem, 2, Pixels(), Streams(0))
    pixels = Herding(features="pixels").start(problem, 2, context())
    assert torch.equal(made.stored["pixels"], pixels.stored["pixels"])
    assert "herding" in BASELINES and "herding" not in USUAL
    rows = baselines(problem, [(0, made)], name="ours", which=("herding",))
    assert torch.equal(rows["herding"][0][1].stored["pixels"], made.stored["pixels"])


def test_a_class_with_too_few_samples_says_how_many_there_are() -> None:
    with pytest.raises(UsageError, match="12 training samples, 13 are needed"):
        Herding(features="pixels").start(images(1), 13, context())
