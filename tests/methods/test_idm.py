"""IDM: its loss in closed form, its queue, its settings, and what each of them changes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import IDM_SETTINGS, images
from condensery.core.cohort import Peer
from condensery.core.features import class_by_class
from condensery.data.problem import Problem
from condensery.errors import RunError, UsageError
from condensery.methods import IDM, Context
from condensery.methods.idm import IDMState, Member, Queue, terms
from condensery.modality import Image, Pixels
from condensery.models import Backbone, PeerSpec
from condensery.presets import PRESETS
from condensery.streams import Streams
from condensery.types import Batch, Reading
from condensery.world import Solo
from methods.test_conformance import context, leaves, leaves_of, same

GREY = Image((1, 32, 32), (0.0,), (1.0,))


class Flat(Backbone):
    """Pixels are the features; logits are all equal."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(classes))

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        flat = x.flatten(1)
        return Reading(self.bias + 0 * flat[:, :1], flat, ())


def small(**changes: Any) -> IDM:
    """The instance of ``cases.py`` with other settings."""
    return IDM(**{**IDM_SETTINGS, **changes})


def begun(method: IDM, problem: Problem, per_class: int = 1, about: Context | None = None
          ) -> IDMState:  # fmt: skip
    about = about or context()
    return method.init(problem, method.start(problem, per_class, about), about)


def member(number: int, made: list[int] | None = None) -> Member:
    network = Flat()
    return Member(Peer(PeerSpec("flat"), network, torch.optim.SGD(network.parameters(), 0.1)),
                  number)  # fmt: skip


# Partitioning, as the authors' code has it at factor 2.


def test_a_tile_is_the_mean_of_two_by_two_pixels() -> None:
    x = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    stored = IDM().codec(images()).encode(x, GREY)["pixels"]
    expected = F.avg_pool2d(x, 2)
    tiles = stored.unfold(2, 16, 16).unfold(3, 16, 16)[0, 0].reshape(4, 16, 16)
    torch.testing.assert_close(tiles, expected[:, 0], atol=1e-6, rtol=0)


def test_enlarging_a_row_steps_by_quarters_and_weighs_every_pixel_by_four() -> None:
    codec, tiny = Pixels(2), Image((1, 8, 8), (0.0,), (1.0,))
    row = torch.arange(4.0).repeat(8, 2)[None, None].clone().requires_grad_()
    large = codec.decode({"pixels": row}, tiny)
    torch.testing.assert_close(
        large[0, 0, 0], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    )
    torch.testing.assert_close(large.mean((1, 2, 3)), torch.full((4,), 1.5))
    (gradient,) = torch.autograd.grad(large.sum(), row)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 4.0))
    torch.testing.assert_close(
        Pixels(2, corners=True).decode({"pixels": row}, tiny)[0, 0, 0], torch.arange(8) * 3 / 7
    )


def test_decoding_is_linear() -> None:
    codec, generator = Pixels(2), torch.Generator().manual_seed(0)
    x, y = (torch.rand(3, 1, 32, 32, generator=generator) for _ in range(2))
    one, other = (codec.decode({"pixels": part}, GREY) for part in (x, y))
    torch.testing.assert_close(codec.decode({"pixels": 2 * x - 3 * y}, GREY), 2 * one - 3 * other)


# The loss of one class.


def test_the_matching_of_constant_images_is_their_squared_difference_times_the_width() -> None:
    real = Batch(torch.full((5, 1, 32, 32), 0.25), torch.zeros(5, dtype=torch.long))
    stored = torch.full((3, 1, 32, 32), 1.0, requires_grad=True)
    decoded = Pixels(2, space="normalised").decode({"pixels": stored}, GREY)
    gap, _ = terms(Flat(), real, Batch(decoded, torch.zeros(12, dtype=torch.long)))
    torch.testing.assert_close(gap, torch.tensor(1024 * 0.75**2))
    (gradient,) = torch.autograd.grad(gap, stored)
    torch.testing.assert_close(gradient, torch.full_like(stored, 2 * 0.75 / 3))


def test_the_cross_entropy_is_a_mean_and_that_of_equal_logits_is_the_log_of_the_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    real = Batch(torch.rand(2, 1, 8, 8, generator=generator), torch.ones(2, dtype=torch.long))
    x = torch.rand(4, 1, 8, 8, generator=generator)
    for copies in (1, 2):
        batch = Batch(x.repeat(copies, 1, 1, 1), torch.ones(4 * copies, dtype=torch.long))
        _, entropy = terms(Flat(), real, batch)
        torch.testing.assert_close(entropy, torch.tensor(math.log(3)))


@pytest.mark.parametrize(("right", "factor"), [(0, 0.0), (6, 30.0)])
def test_the_cross_entropy_counts_by_the_accuracy_in_percent(right: int, factor: float) -> None:
    problem, method = images(), small(operations=())
    about = Context(Streams(0), Solo(), modules={"flat": Flat})
    state = begun(IDM(peer=PeerSpec("flat"), operations=(), weight=0.5), problem, about=about)
    judge = state.queue.members[0]
    judge.right, judge.seen = right, 10
    _, entropy = method._pull(state, problem, 0, judge, about)
    assert entropy == pytest.approx(factor * math.log(3), rel=1e-6)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_step_moves_each_class_against_the_gradient_of_its_own_loss(factor: int) -> None:
    problem = images(counts=(9, 9, 9))
    method = small(operations=(), factor=factor, real_batch=100, clamp=False, momentum=0.0, lr=1.0)
    state = begun(method, problem, per_class=2)
    judge = next(one for one in _after_push(state).draw(1, Streams(0)("judge", 0)))
    judge.right, judge.seen = 1, 4
    before = {label: leaves_of(state.synthetic, label)["pixels"].clone() for label in range(3)}
    expected = {}
    for label in problem.labels:
        leaf = before[label].clone().requires_grad_()
        decoded = state.synthetic.codec.decode({"pixels": leaf}, problem.modality)
        features = judge.peer.backbone.read(problem.batch(problem.of(label))).embedding.mean(0)
        reading = judge.peer.backbone.read(Batch(decoded, torch.tensor([label] * len(decoded))))
        loss = (features.detach() - reading.embedding.mean(0)).square().sum()
        loss = loss - 0.5 * 25 * reading.logits.log_softmax(1)[:, label].mean()
        expected[label] = torch.autograd.grad(loss, leaf)[0]
    state.queue.push = lambda: None  # type: ignore[method-assign]
    method.step(state, problem, context())
    units = problem.modality.std[0]  # type: ignore[attr-defined]
    for label in problem.labels:
        moved = before[label] - leaves_of(state.synthetic, label)["pixels"]
        torch.testing.assert_close(moved, expected[label] * units**2, rtol=1e-3, atol=1e-4)


def _after_push(state: IDMState) -> Queue:
    state.queue.push()
    return state.queue


def test_the_gradient_of_a_class_leaves_the_other_classes_alone() -> None:
    problem, method = images(), small()
    state = begun(method, problem)
    method._pull(state, problem, 1, state.queue.members[0], context())
    gradient = state.synthetic.stored["pixels"].grad
    assert gradient is not None
    assert [bool(gradient[label].any()) for label in range(3)] == [False, True, False]


def test_a_loss_that_is_not_finite_stops_with_class_and_step() -> None:
    problem, method = images(), small()
    state = begun(method, problem)
    judge = state.queue.members[0]
    with torch.no_grad():
        judge.peer.parameters[0].fill_(float("nan"))
    with pytest.raises(RunError, match="'band 1'.*step 0"):
        method._pull(state, problem, 1, judge, context())


# One step for all classes in place of one after each.


@pytest.mark.parametrize(("classes", "rate", "kept"), [(3, 0.35, 0.125), (10, 0.3996, 0.000977)])
def test_one_step_visits_the_positions_of_a_step_after_each_class(
    classes: int, rate: float, kept: float
) -> None:
    lr, momentum = class_by_class(0.2, 0.5, classes)
    assert (lr, momentum) == pytest.approx((rate, kept), rel=1e-3)
    goals = torch.arange(1.0, classes + 1).double()

    def seen(lr: float, momentum: float, each: bool) -> list[list[float]]:
        """Positions of the classes whenever their gradient is taken, sweep by sweep."""
        place = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.SGD([place], lr=lr, momentum=momentum)
        found = []
        for _ in range(6):
            sweep = []
            place.grad = torch.zeros_like(place)
            for label in range(classes):
                sweep.append(float(place.detach()[label]))
                place.grad[label] += 0.3 * (place.detach()[label] - goals[label])
                if each:
                    optimiser.step()
                    place.grad = torch.zeros_like(place)
            if not each:
                optimiser.step()
            found.append(sweep)
        return found

    alone, together = seen(0.2, 0.5, each=True), seen(lr, momentum, each=False)
    torch.testing.assert_close(torch.tensor(alone), torch.tensor(together))


def test_the_optimiser_is_that_of_a_sweep_or_as_given() -> None:
    problem = images()
    swept, once = (
        begun(small(sweep=sweep), problem).optimiser.param_groups[0]
        for sweep in ("classes", "once")
    )
    assert (swept["lr"], swept["momentum"]) == pytest.approx((0.35, 0.125))
    assert (once["lr"], once["momentum"]) == (0.2, 0.5)


# The queue.


def counted(capacity: int) -> Queue:
    return Queue(lambda number: member(number).peer, capacity)


def test_the_queue_grows_by_one_every_thirty_steps_and_the_oldest_leaves_first() -> None:
    queue, left = counted(100), []
    for _ in range(3):
        queue.push()
    for step in range(3200):
        if step % 30 == 0:
            oldest = queue.members[0].number
            queue.push()
            if queue.members[0].number != oldest:
                left.append((step, oldest))
        assert len(queue.members) == min(100, 4 + step // 30)
    assert left[0] == (2910, 0) and [number for _, number in left] == list(range(len(left)))


def test_network_optimiser_and_accuracy_leave_together() -> None:
    queue = counted(2)
    for _ in range(2):
        queue.push()
    first, second = queue.members
    first.right = first.seen = 5
    queue.push()
    assert queue.members[0] is second and len(queue.members) == 2
    assert all(one.seen == 0 for one in queue.members)
    assert queue.members[1].peer is not first.peer
    assert queue.members[1].peer.optimiser is not first.peer.optimiser


def test_a_network_of_a_full_queue_learns_as_often_as_its_life_and_its_luck_allow() -> None:
    queue, steps, ends = counted(10), {}, []
    for _ in range(10):
        queue.push()
    for step in range(6000):
        if step % 5 == 0:
            oldest = queue.members[0].number
            queue.push()
            if oldest >= 10:  # those at the beginning did not have a full life
                ends.append(steps.pop(oldest, 0))
        for one in queue.draw(2, Streams(0)("learners", step)):
            steps[one.number] = steps.get(one.number, 0) + 3
    assert sum(ends) / len(ends) == pytest.approx(2 * 5 * 3, rel=0.05)


def test_the_networks_that_learn_are_distinct_and_all_have_their_turn() -> None:
    queue = counted(5)
    for _ in range(5):
        queue.push()
    drawn = [[one.number for one in queue.draw(2, Streams(0)("x", step))] for step in range(200)]
    assert all(len(set(pair)) == 2 for pair in drawn)
    assert {number for pair in drawn for number in pair} == set(range(5))
    assert len(queue.draw(9, Streams(0)("x"))) == 5


def test_an_accuracy_counts_before_the_step_and_is_nothing_once_forgotten() -> None:
    one = member(0)
    assert one.accuracy == 0
    batch = Batch(torch.zeros(4, 1, 2, 2), torch.tensor([0, 0, 0, 1]))
    loss, right = one.peer.learn(batch)  # equal logits: the first class is the answer
    assert (loss, right) == (pytest.approx(math.log(3)), 3)
    one.right, one.seen = right, 4
    queue = Queue(lambda number: member(number).peer, 1, members=[one])
    assert one.accuracy == 0.75
    queue.forget()
    assert one.accuracy == 0


def test_accuracies_are_forgotten_at_their_interval_and_not_before() -> None:
    problem, method = images(), small(first=2, capacity=2, push_every=100, learners=2)
    state, seen = begun(method, problem), []
    for _ in range(5):
        method.step(state, problem, context())
        seen.append(max(one.seen for one in state.queue.members))
    assert seen == [8, 16, 24, 8, 16]


def batches_of_a_step(method: IDM) -> list[Tensor]:
    problem, found = images(), []
    state = begun(method, problem)

    def learn(batch: Batch) -> tuple[float, int]:
        found.append(batch.x)
        return 0.0, 0

    chosen = state.queue.members[0]
    chosen.peer.learn = learn  # type: ignore[method-assign]
    method._learn(chosen, problem, context(), step=0)
    return found


def test_a_network_learns_from_other_samples_each_time_unless_told_to_repeat() -> None:
    fresh = batches_of_a_step(small(learn_steps=4))
    assert all(not same(fresh[i], fresh[j]) for i in range(4) for j in range(i))
    stale = batches_of_a_step(small(learn_steps=4, repeat_batch=True))
    assert not same(stale[0], stale[1])
    assert same(stale[1], stale[2]) and same(stale[1], stale[3])


# Settings.

TABLE = {  # (classes, side, per class): real batch, push every, learn steps, weight
    (10, 32, 1): (5000, 5, 10, 0.5),
    (10, 32, 10): (256, 30, 10, 0.5),
    (10, 32, 50): (256, 30, 10, 0.1),
    (100, 32, 1): (5000, 5, 10, 0.5),
    (100, 32, 10): (256, 30, 50, 0.1),
    (100, 32, 50): (256, 30, 40, 0.1),
    (200, 64, 1): (256, 30, 10, 0.5),
    (200, 64, 10): (256, 30, 10, 0.5),
    (200, 64, 50): (256, 30, 50, 0.8),
}


@pytest.mark.parametrize(("key", "expected"), TABLE.items())
def test_the_papers_settings_are_those_of_its_list(
    key: tuple[int, int, int], expected: tuple[float, ...]
) -> None:
    classes, side, per_class = key
    modality, names = Image((3, side, side), (0.5,) * 3, (0.5,) * 3), map(str, range(classes))
    problem = dataclasses.replace(images(3), modality=modality, label_names=tuple(names))
    plan = PRESETS["paper"]("idm", problem, per_class)
    made = plan.method
    assert isinstance(made, IDM) and plan.steps == 20_000
    assert (made.real_batch, made.push_every, made.learn_steps, made.weight) == expected
    common = (made.lr, made.momentum, made.capacity, made.learners, made.factor, made.train_batch)
    assert common == (0.2, 0.5, 100, 2, 2, 256)
    assert (made.peer.lr, made.peer.momentum, made.peer.weight_decay) == (0.01, 0.9, 5e-4)


def test_a_real_batch_is_never_larger_than_its_class() -> None:
    problem = images(counts=(8, 17, 11))
    method = small(real_batch=5000)
    state = begun(method, problem)
    sizes = [
        len(method._pair(state, problem, label, state.synthetic.of(label), context())[0].y)
        for label in problem.labels
    ]
    assert sizes == [8, 17, 11]


@pytest.mark.parametrize(("limit", "expected"), [(None, 8), (2, 2), (50, 8)])
def test_all_decoded_samples_are_matched_unless_a_limit_is_set(
    limit: int | None, expected: int
) -> None:
    problem, method = images(), small(synthetic_batch=limit)
    state = begun(method, problem, per_class=2)
    _, synthetic = method._pair(state, problem, 0, state.synthetic.of(0), context())
    assert len(synthetic.y) == expected


@pytest.mark.parametrize(
    "wrong",
    [{"lr": 0.0}, {"real_batch": 0}, {"capacity": 1}, {"push_every": 0}, {"momentum": 1.0},
     {"learners": -1}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_in_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="^idm: [^\n]*$"):
        begun(small(**wrong), images())


@pytest.mark.parametrize("name", ["vit_mini", "resnet_mini", "mlp"])
def test_any_network_can_judge_and_only_learning_changes_it(name: str) -> None:
    problem = images(3)
    method = small(peer=PeerSpec(name, lr=1e-3), learners=0)
    state = begun(method, problem)
    before = leaves(state.synthetic)
    state.queue.push = lambda: None  # type: ignore[method-assign]
    held = [
        {key: value.clone() for key, value in one.peer.backbone.state_dict().items()}
        for one in state.queue.members
    ]
    method.step(state, problem, context())
    assert not same(leaves(state.synthetic), before)
    for one, kept in zip(state.queue.members, held, strict=True):
        assert same(dict(one.peer.backbone.state_dict()), kept)
        assert all(parameter.grad is None for parameter in one.peer.parameters)


def test_learning_leaves_the_set_alone() -> None:
    problem, method = images(), small()
    state = begun(method, problem)
    before = leaves(state.synthetic)
    method._learn(state.queue.members[0], problem, context(), step=0)
    assert same(leaves(state.synthetic), before)


def test_hmdcs_authors_differ_by_fields_alone() -> None:
    made = PRESETS["hmdc-authors"]("idm", images(), 10).method
    assert isinstance(made, IDM)
    assert made.synthetic_batch == 10 and made.sweep == "once" and made.repeat_batch
    assert made.peer.momentum == 0 and made.corners and made.mixup == made.mixup_in_matching == 0.5
