"""Images: normalisation, packing of several small images into one, pictures to look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.errors import UsageError
from condensery.modality.base import Codec, Modality, own_operations
from condensery.modality.image_augmentation import ImageAugmentation


@dataclass(frozen=True)
class Image(Modality):
    """Images of one size.

    Attributes:
        shape: ``(channels, height, width)``; 1 channel (grey) or 3 (colour).
        mean: per channel, of the training pixels in [0, 1].
        std: per channel, likewise; positive.
        mirror: whether a mirrored image keeps its class (False for digits and letters).
    """

    kind: ClassVar[str] = "image"
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirror: bool = True

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or not len(self.mean) == len(self.std) == self.shape[0]:
            raise ValueError(
                f"an image needs (channels, height, width) and one mean and std per channel, got "
                f"shape {self.shape}, {len(self.mean)} means and {len(self.std)} stds"
            )
        if min(self.std) <= 0:
            raise ValueError("the std of a channel is 0: all its pixels are equal")

    def statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std as ``(1, channels, 1, 1)``, of the dtype and device of ``like``."""
        mean = torch.tensor(self.mean, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
        return mean, std

    def normalise(self, raw: Tensor) -> Tensor:
        """uint8 ``(n, channels, height, width)`` in 0..255 to float32 of mean 0 and std 1."""
        return self.from_pixels(raw.float() / 255)

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1] to data-normalised values."""
        mean, std = self.statistics(pixels)
        return (pixels - mean) / std

    def to_pixels(self, x: Tensor) -> Tensor:
        """Data-normalised values to pixels; not clamped."""
        mean, std = self.statistics(x)
        return x * std + mean

    def codec(self, factor: int = 1, **asked: Any) -> Pixels:
        """Pixels, ``factor`` squared small images in each stored one; ``asked`` are its fields.

        Wishes for tokens (``keep``, ``temperature``) do not apply.
        """
        own = {name: asked[name] for name in asked if name not in ("keep", "temperature")}
        return Pixels(factor, **own)

    def augmentation(self, operations: tuple[str, ...], **asked: Any) -> ImageAugmentation:
        """The operations of images, without ``flip`` where a mirrored image changes its class."""
        made = ImageAugmentation(own_operations(operations, self.kind), **asked)
        return made.fitted(self)

    def preview(self, samples: Tensor, path: Path, columns: int) -> Path:
        """One ``.png`` with ``columns`` images in a row, small ones enlarged without smoothing."""
        from torchvision.utils import save_image

        path = path.with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_image(self._sheet(samples, columns), path)
        return path

    def html(self, samples: Tensor, columns: int) -> str:
        """An ``img`` element that holds the picture."""
        from torchvision.transforms.functional import to_pil_image

        written = io.BytesIO()
        to_pil_image(self._sheet(samples, columns)).save(written, "png")
        code = base64.b64encode(written.getvalue()).decode()
        return f'<img alt="{len(samples)} samples" src="data:image/png;base64,{code}">'

    def hub_column(self, samples: Tensor) -> tuple[str, list[Any], Any]:
        """Pictures of 8 bits a channel."""
        from datasets import Image as Feature
        from torchvision.transforms.functional import to_pil_image

        pixels = (self.to_pixels(samples.detach().cpu().float()).clamp(0, 1) * 255).round()
        return "image", [to_pil_image(one) for one in pixels.to(torch.uint8)], Feature()

    def _sheet(self, samples: Tensor, columns: int) -> Tensor:
        """All samples on one picture, ``(3, height, width)`` in [0, 1]; small ones enlarged."""
        from torchvision.utils import make_grid

        pixels = self.to_pixels(samples.detach().cpu().float()).clamp(0, 1)
        times = max(1, round(64 / max(self.shape[1:])))
        pixels = pixels.repeat_interleave(times, -1).repeat_interleave(times, -2)
        return make_grid(pixels, nrow=columns, padding=2, pad_value=1.0)


@dataclass(frozen=True)
class Pixels(Codec):
    """Images stored as pixels, ``factor`` squared small ones packed into each.

    IDC's multi-formation (Kim et al., ICML 2022, section 4). The papers' codes differ in every
    detail, so all are fields, and the artefact's card stores them: "factor 2" alone says too little
    to decode.

    Attributes:
        factor: tiles per side; 1 stores whole images. Height and width must be multiples of it.
        corners: ``align_corners`` of the bilinear enlargement (and of a ``bilinear`` shrink).
        shrink: how a real image becomes a tile: ``bilinear``, ``nearest`` (IDC) or ``area``
            (the mean of ``factor`` x ``factor`` pixels; what IDM's rule amounts to at factor 2).
        space: leaves hold ``pixel`` values in [0, 1] or data-``normalised`` ones (released codes).
        clamp: whether ``project_`` brings pixels back to [0, 1].
        order: of the decoded tiles: ``row`` by row, or ``column`` by column (released HMDC).
        formation: ``single`` decodes the tiles; ``multi`` the whole image first, then its 2 x 2
            tiles, and so on up to ``factor`` x ``factor``: 5 samples at factor 2 (IDC, section 4).
    """

    kind: ClassVar[str] = "pixels"
    gradient_dims: ClassVar[tuple[int, ...]] = (-2, -1)
    factor: int = 1
    corners: bool = False
    shrink: Literal["bilinear", "nearest", "area"] = "bilinear"
    space: Literal["pixel", "normalised"] = "pixel"
    clamp: bool = True
    order: Literal["row", "column"] = "row"
    formation: Literal["single", "multi"] = "single"

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise UsageError(f"factor counts the tiles of a side, from 1; got {self.factor}")

    @property
    def multiplies(self) -> int:
        """``factor`` squared, or with ``multi`` the sum of the squares up to it."""
        return sum(factor**2 for factor in self._factors)

    @property
    def holds(self) -> int:
        """``factor`` squared."""
        return self.factor**2

    @property
    def _factors(self) -> range:
        """Tiles per side of each reading of a stored image."""
        return range(1 if self.formation == "multi" else self.factor, self.factor + 1)

    def plain(self) -> Pixels:
        """The same without packing."""
        return replace(self, factor=1)

    def clamped(self) -> Pixels:
        """The same with pixels kept in [0, 1]."""
        return replace(self, clamp=True)

    def tile_size(self, modality: Modality, factor: int | None = None) -> tuple[int, int]:
        """Height and width of a tile; ``factor`` None: the codec's own.

        Raises:
            ValueError: height or width is no multiple of the factor.
        """
        height, width = modality.shape[-2:]
        factor = factor or self.factor
        if height % factor or width % factor:
            raise ValueError(
                f"images of {height} x {width} cannot be packed {factor} x {factor}: "
                f"choose a factor that divides both (factor 1 packs nothing)"
            )
        return height // factor, width // factor

    def encode(self, real: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Pack data-normalised ``(holds * n, C, H, W)`` into ``n`` stored images.

        Image ``k * n + m`` becomes tile ``k`` (row by row) of stored image ``m``.

        Raises:
            ValueError: the count is no multiple of ``factor`` squared, or the size of ``factor``.
        """
        if len(real) % self.holds:
            raise ValueError(
                f"{len(real)} images do not fill whole {self.factor} x {self.factor} mosaics"
            )
        tile = self.tile_size(modality)
        if self.factor > 1:
            real = self._resize(real, tile, self.shrink)
        count = len(real) // self.holds
        tiles = real.view(self.factor, self.factor, count, *real.shape[1:])
        packed = tiles.permute(2, 3, 0, 4, 1, 5).reshape(count, *modality.shape)
        assert isinstance(modality, Image)
        return {"pixels": (modality.to_pixels(packed) if self.space == "pixel" else packed).clone()}

    def noise(
        self, count: int, modality: Modality, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Standard normal in data-normalised values, clamped to pixels where ``clamp`` says so."""
        x = torch.randn(count, *modality.shape, generator=generator)
        assert isinstance(modality, Image)
        stored = {"pixels": modality.to_pixels(x) if self.space == "pixel" else x}
        self.project_(stored, modality)
        return stored

    def decode(self, stored: Mapping[str, Tensor], modality: Modality) -> Tensor:
        """``(n, C, H, W)`` to data-normalised ``(multiplies * n, C, H, W)``; block-major."""
        assert isinstance(modality, Image)
        parts = [self._tiles(stored["pixels"], modality, factor) for factor in self._factors]
        large = parts[0] if len(parts) == 1 else torch.cat(parts)
        return modality.from_pixels(large) if self.space == "pixel" else large

    def _tiles(self, leaf: Tensor, modality: Modality, factor: int) -> Tensor:
        """``factor`` x ``factor`` tiles of each stored image, each enlarged to a whole one."""
        if factor == 1:
            return leaf
        height, width = self.tile_size(modality, factor)
        count, channels = leaf.shape[:2]
        tiles = leaf.view(count, channels, factor, height, factor, width)
        first = (2, 4) if self.order == "row" else (4, 2)
        blocks = tiles.permute(*first, 0, 1, 3, 5).reshape(-1, channels, height, width)
        return self._resize(blocks, tuple(modality.shape[-2:]), "bilinear")

    def _resize(self, x: Tensor, size: tuple[int, ...], mode: str) -> Tensor:
        corners = self.corners if mode == "bilinear" else None
        return F.interpolate(x, size=list(size), mode=mode, align_corners=corners)

    def units(self, name: str, modality: Modality) -> Tensor:
        """The std of each channel when pixels are stored, 1 when normalised values are."""
        assert isinstance(modality, Image)
        if self.space == "normalised":
            return torch.ones(1, 1, 1, 1)
        return torch.tensor(modality.std).view(1, -1, 1, 1)

    def project_(self, stored: Mapping[str, Tensor], modality: Modality) -> None:
        """Clamp to pixels in [0, 1] (the same tensor objects)."""
        if not self.clamp:
            return
        leaf = stored["pixels"]
        with torch.no_grad():
            if self.space == "pixel":
                leaf.clamp_(0, 1)
            else:
                assert isinstance(modality, Image)
                leaf.copy_(modality.from_pixels(modality.to_pixels(leaf).clamp(0, 1)))

    def pack(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """uint8 pixels, rounded to the nearest of 256 values."""
        leaf = stored["pixels"].detach()
        assert isinstance(modality, Image)
        pixels = leaf if self.space == "pixel" else modality.to_pixels(leaf)
        return {"pixels": (pixels.clamp(0, 1) * 255).round().to(torch.uint8)}

    def unpack(self, packed: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """float32 leaves from uint8 pixels."""
        pixels = packed["pixels"].float() / 255
        assert isinstance(modality, Image)
        return {"pixels": pixels if self.space == "pixel" else modality.from_pixels(pixels)}

    def quantise(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """Stored images as they are after a round trip through uint8."""
        return self.unpack(self.pack(stored, modality), modality)
