"""What cannot be in a plan, said with the plan's name before anything is run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from condensery.errors import UsageError, unknown
from condensery.evaluate import BASELINES, name_of, recipes_from, shorten
from condensery.evaluate.train import family_of
from condensery.methods import METHODS
from condensery.models import PeerSpec
from condensery.presets import PRESETS
from condensery.study.plan import Arm, Study


def said(where: str, error: UsageError) -> UsageError:
    """The same error with the name of the plan before it."""
    return UsageError(f"{where}: {error}")


def checked(study: Study, where: str) -> Study:
    """The study with its arms named.

    Args:
        where: how to call the plan in a message.

    Raises:
        UsageError: an unknown name, a value that cannot be, or one that is named twice.
    """
    named = replace(study, arms=tuple(replace(one, name=one.name or one.method)
                                      for one in study.arms))  # fmt: skip
    try:
        _lists(named)
        _counts(named)
        for arm in named.arms:
            _arm(arm)
        for model in named.models:
            family_of(model, None)
        for row in named.rows:
            if row not in BASELINES:
                raise unknown("row", row, BASELINES)
        for recipe in recipes_from(named.recipe):
            shorten(recipe, named.epochs, named.updates)
    except UsageError as error:
        raise said(where, error) from None
    return named


def _lists(study: Study) -> None:
    """What is listed: something, and everything once."""
    if not study.arms:
        raise UsageError("it condenses nothing: give it at least one [[size.NAME.arms]]")
    for what in ("data", "per_class", "seeds", "evaluation_seeds"):
        if not getattr(study, what):
            raise UsageError(f"{what} is empty: name at least one")
    for what in ("per_class", "seeds", "evaluation_seeds", "rows", "draw"):
        _once(what, getattr(study, what))
    _once("models", map(name_of, study.models))
    twice = _twice([one.name for one in study.arms])
    if twice is not None:
        raise UsageError(f"two arms are called {twice!r}; give each a name of its own")
    if _twice([Path(data).name for data in study.data]) is not None:
        raise UsageError(f"two data sets end in one name ({', '.join(study.data)}), and runs lie "
                         f"in a folder of that name: rename one")  # fmt: skip


def _once(what: str, listed: Iterable[Any]) -> None:
    twice = _twice(list(listed))
    if twice is not None:
        raise UsageError(f"{what} names {twice!r} twice; name each once")


def _twice(listed: Sequence[Any]) -> Any:
    return next((one for one in listed if listed.count(one) > 1), None)


def _counts(study: Study) -> None:
    for what in ("per_class", "draws", "epochs", "updates", "check_every", "side"):
        given = getattr(study, what)
        wrong = [one for one in (given if isinstance(given, tuple) else (given,))
                 if one is not None and one < 1]  # fmt: skip
        if wrong:
            raise UsageError(f"{what} counts from 1; got {wrong[0]}")
    for what, seeds in (("seeds", study.seeds), ("evaluation_seeds", study.evaluation_seeds)):
        if min(seeds) < 0:
            raise UsageError(f"{what} count from 0; got {min(seeds)}")


def _arm(arm: Arm) -> None:
    if arm.method not in METHODS:
        raise unknown("method", arm.method, METHODS)
    if arm.preset is not None and arm.preset not in PRESETS:
        raise unknown("preset", arm.preset, PRESETS)
    if arm.proportion <= 0:
        raise UsageError(f"proportion of {arm.name} lies above 0")
    if arm.steps is not None and arm.steps < 1:
        raise UsageError(f"steps of {arm.name} count from 1; got {arm.steps}")
    # Its runs lie in a folder of its name.
    if Path(arm.name).name != arm.name or "\\" in arm.name or arm.name.startswith("."):
        raise UsageError(f"an arm cannot be called {arm.name!r}, its runs lie in a folder of that "
                         f"name: leave out slashes and a dot at the beginning")  # fmt: skip


def check_peers(settings: Iterable[Any]) -> None:
    """Say which network in the settings of an arm is unknown.

    Raises:
        UsageError: one is.
    """
    for value in settings:
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, PeerSpec):
                family_of(one, None)
