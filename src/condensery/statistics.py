"""From records to numbers with a spread: means, t-intervals, paired differences. Pure functions.

The replicate is the condensed set (the condensation seed), not the network trained on it:
evaluation seeds are averaged first, since more of them never replace more sets. Networks are
averaged within a replicate, one vote each. Accuracies are parts of 1, as in records.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from condensery.errors import UsageError
from condensery.records import Record, newest

Unit = Literal["sets", "evaluation seeds"]
Values = Mapping[int, Mapping[int, float]]
Table = dict[str, dict[str, dict[int, dict[int, float]]]]
FAMILIES = {"mean of CNNs": "cnn", "mean of ViTs": "vit"}
MEANS = ("mean of seen", "mean of unseen", *FAMILIES, "mean of all")


@dataclass(frozen=True)
class Interval:
    """A mean and how sure it is. ``sd`` has n - 1; what one value cannot tell is None."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Paired:
    """A difference of two rows over the same replicates.

    Attributes:
        difference: mean of the differences. sd: of the differences (n - 1). error: sd / sqrt(n).
        t: difference / error; None when n is 1 or all differences are equal.
        low, high: the 95 % t-interval; None when n is 1.
        n: pairs. unit: what a pair is; ``evaluation seeds`` when there is one set only, which says
            nothing of other sets.
        verdict: see ``verdict``; None where nothing may be said. By the wider of both intervals.
        tied: all differences of sets are equal: of these alone, their sign would be the verdict.
        draws: sets of the other row whose mean was subtracted: more than 1 where one set stands
            against several random draws.
        crossed_low, crossed_high: the interval over sets and trainings, see ``crossed``; None where
            sets were not trained on with the same two evaluation seeds or more.
    """

    difference: float
    sd: float | None
    error: float | None
    t: float | None
    low: float | None
    high: float | None
    n: int
    unit: Unit
    verdict: str | None
    tied: bool = False
    draws: int = 1
    crossed_low: float | None = None
    crossed_high: float | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Of the interval that the verdict rests on, the wider one; None when n is 1."""
        if self.low is None or self.high is None:
            return None
        if self.crossed_low is None or self.crossed_high is None:
            return self.low, self.high
        return self.crossed_low, self.crossed_high


@dataclass(frozen=True)
class Line:
    """A row on a network, or on a mean of networks.

    Attributes:
        row: see ``Record``. model: a network, one of ``MEANS``, or ``worst``.
        network: for ``worst`` the network that it is; else as ``model``.
        seen: whether the network took part in condensing; None for a mean over both.
        interval: over ``unit``; None is a hole: a cell of the mean is missing.
        replicates, seeds: sets, and the fewest evaluation seeds of any of them.
        unit: what the deviation is over.
    """

    row: str
    model: str
    network: str
    seen: bool | None
    interval: Interval | None
    replicates: int
    seeds: int
    unit: Unit


@dataclass(frozen=True)
class Comparison:
    """A row against another on a network, a mean of networks, or the worst network.

    ``paired`` None is a hole: a cell of the mean is missing. ``network`` as in ``Line``.
    """

    row: str
    against: str
    model: str
    network: str
    seen: bool | None
    paired: Paired | None


def quantile(degrees: float, level: float = 0.95) -> float:
    """The two-sided quantile of Student's t: 4.303 for 2 degrees of freedom at 95 %."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Mean, deviation (n - 1) and t-interval of independent values.

    Raises:
        UsageError: no value.
    """
    if not values:
        raise UsageError("no value to take a mean of")
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Interval(mean, None, None, None, 1)
    # Equal values have no deviation; rounding of their mean must not give them one.
    sd = 0.0 if max(values) == min(values) else statistics.stdev(values)
    half = quantile(n - 1, level) * sd / math.sqrt(n)
    return Interval(mean, sd, mean - half, mean + half, n)


def verdict(difference: float, low: float, high: float, n: int) -> str | None:
    """What a paired difference over sets allows to say.

    Five sets or more: ``above``, ``below``, or ``no difference`` where the interval holds 0. Three
    or four: ``suggests above`` at most. Fewer: None, no statement.
    """
    if n < 3:
        return None
    if low <= 0 <= high:
        return "no difference"
    side = "above" if difference > 0 else "below"
    return side if n >= 5 else f"suggests {side}"


def crossed(table: Sequence[Sequence[float]], level: float = 0.95) -> tuple[float, float] | None:
    """An interval of the mean over sets *and* trainings, both as random draws.

    Evaluation seeds are shared by all sets: first weights that favour one row favour it in every
    set, and more sets do not average that out. With the mean squares of a two-way table without
    replication, the variance of its mean is ``(MS_sets + max(MS_seeds - MS_rest, 0)) / (n m)``, its
    degrees of freedom are Satterthwaite's (Biometrics Bulletin 1946); the same is done for readers
    and cases in studies of diagnosis (Hillis, Statistics in Medicine 2007, who counts the degrees
    of one factor alone). Never narrower than the interval over sets.

    Args:
        table: a row for each set, in it a value for each evaluation seed: ``n`` rows of ``m``.

    Returns:
        Its ends, in the units of the table; None with fewer than two sets or two seeds.
    """
    n, m = len(table), len(table[0])
    if n < 2 or m < 2:
        return None
    by_set = [_mean(row) for row in table]
    by_seed = [_mean(column) for column in zip(*table, strict=True)]
    mean = _mean(by_set)
    sets = m * math.fsum((one - mean) ** 2 for one in by_set) / (n - 1)
    seeds = n * math.fsum((one - mean) ** 2 for one in by_seed) / (m - 1)
    free = (n - 1) * (m - 1)
    rest = math.fsum(
        (value - of_set - of_seed + mean) ** 2
        for row, of_set in zip(table, by_set, strict=True)
        for value, of_seed in zip(row, by_seed, strict=True)
    ) / free  # fmt: skip
    half = quantile(n - 1, level) * math.sqrt(sets / (n * m))
    if seeds > rest:
        total = sets + seeds - rest
        degrees = total**2 / (sets**2 / (n - 1) + seeds**2 / (m - 1) + rest**2 / free)
        half = max(half, quantile(degrees, level) * math.sqrt(total / (n * m)))
    return mean - half, mean + half


def paired(a: Values, b: Values, level: float = 0.95, draws: bool = False) -> Paired:
    """The difference of two rows, replicate by replicate, evaluation seeds averaged first.

    With several sets, replicates that both rows have make the pairs. With one set in a row,
    evaluation seeds do, and nothing is concluded of other sets.

    Args:
        a, b: accuracy by replicate and evaluation seed.
        draws: replicates of ``b`` are random draws, of which none belongs to a set of ``a`` more
            than another: a single set in ``a`` is compared with the mean of all that were trained
            with its evaluation seeds.

    Raises:
        UsageError: no replicate in common, or different evaluation seeds: these do not pair.
    """
    common = sorted(set(a) & set(b))
    if not common:
        raise UsageError(f"no replicate in common ({sorted(a)} and {sorted(b)}): evaluate both"
                         f" rows with the same seeds")  # fmt: skip
    for one in common:
        if set(a[one]) != set(b[one]):
            raise UsageError(
                f"evaluation seeds differ in replicate {one} ({sorted(a[one])} and "
                f"{sorted(b[one])}): they do not pair; evaluate both rows with the same seeds"
            )
    if len(common) > 1:
        differences = [_mean(a[one].values()) - _mean(b[one].values()) for one in common]
        return _both(_paired(differences, "sets", level), _differences(a, b, common), level)
    (only,) = common
    ours, others = a[only], [b[only]]
    if draws and len(a) == 1:
        others = [one for one in b.values() if set(one) == set(ours)]
    differences = [ours[seed] - _mean([one[seed] for one in others]) for seed in sorted(ours)]
    return replace(_paired(differences, "evaluation seeds", level), draws=len(others))


def _differences(a: Values, b: Values, common: Sequence[int]) -> list[list[float]] | None:
    """By set and evaluation seed; None where sets have not the same seeds."""
    seeds = sorted(a[common[0]])
    if any(sorted(a[one]) != seeds for one in common):
        return None
    return [[a[one][seed] - b[one][seed] for seed in seeds] for one in common]


def _both(pair: Paired, table: list[list[float]] | None, level: float) -> Paired:
    """The pair with its interval over sets and trainings, which has a say in the verdict."""
    ends = crossed(table, level) if table else None
    if ends is None or pair.low is None or pair.high is None:
        return pair
    low, high = min(ends[0], pair.low), max(ends[1], pair.high)
    said = verdict(pair.difference, low, high, pair.n)
    return replace(pair, crossed_low=low, crossed_high=high, verdict=said)


def _paired(differences: Sequence[float], unit: Unit, level: float) -> Paired:
    found = interval(differences, level)
    n, mean, sd = found.n, found.mean, found.sd
    if sd is None or found.low is None or found.high is None:
        return Paired(mean, None, None, None, None, None, n, unit, None)
    # Differences of equal decimal numbers differ in their last bits.
    tied = max(differences) - min(differences) < 1e-12
    error = sd / math.sqrt(n)
    said = verdict(mean, found.low, found.high, n) if unit == "sets" else None
    return Paired(mean, sd, error, None if tied else mean / error, found.low, found.high, n, unit,
                  said, tied)  # fmt: skip


def members(records: Iterable[Record]) -> dict[str, list[str]]:
    """The networks behind each of ``MEANS``; a mean over no network is left out.

    Families are those that records tell; a network of which no record tells one belongs to none.
    """
    held = list(records)
    seen = {one.model: one.seen for one in held}
    family = {one.model: one.family for one in held if one.family}
    found = {MEANS[0]: [name for name in seen if seen[name]],
             MEANS[1]: [name for name in seen if not seen[name]]}  # fmt: skip
    for title, kind in FAMILIES.items():
        found[title] = [name for name in seen if family.get(name) == kind]
    found[MEANS[-1]] = list(seen)
    return {title: names for title, names in found.items() if names}


def summarise(records: Iterable[Record], level: float = 0.95) -> list[Line]:
    """A line for each row and network, then the means over networks, the worst network.

    Args:
        records: of one comparison: one data set, size, recipe, split and kind of labels.

    Returns:
        Lines, rows and networks in the order of the records. A mean over networks that lacks a cell
        is a hole; a mean over no network is left out. A set that is the same for all seeds (by its
        fingerprint) is one set.

    Raises:
        UsageError: records of several comparisons, or two of one cell.
    """
    held = newest(records)
    table, seen = _table(_once(held)), {one.model: one.seen for one in held}
    means = members(held)
    lines = []
    for row, values in table.items():
        own = [_line(row, name, seen[name], values[name], level) for name in seen if name in values]
        lines += own
        for title, names in means.items():
            lines.append(_line(row, title, _all_seen(seen, title), _over(values, names), level))
        worst = min((one for one in own if one.interval), key=_interval_mean)
        lines.append(Line(row, "worst", worst.network, worst.seen, worst.interval,
                          worst.replicates, worst.seeds, worst.unit))  # fmt: skip
    return lines


def compare(
    records: Iterable[Record], row: str, against: str, level: float = 0.95
) -> list[Comparison]:
    """Paired differences ``row - against`` on each network, on the means, and the worst of them.

    A single set against a random row is compared with the mean of its draws (``Paired.draws``).

    Raises:
        UsageError: a row is not there, or evaluation seeds differ; see also ``summarise``.
    """
    held = newest(records)
    table, seen = _table(held), {one.model: one.seen for one in held}
    for one in (row, against):
        if one not in table:
            raise UsageError(f"no record of row {one!r}; there are: {', '.join(table)}")

    def pair(model: str, a: Values | None, b: Values | None, kind: bool | None) -> Comparison:
        found = paired(a, b, level, against.startswith("random")) if a and b else None
        return Comparison(row, against, model, model, kind, found)

    ours, theirs = table[row], table[against]
    own = [pair(name, ours.get(name), theirs.get(name), seen[name]) for name in seen]
    means = [
        pair(title, _over(ours, names), _over(theirs, names), _all_seen(seen, title))
        for title, names in members(held).items()
    ]
    measured = [(one.paired.difference, one) for one in own if one.paired is not None]
    if not measured:
        return own + means
    _, least = min(measured, key=lambda pair: pair[0])
    worst = Comparison(row, against, "worst", least.network, least.seen, least.paired)
    return [*own, *means, worst]


def _once(records: Sequence[Record]) -> list[Record]:
    """Without the repetitions of a set that is one for all seeds, such as class means.

    Trainings of one set under several condensation seeds are no sets of their own: a deviation of 0
    over them would say that sets do not scatter.
    """
    sets: dict[str, dict[int, str]] = {}
    for one in records:
        sets.setdefault(one.row, {})[one.replicate] = one.fingerprint
    single = {row: min(found) for row, found in sets.items()
              if len(set(found.values())) == 1 and all(found.values())}  # fmt: skip
    return [one for one in records if one.replicate == single.get(one.row, one.replicate)]


def _table(records: Sequence[Record]) -> Table:
    """Accuracy by row, network, replicate and evaluation seed."""
    if not records:
        raise UsageError("no records: run `condensery evaluate` first")
    kinds = sorted({(x.data, x.per_class, x.recipe, x.split, x.labels) for x in records}, key=repr)
    if len(kinds) > 1:
        raise UsageError(f"records of several comparisons (data, per class, recipe, split, labels):"
                         f" {kinds}; choose those of one")  # fmt: skip
    table: Table = {}
    for one in records:
        cell = table.setdefault(one.row, {}).setdefault(one.model, {}).setdefault(one.replicate, {})
        if one.seed in cell:
            raise UsageError(
                f"two records of {one.model} on {one.row!r} (replicate {one.replicate}, evaluation "
                f"seed {one.seed}) that differ in length: choose those of one length"
            )
        cell[one.seed] = one.accuracy
    return table


def _line(row: str, model: str, seen: bool | None, values: Values | None, level: float) -> Line:
    if not values:
        return Line(row, model, model, seen, None, 0, 0, "sets")
    seeds = min(len(one) for one in values.values())
    if len(values) > 1:
        found = interval([_mean(one.values()) for one in values.values()], level)
        return Line(row, model, model, seen, found, len(values), seeds, "sets")
    (only,) = values.values()
    found = interval(list(only.values()), level)
    return Line(row, model, model, seen, found, 1, seeds, "evaluation seeds")


def _over(values: Mapping[str, Values], names: Sequence[str]) -> Values | None:
    """The mean over networks, cell by cell; None (a hole) where a network lacks a cell."""
    if any(name not in values for name in names):
        return None
    first = values[names[0]]
    cells = {replicate: set(seeds) for replicate, seeds in first.items()}
    for name in names[1:]:
        if {replicate: set(seeds) for replicate, seeds in values[name].items()} != cells:
            return None
    return {
        replicate: {
            seed: _mean([values[name][replicate][seed] for name in names]) for seed in seeds
        }
        for replicate, seeds in first.items()
    }


def _all_seen(seen: Mapping[str, bool], title: str) -> bool | None:
    """``Line.seen`` of a mean: a mean over a family or over all may hold both kinds."""
    return {MEANS[0]: True, MEANS[1]: False}.get(title)


def _interval_mean(line: Line) -> float:
    return line.interval.mean if line.interval else math.inf


def _mean(values: Collection[float]) -> float:
    return math.fsum(values) / len(values)
