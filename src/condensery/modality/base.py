"""What a modality, a codec and an augmentation are. One code for image, sound and text: what
differs between them is one of these three parts (or the network), never a subclass of a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from condensery.types import Batch


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
        import dataclasses

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

    def plain(self) -> Codec:
        """The same storage read without multiplying: stored samples as they lie there."""
        return self

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
        import dataclasses

        return {"kind": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]


class Augmentation(ABC):
    """A way to alter samples without changing what they are. A frozen dataclass of plain values."""

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
