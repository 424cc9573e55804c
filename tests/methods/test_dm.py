"""DM: what is matched, how the mean moves, fresh networks, and batch norm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases import images
from condensery.core.features import mean_gap
from condensery.data.problem import Problem
from condensery.errors import RunError, UsageError
from condensery.methods import DM, Context
from condensery.methods.base import PeersState
from condensery.methods.dm import slopes
from condensery.models.backbone import Backbone, PeerSpec
from condensery.streams import Streams
from condensery.types import Batch, Reading
from condensery.world import Solo, World
from worlds import together

NET = (PeerSpec("convnet2_w8"),)


class Plain(Backbone):
    """Its features are its input, flat."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(64, 3)

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        embedding = x.flatten(1)
        return Reading(self.classifier(embedding), embedding, ())


class Normed(Backbone):
    """Its features are the mean of its input after a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.classifier = nn.Linear(1, 3)

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        embedding = self.norm(x.flatten(1).mean(1, keepdim=True))
        return Reading(self.classifier(embedding), embedding, ())


MODULES = {"plain": Plain, "normed": Normed}


def context(seed: int = 0) -> Context:
    return Context(Streams(seed), Solo(), modules=MODULES)


def settings(**changes: object) -> DM:
    return DM(**({"peers": NET, "real_batch": 4} | changes))  # type: ignore[arg-type]


def begun(method: DM, problem: Problem, per_class: int = 1) -> PeersState:
    return method.init(problem, method.start(problem, per_class, context()), context())


def double(*rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_d11_the_gap_of_two_means_and_its_gradient_are_those_worked_out_by_hand() -> None:
    synthetic = double([0, 0], [0, 2]).requires_grad_()
    gap = mean_gap(double([0, 0], [2, 2]).mean(0), synthetic)
    gap.backward()
    assert float(gap.detach()) == 1
    assert synthetic.grad is not None and synthetic.grad.tolist() == [[-1, 0], [-1, 0]]


@pytest.mark.parametrize(
    ("per_class", "rate", "errors"),
    [(1, 1, (1, -1, 0, 0.5, -0.25)), (2, 1, (1, 0, -0.5, -0.25)),
     (10, 1, (1, 0.8, 0.54, 0.302, 0.1226)), (50, 1, (1, 0.96, 0.9016, 0.836336)),
     (50, 10, (1, 0.6, 0.16, -0.124))],
)  # fmt: skip
def test_d12_the_error_of_the_mean_follows_its_recursion(
    per_class: int, rate: float, errors: tuple[float, ...]
) -> None:
    problem = images(1, (60, 60, 60))
    method = settings(peers=(PeerSpec("plain"),), real_batch=60, operations=(), lr=float(rate))
    state = begun(method, problem, per_class)
    target = problem.samples(problem.of(0)).mean(0)

    def error() -> Tensor:
        stored = {name: leaf.detach() for name, leaf in state.synthetic.of(0).items()}
        return state.synthetic.codec.decode(stored, problem.modality).mean(0) - target

    first, found = error(), []
    for _ in errors:
        found.append(float((error() * first).sum() / first.square().sum()))
        method.step(state, problem, context())
    assert found == pytest.approx(errors, abs=1e-4)


def test_d13_random_real_samples_have_the_gap_that_their_spread_predicts() -> None:
    draws, width, real, stored = 4000, 5, 16, 4
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.5, 1.5, width, dtype=torch.float64)

    def sample(count: int) -> Tensor:
        x = torch.randn(draws, count, width, dtype=torch.float64, generator=generator)
        return x * scale

    batch, made = sample(real), sample(stored)
    gaps = [float(mean_gap(a.mean(0), b)) for a, b in zip(batch, made, strict=True)]
    predicted = float(scale.square().sum()) * (1 / real + 1 / stored)
    assert np.mean(gaps) == pytest.approx(predicted, rel=0.03)


def losses_and_slopes(
    method: DM, problem: Problem, state: PeersState, leaves: dict[int, dict[str, Tensor]]
) -> tuple[dict[int, float], dict[int, Tensor]]:
    losses = method.losses(state, state.cohort.peers[0], problem, leaves, context())
    gradients = slopes(losses, leaves)
    return (
        {label: float(loss.detach()) for label, loss in losses.items()},
        {label: gradient["pixels"] for label, gradient in gradients.items()},
    )


def test_d7_doubling_a_class_leaves_its_loss_and_halves_each_copys_gradient() -> None:
    problem, method = images(3), settings()
    state = begun(method, problem, per_class=2)
    own = state.synthetic.leaves(1)
    twice = {"pixels": torch.cat([own["pixels"], own["pixels"]]).detach().requires_grad_()}
    loss, gradient = losses_and_slopes(method, problem, state, {1: own})
    doubled, halves = losses_and_slopes(method, problem, state, {1: twice})
    assert doubled[1] == pytest.approx(loss[1], rel=1e-4)
    torch.testing.assert_close(halves[1][:2], gradient[1] / 2, rtol=1e-3, atol=1e-5)


def test_d8_classes_do_not_feel_one_another_and_one_by_one_is_all_at_once() -> None:
    problem, method = images(3), settings()
    state = begun(method, problem)
    together = {label: state.synthetic.leaves(label) for label in problem.labels}
    all_losses, all_slopes = losses_and_slopes(method, problem, state, together)
    for label in problem.labels:
        alone = {label: state.synthetic.leaves(label)}
        loss, slope = losses_and_slopes(method, problem, state, alone)
        assert loss[label] == pytest.approx(all_losses[label], rel=1e-4)
        torch.testing.assert_close(slope[label], all_slopes[label], rtol=1e-3, atol=1e-5)


def test_a_step_descends_by_the_rate_in_normalised_units() -> None:
    problem, method = images(3), settings(lr=0.7, momentum=0.0)
    state = begun(method, problem, per_class=2)
    start = state.synthetic.stored["pixels"].detach().clone()
    leaves = {label: state.synthetic.leaves(label) for label in problem.labels}
    _, gradients = losses_and_slopes(method, problem, state, leaves)
    method.step(state, problem, context())
    std = torch.tensor(problem.modality.std).view(1, -1, 1, 1)
    expected = start - 0.7 * std.square() * torch.cat(list(gradients.values()))
    torch.testing.assert_close(state.synthetic.stored["pixels"], expected)


def test_the_networks_are_fresh_at_each_step_and_never_learn() -> None:
    problem, method = images(1), settings()
    state = begun(method, problem)
    seen = []
    for _ in range(3):
        method.step(state, problem, context())
        seen.append([p.detach().clone() for p in state.cohort.peers[0].backbone.parameters()])
    assert not torch.equal(seen[0][0], seen[1][0]) and not torch.equal(seen[1][0], seen[2][0])
    built = begun(method, problem).cohort.peers[0].backbone.parameters()
    assert all(map(torch.equal, seen[0], built))


def two_levels() -> Problem:
    """Three classes of even grey: two of 0 and 20, one of 100 and 140, in pixels of 255."""
    levels = np.array([0, 20, 100, 140, 0, 20], dtype=np.uint8)
    samples = np.broadcast_to(levels[:, None, None, None], (6, 1, 8, 8)).copy()
    problem = images(1)
    train = dataclasses.replace(problem.train, samples=samples, labels=np.array([0, 0, 1, 1, 2, 2]))
    return dataclasses.replace(problem, train=train)


def test_d14_classes_share_one_batch_where_there_is_batch_norm_and_keep_their_means() -> None:
    network = Normed()
    low, high = (torch.tensor(pair)[:, None] for pair in ([0.0, 2.0], [10.0, 14.0]))
    labels = torch.zeros(2, dtype=torch.long)
    batches = [Batch(low, labels), Batch(high, labels)]
    peer = begun(settings(), images(1)).cohort.peers[0]
    peer.backbone = network
    together = [float(one.detach().mean()) for one in settings()._features(peer, batches)]
    assert together == pytest.approx([-0.961, 0.961], abs=1e-3)
    alone = [float(settings()._features(peer, [one])[0].detach().mean()) for one in batches]
    assert alone == pytest.approx([0, 0], abs=1e-6)


def test_d14_a_batch_norm_does_not_blind_the_method_to_a_class_mean() -> None:
    problem = two_levels()
    method = settings(peers=(PeerSpec("normed"),), operations=(), real_batch=2)
    state = begun(method, problem, per_class=2)
    for label in problem.labels:  # each class at its own spread, but all around one level
        place = state.synthetic.where(label)
        state.synthetic.stored["pixels"][place] += 0.2 - 0.2 * label
    told = method.step(state, problem, context()).values["terms"]
    assert max(told) > 1e-2, "the means of the classes were normalised away"


def test_a_vit_a_batch_norm_and_several_peers_can_judge_packed_samples() -> None:
    problem = images(3)
    peers = tuple(PeerSpec(name) for name in ("vit_mini", "resnet_mini", "mlp"))
    method = settings(peers=peers, factor=2)
    state = begun(method, problem)
    before = state.synthetic.stored["pixels"].detach().clone()
    method.step(state, problem, context())
    assert bool((state.synthetic.stored["pixels"] != before).flatten(1).any(1).all())


def test_workers_that_share_classes_make_the_set_of_one_with_batch_norm_too() -> None:
    problem, method = images(3), settings(peers=(PeerSpec("resnet_mini"),))
    start = method.start(problem, 1, context())

    def after_two_steps(world: World) -> Tensor:
        own = Context(Streams(0), world)
        state = method.init(problem, start, own)
        for _ in range(2):
            method.step(state, problem, own)
        return state.synthetic.stored["pixels"]

    alone = after_two_steps(Solo())
    for shared in together(2, after_two_steps):
        torch.testing.assert_close(shared, alone, atol=0, rtol=0)


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"real_batch": 0}, {"operations": ("spin",)}])
def test_settings_that_cannot_be_are_refused_at_once(wrong: dict[str, object]) -> None:
    problem = images(1)
    start = settings().start(problem, 1, context())
    with pytest.raises(UsageError):
        settings(**wrong).init(problem, start, context())


def test_a_loss_that_is_not_finite_stops_with_class_and_step() -> None:
    problem, method = images(1), settings()
    state = begun(method, problem)
    state.synthetic.stored["pixels"][1] = float("nan")
    with pytest.raises(RunError, match="'band 1'.*step 0"):
        method.step(state, problem, context())
