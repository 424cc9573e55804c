"""Log-mel spectrograms of data-normalised sound, differentiable: what ears and networks make of it.

Windows of 25 ms every 10 ms, power, triangular filters on Slaney's mel scale with unit area, a
logarithm: the analysis of Whisper (Radford et al., 2022) but for its cut at the loudest frame.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

MELS = 80
LEVEL = 0.1  # of a data-normalised clip, whose root mean square is 1: a usual recording's
FLOOR = -1.5  # a power of 1e-10, as ``log_mel`` writes it
LINEAR_HERTZ, LINEAR_MELS = 1000.0, 15.0  # where the scale turns from linear to logarithmic
PER_LOG = 27 / math.log(6.4)  # 27 mels are a factor of 6.4 there


def log_mel(x: Tensor, rate: int, mels: int = MELS) -> Tensor:
    """Spectrograms of sound, the mean of its channels.

    Args:
        x: ``(n, channels, samples)``, data-normalised. rate: samples a second.
        mels: filters, from 0 Hz to half the rate.

    Returns:
        ``(n, 1, mels, samples // hop)``: ``(log10(power) + 4) / 4``, at least ``FLOOR``; the hop is
        10 ms. About 0 on average, 0.25 is a factor of 10 in power.
    """
    window, hop = analysis(rate)
    tapered = torch.hann_window(window, dtype=x.dtype, device=x.device)
    found = torch.stft(x.mean(1) * LEVEL, window, hop, window=tapered, return_complex=True)
    parts = torch.view_as_real(found[..., :-1])
    power = parts.square().sum(-1)
    filters = mel_filters(rate, window, mels).to(x)
    loud = torch.einsum("nft,fm->nmt", power, filters)
    return ((loud.clamp(min=1e-10).log10() + 4) / 4)[:, None]


def analysis(rate: int) -> tuple[int, int]:
    """Samples in a window of 25 ms and in a hop of 10 ms."""
    return rate // 40, rate // 100


@cache
def mel_filters(rate: int, window: int, mels: int = MELS) -> Tensor:
    """Triangular filters, ``(window // 2 + 1, mels)`` float32, of equal area in Hz.

    Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, logarithmic above.
    """
    # In numpy, since a description of a network on torch's device "meta" has no values to keep.
    hertz = np.linspace(0, rate / 2, window // 2 + 1)
    top = float(_to_mel(np.array(rate / 2)))
    corners = _to_hertz(np.linspace(0, top, mels + 2))
    widths = np.diff(corners)
    slopes = corners[None] - hertz[:, None]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    area = 2 / (corners[2:] - corners[:-2])
    filters = np.minimum(rising, falling).clip(min=0) * area
    return torch.from_numpy(filters.astype(np.float32))


def _to_mel(hertz: np.ndarray) -> np.ndarray:
    above = LINEAR_MELS + np.log(np.maximum(hertz, 1) / LINEAR_HERTZ) * PER_LOG
    return np.where(hertz < LINEAR_HERTZ, hertz * LINEAR_MELS / LINEAR_HERTZ, above)


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    above = LINEAR_HERTZ * np.exp((mel - LINEAR_MELS) / PER_LOG)
    return np.where(mel < LINEAR_MELS, mel * LINEAR_HERTZ / LINEAR_MELS, above)
