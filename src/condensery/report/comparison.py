"""Figures of a comparison: accuracies, gaps, curves of learning, and what accuracy costs.

Networks stand on the vertical axis, so that long names and many rows make a figure longer, never
crowded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from condensery.report import style
from condensery.report.details import condense_seconds, curve, training_seconds
from condensery.report.figures import (
    EDGE,
    WIDTH,
    Drawing,
    dressed,
    legend_above,
    listed,
    network_title,
    panes,
    seconds_label,
    slug,
)
from condensery.report.matrices import heat_map
from condensery.report.panels import AGAINST, Panel
from condensery.statistics import Paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MANY_ROWS = 8
MANY_BARS = 80  # of one figure: beyond, it is longer than a screen and starts folded
Bars = Sequence[tuple[str, style.Look, Callable[[str], Paired | None]]]


def panel_drawings(panel: Panel, name: str) -> tuple[list[Drawing], list[Drawing]]:
    """What is drawn of a comparison, and what of it may stand folded where it is much.

    The gaps come first, of each set and, for several sets, all in one figure; then the grid, what
    accuracy costs, learning, and accuracies.
    """
    if not panel.lines:
        return [], []
    with dressed():
        single = [gap_bars(panel, row, f"{name}gap-{slug(row)}") for row in panel.condensed]
        shared = [gap_overview(panel, f"{name}gaps"), heat_map(panel, f"{name}heatmap"),
                  seconds_map(panel, f"{name}seconds"),
                  learning_curves(panel, f"{name}learning")]  # fmt: skip
        bars = accuracy_bars(panel, f"{name}accuracy")
    several = len(panel.condensed) > 1
    many = len(panel.rows) * (len(panel.seen) + len(panel.means)) > MANY_BARS
    first = [*([] if several else single), *shared, *([] if many else [bars])]
    folded = [*(single if several else []), *([bars] if many else [])]
    return [one for one in first if one], [one for one in folded if one]


def accuracy_bars(panel: Panel, name: str) -> Drawing:
    """Accuracy of every row on every network, with deviations and the line of chance."""
    models, rows = [*panel.seen, *panel.means], panel.rows
    figure, axes = _bands(models, len(rows), panel)
    for place, row in enumerate(rows):
        look, at, width, error = style.look(row), [], [], []
        for index, model in enumerate(models):
            line = panel.lines.get((row, model))
            if line is None or line.interval is None:
                _hole(axes, index, place, len(rows))
                continue
            at.append(_offset(index, place, len(rows)))
            width.append(100 * line.interval.mean)
            error.append(100 * _or(line.interval.sd, math.nan))
        axes.barh(at, width, 0.8 / len(rows), xerr=error, label=look.label, color=look.colour,
                  hatch=look.hatch, edgecolor=EDGE, linewidth=0.5,
                  error_kw={"ecolor": style.INK, "elinewidth": 0.9, "capsize": 1.5})  # fmt: skip
    axes.axvline(100 / panel.classes, color=style.INK, linestyle=":", linewidth=1.2, label="chance")
    axes.set_xlabel("accuracy (%), mean ± sd")
    axes.set_xlim(0, min(100, axes.get_xlim()[1]))
    legend_above(figure, axes)
    alt = f"Bars of accuracy of {listed(rows)} on {', '.join(models)}; numbers in the table."
    caption = (
        f"Whiskers: standard deviation over sets, or over trainings where there is one set. "
        f"Dotted: chance. {style.SEEN} took part in condensing."
    )
    return Drawing(name, "Accuracy per network", caption, alt, figure)


def gap_bars(panel: Panel, row: str, name: str) -> Drawing | None:
    """How far a condensed row lies above Random, packed Random and its start; 95 % intervals."""
    models = [*panel.seen, *panel.means]
    against = [one for one in AGAINST if any(panel.paired(row, one, model) for model in models)]
    if not against:
        return None
    bars: Bars = [(f"over {style.look(one).label}", style.look(one),
                   partial(panel.paired, row, one))
                  for one in against]  # fmt: skip
    label = style.look(row).label
    alt = (f"Bars of the difference in accuracy between {label} and {listed(against)} on "
           f"{', '.join(models)}; the numbers are in the table of differences.")  # fmt: skip
    caption = f"Right of 0: {label} is better. An interval that holds 0 shows no difference."
    start = " and to its own start" if "start" in panel.against(row) else ""
    return Drawing(name, f"{label}: gap to Random{start}", caption, alt,
                   _differences(panel, bars))  # fmt: skip


def gap_overview(panel: Panel, name: str) -> Drawing | None:
    """How far each condensed row lies above Random of equal bytes, all in one figure.

    Packed sets are compared with packed Random. None where there are not several to compare.
    """
    models = [*panel.seen, *panel.means]
    against = {row: "random packed" if panel.packs(row) else "random" for row in panel.condensed}
    rows = [row for row, other in against.items()
            if any(panel.paired(row, other, model) for model in models)]  # fmt: skip
    if len(rows) < 2:
        return None

    def paired(row: str, model: str) -> Paired | None:
        return panel.paired(row, against[row], model)

    bars: Bars = [(style.look(row).label, style.look(row), partial(paired, row)) for row in rows]
    alt = (f"Bars of the difference in accuracy between {listed(rows)} and Random of equal bytes "
           f"on {', '.join(models)}; the numbers are in the table of gaps.")  # fmt: skip
    others = list(dict.fromkeys(style.look(against[row]).label for row in rows))
    caption = f"Over {' or '.join(others)}, whichever stores samples as the set does."
    return Drawing(name, "Gap over Random, set by set", caption, alt, _differences(panel, bars))


def _differences(panel: Panel, bars: Bars) -> Figure:
    """Bars of paired differences with their intervals, a band per network."""
    models = [*panel.seen, *panel.means]
    figure, axes = _bands(models, len(bars), panel)
    for place, (label, look, paired) in enumerate(bars):
        at: list[float] = []
        pairs: list[Paired] = []
        for index, model in enumerate(models):
            pair = paired(model)
            if pair is None:
                _hole(axes, index, place, len(bars))
                continue
            at.append(_offset(index, place, len(bars)))
            pairs.append(pair)
        width = [100 * one.difference for one in pairs]
        ends = [one.ends or (one.difference, one.difference) for one in pairs]
        errors = [
            [100 * (one.difference - low) for one, (low, _) in zip(pairs, ends, strict=True)],
            [100 * (high - one.difference) for one, (_, high) in zip(pairs, ends, strict=True)],
        ]
        axes.barh(at, width, 0.8 / len(bars), label=label, color=look.colour, hatch=look.hatch,
                  edgecolor=EDGE, linewidth=0.5)  # fmt: skip
        axes.errorbar(width, at, xerr=errors, fmt="none", ecolor=style.INK, elinewidth=1.2,
                      capsize=2.5)  # fmt: skip
    axes.axvline(0, color=style.INK, linewidth=1.2)
    axes.set_xlabel("paired difference (points),\n95 % interval")
    legend_above(figure, axes)
    return figure


def seconds_map(panel: Panel, name: str) -> Drawing:
    """Accuracy against seconds, on the headline's networks: training alone, then with condensing.

    Condensing is done once and its cost shared by all later trainings; the two panes are its two
    ends: none of it, and all of it on the first training.
    """
    figure, both = panes(2, 2.1)
    titles = ("one training", "condensing and one training")
    for axes, title, counted in zip(both, titles, (False, True), strict=True):
        for row in telling(panel):
            spent, line = training_seconds(panel, row), panel.lines.get((row, panel.scope))
            if not spent or line is None or line.interval is None:
                continue
            spent += (condense_seconds(panel, row) or 0.0) if counted else 0.0
            look = style.look(row)
            axes.errorbar(spent, 100 * line.interval.mean,
                          yerr=100 * _or(line.interval.sd, math.nan), fmt=look.marker,
                          color=look.colour, label=look.label, markersize=7, capsize=2.5,
                          elinewidth=1)  # fmt: skip
        axes.set_title(title, loc="left")
        axes.set_ylabel("accuracy (%)")
    _seconds_axis(both[-1])
    legend_above(figure, both[0])
    alt = f"Accuracy of {listed(telling(panel))} against seconds; the numbers are in the tables."
    caption = (f"Accuracy: {panel.scope}, ± sd. Seconds: mean of one training with its test on the "
               f"same networks; below, the making of the set is counted in.")  # fmt: skip
    return Drawing(name, "Accuracy against seconds", caption, alt, figure)


def _seconds_axis(axes: Axes) -> None:
    """A logarithmic axis of seconds with few, whole labels, however narrow or wide it is."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axes.dataLim.intervalx
    axes.set_xscale("log")
    if 0 < low <= high < math.inf:
        axes.set_xlim(low / 2, high * 2)
    wide = high > 1000 * low
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axes.xaxis.set_major_formatter(seconds_label)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("seconds (logarithmic)")


def telling(panel: Panel) -> list[str]:
    """Rows for a figure of lines or points: all of a few; of many, condensed sets and bounds."""
    if len(panel.rows) <= MANY_ROWS:
        return panel.rows
    kept = ("random", "random packed", "kmeans", "full")
    return [row for row in panel.rows if row in panel.condensed or style.base(row) in kept]


def learning_curves(panel: Panel, name: str) -> Drawing | None:
    """Accuracy at each check on the way, a pane per network; None where nobody checked."""
    told = {(row, model): points for row in telling(panel) for model in panel.seen
            if (points := curve(panel, row, model))}  # fmt: skip
    models = [model for model in panel.seen if any(key[1] == model for key in told)]
    if not models:
        return None
    figure, found = panes(len(models), 1.7)
    handles: dict[str, Any] = {}
    for axes, model in zip(found, models, strict=True):
        for place, row in enumerate(telling(panel)):
            if (row, model) not in told:
                continue
            epochs, values = zip(*told[row, model], strict=True)
            look = style.look(row)
            (line,) = axes.plot(
                epochs,
                [100 * one for one in values],
                color=look.colour,
                linestyle=style.LINES[place % len(style.LINES)],
                linewidth=1.5,
            )
            handles.setdefault(look.label, line)
        axes.set_title(network_title(panel, model), loc="left")
        axes.set_ylabel("accuracy (%)")
    found[-1].set_xlabel("epoch")
    legend_above(figure, found[0], handles)
    alt = f"Accuracy over epochs of {listed(telling(panel))} on {', '.join(models)}."
    caption = ("Mean over sets and trainings at each check. Only the last epoch is a result: to "
               f"take the best of these would choose on the {panel.split} split.")  # fmt: skip
    return Drawing(name, "Learning curves", caption, alt, figure)


def _bands(models: Sequence[str], rows: int, panel: Panel) -> tuple[Figure, Axes]:
    """Axes with a band for each network, the first on top, means set apart."""
    from matplotlib.figure import Figure

    each = 0.15 if rows <= 8 else 0.1
    height = 1.3 + len(models) * max(0.42, each * rows + 0.12)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.grid(False, axis="y")
    axes.set_yticks(range(len(models)), [network_title(panel, one) for one in models])
    axes.set_ylim(len(models) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.axhline(len(panel.seen) - 0.5, color=style.INK, linewidth=0.6, alpha=0.4)
    return figure, axes


def _offset(index: int, place: int, rows: int) -> float:
    return index + 0.8 * ((place + 0.5) / rows - 0.5)


def _hole(axes: Axes, index: int, place: int, rows: int) -> None:
    """A dash where a bar would start."""
    axes.text(0.005, _offset(index, place, rows), f"{style.HOLE} not measured", va="center",
              fontsize=6.5, transform=axes.get_yaxis_transform())  # fmt: skip


def _or(value: float | None, instead: float) -> float:
    return instead if value is None else value
