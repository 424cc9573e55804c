"""Labels as they are found (numbers, names) to class indices, and what a usable set of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from condensery.errors import UsageError


def encode_labels(
    columns: Mapping[str, Any], names: Sequence[str] | None, what: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Class indices of every split, and the names of the classes.

    Names become classes in sorted order (numerically, when all are numbers). Numbers keep their
    order; when they are not ``0 .. classes - 1`` they are renumbered and become the names.

    Args:
        columns: the labels of each split, ``train`` among them: whole numbers or strings.
        names: of the classes 0, 1, ... where the data say them.
        what: the data set, for messages.

    Returns:
        ``(n,)`` int64 per split, and one name per class.

    Raises:
        UsageError: a label is missing, negative, no whole number or beyond the names; there is only
            one class; a class has no training sample.
    """
    values = {
        split: plain_labels(column, f"{split} labels of {what}")
        for split, column in columns.items()
    }
    known = [column for column in values.values() if len(column)]
    if len({column.dtype.kind for column in known}) > 1:
        raise UsageError(f"the labels of {what} are numbers in one split and names in another")
    if known and known[0].dtype.kind == "U":
        indices, found = _from_names(values, names)
    elif names is not None:
        indices, found = _from_numbers(values, names, what), tuple(names)
    else:
        indices, found = _from_bare_numbers(values)
    check_classes(indices["train"], found, what)
    return indices, found


def check_classes(train: np.ndarray, names: Sequence[str], what: str) -> None:
    """Refuse training labels that nothing can be learned from.

    Raises:
        UsageError: there is only one class, or a class without a training sample.
    """
    if len(names) < 2:
        one = f" ({names[0]})" if names else ""
        raise UsageError(f"{what} has only {len(names)} class{one}: condensing needs at least two")
    counts = np.bincount(train, minlength=len(names))
    empty = [names[int(label)] for label in np.flatnonzero(counts == 0)]
    if empty:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        raise UsageError(
            f"{what} has no training sample of class {', '.join(empty[:3])}{more}: "
            f"add some, or remove the class from the names and from the other splits"
        )


def sorted_names(names: Sequence[str]) -> list[str]:
    """Names in order; numerically when all are whole numbers (so that 10 follows 9)."""
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def plain_labels(column: Any, what: str) -> np.ndarray:
    """Labels as they are found, as an array ``(n,)`` of int64 or of strings.

    Args:
        column: numbers or names. what: for messages: ``training labels of digits``.

    Raises:
        UsageError: a label is missing, negative or no whole number, or there are several a sample.
    """
    found = np.asarray(column)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise UsageError(f"the {what} have shape {found.shape}: give one number or name per sample")
    if found.dtype.kind == "O":
        missing = [row for row, value in enumerate(found) if value is None]
        if missing:
            raise UsageError(f"the {what} have a gap at row {missing[0]}: fill or remove it")
        if not all(isinstance(value, str | int | float) for value in found):
            raise UsageError(f"the {what} are not numbers or names, one per sample")
        found = np.asarray(found.tolist())
    if not len(found):
        return np.empty(0, np.int64)
    if found.dtype.kind == "U":
        return found
    if found.dtype.kind not in "iubf":
        raise UsageError(f"the {what} are {found.dtype}: give whole numbers or names")
    if found.dtype.kind == "f" and not (np.isfinite(found) & (found == np.round(found))).all():
        raise UsageError(f"the {what} are not whole numbers: give class indices or names")
    whole = found.astype(np.int64)
    if whole.min() < 0:
        row = int(np.argmax(whole < 0))
        raise UsageError(
            f"the {what} are negative ({whole[row]} at row {row}): classes count from 0; "
            f"leave unlabelled samples out"
        )
    return whole


def _from_names(
    values: Mapping[str, np.ndarray], names: Sequence[str] | None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    present = {str(name) for column in values.values() for name in np.unique(column)}
    if names is None or not present <= set(names):
        names = sorted_names(list(present))
    index = {name: label for label, name in enumerate(names)}
    indices = {
        split: np.array([index[str(name)] for name in column], np.int64)
        for split, column in values.items()
    }
    return indices, tuple(names)


def _from_numbers(
    values: Mapping[str, np.ndarray], names: Sequence[str], what: str
) -> dict[str, np.ndarray]:
    for split, column in values.items():
        if len(column) and column.max() >= len(names):
            raise UsageError(
                f"the {split} labels of {what} reach {column.max()}, "
                f"but there are names for {len(names)} classes (0 to {len(names) - 1})"
            )
    return dict(values)


def _from_bare_numbers(
    values: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    present = np.unique(np.concatenate(list(values.values())))
    indices = {split: np.searchsorted(present, column) for split, column in values.items()}
    return indices, tuple(str(number) for number in present)
