"""Sound: folders and tables of sound files, ESC-10 and ESC-50 with their official folds.

One rule brings clips of any rate, length and channels to one: channels are averaged, the rate is
converted (soxr), the mean is taken off, a longer clip loses its end and a shorter one is followed
by silence. A clip beyond full scale is made quieter as a whole. They are kept as 16-bit integers.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from condensery.data.builtin import HOW, places
from condensery.data.cache import Allocate, Decoded, identity, remember
from condensery.data.labels import check_classes, encode_labels
from condensery.data.layout import SOUNDS, TABLES, Layout, Raw
from condensery.data.problem import Problem, Split, stratified, take
from condensery.data.source import Options, Source
from condensery.data.tables import table_kind
from condensery.errors import RunError, UsageError
from condensery.modality import Sound

RATE = 16_000  # samples a second, where nobody asks for another: what encoders of sound take
FOLDS = 5
TEST_SHARE = 0.2
ARCHIVE = "https://github.com/karolpiczak/ESC-50"

Item = Path | bytes


def esc(name: str, source: Source, options: Options) -> Problem:
    """ESC-10 or ESC-50 (Piczak, ACM Multimedia 2015): 5 s clips, 40 a class, from a local copy.

    Args:
        name: ``esc10`` (fold 1 is the test split), ``esc10:3`` (fold 3 is, the others are trained
            on), or ``esc10:authors`` (drawn 32 and 8 clips a class, see ``_as_the_authors``);
            and ``:logmel`` after that for sets that are stored as spectrograms.

    Raises:
        UsageError: a part that there is not, or a copy that is another data set.
        RunError: no copy is here; says where to get one.
    """
    _refuse(name, options)
    head, *asked = name.split(":")
    form: Literal["wave", "logmel"] = "logmel" if "logmel" in asked else "wave"
    parts = [one for one in asked if one != "logmel"] or ["1"]
    if len(parts) > 1 or parts[0] not in (*map(str, range(1, FOLDS + 1)), "authors"):
        raise UsageError(f"{head} has the folds 1 to {FOLDS} and 'authors', as in {head}:1, and "
                         f"':logmel' after them; not {name!r}")  # fmt: skip
    table, rows = _rows(head, source, options)
    problem = _decoded_esc(head, table, rows, source, options)
    if parts[0] == "authors":
        taken = _as_the_authors(problem.train.labels)
    else:
        taken = _of_fold(table, rows, int(parts[0]))
    kept = np.setdiff1d(np.arange(len(rows)), taken)
    check_classes(problem.train.labels[kept], problem.label_names, f"{name} in {table}")
    known = f"{head}-authors" if parts[0] == "authors" else f"{head}-fold{parts[0]}"
    assert isinstance(problem.modality, Sound)
    return replace(
        problem,
        name=known if form == "wave" else f"{known}-logmel",
        modality=replace(problem.modality, form=form),
        train=take(problem.train, kept),
        test=take(problem.train, taken),
    )


def _as_the_authors(labels: np.ndarray) -> np.ndarray:
    """Positions of the test clips of a split that is drawn as HMDC's authors drew theirs.

    By our notes on their code each class is shuffled by one generator that begins with 42, class by
    class as they first appear in the table; the first 80 % are trained on, 320 of 400 clips in all.
    It is the same kind of split, drawn that way: which clips theirs tests is not known. Parts of
    one recording may lie on both sides.
    """
    generator = torch.Generator().manual_seed(42)
    taken = []
    for label in dict.fromkeys(labels.tolist()):
        positions = np.flatnonzero(labels == label)
        order = torch.randperm(len(positions), generator=generator).numpy()
        taken.append(positions[order[round((1 - TEST_SHARE) * len(positions)) :]])
    return np.sort(np.concatenate(taken))


def _of_fold(table: Path, rows: Sequence[dict[str, str]], fold: int) -> np.ndarray:
    """Positions of a fold's clips.

    Raises:
        UsageError: a fold that is no whole number, or one without clips.
    """
    strange = next((row for row in rows if not row["fold"].strip().isdecimal()), None)
    if strange is not None:
        raise UsageError(f"{strange['filename']} in {table} is of fold {strange['fold']!r}: folds "
                         f"are numbers from 1 to {FOLDS}")  # fmt: skip
    found = np.flatnonzero(np.array([int(row["fold"]) for row in rows]) == fold)
    if not len(found):
        raise UsageError(f"{table} has no clip of fold {fold} to test on: choose another fold, or "
                         f"get the archive again")  # fmt: skip
    return found


def _rows(name: str, source: Source, options: Options) -> tuple[Path, list[dict[str, str]]]:
    """The table of a local copy, and its rows that belong to this data set."""
    looked = []
    for place in places(options.data_dir):
        patterns = (name, name.replace("esc", "esc-"), name.replace("esc", "ESC-"), "ESC-50*")
        folders = [place, *(found for one in patterns for found in sorted(place.glob(one)))]
        for folder in folders:
            for table in (folder / "meta" / f"{name}.csv", folder / "meta" / "esc50.csv"):
                if table.is_file():
                    return table, _belonging(table, name, source)
        looked.append(str(place / name))
    where = f" (looked for {', '.join(looked)})" if looked else ""
    raise RunError(f"{name} is not here{where}: get the archive from {ARCHIVE}; {HOW}")


def _belonging(table: Path, name: str, source: Source) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = set(source.label_names or ())
    needed = ["filename", "fold", "category", *([] if known else ["target"])]
    if not rows or not set(needed) <= set(rows[0]):
        raise UsageError(f"{table} needs the columns {', '.join(needed)}, and rows below them")
    for number, row in enumerate(rows, 1):
        gap = next((column for column in needed if not row[column]), None)
        if gap is not None:
            raise UsageError(f"row {number} of {table} has no {gap}: get the archive again")
    if name == "esc10":
        rows = [row for row in rows if row.get("esc10", "True") == "True"]
    strange = next((row for row in rows if known and row["category"] not in known), None)
    if strange is not None:
        raise UsageError(f"{strange['filename']} in {table} is of class {strange['category']!r}, "
                         f"which {name} has not")  # fmt: skip
    return rows


def _decoded_esc(
    name: str, table: Path, rows: list[dict[str, str]], source: Source, options: Options
) -> Problem:
    """All clips as one training split, in the order of the table."""
    folder = table.parent.parent / "audio"
    files = [folder / row["filename"] for row in rows]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise UsageError(f"{table} names {missing}, which is not there: get the archive again")
    names = source.label_names or _by_target(table, rows)
    labels = {"train": np.array([names.index(row["category"]) for row in rows], np.int64)}
    form = _form(options) if options.clip is not None else (RATE, source.shape[1])
    return _problem(name, table, (table, *files), {"train": files}, labels, names, form)


def _by_target(table: Path, rows: Sequence[dict[str, str]]) -> tuple[str, ...]:
    strange = next((row for row in rows if not row["target"].strip().isdecimal()), None)
    if strange is not None:
        raise UsageError(f"{strange['filename']} in {table} has target {strange['target']!r}: "
                         f"targets are numbers from 0")  # fmt: skip
    targets = {row["category"]: int(row["target"]) for row in rows}
    return tuple(sorted(targets, key=lambda name: targets[name]))


def from_layout(layout: Layout, name: str, options: Options) -> Problem:
    """A problem from a folder of class folders with sound files, or from a table of such files.

    Clips have the rate and the length of ``options.clip``, else 16 kHz and the median length. Data
    without a test split give a stratified 20 % of themselves.

    Raises:
        UsageError: a file, label or column is not what is needed; names it.
    """
    _refuse(name, replace(options, label=None))
    found = layout.read(options.label)
    raws = {split: raw for split, raw in found.splits.items() if len(raw.items)}
    if "train" not in raws:
        raise UsageError(f"{name} has no training samples")
    columns = {split: raw.labels for split, raw in raws.items()}
    labels, names = encode_labels(columns, found.label_names, name)
    items = {split: _items(raw) for split, raw in raws.items()}
    files = [one for part in items.values() for one in part if isinstance(one, Path)]
    form = _form(options) if options.clip is not None else _usual(items["train"])
    # Files that a table names are read besides it.
    used = (*layout.files, *(file for file in files if file.is_file()))
    problem = _problem(name, layout.place, used, items, labels, names, form)
    if len(problem.test):
        return problem
    taken = stratified(problem.train.labels, TEST_SHARE, options.seed)
    kept = np.setdiff1d(np.arange(len(problem.train)), taken)
    made = replace(problem, train=take(problem.train, kept), test=take(problem.train, taken))
    check_classes(made.train.labels, names, name)
    return made


def _items(raw: Raw) -> list[Any]:
    """All sounds of a split, undecoded.

    Raises:
        UsageError: there is none in a row; names it.
    """
    found = []
    for row in range(len(raw.items)):
        try:
            found.append(raw.items[row])
        except ValueError:
            raise UsageError(
                f"there is no sound in {raw.where(row)}: fill the gap or remove it"
            ) from None
    return found


def _problem(
    name: str,
    place: Path,
    files: Sequence[Path],
    items: Mapping[str, Sequence[Item]],
    labels: dict[str, np.ndarray],
    names: tuple[str, ...],
    form: tuple[int, int],
) -> Problem:
    """The problem of all these clips, decoded once and then memory-mapped from the cache."""
    rate, length = form
    about = repr((place.resolve().as_posix(), name, form)).encode()
    mark = hashlib.blake2b(about, digest_size=6).hexdigest()

    def build(allocate: Allocate) -> Decoded:
        splits = {}
        for split, part in items.items():
            samples = allocate(split, (len(part), 1, length), np.int16)
            decode_into(samples, part, rate)
            splits[split] = Split(samples, labels[split])
        return Decoded(splits, names, ((), ()))

    key = identity(files, "sound", form, names, sorted(items))
    made = remember(f"{name.replace(':', '-')}-{mark}", key, build)
    none = Split(np.empty((0, 1, length), np.int16), np.empty(0, np.int64))
    return Problem(
        name=name,
        modality=Sound((1, length), rate),
        label_names=names,
        train=made.splits["train"],
        val=made.splits.get("val", none),
        test=made.splits.get("test", none),
    )


def decode_into(out: np.ndarray, items: Sequence[Item], rate: int) -> None:
    """Decode clips into ``out``, ``(n, 1, samples)`` int16, on a few threads.

    Raises:
        UsageError: a clip cannot be read or is empty; names it.
    """

    def one(position: int) -> None:
        out[position, 0] = fitted(read(items[position], rate), out.shape[2])

    # libsndfile and soxr release the interpreter's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(one, range(len(items))))


def read(item: Item, rate: int) -> np.ndarray:
    """One clip at this rate, the mean of its channels: ``(samples,)`` float32, about [-1, 1].

    Raises:
        UsageError: it is no sound that libsndfile knows, has no sample, also at that rate, or one
            that is no number.
    """
    import soxr

    clip, own = _with_soundfile(item, _samples)
    if not len(clip):
        raise UsageError(f"{_name(item)} is a sound of length zero: remove it")
    if not np.isfinite(clip).all():
        raise UsageError(f"{_name(item)} has samples that are no numbers (NaN or infinite): repair "
                         f"or remove it")  # fmt: skip
    found = np.asarray(soxr.resample(clip.mean(1), own, rate), np.float32)
    if not len(found):
        raise UsageError(f"{_name(item)} is too short ({len(clip)} of {own} samples a second, none "
                         f"of {rate}): remove it")  # fmt: skip
    return found


def fitted(clip: np.ndarray, length: int) -> np.ndarray:
    """A clip ``(samples,)`` as ``(length,)`` int16: its mean off, cut or followed by silence."""
    clip = clip[:length] - clip[:length].mean()
    peak = max(1.0, float(np.abs(clip).max()))
    whole = np.zeros(length, np.int16)
    whole[: len(clip)] = np.round(clip * ((2**15 - 1) / peak))
    return whole


def _usual(items: Sequence[Item]) -> tuple[int, int]:
    """Rate and length, where nobody asks for any: 16 kHz and the median."""
    seconds = [_with_soundfile(item, lambda file: file.frames / file.samplerate) for item in items]
    return RATE, max(1, round(float(np.median(seconds)) * RATE))


def _form(options: Options) -> tuple[int, int]:
    """Rate and length that were asked for."""
    clip = options.clip
    both = (clip, RATE) if isinstance(clip, int) else tuple(clip or ())
    if len(both) != 2 or both[1] < 1000:
        raise UsageError(f"size of sound is the samples of a clip, or (samples, rate) with a rate "
                         f"from 1000; got {clip!r}")  # fmt: skip
    return both[1], both[0]


def _refuse(name: str, options: Options) -> None:
    if options.mirror is not None:
        raise UsageError(f"mirror is for images; {name} is sound: leave it away")
    if options.label is not None:
        raise UsageError(f"{name} has one set of labels: leave label {options.label!r} away")


def _samples(file: Any) -> tuple[np.ndarray, int]:
    return file.read(dtype="float32", always_2d=True), file.samplerate


def _with_soundfile(item: Item, take_from: Callable[[Any], Any]) -> Any:
    """What a function takes from an opened sound.

    Raises:
        UsageError: it cannot be opened or read; names it.
    """
    try:
        import soundfile
    except ImportError as error:
        raise UsageError("sound needs soundfile: pip install 'condensery[audio]'") from error
    try:
        with soundfile.SoundFile(io.BytesIO(item) if isinstance(item, bytes) else item) as file:
            return take_from(file)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        there = isinstance(item, bytes) or item.is_file()
        reason = "an unknown format or damaged" if there else "there is no such file"
        raise UsageError(
            f"{_name(item)} is no readable sound ({reason}): repair or remove it"
        ) from error


def _name(item: Item) -> str:
    return f"a sound of {len(item)} bytes in the table" if isinstance(item, bytes) else str(item)


def holds_sound(layout: Layout, label: str | None = None) -> bool:
    """Whether the samples of a layout are sound: by the endings of its files, or by its table.

    Args:
        label: the column of labels that was asked for.

    Raises:
        UsageError: a table without a column of samples.
    """
    file = layout.files[0]
    if file.suffix.lower() in SOUNDS:
        return True
    return file.suffix.lower() in TABLES and table_kind(file, layout.name, label) == "audio"
