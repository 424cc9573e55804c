"""What a preset is, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from condensery.data.problem import Problem
from condensery.errors import UsageError, unknown
from condensery.methods import METHODS
from condensery.methods.base import Method
from condensery.modality import Sound
from condensery.modality.spectrum import analysis
from condensery.presets.tiny import shrunk


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
    """Into how many equal parts a stored clip of sound is cut, at most ``most``.

    A waveform is cut between samples, a spectrogram between frames.
    """
    length = problem.modality.shape[-1]
    if logmel(problem):
        assert isinstance(problem.modality, Sound)
        length //= analysis(problem.modality.rate)[1]
    return next(count for count in range(most, 0, -1) if length % count == 0)


def logmel(problem: Problem) -> bool:
    """Whether sets of these samples hold spectrograms, which not all networks of sound read."""
    return isinstance(problem.modality, Sound) and problem.modality.form == "logmel"


def shorter(problem: Problem) -> int:
    """HMDC's supplement, section D: a quarter of the iterations on Tiny ImageNet."""
    return 4 if max(problem.modality.shape[-2:]) > 48 else 1


@dataclass(frozen=True)
class Preset:
    """Settings under one name, for each method that it knows.

    Attributes:
        about: one line: whose settings, for which machine.
        methods: what gives a plan for (problem, samples per class), by the name of the method.
            Its docstring says source, hardware, time and what to expect.
        factor: how much is packed into a stored sample of the methods that only select, where the
            preset knows no HMDC beside whose set they could stand.
    """

    about: str
    methods: Mapping[str, Callable[[Problem, int], Plan]]
    factor: int = 2

    def __call__(self, method: str, problem: Problem, per_class: int) -> Plan:
        """The method with these settings; a selection is packed as HMDC's set of them is.

        Raises:
            UsageError: the method is not known, or not to this preset.
        """
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        if not METHODS[method].default_steps:
            known = self.methods.get(method, lambda problem, per_class: Plan(METHODS[method]()))
            chosen: Any = known(problem, per_class).method
            return Plan(replace(chosen, factor=self._factor(problem, per_class)), steps=0)
        if method not in self.methods:
            moving = [name for name in self.methods if METHODS[name].default_steps]
            raise UsageError(
                f"this preset has no settings for {method}; it knows {', '.join(moving)} "
                f"and the selections: leave --preset away, or take another"
            )
        return self.methods[method](problem, per_class)

    def smoke(self, method: str, problem: Problem, per_class: int) -> Plan:
        """What this preset sets, with tiny networks and numbers: two steps, to try it in seconds.

        Raises:
            UsageError: as above.
        """
        plan = self(method, problem, per_class)
        steps = 2 if plan.method.default_steps else 0
        return Plan(shrunk(plan.method, problem, per_class), steps)

    def _factor(self, problem: Problem, per_class: int) -> int:
        """How much a stored sample of this preset holds."""
        if "hmdc" not in self.methods:
            return self.factor
        beside: Any = self.methods["hmdc"](problem, per_class).method
        return int(beside.factor)
