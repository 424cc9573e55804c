"""Figures of numbers in rows and columns: the grid, accuracy per class, confusion of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from condensery.report import style
from condensery.report.details import class_accuracy, confusion
from condensery.report.figures import WIDTH, Drawing, dressed, listed, network_title, slug
from condensery.report.panels import Panel

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

NUMBERED = 12  # columns up to which each field shows its number
MOST_CLASSES = 100  # of accuracy per class; for confusion a third, since both sides are classes
TICKS = 20  # names beside a matrix; of more classes only every so many is named


@dataclass(frozen=True)
class Matrix:
    """What a matrix figure shows.

    Attributes:
        values: ``(rows, columns)`` in per cent; NaN is a hole, drawn hatched.
        down, right: names of rows and columns.
        labels: what rows, columns and colours are.
    """

    values: np.ndarray
    down: Sequence[str]
    right: Sequence[str]
    labels: tuple[str, str, str]


def heat_map(panel: Panel, name: str) -> Drawing:
    """Rows by networks; dark is accurate; holes are hatched."""
    import numpy as np

    models, rows = [*panel.seen, *panel.means], panel.rows
    values = np.full((len(rows), len(models)), np.nan)
    for down, row in enumerate(rows):
        for right, model in enumerate(models):
            line = panel.lines.get((row, model))
            if line is not None and line.interval is not None:
                values[down, right] = 100 * line.interval.mean
    titles = [network_title(panel, one) for one in models]
    labels = [style.look(one).label for one in rows]
    shown = Matrix(values, labels, titles, ("trained on", "network (test)", "accuracy (%)"))
    alt = f"Heat map of accuracy, {listed(rows)} by {', '.join(models)}; numbers in the table."
    return _drawing(shown, name, "Every set on every network", "Darker is more accurate; hatched: "
                    f"not measured. {style.SEEN} took part in condensing.", alt)  # fmt: skip


def class_drawings(panel: Panel, names: Sequence[str], name: str) -> list[Drawing]:
    """Accuracy per class of all rows, and the confusion of each condensed row, where recorded.

    Args:
        panel: the comparison. names: of its classes. name: start of file names.
    """
    with dressed():
        drawn = [class_map(panel, names, f"{name}classes")]
        drawn += [confusion_map(panel, row, names, f"{name}confusion-{slug(row)}")
                  for row in panel.condensed]  # fmt: skip
    return [one for one in drawn if one is not None]


def class_map(panel: Panel, classes: Sequence[str], name: str) -> Drawing | None:
    """Rows by classes; None where no record tells accuracy per class."""
    import numpy as np

    found = {row: class_accuracy(panel, row) for row in panel.rows}
    told = {row: values for row, values in found.items() if values}
    if not told or len(classes) > MOST_CLASSES:
        return None
    values = 100 * np.array(list(told.values()), float)
    labels = [style.look(row).label for row in told]
    shown = Matrix(values, labels, classes, ("trained on", "class", "accuracy (%)"))
    alt = f"Heat map of accuracy per class of {listed(list(told))}; numbers in class-accuracy.csv."
    return _drawing(shown, name, "Accuracy per class", "Mean over networks and trainings. A class "
                    "that one set loses and another keeps is what a mean hides.", alt)  # fmt: skip


def confusion_map(panel: Panel, row: str, classes: Sequence[str], name: str) -> Drawing | None:
    """Which class a network takes for which; None where no record tells."""
    import numpy as np

    counted = confusion(panel, row)
    if not counted or len(classes) > MOST_CLASSES // 3:
        return None
    counts = np.array(counted, float)
    whole = counts.sum(1, keepdims=True)
    values = np.divide(100 * counts, whole, out=np.full_like(counts, np.nan), where=whole > 0)
    label = style.look(row).label
    shown = Matrix(values, classes, classes, ("true class", "taken for", "share (%)"))
    alt = f"Confusion matrix of networks trained on {label}, in per cent of each true class."
    return _drawing(shown, name, f"{label}: which class is taken for which", "Per cent of each "
                    "true class, summed over networks and trainings. The diagonal is right.",
                    alt)  # fmt: skip


def _drawing(shown: Matrix, name: str, title: str, caption: str, alt: str) -> Drawing:
    """The matrix with names on both sides and a bar of its colours."""
    import numpy as np
    from matplotlib.figure import Figure

    rows, columns = shown.values.shape
    wide = 0.62 if columns <= NUMBERED else max(0.12, 6 / columns)
    tall = 0.36 if rows <= TICKS else 7.2 / rows
    figure = Figure(figsize=(max(WIDTH, 1.9 + wide * columns), 2.0 + tall * rows),
                    layout="constrained")  # fmt: skip
    axes = figure.add_subplot()
    axes.grid(False)
    axes.set_facecolor("none")
    masked = np.ma.masked_invalid(shown.values)
    # Thousands of fields as markup would be most of a page: beyond a few they are one picture.
    mesh = axes.pcolormesh(masked, cmap="YlGnBu", edgecolors="none",
                           rasterized=rows * columns > 400)  # fmt: skip
    for (down, right), value in np.ndenumerate(shown.values):
        if columns <= NUMBERED or math.isnan(value):
            _field(axes, down, right, value, mesh)
    across, along = _ticks(columns), _ticks(rows)
    axes.set_xticks([one + 0.5 for one in across], [_short(shown.right[one]) for one in across],
                    rotation=38, ha="right", rotation_mode="anchor")  # fmt: skip
    axes.set_yticks([one + 0.5 for one in along], [_short(shown.down[one]) for one in along])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_ylabel(shown.labels[0])
    axes.set_xlabel(shown.labels[1])
    bar = figure.colorbar(mesh, ax=axes, label=shown.labels[2], shrink=0.9, pad=0.02)
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")  # else viewers show seams between its colours
    return Drawing(name, title, caption, alt, figure)


def _field(axes: Axes, down: int, right: int, value: float, mesh: Any) -> None:
    from matplotlib.patches import Rectangle

    if math.isnan(value):
        axes.add_patch(Rectangle((right, down), 1, 1, facecolor="none", hatch="///",
                                 edgecolor=style.INK, linewidth=0, alpha=0.4))  # fmt: skip
        return
    red, green, blue, _ = mesh.cmap(mesh.norm(value))
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
    axes.text(right + 0.5, down + 0.5, style.decimal(value, 1), ha="center", va="center",
              fontsize=10, color="#fefefe" if dark else "#101010")  # fmt: skip


def _ticks(number: int) -> list[int]:
    return list(range(0, number, math.ceil(number / TICKS)))


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:13]}…{name[-13:]}"
