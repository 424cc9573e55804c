"""Sets that were made elsewhere: samples and labels as arrays, beside the data they stand for.

Every sample is stored as it is, in the plain form of the data's own samples: 8-bit pixels. So a set
of another project is counted, evaluated and drawn like one that was condensed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.core.synthetic import SyntheticSet
from condensery.data.arrays import from_arrays, read_npz
from condensery.data.labels import plain_labels
from condensery.data.layout import Raw
from condensery.data.problem import Problem
from condensery.errors import UsageError, unknown

LISTED = 20  # classes that a message names


def set_from_arrays(x: Any, y: Any, problem: Problem, name: str = "other") -> SyntheticSet:
    """A synthetic set of samples that were made elsewhere.

    Args:
        x: images as ``load_problem`` takes them: ``(n, height, width)``, ``(n, height, width,
            channels)`` or ``(n, channels, height, width)``; uint8, or floats in [0, 1], which are
            rounded to 8 bits. Of the size and the channels of the data.
        y: ``(n,)`` classes, in any order: indices or names. Where the names of the classes are
            numbers, these are meant.
        problem: the data that the set stands for; see ``load_problem``.
        name: of its row in tables.

    Raises:
        UsageError: the arrays are no such samples, or the data are no images.
    """
    if isinstance(x, list | tuple):
        raise UsageError("the samples are a list: give one array of images of one size")
    return _made(from_arrays(x, y, "the samples"), problem, name, "the samples")


def read_set(file: Path, problem: Problem, name: str | None = None) -> SyntheticSet:
    """A synthetic set from the arrays ``x`` and ``y`` of an ``.npz``; see ``set_from_arrays``.

    Args:
        file: it may call them ``images`` and ``labels``, or as training data are called.
        name: of its row; None: the file's own.

    Raises:
        UsageError: it cannot be read, or holds several splits; see ``set_from_arrays`` also.
    """
    splits = read_npz(file).splits
    if set(splits) != {"train"}:
        raise UsageError(f"{file} holds {' and '.join(splits)} samples: a set has one kind, name "
                         f"its arrays x and y")  # fmt: skip
    return _made(splits["train"], problem, name or file.stem, str(file))


def _made(raw: Raw, problem: Problem, name: str, what: str) -> SyntheticSet:
    modality = problem.modality
    if modality.kind != "image":
        raise UsageError(f"only sets of images are read from arrays, and {problem.name} holds "
                         f"{modality.kind}: condense a set of it here")  # fmt: skip
    if not len(raw.items):
        raise UsageError(f"{what}: there are none; give at least one for each class")
    pixels = np.asarray(raw.items)
    pixels = pixels[:, None] if pixels.ndim == 3 else np.moveaxis(pixels, -1, 1)
    if pixels.shape[1:] != tuple(modality.shape):
        raise UsageError(
            f"{what}: images of {_shape(pixels.shape[1:])}, but {problem.name} has "
            f"{_shape(modality.shape)}: give them as the data are, or in Python load the data "
            f"with their size="
        )
    labels = torch.from_numpy(_classes(raw.labels, problem, what))
    order = torch.argsort(labels, stable=True)
    real = modality.normalise(torch.from_numpy(np.ascontiguousarray(pixels)))
    codec = modality.codec()
    stored: dict[str, Tensor] = codec.encode(real[order], modality)
    about = {"method": name, "data": problem.name,
             "settings": {"set": name, "fingerprint": problem.fingerprint}}  # fmt: skip
    made = SyntheticSet(stored, labels[order], modality, codec, problem.label_names, about)
    return made.quantised()


def _classes(labels: Any, problem: Problem, what: str) -> np.ndarray:
    """Class indices ``(n,)`` int64 of numbers or names, which must be classes of the data."""
    found, names = plain_labels(labels, f"labels of {what}"), problem.label_names
    numbers = found.dtype.kind != "U"
    if numbers and not all(one.isdecimal() for one in names):
        if found.max() >= problem.classes:
            raise UsageError(f"{what}: class {found.max()}, but {problem.name} has {len(names)}: "
                             f"give indices from 0 to {len(names) - 1}, or names")  # fmt: skip
        return found
    index = {name: label for label, name in enumerate(names)}
    for one in np.unique(found):
        if str(one) not in index:
            raise unknown(f"class of {problem.name}", str(one), names, len(names) <= LISTED)
    return np.array([index[str(one)] for one in found], np.int64)


def _shape(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} x {width} with {channels} channel{'s' if channels > 1 else ''}"
