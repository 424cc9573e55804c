"""Differentiable augmentation of images, and CutMix.

The operations are those of DSA (Zhao & Bilen, ICML 2021) in the variant of IDC (Kim et al., ICML
2022, section 5): they act on data-normalised values, where zero is the data's mean, so that the
black of a crop or a cutout is the mean colour. Parameters are drawn into a record from a private
generator,
and one record can be applied to any number of samples: real and synthetic see the same transform
without reseeding anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.errors import UsageError
from condensery.modality.base import OPERATIONS as NAMES
from condensery.modality.base import Augmentation, Modality
from condensery.types import Batch

OPERATIONS = NAMES["image"]
GEOMETRIC = ("crop", "scale", "rotate")


class ImageDraw(NamedTuple):
    """Parameters of one application. Every tensor is ``(count, ...)``, or ``(1, ...)`` when shared.

    Attributes:
        applied: the operations that act this time, in the order in which they act.
        flip: ``(count,)`` bool. color: ``(count, 3)`` in [0, 1): brightness, saturation, contrast.
        crop: ``(count, 2)`` in [0, 1): shifts. scale: ``(count, 2)`` factors.
        rotate: ``(count,)`` radians. cutout: ``(count, 2)`` in [0, 1): centre.
    """

    applied: tuple[str, ...]
    flip: Tensor
    color: Tensor
    crop: Tensor
    scale: Tensor
    rotate: Tensor
    cutout: Tensor


@dataclass(frozen=True)
class ImageAugmentation(Augmentation):
    """DSA's operations, applied as IDC or as DSA applies them.

    Attributes:
        operations: which may act, of ``flip color crop scale rotate cutout``.
        choose: ``geometric`` (IDC): all that are named, but only one of crop, scale and rotate,
            drawn once a call; ``one`` (DSA): exactly one of all that are named, drawn once a call.
        brightness: ``x + (u - 1/2) * brightness``, u in [0, 1).
        saturation: around the mean of a pixel's channels by the factor ``u * saturation``.
        contrast: around an image's mean by the factor ``u + contrast``.
        crop_ratio: largest shift, as a part of the side.
        cutout_ratio: side of the square, as a part of the image's side.
        scale_ratio: sides are scaled by factors in ``[1 / scale_ratio, scale_ratio]``.
        rotate_degrees: rotation in ``[-rotate_degrees, rotate_degrees]``.
        corners: ``align_corners`` of the sampling grid and of the sampling, together.
        brightness_only: colour changes brightness alone (the authors' released code).
        corners_grid: ``align_corners`` of the grid alone; None: as ``corners`` (released: True with
            ``corners=False``, so that the identity is not the identity).
    """

    operations: tuple[str, ...] = OPERATIONS
    choose: Literal["geometric", "one"] = "geometric"
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    crop_ratio: float = 0.125
    cutout_ratio: float = 0.5
    scale_ratio: float = 1.2
    rotate_degrees: float = 15.0
    corners: bool = False
    brightness_only: bool = False
    corners_grid: bool | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if unknown:
            raise UsageError(f"unknown operation {unknown[0]!r}; known: {', '.join(OPERATIONS)}")

    def fitted(self, modality: Modality) -> ImageAugmentation:
        """The same without ``flip`` where a mirrored image is of another class (digits)."""
        return self if getattr(modality, "mirror", True) else self.without("flip")

    def draw(self, generator: torch.Generator, count: int, shared: bool = False) -> ImageDraw:
        """See ``Augmentation.draw``. The choice of operations is one for the whole call."""
        rows = 1 if shared else count
        device = generator.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        def pick(names: tuple[str, ...]) -> str:
            return names[int(torch.randint(len(names), (), generator=generator, device=device))]

        if not self.operations:
            applied: tuple[str, ...] = ()
        elif self.choose == "one":
            applied = (pick(self.operations),)
        else:
            named = tuple(name for name in GEOMETRIC if name in self.operations)
            chosen = (pick(named),) if named else ()
            first = tuple(name for name in ("flip", "color") if name in self.operations)
            last = ("cutout",) if "cutout" in self.operations else ()
            applied = (*first, *chosen, *last)
        low, high = 1 / self.scale_ratio, self.scale_ratio
        return ImageDraw(
            applied=applied,
            flip=uniform(rows) < 0.5,
            color=uniform(rows, 3),
            crop=uniform(rows, 2),
            scale=low + (high - low) * uniform(rows, 2),
            rotate=(2 * uniform(rows) - 1) * math.radians(self.rotate_degrees),
            cutout=uniform(rows, 2),
        )

    def apply(self, draw: ImageDraw, x: Tensor) -> Tensor:
        """Apply a record to data-normalised images ``(batch, channels, height, width)``.

        Raises:
            ValueError: the record is neither shared nor of ``batch`` rows.
        """
        rows = len(draw.flip)
        if rows not in (1, len(x)):
            raise ValueError(f"a record of {rows} samples cannot be applied to {len(x)}")
        for name in draw.applied:
            x = getattr(self, f"_{name}")(draw, x)
        return x

    def _flip(self, draw: ImageDraw, x: Tensor) -> Tensor:
        return torch.where(_column(draw.flip, x) > 0.5, x.flip(-1), x)

    def _color(self, draw: ImageDraw, x: Tensor) -> Tensor:
        amount = draw.color.to(x)
        x = x + (_column(amount[:, 0], x) - 0.5) * self.brightness
        if self.brightness_only:
            return x
        mean = x.mean(1, keepdim=True)
        x = (x - mean) * (_column(amount[:, 1], x) * self.saturation) + mean
        mean = x.mean((1, 2, 3), keepdim=True)
        return (x - mean) * (_column(amount[:, 2], x) + self.contrast) + mean

    def _crop(self, draw: ImageDraw, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        down = _steps(draw.crop[:, 0], int(self.crop_ratio * height + 0.5))
        right = _steps(draw.crop[:, 1], int(self.crop_ratio * width + 0.5))
        return shift(x, down.to(x.device), right.to(x.device))

    def _scale(self, draw: ImageDraw, x: Tensor) -> Tensor:
        factors = draw.scale.to(x)
        zero = torch.zeros_like(factors[:, 0])
        top = torch.stack([factors[:, 0], zero, zero], 1)
        bottom = torch.stack([zero, factors[:, 1], zero], 1)
        return self._sample(x, torch.stack([top, bottom], 1))

    def _rotate(self, draw: ImageDraw, x: Tensor) -> Tensor:
        angle = draw.rotate.to(x)
        zero = torch.zeros_like(angle)
        # The sampling grid lives in a square [-1, 1]: without the aspect a wide image would shear.
        aspect = x.shape[-2] / x.shape[-1]
        top = torch.stack([angle.cos(), -angle.sin() * aspect, zero], 1)
        bottom = torch.stack([angle.sin() / aspect, angle.cos(), zero], 1)
        return self._sample(x, torch.stack([top, bottom], 1))

    def _sample(self, x: Tensor, theta: Tensor) -> Tensor:
        theta = theta.expand(len(x), 2, 3)
        corners_grid = self.corners if self.corners_grid is None else self.corners_grid
        grid = F.affine_grid(theta, list(x.shape), align_corners=corners_grid)
        return F.grid_sample(x, grid, "bilinear", "zeros", align_corners=self.corners)

    def _cutout(self, draw: ImageDraw, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows = _square(draw.cutout[:, 0], height, int(self.cutout_ratio * height + 0.5))
        columns = _square(draw.cutout[:, 1], width, int(self.cutout_ratio * width + 0.5))
        kept = ~(rows[:, :, None] & columns[:, None, :])
        return x * kept[:, None].to(x)

    def mix(self, generator: torch.Generator, batch: Batch, classes: int) -> Batch:
        """CutMix of the whole batch; see ``cutmix``."""
        return cutmix(generator, batch, classes)


def shift(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """``out[a, b] = x[a + down, b + right]``, zero where that lies outside.

    Args:
        x: ``(batch, channels, height, width)``.
        down, right: ``(batch,)`` or ``(1,)`` whole numbers.
    """
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device)[None] + down[:, None]
    columns = torch.arange(width, device=x.device)[None] + right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None, :]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    if len(rows) == 1:
        moved = x[:, :, rows[0]][:, :, :, columns[0]]
    else:
        picks = torch.arange(len(x), device=x.device)[:, None, None]
        moved = x.permute(0, 2, 3, 1)[picks, rows[:, :, None], columns[:, None, :]].permute(
            0, 3, 1, 2
        )
    return moved * inside[:, None].to(x)


def cutmix(generator: torch.Generator, batch: Batch, classes: int) -> Batch:
    """CutMix (Yun et al., ICCV 2019): a box of another sample, labels mixed by its true area.

    The box has sides ``sqrt(1 - lambda)`` of the image's, lambda ~ Beta(1, 1), a uniform centre,
    and is clipped at the border; the share of the labels is the area after clipping.

    Args:
        generator: the only source of randomness.
        batch: images ``(n, channels, height, width)`` with hard ``(n,)`` or soft ``(n, classes)``
            labels; left as it is.
        classes: number of classes.

    Returns:
        A batch with soft labels ``(n, classes)`` whose rows sum to 1.
    """
    x = batch.x
    assert isinstance(x, Tensor)
    target = batch.y if batch.y.ndim == 2 else F.one_hot(batch.y, classes).to(x)
    height, width = x.shape[-2:]
    drawn = torch.rand(3, generator=generator, device=generator.device).tolist()
    order = torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)
    side = math.sqrt(1 - drawn[0])
    box_height, box_width = int(height * side), int(width * side)
    middle_row, middle_column = int(drawn[1] * height), int(drawn[2] * width)
    top, bottom = max(middle_row - box_height // 2, 0), min(middle_row + box_height // 2, height)
    left, right = max(middle_column - box_width // 2, 0), min(middle_column + box_width // 2, width)
    mixed = x.clone()
    mixed[:, :, top:bottom, left:right] = x[order, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return Batch(mixed, share * target + (1 - share) * target[order], batch.mask)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like).view(-1, 1, 1, 1)


def _steps(u: Tensor, most: int) -> Tensor:
    """Uniform whole numbers in ``[-most, most]`` from uniform numbers in [0, 1)."""
    return (u * (2 * most + 1)).floor().long().clamp(max=2 * most) - most


def _square(u: Tensor, side: int, size: int) -> Tensor:
    """Where a window of ``size`` lies on ``side`` positions, ``(count, side)`` bool.

    Its offset is uniform on ``0..side`` for an even size and ``0..side - 1`` for an odd one; it
    starts half a size before and is clipped at the border, whose last position is always touched.
    """
    offset = (u * (side + (size % 2 == 0))).floor().long()
    first = offset - size // 2
    last = (first + size - 1).clamp(0, side - 1)
    first = first.clamp(0, side - 1)
    place = torch.arange(side, device=u.device)[None]
    return (place >= first[:, None]) & (place <= last[:, None])
