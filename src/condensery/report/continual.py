"""Continual learning in figures: curves over stages, the last accuracy, the mean, forgetting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from condensery.errors import UsageError
from condensery.report import style
from condensery.report.figures import Drawing, dressed, legend_above, panes, save
from condensery.report.tables import Cell, Grid, grid_values, markdown_grids, write_rows
from condensery.statistics import interval, paired

Lines = Sequence[Mapping[str, Any]]
LEGEND = (
    "Accuracy in points on all classes seen so far, mean ± standard deviation over class orders, "
    "evaluation seeds averaged first. Forgetting: for each stage's classes the best accuracy ever "
    "less the last, mean over stages but the last; networks are fresh at each stage, so it is "
    "crowding and no drift."
)


def curve(lines: Lines, row: str, order: int) -> list[float]:
    """Accuracy after each stage, evaluation seeds averaged."""
    stages = sorted({one["stage"] for one in _own(lines, row, order)})
    return [_mean(one["accuracy"] for one in _own(lines, row, order) if one["stage"] == stage)
            for stage in stages]  # fmt: skip


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
    """``continual.md``, ``continual.csv`` and the curve as ``.png`` and ``.svg``.

    Raises:
        UsageError: no line.
    """
    if not lines:
        raise UsageError("nothing was measured yet: run `condensery continual` first")
    out.mkdir(parents=True, exist_ok=True)
    grids = (_accuracies(lines), _differences(lines))
    title = f"Continual learning on {lines[0]['data']}"
    (out / "continual.md").write_text(markdown_grids(title, grids, LEGEND), encoding="utf-8")
    write_rows(out / "continual.csv", [row for grid in grids for row in grid_values(grid)])
    save(curves(lines), out)
    return grids


def curves(lines: Lines) -> Drawing:
    """Accuracy over stages for each memory, with its deviation over orders, and chance."""
    rows, orders = _rows(lines), _orders(lines)
    stages = sorted({one["stage"] for one in lines})
    chance = [_mean(1 / len(one["classes"]) for one in lines if one["stage"] == stage)
              for stage in stages]  # fmt: skip
    with dressed():
        figure, (axes,) = panes(1, each=3.0)
        for row in rows:
            look, own = style.look(row), [curve(lines, row, order) for order in orders]
            means = [100 * _mean(values) for values in zip(*own, strict=False)]
            axes.plot(stages[: len(means)], means, marker=look.marker, color=look.colour,
                      label=look.label)  # fmt: skip
            spread = [interval(list(values)).sd for values in zip(*own, strict=False)]
            if all(one is not None for one in spread):
                low = [mean - 100 * (sd or 0) for mean, sd in zip(means, spread, strict=True)]
                high = [mean + 100 * (sd or 0) for mean, sd in zip(means, spread, strict=True)]
                axes.fill_between(stages[: len(means)], low, high, color=look.colour, alpha=0.15,
                                  linewidth=0)  # fmt: skip
        axes.plot(stages, [100 * one for one in chance], ":", color=style.INK, label="chance")
        axes.set_xticks(stages)
        axes.set_xlabel("stage")
        axes.set_ylabel("accuracy on all classes seen (%)")
        legend_above(figure, axes)
    told = "; ".join(f"{row} ends at {100 * _mean(curve(lines, row, o)[-1] for o in orders):.1f}"
                     for row in rows)  # fmt: skip
    return Drawing("continual", "Accuracy over stages", LEGEND, f"Curves over stages. {told}.",
                   figure)  # fmt: skip


def _accuracies(lines: Lines) -> Grid:
    """Rows by stages, then the mean over stages and forgetting."""
    stages = sorted({one["stage"] for one in lines})
    heads = (*(Cell(f"stage {stage}") for stage in stages), Cell("mean of stages"),
             Cell("forgetting"), Cell("stored", "bytes"))  # fmt: skip
    rows = []
    for row in _rows(lines):
        own = [curve(lines, row, order) for order in _orders(lines)]
        lost = [forgetting(matrix(lines, row, order)) for order in _orders(lines)]
        cells = [_cell(list(values)) for values in zip(*own, strict=False)]
        cells += [_cell([_mean(values) for values in own]), _cell(lost)]
        stored = max(one["stored_bytes"] for one in lines if one["row"] == row)
        rows.append((row, Cell(style.look(row).label), (*cells, Cell(style.count(stored)))))
    return Grid(f"{lines[0]['data']}, {lines[0]['stages']} stages, {lines[0]['per_class']} stored "
                f"per class, {lines[0]['network']}", "memory", heads, tuple(rows))  # fmt: skip


def _differences(lines: Lines) -> Grid:
    """Each memory against random ones, paired by the order of classes."""
    against = [row for row in ("random", "random packed") if row in _rows(lines)]
    rows = []
    for row in _rows(lines):
        cells = []
        for other in against:
            ours, theirs = ({order: {0: curve(lines, name, order)[-1]} for order in _orders(lines)}
                            for name in (row, other))  # fmt: skip
            pair = paired(ours, theirs)
            ends = "" if pair.low is None or pair.high is None else (
                f"[{style.signed(pair.low)}, {style.signed(pair.high)}], n = {pair.n}")  # fmt: skip
            words = f" {pair.verdict}" if pair.verdict and row != other else ""
            cells.append(Cell(style.signed(pair.difference) + words, ends))
        rows.append((row, Cell(style.look(row).label), tuple(cells)))
    heads = tuple(Cell(f"against {style.look(other).label}") for other in against)
    return Grid("After the last stage, paired by class order", "memory", heads, tuple(rows))


def _cell(values: list[float]) -> Cell:
    found = interval(values)
    spread = "" if found.sd is None else f" ± {style.points(found.sd)}"
    return Cell(f"{style.points(found.mean)}{spread}", f"n = {found.n}")


def _rows(lines: Lines) -> list[str]:
    """Condensed memories first, then those of real samples."""
    found = list(dict.fromkeys(str(one["row"]) for one in lines))
    return sorted(found, key=style.is_baseline)


def _orders(lines: Lines) -> list[int]:
    """Orders that every row has up to the last stage."""
    last = max(one["stage"] for one in lines)
    held = [{one["order"] for one in lines if (one["row"], one["stage"]) == (row, last)}
            for row in _rows(lines)]  # fmt: skip
    return sorted(set.intersection(*held))


def _own(lines: Lines, row: str, order: int) -> list[Mapping[str, Any]]:
    return [one for one in lines if (one["row"], one["order"]) == (row, order)]


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return sum(held) / len(held)
