"""Data sets: the built-in ones (``DATA``), and what a person brings along (``load_problem``)."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from condensery import hub
from condensery.data import sounds, texts
from condensery.data.arrays import from_dataset, from_tuple, read_npz
from condensery.data.assemble import from_found, from_layout
from condensery.data.builtin import HOW, digits, hub_images, hub_layout, places
from condensery.data.images import sides
from condensery.data.layout import Layout, find_layout, table_layout
from condensery.data.problem import Problem, Split, SplitName
from condensery.data.source import Options, Source
from condensery.errors import UsageError
from condensery.modality import Image

FILES = {".npz", ".csv", ".tsv", ".parquet", ".arrow", ".zip", ".npy"}  # never the end of a hub id

DATA: dict[str, Source] = {
    "digits": Source(
        load=digits,
        description="scikit-learn's handwritten digits, no download",
        classes=10,
        shape=(1, 8, 8),
        mirror=False,
        label_names=tuple("0123456789"),
    ),
    "mnist": Source(
        load=hub_images,
        description="handwritten digits",
        classes=10,
        shape=(1, 28, 28),
        mirror=False,
        hub="ylecun/mnist",
        config="mnist",
        label_names=tuple("0123456789"),
    ),
    "fashion_mnist": Source(
        load=hub_images,
        description="pictures of clothes",
        classes=10,
        shape=(1, 28, 28),
        mirror=True,
        hub="zalando-datasets/fashion_mnist",
        config="fashion_mnist",
        label_names=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                     "Sneaker", "Bag", "Ankle boot"),
    ),
    "svhn": Source(
        load=hub_images,
        description="street view house numbers, cropped to single digits",
        classes=10,
        shape=(3, 32, 32),
        mirror=False,
        hub="ufldl-stanford/svhn",
        config="cropped_digits",
        label_names=tuple("0123456789"),
    ),
    "cifar10": Source(
        load=hub_images,
        description="small photographs of ten kinds of things",
        classes=10,
        shape=(3, 32, 32),
        mirror=True,
        hub="uoft-cs/cifar10",
        config="plain_text",
        label_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
                     "ship", "truck"),
    ),
    "cifar100": Source(
        load=hub_images,
        description="small photographs, 100 classes (fine_label) in 20 groups (coarse_label)",
        classes=100,
        shape=(3, 32, 32),
        mirror=True,
        hub="uoft-cs/cifar100",
        config="cifar100",
        label="fine_label",
        labels=(("fine_label", 100), ("coarse_label", 20)),
    ),
    "tiny_imagenet": Source(
        load=hub_images,
        description="photographs, 200 classes of ImageNet",
        classes=200,
        shape=(3, 64, 64),
        mirror=True,
        hub="zh-plus/tiny-imagenet",
        folders=("tiny-imagenet-200", "tiny_imagenet_*"),
    ),
    "esc10": Source(
        load=sounds.esc,
        description="5 s of ten kinds of everyday sounds (esc10:1 to esc10:5: test fold)",
        classes=10,
        shape=(1, 80_000),
        mirror=True,
        label_names=("dog", "rain", "sea_waves", "crying_baby", "clock_tick", "sneezing",
                     "helicopter", "chainsaw", "rooster", "crackling_fire"),
        parts=(*map(str, range(1, sounds.FOLDS + 1)), "authors"),
    ),
    "esc50": Source(
        load=sounds.esc,
        description="5 s of fifty kinds of everyday sounds (esc50:1 to esc50:5: test fold)",
        classes=50,
        shape=(1, 80_000),
        mirror=True,
        parts=(*map(str, range(1, sounds.FOLDS + 1)), "authors"),
    ),
    "imdb": Source(
        load=texts.imdb,
        description="film reviews, liked or not (imdb:dense: stored over the whole vocabulary; "
        "imdb:5000: tested on as many)",
        classes=2,
        shape=(texts.LENGTH,),
        mirror=False,
        hub="stanfordnlp/imdb",
        config="plain_text",
        folders=("aclImdb",),
        label_names=("negative", "positive"),
        parts=("dense", "N"),
    ),
}  # fmt: skip


def load_problem(
    data: Any,
    *,
    data_dir: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    validation: float = 0.0,
    label: str | None = None,
    mirror: bool | None = None,
    seed: int = 0,
    download: bool = True,
    tokenizer: str | None = None,
) -> Problem:
    """A labelled data set, ready to be condensed.

    Args:
        data: a name in ``DATA`` (``esc10:2`` with one of its parts); a path (a folder of class
            folders, with or without ``train/`` and ``test/``; a parquet, csv or ``.npz`` file, a
            folder or a pattern of them); a hub id ``owner/name`` (or ``owner/name:config``); a
            map-style torch ``Dataset`` of (image, label), or two of them (train, test); arrays
            ``(x, y)`` or ``(x_train, y_train, x_test, y_test)``; or a ``Problem``, which is
            returned as it is.
        data_dir: where local copies lie: the data set's own folder, or one that holds it under its
            name. Looked into before ``CONDENSERY_DATA``, the Hugging Face caches and the hub.
        size: side, or ``(height, width)``, to which images are brought; None: their common size,
            else a square of the median shorter side (``data/images.py`` says how). Of sound: the
            samples of a clip, or ``(samples, rate)``; None: 16 kHz and the median length. Of text:
            its tokens; None: 64.
        validation: share of each class's training samples that becomes the validation split.
        label: the column of labels, where there are several (``coarse_label``).
        mirror: whether a mirrored image keeps its class; None: as the table of contents says, else
            True.
        seed: of the splits: a data set without a test split gives a stratified 20 % of itself.
        download: whether the hub may be asked.
        tokenizer: of text: a folder, or a hub id; None: ``bert-base-uncased``.

    Returns:
        The problem. Samples stay uint8 (sound: int16, text: int32 token ids), in memory or
        memory-mapped (``data/cache.py``); mean and std of images are those of the training split.

    Raises:
        UsageError: a name, path, column, image or label is not what is needed; says what to do.
        RunError: the data are not here and cannot be fetched (said within 5 seconds).
    """
    folder = None if data_dir is None else Path(data_dir)
    options = Options(folder, sides(size), label, mirror, seed, download, size, tokenizer)
    if isinstance(data, str | Path):
        problem = _named(data, options)
    else:
        if folder is not None:
            raise UsageError(
                "data_dir is for data given by name, not for data in memory: leave it away"
            )
        problem = _in_memory(data, options)
    if tokenizer is not None and problem.modality.kind != "text":
        raise UsageError(f"a tokenizer is for text; {problem.name} holds {problem.modality.kind}: "
                         f"leave it away")  # fmt: skip
    return problem.with_validation(validation, seed) if validation else problem


def _named(data: str | Path, options: Options) -> Problem:
    text = str(data)
    head, _, part = text.partition(":")
    if isinstance(data, str) and head in DATA and (DATA[head].parts or not part):
        return DATA[head].load(data, DATA[head], options)
    found = _path(text, options)
    if found is not None:
        return _from_path(found, options)
    repository, _, config = text.partition(":")
    file = Path(text).suffix.lower() in FILES
    if isinstance(data, str) and hub.is_repository(repository) and not file:
        layout = hub_layout(repository, config or None, text, options)
        return _from_files(layout, text, options)
    raise UsageError(_unknown(text))


def _path(text: str, options: Options) -> Path | list[Path] | None:
    """The file or folder that is meant, here or where local copies lie; several for a pattern."""
    for place in _tries(options):
        path = place / Path(text).expanduser()
        if path.exists():
            return path
        if any(letter in text for letter in "*?["):
            found = sorted(Path(one) for one in glob.glob(str(path)))
            if found:
                return found
    return None


def _tries(options: Options) -> Iterator[Path]:
    yield Path()
    yield from places(options.data_dir)


def _unknown(text: str) -> str:
    known = ", ".join(DATA)
    if "/" in text or "\\" in text or Path(text).suffix:
        return f"there is no file or folder {text}: check the path, or name one of {known}"
    close = difflib.get_close_matches(text.lower(), DATA, n=3, cutoff=0.5)
    meant = f" (did you mean {' or '.join(close)}?)" if close else ""
    return (
        f"unknown data set {text!r}{meant}; known: {known}; or give a path that exists, "
        f"or a hub id owner/name"
    )


def _from_path(path: Path | list[Path], options: Options) -> Problem:
    if isinstance(path, list):
        base = path[0].resolve().parent
        return _from_files(table_layout(path, path[0].parent, base.name), base.name, options)
    if path.suffix.lower() != ".npz":
        layout = find_layout(path)
        return _from_files(layout, layout.name, options)
    if options.label is not None:
        raise UsageError(f"{path} has one set of labels: leave label {options.label!r} away")
    mirror = options.mirror is not False
    return from_found(
        read_npz(path), path.stem, size=options.size, mirror=mirror, seed=options.seed
    )


def _from_files(layout: Layout, name: str, options: Options) -> Problem:
    """A problem by the name of its folder; a copy of a built-in set keeps what is known of it."""
    if texts.holds_text(layout, options.label):
        return texts.from_layout(layout, name, options)
    if sounds.holds_sound(layout, options.label):
        return sounds.from_layout(layout, name, options)
    of_hub = {source.hub: known for known, source in DATA.items() if source.hub}
    source = DATA.get(of_hub.get(name, name))
    usual = source.mirror if source is not None else True
    return from_layout(
        layout,
        name,
        label=options.label,
        size=options.size,
        mirror=usual if options.mirror is None else options.mirror,
        seed=options.seed,
        label_names=source.label_names if source is not None else None,
    )


def _in_memory(data: Any, options: Options) -> Problem:
    if options.label is not None:
        raise UsageError("label names a column of a table: leave it away with data in memory")
    if isinstance(data, Problem):
        if options.size is not None:
            raise UsageError("a Problem has its size already: give size where it is loaded")
        if options.mirror is None:
            return data
        if not isinstance(data.modality, Image):
            raise UsageError(
                f"mirror is for images; the samples of {data.name} are not: leave it away"
            )
        return replace(data, modality=replace(data.modality, mirror=options.mirror))
    if isinstance(data, Dataset):
        found, name = from_dataset(data), type(data).__name__.lower()
    elif isinstance(data, tuple | list):
        found, name = from_tuple(data), "arrays"
    else:
        raise UsageError(
            f"data is a name, a path, a torch Dataset, arrays (x, y) or "
            f"(x_train, y_train, x_test, y_test), or a Problem; got {type(data).__name__}"
        )
    mirror = options.mirror is not False
    return from_found(found, name, size=options.size, mirror=mirror, seed=options.seed)


__all__ = [
    "DATA",
    "HOW",
    "Options",
    "Problem",
    "Source",
    "Split",
    "SplitName",
    "load_problem",
]
