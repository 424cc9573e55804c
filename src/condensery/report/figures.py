"""Figures, drawn with matplotlib without a window: ``.png``, ``.svg``, and markup for the page.

Networks stand on the vertical axis, so that long names and many rows make a figure longer, never
crowded. On the page, figures take the page's ink and show its background.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.report import style
from condensery.report.gather import RunFiles
from condensery.report.panels import AGAINST, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.4  # inches: at 400 px of page the letters are still 9 px high
EDGE = (style.INK, 0.55)
MOST_POINTS = 1500  # of a curve: more than a screen can show
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with what belongs to it.

    Attributes:
        name: of its files. title, caption: for the page. alt: what it shows, in words.
        figure: of matplotlib.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """The whole file as text: without a background, and the same for the same figure."""
        buffer = io.StringIO()
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with dressed():
            self.figure.savefig(buffer, format="svg", facecolor="none", metadata=metadata)
        # The layout is found; to find it again for every format would double the time.
        self.figure.set_layout_engine("none")
        return buffer.getvalue()


@contextlib.contextmanager
def dressed() -> Iterator[None]:
    """Matplotlib's settings for all figures; those of the process come back afterwards."""
    import matplotlib

    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[str, Any] = dict.fromkeys(ink, style.INK) | {
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.titlesize": 10,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": style.INK,
        "grid.alpha": 0.15,
        "hatch.linewidth": 0.6,
        "svg.fonttype": "none",
        "svg.hashsalt": "condensery",
        "text.parse_math": False,  # a name may hold a dollar sign
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(settings):  # type: ignore[arg-type]
        yield


def panel_drawings(panel: Panel, name: str) -> list[Drawing]:
    """What is drawn of a comparison: gaps (the headline), accuracies, heat map."""
    if not panel.lines:
        return []
    with dressed():
        drawn = [gap_bars(panel, row, f"{name}gap-{slug(row)}") for row in panel.condensed]
        return [
            *(one for one in drawn if one is not None),
            heat_map(panel, f"{name}heatmap"),
            accuracy_bars(panel, f"{name}accuracy"),
        ]


def run_drawings(run: RunFiles) -> list[Drawing]:
    """What is drawn of a run: the balance of gradients and the terms of the loss."""
    with dressed():
        drawn = [balance_curves(run), term_curves(run)]
    return [one for one in drawn if one is not None]


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
    _legend(figure, axes)
    alt = f"Bars of accuracy of {_listed(rows)} on {', '.join(models)}; numbers in the table."
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
    figure, axes = _bands(models, len(against), panel)
    for place, other in enumerate(against):
        look, at, width, errors = style.look(other), [], [], [[], []]  # type: ignore[var-annotated]
        for index, model in enumerate(models):
            pair = panel.paired(row, other, model)
            if pair is None:
                _hole(axes, index, place, len(against))
                continue
            at.append(_offset(index, place, len(against)))
            width.append(100 * pair.difference)
            errors[0].append(100 * (pair.difference - _or(pair.low, pair.difference)))
            errors[1].append(100 * (_or(pair.high, pair.difference) - pair.difference))
        axes.barh(at, width, 0.8 / len(against), label=f"over {look.label}", color=look.colour,
                  hatch=look.hatch, edgecolor=EDGE, linewidth=0.5)  # fmt: skip
        axes.errorbar(width, at, xerr=errors, fmt="none", ecolor=style.INK, elinewidth=1.2,
                      capsize=2.5)  # fmt: skip
    axes.axvline(0, color=style.INK, linewidth=1.2)
    axes.set_xlabel("paired difference (points), 95 % interval")
    _legend(figure, axes)
    label = style.look(row).label
    alt = (f"Bars of the difference in accuracy between {label} and {_listed(against)} on "
           f"{', '.join(models)}; the numbers are in the table of differences.")  # fmt: skip
    caption = f"Right of 0: {label} is better. An interval that holds 0 shows no difference."
    return Drawing(name, f"{label}: gap to Random and to its own start", caption, alt, figure)


def heat_map(panel: Panel, name: str) -> Drawing:
    """Rows by networks; dark is accurate; holes are hatched."""
    import numpy as np
    from matplotlib.figure import Figure

    models, rows = [*panel.seen, *panel.means], panel.rows
    values = np.full((len(rows), len(models)), np.nan)
    for down, row in enumerate(rows):
        for right, model in enumerate(models):
            line = panel.lines.get((row, model))
            if line is not None and line.interval is not None:
                values[down, right] = 100 * line.interval.mean
    figure = Figure(figsize=(max(WIDTH, 1.7 + 0.62 * len(models)), 1.9 + 0.36 * len(rows)),
                    layout="constrained")  # fmt: skip
    axes = figure.add_subplot()
    axes.grid(False)
    axes.set_facecolor("none")
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap="YlGnBu", edgecolors="none")
    for (down, right), value in np.ndenumerate(values):
        _heat_cell(axes, down, right, value, mesh)
    titles = [_title(panel, one) for one in models]
    axes.set_xticks(np.arange(len(models)) + 0.5, titles, rotation=38, ha="right",
                    rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(np.arange(len(rows)) + 0.5, [style.look(one).label for one in rows])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_xlabel("network (test)")
    axes.set_ylabel("trained on")
    bar = figure.colorbar(mesh, ax=axes, label="accuracy (%)", shrink=0.9, pad=0.02)
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")  # else viewers show seams between its colours
    alt = f"Heat map of accuracy, {_listed(rows)} by {', '.join(models)}; numbers in the table."
    return Drawing(name, "Every set on every network", "Darker is more accurate; hatched: not "
                   f"measured. {style.SEEN} took part in condensing.", alt, figure)  # fmt: skip


def balance_curves(run: RunFiles) -> Drawing | None:
    """The largest image gradient of each term before and after the balance; None without any."""
    steps, before = run.series("largest")
    weights = dict(zip(*run.series("weights"), strict=True))
    if not steps:
        return None
    told = dict(zip(*run.series("balanced"), strict=True))
    after = [
        told.get(step) or [w * g for w, g in zip(weights.get(step, []), row, strict=False)]
        for step, row in zip(steps, before, strict=True)
    ]
    names = run.term_names(len(before[0]))
    whole = all(len(row) == len(names) for row in after)
    figure, panes = _panes(2 if whole else 1)
    for axes, rows, title in zip(panes, (before, after), ("before", "after"), strict=False):
        _curves(axes, steps, rows, names)
        axes.set_title(f"{title} the balance", loc="left")
        axes.set_ylabel("largest gradient")
    panes[-1].set_xlabel("step")
    _legend(figure, panes[0])
    alt = (f"Curves of the largest gradient of {', '.join(names)} over {steps[-1]} steps, before "
           f"and after the gradient balance, on a logarithmic scale.")  # fmt: skip
    caption = "Largest gradient with respect to the synthetic samples. " + (
        "After: as weighted, class by class."
        if told
        else "After: times the mean weight over classes, near to what each class got."
    )
    return Drawing(f"balance-{slug(run.name)}", "Gradient balance", caption, alt, figure)


def term_curves(run: RunFiles) -> Drawing | None:
    """The matched terms over the steps; None where no step told them."""
    steps, rows = run.series("terms")
    if not steps:
        return None
    names = run.term_names(len(rows[0]))
    figure, (axes,) = _panes(1)
    _curves(axes, steps, rows, names)
    axes.set_xlabel("step")
    axes.set_ylabel("distance (mean over classes)")
    _legend(figure, axes)
    alt = f"Curves of {', '.join(names)} over {steps[-1]} steps on a logarithmic scale."
    caption = "What condensing lowers: jumps are restarts of the networks, which make new tasks."
    return Drawing(f"terms-{slug(run.name)}", "Terms of the loss", caption, alt, figure)


def save(drawing: Drawing, out: Path) -> list[Path]:
    """Write ``.png`` (white background) and ``.svg`` (none)."""
    paths = [out / f"{drawing.name}.png", out / f"{drawing.name}.svg"]
    paths[1].write_text(drawing.svg, encoding="utf-8")
    with dressed():
        drawing.figure.savefig(paths[0], dpi=180, facecolor="white")
    return paths


def inline(drawing: Drawing) -> str:
    """SVG markup for the page: its ink, no background, names of its own, no address of anything."""
    text = drawing.svg
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\sid="|xlink:href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    text = text.replace("xlink:href", "href").replace(style.INK, "currentColor")
    width = float(re.search(r'width="([\d.]+)pt"', text).group(1))  # type: ignore[union-attr]
    text = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", text, count=1)
    # Names are in the figure's text as they are: only the label is ours to escape.
    label = drawing.alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    limits = f"min-width:{0.92 * width:.0f}px;max-width:{1.75 * width:.0f}px"
    opening = f'<svg role="img" aria-label="{label}" style="{limits}"'
    return text.replace("<svg", opening, 1)


def slug(text: str) -> str:
    """A name for a file or an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "run"


def _bands(models: Sequence[str], rows: int, panel: Panel) -> tuple[Figure, Axes]:
    """Axes with a band for each network, the first on top, means set apart."""
    from matplotlib.figure import Figure

    height = 1.3 + len(models) * max(0.42, 0.15 * rows + 0.12)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.grid(False, axis="y")
    axes.set_yticks(range(len(models)), [_title(panel, one) for one in models])
    axes.set_ylim(len(models) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.axhline(len(panel.seen) - 0.5, color=style.INK, linewidth=0.6, alpha=0.4)
    return figure, axes


def _panes(number: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 1.3 + 1.9 * number), layout="constrained")
    panes = figure.subplots(number, 1, sharex=True, sharey=True, squeeze=False)[:, 0].tolist()
    for axes in panes:
        axes.set_facecolor("none")
    return figure, panes


def _curves(
    axes: Axes, steps: Sequence[int], rows: Sequence[Sequence[float]], names: Sequence[str]
) -> None:
    """One line per term on a logarithmic scale; what is not positive is a gap in it."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    every = math.ceil(len(steps) / MOST_POINTS)
    for index, name in enumerate(names):
        values = [row[index] if row[index] > 0 else math.nan for row in rows]
        axes.plot(steps[::every], values[::every], label=name,
                  color=style.TERMS[index % len(style.TERMS)],
                  linestyle=style.LINES[index % len(style.LINES)], linewidth=1.5,
                  marker="o" if len(steps) < 40 else "", markersize=3)  # fmt: skip
    if any(value > 0 for row in rows for value in row):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_power))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _power(value: float, _: Any) -> str:
    exponent = math.log10(value) if value > 0 else 0.0
    if not math.isclose(exponent, round(exponent), abs_tol=1e-9):
        return f"{value:g}"
    return "10" + str(round(exponent)).translate(SUPERSCRIPTS)


def _heat_cell(axes: Axes, down: int, right: int, value: float, mesh: Any) -> None:
    from matplotlib.patches import Rectangle

    if math.isnan(value):
        axes.add_patch(Rectangle((right, down), 1, 1, facecolor="none", hatch="///",
                                 edgecolor=style.INK, linewidth=0, alpha=0.4))  # fmt: skip
        return
    red, green, blue, _ = mesh.cmap(mesh.norm(value))
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
    axes.text(right + 0.5, down + 0.5, style.decimal(value, 1), ha="center", va="center",
              fontsize=9, color="#fefefe" if dark else "#101010")  # fmt: skip


def _offset(index: int, place: int, rows: int) -> float:
    return index + 0.8 * ((place + 0.5) / rows - 0.5)


def _hole(axes: Axes, index: int, place: int, rows: int) -> None:
    """A dash where a bar would start."""
    axes.text(0.005, _offset(index, place, rows), f"{style.HOLE} not measured", va="center",
              fontsize=6.5, transform=axes.get_yaxis_transform())  # fmt: skip


def _legend(figure: Figure, axes: Axes) -> None:
    """Above the axes, where no bar can lie under it."""
    handles, labels = axes.get_legend_handles_labels()
    if "chance" in labels:  # matplotlib puts lines before bars
        handles, labels = [*handles[1:], handles[0]], [*labels[1:], labels[0]]
    # Longest label decides how many columns fit into the width.
    columns = max(1, min(len(labels), int(62 / (max(map(len, labels), default=1) + 7))))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, columnspacing=1.2,
                  handlelength=2.0)  # fmt: skip


def _title(panel: Panel, model: str) -> str:
    short = model if len(model) <= 26 else f"{model[:12]}…{model[-12:]}"
    return f"{style.SEEN} {short}" if panel.seen.get(model) else short


def _listed(rows: Sequence[str]) -> str:
    return ", ".join(style.look(row).label for row in rows)


def _or(value: float | None, instead: float) -> float:
    return instead if value is None else value
