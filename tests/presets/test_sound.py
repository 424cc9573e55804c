"""The small presets know sound: they run on it, and what they store fits."""

from __future__ import annotations

import dataclasses
import json

import pytest

from cases import sounds
from condensery.engine import Budget, Run, execute
from condensery.methods import name_of
from condensery.modality import LogMel, Sound, Wave
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


@pytest.mark.parametrize(
    ("length", "rate", "count"),
    [(80_000, 16_000, 5), (4800, 8000, 5), (4900, 8000, 1), (5120, 8000, 4), (4803, 8000, 5)],
)  # 500, 60, 61, 64 and 60 frames of 10 ms
def test_a_spectrogram_is_cut_between_its_frames(length: int, rate: int, count: int) -> None:
    modality = Sound((1, length), rate, "logmel")
    assert parts(dataclasses.replace(sounds(), modality=modality)) == count


@methods
@pytest.mark.parametrize("preset", ["small", "smoke"])
def test_a_set_of_spectrograms_is_judged_by_networks_that_read_them(
    preset: str, method: str
) -> None:
    problem = sounds(form="logmel")
    plan = PRESETS[preset](method, problem, 1)
    assert isinstance(plan.method.codec(problem), LogMel)
    assert {name.split("_w")[0] for name in plan.method.peers_used()} == {"spectrogram_cnn"}
    run = Run(name_of(plan.method), plan.method, problem, 1, Budget(1, None))
    made = execute(run, quiet=True)
    assert made.decode().x.shape[1:] == (1, 80, 60)  # type: ignore[union-attr]
