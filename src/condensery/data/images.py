"""Images as they are found (files, bytes, arrays) to uint8 of one size. Knows no data set.

One rule brings images of any size and aspect to one: the image is resized, with antialiasing,
until it just covers the wanted height and width (for a square: its shorter side becomes the side),
and the middle is cut out. The wanted size is the common one when all are equal, else a square of
the median shorter side. Data are grey (one channel) only when every image is. Alpha is dropped,
photographs are turned upright (EXIF), and 16 bits are scaled to 8.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from condensery.errors import UsageError

Item = bytes | Path | np.ndarray | Image.Image
"""One image: an encoded file, its path, ``(height, width[, 3])`` uint8, or a PIL image."""

SUFFIXES = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
Images = Sequence[Item] | np.ndarray
"""Images of any sizes, or ``(n, height, width[, 3])`` uint8."""

_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_ORIENTATION = 0x0112
_CHUNK = 256


def common_shape(
    items: Sequence[Images],
    where: Sequence[Callable[[int], str]],
    size: int | tuple[int, int] | None = None,
) -> tuple[int, int, int]:
    """The shape that all these images are brought to; reads their headers only.

    Args:
        items: the images of each split.
        where: for each split, the name of its image ``i`` for messages.
        size: side, or ``(height, width)``; None finds one.

    Returns:
        ``(channels, height, width)``.

    Raises:
        UsageError: an image cannot be read (names it), or a size that is not positive.
    """
    measured = [_sizes(part, name) for part, name in zip(items, where, strict=True)]
    rows = np.array([row for part in measured for row in part], np.int64).reshape(-1, 3)
    channels = 1 if rows[:, 2].all() else 3
    wanted = sides(size)
    if wanted is not None:
        return (channels, *wanted)
    if (rows[:, :2] == rows[0, :2]).all():
        return (channels, int(rows[0, 0]), int(rows[0, 1]))
    side = int(np.median(rows[:, :2].min(1)))
    return (channels, side, side)


def sides(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """``(height, width)`` from a side or from both; None stays None.

    Raises:
        UsageError: it is neither, or not positive.
    """
    if size is None:
        return None
    both = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(both) != 2 or not all(isinstance(side, int) and side > 0 for side in both):
        raise UsageError(f"size is a side or (height, width), in pixels from 1; got {size!r}")
    return (both[0], both[1])


def decode_into(out: np.ndarray, items: Images, where: Callable[[int], str]) -> None:
    """Decode images into ``out``, ``(n, channels, height, width)`` uint8, on a few threads.

    Raises:
        UsageError: an image cannot be read; names it.
    """
    shape = out.shape[1:]
    if isinstance(items, np.ndarray) and items.shape[1:3] == shape[1:]:
        out[:] = items[:, None] if items.ndim == 3 else np.moveaxis(items, -1, 1)
        return

    def one(item: Item) -> np.ndarray:
        return decode(item, shape)

    _each(one, items, where, out)


def decode(item: Item, shape: tuple[int, ...]) -> np.ndarray:
    """One image as ``(channels, height, width)`` uint8, by the rule of this module.

    Raises:
        OSError, ValueError, SyntaxError: it is no readable image.
    """
    channels, height, width = shape
    with _open(item) as opened:
        image = _eight_bits(_upright(opened))
        if image.mode in ("P", "PA"):  # a palette with alpha has no straight way to RGB
            image = image.convert("RGBA")
        mode = "L" if channels == 1 else "RGB"
        image = image if image.mode == mode else image.convert(mode)
        pixels = np.asarray(cover(image, height, width))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def cover(image: Image.Image, height: int, width: int) -> Image.Image:
    """Resize until the image just covers ``height`` x ``width``, and cut out the middle."""
    if image.size == (width, height):
        return image
    scale = max(height / image.height, width / image.width)
    wide, high = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    if image.size != (wide, high):
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (wide - width) // 2, (high - height) // 2
    return image.crop((left, top, left + width, top + height))


def _open(item: Item) -> Image.Image:
    if isinstance(item, Image.Image):
        return item.copy()  # the caller closes what it gets
    if isinstance(item, np.ndarray):
        return Image.fromarray(item)
    return Image.open(io.BytesIO(item) if isinstance(item, bytes) else item)


def _sizes(items: Images, where: Callable[[int], str]) -> list[tuple[int, int, bool]]:
    if isinstance(items, np.ndarray):
        return [_measure(items[0])] if len(items) else []  # all are alike
    return _each(_measure, items, where)


def _measure(item: Item) -> tuple[int, int, bool]:
    """Height, width, and whether it is grey."""
    if isinstance(item, np.ndarray):
        return item.shape[0], item.shape[1], item.ndim == 2
    with _open(item) as image:
        width, height = image.size
        if _turned(image) >= 5:  # the four orientations that lie on their side
            width, height = height, width
        return height, width, image.mode in _GREY


def _turned(image: Image.Image) -> int:
    if "exif" not in image.info:
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))


def _upright(image: Image.Image) -> Image.Image:
    return image if _turned(image) == 1 else ImageOps.exif_transpose(image)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits to 8; other modes stay as they are."""
    if image.mode == "F":
        raise ValueError("its pixels are floats; save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels are wider than 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text names an address in memory
        return "an unknown format"
    if isinstance(error, FileNotFoundError):
        return f"there is no file {error.filename}"
    return " ".join(str(error).split()) or type(error).__name__


def _each(
    function: Callable[[Item], Any],
    items: Images,
    where: Callable[[int], str],
    out: np.ndarray | None = None,
) -> list[Any]:
    """Apply a function to all images; results go to ``out``, else come back as a list."""

    def run(start: int) -> list[Any]:
        results = []
        for position in range(start, min(start + _CHUNK, len(items))):
            try:
                result = function(items[position])
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                reason = _reason(error)
                raise UsageError(
                    f"{where(position)} is no readable image ({reason}): repair or remove it"
                ) from error
            if out is None:
                results.append(result)
            else:
                out[position] = result
        return results

    # The decoders of PIL release the interpreter's lock, so threads do help.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        parts = pool.map(run, range(0, len(items), _CHUNK))
        return [result for part in parts for result in part]
