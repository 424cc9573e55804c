"""What a modality, a codec and an augmentation are. One code for image, sound and text: what
differs between them is one of these three parts (or the network), never a subclass of a method."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from condensery.types import Batch

OPERATIONS: dict[str, tuple[str, ...]] = {
    "image": ("flip", "color", "crop", "scale", "rotate", "cutout"),
    "audio": ("shift", "gain", "noise", "polarity", "time_mask", "frequency_mask"),
    "text": ("token_draw", "token_shift", "token_drop"),
}
"""How samples can be altered, by kind of sample; no name stands for two kinds."""


def own_operations(operations: Sequence[str], kind: str) -> tuple[str, ...]:
    """Those of one kind of sample, in their order.

    Names of other kinds are left out, so that one setting of a method serves all data; names that
    no kind has are kept, for the augmentation to refuse.
    """
    others = {name for other, names in OPERATIONS.items() if other != kind for name in names}
    return tuple(name for name in operations if name not in others)


class Modality(ABC):
    """What the samples of a data set are. A frozen dataclass of plain values; belongs to the data.

    Attributes:
        kind: ``image``, ``audio`` or ``text``.
        shape: of one sample as a network gets it.
    """

    kind: ClassVar[str]
    shape: tuple[int, ...]

    @abstractmethod
    def normalise(self, raw: Tensor) -> Tensor:
        """Samples as they lie in memory (uint8 images ...) to what a network is given (float32)."""

    @abstractmethod
    def codec(self, factor: int = 1, **asked: Any) -> Codec:
        """How a set of such samples is stored.

        Args:
            factor: how much is packed into one stored sample; 1: each stored sample is one.
            asked: what a method wants of the codec of images (``corners``, ``shrink``, ``clamp``
                ...); other modalities have no such choice and leave it aside.
        """

    def fits(self, other: Modality) -> bool:
        """Whether samples of another modality can stand for samples of this one."""
        return self.kind == other.kind and tuple(self.shape) == tuple(other.shape)

    def features(self, x: Tensor) -> Tensor:
        """Plain features ``(n, width)`` in which like samples lie close: the values themselves."""
        return x.flatten(1)

    def compared(self, x: Tensor) -> Tensor:
        """Numbers ``(n, width)`` that differ where two samples are not one: the values themselves.

        In data-normalised units: two unrelated samples lie 1.4 apart (root mean square).
        """
        return x.flatten(1)

    def augmentation(self, operations: tuple[str, ...], **asked: Any) -> Augmentation:
        """How such samples are altered: by those of ``operations`` that keep their class.

        Args:
            operations: names of ``OPERATIONS``; those of other kinds of samples are left out.
            asked: ``choose`` and other fields of the modality's augmentation, where it has them.

        Raises:
            UsageError: a name that no modality knows.
        """
        return Unaltered()

    @abstractmethod
    def preview(self, samples: Tensor, path: Path, columns: int) -> Path:
        """Write data-normalised samples as one file that a person can look at or listen to.

        Args:
            samples: ``(n, *shape)``, data-normalised.
            path: without suffix; the modality adds its own.
            columns: samples in a row, where rows make sense.

        Returns:
            The path that was written.
        """

    @abstractmethod
    def html(self, samples: Tensor, columns: int) -> str:
        """What ``preview`` would write, as HTML that holds everything, for a notebook."""

    @abstractmethod
    def hub_column(self, samples: Tensor) -> tuple[str, list[Any], Any]:
        """Samples as a column of a Hugging Face data set.

        Args:
            samples: ``(n, *shape)``, data-normalised.

        Returns:
            The usual name of such a column, its values, and the feature that describes them.
        """

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``condensery.modality.modality_from`` makes an equal one."""
        return {"kind": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]


class Codec(ABC):
    """How a synthetic set is stored. A frozen dataclass of plain values; belongs to the set.

    ``decode`` is the only way out: matching, training and evaluation see the same samples.

    Attributes:
        gradient_dims: the dimensions of a stored leaf over which HMDC divides a gradient by its
            largest entry (hmdc "normalise_gradient"): one image plane, one clip, one position.
    """

    kind: ClassVar[str]
    gradient_dims: ClassVar[tuple[int, ...]]

    @property
    def multiplies(self) -> int:
        """Samples that one stored sample decodes to."""
        return 1

    @property
    def holds(self) -> int:
        """Real samples that one stored sample is made of."""
        return self.multiplies

    @property
    def moves(self) -> bool:
        """Whether there is anything in a stored sample that an optimiser can change."""
        return True

    def plain(self) -> Codec:
        """The same storage read without multiplying: stored samples as they lie there."""
        return self

    def clamped(self) -> Codec:
        """The same with ``project_`` at work, where that is a choice."""
        return self

    def check(self, decoded: Tensor, modality: Modality) -> None:
        """Refuse decoded samples that are not of this modality, as those of a damaged file.

        Raises:
            ValueError: another shape.
        """
        if tuple(decoded.shape[1:]) != tuple(modality.shape):
            raise ValueError(f"samples of shape {tuple(decoded.shape[1:])}, not {modality.shape}")

    @abstractmethod
    def encode(self, real: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Stored leaves from data-normalised real samples, ``holds`` of them in each."""

    @abstractmethod
    def noise(
        self, count: int, modality: Modality, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """``count`` stored samples that know nothing of the data."""

    @abstractmethod
    def decode(self, stored: Mapping[str, Tensor], modality: Modality) -> Tensor:
        """Data-normalised samples, ``multiplies`` times as many; differentiable.

        Block-major: sample ``k * n + m`` is part ``k`` of stored sample ``m`` of ``n``.
        """

    def labels(self, labels: Tensor) -> Tensor:
        """Labels of the decoded samples, in the order of ``decode``."""
        return labels.repeat(self.multiplies, *([1] * (labels.ndim - 1)))

    @abstractmethod
    def units(self, name: str, modality: Modality) -> Tensor:
        """How much of a stored leaf makes one data-normalised unit; broadcasts over the leaf.

        A step is given in normalised units: a gradient times ``units`` is a gradient with respect
        to normalised values, and a step times ``units`` is a step of the stored values.
        """

    @abstractmethod
    def project_(self, stored: Mapping[str, Tensor], modality: Modality) -> None:
        """Bring stored values back into their range, in place (the same tensor objects)."""

    @abstractmethod
    def quantise(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """Stored values after a round trip through what is exported: this form is evaluated."""

    @abstractmethod
    def pack(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """What is written to disk: integers where the format has integers (uint8 pixels)."""

    @abstractmethod
    def unpack(self, packed: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """Stored leaves (float32) from what ``pack`` wrote. ``unpack(pack(s)) == quantise(s)``."""

    def nbytes(self, stored: Mapping[str, Tensor], modality: Modality) -> int:
        """Bytes of the exported form of these samples, without labels."""
        packed = self.pack(stored, modality)
        return sum(leaf.numel() * leaf.element_size() for leaf in packed.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``condensery.modality.codec_from`` makes an equal one."""
        return {"kind": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]


class Augmentation(ABC):
    """A way to alter samples without changing what they are. A frozen dataclass of plain values.

    Attributes:
        operations: names of what may act.
    """

    operations: tuple[str, ...]

    def without(self, *names: str) -> Self:
        """The same without some operations (``cutout`` beside CutMix)."""
        left = tuple(name for name in self.operations if name not in names)
        return dataclasses.replace(self, operations=left)  # type: ignore[type-var]

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int, shared: bool = False) -> Any:
        """Draw the parameters of one application, from this generator only.

        Args:
            generator: where the randomness comes from; the global generators are never touched.
            count: samples that will be altered; ignored when ``shared``.
            shared: one set of parameters for any number of samples (siamese: the same record is
                applied to real and to synthetic samples).
        """

    @abstractmethod
    def apply(self, draw: Any, x: Tensor) -> Tensor:
        """Alter data-normalised samples ``(batch, *shape)`` by a drawn record; differentiable."""

    def mix(self, generator: torch.Generator, batch: Batch, classes: int) -> Batch:
        """Mix samples and labels where the modality knows how (CutMix); else as it is."""
        return batch


@dataclasses.dataclass(frozen=True)
class Unaltered(Augmentation):
    """No augmentation: what a modality has that knows none."""

    operations: tuple[str, ...] = ()

    def draw(self, generator: torch.Generator, count: int, shared: bool = False) -> None:
        """Nothing is drawn."""

    def apply(self, draw: None, x: Tensor) -> Tensor:
        """Samples as they are."""
        return x
