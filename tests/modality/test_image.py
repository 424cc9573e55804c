"""Images as networks get them, and as people see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from condensery.modality import Image
from core.made import problem


@pytest.mark.parametrize("channels", [1, 3])
def test_the_training_split_has_mean_0_and_std_1_after_normalising(channels: int) -> None:
    data = problem(counts=(40, 30), shape=(channels, 5, 7))
    x = data.samples(slice(None))
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(channels), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        x.std((0, 2, 3), unbiased=False), torch.ones(channels), atol=1e-5, rtol=0
    )


def test_pixels_and_normalised_values_are_one_affine_map_apart_for_each_channel() -> None:
    modality = Image((3, 2, 2), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    pixels = torch.rand(4, 3, 2, 2)
    x = modality.from_pixels(pixels)
    for channel, (mean, std) in enumerate(zip(modality.mean, modality.std, strict=True)):
        torch.testing.assert_close(x[:, channel], (pixels[:, channel] - mean) / std)
    torch.testing.assert_close(modality.to_pixels(x), pixels)


def test_an_image_that_cannot_be_normalised_is_refused() -> None:
    with pytest.raises(ValueError, match="std of a channel is 0"):
        Image((1, 2, 2), (0.5,), (0.0,))
    with pytest.raises(ValueError, match="one mean and std per channel"):
        Image((3, 2, 2), (0.5,), (0.1,))
    with pytest.raises(ValueError, match="channels, height, width"):
        Image((2, 2), (0.5, 0.5), (0.1, 0.1))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_preview_shows_the_pixels_that_are_stored(channels: int, tmp_path: Path) -> None:
    data = problem(counts=(3, 2), shape=(channels, 8, 8))
    raw = data.train.samples[:4]
    path = data.modality.preview(data.samples(slice(0, 4)), tmp_path / "deep" / "it", columns=2)
    assert path == tmp_path / "deep" / "it.png"
    shown = np.asarray(Picture.open(path))
    assert shown.shape == (2 * (64 + 2) + 2, 2 * (64 + 2) + 2, 3)
    for number, one in enumerate(raw):
        row, column = divmod(number, 2)
        top, left = 2 + row * 66, 2 + column * 66
        cut = shown[top + 4 : top + 64 : 8, left + 4 : left + 64 : 8].transpose(2, 0, 1)
        assert np.abs(cut.astype(int) - one.astype(int)).max() <= 1
