"""The small presets know sound: they run on it, and what they store fits."""

from __future__ import annotations

import dataclasses
import json

import pytest

from cases import sounds
from condensery.engine import Budget, Run, execute
from condensery.methods import name_of
from condensery.modality import Sound, Wave
from condensery.models import entry
from condensery.presets import PRESETS
from condensery.presets.base import parts

methods = pytest.mark.parametrize("method", ["hmdc", "dream"])


@methods
@pytest.mark.parametrize("preset", ["small", "smoke"])
def test_a_preset_for_sound_names_networks_that_read_sound(preset: str, method: str) -> None:
    plan = PRESETS[preset](method, sounds(), 1)
    used = plan.method.peers_used()
    assert plan.steps and used and {entry(name).reads for name in used} == {"audio"}
    json.dumps(dataclasses.asdict(plan.method))  # type: ignore[call-overload]


@methods
def test_a_small_preset_stores_five_stretches_in_a_clip(method: str) -> None:
    problem = sounds()
    plan = PRESETS["small"](method, problem, 1)
    codec = plan.method.codec(problem)
    assert isinstance(codec, Wave) and codec.multiplies == 5


@methods
def test_the_smoke_preset_runs_on_sound(method: str) -> None:
    problem = sounds()
    plan = PRESETS["smoke"](method, problem, 1)
    run = Run(name_of(plan.method), plan.method, problem, 1, Budget(plan.steps, None))
    made = execute(run, quiet=True)
    assert made.decode().x.shape == (3, 1, 4800)  # type: ignore[union-attr]


@pytest.mark.parametrize(("length", "count"), [(80_000, 5), (4804, 4), (4803, 3), (4801, 1)])
def test_a_clip_is_cut_into_equal_parts(length: int, count: int) -> None:
    problem = dataclasses.replace(sounds(), modality=Sound((1, length), 8000))
    assert parts(problem) == count
