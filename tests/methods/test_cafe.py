"""CAFE: its losses in closed form, its two passes, its windows, and what each setting changes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cases import CAFE_SETTINGS, images
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import RunError, UsageError
from condensery.methods import CAFE
from condensery.methods.cafe import (
    CAFEState,
    Window,
    align,
    discriminate,
    layers_of,
    spread_weights,
)
from condensery.models import PeerSpec
from condensery.presets import PRESETS
from condensery.types import Batch
from condensery.world import World
from methods.test_conformance import context, leaves, same, stepped
from worlds import together


def small(**changes: Any) -> CAFE:
    """The instance of ``cases.py`` with other settings."""
    return CAFE(**{**CAFE_SETTINGS, **changes})


def begun(method: CAFE, problem: Problem, start: SyntheticSet | None = None) -> CAFEState:
    start = start or method.start(problem, 1, context())
    return method.init(problem, start, context())


def exact(**changes: Any) -> CAFE:
    """Settings under which a step of the set is the plain gradient times the rate."""
    settings: dict[str, Any] = {"operations": (), "real_batch": 100, "clamp": False, "lr": 1e-3,
                                "momentum": 0.0, "discrimination": 0.3}  # fmt: skip
    return small(**{**settings, **changes})


def naive(
    method: CAFE, state: CAFEState, problem: Problem, stored: Tensor
) -> tuple[Tensor, Tensor]:
    """Alignment and discrimination of all classes in one graph, as the paper writes them."""
    network, aligned = state.backbone, torch.zeros(())
    features, targets, centres, flat = [], [], [], []
    for label in problem.labels:
        where = state.synthetic.where(label)
        x = state.synthetic.codec.decode({"pixels": stored[where]}, problem.modality)
        real = network.read(problem.batch(problem.of(label)))
        made = network.read(Batch(x, torch.full((len(x),), label)))
        pairs = [(a.spatial, b.spatial) for a, b in zip(real.taps, made.taps, strict=True)]
        pairs.append((real.embedding, made.embedding))
        flat.append(pairs)
        features.append(real.embedding.detach())
        targets += [label] * len(real.embedding)
        centres.append(made.embedding.mean(0))
    weights = [0.1, 1.0, 1.0, method.embedding_weight]  # this network has three taps
    if method.statistic == "class":
        for pairs in flat:
            for weight, (a, b) in zip(weights, pairs, strict=True):
                aligned = aligned + weight * (a.mean(0).detach() - b.mean(0)).square().sum()
    else:
        for index, weight in enumerate(weights):
            a, b = (torch.cat([pairs[index][side] for pairs in flat]).mean() for side in (0, 1))
            aligned = aligned + weight * (a.detach() - b).square()
    logits = torch.cat(features) @ torch.stack(centres).T
    over = method.discrimination_over
    apart = F.cross_entropy(logits, torch.tensor(targets), reduction=over)
    return aligned, method.discrimination * apart


# The losses in closed form.


def test_the_alignment_is_a_sum_of_squares_over_classes() -> None:
    real, synthetic = torch.tensor([2.0, 0.0]), torch.tensor([1.0, 3.0])
    found = [align([r], [s], [1.0]) for r, s in zip(real, synthetic, strict=True)]
    assert sum(loss for loss, _ in found) == 10
    assert [float(slope[0]) for _, slope in found] == [-2, 6]


def test_the_discrimination_of_equal_centres_is_the_log_of_the_classes_for_each_sample() -> None:
    features, centres = torch.eye(2), torch.zeros(2, 2)
    found = [discriminate(features[label : label + 1], label, centres) for label in (0, 1)]
    assert sum(loss for loss, _ in found) == pytest.approx(2 * math.log(2))
    gradient = found[0][1] + found[1][1]
    torch.testing.assert_close(gradient, torch.tensor([[-0.5, 0.5], [0.5, -0.5]]))


def test_one_vector_added_to_all_centres_changes_no_discrimination() -> None:
    generator = torch.Generator().manual_seed(0)
    features, centres = (
        torch.randn(5, 4, generator=generator),
        torch.randn(3, 4, generator=generator),
    )
    moved = centres + torch.randn(4, generator=generator)
    loss, other = (discriminate(features, 1, each)[0] for each in (centres, moved))
    assert loss == pytest.approx(other, rel=1e-5)


def test_the_gradient_of_the_discrimination_is_that_of_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(5, 4, generator=generator)
    centres = torch.randn(3, 4, generator=generator).requires_grad_()
    target = torch.full((5,), 2)
    expected = F.cross_entropy(features @ centres.T, target, reduction="sum")
    (gradient,) = torch.autograd.grad(expected, centres)
    loss, found = discriminate(features, 2, centres.detach())
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(found, gradient)


def test_large_inner_products_stay_finite() -> None:
    loss, gradient = discriminate(torch.full((2, 8), 100.0), 0, torch.eye(3, 8) * 100)
    assert math.isfinite(loss) and bool(gradient.isfinite().all())


# Layers.


def test_a_convnet_aligns_three_activations_and_its_last_map_with_weight_two() -> None:
    problem = images(3, side=32)
    state = begun(small(peer=PeerSpec("convnet3")), problem)
    layers = layers_of(state.backbone.read(problem.batch(range(2))))
    shapes = [tuple(layer.shape[1:]) for layer in layers]
    assert shapes == [(128, 32, 32), (128, 16, 16), (128, 8, 8), (128, 4, 4), (2048,)]
    assert torch.equal(layers[3].flatten(1), layers[4])
    method = CAFE()
    assert method.layer_weights == (0.1, 0.1, 1.0, 1.0)
    assert method.layer_weights[3] + method.embedding_weight == 2
    assert state.sizes == tuple(math.prod(shape) for shape in shapes)


@pytest.mark.parametrize(("taps", "expected"), [(4, (1, 2, 3, 4)), (2, (3, 4)), (0, ()),
                                                (6, (1, 1, 1, 2, 3, 4))])  # fmt: skip
def test_the_deepest_taps_keep_their_weights(taps: int, expected: tuple[int, ...]) -> None:
    assert spread_weights((1, 2, 3, 4), taps) == expected


# One update of the set.


def update_of(method: CAFE, problem: Problem, start: SyntheticSet) -> tuple[Tensor, list[float]]:
    """The gradient that an update uses, and the values it tells."""
    state = begun(method, problem, start)
    before = state.synthetic.stored["pixels"].clone()
    values = method._update(state, problem, context())
    units = state.synthetic.codec.units("pixels", problem.modality)
    return (before - state.synthetic.stored["pixels"]) / (method.lr * units**2), values


@pytest.mark.parametrize("over", ["sum", "mean"])
@pytest.mark.parametrize("statistic", ["class", "all"])
@pytest.mark.parametrize("factor", [1, 2])
def test_two_passes_give_the_gradient_of_one_graph_of_all_classes(
    statistic: Any, over: Any, factor: int
) -> None:
    problem = images(counts=(9, 9, 9))
    # All classes together move by millionths: a larger rate, so that a step is seen.
    rate = 1e-3 if statistic == "class" else 1.0
    method = exact(statistic=statistic, discrimination_over=over, factor=factor, lr=rate,
                   layer_weights=(0.1, 1.0, 1.0))  # fmt: skip
    start = small(factor=factor).start(problem, 2, context())
    state = begun(method, problem, start)
    stored = state.synthetic.stored["pixels"].clone().requires_grad_()
    losses = naive(method, state, problem, stored)
    (expected,) = torch.autograd.grad(sum(losses), stored)  # type: ignore[arg-type]
    found, values = update_of(method, problem, start)
    assert values == pytest.approx([float(loss.detach()) for loss in losses], rel=1e-4)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found / scale, expected / scale, atol=2e-3, rtol=0)


def reordered(start: SyntheticSet, order: list[int]) -> SyntheticSet:
    made = start.clone()
    made.stored["pixels"] = made.stored["pixels"][order]
    return made


def test_the_alignment_knows_classes_and_not_the_order_within_them() -> None:
    problem = images()
    start = small(start_from="random").start(problem, 2, context())
    orders = {"as it is": [0, 1, 2, 3, 4, 5], "within": [1, 0, 3, 2, 5, 4],
              "classes": [2, 3, 0, 1, 4, 5]}  # fmt: skip
    values = {
        name: update_of(exact(discrimination=0.0), problem, reordered(start, order))[1][0]
        for name, order in orders.items()
    }
    assert values["within"] == pytest.approx(values["as it is"], rel=1e-4)
    assert values["classes"] > 1.1 * values["as it is"]
    blind = [
        update_of(exact(statistic="all"), problem, reordered(start, order))[1][0]
        for order in orders.values()
    ]
    assert blind == pytest.approx([blind[0]] * 3, rel=1e-3)


def test_a_copy_of_each_sample_leaves_the_losses_and_halves_each_gradient() -> None:
    problem, method = images(), exact()
    once = small(start_from="random").start(problem, 1, context())
    twice = dataclasses.replace(
        once,
        stored={"pixels": once.stored["pixels"].repeat_interleave(2, 0)},
        labels=once.labels.repeat_interleave(2),
    )
    gradient, values = update_of(method, problem, once)
    halves, others = update_of(method, problem, twice)
    assert others == pytest.approx(values, rel=1e-5)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(2 * halves[::2] / scale, gradient / scale, atol=2e-3, rtol=0)


def test_the_real_samples_themselves_are_aligned_and_do_not_move() -> None:
    problem, method = images(counts=(8, 8, 8)), exact(discrimination=0.0)
    start = small(start_from="random").start(problem, 8, context())
    gradient, (aligned, apart) = update_of(method, problem, start)
    assert aligned == pytest.approx(0, abs=1e-6) and apart == 0
    assert float(gradient.abs().max()) < 1e-3


@pytest.mark.parametrize("name", ["convnet2_w8", "resnet_mini", "vit_mini", "mlp"])
def test_an_update_of_the_set_leaves_any_network_as_it_was(name: str) -> None:
    problem, method = images(3), small(peer=PeerSpec(name))
    state = begun(method, problem)
    held = {key: value.clone() for key, value in state.backbone.state_dict().items()}
    before = leaves(state.synthetic)
    method._update(state, problem, context())
    assert not same(leaves(state.synthetic), before)
    assert same(dict(state.backbone.state_dict()), held)
    assert all(parameter.grad is None for parameter in state.backbone.parameters())
    assert state.backbone.training


def test_learning_leaves_the_set_alone_and_changes_the_network() -> None:
    problem, method = images(), small()
    state = begun(method, problem)
    before, held = leaves(state.synthetic), state.backbone.convs[0].weight.clone()  # type: ignore
    method._learn(state, problem, context())
    assert same(leaves(state.synthetic), before)
    assert not same(state.backbone.convs[0].weight.detach(), held.detach())  # type: ignore


def test_a_loss_that_is_not_finite_stops_with_its_term_and_step() -> None:
    problem, method = images(), small()
    state = begun(method, problem)
    with torch.no_grad():
        state.synthetic.stored["pixels"].fill_(float("nan"))
    with pytest.raises(RunError, match="the alignment is not finite at step 0"):
        method.step(state, problem, context())


def test_more_workers_than_classes_make_the_set_of_one() -> None:
    problem, method = images(counts=(9, 9)), small()
    start = method.start(problem, 1, context())

    def work(world: World) -> SyntheticSet:
        return stepped(method, problem, start, context(world=world), 2).synthetic

    alone = stepped(method, problem, start, context(), 2).synthetic
    for synthetic in together(3, work):
        assert same(leaves(synthetic), leaves(alone))


# Windows and caps.


def stops(values: list[float], limit: float, above: bool, size: int = 10) -> int | None:
    """Which value ends the loop, counted from 1."""
    window = Window(size)
    for count, value in enumerate(values, start=1):
        spread = window.push(value)
        if spread is not None and (spread > limit if above else spread < limit):
            return count
    return None


def test_a_constant_accuracy_ends_image_updates_at_the_tenth_and_never_the_epochs() -> None:
    assert stops([0.3] * 40, 0.05, above=False) == 10
    assert stops([0.3] * 40, 0.05, above=True) is None


def test_a_window_slides() -> None:
    rising = [0.01 * step for step in range(20)]
    assert stops(rising, 0.05, above=False) is None
    assert stops(rising + [0.19] * 20, 0.055, above=False) == 24
    assert stops([0.0] * 9 + [0.2], 0.05, above=True) == 10
    assert stops([0.0] * 10 + [0.2], 0.05, above=True) == 11
    assert stops([0.2] + [0.0] * 30, 0.05, above=True) == 10


def test_a_range_that_equals_the_limit_is_no_reason_to_stop() -> None:
    values = [0.0, 0.5] * 10
    assert stops(values, 0.5, above=False) is None and stops(values, 0.5, above=True) is None


def constant(monkeypatch: pytest.MonkeyPatch, value: float = 0.3) -> None:
    monkeypatch.setattr(CAFE, "accuracy", lambda *_: value)


def test_a_network_at_rest_makes_ten_updates_with_nine_phases_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    constant(monkeypatch)
    problem, method = images(), small(window=10, most_updates=100, most_epochs=1)
    state = begun(method, problem)
    told = [method.step(state, problem, context()).values for _ in range(12)]
    assert [one["network"] for one in told] == [0] * 10 + [1] * 2
    assert [one["epochs"] for one in told] == [1] * 9 + [0] + [1] * 2
    assert not any(one["capped updates"] for one in told)
    assert [one["capped epochs"] for one in told] == [1] * 9 + [0] + [1] * 2


def test_both_loops_have_a_cap_and_say_when_it_is_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    constant(monkeypatch)
    problem, method = images(), small(window=5, most_updates=3, most_epochs=4)
    state = begun(method, problem)
    told = [method.step(state, problem, context()).values for _ in range(4)]
    assert [one["network"] for one in told] == [0, 0, 0, 1]
    assert [one["epochs"] for one in told] == [4, 4, 0, 4]
    assert [one["capped updates"] for one in told] == [0, 0, 1, 0]


def test_a_fresh_network_is_fresh_in_every_parameter_and_the_sets_momentum_goes_on() -> None:
    problem, method = images(), small(window=5, most_updates=2)
    state = begun(method, problem)
    method.step(state, problem, context())
    method.step(state, problem, context())
    assert state.finished
    old = {name: value.clone() for name, value in state.backbone.named_parameters()}
    momentum = leaves_of_optimiser(state)
    method._next_network(state, context())
    for name, value in state.backbone.named_parameters():
        assert not torch.equal(value, old[name]), name
    assert (state.network, state.updates, state.finished, state.window.values) == (1, 0, False, [])
    assert same(leaves_of_optimiser(state), momentum)
    kept = begun(small(keep_head=True), problem)
    head = kept.backbone.classifier.weight.clone()  # type: ignore[operator, union-attr]
    small(keep_head=True)._next_network(kept, context())
    assert torch.equal(kept.backbone.classifier.weight, head)  # type: ignore[arg-type, union-attr]


def leaves_of_optimiser(state: CAFEState) -> Any:
    return [entry["momentum_buffer"].clone() for entry in state.optimiser.state.values()]


@pytest.mark.parametrize(
    ("network", "rate"),
    [(0, 0.1), (1199, 0.1), (1200, 0.05), (1600, 0.025), (1799, 0.025), (1800, 0.0125)],
)
def test_the_rate_is_halved_three_times(network: int, rate: float) -> None:
    assert CAFE().rate(network) == pytest.approx(rate)


def test_a_step_uses_the_rate_of_its_network() -> None:
    problem, method = images(), small(halve_at=(1,), most_updates=1)
    state = begun(method, problem)
    rates = []
    for _ in range(2):
        method.step(state, problem, context())
        rates.append(state.optimiser.param_groups[0]["lr"])
    assert rates == [0.1, 0.05]


@pytest.mark.parametrize("counts", [(9, 9, 9), (8, 17, 11)])
def test_a_network_that_always_says_the_same_is_right_once_in_a_number_of_classes(
    counts: tuple[int, ...],
) -> None:
    problem, method = images(counts=counts), small(query=30)
    network = begun(method, problem).backbone
    with torch.no_grad():
        network.classifier.weight.zero_()  # type: ignore[operator, union-attr]
        network.classifier.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))  # type: ignore
    found = [method.accuracy(network, problem, context(), 0, epoch) for epoch in range(3)]
    assert found == pytest.approx([1 / 3] * 3)
    assert network.training


def test_a_query_is_of_fresh_samples_at_every_call() -> None:
    problem, method, seen = images(counts=(40, 40, 40)), small(query=12), []
    network = begun(method, problem).backbone
    read = network.read

    def spy(batch: Batch, taps: bool = True) -> Any:
        seen.append(batch)
        return read(batch, taps)

    network.read = spy  # type: ignore[method-assign]
    for step, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        method.accuracy(network, problem, context(), step, epoch)
    assert all(torch.bincount(one.y).tolist() == [4, 4, 4] for one in seen)
    assert same(seen[0].x, seen[3].x)
    assert not any(same(seen[i].x, seen[j].x) for i, j in [(0, 1), (0, 2), (1, 2)])


# Settings.


def test_the_defaults_are_the_authors() -> None:
    method = CAFE()
    assert (method.lr, method.momentum, method.discrimination) == (0.1, 0.5, 0.01)
    assert (method.real_batch, method.train_batch, method.query) == (256, 256, 1280)
    assert (method.window, method.settled, method.moved) == (10, 0.05, 0.05)
    assert (method.most_updates, method.most_epochs) == (100, 100)
    assert (method.peer, method.operations) == (PeerSpec("convnet3", lr=0.01), ())
    assert method.start_from == "noise" and method.factor == 1
    assert PRESETS["paper"]("cafe", images(), 10).method == method


def test_hmdcs_authors_differ_by_fields_alone() -> None:
    made = PRESETS["hmdc-authors"]("cafe", images(), 10).method
    assert isinstance(made, CAFE)
    assert made.statistic == "all" and made.discrimination_over == "mean" and made.keep_head
    assert made.layer_weights == (1, 1, 1, 1) and made.embedding_weight == 0
    assert made.most_epochs == 1000 and made.halve_at == ()


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"query": 0}, {"window": 0}, {"most_epochs": 0},
                                   {"layer_weights": ()}])  # fmt: skip
def test_settings_that_cannot_be_are_refused_in_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="^cafe: [^\n]*$"):
        begun(small(**wrong), images())
