"""Which records may stand in one table, and what they say: means, differences, the claim."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from condensery.errors import UsageError
from condensery.records import ALL_BYTES, Record, newest
from condensery.report import style
from condensery.statistics import (
    FAMILIES,
    MEANS,
    Comparison,
    Line,
    Paired,
    compare,
    members,
    summarise,
)

AGAINST = ("random", "random packed", "start")
FEW_TESTED = 1000  # samples: below, the error of a finite test split is above a point
DRAWS = 10  # of a random row; the mean of fewer is the luck of the draw


@dataclass(frozen=True)
class Claim:
    """What may be said of a condensed row, in words.

    Attributes:
        row: the row.
        state: ``above``, ``suggests``, ``open`` (too few sets), ``not`` (not shown, or below) or
            ``hole`` (something that the claim needs was not measured).
        numbers: the sentence with the numbers. verdict: the sentence that says what they show.
    """

    row: str
    state: str
    numbers: str
    verdict: str


@dataclass(frozen=True, eq=False)
class Panel:
    """One comparison: records of one data set, size, recipe, split and kind of labels.

    Attributes:
        records: one per cell. notes: what was left out or does not fit, a line each.
        labels: what the networks learned from; soft labels bring what no sample holds, so they are
            never compared with hard ones.
        beside: for soft labels, random samples with hard ones in all bytes of set and labels.
        mixed: networks that took part in making some of these sets and not others.
    """

    data: str
    per_class: float
    recipe: str
    split: str
    records: tuple[Record, ...]
    notes: list[str] = field(default_factory=list)
    labels: str = "hard"
    beside: Panel | None = None
    mixed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Data set, size, recipe, split and labels that are not hard, in one line."""
        return f"{self.data}, {style.count(self.per_class)} per class, {self._how}"

    @property
    def conditions(self) -> str:
        """The same without the size: what comparisons of several sizes share."""
        return f"{self.data}, {self._how}"

    @property
    def _how(self) -> str:
        soft = "" if self.labels == "hard" else f", labels {self.labels}"
        return f"recipe {self.recipe}, {self.split} split{soft}"

    def apart(self, shown: Iterable[Panel]) -> str:
        """Recipe, split and labels as far as comparisons on these data differ in them.

        For names of files, which would be those of another comparison else; empty where all agree.
        """
        own = [one for one in shown if one.data == self.data]
        told = [name for name in ("recipe", "split", "labels")
                if len({getattr(one, name) for one in own}) > 1]  # fmt: skip
        return " ".join(getattr(self, name) for name in told)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.records[0].classes

    @cached_property
    def rows(self) -> list[str]:
        """Condensed sets first, then what they are compared with."""
        found = list(dict.fromkeys(one.row for one in self.records))
        places = {name: place for place, name in enumerate(style.BASELINES, start=1)}
        return sorted(found, key=lambda row: places.get(style.base(row), 0))

    @property
    def condensed(self) -> list[str]:
        """Rows that are no baselines."""
        return [row for row in self.rows if not style.is_baseline(row)]

    @cached_property
    def seen(self) -> dict[str, bool]:
        """Networks, those that took part in condensing first."""
        found = {one.model: one.seen for one in self.records}
        return dict(sorted(found.items(), key=lambda pair: not pair[1]))

    @property
    def means(self) -> list[str]:
        """The means that say something here.

        One over all says nothing new where all networks are seen, or none; one over a family,
        where it is a single network or all of them.
        """
        sides = [title for title in MEANS[:2] if title in self.members]
        kinds = [title for title in FAMILIES
                 if 1 < len(self.members.get(title, ())) < len(self.seen)]  # fmt: skip
        return [*sides, *kinds, *(MEANS[-1:] if len(sides) == 2 else ())]

    @cached_property
    def members(self) -> dict[str, list[str]]:
        """Networks behind each mean."""
        return members(self.records)

    @property
    def scope(self) -> str:
        """The mean that the headline is about: unseen networks where there are any."""
        return MEANS[1] if False in self.seen.values() else MEANS[0]

    @cached_property
    def lines(self) -> dict[tuple[str, str], Line]:
        """Accuracies by row and network or mean."""
        try:
            return {(one.row, one.model): one for one in summarise(self.records)}
        except UsageError as error:
            self.notes.append(f"{self.title}: no table: {error}")
            return {}

    @cached_property
    def gaps(self) -> dict[tuple[str, str, str], Comparison]:
        """Paired differences of condensed rows by (row, ``AGAINST``, network or mean)."""
        found = {}
        for row in self.condensed:
            for against in self.against(row):
                other = self.counterpart(row, against)
                if other is None:
                    continue
                try:
                    compared = compare(self.records, row, other)
                except UsageError as error:
                    self.notes.append(f"{self.title}: {row} against {other} is a hole: {error}")
                    continue
                found.update({(row, against, one.model): one for one in compared})
        return found

    def against(self, row: str) -> tuple[str, ...]:
        """What a row is compared with: of ``AGAINST``, its start only where it is another set."""
        return tuple(one for one in AGAINST if one != "start" or not self.unmoved(row))

    def unmoved(self, row: str) -> bool:
        """Whether its sets are its step-0 sets: those of a selection, which takes no steps."""
        return self.alike(row, self.counterpart(row, "start"))

    def alike(self, row: str, other: str | None) -> bool:
        """Whether two rows hold the very same sets, as far as records tell them."""
        return other is not None and self._sets[row] == self._sets[other] != {""}

    @cached_property
    def _sets(self) -> dict[str, set[str]]:
        """Fingerprints of the sets of each row."""
        return {row: {one.fingerprint for one in self.records if one.row == row}
                for row in self.rows}  # fmt: skip

    def counterpart(self, row: str, against: str) -> str | None:
        """The baseline of the same runs, where runs brought unlike ones."""
        name = style.base(row)
        suffix = row[len(name) :]
        for candidate in (against + suffix, f"{against} [{name}]", against):
            if candidate in self.rows:
                return candidate
        return None

    def paired(self, row: str, against: str, model: str) -> Paired | None:
        """A difference, or None where there is a hole."""
        found = self.gaps.get((row, against, model))
        return found.paired if found else None

    @cached_property
    def stars(self) -> set[tuple[str, str]]:
        """Cells in which training never left chance, and the means that contain one."""
        found = {(row, name) for row in self.rows for name in self.seen if self._star(row, name)}
        for title, names in self.members.items():
            found |= {(row, title) for row, name in list(found) if name in names}
        return found

    @cached_property
    def failed(self) -> dict[tuple[str, str], int]:
        """Trainings whose loss was not finite, by row and network, and by means that hold one."""
        found: dict[tuple[str, str], int] = {}
        for one in self.records:
            if one.failed:
                found[one.row, one.model] = found.get((one.row, one.model), 0) + 1
        for title, names in self.members.items():
            for row in self.rows:
                count = sum(found.get((row, name), 0) for name in names)
                found |= {(row, title): count} if count else {}
        return found

    def mark(self, row: str, model: str) -> str:
        """What stands behind a number that is not what it seems; mostly nothing."""
        if (row, model) in self.failed:
            return style.FAILED
        return style.STAR if (row, model) in self.stars else ""

    @property
    def remarks(self) -> list[str]:
        """What a reader of the numbers should know beside the legend, a sentence or two each."""
        return [one for one in (self.few, self.finite, self.ended, self.shared) if one]

    @property
    def shared(self) -> str:
        """Which networks took part in making some of the sets only; empty where none did."""
        if not self.mixed:
            return ""
        return (f"{style.SEEN} holds of some of these sets only for {joined(list(self.mixed))}, "
                f"counted as seen for all.")  # fmt: skip

    @cached_property
    def ended(self) -> str:
        """How many trainings ended early; empty where none did."""
        count = sum(bool(one.failed) for one in self.records)
        if not count:
            return ""
        what = "a training whose loss was" if count == 1 else f"{count} trainings whose loss was"
        return f"{style.FAILED} holds {what} not finite: it counts with its last finite weights."

    def _star(self, row: str, model: str) -> bool:
        """Failed to converge: one class predicted throughout, or all sets at chance and alike.

        At chance and alike are two sets or more, all within a point of chance, with a deviation
        under 0.1 point. That one class was predicted, records with a confusion tell for any number.
        """
        line = self.lines.get((row, model))
        if line is None or line.interval is None:
            return False
        own = [one for one in self.records if (one.row, one.model) == (row, model)]
        if all(_predicted(one) == 1 for one in own):
            return True
        cells: dict[int, list[float]] = {}
        for one in own:
            cells.setdefault(one.replicate, []).append(one.accuracy)
        means = [sum(values) / len(values) for values in cells.values()]
        near = all(abs(mean - 1 / self.classes) <= 0.01 for mean in means)
        alike = line.interval.sd is not None and line.interval.sd < 0.001
        return line.unit == "sets" and near and alike

    def family(self, model: str) -> str:
        """What kind of network it is, where its records say so."""
        return next((one.family for one in self.records if one.model == model and one.family), "")

    def packs(self, row: str) -> bool:
        """Whether a row stores several samples in one: then packed Random is what it must beat."""
        return any(
            one.samples > round(one.per_class * one.classes)
            for one in self.records
            if one.row == row
        )

    @cached_property
    def few(self) -> str:
        """Which random rows have fewer draws than ``DRAWS``; empty where none has."""
        drawn = {row: min(len({one.replicate for one in self.records
                               if (one.row, one.model) == (row, model)}) for model in models)
                 for row, models in self._networks.items()
                 if style.base(row).startswith("random") and style.is_baseline(row)}  # fmt: skip
        few = [f"{style.look(row).label} {count}" for row, count in drawn.items() if count < DRAWS]
        if not few:
            return ""
        return f"Fewer than {DRAWS} draws: {joined(few)}; a mean of so few is the luck of the draw."

    @cached_property
    def finite(self) -> str:
        """How sure an accuracy on so few test samples is; empty from ``FEW_TESTED`` on, or unknown.

        The binomial error of one training, which no deviation over sets or trainings holds.
        """
        tested = [sum(map(sum, one.confusion)) for one in self.records if one.confusion]
        means = [line.interval.mean for line in self.lines.values() if line.interval]
        count = min(tested, default=0)
        if not means or not 0 < count < FEW_TESTED:
            return ""
        part = min(means, key=lambda mean: abs(mean - 0.5))  # where the error is largest
        error = math.sqrt(part * (1 - part) / count)
        return (f"Only {count:,} samples of the {self.split} split: that alone makes an accuracy "
                f"of {style.points(part)} % unsure by {style.points(error)} points (binomial "
                f"standard error), beside what is printed.")  # fmt: skip

    @cached_property
    def _networks(self) -> dict[str, set[str]]:
        """Networks that were measured on each row."""
        return {row: {one.model for one in self.records if one.row == row} for row in self.rows}

    @cached_property
    def claims(self) -> list[Claim]:
        """One for each condensed row."""
        return [claim(self, row) for row in self.condensed]


def _predicted(one: Record) -> int:
    """How many classes the network took any sample for; 0 where its record does not tell."""
    return sum(map(any, zip(*one.confusion or [], strict=False)))


def panels(records: Iterable[Record]) -> list[Panel]:
    """Records sorted into comparisons, in the order in which they were measured."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    held = newest(records)
    soft = {_comparison(one)[:-1] for one in held if one.labels != "hard"}
    aside: dict[tuple[Any, ...], list[Record]] = {}
    for one in held:
        key = _comparison(one)
        whole = style.base(one.row) == ALL_BYTES and key[:-1] in soft
        (aside if whole else groups).setdefault(key, []).append(one)
    found = [_panel(key, own) for key, own in groups.items()]
    return [_with_beside(one, aside) for one in found]


def _comparison(one: Record) -> tuple[Any, ...]:
    return one.data, one.per_class, one.recipe, one.split, one.labels


def _with_beside(panel: Panel, aside: Mapping[tuple[Any, ...], list[Record]]) -> Panel:
    """A comparison of soft labels with what random samples make of as many bytes beside it.

    Kinds of soft labels differ in bytes: of several such rows the largest that fits is the one.
    """
    key = (panel.data, panel.per_class, panel.recipe, panel.split, "hard")
    own = aside.get(key, [])
    if panel.labels == "hard" or not own:
        return panel
    condensed = [one for one in panel.records if one.row not in style.BASELINES]
    most = max(one.stored_bytes for one in condensed or panel.records)
    fitting = [one.stored_bytes for one in own if one.stored_bytes <= most]
    wanted = max(fitting) if fitting else min(one.stored_bytes for one in own)
    kept = [one for one in own if one.stored_bytes == wanted]
    return dataclasses.replace(panel, beside=_panel(key, kept))


def _panel(key: tuple[Any, ...], held: list[Record]) -> Panel:
    notes: list[str] = []
    lengths = {(one.row, one.model): (one.epochs, one.updates) for one in held}
    kept = [one for one in held if (one.epochs, one.updates) == lengths[one.row, one.model]]
    if len(kept) < len(held):
        notes.append(f"{len(held) - len(kept)} record(s) of trainings of another length than the "
                     f"last measured one are left out")  # fmt: skip
    seen: dict[str, set[bool]] = {}
    for one in kept:
        seen.setdefault(one.model, set()).add(one.seen)
    mixed = [name for name, kinds in seen.items() if len(kinds) > 1]
    if mixed:
        kept = [dataclasses.replace(one, seen=True in seen[one.model]) for one in kept]
    data, per_class, recipe, split, labels = key
    return Panel(data, per_class, recipe, split, tuple(kept), notes, labels, mixed=tuple(mixed))


def claim(panel: Panel, row: str) -> Claim:
    """What may be said of a condensed row against Random, packed Random and its own start.

    "Above Random" wants the paired 95 % interval above 0 for each of them, over at least five
    condensation seeds; three or four suggest; fewer say nothing.
    """
    # What must lie below, packed Random only where the set itself is packed.
    needed = [one for one in panel.against(row) if one != "random packed" or panel.packs(row)]
    pairs = {name: panel.paired(row, name, panel.scope) for name in needed}
    numbers = _numbers(panel, row, pairs)
    holes = [_missing(panel, row, name) for name, pair in pairs.items() if pair is None]
    held = {name: pair for name, pair in pairs.items() if pair is not None}
    line = panel.lines.get((row, panel.scope))
    if line is None or line.interval is None:
        return Claim(row, "hole", numbers, "No claim is made.")
    if holes:
        return Claim(row, "hole", numbers, f"No claim is made: {'; '.join(holes)}.")
    if panel.unmoved(row):
        return Claim(row, "not", numbers, "No claim is made: above Random means above its own "
                     "step 0 too, which this set is.")  # fmt: skip
    least = min(pair.n for pair in held.values())
    if any(pair.unit != "sets" for pair in held.values()):
        return Claim(row, "open", numbers, "One condensed set (n = 1): nothing is said of other "
                     "condensation seeds; a claim needs five.")  # fmt: skip
    if least < 3:
        return Claim(row, "open", numbers, f"n = {least} condensed sets: too few for a statement; "
                     f"a claim needs five.")  # fmt: skip
    return _verdict(row, numbers, held, least)


def _missing(panel: Panel, row: str, name: str) -> str:
    """Why a row has no difference to another: that is not there, not on a network, or unpaired."""
    label, other = style.spoken(name), panel.counterpart(row, name)
    if other is None:
        return f"{label} was not measured"
    there = {one.model for one in panel.records if one.row == other}
    lacking = [one for one in panel.members[panel.scope] if one not in there]
    where = f"on {joined(lacking)}" if lacking else "with the same seeds"
    return f"{label} was not measured {where}"


def _verdict(row: str, numbers: str, held: dict[str, Paired], least: int) -> Claim:
    by_words: dict[str, list[str]] = {}
    for name, pair in held.items():
        by_words.setdefault(pair.verdict or "no difference", []).append(style.spoken(name))
    names = joined([style.spoken(name) for name in held])
    basis = f"(paired 95 % intervals, n = {least})"
    if set(by_words) == {"above"}:
        return Claim(row, "above", numbers, f"Above {names} {basis}.")
    if set(by_words) <= {"above", "suggests above"}:
        suggested = f"This suggests that it is above {names} {basis}; a claim needs n = 5."
        return Claim(row, "suggests", numbers, suggested)
    short = {
        "no difference": "no difference shown from",
        "below": "below",
        "suggests below": "this suggests below",
        "above": "above",
        "suggests above": "this suggests above",
    }
    parts = [
        f"{text} {joined(by_words[words])}" for words, text in short.items() if words in by_words
    ]
    said = "; ".join(parts)
    return Claim(row, "not", numbers, f"Not shown to be above Random: {said} {basis}.")


def _numbers(panel: Panel, row: str, pairs: dict[str, Paired | None]) -> str:
    line = panel.lines.get((row, panel.scope))
    name, where = style.look(row).label, network_words(panel)
    if line is None or line.interval is None:
        return f"{name}: not measured on every network ({where})."
    text = f"{name} reaches {style.points(line.interval.mean)} % on {where} ({counts(line)})."
    told = [
        f"{style.signed(pair.difference)} against {_drawn(other, pair)}{_interval(pair)}"
        for other, pair in pairs.items()
        if pair is not None
    ]
    differences = f" In points: {joined(told)}." if told else ""
    start = " Its set is its own step 0, as a selection's is." if panel.unmoved(row) else ""
    return text + differences + start + _best_other(panel, row)


def _drawn(other: str, pair: Paired) -> str:
    """What was subtracted: a row, or the mean of all its draws."""
    name = style.spoken(other)
    return name if pair.draws < 2 else f"the mean of {pair.draws} draws of {name}"


def _best_other(panel: Panel, row: str) -> str:
    """The strongest row of other sets, on the headline's mean: it may be above this one."""
    found = {
        other: line.interval.mean
        for other in panel.rows
        if other != row and style.base(other) != "full"
        and not _repeats(panel, row, other)
        and (line := panel.lines.get((other, panel.scope))) and line.interval
    }  # fmt: skip
    if not found:
        return ""
    best = max(found, key=lambda other: found[other])
    return f" The best other row is {style.look(best).label} with {style.points(found[best])} %."


def _repeats(panel: Panel, row: str, other: str) -> bool:
    """Whether a row is this very set again, or a step 0 that another row names better."""
    if style.base(other) != "start":
        return panel.alike(row, other)
    return any(panel.alike(one, other) for one in panel.rows if style.base(one) != "start")


def counts(line: Line) -> str:
    """Sets and trainings behind a number: ``n = 5, m = 3``."""
    return f"n = {line.replicates}, m = {line.seeds}"


def network_words(panel: Panel) -> str:
    """The headline's mean in words."""
    unseen = panel.scope == MEANS[1]
    names = [name for name, took_part in panel.seen.items() if took_part is not unseen]
    what = " any of these sets" if set(names) & set(panel.mixed) else ""
    kind = "it never saw" if unseen else f"that took part in condensing{what}"
    if len(names) == 1:
        return f"{names[0]}, the one network {kind}"
    return f"the mean of the {len(names)} networks {kind}"


def _interval(pair: Paired) -> str:
    told = style.ends(pair)
    return f" {told}" if told else ""


def joined(words: list[str]) -> str:
    """``a, b and c``."""
    return "".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} and {words[-1]}"
