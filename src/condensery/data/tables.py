"""Tables: parquet, arrow and csv files with a column of images, sounds or texts and one of labels.

A column of texts is one of strings with one of the names in ``TEXTS``. A column of images holds
encoded files (as Hugging Face stores them: ``bytes`` and ``path``, or
plain binary) or paths, which are relative to the table's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data.images import Item
from condensery.data.layout import Found, Raw
from condensery.errors import UsageError

IMAGES = ("image", "img", "images", "image_path", "audio", "sound", "file", "file_name", "filename",
          "path")  # fmt: skip
TEXTS = ("text", "sentence", "review", "content", "document", "comment", "sms", "tweet")
ENCODED = ("image", "img", "images", "image_path", "audio", "sound")  # before a text beside them
LABELS = ("label", "labels", "class", "target", "fine_label", "category")


class ImageColumn(Sequence[Item]):
    """The images of a table, each taken out of it when it is asked for.

    Args:
        column: a chunked array of ``{bytes, path}``, binary, or paths.
        folders: for each chunk, what its paths are relative to.
    """

    def __init__(self, column: Any, folders: Sequence[Path]) -> None:
        self.chunks = column.chunks
        self.starts = np.cumsum([0, *(len(chunk) for chunk in self.chunks)])
        self.folders = folders

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, row: Any) -> Any:
        chunk = int(np.searchsorted(self.starts, row, "right")) - 1
        value = self.chunks[chunk][int(row - self.starts[chunk])].as_py()
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if value is None:
            raise ValueError("there is none in this row")
        return value if isinstance(value, bytes) else self.folders[chunk] / str(value)


class TextColumn(ImageColumn):
    """The texts of a table; None where there is none."""

    def __getitem__(self, row: Any) -> Any:
        chunk = int(np.searchsorted(self.starts, row, "right")) - 1
        return self.chunks[chunk][int(row - self.starts[chunk])].as_py()


def read_tables(
    splits: dict[str, list[Path]], base: Path, name: str, label: str | None = None
) -> Found:
    """The splits that lie in these files, images undecoded.

    Args:
        splits: files of each split.
        base: their folder; a ``classes.tsv`` in it names the classes.
        name: of the data set, for messages.
        label: the column of labels; None takes the usual one.

    Raises:
        UsageError: a file cannot be read, or a column is not there (says which there are).
    """
    raws = {}
    names: tuple[str, ...] | None = None
    for split, files in splits.items():
        parts = [_read(file, name, label) for file in files]
        told = next((part[2] for part in parts if part[2]), None)
        names = names or told
        raws[split] = _raw(files, [part[:2] for part in parts], text_column(files[0]) is not None)
    return Found(raws, _class_names(base, names))


def _raw(files: Sequence[Path], columns: Sequence[tuple[Any, Any]], texts: bool) -> Raw:
    import pyarrow

    try:
        images = pyarrow.chunked_array([chunk for column, _ in columns for chunk in column.chunks])
    except (pyarrow.ArrowException, TypeError, ValueError):
        raise UsageError(
            f"{files[0].name} and its sister files hold samples of different types"
        ) from None
    folders = [file.parent for file, (column, _) in zip(files, columns, strict=True)
               for _ in column.chunks]  # fmt: skip
    labels = [value for _, column in columns for value in column.to_pylist()]
    ends = np.cumsum([len(column) for column, _ in columns])
    kind = TextColumn if texts else ImageColumn
    return Raw(kind(images, folders), labels, _where(files, ends))


def _where(files: Sequence[Path], ends: np.ndarray) -> Callable[[int], str]:
    def where(row: int) -> str:
        file = int(np.searchsorted(ends, row, "right"))
        return f"row {row - (int(ends[file - 1]) if file else 0)} of {files[file]}"

    return where


def _read(file: Path, name: str, label: str | None) -> tuple[Any, Any, tuple[str, ...] | None]:
    """The image column, the label column and the class names of one file."""
    import pyarrow

    try:
        table = _open(file)
        features = _features(table.schema)
        image = _text_column(table.schema, features) or _image_column(
            table.schema, features, name
        )
        chosen = _label_column(table.schema, label, name)
        if file.suffix.lower() == ".parquet":
            table = _open(file, [image, chosen])
    except (pyarrow.ArrowException, OSError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{file} is no readable {file.suffix[1:]} file ({reason})") from error
    told = features.get(chosen, {})
    names = told.get("names") if isinstance(told, dict) else None
    names = tuple(str(one) for one in names) if names else None
    return table.column(image), table.column(chosen), names


def _open(file: Path, columns: list[str] | None = None) -> Any:
    """The columns of a file; of a parquet file without ``columns`` only the schema."""
    import pyarrow

    kind = file.suffix.lower()
    if kind == ".parquet":
        from pyarrow import parquet

        if columns is None:
            return parquet.read_schema(file).empty_table()
        return parquet.read_table(file, columns=columns, partitioning=None)
    if kind == ".csv":
        from pyarrow import csv

        with _csv(file) as opened:
            names = opened.schema.names
        # Texts such as 0123, true or NA are texts.
        texts = {name: pyarrow.string() for name in names if name in TEXTS}
        return csv.read_csv(
            file,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=texts),
        )
    source = pyarrow.memory_map(str(file))
    try:
        return pyarrow.ipc.open_stream(source).read_all()
    except pyarrow.ArrowInvalid:
        return pyarrow.ipc.open_file(source).read_all()


def _csv(file: Path) -> Any:
    """A csv file whose columns are known and whose rows are not read yet."""
    from pyarrow import csv

    return csv.open_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True))


def _features(schema: Any) -> dict[str, Any]:
    """What the ``datasets`` library wrote about the columns, or nothing."""
    try:
        return dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def column_kinds(file: Path) -> set[str]:
    """The kinds of columns that the ``datasets`` library wrote into a parquet file, if it did."""
    from pyarrow import ArrowInvalid, parquet

    try:
        told = _features(parquet.read_schema(file))
    except ArrowInvalid:  # no parquet file: who reads it next says so
        return set()
    return {kind for feature in told.values() if (kind := _kind(feature)) is not None}


def text_column(file: Path) -> str | None:
    """The name of a table's column of texts, or None where it holds images, sounds or neither."""
    from pyarrow import ArrowException

    try:
        if file.suffix.lower() == ".csv":
            with _csv(file) as opened:
                schema = opened.schema
        else:
            schema = _open(file).schema
    except (ArrowException, OSError, EOFError):  # who reads it next says so
        return None
    return _text_column(schema, _features(schema))


def _text_column(schema: Any, features: dict[str, Any]) -> str | None:
    import pyarrow

    def is_text(column: str) -> bool:
        kind = schema.field(column).type
        return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))

    encoded = [
        one for one in schema.names
        if _kind(features.get(one)) in ("Image", "Audio")
        or one in ENCODED
        or not _plain(schema.field(one).type)
    ]  # fmt: skip
    found = [one for one in TEXTS if one in schema.names and is_text(one)]
    return found[0] if found and not encoded else None


def _plain(kind: Any) -> bool:
    """Whether a column of this type cannot hold encoded files."""
    import pyarrow

    files = pyarrow.types.is_struct(kind) and any(field.name == "bytes" for field in kind)
    return not (files or pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _image_column(schema: Any, features: dict[str, Any], name: str) -> str:
    import pyarrow

    def holds_files(column: str) -> bool:
        kind = schema.field(column).type
        if pyarrow.types.is_struct(kind):
            return any(field.name == "bytes" for field in kind)
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    def holds_paths(column: str) -> bool:
        return column in schema.names and bool(pyarrow.types.is_string(schema.field(column).type))

    found = (
        [one for one in schema.names if _kind(features.get(one)) in ("Image", "Audio")]
        or [one for one in schema.names if holds_files(one)]
        or [one for one in IMAGES if holds_paths(one)]
    )
    if not found:
        raise UsageError(
            f"{name} has no column of images, sounds or texts (its columns: "
            f"{', '.join(schema.names)}): a column 'image' or 'audio' holds encoded files or "
            f"paths, a column 'text' texts"
        )
    return str(found[0])


def _kind(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _label_column(schema: Any, label: str | None, name: str) -> str:
    columns = ", ".join(schema.names)
    if label is not None:
        if label not in schema.names:
            raise UsageError(f"{name} has no label column {label!r}; its columns: {columns}")
        return label
    for usual in LABELS:
        if usual in schema.names:
            return usual
    raise UsageError(f"{name} has no column 'label'; name one of its columns with label: {columns}")


def _class_names(base: Path, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Names with the help of ``classes.tsv``: columns ``label``, ``name`` and any other ids."""
    file = base / "classes.tsv"
    if not file.is_file():
        return names
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line]
    rows = [dict(zip(lines[0], line, strict=False)) for line in lines[1:]]
    if not rows or "name" not in rows[0] or "label" not in rows[0]:
        raise UsageError(f"{file} needs a first line with the columns label and name")
    if names is not None:
        for column in lines[0]:  # the one that holds these names: wordnet ids, say
            plain = {row[column]: row["name"] for row in rows if column in row}
            if plain.keys() >= set(names):
                return tuple(plain[name] for name in names)
        return names
    by_label = {row["label"]: row["name"] for row in rows}
    if set(by_label) != {str(number) for number in range(len(by_label))}:
        raise UsageError(f"{file} does not name the labels 0 to {len(by_label) - 1}, one a line")
    return tuple(by_label[str(number)] for number in range(len(by_label)))
