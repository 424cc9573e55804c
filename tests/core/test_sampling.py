"""Which real samples speak for their class, and what it costs to find them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from condensery.core.sampling import (
    candidates,
    cluster,
    embed,
    nearest,
    representatives,
    seeds,
)
from core.made import cohort, generator, normal, problem

SEEDINGS = ["squared", "distance"]


def blobs(count: int, each: int = 7, width: int = 5, spread: float = 0.05) -> tuple[Tensor, Tensor]:
    """Well separated heaps of points, in mixed order, and the heap of each point."""
    heap = torch.arange(count).repeat(each)[torch.randperm(count * each, generator=generator(1))]
    return normal(count, width, seed=2)[heap] * 5 + spread * normal(len(heap), width, seed=3), heap


def naive_nearest(features: Tensor, centres: Tensor, distinct: bool) -> list[int]:
    chosen: list[int] = []
    for centre in centres.double():
        gaps = [float((one - centre).square().sum()) for one in features.double()]
        free = [index for index in range(len(gaps)) if not (distinct and index in chosen)]
        chosen.append(min(free, key=lambda index: gaps[index]))
    return chosen


@pytest.mark.parametrize("seeding", SEEDINGS)
@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_separated_heaps_send_one_sample_each(seeding: Any, distinct: bool, seed: int) -> None:
    # Seeding by plain distance may start twice in one heap: it is tried on heaps far apart.
    features, heap = blobs(4, spread=1e-4)
    chosen = representatives(features, 4, generator(seed), distinct, seeding)
    assert sorted(heap[chosen].tolist()) == [0, 1, 2, 3]


def test_clusters_of_separated_heaps_are_the_heaps_and_centres_their_means() -> None:
    features, heap = blobs(5, spread=1e-4)
    centres, members = cluster(features, 5, generator())
    for label in range(5):
        assert len(members[heap == label].unique()) == 1
        own = members[heap == label][0]
        torch.testing.assert_close(centres[own], features[heap == label].mean(0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("distinct", [True, False])
def test_the_nearest_samples_are_those_of_a_search_one_by_one(distinct: bool) -> None:
    features, centres = normal(40, 6), normal(12, 6, seed=1) * 0.5
    found = nearest(features, centres, distinct)
    assert found == naive_nearest(features, centres, distinct)
    assert not distinct or len(set(found)) == len(found)


def test_representatives_are_nearest_to_the_centres_of_their_clusters() -> None:
    features = normal(60, 4)
    centres, members = cluster(features, 8, generator(5))
    for index in range(8):
        mean = features[members == index].mean(0)
        torch.testing.assert_close(centres[index], mean, atol=1e-5, rtol=0)
    chosen = representatives(features, 8, generator(5))
    assert chosen == naive_nearest(features, centres, distinct=False)
    assert [int(members[index]) for index in chosen] == list(range(8))


def test_samples_far_from_the_origin_are_told_apart_as_well_as_those_near_it() -> None:
    features, heap = blobs(6, each=5, spread=0.2)
    near = representatives(features, 6, generator(1), distinct=True)
    far = representatives(features + 1000, 6, generator(1), distinct=True)
    assert sorted(heap[far].tolist()) == list(range(6))
    centres, _ = cluster(features, 6, generator(1))
    assert nearest(features + 1000, centres + 1000) == naive_nearest(features, centres, False)
    assert sorted(far) == sorted(near)


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_the_choice_depends_on_the_generator_alone(seeding: Any) -> None:
    features = normal(50, 6)
    np.random.seed(0)
    torch.manual_seed(0)
    before = torch.get_rng_state(), str(np.random.get_state())
    once = representatives(features, 7, generator(3), seeding=seeding)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]
    np.random.seed(9)
    torch.manual_seed(9)
    assert representatives(features, 7, generator(3), seeding=seeding) == once
    others = [representatives(features, 7, generator(seed), seeding=seeding) for seed in range(5)]
    assert any(sorted(other) != sorted(once) for other in others)


@pytest.mark.parametrize(("power", "expected"), [(2, 9 / 10), (1, 3 / 4)])
def test_centres_are_seeded_in_proportion_to_squared_distance_or_as_released_to_distance(
    power: int, expected: float
) -> None:
    # From a first centre at 0, the others lie at 1 and at 3.
    features = torch.tensor([[0.0], [1.0], [3.0]])
    far = near = 0
    for seed in range(3000):
        first, second = seeds(features, 2, generator(seed), power).flatten().tolist()
        assert first != second
        far += (first, second) == (0, 3)
        near += (first, second) == (0, 1)
    assert far + near > 800
    assert far / (far + near) == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("seeding", SEEDINGS)
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_few_or_equal_samples_are_no_error(seeding: Any) -> None:
    for count in (3, 4, 100):
        assert representatives(normal(3, 5), count, generator(), seeding=seeding) == [0, 1, 2]
    equal = torch.ones(6, 4)
    chosen = representatives(equal, 3, generator(), distinct=True, seeding=seeding)
    assert len(set(chosen)) == 3
    centres, _ = cluster(equal, 3, generator(), seeding)
    assert bool(centres.isfinite().all())
    pairs = torch.eye(2).repeat(4, 1)
    centres, _ = cluster(pairs, 4, generator(), seeding)
    assert bool(centres.isfinite().all())
    assert len(representatives(pairs, 4, generator(), seeding=seeding)) == 4


def test_candidates_are_drawn_once_each_and_never_more_than_asked() -> None:
    positions = np.arange(100, 130)
    for most in (1, 7, 29):
        drawn = candidates(positions, most, generator())
        assert len(drawn) == len(set(drawn.tolist())) == most
        assert set(drawn.tolist()) <= set(positions.tolist())
        assert drawn.tolist() == candidates(positions, most, generator()).tolist()
    for most in (None, 30, 31):
        assert candidates(positions, most, generator()).tolist() == positions.tolist()
    seen = {int(p) for seed in range(60) for p in candidates(positions, 5, generator(seed))}
    assert seen == set(positions.tolist())


@pytest.mark.parametrize("name", ["convnet2_w8", "resnet_mini", "vit_mini", "mlp"])
def test_an_embedding_does_not_depend_on_the_batch_it_was_made_in(name: str) -> None:
    data, peer = problem(), cohort(name).peers[0]
    positions, where = np.arange(len(data.train)), torch.device("cpu")
    before = {key: value.clone() for key, value in peer.backbone.state_dict().items()}
    whole = embed(peer.backbone, data, positions, where)
    torch.testing.assert_close(
        embed(peer.backbone, data, positions, where, batch=5), whole, rtol=1e-4, atol=1e-5
    )
    alone = [embed(peer.backbone, data, positions[[k]], where) for k in (4, 0)]
    torch.testing.assert_close(torch.cat(alone), whole[[4, 0]], rtol=1e-4, atol=1e-5)
    assert whole.ndim == 2 and not whole.requires_grad
    assert peer.backbone.training, "the network is left in the mode it was in"
    after = peer.backbone.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before), "batch statistics too"


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        sizes = [leaf.untyped_storage().nbytes() // leaf.element_size()
                 for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]  # fmt: skip
        self.entries = max([self.entries, *sizes])
        return made


@pytest.mark.parametrize("distinct", [True, False])
def test_nothing_of_samples_by_clusters_by_width_is_ever_made(distinct: bool) -> None:
    samples, clusters, width = 3000, 64, 256
    features = normal(samples, width)
    representatives(features[:100], 4, generator())  # imports what k-means needs
    tracemalloc.start()
    try:
        with Largest() as largest:
            chosen = representatives(features, clusters, generator(), distinct)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(chosen) == clusters
    assert 0 < largest.entries <= samples * width, "no tensor beyond the features themselves"
    forbidden = 4 * samples * clusters * width
    assert peak < forbidden / 10, f"numpy held {peak / 2**20:.0f} MiB"


def test_the_watch_over_memory_sees_what_it_forbids() -> None:
    with Largest() as largest:
        (normal(30, 1, 8) - normal(1, 5, 8)).square().sum(2)
    assert largest.entries == 30 * 5 * 8
