"""A data set as condensation sees it: real samples by class, labels, splits, a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from condensery.errors import UsageError
from condensery.modality import Modality, Text
from condensery.types import Batch

SplitName = Literal["train", "val", "test"]

_HOW = {
    "train": "give data with samples to train on",
    "val": "take one from the training data: condense with --validation 0.1 (validation=0.1)",
    "test": "give data with a test split, or with more than one sample a class",
}


@dataclass(frozen=True, eq=False)
class Split:
    """Samples as they lie in memory, and their classes.

    Attributes:
        samples: ``(n, *shape)`` uint8 for images, int16 for sound, ``(n, length)`` int32 for text;
            a numpy array or a memory map, never normalised.
        labels: ``(n,)`` int64 in ``0 .. classes - 1``.
    """

    samples: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """Thirty-two hexadecimal digits of all samples and labels, in their order.

        Bytes are hashed where they lie, a few MiB at a time: 50,000 images of 32 x 32 take a
        fraction of a second, memory-mapped or not.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.samples.dtype.str, self.samples.shape)).encode())
        digest.update(np.ascontiguousarray(self.labels, np.int64).tobytes())
        rows = max(1, 2**24 // max(1, self.samples[:1].nbytes))
        for start in range(0, len(self.samples), rows):
            digest.update(np.ascontiguousarray(self.samples[start : start + rows]).data)
        return digest.hexdigest()

    @cached_property
    def by_class(self) -> dict[int, np.ndarray]:
        """Positions of each class's samples, in data order."""
        order = np.argsort(self.labels, kind="stable")
        present, starts = np.unique(self.labels[order], return_index=True)
        return dict(zip(present.tolist(), np.split(order, starts[1:]), strict=True))


@dataclass(frozen=True, eq=False)
class Problem:
    """A labelled data set, immutable. Samples stay as they are stored and are normalised on use.

    Attributes:
        name: for records and cards.
        modality: what a sample is, with the mean and std of the training split.
        label_names: one per class.
        train, val, test: the splits; ``val`` may be empty (see ``with_validation``).
        labels: the classes of this problem, ``(0, 1, ..., classes - 1)``.
    """

    name: str
    modality: Modality
    label_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.label_names)

    @property
    def labels(self) -> range:
        """The class indices."""
        return range(self.classes)

    def split(self, name: SplitName) -> Split:
        """A split by name.

        Raises:
            UsageError: unknown or empty; says how to get one.
        """
        if name not in ("train", "val", "test"):
            raise UsageError(f"unknown split {name!r}; known: train, val, test")
        found: Split = getattr(self, name)
        if not len(found):
            raise UsageError(f"{self.name} has no {name} split; {_HOW[name]}")
        return found

    def of(self, label: int) -> np.ndarray:
        """Positions of a class's training samples, ``(count,)``, in data order.

        Raises:
            UsageError: the class has no training sample.
        """
        found = self.train.by_class.get(int(label))
        if found is None:
            name = self.label_names[label]
            raise UsageError(f"class {label} ({name}) of {self.name} has no training sample")
        return found

    def samples(
        self,
        positions: Sequence[int] | np.ndarray | Tensor | slice,
        split: SplitName = "train",
        device: str | torch.device = "cpu",
    ) -> Tensor:
        """Data-normalised samples at these positions, ``(count, *shape)`` float32."""
        index = positions.numpy() if isinstance(positions, Tensor) else positions
        found = np.ascontiguousarray(self.split(split).samples[index])
        # A slice of a memory map is read-only, which torch does not take.
        raw = torch.from_numpy(found if found.flags.writeable else found.copy())
        return self.modality.normalise(raw.to(device))

    def batch(
        self,
        positions: Sequence[int] | np.ndarray | Tensor | slice,
        split: SplitName = "train",
        device: str | torch.device = "cpu",
    ) -> Batch:
        """Data-normalised samples with their hard labels."""
        index = positions.numpy() if isinstance(positions, Tensor) else positions
        labels = torch.from_numpy(np.ascontiguousarray(self.split(split).labels[index]))
        return Batch(self.samples(index, split, device), labels.to(device))

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the training samples, labels or classes."""
        about: tuple[Any, ...] = (
            self.modality.kind, self.modality.shape, self.label_names, self.train.digest
        )  # fmt: skip
        if isinstance(self.modality, Text):  # the same ids are other words
            about = (*about, self.modality.fingerprint)
        return hashlib.blake2b(repr(about).encode(), digest_size=8).hexdigest()

    def describe(self) -> dict[str, Any]:
        """The data set in plain values: name, sizes, classes, modality, fingerprint."""
        counts = [len(positions) for positions in self.train.by_class.values()]
        return {
            "name": self.name,
            "classes": self.classes,
            "train": len(self.train),
            "val": len(self.val),
            "test": len(self.test),
            "fewest of a class": min(counts, default=0),
            "most of a class": max(counts, default=0),
            "modality": self.modality.to_dict(),
            "fingerprint": self.fingerprint,
        }

    def only(self, labels: Sequence[int]) -> Problem:
        """The problem of some classes alone, in this order: the first of them is class 0.

        Mean and std stay those of the whole training split.

        Raises:
            UsageError: no class, one that is not there, or one that is named twice.
        """
        wanted = [int(label) for label in labels]
        if not wanted or len(set(wanted)) < len(wanted) or not set(wanted) <= set(self.labels):
            raise UsageError(f"{self.name} has the classes 0 to {self.classes - 1}: name some of "
                             f"them, each once; got {wanted}")  # fmt: skip
        places = np.full(self.classes, -1)
        places[wanted] = np.arange(len(wanted))

        def some(split: Split) -> Split:
            kept = np.flatnonzero(np.isin(split.labels, wanted))
            held = take(split, kept)
            return Split(held.samples, places[held.labels].astype(np.int64))

        names = tuple(self.label_names[label] for label in wanted)
        return replace(self, label_names=names, train=some(self.train), val=some(self.val),
                       test=some(self.test))  # fmt: skip

    def with_validation(self, share: float = 0.1, seed: int = 0) -> Problem:
        """Take a stratified, seeded part of the training data as validation split.

        Every class with at least two training samples gives ``round(share * count)`` of them, at
        least one and never all. Returns itself when a validation split is already there.

        Raises:
            UsageError: ``share`` is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise UsageError(f"the validation share lies between 0 and 1, got {share}")
        if len(self.val):
            return self
        taken = stratified(self.train.labels, share, seed)
        kept = np.setdiff1d(np.arange(len(self.train)), taken)
        return replace(self, train=take(self.train, kept), val=take(self.train, taken))


def take(split: Split, positions: np.ndarray) -> Split:
    """The samples of a split at these positions."""
    return Split(split.samples[positions], split.labels[positions])


def stratified(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Sorted positions of about ``share`` of each class: at least one, never all of it."""
    generator = np.random.default_rng([seed % 2**63, 0x5EED])
    taken = []
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        count = min(max(1, round(share * len(positions))), len(positions) - 1)
        taken.append(generator.permutation(positions)[:count])
    return np.sort(np.concatenate(taken)) if taken else np.empty(0, np.int64)
