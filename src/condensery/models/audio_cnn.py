"""A CNN of six layers on waveforms: the small network of HMDC's experiments with sound."""

from __future__ import annotations

import re

import torch.nn.functional as F
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality, Sound
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import Plan, head_names, house_plan, refuse_taps, wrong_kind
from condensery.types import Reading

NAME = re.compile(r"audio_cnn(_w(?P<width>\d+))?(?P<released>_released)?")
LARGE = ((21, 10), (15, 7), (11, 5))  # kernel and stride of the layers that shorten


class AudioCNN(Backbone):
    """Three times [a convolution that shortens, ReLU, maximum of 2, a residual one], mean, linear.

    Described in the supplement of HMDC (Moon et al., ECCV 2024, section C) as a CNN of six layers;
    sizes are those of the authors' code: 187,754 parameters for 10 classes, and taps of 3999, 3999,
    285, 285, 27 and 27 positions for 5 s at 16 kHz. No norm anywhere. Taps: each layer's output.
    The embedding is the mean over time of the last (128).

    Args:
        channels, samples: of a clip. classes: outputs. width: channels of the first two layers.
        released: rescale each time index over the batch to [0, 1], as the authors' code does: what
            it answers to a clip then depends on the others, and one clip alone becomes silence.

    Raises:
        UsageError: clips are too short for a last position.
    """

    def __init__(
        self, channels: int, samples: int, classes: int, width: int = 32, released: bool = False
    ) -> None:
        super().__init__()
        if samples < shortest():
            raise UsageError(f"audio_cnn needs clips of at least {shortest():,} samples, not "
                             f"{samples:,}: load the data with more seconds")  # fmt: skip
        self.released = released
        widths = (channels, width, 2 * width, 4 * width)
        self.large = nn.ModuleList(
            nn.Conv1d(widths[i], widths[i + 1], kernel, stride)
            for i, (kernel, stride) in enumerate(LARGE)
        )
        self.small = nn.ModuleList(nn.Conv1d(each, each, 3, padding=1) for each in widths[1:])
        self.classifier = nn.Linear(widths[-1], classes)
        self.head = head_names(self, "classifier")

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read waveforms ``(n, channels, samples)``."""
        x = waveform(x, "audio_cnn")
        if self.released:
            x = over_batch(x)
        maps = []
        for large, small in zip(self.large, self.small, strict=True):
            x = F.max_pool1d(F.relu(large(x)), 2)
            maps.append(x)
            x = F.relu(x + small(x))
            maps.append(x)
        embedding = x.mean(2)
        read = tuple(as_map(each) for each in maps) if taps else ()
        return Reading(self.classifier(embedding), embedding, read)


def over_batch(x: Tensor) -> Tensor:
    """Each time index of ``(n, channels, samples)`` brought to [0, 1] over the batch.

    What HMDC's released code does before its networks of sound; the ends are constants. One clip
    alone becomes silence.
    """
    low, high = x.detach().amin(0), x.detach().amax(0)
    return (x - low) / (high - low + 1e-6)


def shortest() -> int:
    """Samples of the shortest clip that leaves a position after the last layer."""
    needed = 1
    for kernel, stride in reversed(LARGE):
        needed = (2 * needed - 1) * stride + kernel
    return needed


def sound_of(spec: PeerSpec, modality: Modality) -> Sound:
    """The modality, when it is sound and the spec asks for nothing that sound has not.

    Raises:
        UsageError: other data, or an input size.
    """
    if not isinstance(modality, Sound):
        raise wrong_kind(spec, "sound", modality)
    if spec.size is not None:
        raise UsageError(f"{spec.name} reads clips as long as they come: leave size away, and load "
                         f"the data with other seconds or rate")  # fmt: skip
    return modality


def waveform(x: Tensor, name: str) -> Tensor:
    """Samples, when they are waveforms.

    Raises:
        UsageError: they are spectrograms.
    """
    if x.ndim != 3:
        raise UsageError(f"{name} reads waveforms; a set in form 'logmel' feeds networks that read "
                         f"spectrograms (spectrogram_cnn, whisper)")  # fmt: skip
    return x


def parse(name: str) -> tuple[int, bool] | None:
    """Width and whether released, of ``audio_cnn``, ``audio_cnn_w8``, ``audio_cnn_released``."""
    found = NAME.fullmatch(name)
    return (int(found["width"] or 32), bool(found["released"])) if found else None


def audio_cnn(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """The CNN of the width that its name says."""
    refuse_taps(spec)
    shape, told = sound_of(spec, modality).shape, parse(spec.name)
    assert told is not None, "the table of models sends only names that parse"
    return house_plan(spec, lambda: AudioCNN(shape[0], shape[1], classes, *told))
