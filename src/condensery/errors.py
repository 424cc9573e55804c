"""Errors that are said in one line: what is wrong, and what to do instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CondenseryError(Exception):
    """Something that a person can mend; its text is one line that says how."""


class UsageError(CondenseryError, ValueError):
    """What was asked for cannot be: a wrong name, a missing file, a bad count. Exit code 2."""


class RunError(CondenseryError, RuntimeError):
    """It went wrong on the way: no network, a loss that is not finite. Exit code 1."""


def unknown(what: str, name: str, known: Iterable[str], listed: bool = True) -> UsageError:
    """The error for a name that is not there: the nearest ones, and all that are known.

    Args:
        what: kind of thing. name: as it was written. known: what there is.
        listed: whether to print all of ``known`` (they are few).
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    every = f"{'' if meant else ';'} known: {', '.join(names)}" if listed else ""
    return UsageError(f"unknown {what} {name!r}{meant}{every}")
