"""The gradient balance: unlike terms get an equal say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from condensery.core.balance import Balance

MAXIMA = st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=5)


@settings(max_examples=50, deadline=None)
@given(maxima=MAXIMA)
def test_the_weakest_term_weighs_one_and_weight_times_sum_is_the_same_for_all(
    maxima: list[float],
) -> None:
    balance = Balance(classes=1, targets=len(maxima))
    balance.observe(torch.tensor([maxima], dtype=torch.float64))
    weights = balance.weights(0)
    assert max(weights) == 1 and all(0 < weight <= 1 for weight in weights)
    assert weights[maxima.index(min(maxima))] == 1
    products = [w * (m + 1e-6) for w, m in zip(weights, maxima, strict=True)]
    assert products == pytest.approx([min(maxima) + 1e-6] * len(maxima), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(maxima=st.lists(st.floats(1e-2, 1e2), min_size=3, max_size=3), which=st.integers(0, 2))
def test_a_term_a_thousand_times_larger_at_its_first_sample_pulls_no_more_than_the_others(
    maxima: list[float], which: int
) -> None:
    maxima[which] *= 1000
    weights = Balance(classes=1, targets=3).weights(0, fresh=maxima)
    pulls = [weight * one for weight, one in zip(weights, maxima, strict=True)]
    assert pulls == pytest.approx([min(maxima)] * 3, rel=1e-3)


def test_maxima_are_summed_up_since_the_last_restart() -> None:
    balance = Balance(classes=2, targets=2)
    for first, second in ([1.0, 3.0], [2.0, 0.0], [1.0, 1.0]):
        balance.observe(torch.tensor([[first, second], [0.0, 0.0]]))
    assert balance.sums[0].tolist() == pytest.approx([4 + 1e-6, 4 + 1e-6], rel=1e-12)
    balance.restart()
    assert torch.equal(balance.sums, torch.full((2, 2), 1e-6, dtype=torch.float64))
    assert balance.weights(0) == [1.0, 1.0]


def test_other_classes_are_not_touched() -> None:
    balance = Balance(classes=3, targets=2)
    observed = torch.zeros(3, 2)
    observed[1] = torch.tensor([5.0, 0.5])
    balance.observe(observed)
    assert balance.weights(1) == pytest.approx([0.1, 1.0], rel=1e-5)
    for other in (0, 2):
        assert balance.sums[other].tolist() == [1e-6, 1e-6] and balance.weights(other) == [1.0, 1.0]


def test_maxima_of_this_very_step_count_before_they_are_observed_and_are_not_kept() -> None:
    balance, later = Balance(1, 2), Balance(1, 2)
    fresh = [2.0, 8.0]
    later.observe(torch.tensor([fresh]))
    assert balance.weights(0, fresh) == later.weights(0) == pytest.approx([1.0, 0.25], rel=1e-5)
    assert balance.weights(0) == [1.0, 1.0]


def test_a_balance_that_starts_from_nothing_is_refused() -> None:
    for epsilon in (0.0, -1.0):
        with pytest.raises(ValueError, match="positive"):
            Balance(1, 2, epsilon)
