"""Every preset, made small, runs from condensing to the drawn table and keeps what it is about."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cases import images, sounds, texts
from condensery import evaluate, load
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.engine import Budget, Run, execute
from condensery.errors import RunError, UsageError
from condensery.methods import METHODS
from condensery.modality import Sound
from condensery.models import entry
from condensery.models.backbone import PeerSpec
from condensery.presets import PRESETS
from condensery.presets.tiny import MOST, tiny
from condensery.report import tables
from condensery.report.gather import gather
from condensery.report.panels import panels
from methods.test_conformance import leaves, same

COUNTS = (16, 16, 16)


def at_16_khz(problem: Problem) -> Problem:
    """The same samples told to be twice as fast, which is what HuBERT reads."""
    return dataclasses.replace(problem, modality=Sound(problem.modality.shape, 16_000))


# Data, and a network that learns from their sets.
DATA: dict[str, tuple[Problem, str]] = {
    "image": (images(3, COUNTS), "mlp"),
    "wave": (at_16_khz(sounds(COUNTS)), "audio_cnn_w2"),
    "logmel": (sounds(COUNTS, "logmel"), "spectrogram_cnn_w2"),
    "text": (texts(COUNTS), "lstm2_w8"),
    "dense": (texts(COUNTS, "dense"), "lstm2_w8"),
}
# Presets that have settings for more than images; preset smoke is run in test_presets.py too.
OTHERS = {"small": ("wave", "text"), "released": ("wave", "dense")}
FORMS = ("logmel", "dense")  # of sound and text: what differs is asked of two methods
ONLY_IMAGES = [("released", method) for method in ("dc", "dsa", "dm")]


def cases() -> list[tuple[str, str, str]]:
    found = [("small", method, form) for method in ("hmdc", "dream") for form in FORMS]
    for preset, one in PRESETS.items():
        for method in one.methods:
            found.append((preset, method, "image"))
            kinds = () if (preset, method) in ONLY_IMAGES else OTHERS.get(preset, ())
            found += [(preset, method, data) for data in kinds
                      if DATA[data][0].modality.kind in METHODS[method].modalities]  # fmt: skip
    return found


every = pytest.mark.parametrize(("preset", "method", "data"), cases())


@every
def test_a_preset_made_small_runs_from_condensing_to_the_drawn_table(
    preset: str, method: str, data: str, tmp_path: Path
) -> None:
    problem, network = DATA[data]
    plan = PRESETS[preset].smoke(method, problem, 1)
    moves = bool(METHODS[method].default_steps)
    assert plan.steps == 2 * moves and plan.minutes is None
    run = Run(method, plan.method, problem, 1, Budget(plan.steps, None))
    seen: list[SyntheticSet] = []
    made = execute(run, tmp_path / "run", lambda *told: seen.append(told[-1].clone()), quiet=True)
    assert len(seen) == plan.steps
    assert same(leaves(load(tmp_path / "run" / "start")), leaves((seen or [made])[-1])) != moves
    records = evaluate(tmp_path / "run", problem, (network,), updates=2, seeds=(0,), rows=(),
                       recipe="quick")  # fmt: skip
    gathered = gather(tmp_path / "run")
    assert [one.row for one in records] == ["start", method] == [r.row for r in gathered.records]
    table = tables.markdown(panels(gathered.records))
    assert network in table and f"{100 * records[-1].accuracy:.2f}" in table


@every
def test_a_preset_made_small_keeps_all_that_is_not_a_size(
    preset: str, method: str, data: str
) -> None:
    problem, _ = DATA[data]
    whole, small = (one(method, problem, 1).method
                    for one in (PRESETS[preset], PRESETS[preset].smoke))  # fmt: skip
    for field in dataclasses.fields(whole):  # type: ignore[arg-type]
        before, after = (getattr(one, field.name) for one in (whole, small))
        if field.name in ("peer", "peers", "network"):
            pairs = zip(before, after, strict=True) if field.name == "peers" else [(before, after)]
            for large, little in pairs:
                assert little == tiny(large)
        elif field.name in MOST:
            assert after is not None and (before is None or after <= before)
        elif field.name not in ("candidates", "pool"):
            assert after == before, field.name


SMALLEST = {
    "convnet3": "convnet2_w8", "resnet18": "convnet2_w8", "vit_tiny": "vit_mini",
    "mixer_mini": "mlp", "audio_cnn_w16": "audio_cnn_w2",
    "audio_cnn_released": "audio_cnn_w2_released", "spectrogram_cnn_w8": "spectrogram_cnn_w2",
    "hubert": "whisper_mini", "hubert_released": "whisper_mini", "whisper": "whisper_mini",
    "lstm": "lstm2_w8", "lstm_released": "lstm2_w8_released", "minilm": "bert_mini",
    "bert": "bert_mini",
}  # fmt: skip


@pytest.mark.parametrize(("name", "small"), SMALLEST.items())
def test_a_tiny_network_is_of_the_same_family_and_reads_the_same(name: str, small: str) -> None:
    made = tiny(PeerSpec(name, weights="pretrained", lr=0.3, optimiser="adamw", learns="head"))
    assert made == PeerSpec(small, lr=0.3, optimiser="adamw", learns="head")
    assert entry(small).reads == entry(name).reads
    assert entry(small).family == entry(name).family


def test_taps_input_size_and_normalisation_of_the_released_code_are_tried_too() -> None:
    peers = PRESETS["released"].smoke("hmdc", DATA["image"][0], 1).method.peers  # type: ignore[attr-defined]
    convnet, other = peers
    assert (convnet.taps, convnet.size, convnet.learns) == (("pools",), 12, "head")
    assert (other.name, other.normalise, other.size) == ("vit_mini", "data", None)
    assert tiny(PeerSpec("vit_tiny", normalise="model")).normalise == "auto"


def test_the_hubert_of_the_released_code_needs_two_clips_where_it_has_no_weights() -> None:
    problem, _ = DATA["wave"]
    small: Any = PRESETS["released"].smoke("hmdc", problem, 1).method
    ears = (small.peers[0], dataclasses.replace(small.peers[1], name="hubert_mini_released"))
    method = dataclasses.replace(small, peers=ears)
    execute(Run("hmdc", method, problem, 2, Budget(1, None)), quiet=True)
    with pytest.raises(RunError, match="not finite"):  # one clip is silence, its layer norms ~1/0
        execute(Run("hmdc", method, problem, 1, Budget(1, None)), quiet=True)


def test_enough_samples_are_kept_for_a_start_of_more_per_class() -> None:
    problem, _ = DATA["image"]
    small: Any = PRESETS["paper"].smoke("dream", problem, 3).method
    assert small.factor == 2 and small.candidates == 12
    made = execute(Run("dream", small, problem, 3, Budget(0, None)), quiet=True)
    assert len(made) == 9


def test_a_preset_made_small_refuses_what_the_preset_refuses() -> None:
    with pytest.raises(UsageError, match="no settings for idc"):
        PRESETS["demo"].smoke("idc", DATA["image"][0], 1)
