"""Log-mel spectrograms against Whisper's own analysis, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from condensery.modality.spectrum import FLOOR, LEVEL, log_mel, mel_filters


def test_the_filters_are_those_of_transformers() -> None:
    audio_utils = pytest.importorskip("transformers.audio_utils")
    for rate, window, mels in ((16_000, 400, 80), (8000, 200, 40)):
        expected = audio_utils.mel_filter_bank(
            window // 2 + 1, mels, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney"
        )
        np.testing.assert_allclose(mel_filters(rate, window, mels), expected, atol=1e-7)


def test_the_analysis_is_whispers_but_for_its_floor() -> None:
    transformers = pytest.importorskip("transformers")
    x = torch.randn(1, 1, 32_000, generator=torch.Generator().manual_seed(0))
    x[..., 16_000:] *= 1e-3
    theirs = transformers.WhisperFeatureExtractor(feature_size=80)(
        (x[0, 0] * LEVEL).numpy(), sampling_rate=16_000, return_tensors="pt"
    ).input_features[0]
    ours = log_mel(x, 16_000)[0, 0]
    ours = torch.maximum(ours, ours.max() - 2)
    torch.testing.assert_close(ours[:, :199], theirs[:, :199], atol=1e-4, rtol=0)


def test_ten_times_the_amplitude_is_half_a_unit_and_silence_is_the_floor() -> None:
    x = torch.randn(2, 1, 1600, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(log_mel(10 * x, 8000, 20), log_mel(x, 8000, 20) + 0.5)
    assert bool((log_mel(torch.zeros(1, 1, 1600), 8000) == FLOOR).all())


def test_channels_are_averaged() -> None:
    x = torch.randn(1, 2, 1600, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_mel(x, 8000), log_mel(x.mean(1, keepdim=True), 8000))


def test_first_and_second_derivatives_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 160, generator=generator, dtype=torch.float64, requires_grad=True)

    def two_mels(x: torch.Tensor) -> torch.Tensor:
        return log_mel(x, 4000, 4).sum(-1)

    assert torch.autograd.gradcheck(two_mels, x)
    assert torch.autograd.gradgradcheck(two_mels, x)
