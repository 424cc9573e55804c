"""Decoded samples kept on disk, so that a data set is decoded once and memory-mapped afterwards.

They lie under ``CONDENSERY_CACHE`` (default ``~/.cache/condensery``), one folder a data set and
size; it may be deleted at any time. An entry belongs to the names, sizes and times of the files it
was made from, and is replaced when they change. It is written aside and renamed; one whose bytes
are not those that were written is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data.problem import Split

# Of the format and of everything that decides pixels; a change of either makes old entries void.
VERSION = 1
SPLITS = ("train", "val", "test")

Allocate = Callable[..., np.ndarray]
"""Room for the samples of a split, by its name, shape and type (uint8), in memory or on disk."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A data set ready to be used, before it is split any further.

    Attributes:
        splits: by name (``train``, ``val``, ``test``), those that have samples.
        label_names: one per class.
        statistics: mean and std per channel of ``train``, in [0, 1]; empty where there are none.
    """

    splits: dict[str, Split]
    label_names: tuple[str, ...]
    statistics: tuple[tuple[float, ...], tuple[float, ...]]


def cache_folder() -> Path:
    """``CONDENSERY_CACHE``, else ``condensery`` in the user's cache folder."""
    named = os.environ.get("CONDENSERY_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named or f"{base}/condensery").expanduser()


def identity(files: Iterable[Path], *options: Any) -> str:
    """What decoded samples depend on: names, sizes and times of the files, and the options."""
    digest = hashlib.blake2b(repr((VERSION, options)).encode(), digest_size=16)
    for file in files:
        status = file.stat()
        digest.update(repr((file.as_posix(), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def remember(entry: str, key: str, build: Callable[[Allocate], Decoded]) -> Decoded:
    """What ``build`` makes, from the cache when it was made before.

    Args:
        entry: name of the entry; one that is there under another key is replaced.
        key: of what the samples depend on (``identity``).
        build: makes the splits, with samples in arrays that it asks its argument for.

    Returns:
        The same values; samples are memory-mapped and read-only. When the cache cannot be written,
        a warning says so and they are in memory.
    """
    folder = cache_folder() / "data" / entry
    found = _read(folder, key)
    if found is not None:
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    except OSError as error:
        return _unremembered(build, error)
    try:
        _write(scratch, key, build(_on_disk(scratch)))
        _move(scratch, folder)
        found = _read(folder, key)
    except OSError as error:
        return _unremembered(build, error)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    # None: another process replaced the entry in between.
    return found if found is not None else build(_in_memory)


def _unremembered(build: Callable[[Allocate], Decoded], error: OSError) -> Decoded:
    warnings.warn(
        f"decoded data cannot be kept in {cache_folder()} ({error}); they are decoded again each "
        f"time: set CONDENSERY_CACHE to a folder with room",
        stacklevel=3,
    )
    return build(_in_memory)


def _in_memory(split: str, shape: tuple[int, ...], kind: Any = np.uint8) -> np.ndarray:
    return np.empty(shape, kind)


def _on_disk(folder: Path) -> Allocate:
    def allocate(split: str, shape: tuple[int, ...], kind: Any = np.uint8) -> np.ndarray:
        needed, free = int(np.prod(shape)) * np.dtype(kind).itemsize, shutil.disk_usage(folder).free
        if needed > free:  # a memory map on a full disk would end the process
            raise OSError(f"{needed / 2**20:.0f} MiB needed, {free / 2**20:.0f} MiB free")
        return np.lib.format.open_memmap(folder / f"{split}.npy", "w+", kind, shape)

    return allocate


def _write(folder: Path, key: str, made: Decoded) -> None:
    for name, split in made.splits.items():
        if isinstance(split.samples, np.memmap):
            split.samples.flush()
        np.save(folder / f"{name}_labels.npy", split.labels)
    card = {
        "key": key,
        "label_names": made.label_names,
        "statistics": made.statistics,
        "splits": {name: split.digest for name, split in made.splits.items()},
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")


def _read(folder: Path, key: str) -> Decoded | None:
    """The entry, or None when it is not there, of another key, or damaged."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        if card["key"] != key:
            return None
        splits = {name: _read_split(folder, name) for name in SPLITS if name in card["splits"]}
        mean, std = card["statistics"]
        names = tuple(str(name) for name in card["label_names"])
        if any(split.digest != card["splits"][name] for name, split in splits.items()):
            return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Decoded(splits, names, (tuple(mean), tuple(std)))


def _read_split(folder: Path, name: str) -> Split:
    samples = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return Split(samples, np.load(folder / f"{name}_labels.npy", allow_pickle=False))


def _move(scratch: Path, folder: Path) -> None:
    """Put a finished entry in its place; an old one goes away first, whole."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
        os.replace(folder, aside / "old")
        shutil.rmtree(aside, ignore_errors=True)
    try:
        os.replace(scratch, folder)
    except OSError:
        if not folder.exists():  # else another process was faster, and its entry serves as well
            raise


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left behind a day ago or earlier."""
    for left in folder.glob(".unfinished-*"):
        if time.time() - left.stat().st_mtime > 86400:
            shutil.rmtree(left, ignore_errors=True)
