"""Networks on log-mel spectrograms: the analysis is part of them, and is differentiable."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.modality.spectrum import MELS, analysis, log_mel
from condensery.models.audio_cnn import sound_of
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import Plan, head_names, house_plan, refuse_taps
from condensery.types import Reading

NAME = re.compile(r"spectrogram_cnn(_w(?P<width>\d+))?")
BLOCKS = 4
RANGE = 1.25  # of a spectrogram, below its loudest value: 50 dB


class SpectrogramCNN(Backbone):
    """Four times [3x3 convolution, a norm for each channel, ReLU, 2x2 mean] on a spectrogram.

    The first block halves by its stride instead of a mean, which makes the network four times as
    fast. Each spectrogram is cut 50 dB below its loudest value (the logarithm of next to nothing
    has slopes without bound) and brought to mean 0 and std 1. Taps: after each ReLU, and the last
    pooled map, all as sequences over time (frequencies averaged), so that they can be aligned with
    networks on waveforms. The embedding is the mean over time of the last map, frequencies kept.

    Args:
        rate: of the sound. samples: of a clip. classes: outputs. width: channels of the first
            block; it doubles twice.

    Raises:
        UsageError: clips are too short for a last frame.
    """

    def __init__(self, rate: int, samples: int, classes: int, width: int = 16) -> None:
        super().__init__()
        if samples // analysis(rate)[1] >> BLOCKS < 1:
            raise UsageError(f"spectrogram_cnn needs clips of at least {10 << BLOCKS} ms, these "
                             f"have {1000 * samples // rate}: load longer ones")  # fmt: skip
        self.rate = rate
        widths = (1, width, 2 * width, 4 * width, 4 * width)
        pairs = list(zip(widths, widths[1:], strict=False))
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2 if a == 1 else 1, padding=1) for a, b in pairs
        )
        self.norms = nn.ModuleList(nn.GroupNorm(b, b) for _, b in pairs)
        self.classifier = nn.Linear(widths[-1] * (MELS >> BLOCKS), classes)
        self.head = head_names(self, "classifier")

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read waveforms ``(n, channels, samples)`` or spectrograms ``(n, 1, mels, frames)``."""
        x = heard(x, self.rate)
        x = torch.maximum(x, x.amax((1, 2, 3), keepdim=True) - RANGE)
        middle, spread = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
        x = (x - middle) / (spread + 1e-5)
        maps = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
            maps.append(x)
            x = x if conv.stride == (2, 2) else F.avg_pool2d(x, 2)
        maps.append(x)
        embedding = x.mean(3).flatten(1)
        read = tuple(as_map(each.mean(2)) for each in maps) if taps else ()
        return Reading(self.classifier(embedding), embedding, read)


def heard(x: Tensor, rate: int, mels: int = MELS) -> Tensor:
    """Spectrograms ``(n, 1, mels, frames)`` of waveforms; those that come as spectrograms as is.

    Raises:
        UsageError: those have another number of bands.
    """
    if x.ndim == 3:
        return log_mel(x, rate, mels)
    if x.shape[2] != mels:
        raise UsageError(f"this network hears {mels} mel bands; a set in form 'logmel' has "
                         f"{x.shape[2]}: take one of waveforms")  # fmt: skip
    return x


def parse(name: str) -> int | None:
    """Width of a name: ``spectrogram_cnn`` (16), ``spectrogram_cnn_w8``; None for others."""
    found = NAME.fullmatch(name)
    return int(found["width"] or 16) if found else None


def spectrogram_cnn(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """The CNN of the width that its name says."""
    refuse_taps(spec)
    sound, width = sound_of(spec, modality), parse(spec.name)
    assert width is not None, "the table of models sends only names that parse"
    return house_plan(spec, lambda: SpectrogramCNN(sound.rate, sound.shape[1], classes, width))
