"""The settings of DC, DSA and DM as published, against a table written by hand."""

from __future__ import annotations

import dataclasses

import pytest

from cases import images
from condensery.data.problem import Problem
from condensery.engine import Budget, Run, execute
from condensery.methods import DC, DM, DSA
from condensery.modality import Image
from condensery.presets import PRESETS

SIX = {"color", "crop", "cutout", "flip", "scale", "rotate"}


def of_side(side: int, names: int = 10) -> Problem:
    shape = Image((3, side, side), (0.5,) * 3, (0.25,) * 3)
    names_ = tuple(str(label) for label in range(names))
    return dataclasses.replace(images(3), modality=shape, label_names=names_)


@pytest.mark.parametrize(
    ("name", "start", "operations"), [("dc", "noise", set()), ("dsa", "random", SIX)]
)
@pytest.mark.parametrize(("per_class", "updates"), [(1, 1000), (10, 10_000), (50, 50_000)])
def test_dc_and_dsa_run_a_thousand_networks_at_the_published_rates(
    name: str, start: str, operations: set[str], per_class: int, updates: int
) -> None:
    plan = PRESETS["paper"](name, of_side(32), per_class)
    method = plan.method
    assert isinstance(method, DC) and plan.steps == updates
    assert [(peer.name, peer.lr, peer.momentum) for peer in method.peers] == [("convnet3", 0.01, 0)]
    assert (method.lr, method.momentum) == (0.1, 0.5)
    assert (method.real_batch, method.train_batch) == (256, 256)
    assert (method.start_from, set(method.operations)) == (start, operations)
    assert not method.clamp and method.factor == 1
    # All other settings are the defaults.
    kind = DSA if name == "dsa" else DC
    assert method == kind(peers=method.peers)


@pytest.mark.parametrize(
    ("classes", "per_class", "rate"), [(10, 1, 1), (10, 50, 1), (10, 100, 10), (100, 100, 1)]
)
def test_dm_has_twenty_thousand_networks_and_a_larger_rate_for_many_images(
    classes: int, per_class: int, rate: float
) -> None:
    plan = PRESETS["paper"]("dm", of_side(32, classes), per_class)
    method = plan.method
    assert isinstance(method, DM) and plan.steps == 20_000
    assert (method.lr, method.momentum, method.real_batch) == (rate, 0.5, 256)
    assert (method.start_from, set(method.operations)) == ("random", SIX)
    assert [peer.name for peer in method.peers] == ["convnet3"] and method.factor == 1


@pytest.mark.parametrize("name", ["dc", "dsa", "dm"])
def test_images_of_64_pixels_have_one_layer_more(name: str) -> None:
    method = PRESETS["paper"](name, of_side(64), 1).method
    assert method.peers_used() == ("convnet4",)


def test_the_released_codes_make_one_network_more_and_mix_old_statistics_in() -> None:
    for name, updates in (("dc", 10_010), ("dsa", 10_010), ("dm", 20_001)):
        plan = PRESETS["released"](name, of_side(32), 10)
        assert plan.steps == updates
        assert getattr(plan.method, "statistics_momentum", 0.1) == 0.1


@pytest.mark.parametrize("name", ["dc", "dsa", "dm", "herding", "mosaic"])
def test_smoke_runs_in_seconds(name: str) -> None:
    problem = images(1)
    plan = PRESETS["smoke"](name, problem, 2)
    budget = Budget(plan.steps, None)
    assert len(execute(Run(name, plan.method, problem, 2, budget), quiet=True)) == 6


@pytest.mark.parametrize("name", ["dc", "dsa", "dm"])
def test_small_is_a_narrow_network_and_few_real_samples(name: str) -> None:
    plan = PRESETS["small"](name, of_side(32), 1)
    assert plan.method.peers_used() == ("convnet_mini",) and (plan.steps or 0) <= 1000
