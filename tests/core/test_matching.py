"""Gradient matching: distances by hand, second derivatives, nothing computed in vain."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.core.matching import (
    Term,
    cross_entropy,
    distance,
    double_backward,
    leaf_gradient,
    parameter_gradients,
    single_terms,
    weighted_terms,
)
from core.made import cohort, normal, problem

LABELS = torch.tensor([0, 2, 1])


def small(seed: int = 0) -> nn.Sequential:
    """Two layers in float64, smooth, so that finite differences can be trusted."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def gradients(network: nn.Module, x: Tensor, y: Tensor, graph: bool) -> Any:
    return parameter_gradients(cross_entropy(network(x), y), list(network.parameters()), graph)


def images(count: int, seed: int) -> Tensor:
    return normal(count, 3, 2, 2, seed=seed, dtype=torch.float64)


@pytest.mark.parametrize("metric", ["sum", "mean"])
def test_the_distance_is_the_squared_difference_of_every_entry(metric: Any) -> None:
    shapes = [(4, 3), (4,), (2, 4), ()]
    real = tuple(normal(*shape, seed=n) for n, shape in enumerate(shapes))
    synthetic = tuple(normal(*shape, seed=n + 9) for n, shape in enumerate(shapes))
    total = 0.0
    for a, b in zip(real, synthetic, strict=True):
        entries = zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
        squares = [(one - other) ** 2 for one, other in entries]
        total += sum(squares) / (1 if metric == "sum" else len(squares))
    assert float(distance(real, synthetic, metric)) == pytest.approx(total, rel=1e-5)


def test_a_tensor_without_a_gradient_on_either_side_is_skipped() -> None:
    a, b = normal(3), normal(3, seed=1)
    alone = distance((a,), (b,))
    assert torch.equal(distance((a, None, b), (b, a, None)), alone)
    with pytest.raises(ValueError, match="nothing to match"):
        distance((a, None), (None, b))


def test_hard_and_soft_targets_agree_with_the_cross_entropy_by_hand() -> None:
    logits = normal(3, 4)
    target = torch.tensor([3, 0, 2])
    by_hand = -sum(
        float(row[t] - row.exp().sum().log()) for row, t in zip(logits, target, strict=True)
    )
    for y in (target, F.one_hot(target, 4).float()):
        assert float(cross_entropy(logits, y)) == pytest.approx(by_hand / 3, rel=1e-5)


@pytest.mark.parametrize("metric", ["sum", "mean"])
def test_the_gradient_of_the_distance_equals_finite_differences(metric: Any) -> None:
    network, real = small(), images(5, 1)
    wanted = gradients(network, real, torch.tensor([0, 1, 2, 0, 1]), graph=False)

    def loss(x: Tensor) -> Tensor:
        return distance(wanted, gradients(network, x, LABELS, graph=True), metric)

    assert torch.autograd.gradcheck(loss, images(3, 2).requires_grad_(), atol=1e-7)


def test_samples_that_are_the_real_ones_give_no_loss_and_no_gradient() -> None:
    network, x = small(), images(3, 0).requires_grad_()
    real = gradients(network, x.detach(), LABELS, graph=False)
    loss = distance(real, gradients(network, x, LABELS, graph=True))
    assert float(loss.detach()) == 0
    assert torch.equal(
        leaf_gradient(loss, {"pixels": x}, retain=False)["pixels"], torch.zeros_like(x)
    )


def test_matching_leaves_no_gradient_on_any_network_parameter() -> None:
    data, peers = problem(), cohort("convnet2_w8", "vit_mini")
    x = data.samples(data.of(0)).requires_grad_()
    for peer in peers:
        with double_backward():
            loss = cross_entropy(peer.backbone(x), torch.zeros(len(x), dtype=torch.long))
            found = parameter_gradients(loss, peer.parameters, graph=True)
        leaf_gradient(
            distance(tuple(torch.ones_like(one) for one in found), found), {"x": x}, False
        )
        assert all(parameter.grad is None for parameter in peer.backbone.parameters())
    assert x.grad is None


def test_a_leaf_without_a_path_gets_zeros() -> None:
    used, unused = normal(2).requires_grad_(), normal(3, 4).requires_grad_()
    found = leaf_gradient(used.square().sum(), {"used": used, "unused": unused}, retain=False)
    torch.testing.assert_close(found["used"], 2 * used.detach())
    assert torch.equal(found["unused"], torch.zeros(3, 4))


def terms_of(x: Tensor) -> list[Tensor]:
    shared = (x * 2).tanh()
    return [shared.sum(), shared.square().sum(), (shared * x).sum()]


def test_all_terms_at_once_equal_the_weighted_sum_of_each_by_itself() -> None:
    x, weights = normal(4, 3, dtype=torch.float64).requires_grad_(), [1.0, 0.3, 0.01]
    singles = single_terms(terms_of(x), {"pixels": x})
    together = weighted_terms(terms_of(x), {"pixels": x}, weights)
    assert isinstance(together, Term) and not together.gradient["pixels"].requires_grad
    expected = sum(w * one.gradient["pixels"] for w, one in zip(weights, singles, strict=True))
    torch.testing.assert_close(together.gradient["pixels"], expected)
    assert together.value == pytest.approx(
        sum(w * one.value for w, one in zip(weights, singles, strict=True))
    )
    for index, one in enumerate(singles):
        loss = terms_of(x)[index]
        (gradient,) = torch.autograd.grad(loss, x)
        torch.testing.assert_close(one.gradient["pixels"], gradient)
        assert one.value == pytest.approx(float(loss.detach()))
        assert not one.gradient["pixels"].requires_grad


def test_no_graph_outlives_the_last_term() -> None:
    x = normal(3).requires_grad_()
    for finish in (single_terms, lambda losses, leaves: weighted_terms(losses, leaves, [1.0] * 3)):
        losses = terms_of(x)
        finish(losses, {"x": x})  # type: ignore[operator]
        with pytest.raises(RuntimeError, match="second time"):
            torch.autograd.grad(losses[-1], x)


# Attention and its second derivative.


def naive_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5).softmax(-1) @ v


def second_derivative(attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """Of a loss on gradients; the second pass runs outside of the context, as in a method."""
    parts = [normal(2, 2, 16, 8, seed=n).requires_grad_() for n in range(3)]
    with double_backward():
        first = torch.autograd.grad(attend(*parts).square().sum(), parts, create_graph=True)
    (found,) = torch.autograd.grad(
        torch.stack([one.square().sum() for one in first]).sum(), parts[0]
    )
    return found


def test_inside_the_context_attention_has_the_second_derivative_of_attention_by_hand() -> None:
    found = second_derivative(F.scaled_dot_product_attention)
    torch.testing.assert_close(found, second_derivative(naive_attention), rtol=1e-3, atol=1e-4)


def kernels() -> list[bool]:
    backends = torch.backends.cuda
    return [
        backends.flash_sdp_enabled(), backends.mem_efficient_sdp_enabled(),
        backends.math_sdp_enabled(), backends.cudnn_sdp_enabled(),
    ]  # fmt: skip


@pytest.mark.parametrize("flash", [True, False])
def test_outside_the_context_the_choice_of_kernels_is_what_it_was(flash: bool) -> None:
    held = torch.backends.cuda.flash_sdp_enabled()
    try:
        torch.backends.cuda.enable_flash_sdp(flash)
        before = kernels()
        with double_backward():
            assert kernels() == [False, False, True, False]
        assert kernels() == before
        with pytest.raises(ZeroDivisionError), double_backward():
            raise ZeroDivisionError
        assert kernels() == before
    finally:
        torch.backends.cuda.enable_flash_sdp(held)


def test_the_kernels_of_the_context_give_the_values_of_the_others() -> None:
    parts = [normal(2, 2, 16, 8, seed=n) for n in range(3)]
    outside = F.scaled_dot_product_attention(*parts)
    with double_backward():
        inside = F.scaled_dot_product_attention(*parts)
    torch.testing.assert_close(inside, outside, rtol=1e-4, atol=1e-5)


def test_a_gradient_kept_without_a_graph_is_a_constant() -> None:
    network = small()
    kept, constant = (gradients(network, images(3, 0), LABELS, graph) for graph in (True, False))
    for one, other in itertools.zip_longest(kept, constant):
        assert one.requires_grad and not other.requires_grad
        torch.testing.assert_close(one.detach(), other)
