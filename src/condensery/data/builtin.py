"""The built-in data sets: scikit-learn's digits, and image sets of the hub, local copies first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from condensery import hub
from condensery.data.assemble import finish, from_layout, measure
from condensery.data.cache import Decoded
from condensery.data.images import common_shape, decode_into
from condensery.data.layout import Layout, by_split, find_layout, table_layout
from condensery.data.problem import Problem, Split
from condensery.data.source import Options, Source
from condensery.errors import RunError, UsageError

HOW = "give a local copy: --data-dir DIR (data_dir in Python) or CONDENSERY_DATA"


def digits(name: str, source: Source, options: Options) -> Problem:
    """scikit-learn's 1,797 handwritten digits (Alpaydin and Kaynak, UCI 1998), 8 x 8, grey.

    Their 17 levels become 0..255. They come without a split: a stratified third is for testing.
    """
    if options.label is not None:
        raise UsageError(f"{name} has one set of labels: leave label {options.label!r} away")
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)
    shape = common_shape([images], [lambda row: f"digit {row}"], options.size)
    samples = np.empty((len(images), *shape), np.uint8)
    decode_into(samples, images, lambda row: f"digit {row}")
    split = Split(samples, found.target.astype(np.int64))
    made = Decoded({"train": split}, source.label_names or (), measure(samples))
    mirror = source.mirror if options.mirror is None else options.mirror
    return finish(name, made, mirror, options.seed, test_share=1 / 3)


def hub_images(name: str, source: Source, options: Options) -> Problem:
    """A built-in image data set: from a local copy, else the Hugging Face cache, else the hub.

    Raises:
        UsageError: a local copy is another data set.
        RunError: it is nowhere here and cannot be fetched; says where it was looked for.
    """
    known = [column for column, _ in source.labels]
    if options.label is not None and known and options.label not in known:
        raise UsageError(f"{name} has no labels {options.label!r}; known: {', '.join(known)}")
    label = options.label or source.label
    layout = local_copy(name, source, options.data_dir)
    given = layout is not None
    if layout is None:
        assert source.hub is not None
        layout = hub_layout(source.hub, source.config, name, options)
    problem = from_layout(
        layout,
        name if label == source.label else f"{name}-{label}",
        label=label,
        size=options.size,
        mirror=source.mirror if options.mirror is None else options.mirror,
        seed=options.seed,
        label_names=source.label_names,
    )
    expected = dict(source.labels).get(label or "", source.classes)
    if given and problem.classes != expected:
        return _subset(problem, layout, name, expected)
    return problem


def _subset(problem: Problem, layout: Layout, name: str, expected: int) -> Problem:
    """A copy with fewer classes goes by its folder's name, unless it claims to be the whole."""
    from dataclasses import replace

    if layout.name in (name, name.replace("_", "-")) or problem.classes > expected:
        raise UsageError(
            f"{layout.place} has {problem.classes} classes, {name} has {expected}: "
            f"to use it, give the folder itself as data"
        )
    return replace(problem, name=problem.name.replace(name, layout.name, 1))


def places(data_dir: Path | None) -> list[Path]:
    """Folders with local copies: ``data_dir``, then ``CONDENSERY_DATA``.

    Raises:
        UsageError: one of them is not there.
    """
    named = os.environ.get("CONDENSERY_DATA")
    found = [] if data_dir is None else [(data_dir, "--data-dir")]
    found += [(Path(named), "CONDENSERY_DATA")] if named else []
    for place, what in found:
        if not place.expanduser().is_dir():
            raise UsageError(f"{what} names {place}, which is no folder here")
    return [place.expanduser() for place, _ in found]


def local_copy(name: str, source: Source, data_dir: Path | None) -> Layout | None:
    """The copy in ``data_dir`` or ``CONDENSERY_DATA``: a folder of its name, or the place itself.

    The place itself counts under one of the known names; under any other name only ``data_dir``
    does, which was given for this data set.
    """
    for place in places(data_dir):
        for folder in _candidates(place, name, source):
            return find_layout(folder)
        if place == data_dir and _is_data(place):
            return find_layout(place)
    return None


def _candidates(place: Path, name: str, source: Source) -> Iterator[Path]:
    patterns = (name, name.replace("_", "-"), *source.folders)
    if any(place.resolve().match(pattern) for pattern in patterns):
        yield place
    for pattern in patterns:
        yield from (folder for folder in sorted(place.glob(pattern)) if folder.is_dir())


def _is_data(place: Path) -> bool:
    try:
        find_layout(place)
    except UsageError:
        return False
    return True


def hub_layout(repository: str, config: str | None, name: str, options: Options) -> Layout:
    """The tables of a hub repository: prepared or downloaded before, else fetched.

    Raises:
        RunError: it is not here and cannot be fetched.
    """
    found = _prepared(repository, config, name) or _downloaded(repository, config, name)
    if found is not None:
        return found
    here = [Path()] if "/" in name else []  # a hub id may have been meant as a path
    looked = [str(place / name) for place in [*here, *places(options.data_dir)]]
    looked += [str(hub.cache("datasets")), str(hub.cache("hub"))]
    what = f"{name} (looked in {', '.join(looked)})"
    if not options.download:
        raise RunError(f"{what}: not here, and download is off; {HOW}")
    hub.require(repository, what, HOW, "dataset")
    return _fetch(repository, config, name)


def _prepared(repository: str, config: str | None, name: str) -> Layout | None:
    """What ``datasets`` prepared before: arrow files of one version of one configuration."""
    base = hub.cache("datasets") / repository.replace("/", "___")
    infos = list(base.glob(f"{config or '*'}/*/*/dataset_info.json"))
    if not infos or len({info.parts[-4] for info in infos}) > 1:
        return None  # nothing, or several configurations: the library shall choose
    folder = max(infos, key=lambda info: info.stat().st_mtime).parent
    files = sorted(folder.glob("*.arrow"))
    return table_layout(files, folder, name) if files and _complete(files) else None


def _downloaded(repository: str, config: str | None, name: str) -> Layout | None:
    """What was downloaded as it lies on the hub: parquet files of one folder."""
    snapshot = hub.snapshot(repository, "dataset")
    if snapshot is None:
        return None
    files = sorted(snapshot.rglob("*.parquet"))
    files = [file for file in files if config in file.parts] or files
    if not files or len({file.parent for file in files}) > 1 or not _complete(files):
        return None
    if set(by_split(files, files[0].parent)) < {"train", "test"}:
        return None  # a part of it: the library shall fetch the rest
    return table_layout(files, files[0].parent, name)


def _complete(files: list[Path]) -> bool:
    """Whether no shard of ``name-00001-of-00004`` is missing."""
    shards: dict[str, int] = {}
    for file in files:
        stem, _, count = file.stem.rpartition("-of-")
        if stem and count.isdecimal():
            group = f"{stem.rpartition('-')[0]}-of-{count}"
            shards[group] = shards.get(group, 0) + 1
    return all(count == int(group.rpartition("-of-")[2]) for group, count in shards.items())


def _fetch(repository: str, config: str | None, name: str) -> Layout:
    import datasets

    try:
        found: Any = datasets.load_dataset(repository, config)
    except Exception as error:  # whatever a library and a network can do; said in one line
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise RunError(f"{repository} cannot be fetched ({reason}); {HOW}") from error
    files = [Path(file["filename"]) for part in found.values() for file in part.cache_files]
    if not files:
        raise RunError(f"{repository} came without files that can be read; {HOW}")
    return table_layout(files, files[0].parent, name)
