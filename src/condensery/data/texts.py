"""Text: tables with a column of texts and one of labels, and folders of class folders with files.

Texts are tokenised once, cut or padded to one length, and kept as int32 token ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data.builtin import hub_layout, local_copy
from condensery.data.cache import Allocate, Decoded, identity, remember
from condensery.data.labels import check_classes, encode_labels
from condensery.data.layout import TABLES, TEXTS, Found, Layout
from condensery.data.problem import Problem, Split, stratified, take
from condensery.data.source import Options, Source
from condensery.data.tables import table_kind
from condensery.errors import UsageError
from condensery.modality import Text
from condensery.modality.tokenizer import USUAL, Tokenizer, load_tokenizer

LENGTH = 64  # tokens of a text, where nobody asks for another: HMDC's
SHORTEST = 4
TEST_SHARE = 0.2


def imdb(name: str, source: Source, options: Options) -> Problem:
    """IMDB (Maas et al., ACL 2011): film reviews, 25,000 to train on and 25,000 to be tested on.

    Args:
        name: ``imdb``; ``imdb:dense`` for sets that are stored over the whole vocabulary;
            ``imdb:5000`` to be tested on 5,000 of the test reviews alone, always the same ones, as
            many of each class (a network that reads them all takes minutes on two cores);
            ``imdb:dense:5000`` for both.

    Raises:
        UsageError: a part that there is not, or more test reviews than there are.
        RunError: no copy is here and none can be fetched.
    """
    head, *asked = name.split(":")
    dense = "dense" in asked
    fewer = [one for one in asked if one != "dense"]
    if len(fewer) > 1 or asked.count("dense") > 1 or not all(map(str.isdecimal, fewer)):
        raise UsageError(f"{head} has two parts, {head}:dense (stored over the whole vocabulary) "
                         f"and {head}:N (tested on N of its test texts), not {name!r}")  # fmt: skip
    layout = local_copy(head, source, options.data_dir)
    if layout is None:
        layout = hub_layout(source.hub or head, source.config, head, options)
    problem = from_layout(layout, head, options, source.label_names)
    if dense:
        assert isinstance(problem.modality, Text)
        modality = replace(problem.modality, form="dense")
        problem = replace(problem, name=f"{head}-dense", modality=modality)
    return _tested_on(problem, int(fewer[0])) if fewer else problem


def _tested_on(problem: Problem, count: int) -> Problem:
    """The problem with so many of its test texts, balanced, and a name that says so."""
    test = problem.test
    if not problem.classes <= count < len(test):
        raise UsageError(f"{problem.name} has {len(test)} test texts: be tested on "
                         f"{problem.classes} to {len(test) - 1} of them, or on all by its name "
                         f"alone; not on {count}")  # fmt: skip
    some = take(test, stratified(test.labels, count / len(test), seed=0))
    return replace(problem, name=f"{problem.name}-{count}", test=some)


def from_layout(
    layout: Layout, name: str, options: Options, label_names: Sequence[str] | None = None
) -> Problem:
    """A problem from tables or folders of texts.

    ``size`` is the number of tokens of a text, 64 unless asked for; ``tokenizer`` a name or folder.
    Data without a test split give a stratified 20 % of themselves.

    Args:
        label_names: used where the files tell none and the number of classes agrees.

    Raises:
        UsageError: a text, label or column is not what is needed; names it.
        RunError: the tokenizer is not here and cannot be fetched.
    """
    if options.mirror is not None:
        raise UsageError(f"mirror is for images; {name} is text: leave it away")
    length = _length(options)
    tokenizer = load_tokenizer(options.tokenizer or USUAL, options.data_dir)
    place = layout.place.resolve()
    asked = (place.as_posix(), name, options.label, length, tokenizer.fingerprint)
    mark = hashlib.blake2b(repr(asked).encode(), digest_size=6).hexdigest()
    key = identity(layout.files, "text", *asked[2:], tuple(label_names or ()))

    def build(allocate: Allocate) -> Decoded:
        found = layout.read(options.label)
        return _tokenised(found, name, tokenizer, length, allocate, label_names)

    made = remember(f"{place.name}-{mark}", key, build)
    return _finish(name, made, tokenizer, length, options.seed)


def _tokenised(
    found: Found,
    name: str,
    tokenizer: Tokenizer,
    length: int,
    allocate: Allocate,
    label_names: Sequence[str] | None,
) -> Decoded:
    raws = {split: raw for split, raw in found.splits.items() if len(raw.items)}
    if "train" not in raws:
        raise UsageError(f"{name} has no training samples")
    columns = {split: raw.labels for split, raw in raws.items()}
    labels, names = encode_labels(columns, found.label_names, name)
    numbers = tuple(str(number) for number in range(len(names)))
    if found.label_names is None and label_names and names == numbers:
        names = tuple(label_names) if len(label_names) == len(names) else names
    splits = {}
    for split, raw in raws.items():
        texts = [_text(raw.items[row], raw.where, row) for row in range(len(raw.items))]
        samples = allocate(split, (len(texts), length), np.int32)
        samples[:] = tokenizer.encode(texts, length)
        splits[split] = Split(samples, labels[split])
    return Decoded(splits, names, ((), ()))


def _text(item: Any, where: Any, row: int) -> str:
    """One text, from a table or a file.

    Raises:
        UsageError: none, an empty one, or no text; names it.
    """
    if isinstance(item, Path):
        try:
            item = item.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"{where(row)} is not utf-8: convert or remove it") from None
        except OSError as error:
            raise UsageError(f"{where(row)} cannot be read ({error.strerror}): repair or remove "
                             f"it") from None  # fmt: skip
    if not isinstance(item, str):
        raise UsageError(f"there is no text in {where(row)}: fill the gap or remove it")
    if not item.strip():
        raise UsageError(f"the text in {where(row)} is empty: fill or remove it")
    return item


def _finish(name: str, made: Decoded, tokenizer: Tokenizer, length: int, seed: int) -> Problem:
    splits = dict(made.splits)
    train = splits["train"]
    if "test" not in splits:
        taken = stratified(train.labels, TEST_SHARE, seed)
        kept = np.setdiff1d(np.arange(len(train)), taken)
        splits |= {"train": take(train, kept), "test": take(train, taken)}
        check_classes(splits["train"].labels, made.label_names, name)
    none = Split(np.empty((0, length), np.int32), np.empty(0, np.int64))
    modality = Text(
        shape=(length, 2, 1),
        vocabulary=len(tokenizer.vocabulary),
        tokenizer=tokenizer.name,
        fingerprint=tokenizer.fingerprint,
        pad=tokenizer.pad,
        special=tokenizer.special,
    )
    return Problem(
        name=name,
        modality=modality,
        label_names=made.label_names,
        train=splits["train"],
        val=splits.get("val", none),
        test=splits.get("test", none),
    )


def _length(options: Options) -> int:
    asked = LENGTH if options.clip is None else options.clip
    if not isinstance(asked, int) or asked < SHORTEST:
        raise UsageError(f"size of text is its number of tokens, from {SHORTEST}; got {asked!r}")
    return asked


def holds_text(layout: Layout, label: str | None = None) -> bool:
    """Whether the samples of a layout are texts: by the endings of its files, or by its table.

    Args:
        label: the column of labels that was asked for.

    Raises:
        UsageError: a table without a column of samples, or with several that could be texts.
    """
    file = layout.files[0]
    if file.suffix.lower() in TEXTS:
        return True
    return file.suffix.lower() in TABLES and table_kind(file, layout.name, label) == "text"
