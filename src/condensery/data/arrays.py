"""Data that are handed over in Python or lie in an ``.npz``: arrays, tensors, torch ``Dataset``s.

Images are grey ``(height, width)`` or have 1, 3 or 4 channels, first or last (where both would fit:
first in a tensor, last in an array, as torch and PIL have it). Values are uint8, bool, uint16,
integers in 0..255, or floats in [0, 1]. They are read once and held as uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from condensery.data.images import Images, Item
from condensery.data.layout import Found, Raw, promoted
from condensery.errors import UsageError

KEYS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"),
              ("images", "labels")),
    "val": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}  # fmt: skip


def read_npz(file: Path) -> Found:
    """The splits of an ``.npz`` file.

    Raises:
        UsageError: it cannot be read, or has none of the known keys (says which it has).
    """
    try:
        with np.load(file, allow_pickle=False) as opened:
            keys = list(opened.files)
            pairs = {split: pair for split, known in KEYS.items()
                     for pair in reversed(known) if set(pair) <= set(keys)}  # fmt: skip
            if "train" not in pairs:
                raise UsageError(
                    f"{file} has the keys {', '.join(keys)}: name them x and y, or x_train, "
                    f"y_train, x_test and y_test, or images and labels"
                )
            splits = promoted(pairs)
            values = {split: (opened[x], opened[y]) for split, (x, y) in splits.items()}
    except UsageError:
        raise
    except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} is no readable .npz file of plain arrays ({error})") from error
    except Exception as error:  # zipfile.BadZipFile, zlib.error: a damaged archive
        raise UsageError(f"{file} is damaged ({error}): make it again") from error
    return Found({split: from_arrays(*pair, f"{split} of {file}")
                  for split, pair in values.items()}, None)  # fmt: skip


def from_tuple(data: Sequence[Any]) -> Found:
    """``(x, y)``, ``(x_train, y_train, x_test, y_test)`` or ``(train, test)`` data sets.

    Raises:
        UsageError: it is none of them, or samples and labels do not fit together.
    """
    if all(isinstance(part, Dataset) for part in data) and len(data) == 2:
        train, test = from_dataset(data[0], "train"), from_dataset(data[1], "test")
        splits = {"train": train.splits["train"], "test": test.splits["train"]}
        return Found(splits, train.label_names)
    if len(data) not in (2, 4):
        raise UsageError(
            f"a tuple of data is (x, y) or (x_train, y_train, x_test, y_test), "
            f"or two torch Datasets; got {len(data)} parts"
        )
    splits = {"train": from_arrays(data[0], data[1], "the training arrays")}
    if len(data) == 4:
        splits["test"] = from_arrays(data[2], data[3], "the test arrays")
    return Found(splits, None)


def from_arrays(x: Any, y: Any, what: str) -> Raw:
    """Samples and labels of one split.

    Args:
        x: ``(n, height, width)``, ``(n, height, width, channels)`` or
            ``(n, channels, height, width)``; or a sequence of images of unlike sizes.
        y: ``(n,)`` whole numbers or names.
        what: for messages.

    Raises:
        UsageError: unequal lengths, or samples that are no images.
    """
    labels = _numpy(y) if isinstance(y, torch.Tensor) else y
    try:
        counts = len(x), len(labels)
    except TypeError:
        raise UsageError(
            f"{what}: give images and labels, as many of the one as of the other"
        ) from None
    if counts[0] != counts[1]:
        raise UsageError(f"{what}: {counts[0]} samples, but {counts[1]} labels")
    ragged = isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.dtype == object)
    if not ragged:
        items: Images = _uniform(x, what)
    else:
        items = [as_item(image, f"image {row} of {what}") for row, image in enumerate(x)]
    return Raw(items, labels, lambda row: f"image {row} of {what}")


def from_dataset(data: Dataset, what: str = "data") -> Found:
    """A map-style torch ``Dataset`` of (image, label), read once from front to back.

    What it draws at random (augmentations) is frozen as drawn: hand it over without.

    Raises:
        UsageError: a stream, an item that is no pair, or an image that is none.
    """
    name = f"the {type(data).__name__} ({what})"
    if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
        raise UsageError(f"{name} is a stream: give a data set with a length and positions")
    items: list[Item] = []
    labels: list[Any] = []
    for row in range(len(data)):
        pair = data[row]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise UsageError(f"{name} must give (image, label); item {row} is no pair")
        items.append(as_item(pair[0], f"image {row} of {name}"))
        labels.append(pair[1].item() if isinstance(pair[1], torch.Tensor | np.generic) else pair[1])
    names = getattr(data, "classes", None)
    told = isinstance(names, list | tuple) and all(isinstance(one, str) for one in names)
    raw = Raw(items, labels, lambda row: f"image {row} of {name}")
    return Found({"train": raw}, tuple(names) if told and names else None)


def as_item(image: Any, where: str) -> Item:
    """An image as ``(height, width)`` or ``(height, width, 3)`` uint8; a PIL image as it is.

    Raises:
        UsageError: it is no image.
    """
    from PIL import Image

    if isinstance(image, Image.Image | bytes | Path):
        return image
    first = isinstance(image, torch.Tensor)
    values = _numpy(image) if first else np.asarray(image)
    if values.ndim not in (2, 3):
        raise UsageError(f"{where} has shape {values.shape}: give (height, width[, channels])")
    pixels = to_uint8(values, where)
    return pixels if pixels.ndim == 2 else _channels(pixels, first, where)


def to_uint8(values: np.ndarray, where: str) -> np.ndarray:
    """Pixel values as uint8: bool and floats in [0, 1] times 255, uint16 divided by 257.

    Raises:
        UsageError: other values, or NaN.
    """
    kind = values.dtype
    if kind == np.uint8:
        return values
    if kind == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if kind == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if kind.kind not in "iuf":
        raise UsageError(f"{where} holds {kind}: give uint8, or floats in [0, 1]")
    if not values.size:
        return values.astype(np.uint8)
    low, high = values.min(), values.max()
    if kind.kind != "f":
        if low < 0 or high > 255:
            raise UsageError(f"{where} holds integers from {low} to {high}: give 0 to 255")
        return values.astype(np.uint8)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UsageError(f"{where} holds values that are not finite (NaN or infinite): repair them")
    if low < 0 or high > 1:
        raise UsageError(
            f"{where} holds floats from {low:.3g} to {high:.3g}: give floats in [0, 1] (divide by "
            f"255, or leave out the normalisation) or uint8"
        )
    return np.round(values * 255).astype(np.uint8)


def _numpy(values: torch.Tensor) -> np.ndarray:
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def _uniform(x: Any, what: str) -> np.ndarray:
    """Images of one size as ``(n, height, width[, 3])`` uint8."""
    first = isinstance(x, torch.Tensor)
    values = _numpy(x) if first else np.asarray(x)
    if values.ndim not in (3, 4):
        raise UsageError(
            f"{what} have shape {values.shape}: images are (n, height, width), "
            f"(n, height, width, channels) or (n, channels, height, width)"
        )
    chunks = [to_uint8(values[start : start + 1024], what) for start in range(0, len(values), 1024)]
    whole = values if values.dtype == np.uint8 or not chunks else np.concatenate(chunks)
    return whole if whole.ndim == 3 else _channels(whole, first, what)


def _channels(images: np.ndarray, first: bool, where: str) -> np.ndarray:
    """Channels last and alpha dropped; one channel goes away.

    Args:
        images: ``(..., height, width, channels)`` or ``(..., channels, height, width)``.
        first: where channels are when both places would fit.
        where: for messages.
    """
    leads, trails = images.shape[-3] in (1, 3, 4), images.shape[-1] in (1, 3, 4)
    if not (leads or trails):
        raise UsageError(
            f"{where}: shape {images.shape} has neither first nor last 1, 3 or 4 channels"
        )
    if leads and (first or not trails):
        images = np.moveaxis(images, -3, -1)
    return images[..., 0] if images.shape[-1] == 1 else images[..., :3]
