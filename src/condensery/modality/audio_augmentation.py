"""Augmentation of sound, differentiable, with parameters that are drawn before they are applied.

They act on data-normalised waveforms ``(n, channels, samples)`` and, where the same alteration
makes sense there, on log-mel spectrograms ``(n, 1, mels, frames)``. Masks are SpecAugment's (Park
et al., Interspeech 2019), in time and frequency; on a waveform a mask of frequencies is a filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from condensery.errors import UsageError
from condensery.modality.base import OPERATIONS, Augmentation

SOUND = OPERATIONS["audio"]


class SoundDraw(NamedTuple):
    """Parameters of one application; tensors are ``(count, ...)``, or ``(1, ...)`` when shared.

    Attributes:
        applied: the operations that act this time, in the order in which they act.
        shift: ``(count,)`` in [0, 1): part of the clip. gain: ``(count,)`` factors.
        noise: ``(count,)`` root mean squares. seed: of the noise itself.
        polarity: ``(count,)`` -1 or 1.
        time_mask, frequency_mask: ``(count, 2)`` first position and width, parts of the whole.
    """

    applied: tuple[str, ...]
    shift: Tensor
    gain: Tensor
    noise: Tensor
    seed: int
    polarity: Tensor
    time_mask: Tensor
    frequency_mask: Tensor


@dataclass(frozen=True)
class SoundAugmentation(Augmentation):
    """Alterations that leave a sound what it is.

    Attributes:
        operations: which may act: ``shift`` in time (what leaves at the end comes in at the
            beginning), ``gain``, white ``noise``, ``polarity`` (the sign), ``time_mask``
            (silence), ``frequency_mask`` (a band is filtered out).
        choose: ``all`` that are named, in that order; ``one`` of them, drawn once a call.
        decibels: a gain lies within plus and minus this.
        loudest_noise: root mean square of the noise, at most; a clip's is 1.
        mask: widest mask, as a part of the whole.
    """

    operations: tuple[str, ...] = SOUND
    choose: Literal["all", "one"] = "all"
    decibels: float = 6.0
    loudest_noise: float = 0.1
    mask: float = 0.2

    def __post_init__(self) -> None:
        unknown = [name for name in self.operations if name not in SOUND]
        if unknown:
            raise UsageError(f"unknown operation {unknown[0]!r}; known: {', '.join(SOUND)}")

    def draw(self, generator: torch.Generator, count: int, shared: bool = False) -> SoundDraw:
        """See ``Augmentation.draw``. The choice of operations is one for the whole call."""
        rows, device = 1 if shared else count, generator.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        applied = tuple(name for name in SOUND if name in self.operations)
        if self.choose == "one" and applied:
            index = int(torch.randint(len(applied), (), generator=generator, device=device))
            applied = (applied[index],)
        steps = math.log(10) / 20 * self.decibels
        return SoundDraw(
            applied=applied,
            shift=uniform(rows),
            gain=((2 * uniform(rows) - 1) * steps).exp(),
            noise=uniform(rows) * self.loudest_noise,
            seed=int(torch.randint(2**62, (), generator=generator, device=device)),
            polarity=(uniform(rows) < 0.5).float() * 2 - 1,
            time_mask=self._masks(uniform(rows, 2)),
            frequency_mask=self._masks(uniform(rows, 2)),
        )

    def _masks(self, u: Tensor) -> Tensor:
        """First position and width, anywhere inside the whole."""
        widths = u[:, 1] * self.mask
        return torch.stack([u[:, 0] * (1 - widths), widths], 1)

    def apply(self, draw: SoundDraw, x: Tensor) -> Tensor:
        """Alter waveforms ``(n, channels, samples)`` or spectrograms ``(n, 1, mels, frames)``.

        Spectrograms have no polarity, and noise is left away from them.

        Raises:
            ValueError: the record is neither shared nor of ``n`` rows.
        """
        rows = len(draw.gain)
        if rows not in (1, len(x)):
            raise ValueError(f"a record of {rows} samples cannot be applied to {len(x)}")
        ways = _ON_SPECTROGRAMS if x.ndim == 4 else _ON_WAVES
        for name in draw.applied:
            if name in ways:
                x = ways[name](draw, x)
        return x


def _column(values: Tensor, x: Tensor) -> Tensor:
    return values.to(x).view(-1, *[1] * (x.ndim - 1))


def _shift(draw: SoundDraw, x: Tensor) -> Tensor:
    length = x.shape[-1]
    steps = (draw.shift * length).long().tolist()
    if len(steps) == 1:
        return x.roll(steps[0], -1)
    return torch.stack([one.roll(by, -1) for one, by in zip(x, steps, strict=True)])


def _gain(draw: SoundDraw, x: Tensor) -> Tensor:
    return x * _column(draw.gain, x)


def _louder(draw: SoundDraw, x: Tensor) -> Tensor:
    # 20 dB are a factor of 100 in power, and a spectrogram counts log10(power) / 4.
    return x + _column(draw.gain.log10() / 2, x)


def _noise(draw: SoundDraw, x: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(draw.seed)
    rows = len(draw.noise)
    hiss = torch.randn(rows, *x.shape[1:], generator=generator).to(x)
    return x + hiss * _column(draw.noise, x)


def _polarity(draw: SoundDraw, x: Tensor) -> Tensor:
    return x * _column(draw.polarity, x)


def _kept(mask: Tensor, positions: int, x: Tensor) -> Tensor:
    """1 where a mask leaves something, else 0: ``(rows, positions)``."""
    place = torch.arange(positions, device=mask.device)[None] / positions
    return ((place < mask[:, :1]) | (place >= mask.sum(1, keepdim=True))).to(x)


def _silence(draw: SoundDraw, x: Tensor) -> Tensor:
    return x * _kept(draw.time_mask, x.shape[-1], x)[:, None]


def _filter(draw: SoundDraw, x: Tensor) -> Tensor:
    spectrum = torch.fft.rfft(x)
    kept = _kept(draw.frequency_mask, spectrum.shape[-1], x)[:, None]
    return torch.fft.irfft(spectrum * kept, n=x.shape[-1])


def _hide_frames(draw: SoundDraw, x: Tensor) -> Tensor:
    return _hidden(x, _kept(draw.time_mask, x.shape[-1], x)[:, None, None])


def _hide_mels(draw: SoundDraw, x: Tensor) -> Tensor:
    return _hidden(x, _kept(draw.frequency_mask, x.shape[-2], x)[:, None, :, None])


def _hidden(x: Tensor, kept: Tensor) -> Tensor:
    """What is hidden becomes the mean of its spectrogram (SpecAugment, section 2)."""
    return x * kept + x.mean((1, 2, 3), keepdim=True) * (1 - kept)


Way = Callable[[SoundDraw, Tensor], Tensor]
_ON_WAVES: dict[str, Way] = {
    "shift": _shift,
    "gain": _gain,
    "noise": _noise,
    "polarity": _polarity,
    "time_mask": _silence,
    "frequency_mask": _filter,
}
_ON_SPECTROGRAMS: dict[str, Way] = {
    "shift": _shift,
    "gain": _louder,
    "time_mask": _hide_frames,
    "frequency_mask": _hide_mels,
}
ON_WAVES_ALONE = tuple(name for name in SOUND if name not in _ON_SPECTROGRAMS)
