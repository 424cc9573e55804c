"""What lies in a file or folder: which of its files hold which split, and how they are read.

Three layouts of images (the first two of sound and text as well): tables (parquet, arrow or csv
files with a column of samples and one of labels), a folder of class folders, and ``.npz`` files
(``arrays.py``).
Files and folders named ``train``, ``test`` or ``valid`` (and their variants) say which split they
are; other files beside them are left alone. Without a test split the validation files are it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from condensery.data.images import SUFFIXES, Images
from condensery.data.labels import sorted_names
from condensery.errors import UsageError

TABLES = frozenset([".parquet", ".arrow", ".csv"])
TEXTS = frozenset([".txt"])
SOUNDS = frozenset([".aif", ".aiff", ".au", ".flac", ".mp3", ".ogg", ".opus", ".wav"])
KINDS = {
    SUFFIXES: ("image", "png, jpg, webp, tif, bmp, gif"),
    SOUNDS: ("sound", "wav, flac, ogg, mp3, aiff"),
    TEXTS: ("text", "txt"),
}
_NAMES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
_WORD = re.compile(rf"(?<![^-_. ])({'|'.join(_NAMES)})(?![^-_. ])")


@dataclass(frozen=True)
class Raw:
    """One split as it was found.

    Attributes:
        items: encoded images, paths or arrays, one a sample; read when they are asked for.
        labels: one a sample: whole numbers or names.
        where: the name of sample ``i`` for messages: its file, or file and row.
    """

    items: Images
    labels: Any
    where: Callable[[int], str]


@dataclass(frozen=True)
class Found:
    """The splits of a data set as they were found, and the class names where they are told."""

    splits: dict[str, Raw]
    label_names: tuple[str, ...] | None


@dataclass(frozen=True)
class Layout:
    """Where a data set lies.

    Attributes:
        name: of the data set: the folder's, or the file's.
        place: the folder or file.
        files: all that is read, sorted by split.
        read: gets the name of the label column, or None for the usual one.
    """

    name: str
    place: Path
    files: tuple[Path, ...]
    read: Callable[[str | None], Found]


def split_name(path: Path) -> str | None:
    """``train``, ``val`` or ``test`` by the name of a file, else by that of the nearest folder."""
    for part in reversed(path.parts):
        told = _WORD.findall(part.lower())
        if told:  # the last one, as in owner-train-set-test.arrow
            return _NAMES[told[-1]]
    return None


def by_split(files: Iterable[Path], base: Path) -> dict[str, list[Path]]:
    """Files of each split. None of them named after a split: all are training data.

    Raises:
        UsageError: there are files of other splits, but none to train on.
    """
    files = sorted(files)
    told: dict[str, list[Path]] = {}
    for file in files:
        split = split_name(file.relative_to(base))
        if split is not None:
            told.setdefault(split, []).append(file)
    if not told:
        return {"train": files}
    if "train" not in told:
        if len(files) == 1:  # one file is a whole data set, however it is called
            return {"train": files}
        raise UsageError(f"{base} has files of {' and '.join(told)}, but none named train*")
    return promoted(told)


def promoted(splits: dict[str, Any]) -> dict[str, Any]:
    """Validation data are the test split when there is none; in the order train, val, test."""
    if "test" not in splits and "val" in splits:
        splits = {**splits, "test": splits["val"]}
        del splits["val"]
    return {name: splits[name] for name in ("train", "val", "test") if name in splits}


def find_layout(place: Path) -> Layout:
    """The layout of the images in a folder or a file that exists.

    Raises:
        UsageError: nothing here is known; says what could be.
    """
    if place.is_file():
        if place.suffix.lower() not in TABLES:
            raise UsageError(
                f"{place} is no data set: give a folder of class folders, parquet or csv files, "
                f"or an .npz file"
            )
        return table_layout([place], place.parent, place.stem)
    found = tables_in(place)
    if found:
        return table_layout(found, place, name_of(place))
    for suffixes in KINDS:
        layout = class_folders(place, suffixes)
        if layout is not None:
            return layout
    found = sorted(place.glob("*.csv"))
    if found:
        return table_layout(found, place, name_of(place))
    raise UsageError(
        f"{place} holds no data set: neither class folders with images ({KINDS[SUFFIXES][1]}) or "
        f"sound ({KINDS[SOUNDS][1]}) or text (txt), with or without train/ and test/ above "
        f"them, nor parquet "
        f"or csv files"
    )


def tables_in(folder: Path) -> list[Path]:
    """Parquet and arrow files of a folder, of its ``data/`` or of folders named after splits."""
    inner = [
        child
        for child in sorted(folder.iterdir())
        if child.is_dir() and (child.name == "data" or child.name.lower() in _NAMES)
    ]
    return [
        file
        for place in [folder, *inner]
        for file in sorted(place.iterdir())
        if file.suffix.lower() in (".parquet", ".arrow") and not file.name.startswith(".")
    ]


def table_layout(files: Sequence[Path], base: Path, name: str) -> Layout:
    """The layout of these parquet, arrow or csv files."""
    splits = by_split(files, base)

    def read(label: str | None) -> Found:
        from condensery.data.tables import read_tables

        return read_tables(splits, base, name, label)

    used = [file for part in splits.values() for file in part]
    beside = base / "classes.tsv"
    return Layout(name, base, (*used, *([beside] if beside.is_file() else [])), read)


def class_folders(folder: Path, suffixes: frozenset[str] = SUFFIXES) -> Layout | None:
    """The layout of a folder of class folders, or None when no folder here holds such a file.

    Args:
        suffixes: of the files that count: a key of ``KINDS``.

    Raises:
        UsageError: a class folder is empty, or files lie outside class folders.
    """
    what, kinds = KINDS[suffixes]
    roots = {_NAMES[child.name.lower()]: child for child in _folders(folder)
             if child.name.lower() in _NAMES}  # fmt: skip
    if roots and "train" not in roots and len(roots) == len(_folders(folder)):
        raise UsageError(f"{folder} holds {' and '.join(roots)}, but no folder train")
    roots = promoted(roots) if "train" in roots else {"train": folder}
    images = {split: _files_by_class(root, suffixes) for split, root in roots.items()}
    if not any(files for part in images.values() for files in part.values()):
        loose = [
            file for root in roots.values() for file in root.iterdir() if _is_one(file, suffixes)
        ]
        if loose:
            raise UsageError(
                f"{loose[0].parent} holds {what}s, but no class folders: put the {what}s of each "
                f"class into a folder named after it"
            )
        return None
    for split, part in images.items():
        for label, files in part.items():
            if not files:
                raise UsageError(
                    f"the class folder {roots[split] / label} holds no {what} ({kinds}): "
                    f"fill or remove it"
                )
    used = {split: [file for files in part.values() for file in files]
            for split, part in images.items()}  # fmt: skip
    labels = {split: [label for label, files in part.items() for _ in files]
              for split, part in images.items()}  # fmt: skip

    def read(label: str | None) -> Found:
        if label is not None:
            raise UsageError(f"{folder} has a folder for each class: leave label {label!r} away")
        names = tuple(sorted_names(list({name for part in images.values() for name in part})))
        raws = {split: Raw(files, labels[split], _place_in(files)) for split, files in used.items()}
        return Found(raws, names)

    every = tuple(file for files in used.values() for file in files)
    return Layout(name_of(folder), folder, every, read)


def _place_in(files: Sequence[Path]) -> Callable[[int], str]:
    return lambda position: str(files[position])


def name_of(folder: Path) -> str:
    """The name of a folder, also of ``.``."""
    return folder.resolve().name


def _folders(folder: Path) -> list[Path]:
    return [
        child
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith((".", "__"))
    ]


def _files_by_class(root: Path, suffixes: frozenset[str]) -> dict[str, list[Path]]:
    # aclImdb keeps 50,000 reviews without a label in train/unsup, which is no class.
    return {
        child.name: sorted(file for file in child.rglob("*") if _is_one(file, suffixes))
        for child in _folders(root)
        if not (suffixes == TEXTS and child.name == "unsup")
    }


def _is_one(file: Path, suffixes: frozenset[str]) -> bool:
    return file.suffix.lower() in suffixes and not file.name.startswith(".")
