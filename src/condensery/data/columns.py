"""Which column of a table holds the samples, of what kind they are, and which one holds labels.

What the ``datasets`` library wrote about a column goes before its type, its name and its values.
Encoded files and paths of files go before texts beside them: captions, say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from condensery.data.images import SUFFIXES
from condensery.data.layout import SOUNDS
from condensery.errors import UsageError

Kind = Literal["image", "audio", "text"]
Head = Callable[[str], Sequence[Any]]
"""The first values of a column."""

ENCODED = ("image", "img", "images", "image_path", "audio", "sound")  # before a text beside them
IMAGES = (*ENCODED, "file", "file_name", "filename", "path")
TEXTS = ("text", "sentence", "review", "content", "document", "comment", "sms", "tweet")
LABELS = ("label", "labels", "class", "target", "fine_label", "category")
FEATURES: dict[str, Kind] = {"Image": "image", "Audio": "audio"}  # as ``datasets`` calls them
# How files of sound begin. An mp3 begins with ID3, or with eleven bits that are set.
MAGIC = (b"fLaC", b"OggS", b".snd", b"ID3")
FORMS = {b"RIFF": (b"WAVE",), b"RF64": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}


def sample_column(schema: Any, head: Head, label: str | None, name: str) -> tuple[str, Kind]:
    """The column of samples and what it holds.

    In this order: what ``datasets`` calls images or audio; encoded files; strings named as images
    or audio are; strings that end as files of either do; strings named as texts are; the only
    column of strings besides the labels, which then is text.

    Args:
        schema: of arrow. head: see ``Head``. label: the column of labels that was asked for.
        name: of the data set, for messages.

    Raises:
        UsageError: there is none, or several columns of strings of which any could be the texts.
    """
    features = features_of(schema)
    names = [one for one in schema.names if one != label]
    for one in names:
        if _type(features.get(one)) in FEATURES:
            return one, FEATURES[str(_type(features[one]))]
    for one in names:
        if _holds_files(schema.field(one).type):
            return one, _by_values(head(one)) or _by_name(one)
    strings = [one for one in names if is_text(schema.field(one).type)]
    for one in _known(ENCODED, strings):
        return one, _by_values(head(one)) or _by_name(one)
    free = [one for one in strings if one not in (*TEXTS, *LABELS)]
    for one in [*_known(IMAGES, free), *free]:
        kind = _by_values(head(one))
        if kind is not None:
            return one, kind
    for one in _known(TEXTS, strings):
        return one, "text"
    for one in _known(IMAGES, strings):
        return one, "image"
    return _only_text(schema, free, label, name), "text"


def _only_text(schema: Any, free: Sequence[str], label: str | None, name: str) -> str:
    """The one column of strings that is no label."""
    chosen = label_column(schema, label, name)
    left = [one for one in free if one != chosen]
    if len(left) == 1:
        return left[0]
    if left:
        raise UsageError(
            f"{name} has several columns that could be its texts ({', '.join(left)}): name the one "
            f"that is to be read 'text'"
        )
    raise UsageError(
        f"{name} has no column of images, sounds or texts (its columns: "
        f"{', '.join(schema.names)}): a column 'image' or 'audio' holds encoded files or "
        f"paths, a column 'text' texts"
    )


def label_column(schema: Any, label: str | None, name: str) -> str:
    """The column of labels: the one that was asked for, else the first with a usual name.

    Raises:
        UsageError: there is none; says which columns there are.
    """
    columns = ", ".join(schema.names)
    if label is not None:
        if label not in schema.names:
            raise UsageError(f"{name} has no label column {label!r}; its columns: {columns}")
        return label
    for usual in _known(LABELS, schema.names):
        return usual
    raise UsageError(f"{name} has no column 'label'; name one of its columns with label: {columns}")


def features_of(schema: Any) -> dict[str, Any]:
    """What the ``datasets`` library wrote about the columns, or nothing."""
    try:
        return dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def is_text(kind: Any) -> bool:
    """Whether a column of this type holds strings."""
    import pyarrow

    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _type(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _known(names: Iterable[str], there: Sequence[str]) -> list[str]:
    return [one for one in names if one in there]


def _holds_files(kind: Any) -> bool:
    """Whether a column of this type can hold encoded files."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _by_name(column: str) -> Kind:
    return "audio" if column in ("audio", "sound") else "image"


def _by_values(values: Sequence[Any]) -> Kind | None:
    """What files these are, or are paths of; None where they do not all say the same."""
    kinds = {_file_kind(one) for one in values if one is not None}
    return kinds.pop() if len(kinds) == 1 else None


def _file_kind(value: Any) -> Kind | None:
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        told = value.startswith(MAGIC) or value[8:12] in FORMS.get(value[:4], ())
        return "audio" if told or (value[:1] == b"\xff" and value[1:2] >= b"\xe0") else None
    suffix = Path(str(value)).suffix.lower()
    return "audio" if suffix in SOUNDS else "image" if suffix in SUFFIXES else None
