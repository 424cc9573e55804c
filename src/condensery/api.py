"""The Python entry: one function a verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from condensery.core.synthetic import SyntheticSet
from condensery.data import load_problem
from condensery.engine import Budget, Run, execute
from condensery.errors import UsageError
from condensery.methods import METHODS, Method, name_of
from condensery.methods.base import Info
from condensery.presets import PRESETS, Plan


def condense(
    data: Any,
    method: Method | str = "hmdc",
    *,
    per_class: int = 1,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    init: str | Path | None = None,
    preset: str | None = None,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    out: str | Path | None = None,
    on_step: Callable[[int, Info, SyntheticSet], object] | None = None,
    device: str | None = None,
    data_dir: str | Path | None = None,
    quiet: bool = False,
) -> SyntheticSet:
    """Turn a labelled data set into ``per_class`` stored synthetic samples per class.

    Args:
        data: a built-in name, a hub id, a path, a torch ``Dataset``, arrays ``(x, y)`` or
            ``(x_train, y_train, x_test, y_test)``, or a ``Problem``.
        method: a method with its settings, or a name of the table of methods.
        per_class: stored samples per class, from 1.
        steps: updates of the set. minutes: of condensing, instead of steps. Neither: the preset's
            budget, else the method's.
        seed: of everything random; the same seed gives the same set.
        init: another run's directory to start from, instead of the method's own start.
        preset: settings for a method given by name (``small``, ``paper``, ...).
        modules: factories of your own networks, by the name a peer uses.
        out: the run directory; a run that lies there is resumed. None writes nothing.
        on_step: called after each step with (step, what it told, the set).
        device: ``cpu``, ``cuda``, ...; None takes a GPU when there is one.
        data_dir: where local copies of data lie.
        quiet: no progress line.

    Returns:
        The synthetic set, in the form that is exported.

    Raises:
        UsageError: what was asked for cannot be; says what to do instead.
        RunError: it went wrong on the way.
    """
    problem = load_problem(data, data_dir=data_dir)
    plan = resolve(method, preset, problem, per_class)
    chosen_steps, chosen_minutes = steps, minutes
    if steps is None and minutes is None:
        chosen_steps, chosen_minutes = plan.steps, plan.minutes
        if chosen_steps is None and chosen_minutes is None:
            chosen_steps = plan.method.default_steps
    if not plan.method.default_steps and chosen_minutes is not None:
        chosen_steps, chosen_minutes = 0, None  # a selection has nothing to spend time on
    run = Run(
        name=name_of(plan.method),
        method=plan.method,
        problem=problem,
        per_class=per_class,
        budget=Budget(chosen_steps, chosen_minutes),
        seed=seed,
        init=init,
        modules=modules or {},
        device=pick_device(device),
    )
    return execute(run, None if out is None else Path(out), on_step, quiet)


def resolve(method: Method | str, preset: str | None, problem: Any, per_class: int) -> Plan:
    """A method with its settings and a budget, from a name or a value and perhaps a preset.

    Raises:
        UsageError: an unknown name, or a preset for a method that already has its settings.
    """
    if isinstance(method, Method):
        if preset is not None:
            raise UsageError(
                "a preset sets a method that is given by name: method='hmdc', preset='small'"
            )
        return Plan(method)
    if method not in METHODS:
        raise UsageError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if preset is None:
        return Plan(METHODS[method]())
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    return PRESETS[preset](method, problem, per_class)


def pick_device(name: str | None) -> torch.device:
    """The device of a run: the named one, else a GPU when there is one.

    Raises:
        UsageError: the named device is not there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise UsageError(
            f"there is no device {name!r} here: leave --device away, or take cpu"
        ) from None
    return device
