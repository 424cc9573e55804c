"""Continual learning in figures: curves over stages, the last accuracy, the mean, forgetting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from condensery.errors import UsageError
from condensery.report import style
from condensery.report.figures import Drawing, dressed, legend_above, panes, save
from condensery.report.tables import Cell, Grid, grid_values, markdown_grids, write_rows
from condensery.statistics import Interval, interval, paired

Lines = Sequence[Mapping[str, Any]]
LEGEND = (
    "Accuracy in points on all classes seen so far, mean ± standard deviation over class orders, "
    "evaluation seeds averaged first. Differences are paired by class order, with their 95 % "
    "t-interval; above and below need 5 orders, 3 or 4 suggest at most. Forgetting: for each "
    "stage's classes the best accuracy ever less the last, mean over stages but the last."
)
FRESH = "Networks are fresh at each stage: what is lost is crowding and no drift."
WARM = (
    "The network goes on from stage to stage: what is lost is crowding and drift. All real data "
    "(the ceiling) are learned by a fresh one."
)


def curve(lines: Lines, row: str, order: int) -> dict[int, float]:
    """Accuracy after each stage that was measured, evaluation seeds averaged."""
    own = _own(lines, row, order)
    stages = sorted({one["stage"] for one in own})
    return {stage: _mean(one["accuracy"] for one in own if one["stage"] == stage)
            for stage in stages}  # fmt: skip


def matrix(lines: Lines, row: str, order: int) -> list[list[float]]:
    """``R[t][j]``: accuracy on the classes of stage j after stage t, j up to t."""
    own = _own(lines, row, order)
    return [
        [_mean(column) for column in zip(*(one["by_stage"] for one in own if one["stage"] == stage),
                                         strict=True)]
        for stage in sorted({one["stage"] for one in own})
    ]  # fmt: skip


def forgetting(table: Sequence[Sequence[float]]) -> float:
    """Mean over stages but the last of the best accuracy ever less the last one; 0 with one."""
    last = len(table) - 1
    if last < 1:
        return 0.0
    return _mean(max(row[j] for row in table[j:]) - table[last][j] for j in range(last))


def continual_report(lines: Lines, out: Path) -> tuple[Grid, ...]:
    """Tables and the curve: ``continual.md``, ``continual.csv``, ``.png`` and ``.svg``.

    ``continual-stages.csv`` holds the accuracy on each stage's classes after each stage, order by
    order and unrounded; the page holds it as a third table.

    Returns:
        The tables of accuracies over stages and of differences.

    Raises:
        UsageError: no line, lines of unlike settings, or no order that all rows have finished.
    """
    _check(lines)
    out.mkdir(parents=True, exist_ok=True)
    grids = (_accuracies(lines), _differences(lines))
    title = f"Continual learning on {lines[0]['data']}"
    text = markdown_grids(title, (*grids, _by_classes(lines)), legend(lines))
    (out / "continual.md").write_text(text, encoding="utf-8")
    write_rows(out / "continual.csv", [row for grid in grids for row in grid_values(grid)])
    write_rows(out / "continual-stages.csv", _stage_values(lines))
    save(curves(lines), out)
    return grids


def legend(lines: Lines) -> str:
    """What the numbers are, and what kind of loss forgetting is here."""
    return f"{LEGEND} {WARM if lines[0].get('warm') else FRESH}"


def setting(lines: Lines) -> str:
    """Data, stages, memory and network in one line."""
    one = lines[0]
    total = one.get("total_bytes")
    memory = (f"{style.count(total)} bytes for all classes together" if total
              else f"{one['per_class']} stored per class")  # fmt: skip
    begun = "continued from stage to stage" if one.get("warm") else "fresh at each stage"
    orders = style.plural(len(_orders(lines)), "class order")
    seeds = style.plural(len({each["seed"] for each in lines}), "evaluation seed")
    return (f"{one['data']}, {style.plural(one['stages'], 'stage')}, {memory}, {one['network']} "
            f"{begun}, {one.get('recipe', 'recipe not told')}, {orders}, {seeds}")  # fmt: skip


def curves(lines: Lines) -> Drawing:
    """Accuracy over stages for each memory, with its deviation over orders, and chance."""
    with dressed():
        figure, (axes,) = panes(1, each=3.0)
        told = []
        for row in _rows(lines):
            look, found = style.look(row), _by_stage(lines, row)
            means = [100 * one.mean for one in found.values()]
            axes.plot(list(found), means, marker=look.marker, color=look.colour, label=look.label)
            told.append(f"{look.label} ends at {means[-1]:.1f}")
            spread = [one.sd for one in found.values()]
            if None not in spread and len(spread) > 1:
                axes.fill_between(
                    list(found),
                    [mean - 100 * (sd or 0) for mean, sd in zip(means, spread, strict=True)],
                    [mean + 100 * (sd or 0) for mean, sd in zip(means, spread, strict=True)],
                    color=look.colour, alpha=0.15, linewidth=0,
                )  # fmt: skip
        stages, chance = _stages(lines), _chance(lines)
        axes.plot(stages, [100 * chance[one] for one in stages], ":", color=style.INK,
                  label="chance")  # fmt: skip
        axes.set_xticks(stages)
        axes.set_xlabel("stage")
        axes.set_ylabel("accuracy on all classes seen (%)")
        legend_above(figure, axes)
    return Drawing("continual", "Accuracy over stages", legend(lines),
                   f"Curves over stages. {'; '.join(told)}.", figure)  # fmt: skip


def _accuracies(lines: Lines) -> Grid:
    """Rows by stages, then the mean over stages and forgetting."""
    stages, chance, orders = _stages(lines), _chance(lines), _orders(lines)
    heads = (*(Cell(f"stage {one}", f"chance {style.points(chance[one])}") for one in stages),
             Cell("mean of stages"), Cell("forgetting"), Cell("stored", "bytes"))  # fmt: skip
    rows = []
    for row in _rows(lines):
        found = _by_stage(lines, row)
        cells = [_cell(found.get(stage)) for stage in stages]
        whole = len(found) == len(stages)
        means = [_mean(curve(lines, row, order).values()) for order in orders] if whole else []
        lost = [forgetting(matrix(lines, row, order)) for order in orders] if whole else []
        cells += [_cell(interval(values) if values else None) for values in (means, lost)]
        stored = max(one["stored_bytes"] for one in lines if one["row"] == row)
        rows.append((row, Cell(style.look(row).label), (*cells, Cell(style.count(stored)))))
    return Grid(setting(lines), "memory", heads, tuple(rows))


def _differences(lines: Lines) -> Grid:
    """Each memory against random ones, paired by the order of classes."""
    against = [row for row in ("random", "random packed") if row in _rows(lines)]
    ends, means = [_stages(lines)[-1]], _stages(lines)
    columns = [(name, stages, other) for name, stages in (("last stage", ends), ("mean", means))
               for other in against]  # fmt: skip
    rows = []
    for row in _rows(lines):
        cells = tuple(_gap(lines, row, other, stages) for _, stages, other in columns)
        rows.append((row, Cell(style.look(row).label), cells))
    heads = tuple(Cell(f"{name} against {style.look(other).label}") for name, _, other in columns)
    return Grid("Differences to random memory, paired by class order", "memory", heads, tuple(rows))


def _by_classes(lines: Lines) -> Grid:
    """Each memory after each stage by whose classes: how what came early is lost."""
    stages, orders = _stages(lines), _orders(lines)
    rows = []
    for row in _rows(lines):
        found = [_after(lines, row, order) for order in orders]
        for after in _by_stage(lines, row):
            told = [_cell(interval([one[after][j] for one in found])) for j in range(after)]
            cells = told + [Cell("")] * (len(stages) - after)  # classes that are still to come
            head = Cell(style.look(row).label, f"after stage {after}")
            rows.append((f"{row} {after}", head, tuple(cells)))
    heads = tuple(Cell(f"classes of stage {one}") for one in stages)
    return Grid("Accuracy on the classes of each stage", "memory", heads, tuple(rows))


def _after(lines: Lines, row: str, order: int) -> dict[int, list[float]]:
    """The rows of ``matrix`` by the stage after which they were measured."""
    return dict(zip(curve(lines, row, order), matrix(lines, row, order), strict=True))


def _stage_values(lines: Lines) -> list[dict[str, Any]]:
    """The same unrounded, a line for each order and pair of stages; evaluation seeds averaged."""
    return [
        {"row": row, "order": order, "after stage": after, "classes of stage": stage,
         "accuracy": value}
        for row in _rows(lines)
        for order in _orders(lines)
        for after, values in _after(lines, row, order).items()
        for stage, value in enumerate(values, start=1)
    ]  # fmt: skip


def _gap(lines: Lines, row: str, other: str, stages: Sequence[int]) -> Cell:
    """``+1.47 above``, its interval and how many orders; a dash where there is nothing to pair."""
    ours, theirs = _values(lines, row, stages), _values(lines, other, stages)
    if row == other or not ours or not theirs:
        return Cell(style.HOLE, "", "hole")
    pair = paired(ours, theirs)
    unit = " evaluation seeds of one order" if pair.unit != "sets" and pair.n > 1 else ""
    ends = f"{style.ends(pair)}, " if style.ends(pair) else ""
    words = f" {pair.verdict}" if pair.verdict else ""
    return Cell(style.signed(pair.difference) + words, f"{ends}n = {pair.n}{unit}")


def _values(
    lines: Lines, row: str, stages: Sequence[int]
) -> dict[int, dict[int, float]]:
    """Mean accuracy over these stages by order and evaluation seed; empty where one is missing."""
    found: dict[int, dict[int, float]] = {}
    for order in _orders(lines):
        own = {(one["seed"], one["stage"]): one["accuracy"] for one in _own(lines, row, order)}
        seeds = {seed for seed, _ in own}
        if any((seed, stage) not in own for seed in seeds for stage in stages):
            return {}
        found[order] = {seed: _mean(own[seed, stage] for stage in stages) for seed in seeds}
    return found


def _by_stage(lines: Lines, row: str) -> dict[int, Interval]:
    """Mean and deviation over orders after each stage at which the row was measured."""
    own = [curve(lines, row, order) for order in _orders(lines)]
    return {stage: interval([one[stage] for one in own]) for stage in _stages(lines)
            if all(stage in one for one in own)}  # fmt: skip


def _cell(found: Interval | None) -> Cell:
    if found is None:
        return Cell(style.HOLE, "not measured", "hole")
    spread = "" if found.sd is None else f" ± {style.points(found.sd)}"
    return Cell(f"{style.points(found.mean)}{spread}", f"n = {found.n}")


def _chance(lines: Lines) -> dict[int, float]:
    """One of the classes seen, at random; mean over orders."""
    return {stage: _mean(1 / len(one["classes"]) for one in lines if one["stage"] == stage)
            for stage in _stages(lines)}  # fmt: skip


def _stages(lines: Lines) -> list[int]:
    return sorted({one["stage"] for one in lines})


def _rows(lines: Lines) -> list[str]:
    """Condensed memories first, then those of real samples."""
    found = list(dict.fromkeys(str(one["row"]) for one in lines))
    return sorted(found, key=style.is_baseline)


def _orders(lines: Lines) -> list[int]:
    """Orders that every row has up to the last stage."""
    last = lines[0]["stages"]
    held = [{one["order"] for one in lines if (one["row"], one["stage"]) == (row, last)}
            for row in _rows(lines)]  # fmt: skip
    return sorted(set.intersection(*held))


def _own(lines: Lines, row: str, order: int) -> list[Mapping[str, Any]]:
    return [one for one in lines if (one["row"], one["order"]) == (row, order)]


def _check(lines: Lines) -> None:
    if not lines:
        raise UsageError("nothing was measured yet: run `condensery continual` first")
    names = ("data", "stages", "network", "recipe", "per_class", "warm", "total_bytes", "asked")
    for name in names:
        found = list(dict.fromkeys(one.get(name) for one in lines))
        if len(found) > 1:
            raise UsageError(f"lines of several runs ({name}: {found}): give those of one")
    if not _orders(lines):
        raise UsageError("no class order is finished by all rows yet: let `condensery continual` "
                         "go on")  # fmt: skip


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return sum(held) / len(held)
