"""What a preset gives."""

from __future__ import annotations

from dataclasses import dataclass

from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods import METHODS
from condensery.methods.base import Method


@dataclass(frozen=True)
class Plan:
    """A method with its settings, and a budget.

    Attributes:
        method: what runs. steps: updates; None with ``minutes``. minutes: of condensing, or None.
    """

    method: Method
    steps: int | None = None
    minutes: float | None = None


def selection(method: str, problem: Problem, factor: int) -> Plan | None:
    """The plan of a method that only selects, packed like the methods it stands beside; else None.

    Raises:
        UsageError: the method is not known.
    """
    if method not in METHODS:
        raise UsageError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if METHODS[method].default_steps:
        return None
    return Plan(METHODS[method](factor=factor), steps=0)  # type: ignore[call-arg]
