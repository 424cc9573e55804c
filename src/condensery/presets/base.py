"""What a preset is, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from condensery.data.problem import Problem
from condensery.errors import UsageError, unknown
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


def parts(problem: Problem, most: int = 5) -> int:
    """Into how many equal parts a stored clip of sound is cut, at most ``most``."""
    length = problem.modality.shape[-1]
    return next(count for count in range(most, 0, -1) if length % count == 0)


@dataclass(frozen=True)
class Preset:
    """Settings under one name, for each method that it knows.

    Attributes:
        about: one line: whose settings, for which machine.
        methods: what gives a plan for (problem, samples per class), by the name of the method.
            Its docstring says source, hardware, time and what to expect.
        factor: tiles per side of a stored sample, for the methods that only select: they stand
            beside the others at the same packing.
    """

    about: str
    methods: Mapping[str, Callable[[Problem, int], Plan]]
    factor: int = 2

    def __call__(self, method: str, problem: Problem, per_class: int) -> Plan:
        """The method with these settings.

        Raises:
            UsageError: the method is not known, or not to this preset.
        """
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        if method in self.methods:
            return self.methods[method](problem, per_class)
        if METHODS[method].default_steps:
            raise UsageError(
                f"this preset has no settings for {method}; it knows {', '.join(self.methods)} "
                f"and the selections: leave --preset away, or take another"
            )
        return Plan(METHODS[method](factor=self.factor), steps=0)  # type: ignore[call-arg]
