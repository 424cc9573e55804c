"""From what was found to a ``Problem``: decode, measure, split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from condensery.data.cache import Allocate, Decoded, identity, remember
from condensery.data.images import common_shape, decode_into
from condensery.data.labels import check_classes, encode_labels
from condensery.data.layout import Found, Layout
from condensery.data.problem import Problem, Split, stratified, take
from condensery.errors import UsageError
from condensery.modality import Image

TEST_SHARE = 0.2


def from_layout(
    layout: Layout,
    name: str,
    *,
    label: str | None = None,
    size: int | tuple[int, int] | None = None,
    mirror: bool = True,
    seed: int = 0,
    label_names: Sequence[str] | None = None,
) -> Problem:
    """A problem from files, decoded once and then memory-mapped from the cache.

    Args:
        layout: where they lie.
        name: of the problem.
        label: the column of labels. size, mirror, seed: see ``load_problem``.
        label_names: used where the files tell none and the number of classes agrees.

    Raises:
        UsageError: the files are not what is needed; names the file, row or column.
    """
    place = layout.place.resolve()
    names = tuple(label_names or ())
    about = repr((place.as_posix(), layout.name, label, size)).encode()
    mark = hashlib.blake2b(about, digest_size=6).hexdigest()
    key = identity(layout.files, label, size, names)

    def build(allocate: Allocate) -> Decoded:
        return decoded(layout.read(label), name, size, allocate, names)

    return finish(name, remember(f"{place.name}-{mark}", key, build), mirror, seed)


def from_found(
    found: Found,
    name: str,
    *,
    size: int | tuple[int, int] | None = None,
    mirror: bool = True,
    seed: int = 0,
) -> Problem:
    """A problem from what lies in memory already; nothing is written.

    Raises:
        UsageError: an image or a label is not what is needed.
    """
    made = decoded(found, name, size, lambda split, shape: np.empty(shape, np.uint8))
    return finish(name, made, mirror, seed)


def decoded(
    found: Found,
    name: str,
    size: int | tuple[int, int] | None,
    allocate: Allocate,
    label_names: Sequence[str] = (),
) -> Decoded:
    """Decode the images and encode the labels of all splits, and measure the training split."""
    raws = {split: raw for split, raw in found.splits.items() if len(raw.items)}
    if "train" not in raws:
        raise UsageError(f"{name} has no training samples")
    labels = {split: raw.labels for split, raw in raws.items()}
    indices, names = encode_labels(labels, found.label_names, name)
    if found.label_names is None and len(names) == len(label_names) and names == _numbers(names):
        names = tuple(label_names)
    parts = list(raws.values())
    shape = common_shape([raw.items for raw in parts], [raw.where for raw in parts], size)
    splits = {}
    for split, raw in raws.items():
        samples = allocate(split, (len(raw.items), *shape))
        decode_into(samples, raw.items, raw.where)
        splits[split] = Split(samples, indices[split])
    return Decoded(splits, names, measure(splits["train"].samples))


def finish(
    name: str, made: Decoded, mirror: bool, seed: int, test_share: float = TEST_SHARE
) -> Problem:
    """The problem; a data set without a test split gives a stratified, seeded part of itself.

    Raises:
        UsageError: all pixels of a channel are equal, so that nothing can be normalised.
    """
    splits, statistics = dict(made.splits), made.statistics
    train = splits["train"]
    if "test" not in splits:
        taken = stratified(train.labels, test_share, seed)
        kept = np.setdiff1d(np.arange(len(train)), taken)
        splits |= {"train": take(train, kept), "test": take(train, taken)}
        statistics = measure(splits["train"].samples)
        check_classes(splits["train"].labels, made.label_names, name)
    mean, std = statistics
    if min(std) <= 0:
        raise UsageError(
            f"all training pixels of {name} are equal in one channel: give other images"
        )
    shape = tuple(int(side) for side in train.samples.shape[1:])
    none = Split(np.empty((0, *shape), np.uint8), np.empty(0, np.int64))
    return Problem(
        name=name,
        modality=Image(shape, mean, std, mirror),
        label_names=made.label_names,
        train=splits["train"],
        val=splits.get("val", none),
        test=splits.get("test", none),
    )


def measure(samples: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std per channel of uint8 ``(n, channels, height, width)``, as parts of 255.

    Sums are whole numbers, so the result does not depend on order or chunks.
    """
    total = np.zeros(samples.shape[1], np.uint64)
    squares = np.zeros(samples.shape[1], np.uint64)
    rows = max(1, 2**22 // max(1, samples[:1].size))
    for start in range(0, len(samples), rows):
        chunk = samples[start : start + rows].astype(np.uint16)
        total += chunk.sum((0, 2, 3), dtype=np.uint64)
        squares += (chunk * chunk).sum((0, 2, 3), dtype=np.uint64)  # 255 squared fits 16 bits
    count = samples.size // samples.shape[1]
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    return tuple((mean / 255).tolist()), tuple((np.sqrt(variance) / 255).tolist())


def _numbers(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(number) for number in range(len(names)))
