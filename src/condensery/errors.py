"""Errors that are said in one line: what is wrong, and what to do instead."""

from __future__ import annotations


class CondenseryError(Exception):
    """Something that a person can mend; its text is one line that says how."""


class UsageError(CondenseryError, ValueError):
    """What was asked for cannot be: a wrong name, a missing file, a bad count. Exit code 2."""


class RunError(CondenseryError, RuntimeError):
    """It went wrong on the way: no network, a loss that is not finite. Exit code 1."""
