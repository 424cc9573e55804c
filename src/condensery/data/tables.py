"""Tables: parquet, arrow and csv files with a column of images, sounds or texts and one of labels.

A column of images or sounds holds encoded files (as Hugging Face stores them: ``bytes`` and
``path``, or plain binary) or paths, which are relative to the table's folder. Which column it is,
and of which kind, says ``columns.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data.columns import Kind, features_of, label_column, sample_column
from condensery.data.images import Item
from condensery.data.layout import Found, Raw
from condensery.errors import UsageError

HEAD = 10  # values that are looked at to say what a column holds


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
        raws[split] = _raw(files, [part[:2] for part in parts], parts[0][3] == "text")
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


def table_kind(file: Path, name: str, label: str | None = None) -> Kind | None:
    """What a table's samples are; None where it cannot be read.

    Raises:
        UsageError: no column holds samples, or several could be its texts.
    """
    from pyarrow import ArrowException

    try:
        schema = _schema(file)
        return sample_column(schema, lambda one: _head(file, one), label, name)[1]
    except (ArrowException, OSError, EOFError):  # who reads it next says so
        return None


def _read(
    file: Path, name: str, label: str | None
) -> tuple[Any, Any, tuple[str, ...] | None, Kind]:
    """The column of samples, that of labels, the class names of one file, and of what kind."""
    import pyarrow

    try:
        schema = _schema(file)
        samples, kind = sample_column(schema, lambda one: _head(file, one), label, name)
        chosen = label_column(schema, label, name)
        table = _open(file, [samples, chosen], samples if kind == "text" else None)
    except (pyarrow.ArrowException, OSError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{file} is no readable {file.suffix[1:]} file ({reason})") from error
    told = features_of(schema).get(chosen, {})
    names = told.get("names") if isinstance(told, dict) else None
    names = tuple(str(one) for one in names) if names else None
    return table.column(samples), table.column(chosen), names, kind


def _schema(file: Path) -> Any:
    """Names and types of the columns of a file; of a csv file as its first rows suggest them."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        from pyarrow import parquet

        return parquet.read_schema(file)
    if kind == ".csv":
        with _csv(file) as opened:
            return opened.schema
    return _arrow(file).schema


def _head(file: Path, column: str) -> list[Any]:
    """The first values of a column."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(file) as opened:
            rows = next(opened.iter_batches(HEAD, columns=[column]), None)
    elif kind == ".csv":
        with _csv(file) as opened:
            rows = next(iter(opened), None)
    else:
        rows = _arrow(file)
    return [] if rows is None else list(rows.slice(0, HEAD).column(column).to_pylist())


def _open(file: Path, columns: list[str], text: str | None) -> Any:
    """Columns of a file; ``text`` among them holds texts, whatever its values look like."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(file, columns=columns, partitioning=None)
    if kind == ".csv":
        import pyarrow
        from pyarrow import csv

        # Texts such as 0123, true or NA are texts.
        texts = {} if text is None else {text: pyarrow.string()}
        return csv.read_csv(
            file,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=texts, include_columns=columns),
        )
    return _arrow(file)


def _arrow(file: Path) -> Any:
    """A memory-mapped arrow file, of either of its two formats."""
    import pyarrow

    source = pyarrow.memory_map(str(file))
    try:
        return pyarrow.ipc.open_stream(source).read_all()
    except pyarrow.ArrowInvalid:
        return pyarrow.ipc.open_file(source).read_all()


def _csv(file: Path) -> Any:
    """A csv file whose columns are known and whose rows are not read yet."""
    from pyarrow import csv

    return csv.open_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True))


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
