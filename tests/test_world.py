"""Workers: what one does, several do together, bit for bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from condensery.methods import HMDC
from condensery.methods.base import Context
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.world import Solo, World
from core.made import problem
from worlds import together


def test_one_worker_alone_does_everything_and_sums_nothing() -> None:
    world, tensor = Solo(), torch.ones(2)
    assert (world.rank, world.size) == (0, 1)
    assert world.share(range(5)) == [0, 1, 2, 3, 4]
    assert world.sum(tensor) is tensor


@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 4), count=st.integers(0, 9))
def test_workers_share_everything_and_nothing_twice(size: int, count: int) -> None:
    shares = together(size, lambda world: world.share(range(count)))
    assert sorted(item for share in shares for item in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_sum_is_the_same_on_every_worker() -> None:
    def work(world: World) -> list[list[float]]:
        return [world.sum(torch.tensor([1.0, 10.0 * world.rank + n])).tolist() for n in range(3)]

    assert together(3, work) == [[[3.0, 30.0 + 3 * n] for n in range(3)]] * 3


def test_an_error_of_one_worker_is_the_error_of_all() -> None:
    def work(world: World) -> None:
        if world.rank == 1:
            raise ZeroDivisionError("rank 1")
        world.sum(torch.zeros(1))

    with pytest.raises(ZeroDivisionError, match="rank 1"):
        together(2, work)


@pytest.mark.parametrize("size", [2, 3])
def test_several_workers_make_the_set_that_one_makes_bit_for_bit(size: int) -> None:
    data = problem(counts=(9, 8, 10, 8, 7))
    method = HMDC(
        peers=(PeerSpec("mlp"), PeerSpec("convnet2_w8")), start_from="random", factor=2,
        real_batch=3, interval=2, restart_every=3, train_samples=8, train_batch=8, align_samples=8,
    )  # fmt: skip

    def work(world: World) -> torch.Tensor:
        context = Context(Streams(0), world)
        state = method.init(data, method.start(data, 1, context), context)
        for _ in range(4):
            method.step(state, data, context)
        return state.synthetic.stored["pixels"].detach()

    alone = work(Solo())
    for made in together(size, work):
        assert torch.equal(made, alone)
