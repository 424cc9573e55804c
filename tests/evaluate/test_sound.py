"""Sets of sound are judged as others are: rows of equal bytes, networks that read them, records."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cases import sounds
from condensery.core.starts import random_start
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.evaluate import RECIPES, evaluate
from condensery.evaluate.baselines import baselines
from condensery.modality import LogMel, SoundAugmentation, Wave
from condensery.streams import Streams

SHORT = dataclasses.replace(RECIPES["sound"], epochs=15, lr=1e-2, name="short")


def start(problem: Problem, factor: int = 1) -> SyntheticSet:
    return random_start(problem, 1, problem.modality.codec(factor), Streams(0))


def test_the_recipe_of_sound_alters_sound_and_those_of_images_leave_it_alone() -> None:
    modality = sounds().modality
    made = RECIPES["sound"].augmentation(modality)
    assert isinstance(made, SoundAugmentation) and made.operations == ("shift", "gain")
    assert RECIPES["hmdc"].augmentation(modality) is None


def test_random_stands_beside_a_set_of_parts_plain_and_packed_at_equal_bytes() -> None:
    problem = sounds()
    rows = baselines(problem, [(0, start(problem, 2))], name="hmdc", which=("random", "mean"))
    assert set(rows) == {"random", "random packed", "mean", "mean packed", "hmdc"}
    codecs = {row: sets[0][1].codec for row, sets in rows.items()}
    assert codecs["random"] == Wave() and codecs["random packed"] == Wave(2)
    assert len({sets[0][1].nbytes() for sets in rows.values()}) == 1


def test_a_set_of_spectrograms_has_rows_of_spectrograms() -> None:
    problem = sounds(form="logmel")
    rows = baselines(problem, [(0, start(problem))], name="hmdc", which=("random",))
    assert isinstance(rows["random"][0][1].codec, LogMel)


def test_networks_learn_tones_from_waves_and_from_spectrograms() -> None:
    problem = sounds()
    sets = {"wave": start(problem), "logmel": start(sounds(form="logmel"))}
    for name, synthetic in sets.items():
        rows = {name: [(0, synthetic)]}
        found = evaluate(rows, problem, ["spectrogram_cnn_w4"], recipe=SHORT, seeds=(0,))
        assert found[0].accuracy > 0.6, name
    with pytest.raises(UsageError, match="reads waveforms"):
        evaluate({"logmel": [(0, sets["logmel"])]}, problem, ["audio_cnn_w4"], recipe=SHORT,
                 seeds=(0,))  # fmt: skip


def test_what_is_judged_is_the_16_bit_form() -> None:
    problem = sounds()
    exact = start(problem)
    noisy = exact.clone()
    generator = torch.Generator().manual_seed(1)
    noisy.stored["wave"] += 1e-4 * torch.randn(noisy.stored["wave"].shape, generator=generator)
    same = [one.quantised().stored["wave"] for one in (exact, noisy)]
    assert float((same[0] - same[1]).abs().max()) <= 128 / 2**15
