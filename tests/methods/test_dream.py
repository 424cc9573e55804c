"""DREAM: which real samples it chooses, when, and where its set starts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from cases import IDC_SETTINGS, images
from condensery.core import sampling
from condensery.core.matching import matched, parameter_gradients
from condensery.core.sampling import embed, representatives, spokesmen
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods import DREAM, IDC
from condensery.methods.dream import DREAMState
from condensery.models.backbone import PeerSpec
from condensery.presets import PRESETS
from condensery.streams import Streams
from methods.test_conformance import context, same
from methods.test_idc import PLAIN, like, weights

CPU = torch.device("cpu")


def small(**changes: Any) -> DREAM:
    """The instance of ``cases.py`` from a network as it was drawn, with other settings."""
    return DREAM(**{**IDC_SETTINGS, **PLAIN, "interval": 2, **changes})


def begun(method: DREAM, problem: Problem, per_class: int = 1) -> DREAMState:
    return method.init(problem, method.start(problem, per_class, context()), context())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The choice.


@pytest.mark.parametrize("seed", range(5))
def test_of_two_pairs_on_a_line_one_of_each_is_chosen(seed: int) -> None:
    chosen = representatives(torch.tensor([[0.0], [1.0], [10.0], [11.0]]), 2, generator(seed))
    assert sorted(one // 2 for one in chosen) == [0, 1]


def test_as_many_as_there_are_samples_is_all_of_them_and_one_is_nearest_to_the_mean() -> None:
    points = torch.randn(9, 3, generator=generator())
    assert sorted(representatives(points, 9, generator())) == list(range(9))
    assert sorted(representatives(points, 20, generator())) == list(range(9))
    nearest = (points - points.mean(0)).norm(dim=1).argmin()
    assert representatives(points, 1, generator()) == [int(nearest)]


def test_the_samples_are_those_nearest_to_the_clusters_of_their_class_for_this_network() -> None:
    problem, method = images(1, (30, 20, 25)), small()
    state = begun(method, problem)
    method.prepare(state, problem, context())
    for label in problem.labels:
        positions = problem.of(label)
        features = embed(state.peer.backbone, problem, positions, CPU)
        expected = representatives(features, 4, context().streams("choose", 0, label))
        real = method.real(state, problem, label, context())
        assert real.tolist() == positions[expected].tolist()


def test_a_class_of_few_gives_all_it_has() -> None:
    problem, method = images(1, (5, 12, 12)), small(real_batch=8)
    state = begun(method, problem)
    method.prepare(state, problem, context())
    assert sorted(method.real(state, problem, 0, context()).tolist()) == problem.of(0).tolist()
    assert len(method.real(state, problem, 1, context())) == 8


def test_workers_add_their_classes_to_the_choice_of_all() -> None:
    problem = images(1)
    backbone = begun(small(), problem).peer.backbone
    parts = [
        spokesmen(backbone, problem, labels, 4, Streams(0), ("choose", 0), CPU)
        for labels in ([0, 1, 2], [0, 2], [1])
    ]
    assert torch.equal(parts[0], parts[1] + parts[2])


def test_choosing_records_no_gradient_and_leaves_network_and_generators_alone() -> None:
    problem, method = images(3), small(peer=PeerSpec("resnet_mini"))
    state = begun(method, problem)
    before, drawn = weights(state.peer), torch.get_rng_state()
    method.prepare(state, problem, context())
    assert same(before, weights(state.peer)) and state.peer.backbone.training
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(one.grad is None for one in state.peer.backbone.parameters())


def test_samples_stay_for_an_interval_and_are_chosen_anew_by_each_fresh_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    asked = sampling.embed

    def watched(backbone: Any, problem: Problem, positions: Any, device: Any) -> Any:
        calls.append(len(positions))
        return asked(backbone, problem, positions, device)

    problem, method = images(1, (30, 30, 30)), small(interval=10, restart_every=25)
    state = begun(method, problem)
    monkeypatch.setattr(sampling, "embed", watched)
    changed = []
    for step in range(51):
        before = state.chosen.clone()
        calls.clear()
        method.step(state, problem, context())
        assert len(calls) in (0, 3)
        assert calls or torch.equal(before, state.chosen)
        changed += [step] if calls else []
    assert changed == [0, 10, 20, 25, 35, 45, 50]


def test_candidates_bound_what_is_clustered(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    asked = sampling.embed

    def watched(backbone: Any, problem: Problem, positions: Any, device: Any) -> Any:
        sizes.append(len(positions))
        return asked(backbone, problem, positions, device)

    problem, method = images(1, (40, 9, 25)), small(candidates=10)
    state = begun(method, problem)
    monkeypatch.setattr(sampling, "embed", watched)
    method.prepare(state, problem, context())
    assert sizes == [10, 9, 10]


def test_with_all_samples_chosen_the_gradient_is_that_of_the_whole_class() -> None:
    problem = images(1)
    method = small(real_batch=12, interval=1, operations=())
    state = begun(method, problem)
    method.prepare(state, problem, context())
    backbone = state.peer.backbone
    for label in problem.labels:
        found = []
        for positions in (method.real(state, problem, label, context()), problem.of(label)):
            batch = problem.batch(positions)
            loss = torch.nn.functional.cross_entropy(backbone(batch.x), batch.y)
            found.append(parameter_gradients(loss, matched(backbone), graph=False))
        for one, whole in zip(*found, strict=True):
            assert one is not None and whole is not None
            torch.testing.assert_close(one, whole, rtol=1e-4, atol=1e-6)


# The start.


@pytest.mark.parametrize("factor", [1, 2])
def test_a_start_holds_distinct_samples_that_the_first_network_chose(factor: int) -> None:
    problem, method = images(3, (30, 20, 25)), small(factor=factor)
    start = method.start(problem, 2, context())
    first = begun(method, problem).peer.backbone  # as it was drawn, and the first to match
    for label in problem.labels:
        positions = problem.of(label)
        features = embed(first, problem, positions, CPU)
        key = context().streams.child("start")("start kmeans", label)
        chosen = representatives(features, 2 * factor**2, key, distinct=True)
        assert len(set(chosen)) == 2 * factor**2
        real = problem.samples(positions[np.array(chosen)])
        stored = method.codec(problem).encode(real, problem.modality)
        assert same(stored, start.of(label))


def test_a_start_takes_every_second_pixel() -> None:
    problem = images(1)
    start = small().start(problem, 1, context())
    samples = torch.from_numpy(problem.train.samples.astype(np.float32)) / 255
    tile = start.stored["pixels"][0, :, :4, :4]
    gaps = (samples[:, :, ::2, ::2] - tile).abs().amax((1, 2, 3))
    assert float(gaps.min()) < 1e-6


# Settings.


def test_it_is_idc_with_other_defaults_and_an_interval() -> None:
    idc, dream = dataclasses.asdict(IDC()), dataclasses.asdict(DREAM())
    changed = {name: dream[name] for name in dream if dream[name] != idc.get(name)}
    assert changed == {
        "start_from": "kmeans", "real_batch": 128, "train_batch": 128, "interval": 10,
    }  # fmt: skip


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="dream: interval"):
        DREAM(interval=0)
    with pytest.raises(UsageError, match="dream: lr"):
        DREAM(lr=0.0)


@pytest.mark.parametrize(
    ("side", "per_class", "expected"),
    [
        (32, 1, {"lr": 5e-3, "real_batch": 128, "train_samples": 2000}),
        (32, 50, {"lr": 5e-3, "real_batch": 128, "train_samples": 2000}),
        (64, 10, {"lr": 5e-3, "real_batch": 64, "train_samples": 1000}),
        (64, 50, {"lr": 1e-6, "real_batch": 64, "train_samples": 1000}),
    ],
)
def test_the_papers_constants(side: int, per_class: int, expected: dict[str, Any]) -> None:
    plan = PRESETS["paper"]("dream", like(3, side, True), per_class)
    assert isinstance(plan.method, DREAM) and plan.steps == 1200 * 100
    common = {"restart_every": 100, "interval": 10, "metric": "mse", "momentum": 0.5,
              "train_batch": 128, "candidates": None}  # fmt: skip
    for name, value in (common | expected).items():
        assert getattr(plan.method, name) == value, name
    assert plan.method.peer.name == ("convnet4" if side == 64 else "convnet3")


def test_hmdcs_authors_match_every_parameter() -> None:
    plan = PRESETS["hmdc-authors"]("dream", like(3, 32, True), 1)
    assert isinstance(plan.method, DREAM)
    assert plan.method.biases and plan.method.head
    assert plan.method.operations == ("color", "crop") and plan.method.seeding == "distance"


def test_table_4_has_a_pretrained_vit_and_the_lower_rate() -> None:
    method = PRESETS["table4"]("dream", like(3, 32, True), 10).method
    assert isinstance(method, DREAM)
    assert method.peer == PeerSpec("vit_tiny", weights="pretrained", lr=1e-3)
    assert method.lr == 5e-5 and not method.scale_lr


def test_with_a_vit_a_rate_of_5e_2_throws_the_images_out_of_range_and_5e_5_does_not() -> None:
    # The supplement's observation, at the size of a test: its ViT from scratch on 32 x 32 pixels.
    problem = images(3, (8, 8))
    given = PRESETS["table4"]("dream", problem, 1).method
    assert isinstance(given, DREAM)
    tiny = dataclasses.replace(
        given, peer=PeerSpec("vit_tiny", size=32), real_batch=4, train_samples=0
    )
    seen = {}
    for rate in (5e-2, 5e-5):
        method = dataclasses.replace(tiny, lr=rate)
        state = begun(method, problem)
        losses = [sum(method.step(state, problem, context()).values["terms"]) for _ in range(3)]
        seen[rate] = (float(state.synthetic.stored["pixels"].abs().max()), losses)
    largest, losses = seen[5e-2]
    assert largest > 100 and losses[2] > 2 * losses[0]  # in standard deviations of the data
    largest, losses = seen[5e-5]
    assert largest < 3 and losses[2] < losses[0]
