"""IDC: its distances, its step per class in closed form, its network, its settings."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import IDC_SETTINGS, images, sounds, texts
from condensery.core.cohort import Peer
from condensery.core.learning import batches_of, nth_batch
from condensery.core.matching import distance, matched, parameter_gradients
from condensery.core.starts import random_start
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods import DREAM, IDC, Method
from condensery.methods.idc import IDCState
from condensery.modality import Image, ImageAugmentation, Pixels
from condensery.models import build
from condensery.models.backbone import PeerSpec
from condensery.presets import PRESETS
from condensery.streams import Streams
from condensery.types import Batch
from methods.test_conformance import context, leaves, same

METRICS = ("mse", "l1", "l1_mean", "cos")
TINY = PeerSpec("convnet2_w8", lr=1e-2, momentum=0.9, weight_decay=5e-4)
PLAIN = {"pretrained": 0, "early_epochs": 0, "peer": TINY}


def small(**changes: Any) -> IDC:
    """The instance of ``cases.py`` from a network as it was drawn, with other settings."""
    return IDC(**{**IDC_SETTINGS, **PLAIN, **changes})


def begun(method: IDC, problem: Problem, per_class: int = 1) -> IDCState:
    return method.init(problem, method.start(problem, per_class, context()), context())


def weights(peer: Peer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in peer.backbone.state_dict().items()}


def network(name: str, shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10) -> Any:
    modality = Image(shape, (0.5,) * shape[0], (0.25,) * shape[0])
    return build(PeerSpec(name), modality, classes, torch.Generator().manual_seed(0))


@pytest.fixture
def in_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@dataclasses.dataclass(frozen=True)
class DoubleImage(Image):
    """Images in float64, for finite differences."""

    def normalise(self, raw: Tensor) -> Tensor:
        return self.from_pixels(raw.double() / 255)


def in_float64(problem: Problem) -> Problem:
    about = problem.modality
    assert isinstance(about, Image)
    return dataclasses.replace(problem, modality=DoubleImage(about.shape, about.mean, about.std))


# The distance of gradients.


def gradients(seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in [(5, 3, 2, 2), (4, 7)])


@pytest.mark.parametrize("metric", METRICS)
def test_equal_gradients_are_at_distance_0_and_others_are_not(metric: Any) -> None:
    assert float(distance(gradients(0), gradients(0), metric)) == pytest.approx(0, abs=1e-5)
    assert float(distance(gradients(0), gradients(1), metric)) > 1


def test_the_distances_are_those_that_numpy_computes_row_by_row() -> None:
    a, b = gradients(0), gradients(1)
    expected = dict.fromkeys(METRICS, 0.0)
    for one, other in zip(a, b, strict=True):
        for row, against in zip(one.numpy(), other.numpy(), strict=True):
            x, y = row.ravel().astype(float), against.ravel().astype(float)
            expected["mse"] += ((x - y) ** 2).sum()
            expected["l1"] += np.abs(x - y).sum()
            expected["l1_mean"] += np.abs(x - y).mean()
            expected["cos"] += 1 - x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-6)
    for metric in METRICS:
        found = float(distance(a, b, metric))  # type: ignore[arg-type]
        assert found == pytest.approx(expected[metric], rel=1e-5)


def test_the_mean_over_rows_is_rows_times_the_mean_of_all_differences() -> None:
    a, b = gradients(0)[:1], gradients(1)[:1]
    assert float(distance(a, b, "l1_mean")) == pytest.approx(
        5 * float((a[0] - b[0]).abs().mean()), rel=1e-5
    )


def test_the_cosine_knows_directions_only_and_opposite_rows_cost_2_each() -> None:
    a = gradients(0)
    assert float(distance(a, tuple(2 * one for one in a), "cos")) == pytest.approx(0, abs=1e-4)
    assert float(distance(a, tuple(-one for one in a), "cos")) == pytest.approx(18, abs=1e-4)


def test_a_linear_softmax_at_zero_matches_as_by_hand() -> None:
    weight = torch.zeros(2, 3, requires_grad=True)
    sample = torch.zeros(1, 3, requires_grad=True)

    def found(x: Tensor, graph: bool) -> Any:
        loss = torch.nn.functional.cross_entropy(x @ weight.T, torch.tensor([0]))
        return parameter_gradients(loss, [weight], graph)

    real = torch.tensor([[1.0, 2.0, 3.0]])
    wanted = found(real, graph=False)
    assert torch.equal(wanted[0], torch.cat([-real / 2, real / 2])) and wanted[0].grad_fn is None
    loss = distance(wanted, found(sample, graph=True), "mse")
    assert float(loss.detach()) == pytest.approx(7)
    (slope,) = torch.autograd.grad(loss, sample)
    assert slope.tolist() == [[-1.0, -2.0, -3.0]] and weight.grad is None


# What is matched.


@pytest.mark.parametrize(
    ("settings", "tensors", "scalars"),
    [({}, 3, 298_368), ({"biases": True, "head": True}, 14, 320_010)],
)
def test_of_a_convnet_the_three_kernels_are_matched_or_all_parameters(
    settings: dict[str, bool], tensors: int, scalars: int
) -> None:
    found = matched(network("convnet3"), **settings)
    assert (len(found), sum(one.numel() for one in found)) == (tensors, scalars)


def test_a_transformer_keeps_its_matrices() -> None:
    backbone = network("vit_mini")
    found = {id(one) for one in matched(backbone)}
    named = dict(backbone.named_parameters())
    kept = sum(one.numel() for one in named.values() if id(one) in found)
    assert kept > 0.95 * sum(one.numel() for one in named.values())
    for name, one in named.items():
        assert (id(one) in found) == (one.ndim > 1 and name not in backbone.head), name


def test_a_network_of_nothing_but_a_head_is_refused_with_what_to_do() -> None:
    backbone = network("convnet2_w8")
    backbone.head = tuple(name for name, _ in backbone.named_parameters())
    with pytest.raises(UsageError, match="nothing to match"):
        matched(backbone)
    assert len(matched(backbone, head=True)) == 3


def test_synthetic_samples_that_are_the_real_ones_give_no_loss_and_no_gradient() -> None:
    problem = images(3)
    method = small(factor=1, real_batch=2)
    state = begun(method, problem, per_class=2)
    for label in problem.labels:
        real = problem.samples(method.real(state, problem, label, context()))
        own = {"pixels": problem.modality.to_pixels(real).requires_grad_()}  # type: ignore[attr-defined]
        loss = method.loss(state, problem, label, own, context())
        (slope,) = torch.autograd.grad(loss, own["pixels"])
        assert float(loss.detach()) < 1e-9 and float(slope.abs().max()) < 1e-4


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.usefixtures("in_double")
def test_a_step_follows_the_loss_as_finite_differences_see_it(metric: Any) -> None:
    # With one class after another and no momentum a step is minus the rate times the gradient,
    # through tiles, augmentation, network and distance.
    problem, rate = in_float64(images(3)), 1e-6
    method = small(metric=metric, momentum=0.0, lr=rate, scale_lr=False, restart_every=100,
                   peer=PeerSpec("vit_mini"))  # fmt: skip
    state = begun(method, problem)
    before = leaves(state.synthetic)["pixels"]

    def total(label: int, pixels: Tensor) -> float:
        own = {"pixels": pixels.requires_grad_()}
        return float(method.loss(state, problem, label, own, context()).detach())

    along = torch.randn(3, 1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    width, expected = 1e-5, []
    for label, way in enumerate(along):
        here = before[label : label + 1]
        rise = total(label, here + width * way) - total(label, here - width * way)
        expected.append(rise / (2 * width))
    method.step(state, problem, context())
    moved = (before - state.synthetic.stored["pixels"].detach()) / rate
    found = [float((moved[label] * way[0]).sum()) for label, way in enumerate(along)]
    assert found == pytest.approx(expected, rel=1e-3)


def test_real_and_synthetic_samples_meet_one_draw_a_class_and_learning_hides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[bool, tuple[str, ...]]] = []
    draw = ImageAugmentation.draw

    def watched(self: Any, generator: Any, count: int, shared: bool = False) -> Any:
        found = draw(self, generator, count, shared)
        drawn.append((shared, found.applied))
        return found

    monkeypatch.setattr(ImageAugmentation, "draw", watched)
    problem = images(1)
    state = begun(small(), problem)
    small().step(state, problem, context())
    assert drawn == [(True, ("color", "crop", "cutout"))] * 3 + [(False, ("color", "crop"))]
    drawn.clear()
    small(mixup=0.0).step(state, problem, context())
    assert drawn[3:] == [(False, ("color", "crop", "cutout"))]


def test_of_many_decoded_samples_a_few_are_matched_and_the_others_feel_nothing() -> None:
    problem, per_class = images(1), 3
    method = small(synthetic_batch=5, operations=(), normalised_storage=True)
    state = begun(method, problem, per_class)
    own = state.synthetic.leaves(0)
    (slope,) = torch.autograd.grad(method.loss(state, problem, 0, own, context()), own["pixels"])
    tiles = slope.view(per_class, 2, 4, 2, 4).abs().sum((2, 4)).flatten()
    assert int((tiles > 0).sum()) == 5
    whole = dataclasses.replace(method, synthetic_batch=12)
    (slope,) = torch.autograd.grad(whole.loss(state, problem, 0, own, context()), own["pixels"])
    assert int((slope.view(per_class, 2, 4, 2, 4).abs().sum((2, 4)) > 0).sum()) == 12


# The step of the set.


def naive(start: Tensor, found: Tensor, lr: float, momentum: float) -> tuple[list[Tensor], Tensor]:
    """One leaf, one step after each class: what each class is when its turn comes, and the end.

    Args:
        start: ``(classes, width)``. found: the gradients ``(sweeps, classes, width)``.
    """
    leaf = start.clone().requires_grad_()
    optimiser = torch.optim.SGD([leaf], lr=lr, momentum=momentum)
    met = []
    for sweep in found:
        turns = []
        for label, gradient in enumerate(sweep):
            turns.append(leaf[label].detach().clone())
            leaf.grad = torch.zeros_like(leaf)
            leaf.grad[label] = gradient
            optimiser.step()
        met.append(torch.stack(turns))
    return met, leaf.detach()


def test_the_papers_loop_moves_early_classes_further_within_their_first_sweep() -> None:
    unit = torch.ones(3, 10, 1)
    _, once = naive(torch.zeros(10, 1), unit[:1], lr=1.0, momentum=0.5)
    expected = [-2 * (1 - 2.0 ** -(10 - label)) for label in range(10)]
    assert once[:, 0].tolist() == pytest.approx(expected)
    assert expected[0] == pytest.approx(-1.998, abs=1e-3) and expected[9] == -1
    _, thrice = naive(torch.zeros(10, 1), unit, lr=1.0, momentum=0.5)
    assert float(thrice[0]) == pytest.approx(-5.998, abs=2e-3)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("classes", [1, 3])
def test_the_closed_form_meets_every_gradient_where_the_papers_loop_does(
    momentum: float, classes: int
) -> None:
    problem = images(1, (12,) * classes)
    method = small(momentum=momentum, lr=0.3, factor=1, scale_lr=False, clamp="never")
    state = begun(method, problem)
    start = state.synthetic.stored["pixels"].detach().clone()
    found = torch.randn(5, classes, 64, generator=torch.Generator().manual_seed(0))
    met, end = naive(start.flatten(1), found, lr=0.3, momentum=momentum)
    for turns, sweep in zip(met, found, strict=True):
        here = state.synthetic.stored["pixels"].detach().flatten(1)
        torch.testing.assert_close(here, turns, atol=1e-5, rtol=1e-5)
        for label, gradient in enumerate(sweep):
            state.synthetic.pull(label, {"pixels": gradient.view(1, 1, 8, 8)})
        state.synthetic.descend(state.optimiser, convert=False)
    # After the last sweep the first class has coasted to the end in both.
    here = state.synthetic.stored["pixels"].detach().flatten(1)
    torch.testing.assert_close(here[0], end[0], atol=1e-5, rtol=1e-5)


def test_one_step_for_all_classes_is_plain_descent_with_momentum() -> None:
    method = small(sweep="once", lr=0.3, momentum=0.5, scale_lr=False)
    group = begun(method, images(1)).optimiser.param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.3, 0.5)


@pytest.mark.parametrize(
    ("per_class", "side", "reference", "expected"),
    [(1, 32, 32, 5e-4), (10, 32, 32, 5e-3), (50, 32, 32, 2.5e-2), (10, 64, 32, 2e-2),
     (10, 28, 28, 5e-3)],
)  # fmt: skip
def test_the_rate_grows_with_samples_per_class_and_area(
    per_class: int, side: int, reference: int, expected: float
) -> None:
    modality = Image((1, side, side), (0.5,), (0.25,))
    stored = {"pixels": torch.zeros(2 * per_class, 1, side, side)}
    labels = torch.arange(2).repeat_interleave(per_class)
    synthetic = SyntheticSet(stored, labels, modality, Pixels(2), ("a", "b"))
    assert IDC(reference_side=reference).rate(synthetic) == pytest.approx(expected)
    assert IDC(scale_lr=False).rate(synthetic) == 5e-3


@pytest.mark.parametrize("data", [sounds, texts])
def test_the_rate_of_what_has_no_area_is_as_it_is_given(data: Any) -> None:
    made = data()
    synthetic = random_start(made, 3, made.modality.codec(), Streams(0))
    assert IDC(lr=0.3).rate(synthetic) == DREAM(lr=0.3).rate(synthetic) == 0.3


def test_one_step_of_pixels_is_a_step_of_normalised_values_over_their_variance() -> None:
    # d/dx of a loss of x = (p - mean) / std is std times d/dp, and dx = dp / std.
    problem, rate = images(3), 1e-4
    method = small(lr=rate, scale_lr=False, momentum=0.0)
    state = begun(method, problem)
    before = leaves(state.synthetic)["pixels"]
    std = torch.tensor(problem.modality.std).view(1, 3, 1, 1)  # type: ignore[attr-defined]
    slopes = []
    for label in problem.labels:
        x = problem.modality.from_pixels(before[label : label + 1]).requires_grad_()  # type: ignore[attr-defined]
        own = {"pixels": problem.modality.to_pixels(x)}  # type: ignore[attr-defined]
        slopes += torch.autograd.grad(method.loss(state, problem, label, own, context()), x)
    method.step(state, problem, context())
    moved = (state.synthetic.stored["pixels"].detach() - before) / std
    torch.testing.assert_close(moved, -rate / std**2 * torch.cat(slopes), rtol=1e-3, atol=1e-6)


def outside(state: IDCState) -> bool:
    pixels = state.synthetic.stored["pixels"].detach()
    return bool((pixels < 0).any() or (pixels > 1).any())


def test_pixels_may_leave_their_range_until_the_next_fresh_network() -> None:
    problem, method = images(1), small(lr=1e4, restart_every=2)
    state = begun(method, problem)
    seen = []
    for _ in range(3):
        method.prepare(state, problem, context())
        seen.append(outside(state))
        method.step(state, problem, context())
    assert seen == [False, True, False] and outside(state)
    assert not outside(dataclasses.replace(state, synthetic=state.synthetic.quantised()))


@pytest.mark.parametrize(("clamp", "left"), [("step", False), ("never", True)])
def test_pixels_are_held_after_every_step_or_never(clamp: Any, left: bool) -> None:
    problem, method = images(1), small(lr=1e4, restart_every=1, clamp=clamp)
    state = begun(method, problem)
    for _ in range(2):
        method.step(state, problem, context())
    method.prepare(state, problem, context())
    assert outside(state) == left


# The real samples.


@pytest.mark.parametrize(
    ("samples", "batch", "steps"), [(2000, 64, 32), (2000, 128, 16), (500, 64, 8), (500, 128, 4)]
)
def test_the_batch_that_reaches_the_number_of_samples_completes_a_step(
    samples: int, batch: int, steps: int
) -> None:
    assert batches_of(samples, batch) == steps


def test_the_stream_shows_every_sample_once_in_each_epoch_in_another_order() -> None:
    batches = [nth_batch(10, 4, index, Streams(0)).tolist() for index in range(6)]
    assert [len(one) for one in batches] == [4, 4, 2, 4, 4, 2]
    epochs = [sum(batches[:3], []), sum(batches[3:], [])]
    assert all(sorted(one) == list(range(10)) for one in epochs) and epochs[0] != epochs[1]


def test_whole_batches_leave_a_rest_for_another_epoch_and_never_repeat_within_one() -> None:
    batches = [nth_batch(10, 4, index, Streams(0), whole=True).tolist() for index in range(40)]
    assert all(len(one) == 4 for one in batches)
    assert all(len({*a, *b}) == 8 for a, b in zip(batches[::2], batches[1::2], strict=True))
    assert set(sum(batches, [])) == set(range(10))
    assert sorted(nth_batch(3, 4, 7, Streams(0), whole=True).tolist()) == [0, 1, 2]


def test_matching_goes_through_each_class_step_by_step() -> None:
    problem, method = images(1, (8, 17, 3)), small(factor=1)
    state = begun(method, problem)
    for label, count in enumerate((8, 17, 3)):
        seen: Counter[int] = Counter()
        for step in range(count // 4 or 1):
            state.step = step
            seen.update(method.real(state, problem, label, context()).tolist())
        assert set(seen) <= set(problem.of(label).tolist()) and set(seen.values()) == {1}
        assert sum(seen.values()) == {8: 8, 17: 16, 3: 3}[count]


# The network.


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each batch had that a network learned from."""
    sizes: list[int] = []
    learned = Peer.learn

    def watched(self: Peer, batch: Batch) -> tuple[float, int]:
        sizes.append(len(batch.y))
        return learned(self, batch)

    monkeypatch.setattr(Peer, "learn", watched)
    return sizes


def test_a_step_teaches_as_many_samples_as_asked_and_goes_on_with_the_stream(
    lessons: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = images(1)
    asked: list[int] = []
    batch = Problem.batch

    def watched(self: Problem, positions: Any, **more: Any) -> Batch:
        asked.extend(positions.tolist() if len(positions) == 6 else [])
        return batch(self, positions, **more)

    monkeypatch.setattr(Problem, "batch", watched)
    method = small(train_samples=11, train_batch=6)
    state = begun(method, problem)
    for _ in range(3):
        method.step(state, problem, context())
    assert lessons == [6] * 6
    assert sorted(asked) == list(range(36))


def test_a_fresh_network_is_fresh_in_all_its_parts_and_the_optimiser_holds_it() -> None:
    problem, method = images(1), small(restart_every=2)
    state = begun(method, problem)
    drawn = weights(state.peer)
    for _ in range(2):
        method.step(state, problem, context())
    learned = weights(state.peer)
    assert all(not torch.equal(drawn[name], learned[name]) for name in drawn)
    method.prepare(state, problem, context())
    for name, fresh in state.peer.backbone.state_dict().items():
        if "norms" in name:
            assert torch.equal(fresh, torch.full_like(fresh, float("weight" in name)))
        else:
            assert not torch.equal(fresh, drawn[name]) and not torch.equal(fresh, learned[name])
    held = {id(one) for group in state.peer.optimiser.param_groups for one in group["params"]}
    assert held == {id(one) for one in state.peer.backbone.parameters()}
    assert not state.peer.optimiser.state


def test_a_head_can_be_kept_as_hmdcs_authors_do() -> None:
    problem, method = images(1), small(restart_every=1, keep_head=True)
    state = begun(method, problem)
    method.step(state, problem, context())
    before = weights(state.peer)
    method.prepare(state, problem, context())
    kept = {name for name, one in weights(state.peer).items() if torch.equal(one, before[name])}
    assert kept == set(state.peer.backbone.head)


@pytest.mark.parametrize("name", ["convnet2_w8", "resnet_mini", "vit_mini", "mlp"])
def test_matching_leaves_the_network_as_it_is_and_moves_every_class(name: str) -> None:
    problem = images(3)
    method = small(peer=PeerSpec(name, momentum=0.9), train_samples=0)
    state = begun(method, problem)
    before, start = weights(state.peer), leaves(state.synthetic)["pixels"]
    for _ in range(2):
        told = method.step(state, problem, context())
        assert all(math.isfinite(one) for one in told.values["terms"])
        assert told.values["learning"] == []
    assert same(before, weights(state.peer)) and state.peer.backbone.training
    moved = (state.synthetic.stored["pixels"].detach() - start).abs().amax((1, 2, 3))
    assert float(moved.min()) > 0


def test_learning_leaves_the_set_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, method = images(1), small()
    state = begun(method, problem)
    monkeypatch.setattr(SyntheticSet, "descend", lambda self, *args, **more: None)
    before, network_before = leaves(state.synthetic), weights(state.peer)
    method.step(state, problem, context())
    assert same(before, leaves(state.synthetic)) and not same(network_before, weights(state.peer))


def test_early_epochs_come_before_the_first_matching(lessons: list[int]) -> None:
    problem, method = images(1), small(early_epochs=2, train_batch=8, restart_every=3)
    state = begun(method, problem)
    for step in range(4):
        lessons.clear()
        state.step = step
        method.prepare(state, problem, context())
        assert sum(lessons) == (2 * 36 if step in (0, 3) else 0)
        assert len(lessons) == (10 if step in (0, 3) else 0)


def test_a_network_trained_beforehand_takes_the_place_of_a_fresh_one(lessons: list[int]) -> None:
    problem = images(1)
    method = small(pretrained=2, pretrained_epochs=2, pretrained_spread=2, train_batch=8,
                   restart_every=1, train_samples=0)  # fmt: skip
    state = begun(method, problem)
    found = []
    for step in range(30):
        state.step = step
        method.prepare(state, problem, context())
        found.append(weights(state.peer))
    assert set(state.trained) == {"0/2", "0/3", "1/2", "1/3"}
    assert len(lessons) == 2 * 3 * 5, "each was trained once, for its last number of epochs"
    assert all(any(same(one, kept) for kept in state.trained.values()) for one in found)
    assert all(any(same(one, kept) for one in found) for kept in state.trained.values())


def test_networks_trained_beforehand_come_back_with_a_resume() -> None:
    problem, method = images(1), small(pretrained=1, pretrained_epochs=1)
    state = begun(method, problem)
    method.step(state, problem, context())
    other = begun(method, problem)
    other.load(state.tensors())
    assert same(state.trained, other.trained) and other.trained


# Settings.


@pytest.mark.parametrize(
    "settings",
    [{"factor": 0}, {"lr": 0.0}, {"real_batch": 0}, {"synthetic_batch": 0}, {"restart_every": 0},
     {"train_batch": 0}, {"train_samples": -1}, {"mixup": 1.5}, {"mixup_in_matching": -0.1},
     {"momentum": 1.0}, {"candidates": 0}, {"early_epochs": -1}, {"pretrained": -1}],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_by_its_name(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"idc: {next(iter(settings))}"):
        IDC(**settings)


def test_a_side_that_the_factor_does_not_divide_is_refused() -> None:
    method = small(factor=3)
    with pytest.raises(UsageError, match="factor"):
        method.start(images(1), 1, context())


def of_preset(name: str, problem: Problem, per_class: int = 1) -> tuple[Method, int | None]:
    plan = PRESETS[name]("idc", problem, per_class)
    return plan.method, plan.steps


def like(channels: int, side: int, mirror: bool) -> Problem:
    """Images of this form and no content."""
    problem = images(channels)
    modality = Image((channels, side, side), (0.5,) * channels, (0.25,) * channels, mirror)
    return dataclasses.replace(problem, modality=modality)


CONSTANTS: dict[str, tuple[Problem, dict[str, Any]]] = {
    "cifar": (like(3, 32, True), {"metric": "mse", "lr": 5e-3, "train_samples": 2000}),
    "svhn": (like(3, 32, False), {"metric": "mse", "lr": 5e-3, "train_samples": 500}),
    "fashion": (like(1, 28, True), {"metric": "l1", "lr": 1e-4, "train_samples": 500}),
    "mnist": (like(1, 28, False), {"metric": "l1", "lr": 1e-4, "train_samples": 500, "mixup": 0.0,
                                   "operations": ("color", "crop")}),
    "tiny": (like(3, 64, True), {"metric": "mse", "lr": 5e-3, "train_samples": 1000}),
}  # fmt: skip


@pytest.mark.parametrize("data", CONSTANTS)
def test_the_papers_constants_are_those_of_its_list_of_commands(data: str) -> None:
    problem, expected = CONSTANTS[data]
    method, steps = of_preset("paper", problem)
    assert isinstance(method, IDC) and steps == 2000 * 100
    common = {"factor": 2, "start_from": "random", "real_batch": 64, "synthetic_batch": 128,
              "restart_every": 100, "momentum": 0.5, "train_batch": 64, "early_epochs": 0,
              "mixup": 0.5, "operations": ("color", "crop", "cutout")}  # fmt: skip
    for name, value in (common | expected).items():
        assert getattr(method, name) == value, name
    peer = PeerSpec("convnet4" if data == "tiny" else "convnet3", lr=1e-2, momentum=0.9,
                    weight_decay=5e-4)  # fmt: skip
    assert method.peer == peer


def test_hmdcs_authors_run_a_quarter_of_the_steps_on_larger_images() -> None:
    assert of_preset("hmdc-authors", like(3, 32, True))[1] == 200_000
    method, steps = of_preset("hmdc-authors", like(3, 64, True))
    assert steps == 50_000 and isinstance(method, IDC) and method.peer.size == 32
    assert (method.metric, method.clamp, method.sweep, method.scale_lr) == (
        "l1", "never", "once", False)  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"hmdc": True}], ids=["own", "hmdc-authors"])
def test_the_behaviours_of_hmdcs_authors_run(changes: dict[str, bool]) -> None:
    problem = like(3, 8, True)
    given = of_preset("hmdc-authors" if changes else "paper", problem)[0]
    assert isinstance(given, IDC)
    method = dataclasses.replace(given, peer=TINY, real_batch=4, train_samples=8, train_batch=8)
    state = begun(method, problem)
    before = leaves(state.synthetic)
    for _ in range(2):
        method.step(state, problem, context())
    assert not same(before, leaves(state.synthetic))


@pytest.mark.parametrize("name", ["idc", "dream"])
def test_two_steps_of_preset_smoke_run(name: str) -> None:
    problem = images(3, (8, 8, 8))
    plan = PRESETS["smoke"](name, problem, 1)
    method = plan.method
    state = method.init(problem, method.start(problem, 1, context()), context())
    for _ in range(plan.steps or 0):
        method.step(state, problem, context())
    assert state.step == 2


def test_multi_formation_matches_and_exports_the_whole_image_beside_its_tiles() -> None:
    problem = images()
    method = small(formation="multi", factor=2)
    state = begun(method, problem)
    start = state.synthetic.stored["pixels"].clone()
    assert len(state.synthetic.decode().y) == 5 * len(state.synthetic)
    assert torch.equal(start, begun(small(factor=2), problem).synthetic.stored["pixels"])

    method.step(state, problem, context())
    single = begun(small(factor=2), problem)
    small(factor=2).step(single, problem, context())
    moved = state.synthetic.stored["pixels"]
    assert not torch.equal(moved, start)
    assert not torch.equal(moved, single.synthetic.stored["pixels"])
