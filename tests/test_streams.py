"""Random streams: an address decides what is drawn, and nothing else does."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from condensery.streams import Streams, borrow

KEYS = st.lists(st.one_of(st.text(max_size=5), st.integers(-3, 300)), min_size=1, max_size=4)


def drawn(streams: Streams, *key: str | int) -> list[float]:
    return torch.rand(5, generator=streams(*key)).tolist()


def global_states() -> tuple[bytes, str, str]:
    name, keys, *rest = np.random.get_state()
    return (
        torch.get_rng_state().numpy().tobytes(),
        repr((name, keys.tolist(), rest)),
        repr(random.getstate()),
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(-(2**70), 2**70), key=KEYS)
def test_the_same_seed_and_key_draw_the_same_numbers(seed: int, key: list[str | int]) -> None:
    assert drawn(Streams(seed), *key) == drawn(Streams(seed), *key)
    assert 0 <= Streams(seed).number(*key) < 2**63


@settings(max_examples=30, deadline=None)
@given(one=KEYS, other=KEYS)
def test_different_keys_draw_different_numbers(
    one: list[str | int], other: list[str | int]
) -> None:
    streams = Streams(3)
    assert (one == other) == (drawn(streams, *one) == drawn(streams, *other))


def test_no_two_steps_labels_or_seeds_share_a_stream() -> None:
    numbers = {
        Streams(seed).number("augment", step, label)
        for seed in range(5)
        for step in range(20)
        for label in range(20)
    }
    assert len(numbers) == 5 * 20 * 20


def test_a_number_and_its_text_are_different_keys() -> None:
    streams = Streams(0)
    assert (
        len({streams.number(1), streams.number("1"), streams.number(1, 1), streams.number(11)}) == 4
    )


def test_the_order_in_which_streams_are_used_does_not_matter() -> None:
    streams = Streams(1)
    forwards = {label: drawn(streams, "x", label) for label in range(5)}
    backwards = {label: drawn(streams, "x", label) for label in reversed(range(5))}
    assert forwards == backwards


def test_a_child_has_streams_of_its_own_that_depend_on_its_key_alone() -> None:
    streams = Streams(4)
    assert streams.child("start") == Streams(4).child("start")
    told = [drawn(one, "x") for one in (streams, streams.child("start"), streams.child("end"),
                                        streams.child("start").child("start"))]  # fmt: skip
    assert len({tuple(one) for one in told}) == 4


def test_streams_never_touch_the_global_generators() -> None:
    before = global_states()
    drawn(Streams(0), "x")
    Streams(0).child("y").number("z")
    assert global_states() == before


def test_borrowed_generators_are_given_back_as_they_were() -> None:
    before = global_states()
    with borrow(Streams(0)("build")):
        nn.Linear(3, 3), np.random.rand(), random.random()
        assert global_states() != before
    assert global_states() == before


def test_borrowed_generators_are_given_back_after_an_error_too() -> None:
    before = global_states()
    with pytest.raises(ZeroDivisionError), borrow(Streams(0)("build")):
        torch.rand(1), np.random.rand(), random.random()
        raise ZeroDivisionError
    assert global_states() == before


def test_code_that_draws_globally_draws_from_the_borrowed_stream() -> None:
    def build(seed: int) -> list[float]:
        with borrow(Streams(seed)("build")):
            weight = nn.Linear(2, 1).weight.detach().flatten().tolist()
            return [*weight, float(np.random.rand()), random.random()]

    torch.manual_seed(0)
    first = build(1)
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    assert build(1) == first
    assert all(one != other for one, other in zip(build(2), first, strict=True))
