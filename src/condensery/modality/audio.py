"""Sound: clips of one rate and length, each brought to one loudness, and how sets of them are kept.

Every clip is normalised by itself: its own mean is taken off and its root mean square becomes 1, so
that what a network makes of a clip does not depend on the others in its batch.
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from condensery.errors import UsageError
from condensery.modality.audio_augmentation import ON_WAVES_ALONE, SoundAugmentation
from condensery.modality.base import Codec, Modality, own_operations
from condensery.modality.spectrum import FLOOR, MELS, analysis, log_mel

QUIET = 1e-5  # below this root mean square a clip counts as silence and is not made louder
PAUSE = 0.25  # seconds between two clips of a preview
RANGE = 1.25  # of a spectrogram, below its loudest value: 50 dB
BLOCK = 64  # clips that are analysed at a time


@dataclass(frozen=True)
class Sound(Modality):
    """Clips of one rate and length.

    Attributes:
        shape: ``(channels, samples)`` of a clip. rate: samples a second, at least 1,000.
        form: how a condensed set is stored: as a ``wave``, or as a ``logmel`` spectrogram, which
            only networks that read spectrograms can learn from.
    """

    kind: ClassVar[str] = "audio"
    shape: tuple[int, ...]
    rate: int
    form: Literal["wave", "logmel"] = "wave"

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ValueError(f"sound needs (channels, samples), both from 1; got {self.shape}")
        if self.rate < 1000:
            raise UsageError(f"the rate of sound counts samples a second, from 1000: got "
                             f"{self.rate}")  # fmt: skip
        if self.form not in ("wave", "logmel"):
            raise UsageError(f"unknown form of stored sound {self.form!r}; known: wave, logmel")

    @property
    def seconds(self) -> float:
        """Length of a clip."""
        return self.shape[1] / self.rate

    def normalise(self, raw: Tensor) -> Tensor:
        """int16 ``(n, channels, samples)`` to float32 of mean 0 and root mean square 1, by clip.

        A silent clip stays silent.
        """
        return level(raw.float() / 2**15)

    def codec(self, factor: int = 1, **asked: Any) -> Codec:
        """Waves or log-mel spectrograms, cut into ``factor`` parts. Wishes for pixels do not apply.

        Raises:
            UsageError: a clip cannot be cut into so many equal parts.
        """
        return LogMel(factor) if self.form == "logmel" else Wave(factor)

    def features(self, x: Tensor) -> Tensor:
        """Of each band of the log-mel spectrogram its mean and deviation over time, ``(n, 160)``.

        Whatever begins earlier or later in a clip is the same; waveforms of one tone may lie as far
        apart as those of two. Spectrograms are cut 50 dB below their loudest value. Clips too short
        to be analysed stay as they are.
        """
        window, hop = analysis(self.rate)
        if x.ndim == 3 and x.shape[2] <= max(window // 2, hop):
            return x.flatten(1)
        found = []
        for part in x.split(BLOCK):
            bands = (part if x.ndim == 4 else log_mel(part, self.rate))[:, 0]
            bands = torch.maximum(bands, bands.amax((1, 2), keepdim=True) - RANGE)
            found.append(torch.cat([bands.mean(2), bands.std(2, unbiased=False)], 1))
        return torch.cat(found)

    def augmentation(self, operations: tuple[str, ...], **asked: Any) -> SoundAugmentation:
        """The operations of sound; ``choose="one"`` applies one of them at a time.

        In form ``logmel`` real clips are altered before their analysis and stored spectrograms
        after it: what spectrograms cannot be given, ``noise`` and ``polarity``, is left away.
        """
        choose: Literal["all", "one"] = "one" if asked.get("choose") == "one" else "all"
        own = own_operations(operations, self.kind)
        if self.form == "logmel":
            own = tuple(name for name in own if name not in ON_WAVES_ALONE)
        return SoundAugmentation(own, choose)

    def preview(self, samples: Tensor, path: Path, columns: int) -> Path:
        """A ``.wav`` of all clips, one after the other, and beside it a ``.png`` of spectrograms.

        Spectrograms (a log-mel set) have no ``.wav``: their phase is not known.

        Returns:
            The ``.wav``, or the ``.png`` where there is none.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = path.with_suffix(".png")
        picture.write_bytes(self._picture(samples, columns))
        if samples.ndim == 4:
            return picture
        pause = torch.zeros(samples.shape[1], round(PAUSE * self.rate))
        loud = [torch.cat([audible(one), pause], 1) for one in samples.detach().cpu().float()]
        path = path.with_suffix(".wav")
        path.write_bytes(self.wav(torch.cat(loud, 1)))
        return path

    def html(self, samples: Tensor, columns: int) -> str:
        """A player for each of the first 20 clips, and a picture of all spectrograms."""
        code = base64.b64encode(self._picture(samples, columns)).decode()
        picture = f'<img alt="{len(samples)} spectrograms" src="data:image/png;base64,{code}">'
        if samples.ndim == 4:
            return picture
        players = []
        for one in samples[:20].detach().cpu().float():
            code = base64.b64encode(self.wav(audible(one))).decode()
            players.append(f'<audio controls src="data:audio/wav;base64,{code}"></audio>')
        return picture + "<br>" + " ".join(players)

    def hub_column(self, samples: Tensor) -> tuple[str, list[Any], Any]:
        """Files of 16 bits, as ``datasets`` stores them; spectrograms as arrays of numbers.

        ``cast_column("audio", datasets.Audio())`` decodes them; it needs ``torchcodec``.
        """
        from datasets import Array3D, Value

        if samples.ndim == 4:
            shape = tuple(samples.shape[1:])
            return "spectrogram", list(samples.detach().cpu().numpy()), Array3D(shape, "float32")
        clips = [audible(one) for one in samples.detach().cpu().float()]
        values = [{"bytes": self.wav(one), "path": f"{i}.wav"} for i, one in enumerate(clips)]
        return "audio", values, {"bytes": Value("binary"), "path": Value("string")}

    def wav(self, clip: Tensor) -> bytes:
        """A file of 16 bits from one clip ``(channels, samples)`` in [-1, 1]."""
        pcm = (clip.clamp(-1, 1) * (2**15 - 1)).round().to(torch.int16)
        written = io.BytesIO()
        with wave.open(written, "wb") as file:
            file.setnchannels(len(clip))
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(pcm.T.contiguous().numpy().astype("<i2").tobytes())
        return written.getvalue()

    def _picture(self, samples: Tensor, columns: int) -> bytes:
        """All spectrograms on one ``.png``, low tones below, loud ones bright."""
        from PIL import Image

        found = samples.detach().cpu().float()
        spectrograms = found if found.ndim == 4 else log_mel(found, self.rate)
        bright = ((spectrograms - FLOOR) / 3).clamp(0, 1)[:, 0].flip(1)
        rows = [torch.cat(list(_padded(row)), 1) for row in bright.split(columns)]
        width = max(row.shape[1] for row in rows)
        filled = [torch.nn.functional.pad(row, (0, width - row.shape[1]), value=1) for row in rows]
        sheet = (torch.cat(filled) * 255).round().to(torch.uint8).numpy()
        written = io.BytesIO()
        Image.fromarray(sheet).save(written, "png")
        return written.getvalue()


def _padded(pictures: Tensor) -> Tensor:
    """Two white pixels around each picture."""
    return torch.nn.functional.pad(pictures, (2, 2, 2, 2), value=1)


def level(x: Tensor) -> Tensor:
    """Clips ``(n, channels, samples)``: each channel's mean taken off, root mean square 1.

    Means are taken in 64 bits: in 32 their last bits depend on the number of threads, and so would
    the bytes of a stored clip.
    """
    x = x - x.mean(-1, keepdim=True, dtype=torch.float64).to(x.dtype)
    loudness = x.square().mean((-2, -1), keepdim=True, dtype=torch.float64).sqrt().to(x.dtype)
    return torch.where(loudness > QUIET, x / loudness.clamp(min=QUIET), torch.zeros_like(x))


def audible(clip: Tensor) -> Tensor:
    """A data-normalised clip ``(channels, samples)`` as it is played: its peak at 0.9."""
    return clip * (0.9 / clip.abs().max().clamp(min=QUIET))


@dataclass(frozen=True)
class Parts(Codec):
    """What codecs of sound share: a stored clip is cut into parts, each repeated to full length.

    The multi-formation of IDC (Kim et al., ICML 2022, section 4) along time: a texture or a call
    fills less than a clip, so that several fit into the bytes of one.

    Attributes:
        parts: stretches in a stored clip; 1 stores whole clips.
    """

    gradient_dims: ClassVar[tuple[int, ...]] = (-2, -1)
    leaf: ClassVar[str]
    parts: int = 1

    def __post_init__(self) -> None:
        if self.parts < 1:
            raise UsageError(f"factor counts the parts of a stored clip, from 1; got {self.parts}")

    @property
    def multiplies(self) -> int:
        """One for each part."""
        return self.parts

    def plain(self) -> Codec:
        """The same with whole clips."""
        return replace(self, parts=1)

    def decode(self, stored: Mapping[str, Tensor], modality: Modality) -> Tensor:
        """Each part, repeated until it fills a clip; block-major."""
        leaf = stored[self.leaf]
        cut = leaf.unflatten(-1, (self.parts, self._length(leaf.shape[-1])))
        return cut.movedim(-2, 0).flatten(0, 1).repeat(*[1] * (leaf.ndim - 1), self.parts)

    def _packed(self, parts: Tensor) -> dict[str, Tensor]:
        """Stretches ``(parts * n, ..., length)``, block-major, side by side in stored clips."""
        count = len(parts) // self.parts
        apart = parts.unflatten(0, (self.parts, count))
        return {self.leaf: apart.movedim(0, -2).flatten(-2).clone()}

    def _length(self, whole: int) -> int:
        if whole % self.parts:
            raise ValueError(f"{whole} samples or frames cannot be cut into {self.parts} equal "
                             f"parts: choose a factor that divides them")  # fmt: skip
        return whole // self.parts

    def _check(self, real: Tensor) -> None:
        if len(real) % self.parts:
            raise ValueError(f"{len(real)} clips do not fill stored clips of {self.parts} parts")

    def units(self, name: str, modality: Modality) -> Tensor:
        """What is stored is data-normalised: 1."""
        return torch.ones(1, 1, 1)

    def quantise(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """As it is after a round trip through 16 bits."""
        return self.unpack(self.pack(stored, modality), modality)


@dataclass(frozen=True)
class Wave(Parts):
    """Waveforms: leaf ``wave`` ``(n, channels, samples)``, data-normalised, 16 bits a sample.

    Attributes:
        parts: stretches in a stored clip, each the loudest one of a real clip at the start.
        limit: largest amplitude, in root mean squares of a clip; the 16 bits span plus and minus
            it. 128 clips nothing but single clicks, and rounds to 1/256: 59 dB below the clip.
    """

    kind: ClassVar[str] = "wave"
    leaf: ClassVar[str] = "wave"
    limit: float = 128.0

    def encode(self, real: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Whole clips, or of each clip its loudest stretch, brought to the loudness of a clip."""
        self._check(real)
        length = self._length(real.shape[-1])
        if self.parts > 1:
            power = real.square().mean(1)
            real = level(_cut(real, _loudest(power, length), length))
        stored = self._packed(real)
        self.project_(stored, modality)
        return stored

    def noise(
        self, count: int, modality: Modality, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """White noise of the loudness of a clip."""
        return {"wave": torch.randn(count, *modality.shape, generator=generator)}

    def project_(self, stored: Mapping[str, Tensor], modality: Modality) -> None:
        """Clamp to plus and minus ``limit`` (the same tensor objects)."""
        with torch.no_grad():
            stored["wave"].clamp_(-self.limit, self.limit)

    def pack(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """int16, rounded to the nearest of 65,535 values."""
        scaled = stored["wave"].detach() * (2**15 / self.limit)
        return {"wave": scaled.round().clamp(1 - 2**15, 2**15 - 1).to(torch.int16)}

    def unpack(self, packed: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """float32 waves from int16."""
        return {"wave": packed["wave"].float() * (self.limit / 2**15)}


@dataclass(frozen=True)
class LogMel(Parts):
    """Log-mel spectrograms: leaf ``logmel`` ``(n, 1, mels, frames)``, 16-bit floats.

    Decoded samples are spectrograms, ``(n, 1, mels, frames)``: networks that read spectrograms
    learn from them and are tested on waveforms, others cannot use them.

    Attributes:
        parts: stretches in a stored spectrogram. mels: filters (``spectrum.log_mel``).
    """

    kind: ClassVar[str] = "logmel"
    leaf: ClassVar[str] = "logmel"
    mels: int = MELS

    def check(self, decoded: Tensor, modality: Modality) -> None:
        """Refuse spectrograms of another size than clips of this modality have."""
        assert isinstance(modality, Sound)
        wanted = (1, self.mels, modality.shape[1] // analysis(modality.rate)[1])
        if tuple(decoded.shape[1:]) != wanted:
            raise ValueError(f"spectrograms of shape {tuple(decoded.shape[1:])}, not {wanted}")

    def encode(self, real: Tensor, modality: Modality) -> dict[str, Tensor]:
        """The analysis of clips, or of each clip that of its loudest stretch."""
        assert isinstance(modality, Sound)
        self._check(real)
        found = log_mel(real, modality.rate, self.mels)
        length = self._length(found.shape[-1])
        if self.parts > 1:
            power = (10 ** (4 * found)).mean((1, 2))
            found = _cut(found, _loudest(power, length), length)
        return self._packed(found)

    def noise(
        self, count: int, modality: Modality, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Normal values about 0, where the mean of real spectrograms lies."""
        assert isinstance(modality, Sound)
        frames = modality.shape[1] // analysis(modality.rate)[1]
        drawn = torch.randn(count, 1, self.mels, frames, generator=generator) / 4
        return {"logmel": drawn}

    def project_(self, stored: Mapping[str, Tensor], modality: Modality) -> None:
        """No quieter than the analysis can say, no louder than 1e5 times a usual power."""
        with torch.no_grad():
            stored["logmel"].clamp_(FLOOR, 2.5)

    def pack(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """float16."""
        return {"logmel": stored["logmel"].detach().half()}

    def unpack(self, packed: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """float32 from float16."""
        return {"logmel": packed["logmel"].float()}


def _loudest(power: Tensor, length: int) -> Tensor:
    """Where the loudest stretch of so many positions begins, ``(n,)``; eighths of it are tried.

    Args:
        power: ``(n, positions)``.
    """
    sums = torch.nn.functional.pad(power.double().cumsum(1), (1, 0))
    starts = torch.arange(0, power.shape[1] - length + 1, max(1, length // 8))
    return starts[(sums[:, starts + length] - sums[:, starts]).argmax(1)]


def _cut(x: Tensor, starts: Tensor, length: int) -> Tensor:
    """Stretches ``(n, ..., length)`` of ``(n, ..., positions)``, each from its own start."""
    return torch.stack([one[..., at : at + length] for one, at in zip(x, starts, strict=True)])
