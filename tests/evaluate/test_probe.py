"""The linear probe: its closed form, what it leaves alone, what it refuses."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from condensery.core.starts import random_start
from condensery.data import load_problem
from condensery.errors import RunError, UsageError
from condensery.evaluate import RECIPES, Labels, TestSamples, accuracy, evaluate, probe
from condensery.evaluate.soft import Lesson
from condensery.modality import Pixels
from condensery.models import PeerSpec, build
from condensery.models.backbone import Backbone
from condensery.streams import Streams
from condensery.types import Reading

PROBE = RECIPES["linear-probe"]


class Flat(Backbone):
    """Pixels as they are, times a number; its own head answers nothing."""

    def __init__(self, times: float = 1.0) -> None:
        super().__init__()
        self.times = nn.Parameter(torch.tensor(times))

    def look(self, x, mask, taps):
        flat = x.flatten(1) * self.times
        return Reading(flat.new_zeros(len(flat), 3), flat, ())


class Blind(Backbone):
    """A network without an embedding."""

    def look(self, x, mask, taps):
        return Reading(x.new_zeros(len(x), 3), None, ())


def generated(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def fitted(problem, drawn, backbone, recipe=PROBE, **more):
    batch = drawn().quantised().decode()
    return probe.probed(backbone, batch, recipe, Streams(0), problem.modality, 3, **more)


@pytest.mark.parametrize(("samples", "features"), [(40, 5), (6, 30)])
def test_the_solution_is_where_the_gradient_of_the_penalised_squares_is_zero(samples, features):
    x, y = generated(0, samples, features), generated(1, samples, 3)
    weight, offset = probe.ridge_regression(x, y, 0.7)
    penalty = 0.7 * float((x - x.mean(0)).square().sum()) / features
    left = x @ weight + offset - y
    assert torch.allclose(x.T @ left + penalty * weight, torch.zeros(1).double(), atol=1e-9)
    assert torch.allclose(left.sum(0), torch.zeros(3).double(), atol=1e-9)


def test_neither_larger_numbers_nor_doubled_samples_change_what_is_said():
    x, y = generated(0, 12, 20), generated(1, 12, 3)
    weight, offset = probe.ridge_regression(x, y, 3.0)
    large, shift = probe.ridge_regression(1000 * x, y, 3.0)
    assert torch.allclose(x @ weight + offset, 1000 * x @ large + shift)
    doubled, shift = probe.ridge_regression(torch.cat([x, x]), torch.cat([y, y]), 3.0)
    assert torch.allclose(doubled, weight) and torch.allclose(shift, offset)


def test_embeddings_that_are_all_equal_answer_with_the_mean():
    weight, offset = probe.ridge_regression(torch.ones(4, 2).double(), generated(0, 4, 3), 1.0)
    assert not weight.any()
    assert torch.allclose(offset, generated(0, 4, 3).mean(0))


def test_separable_classes_are_told_apart_and_the_network_stays_as_it_was(problem, drawn):
    body = Flat()
    made = fitted(problem, drawn, body)
    assert accuracy(made, TestSamples(problem)) == 1.0
    assert body.times.item() == 1.0 and not body.training
    assert made.weight.dtype == torch.float64


def test_a_probe_answers_as_the_frozen_network_s_embedding_times_its_weights(problem, drawn):
    spec = PeerSpec("convnet_mini", size=16)
    body = build(spec, problem.modality, 3, Streams(0)("weights"))
    made, batch = fitted(problem, drawn, body), problem.batch(slice(0, 5), "test")
    with torch.inference_mode():
        expected = body.read(batch).embedding.double() @ made.weight + made.offset
        assert torch.allclose(made(batch.x), expected)


def test_further_epochs_are_altered_views(problem, drawn, monkeypatch):
    seen = []
    true_embedded = probe.embedded

    def spy(backbone, batch):
        seen.append(batch.x)
        return true_embedded(backbone, batch)

    monkeypatch.setattr(probe, "embedded", spy)
    fitted(problem, drawn, Flat(), dataclasses.replace(PROBE, epochs=3))
    assert torch.equal(seen[0], drawn().quantised().decode().x)
    assert len(seen) == 3
    assert not torch.equal(seen[1], seen[0]) and not torch.equal(seen[1], seen[2])


def test_soft_targets_are_what_is_regressed_on(problem, drawn):
    teacher = build(PeerSpec("mlp"), problem.modality, 3, Streams(3)("weights")).eval()
    lesson = Lesson(Labels("live"), teacher, problem.modality)
    batch = drawn().quantised().decode()
    made = fitted(problem, drawn, Flat(), lesson=lesson)
    soft = torch.softmax(teacher(batch.x), 1).double().detach()
    weight, _ = probe.ridge_regression(batch.x.flatten(1).double(), soft, PROBE.ridge)
    assert torch.allclose(made.weight, weight)


def test_a_probe_gives_the_same_number_twice_and_whatever_the_seed(problem, drawn):
    rows = {"ours": [(0, drawn())]}
    modules = {"flat": Flat}
    found = evaluate(rows, problem, ["flat"], recipe=PROBE, seeds=(0, 1, 0x7), modules=modules)
    assert len({one.accuracy for one in found}) == 1
    assert (found[0].updates, found[0].epochs) == (0, 1)


def test_a_network_without_an_embedding_is_refused(problem, drawn):
    with pytest.raises(UsageError, match="Blind has no embedding"):
        fitted(problem, drawn, Blind())


def test_an_embedding_that_is_not_finite_is_said(problem, drawn):
    with pytest.raises(RunError, match="not finite"):
        fitted(problem, drawn, Flat(float("nan")))


def test_checks_on_the_way_are_refused(problem, drawn):
    with pytest.raises(UsageError, match="--check-every"):
        evaluate({"a": [(0, drawn())]}, problem, ["mlp"], recipe="linear-probe", check_every=1)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "weights", "size", "least"),
    [("tf_efficientnet_lite0", "efficientnet_lite0/timm_tf_efficientnet_lite0.safetensors", 112,
      0.5),
     ("transformers", "vit_small_14_saliency", 56, 0.35)],
)  # fmt: skip
def test_pretrained_networks_tell_cifar_classes_from_ten_images_of_each(
    real_data, name, weights, size, least
):
    problem = load_problem("cifar10", data_dir=real_data)
    small = dataclasses.replace(problem, test=_first(problem.test, 200))
    rows = {"random": [(0, random_start(problem, 10, Pixels(), Streams(0)))]}
    spec = PeerSpec(name, weights=str(real_data / "weights" / weights), size=size)
    (found,) = evaluate(rows, small, [spec], recipe="linear-probe", seeds=(0,))
    assert found.accuracy > least


def _first(split, count):
    return type(split)(split.samples[:count], split.labels[:count])
