"""Training one network: what moves, what does not, and what is tested."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from condensery import models
from condensery.errors import RunError
from condensery.evaluate import RECIPES, Recipe, Schedule, TestSamples, accuracy, train_network
from condensery.evaluate import train as training
from condensery.evaluate.soft import Lesson
from condensery.modality import Image
from condensery.models.backbone import Backbone, PeerSpec
from condensery.streams import Streams
from condensery.types import Batch, Reading

SHORT = Recipe("short", updates=20, batch=64, lr=0.02)


class Normed(Backbone):
    """A linear network behind a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(64)
        self.linear = nn.Linear(64, 3)

    def look(self, x, mask, taps):
        flat = self.norm(x.flatten(1))
        return Reading(self.linear(flat), flat, ())


def fitted(problem, drawn, recipe=SHORT, frozen=False, watch=None):
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    network = Normed()
    torch.set_rng_state(torch_state)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batch = drawn().quantised().decode()
    training.fit(network, batch, recipe, Streams(0), problem.modality, 3, frozen, watch)
    return network, before


def test_after_a_restart_the_optimiser_holds_the_live_parameters(problem):
    network = models.build(PeerSpec("convnet_mini"), problem.modality, 3, Streams(0)("weights"))
    network.restart(Streams(1)("weights"))
    for recipe in (SHORT, dataclasses.replace(SHORT, optimiser="adamw")):
        optimiser = training.make_optimiser(network, recipe)
        held = {id(one) for group in optimiser.param_groups for one in group["params"]}
        assert held == {id(one) for one in network.parameters()}


@pytest.mark.parametrize("name", ["convnet_mini", "vit_mini"])
def test_every_parameter_moves(problem, drawn, name):
    recipe = dataclasses.replace(SHORT, updates=3)
    fresh = models.build(PeerSpec(name), problem.modality, 3, Streams(0)("weights"))
    trained = train_network(drawn(), PeerSpec(name), recipe, Streams(0))
    before = dict(fresh.named_parameters())
    still = [key for key, one in trained.named_parameters() if torch.equal(one, before[key])]
    assert still == []


def test_the_rates_that_the_optimiser_gets_are_the_schedule_s(problem, drawn, monkeypatch):
    rates = []
    true_update = training._update

    def spy(backbone, optimiser, rate, batch, lesson):
        loss = true_update(backbone, optimiser, rate, batch, lesson)
        rates.append(optimiser.param_groups[0]["lr"])
        return loss

    monkeypatch.setattr(training, "_update", spy)
    schedule = Schedule("multistep", at=(2 / 3, 5 / 6), factor=0.2)
    fitted(problem, drawn, Recipe("x", epochs=6, lr=0.1, schedule=schedule))
    assert rates == pytest.approx([0.1] * 4 + [0.02, 0.004])


def test_separable_classes_are_learned_to_the_last_sample(problem, drawn):
    samples = TestSamples(problem)
    recipe = Recipe("x", updates=60, lr=0.02, operations=(), mix=0)
    trained = train_network(drawn(), PeerSpec("mlp"), recipe, Streams(0))
    assert accuracy(trained, samples) == 1.0


def test_training_leaves_the_set_as_it_was(drawn):
    synthetic = drawn()
    before = synthetic.clone()
    train_network(synthetic, PeerSpec("mlp"), SHORT, Streams(0))
    assert torch.equal(synthetic.stored["pixels"], before.stored["pixels"])
    assert torch.equal(synthetic.labels, before.labels)


def test_networks_are_trained_on_the_eight_bit_form(drawn):
    synthetic = drawn()
    nudged = synthetic.clone()
    nudged.stored["pixels"] = (nudged.stored["pixels"] + 0.4 / 255).clamp(0, 1)
    one, other = (train_network(x, PeerSpec("mlp"), SHORT, Streams(0)) for x in (synthetic, nudged))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_same_streams_train_the_same_network_and_others_do_not(drawn):
    spec = PeerSpec("vit_mini")
    one, same, other = (
        next(train_network(drawn(), spec, SHORT, Streams(seed)).parameters()) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_loss_that_is_not_finite_says_the_epoch(problem, drawn):
    with pytest.raises(RunError, match="not finite in epoch"):
        fitted(problem, drawn, dataclasses.replace(SHORT, lr=1e30))


def test_frozen_statistics_stay_and_others_are_learned(problem, drawn):
    network, before = fitted(problem, drawn, frozen=True)
    assert torch.equal(network.norm.running_mean, before["norm.running_mean"])
    assert not torch.equal(network.norm.weight, before["norm.weight"])
    network, before = fitted(problem, drawn, frozen=False)
    assert not torch.equal(network.norm.running_mean, before["norm.running_mean"])


def test_statistics_go_on_being_learned_after_a_check(problem, drawn):
    samples, modes = TestSamples(problem), []

    def watch(epoch, backbone):
        modes.append(backbone.training)
        accuracy(backbone, samples)

    checked, _ = fitted(problem, drawn, watch=watch)
    plain, _ = fitted(problem, drawn)
    assert modes == [True] * 20
    assert torch.equal(checked.norm.running_mean, plain.norm.running_mean)
    assert torch.equal(checked.linear.weight, plain.linear.weight)


def test_a_look_after_every_update_changes_nothing(problem, drawn):
    samples, looks = TestSamples(problem), []

    def look(update, backbone):
        looks.append((update, backbone.training))
        accuracy(backbone, samples)

    recipe = dataclasses.replace(SHORT, updates=5, batch=2)
    batch, trained = drawn().quantised().decode(), []
    for after_update in (look, None):
        with torch.random.fork_rng():
            network = Normed()
        network.load_state_dict({
            name: torch.linspace(0, 1, one.numel()).view_as(one).to(one)
            for name, one in network.state_dict().items()
        })  # fmt: skip
        training.fit(network, batch, recipe, Streams(0), problem.modality, 3,
                     after_update=after_update)  # fmt: skip
        trained.append(network.state_dict())
    assert looks == [(update, True) for update in range(1, 6)]
    assert all(torch.equal(trained[0][name], one) for name, one in trained[1].items())


def test_cutmix_gives_labels_that_sum_to_one_at_its_probability(problem, drawn):
    batch = drawn().decode()
    alter = training._altering(Recipe("x", mix=0.5), Streams(0), problem.modality, 3, Lesson())
    mixed = [out for out in (alter(batch) for _ in range(200)) if out.y.ndim == 2]
    assert 70 < len(mixed) < 130
    assert all(torch.allclose(out.y.sum(1), torch.ones(6)) for out in mixed)
    never = training._altering(Recipe("x", mix=0), Streams(0), problem.modality, 3, Lesson())
    assert all(never(batch).y.ndim == 1 for _ in range(20))


def test_accuracy_does_not_depend_on_the_batch_nor_change_the_network(problem, drawn):
    network, _ = fitted(problem, drawn)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = {accuracy(network, TestSamples(problem, size=size)) for size in (1, 7, 64, 1000)}
    assert len(found) == 1
    assert all(torch.equal(before[name], one) for name, one in network.state_dict().items())


def test_accuracy_is_the_part_that_a_naive_loop_counts(problem, drawn):
    network, _ = fitted(problem, drawn)
    network.eval()
    batch = problem.batch(slice(None), "test")
    with torch.no_grad():
        right = [
            int(network(batch.x[[i]])[0].argmax()) == int(batch.y[i]) for i in range(len(batch.y))
        ]
    assert accuracy(network, TestSamples(problem)) == pytest.approx(sum(right) / len(right))


def test_test_samples_are_normalised_as_the_set_is_and_kept_or_not_alike(problem, monkeypatch):
    foreign = Image((1, 8, 8), (0.0,), (1.0,))
    kept = TestSamples(problem, "test", foreign, size=40)
    monkeypatch.setattr(training, "KEPT_BYTES", 0)
    streamed = TestSamples(problem, "test", foreign, size=40)
    assert len(kept) == len(streamed) == 90
    for one, other in zip(kept, streamed, strict=True):
        assert isinstance(one, Batch)
        assert torch.equal(one.x, other.x)
        assert float(one.x.min()) >= 0 and float(one.x.max()) <= 1
    whole = torch.cat([batch.x for batch in kept])
    assert torch.allclose(whole, torch.from_numpy(problem.test.samples).float() / 255)


def test_the_recipes_train_on_this_data(problem, drawn):
    for recipe in RECIPES.values():
        updates = 2 if recipe.solver == "descent" else None
        short = dataclasses.replace(recipe, epochs=2, updates=updates)
        train_network(drawn(), PeerSpec("convnet_mini"), short, Streams(0))


def test_a_test_counts_which_class_is_taken_for_which(problem):
    samples, right = TestSamples(problem), torch.zeros(3, 3, dtype=torch.int64)
    network = models.build(PeerSpec("convnet_mini"), problem.modality, 3, Streams(0)("weights"))
    for batch in samples:
        for true, named in zip(batch.y, network.eval()(batch.x).argmax(1), strict=True):
            right[true, named] += 1
    found = training.tested(network, samples)
    assert found.confusion == right.tolist()
    assert found.accuracy == pytest.approx(float(right.diagonal().sum() / right.sum()))
    assert found.class_accuracy == pytest.approx((right.diagonal() / right.sum(1)).tolist())


def test_in_sixteen_bits_small_samples_are_tested_more_at_once(problem, monkeypatch):
    assert len(problem.test) == 90
    network = models.build(PeerSpec("convnet_mini"), problem.modality, 3, Streams(0)("weights"))
    seen = []

    def sizes(precision):
        seen.clear()
        training.tested(network, TestSamples(problem, size=10), precision)
        return list(seen)

    def answered(batch, mask=None):
        seen.append(len(batch))
        return torch.zeros(len(batch), 3)

    monkeypatch.setattr(training, "_laid_out", lambda *given: answered)
    assert sizes("float32") == [10] * 9
    assert sizes("bfloat16") == [40, 40, 10]
    monkeypatch.setattr(training, "LOW_BYTES", 40 * 8 * 8 * 4 - 1)
    assert sizes("bfloat16") == [10] * 9


def test_sixteen_bits_name_nearly_the_same_classes_and_leave_the_network_alone(problem, drawn):
    network = train_network(drawn(), PeerSpec("convnet_mini"), RECIPES["quick"], Streams(0))
    before = {name: one.clone() for name, one in network.state_dict().items()}
    exact, coarse = training.tested(network, TestSamples(problem)), None
    coarse = training.tested(network, TestSamples(problem), "bfloat16")
    assert abs(exact.accuracy - coarse.accuracy) <= 0.05
    assert (exact.precision, coarse.precision) == ("float32", "bfloat16")
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(before[name].stride() == after[name].stride() for name in before)
