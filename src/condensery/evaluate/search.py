"""Learning-rate search: every set gets the same trials, on samples that no set was made from.

A recipe's rate was chosen on somebody's sets, and a set that likes another one loses by it. Here
each set is given the best of the same rates, for each network: trained once at each rate on seeds
of their own, tested on the validation split. Condensed sets, random ones and the full data alike;
what only one of them was allowed to tune would be no comparison. The winner is then trained afresh
and tested on the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.evaluate.grid import OnRecord, Rows, evaluate
from condensery.evaluate.recipes import Recipe, recipe_from, shorten
from condensery.models.backbone import PeerSpec
from condensery.records import Record

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
SEEDS = (0,)  # of the trials; their streams are named after the rate, so no result shares them
TRIALS_FILE = "trials.jsonl"


def evaluate_searched(
    rows: Rows,
    problem: Problem,
    models: Sequence[str | PeerSpec],
    *,
    recipe: str | Recipe = "hmdc",
    seeds: Sequence[int] = (0, 1, 2),
    split: str = "test",
    epochs: int | None = None,
    updates: int | None = None,
    rates: Sequence[float] = RATES,
    check_every: int | None = None,
    out: Path | None = None,
    on_record: OnRecord | None = None,
    **how: Any,
) -> list[Record]:
    """``condensery.evaluate.evaluate`` with the best of these rates for each set and network.

    Trials are records too: they lie beside ``out`` in ``trials.jsonl``, and none is run twice. A
    trial whose loss is not finite counts as an accuracy of 0. Of equal rates the lowest wins. Each
    record's settings hold the winner (``lr``), all trials (``searched``) and whether the winner
    lies at an edge of the rates (``rate_at_edge``), where a better one may lie beyond.

    Args:
        rates: to be tried, ascending. how: further arguments of ``evaluate``, as all others here.

    Raises:
        UsageError: no validation split, a result asked for on that split, or a recipe without a
            rate; and what ``evaluate`` raises.
    """
    base = shorten(recipe_from(recipe), epochs, updates)
    _check(problem, base, split, rates)
    sets = sum(len(row) for row in rows.values())
    tried = trainings(sets, len(models), 0, len(rates))
    of = tried + sets * len(models) * len(seeds)
    found: dict[tuple[str, int, str], dict[float, list[float]]] = {}
    for number, rate in enumerate(rates):
        trial = replace(base.at_rate(rate), name=f"{base.name} at rate {rate:g}",
                        check_every=None, reported="last")  # fmt: skip
        done = number * tried // len(rates)
        made = evaluate(rows, problem, models, recipe=trial, seeds=SEEDS, split="val",
                        out=None if out is None else out.with_name(TRIALS_FILE), tolerant=True,
                        on_record=counted(on_record, done, of), **how)  # fmt: skip
        for one in made:
            cell = found.setdefault((one.row, one.replicate, one.model), {})
            cell.setdefault(rate, []).append(one.accuracy)
    named = replace(base, name=f"{base.name}, rate searched")
    choices = {key: winner(named, accuracies) for key, accuracies in found.items()}
    return evaluate(rows, problem, models, recipe=named, seeds=seeds, check_every=check_every,
                    out=out, on_record=counted(on_record, tried, of), choices=choices,
                    **how)  # fmt: skip


def winner(recipe: Recipe, accuracies: Mapping[float, Sequence[float]]) -> Recipe:
    """A recipe at the rate of the highest mean accuracy, the lowest such rate; its trials in it."""
    means = sorted((rate, fmean(values)) for rate, values in accuracies.items())
    best, _ = max(means, key=lambda pair: pair[1])
    return replace(recipe.at_rate(best), searched=tuple(means))


def trainings(sets: int, models: int, seeds: int, rates: int = len(RATES)) -> int:
    """How many there are to run, trials and all."""
    return sets * models * (seeds + rates * len(SEEDS))


def counted(on_record: OnRecord | None, before: int, of: int) -> OnRecord | None:
    """The same with the trainings counted that come before and after."""
    if on_record is None:
        return None
    return lambda record, done, _: on_record(record, before + done, of)


def _check(problem: Problem, recipe: Recipe, split: str, rates: Sequence[float]) -> None:
    if recipe.solver == "ridge":
        raise UsageError(f"{recipe.name} has no learning rate to search for: leave --rate away")
    if split != "test":
        raise UsageError("rates are searched for on the validation split, so no result can stand "
                         "on it: --rate search goes with --split test")  # fmt: skip
    if not rates or any(rate <= 0 for rate in rates) or list(rates) != sorted(set(rates)):
        raise UsageError(f"rates to be tried ascend from above 0; got {list(rates)}")
    problem.split("val")
