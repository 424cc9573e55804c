"""Scores of condensed sets from records: label-robust, augmentation-robust, break-even, dependency.

Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation" (2025) for the first two;
pure functions on parts of 1. What a score needs and no record holds is a hole, never a constant.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from condensery.errors import UsageError
from condensery.records import Record, newest
from condensery.statistics import Interval, interval

BEST = "full"  # the row of the whole training data


def squashed(value: float) -> float:
    """``(e^u - e^-1) / (e - e^-1)``: 0 at -1, 0.2689 at 0, 1 at 1; increasing and convex."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def label_robust(
    real_hard: float,
    syn_hard: float,
    syn_any: float,
    random_any: float,
    weight: float = 0.5,
) -> float:
    """LRS: what a set is worth beyond the labels that it comes with, in [0, 1].

    ``phi(w * IOR - (1 - w) * HLR)`` with HLR, how far hard labels on the set stay behind the whole
    data (named a recovery, yet a gap), and IOR, what the set gains over random samples with the
    same kind of labels. Random itself gets ``phi(-(1 - w) * HLR)``.

    Args:
        real_hard: accuracy with the whole training data and hard labels. syn_hard: with the set and
            hard labels. syn_any, random_any: with the set and with as many random samples, with
            the labels that the method wants. All in [0, 1].
        weight: of IOR, in [0, 1].

    Raises:
        UsageError: a value outside [0, 1].
    """
    _fractions(real_hard, syn_hard, syn_any, random_any, weight)
    return squashed(weight * (syn_any - random_any) - (1 - weight) * (real_hard - syn_hard))


def augmentation_robust(
    syn_aug: float,
    random_aug: float,
    syn_plain: float,
    random_plain: float,
    weight: float = 0.5,
) -> float:
    """ARS: what a set gains over random samples, with and without augmentation, in [0, 1].

    Args:
        syn_aug, random_aug: accuracies with the recipe's augmentation; syn_plain, random_plain:
            without any. All in [0, 1].
        weight: of the gain with augmentation, in [0, 1].

    Raises:
        UsageError: a value outside [0, 1].
    """
    _fractions(syn_aug, random_aug, syn_plain, random_plain, weight)
    return squashed(weight * (syn_aug - random_aug) + (1 - weight) * (syn_plain - random_plain))


def _fractions(*values: float) -> None:
    for value in values:
        if not 0 <= value <= 1:
            raise UsageError(f"{value:g} is no part of 1: it looks like percent; divide by 100")


@dataclass(frozen=True)
class Score:
    """A score of a row on a network.

    Attributes:
        name: ``LRS`` or ``ARS``. row, model: of what.
        interval: over condensed sets; None is a hole. missing: what no record holds.
        parts: mean accuracies that went in, by name.
    """

    name: str
    row: str
    model: str
    interval: Interval | None
    missing: tuple[str, ...] = ()
    parts: Mapping[str, float] | None = None


def label_robust_of(
    records: Iterable[Record], row: str, random: str = "random", weight: float = 0.5
) -> list[Score]:
    """LRS on each network: the score of each condensed set first, then mean and interval.

    Args:
        records: of one data set, size, recipe and split, with hard labels and, where the method
            wants others, with these. They hold a row ``full``.
        row: the condensed set. random: its equal in bytes, packed where the set is.

    Raises:
        UsageError: several kinds of soft labels.
    """
    held = newest(records)
    hard = [one for one in held if one.labels == "hard"]
    soft = [one for one in held if one.labels != "hard"]
    if len({one.labels for one in soft}) > 1:
        raise UsageError("records of several kinds of soft labels: give those of one")
    wanted = soft or hard
    found = []
    for model in dict.fromkeys(one.model for one in held):
        own = {
            "real": _by_set(hard, BEST, model), "set": _by_set(hard, row, model),
            "set, any labels": _by_set(wanted, row, model),
            "random, any labels": _drawn(wanted, random, row, model),
        }  # fmt: skip
        found.append(_score("LRS", row, model, own, weight))
    return found


def augmentation_robust_of(
    augmented: Iterable[Record],
    plain: Iterable[Record],
    row: str,
    random: str = "random",
    weight: float = 0.5,
) -> list[Score]:
    """ARS on each network, from records of a recipe and of the same without augmentation."""
    one, other = newest(augmented), newest(plain)
    found = []
    for model in dict.fromkeys(x.model for x in (*one, *other)):
        own = {
            "set, altered": _by_set(one, row, model),
            "random, altered": _drawn(one, random, row, model),
            "set, plain": _by_set(other, row, model),
            "random, plain": _drawn(other, random, row, model),
        }
        found.append(_score("ARS", row, model, own, weight))
    return found


def _score(
    name: Literal["LRS", "ARS"],
    row: str,
    model: str,
    own: Mapping[str, Mapping[int, float]],
    weight: float,
) -> Score:
    missing = tuple(part for part, values in own.items() if not values)
    if missing:
        return Score(name, row, model, None, missing)
    score: Callable[..., float] = label_robust if name == "LRS" else augmentation_robust
    parts = list(own.values())
    # The whole data are one set for all: its mean stands beside each condensed one.
    whole = statistics.fmean(parts[0].values()) if name == "LRS" else None
    paired = parts[1:] if whole is not None else parts
    sets = sorted(set.intersection(*(set(values) for values in paired)))
    if not sets:
        return Score(name, row, model, None, ("sets that all rows have",))
    before = [] if whole is None else [whole]
    each = [score(*before, *(values[one] for values in paired), weight) for one in sets]
    means = {part: statistics.fmean(values.values()) for part, values in own.items()}
    return Score(name, row, model, interval(each), (), means)


def _by_set(records: Sequence[Record], row: str, model: str) -> dict[int, float]:
    """Mean accuracy of each set over evaluation seeds."""
    cells: dict[int, list[float]] = {}
    for one in records:
        if (one.row, one.model) == (row, model):
            cells.setdefault(one.replicate, []).append(one.accuracy)
    return {replicate: statistics.fmean(values) for replicate, values in cells.items()}


def _drawn(records: Sequence[Record], random: str, row: str, model: str) -> dict[int, float]:
    """Mean accuracy of each draw; beside one condensed set, the mean of all draws.

    No draw belongs to a single set more than another does (as in ``statistics.paired``).
    """
    draws, sets = _by_set(records, random, model), _by_set(records, row, model)
    if len(sets) != 1 or not draws:
        return draws
    return dict.fromkeys(sets, statistics.fmean(draws.values()))


@dataclass(frozen=True)
class BreakEven:
    """After how many trainings condensing has paid off.

    Attributes:
        kind: ``at once``; ``after`` so many trainings; ``first``: it pays for the first so many
            only; ``never``.
        trainings: that many; None for ``never``, 0 for ``at once``.
    """

    kind: Literal["at once", "after", "first", "never"]
    trainings: int | None

    @property
    def text(self) -> str:
        """In words."""
        if self.kind == "after":
            return f"after {self.trainings} trainings"
        return f"the first {self.trainings} trainings only" if self.kind == "first" else self.kind


def break_even(made: float, trained: float, other_made: float, other_trained: float) -> BreakEven:
    """When a set that was dear to make and is quick to train on has paid off against another.

    ``n* = ceil((T_c - T_b) / (t_b - t_S))``, at equal accuracy.

    Args:
        made: seconds from raw data to the stored set. trained: of one training on it.
        other_made, other_trained: the same of what it is compared with. All from 0.

    Raises:
        UsageError: a negative value.
    """
    if min(made, trained, other_made, other_trained) < 0:
        raise UsageError("seconds count from 0")
    dearer, slower = made - other_made, trained - other_trained
    if dearer <= 0 and slower <= 0:
        return BreakEven("at once", 0)
    if dearer >= 0 and slower >= 0:
        return BreakEven("never", None)
    if dearer > 0:
        return BreakEven("after", math.ceil(dearer / -slower))
    few = math.floor(-dearer / slower)
    return BreakEven("first", few) if few else BreakEven("never", None)


@dataclass(frozen=True)
class BreakEvens:
    """Break-even over replicates: of the mean seconds, and its smallest and largest of any."""

    mean: BreakEven
    smallest: BreakEven
    largest: BreakEven

    @property
    def text(self) -> str:
        """In words; the range where there is one."""
        if self.smallest == self.largest == self.mean:
            return self.mean.text
        return f"{self.mean.text} (smallest: {self.smallest.text}; largest: {self.largest.text})"


def break_even_over(seconds: Sequence[tuple[float, float, float, float]]) -> BreakEvens:
    """``break_even`` of several condensed sets, each with its own baseline.

    What pays from the first training on, be it for the first few only, lies below what pays later.

    Args:
        seconds: the four arguments of ``break_even`` for each set.

    Raises:
        UsageError: no set, or a negative value.
    """
    if not seconds:
        raise UsageError("no set to take a break-even of")
    each = [break_even(*one) for one in seconds]

    def when(one: BreakEven) -> float:
        at_once = one.kind in ("at once", "first")
        return 0 if at_once else math.inf if one.trainings is None else one.trainings

    mean = break_even(*(statistics.fmean(values) for values in zip(*seconds, strict=True)))
    return BreakEvens(mean, min(each, key=when), max(each, key=when))


@dataclass(frozen=True)
class Dependency:
    """How much a set's gain over Random hangs on the network, in parts of 1.

    Attributes:
        per_class: stored samples per class. row: the method.
        gaps: mean gap to Random by network. sd, spread: their deviation (n - 1) and range; None
            with fewer than two networks.
    """

    per_class: float
    row: str
    gaps: Mapping[str, float]
    sd: float | None
    spread: float | None


def model_dependency(
    records: Iterable[Record], row: str, random: str = "random"
) -> list[Dependency]:
    """Standard deviation and range over networks of the gap to Random, by samples per class.

    Gaps are taken set by set, evaluation seeds averaged first; that of a single set to the mean of
    all draws. A network without a pair is left out.
    """
    held = newest(records)
    found = []
    for per_class in sorted({one.per_class for one in held}):
        own = [one for one in held if one.per_class == per_class]
        gaps = {}
        for model in dict.fromkeys(one.model for one in own):
            ours, theirs = _by_set(own, row, model), _drawn(own, random, row, model)
            pairs = [ours[one] - theirs[one] for one in ours if one in theirs]
            if pairs:
                gaps[model] = statistics.fmean(pairs)
        values = list(gaps.values())
        several = len(values) > 1
        found.append(Dependency(
            per_class, row, gaps, statistics.stdev(values) if several else None,
            max(values) - min(values) if several else None,
        ))  # fmt: skip
    return found


def held_out_worst(records: Iterable[Record], row: str, random: str = "random") -> float | None:
    """The gap to Random on the worst network, without the bias of having picked it.

    For each set the worst network is found by the other sets, and this set's gap is read there;
    the mean over sets. The minimum of noisy means lies below the smallest true one.

    Returns:
        The mean, in parts of 1; None with fewer than two sets or networks that all of them have.
    """
    held = newest(records)
    table: dict[str, dict[int, float]] = {}
    for model in dict.fromkeys(one.model for one in held):
        ours, theirs = _by_set(held, row, model), _by_set(held, random, model)
        table[model] = {one: ours[one] - theirs[one] for one in ours if one in theirs}
    sets = set.intersection(*(set(one) for one in table.values())) if table else set()
    if len(sets) < 2 or len(table) < 2:
        return None
    read = []
    for own in sorted(sets):
        rest = {model: statistics.fmean(gaps[one] for one in sets if one != own)
                for model, gaps in table.items()}  # fmt: skip
        read.append(table[min(rest, key=lambda model: rest[model])][own])
    return statistics.fmean(read)
