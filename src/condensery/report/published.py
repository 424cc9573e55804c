"""Numbers that others have published, and what does not fit in them. Pure functions, one data file.

Nothing that is odd in a table is written down here: it is found, by putting its averages together
again from its columns. Figures are quoted with their source; see ``data/published.toml``.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from condensery.errors import unknown

# Which columns an average is of, where a table has columns of that name.
AVERAGES = {"CNN average": "cnn", "ViT average": "vit", "average": ""}
FAMILIES = {"convnet": "cnn", "resnet": "cnn", "vit": "vit"}
ROUNDING = 0.0101  # a mean of numbers with two decimals, printed with two decimals
SPREAD = 0.0201  # the same for deviations
PRINTED = re.compile(r"^(bold )?(-?\d+(?:\.\d+)?)(?:±(\d+(?:\.\d+)?))?(\*)?$")


@dataclass(frozen=True)
class Printed:
    """One cell of a published table, in points.

    Attributes:
        mean, sd: as printed; no deviation: None. bold: printed so. star: failed to converge.
    """

    mean: float
    sd: float | None = None
    bold: bool = False
    star: bool = False

    @property
    def text(self) -> str:
        """``38.74 ± 0.37``."""
        spread = "" if self.sd is None else f" ± {self.sd:.2f}"
        return f"{self.mean:.2f}{spread}{'*' if self.star else ''}"


@dataclass(frozen=True)
class Block:
    """The rows of one number of samples per class.

    Attributes:
        per_class: what it must be. printed: what its heading says.
        rows: cells by method, in the order of the table's columns.
    """

    per_class: int
    printed: str
    rows: Mapping[str, tuple[Printed, ...]]


@dataclass(frozen=True)
class Published:
    """A table of a paper.

    Attributes:
        columns: networks by their names here, and averages. heads: as printed.
        data: the data set, or ``disputed``.
    """

    source: str
    data: str
    note: str
    columns: tuple[str, ...]
    heads: tuple[str, ...]
    blocks: tuple[Block, ...]

    def cell(self, method: str, column: str, per_class: float) -> Printed | None:
        """One cell; None where the table has none."""
        for block in self.blocks:
            if block.per_class == per_class and method in block.rows and column in self.columns:
                return block.rows[method][self.columns.index(column)]
        return None

    def members(self, average: str) -> list[int]:
        """Positions of the columns behind an average."""
        kind = AVERAGES[average]
        return [place for place, name in enumerate(self.columns)
                if name not in AVERAGES and kind in ("", family(name))]  # fmt: skip


@dataclass(frozen=True)
class Ablation:
    """Averages over networks by arm, of which the paper's single cells are not known.

    Attributes:
        data: the data set. note: the setting, in words.
    """

    source: str
    data: str
    note: str
    averages: Mapping[str, Printed]


@dataclass(frozen=True)
class Finding:
    """Something that does not fit, in words.

    Attributes:
        kind: ``exchanged``, ``repeated``, ``sum``, ``deviation``, ``rule``, ``bold``, ``heading``
            or ``parameters``.
        where: block and row. text: a sentence.
    """

    kind: str
    where: str
    text: str


def family(name: str) -> str:
    """``cnn`` or ``vit`` for the networks of published tables; empty for others."""
    return next((kind for start, kind in FAMILIES.items() if name.startswith(start)), "")


@cache
def _file() -> dict[str, Any]:
    text = files("condensery.report").joinpath("data/published.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def published(name: str) -> Published:
    """A table: ``table1``, ``table2`` or ``table3`` of HMDC's supplement.

    Raises:
        UsageError: another name.
    """
    tables = [key for key, value in _file().items() if "blocks" in value]
    if name not in tables:
        raise unknown("published table", name, tables)
    found = _file()[name]
    blocks = []
    for block in found["blocks"]:
        rows = {method: tuple(map(read_cell, cells)) for method, cells in block.items()
                if isinstance(cells, list)}  # fmt: skip
        blocks.append(Block(block["per_class"], block["printed"], rows))
    return Published(found["source"], found["data"], found["note"], tuple(found["columns"]),
                     tuple(found["heads"]), tuple(blocks))  # fmt: skip


def ablation() -> Ablation:
    """HMDC's ablation: balance and alignment, each alone, both and none, and DREAM."""
    found = _file()["ablation"]
    averages = {arm: read_cell(text) for arm, text in found["averages"].items()}
    return Ablation(found["source"], found["data"], found["note"], averages)


def literature(
    data: str, method: str, per_class: float, recipe: str
) -> tuple[float, str] | None:  # fmt: skip
    """What a method reached with ConvNet-3 by its paper or a later one: (points, source).

    None where nobody told it, or where the number was measured by another recipe than this one.
    """
    found = _file()["convnet3"].get(data, {})
    places = {1: 0, 10: 1, 50: 2}
    if method not in found or per_class not in places:
        return None
    if recipe not in found["recipes"].get(method, ()):
        return None
    text = found[method][places[int(per_class)]]
    return None if text == "-" else (float(text), found["source"][method])


def read_cell(text: str) -> Printed:
    """A cell of the data file.

    Raises:
        ValueError: it is none.
    """
    found = PRINTED.match(text)
    if found is None:
        raise ValueError(f"no cell of a table: {text!r}")
    bold, mean, sd, star = found.groups()
    return Printed(float(mean), None if sd is None else float(sd), bool(bold), bool(star))


def audit(table: Published, parameters: Mapping[str, int] | None = None) -> list[Finding]:
    """What does not fit in a table: found by computing, row by row.

    Args:
        table: as printed. parameters: of the networks as they are; compared with the heads.
    """
    found = list(_headings(table))
    mended: dict[tuple[int, str], tuple[Printed, ...]] = {}
    for block in table.blocks:
        for method, row in block.rows.items():
            where = f"{block.per_class} per class, {method}"
            told, held = _row(table, where, row)
            found += told
            mended[block.per_class, method] = held
    found += _deviations(table, mended)
    found += _bold(table)
    found += _parameters(table, parameters or {})
    return found


def averages(table: Published, row: Sequence[Printed], part: Callable[[Printed], float]
             ) -> dict[str, tuple[float, float]]:  # fmt: skip
    """(as printed, as its columns give it) for each average of a row."""
    found = {}
    for name in table.columns:
        if name in AVERAGES:
            members = [part(row[place]) for place in table.members(name)]
            printed = part(row[table.columns.index(name)])
            found[name] = (printed, math.fsum(members) / len(members))
    return found


def _mean(cell: Printed) -> float:
    return cell.mean


def _fits(table: Published, row: Sequence[Printed]) -> bool:
    return all(abs(a - b) <= ROUNDING for a, b in averages(table, row, _mean).values())


def _row(
    table: Published, where: str, row: tuple[Printed, ...]
) -> tuple[list[Finding], tuple[Printed, ...]]:
    """What is wrong in a row, and the row with an exchange undone."""
    if _fits(table, row):
        return [], row
    exchanges = [(one, other) for one, other in itertools.combinations(range(len(row)), 2)
                 if _fits(table, _exchanged(row, one, other))]  # fmt: skip
    if exchanges:
        told = " or ".join(_named(table, row, *pair) for pair in exchanges)
        text = f"{told} stand in each other's place: exchanged, all averages fit"
        return [Finding("exchanged", where, text)], _exchanged(row, *exchanges[0])
    twins = [(a, b) for a, b in itertools.combinations(range(len(row)), 2)
             if row[a] == row[b] and table.columns[a] not in AVERAGES
             and table.columns[b] not in AVERAGES]  # fmt: skip
    if twins:
        return [_repeated(table, where, row, *twins[0])], row
    return [Finding("sum", where, _unlike(table, row))], row


def _exchanged(row: Sequence[Printed], one: int, other: int) -> tuple[Printed, ...]:
    held = list(row)
    held[one], held[other] = row[other], row[one]
    return tuple(held)


def _named(table: Published, row: Sequence[Printed], one: int, other: int) -> str:
    """``the cells of a (1.00) and b (2.00)``."""
    told = [f"{table.columns[place]} ({row[place].text})" for place in (one, other)]
    return f"the cells of {' and '.join(told)}"


def _repeated(
    table: Published, where: str, row: Sequence[Printed], one: int, other: int
) -> Finding:
    """A cell that stands twice: what one of them would have to be for the averages."""
    average = next(name for name in AVERAGES if name in table.columns
                   and {one, other} <= set(table.members(name)))  # fmt: skip
    members = table.members(average)
    rest = math.fsum(row[place].mean for place in members if place != other)
    implied = len(members) * row[table.columns.index(average)].mean - rest
    mended = list(row)
    mended[other] = replace(row[other], mean=implied)
    whole = averages(table, mended, _mean)["average"][1]
    told = (f"{table.columns[one]} and {table.columns[other]} are the same cell "
            f"({row[one].text}); the printed {average} implies {implied:.2f} for one of them, and "
            f"an average of {whole:.2f}; {_unlike(table, row)}")  # fmt: skip
    return Finding("repeated", where, told)


def _unlike(table: Published, row: Sequence[Printed]) -> str:
    told = [f"{name} {printed:.2f} is printed, the columns give {computed:.2f}"
            for name, (printed, computed) in averages(table, row, _mean).items()
            if abs(printed - computed) > ROUNDING]  # fmt: skip
    return "; ".join(told)


def _deviations(
    table: Published, mended: Mapping[tuple[int, str], tuple[Printed, ...]]
) -> Iterator[Finding]:
    """By which rule the deviations of averages were made, and where it does not hold."""
    rows = {key: row for key, row in mended.items() if all(cell.sd is not None for cell in row)}
    names = [name for name in table.columns if name in AVERAGES]
    if not rows or not names:
        return
    counted = {rule: _count(table, rows, names, how) for rule, how in RULES.items()}
    rule = max(counted, key=lambda one: sum(map(len, counted[one].values())))
    told = ", ".join(f"{name} {len(counted[rule][name])} of {len(rows)}" for name in names)
    yield Finding("rule", "all rows", f"the ± of an average is {rule} ({told} rows within 0.02), "
                  f"which is no deviation of the average over seeds")  # fmt: skip
    for name in names:
        for key, row in rows.items():
            if key not in counted[rule][name]:
                printed = row[table.columns.index(name)].sd
                own = RULES[rule]([_sd(row[place]) for place in table.members(name)])
                told = f"{name}: ± {printed:.2f} is printed, the rule gives {own:.2f}"
                yield Finding("deviation", f"{key[0]} per class, {key[1]}", told)


def _count(
    table: Published,
    rows: Mapping[tuple[int, str], tuple[Printed, ...]],
    names: Sequence[str],
    how: Callable[[Sequence[float]], float],
) -> dict[str, set[tuple[int, str]]]:
    """For each average the rows whose deviation a rule explains."""
    return {
        name: {
            key
            for key, row in rows.items()
            if abs(how([_sd(row[place]) for place in table.members(name)])
                   - _sd(row[table.columns.index(name)])) <= SPREAD
        }
        for name in names
    }  # fmt: skip


def _sd(cell: Printed) -> float:
    return cell.sd or 0.0


RULES: dict[str, Callable[[Sequence[float]], float]] = {
    "the mean of the columns' deviations": lambda sds: math.fsum(sds) / len(sds),
    "that of a mean of independent columns": lambda sds: math.hypot(*sds) / len(sds),
    "the largest of the columns' deviations": max,
}


def _bold(table: Published) -> Iterator[Finding]:
    """Cells that are printed bold and are not the best of their block and column."""
    for block in table.blocks:
        for place, column in enumerate(table.columns):
            best = max(row[place].mean for row in block.rows.values())
            for method, row in block.rows.items():
                if row[place].bold and row[place].mean < best:
                    yield Finding("bold", f"{block.per_class} per class, {method}",
                                  f"{column} {row[place].mean:.2f} is bold, the best is "
                                  f"{best:.2f}")  # fmt: skip


def _headings(table: Published) -> Iterator[Finding]:
    """Two blocks under one heading."""
    for one, other in itertools.combinations(table.blocks, 2):
        if one.printed == other.printed:
            yield Finding("heading", f"{other.per_class} per class",
                          f"a second block is headed {other.printed!r}: by its numbers and its "
                          f"place it is {other.per_class}")  # fmt: skip


def _parameters(table: Published, parameters: Mapping[str, int]) -> Iterator[Finding]:
    """Numbers of parameters that the networks do not have."""
    for name, head in zip(table.columns, table.heads, strict=True):
        printed = re.search(r"\((\d+(?:\.\d+)?)M\)", head)
        if printed is None or name not in parameters:
            continue
        decimals = len(printed[1].partition(".")[2])
        real = parameters[name] / 1e6
        # Half of the last printed place, and 2 % for heads of other numbers of classes.
        if abs(real - float(printed[1])) > 0.5 * 10**-decimals + 0.02 * real:
            yield Finding("parameters", name, f"{head} has {real:.1f} million parameters")
