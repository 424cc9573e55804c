"""DC and DSA: the distance of gradients, the loops, batch norm, and what augmentation does."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from cases import images
from condensery.core.features import altered_alike, steady
from condensery.core.matching import flat_cosine, parameter_gradients, row_cosine, vanished
from condensery.data.problem import Problem
from condensery.errors import RunError, UsageError
from condensery.methods import DC, DSA, Context
from condensery.methods.base import PeersState
from condensery.modality import ImageAugmentation
from condensery.models import build
from condensery.models.backbone import Backbone, PeerSpec
from condensery.streams import Streams
from condensery.types import Batch, Reading
from condensery.world import Solo

NET = (PeerSpec("convnet2_w8", lr=1e-2),)


def context(seed: int = 0) -> Context:
    return Context(Streams(seed), Solo())


def settings(**changes: object) -> DC:
    return DC(**({"peers": NET, "real_batch": 4, "train_batch": 2} | changes))  # type: ignore[arg-type]


def begun(method: DC, problem: Problem, per_class: int = 2) -> PeersState:
    return method.init(problem, method.start(problem, per_class, context()), context())


def double(*rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# The distance.


def test_d1_the_distance_is_a_sum_over_rows_of_one_minus_their_cosines() -> None:
    def gap(a: Tensor, b: Tensor) -> float:
        return float(row_cosine((a,), (b,)))

    assert gap(double([1, 0], [0, 2]), double([0, 1], [0, 4])) == pytest.approx(1 + 1.25e-7, 1e-12)
    assert gap(double([3, 4]), double([4, 3])) == pytest.approx(0.04, abs=1e-7)
    ones = torch.ones(2, 1, 2, 2, dtype=torch.float64)
    assert gap(ones, torch.stack([ones[0], -ones[1]])) == pytest.approx(2, abs=1e-6)
    layer_norm = torch.ones(4, 2, 2, dtype=torch.float64)
    assert gap(layer_norm, -layer_norm) == pytest.approx(8, abs=1e-5)


def test_d1_tensors_of_one_dimension_and_those_without_a_gradient_contribute_nothing() -> None:
    matrix, other = double([3, 4]), double([4, 3])
    alone = row_cosine((matrix,), (other,))
    bias = torch.tensor([1.0, 2.0])
    assert torch.equal(row_cosine((bias, matrix, None), (-bias, other, matrix)), alone)
    with pytest.raises(ValueError, match="nothing matches"):
        row_cosine((bias, None), (bias, matrix))


def test_d2_what_has_vanished_costs_one_a_row_and_is_counted() -> None:
    nothing = torch.zeros(3, 5)
    assert float(row_cosine((nothing,), (nothing,))) == 3
    assert vanished((nothing,), (nothing,)) == 1
    half = torch.cat([torch.zeros(2, 5), torch.ones(2, 5)])
    assert vanished((half,), (half,)) == 0.5


def test_d2_a_positive_factor_of_a_row_changes_nothing_unlike_one_flat_cosine() -> None:
    a = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    b = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    scaled = b * double(0.5, 2, 3, 1)[:, None]
    assert float(row_cosine((a,), (scaled,))) == pytest.approx(
        float(row_cosine((a,), (b,))), abs=1e-5
    )
    assert abs(float(flat_cosine((a,), (scaled,)) - flat_cosine((a,), (b,)))) > 1e-3


def gap_of_a_linear_softmax(stored: Tensor) -> Tensor:
    """Distance between a sample's and (1, 2, 3)'s gradients of a 2 x 3 softmax at zero weights."""
    weights = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    label = torch.zeros(1, dtype=torch.long)

    def gradient(x: Tensor, graph: bool) -> tuple[Tensor | None, ...]:
        loss = nn.functional.cross_entropy(x[None] @ weights.T, label)
        return parameter_gradients(loss, [weights], graph)

    return row_cosine(gradient(double(1, 2, 3), False), gradient(stored, True))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [((1, 2, 3), 5.714e-7), ((2, 4, 6), 2.857e-7), ((-1, -2, -3), 4.0), ((3, 0, -1), 2.0),
     ((1, 0, 0), 1.4654781)],
)  # fmt: skip
def test_d3_a_linear_softmax_has_the_distance_worked_out_by_hand(
    stored: tuple[int, ...], expected: float
) -> None:
    found = float(gap_of_a_linear_softmax(double(*stored).requires_grad_()).detach())
    assert found == pytest.approx(expected, rel=1e-2 if expected < 1e-3 else 1e-6)


def test_d3_its_gradient_is_that_of_the_cosine() -> None:
    stored = double(1, 0, 0).requires_grad_()
    gap_of_a_linear_softmax(stored).backward()
    assert stored.grad is not None
    assert stored.grad.tolist() == pytest.approx([-6e-7, -1.06904, -1.60357], abs=1e-4)


def test_d4_from_a_vanished_gradient_the_way_out_is_steep_but_finite() -> None:
    stored = double(0, 0, 0).requires_grad_()
    gap = gap_of_a_linear_softmax(stored)
    gap.backward()
    assert float(gap.detach()) == 2 and stored.grad is not None
    assert stored.grad.tolist() == pytest.approx([-5e5, -1e6, -1.5e6], rel=1e-6)


def test_d5_a_convnet3_is_matched_in_four_tensors_with_394_rows() -> None:
    network = build(PeerSpec("convnet3"), _coloured(), 10, torch.Generator().manual_seed(0))
    matched = [p for p in network.parameters() if p.ndim > 1]
    assert (len(matched), len(list(network.parameters()))) == (4, 14)
    assert sum(p.numel() for p in matched) == 318_848
    opposite = row_cosine(tuple(matched), tuple(-p for p in matched))
    assert float(opposite.detach()) == pytest.approx(2 * 394, rel=1e-3)


def _coloured():
    from condensery.modality import Image

    return Image((3, 32, 32), (0.5,) * 3, (0.25,) * 3)


def test_d6_the_double_backward_equals_central_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(5, n, dtype=torch.float64, generator=generator) for n in (4, 5))
    weights = [first.requires_grad_(), second[:3].clone().requires_grad_()]
    real = torch.randn(3, 4, dtype=torch.float64, generator=generator)

    def gradients(x: Tensor, graph: bool) -> tuple[Tensor | None, ...]:
        logits = nn.functional.softplus(x @ weights[0].T) @ weights[1].T
        target = torch.ones(len(x), dtype=torch.long)
        return parameter_gradients(nn.functional.cross_entropy(logits, target), weights, graph)

    stored = torch.randn(2, 4, dtype=torch.float64, generator=generator).requires_grad_()
    wanted = gradients(real, False)
    assert torch.autograd.gradcheck(lambda x: row_cosine(wanted, gradients(x, True)), stored)


# One class's loss.


def loss_and_gradient(
    method: DC, problem: Problem, state: PeersState, label: int, leaf: Tensor
) -> tuple[float, Tensor]:
    leaf = leaf.detach().clone().requires_grad_()
    loss, _ = method.loss(state, problem, label, {"pixels": leaf}, context())
    return float(loss.detach()), torch.autograd.grad(loss, leaf)[0]


def test_d7_doubling_a_class_leaves_its_loss_and_halves_each_copys_gradient() -> None:
    problem, method = images(3), settings()
    state = begun(method, problem)
    once = state.synthetic.of(1)["pixels"]
    loss, gradient = loss_and_gradient(method, problem, state, 1, once)
    twice, halves = loss_and_gradient(method, problem, state, 1, torch.cat([once, once]))
    assert twice == pytest.approx(loss, rel=1e-4)
    torch.testing.assert_close(halves[:2], gradient / 2, rtol=1e-2, atol=1e-4)


def test_d8_one_step_is_one_joint_step_of_all_classes_by_hand() -> None:
    problem, method = images(3), settings(lr=0.3, momentum=0.0)
    state = begun(method, problem)
    start = state.synthetic.stored["pixels"].detach().clone()
    slopes = [
        loss_and_gradient(method, problem, state, label, state.synthetic.of(label)["pixels"])[1]
        for label in problem.labels
    ]
    std = torch.tensor(problem.modality.std).view(1, -1, 1, 1)
    method.step(state, problem, context())
    expected = start - 0.3 * std.square() * torch.cat(slopes)
    torch.testing.assert_close(state.synthetic.stored["pixels"], expected)


def test_d15_classes_cannot_be_swapped_but_samples_of_a_class_can() -> None:
    problem, method = images(3), settings(start_from="random")
    state = begun(method, problem)
    own, other = (state.synthetic.of(label)["pixels"] for label in (0, 1))
    loss = loss_and_gradient(method, problem, state, 0, own)[0]
    assert loss_and_gradient(method, problem, state, 0, own.flip(0))[0] == pytest.approx(
        loss, rel=1e-4
    )
    assert abs(loss_and_gradient(method, problem, state, 0, other)[0] - loss) > 1e-2


@pytest.mark.parametrize("metric", ["flat", "squares"])
def test_the_ablations_match_other_distances(metric: str) -> None:
    problem, method = images(1), settings(metric=metric)
    state = begun(method, problem)
    at_odds = begun(settings(), problem)
    leaf = state.synthetic.of(0)["pixels"]
    assert loss_and_gradient(method, problem, state, 0, leaf)[0] != pytest.approx(
        loss_and_gradient(settings(), problem, at_odds, 0, leaf)[0]
    )


# The loops.


def weights(state: PeersState) -> list[Tensor]:
    return [p.detach().clone() for peer in state.cohort for p in peer.backbone.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(map(torch.equal, one, other))


@pytest.mark.parametrize(
    ("per_class", "loops"),
    [(1, (1, 1)), (10, (10, 50)), (20, (20, 25)), (30, (30, 20)), (40, (40, 15)), (50, (50, 10)),
     (2, (2, 250)), (5, (5, 100)), (100, (100, 5)), (1000, (1000, 1))],
)  # fmt: skip
def test_d9_the_loops_are_the_published_ones_and_go_on_beyond_them(
    per_class: int, loops: tuple[int, int]
) -> None:
    assert DC().loops(per_class) == loops
    assert DC(outer=3, inner=0).loops(per_class) == (3, 0)


def test_d9_with_one_sample_per_class_no_network_ever_learns_and_each_step_has_a_fresh_one() -> (
    None
):
    problem, method = images(1), settings()
    state = begun(method, problem, per_class=1)
    seen = [weights(state)]
    for _ in range(3):
        told = method.step(state, problem, context()).values
        assert "learning" not in told
        seen.append(weights(state))
    assert equal(seen[0], seen[1])
    assert not equal(seen[1], seen[2]) and not equal(seen[2], seen[3])


def test_d9_networks_learn_between_updates_but_not_after_the_last() -> None:
    problem, method = images(1), settings(outer=3, inner=2)
    state = begun(method, problem)
    learned = []
    for _ in range(6):
        before = weights(state)
        method.step(state, problem, context())
        learned.append(not equal(before, weights(state)))
    # The fourth step begins with fresh networks, and they learn.
    assert learned == [True, True, False, True, True, False]


def test_d9_the_epochs_and_batches_of_learning_are_counted_right() -> None:
    problem, method = images(1), settings(outer=2, inner=3, train_batch=4)
    state = begun(method, problem, per_class=3)
    batches = list(method._batches(state, problem, context(), 3))
    assert [len(batch.y) for batch in batches] == [4, 4, 1] * 3
    for epoch in range(3):
        labels = torch.cat([batch.y for batch in batches[3 * epoch : 3 * epoch + 3]])
        assert torch.bincount(labels).tolist() == [3, 3, 3]


def test_d10_learning_leaves_the_set_alone_and_its_optimiser_has_no_momentum() -> None:
    problem, method = images(1), settings(outer=2, inner=1)
    state = begun(method, problem)
    method.step(state, problem, context())
    stored = state.synthetic.stored["pixels"].detach().clone()
    state.cohort.learn(method._batches(state, problem, context(), 2), None)
    assert torch.equal(state.synthetic.stored["pixels"], stored)
    held = state.cohort.peers[0].optimiser.state
    assert not any("momentum_buffer" in one and one["momentum_buffer"] is not None
                   for one in held.values())  # fmt: skip


# Batch norm.


class Normed(Backbone):
    """One batch norm of one number, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.linear = nn.Linear(1, 2)

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        embedding = self.norm(x)
        return Reading(self.linear(embedding), embedding, ())


def test_d14_batch_norm_takes_the_statistics_of_real_samples_or_the_released_tenth_of_them() -> (
    None
):
    batch = Batch(torch.tensor([[1.0], [3.0], [5.0], [7.0]]), torch.zeros(4, dtype=torch.long))
    for momentum, mean, variance in ((1.0, 4.0, 20 / 3), (0.1, 0.4, 0.9 + 2 / 3)):
        network = Normed()
        with steady(network, lambda: batch, momentum):
            assert not network.norm.training
            assert float(network.norm.running_mean) == pytest.approx(mean)
            assert float(network.norm.running_var) == pytest.approx(variance)
        assert network.norm.training and float(network.norm.running_mean) == 0


def test_d14_in_matching_a_networks_batch_norms_stand_still() -> None:
    problem, method = images(3), settings(peers=(PeerSpec("resnet_mini"),))
    state = begun(method, problem, per_class=1)
    before = {name: each.clone() for name, each in state.cohort.peers[0].backbone.named_buffers()}
    method.step(state, problem, context())
    for name, buffer in state.cohort.peers[0].backbone.named_buffers():
        assert torch.equal(buffer, before[name]), name


# Augmentation: DSA.


def test_d17_one_draw_for_both_alters_a_joint_batch_as_it_alters_the_two() -> None:
    augmentation = ImageAugmentation(DSA().operations, choose="one")
    x = torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(7, dtype=torch.long)
    for seed in range(12):
        streams = Streams(seed)
        real, synthetic = altered_alike(
            augmentation, streams("match"), Batch(x[:4], y[:4]), Batch(x[4:], y[4:])
        )
        (whole,) = altered_alike(augmentation, streams("match"), Batch(x, y))
        torch.testing.assert_close(torch.cat([real.x, synthetic.x]), whole.x)


def test_d17_dsa_without_operations_is_an_error_that_says_what_it_would_be() -> None:
    problem = images(1)
    method = DSA(peers=NET, operations=())
    with pytest.raises(UsageError, match="--method dc"):
        method.init(problem, method.start(problem, 1, context()), context())


def test_dsa_is_dc_with_other_defaults() -> None:
    named = dataclasses.asdict(DSA())
    assert dataclasses.asdict(DC(start_from="random", operations=DSA().operations)) == named
    problem = images(3)
    made = []
    for method in (settings(start_from="random", operations=("color",)),
                   DSA(peers=NET, real_batch=4, train_batch=2, operations=("color",))):  # fmt: skip
        state = begun(method, problem)
        method.step(state, problem, context())
        made.append(state.synthetic.stored["pixels"])
    assert torch.equal(*made)


def test_digits_are_never_mirrored() -> None:
    problem = images(1)
    mirror = dataclasses.replace(problem.modality, mirror=False)
    letters = dataclasses.replace(problem, modality=mirror)
    assert "flip" in DSA()._augmentation(problem).operations  # type: ignore[attr-defined]
    assert "flip" not in DSA()._augmentation(letters).operations  # type: ignore[attr-defined]


# What it says and refuses.


def test_a_step_tells_losses_and_the_part_of_the_rows_that_has_vanished() -> None:
    problem, method = images(1), settings(outer=2, inner=1)
    told = method.step(begun(method, problem), problem, context()).values
    assert len(told["terms"]) == len(told["vanished"]) == problem.classes
    assert all(0 <= part <= 1 for part in told["vanished"])
    assert len(told["learning"]) == 1 and math.isfinite(told["learning"][0])


@pytest.mark.parametrize(
    "wrong", [{"lr": 0.0}, {"real_batch": 0}, {"outer": 0}, {"inner": -1}, {"metric": "cosine"},
              {"operations": ("spin",)}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_at_once(wrong: dict[str, object]) -> None:
    problem, method = images(1), settings(**wrong)
    start = settings().start(problem, 1, context())
    with pytest.raises(UsageError):
        method.init(problem, start, context())


def test_a_loss_that_is_not_finite_stops_with_class_and_step() -> None:
    problem, method = images(1), settings()
    state = begun(method, problem)
    state.synthetic.stored["pixels"][2] = float("nan")
    with pytest.raises(RunError, match="'band 1'.*step 0"):
        method.step(state, problem, context())


def test_pixels_leave_their_range_unless_they_are_clamped() -> None:
    problem, ends = images(1), []
    for clamp in (False, True):
        method = settings(lr=50.0, clamp=clamp)
        state = begun(method, problem)
        method.step(state, problem, context())
        ends.append(state.synthetic.stored["pixels"].detach())
    assert float(ends[0].min()) < 0 or float(ends[0].max()) > 1
    assert float(ends[1].min()) >= 0 and float(ends[1].max()) <= 1


def test_a_vit_can_judge() -> None:
    problem, method = images(3), settings(peers=(PeerSpec("vit_mini"),), outer=2, inner=1)
    state = begun(method, problem)
    before = state.synthetic.stored["pixels"].detach().clone()
    method.step(state, problem, context())
    assert bool((state.synthetic.stored["pixels"] != before).flatten(1).any(1).all())
