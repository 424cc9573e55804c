"""Curves of runs over their steps: one line style a term; the first seed strong, the others thin.

Runs that differ in nothing but their seed share a figure, so that many seeds show how alike they
are instead of making a page longer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from condensery.report import style
from condensery.report.figures import Drawing, dressed, legend_above, panes, slug
from condensery.report.gather import RunFiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 1500  # of a curve: more than a screen can show; fewer of a seed behind the first
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
Series = tuple[list[int], list[list[float]]]


def run_drawings(runs: Sequence[RunFiles], name: str) -> list[Drawing]:
    """What is drawn of runs of one kind: the balance of gradients and the terms of the loss.

    Args:
        runs: at least one; they differ in their seed only. name: of the kind, for file names.
    """
    with dressed():
        drawn = [balance_curves(runs, name), term_curves(runs, name)]
    return [one for one in drawn if one is not None]


def balance_curves(runs: Sequence[RunFiles], name: str) -> Drawing | None:
    """The largest image gradient of each term before and after the balance; None without any."""
    found = [(run, *_balance(run)) for run in runs]
    told = [one for one in found if one[1][0]]
    if not told:
        return None
    first, (steps, before), (_, after) = told[0]
    names = first.term_names(len(before[0]))
    whole = all(len(row) == len(names) for row in after)
    figure, both = panes(2 if whole else 1)
    for place, (axes, title) in enumerate(zip(both, ("before", "after"), strict=False)):
        _seeds(axes, [one[2] if place else one[1] for one in told], names)
        axes.set_title(f"{title} the balance", loc="left")
        axes.set_ylabel("largest gradient")
    both[-1].set_xlabel("step")
    legend_above(figure, both[0])
    alt = (f"Curves of the largest gradient of {', '.join(names)} over {steps[-1]} steps, before "
           f"and after the gradient balance, on a logarithmic scale.")  # fmt: skip
    exact = bool(first.series("balanced")[0])
    caption = "Largest gradient with respect to the synthetic samples. " + (
        "After: as weighted, class by class."
        if exact
        else "After: times the mean weight over classes, near to what each class got."
    )
    return Drawing(f"balance-{slug(name)}", "Gradient balance", caption + _others(told), alt,
                   figure)  # fmt: skip


def term_curves(runs: Sequence[RunFiles], name: str) -> Drawing | None:
    """The matched terms over the steps; None where no step told them."""
    told = [(run, run.series("terms")) for run in runs]
    told = [one for one in told if one[1][0]]
    if not told:
        return None
    first, (steps, rows) = told[0]
    names = first.term_names(len(rows[0]))
    figure, (axes,) = panes(1)
    _seeds(axes, [series for _, series in told], names)
    axes.set_xlabel("step")
    axes.set_ylabel("distance")
    legend_above(figure, axes)
    alt = f"Curves of {', '.join(names)} over {steps[-1]} steps on a logarithmic scale."
    caption = (
        "Mean over classes. What condensing lowers: jumps are restarts of the networks, which make "
        "new tasks." + _others(told)
    )
    return Drawing(f"terms-{slug(name)}", "Terms of the loss", caption, alt, figure)


def _balance(run: RunFiles) -> tuple[Series, Series]:
    """Largest gradients before and after the balance; after as told, else by the mean weights."""
    steps, before = run.series("largest")
    weights = dict(zip(*run.series("weights"), strict=True))
    told = dict(zip(*run.series("balanced"), strict=True))
    after = [
        told.get(step) or [w * g for w, g in zip(weights.get(step, []), row, strict=False)]
        for step, row in zip(steps, before, strict=True)
    ]
    return (steps, before), (steps, after)


def _seeds(axes: Axes, series: Sequence[Series], names: Sequence[str]) -> None:
    """The first run's lines over those of the others that tell as many terms."""
    for place, (steps, rows) in reversed(list(enumerate(series))):
        alike = [(step, row) for step, row in zip(steps, rows, strict=True)
                 if len(row) == len(names)]  # fmt: skip
        if alike:
            _curves(axes, [step for step, _ in alike], [row for _, row in alike], names, not place)
    if any(value > 0 for _, rows in series for row in rows for value in row):
        logarithmic(axes)


def _curves(
    axes: Axes,
    steps: Sequence[int],
    rows: Sequence[Sequence[float]],
    names: Sequence[str],
    strong: bool,
) -> None:
    """One line per term; what is not positive is a gap in it."""
    every = math.ceil(len(steps) / (MOST_POINTS if strong else MOST_POINTS // 5))
    for index, name in enumerate(names):
        values = [row[index] if row[index] > 0 else math.nan for row in rows]
        axes.plot(steps[::every], values[::every], label=name if strong else None,
                  color=style.TERMS[index % len(style.TERMS)], alpha=1.0 if strong else 0.4,
                  linestyle=style.LINES[index % len(style.LINES)],
                  linewidth=1.6 if strong else 0.7,
                  marker="o" if strong and len(steps) < 40 else "", markersize=3)  # fmt: skip


def logarithmic(axes: Axes) -> None:
    """A logarithmic axis whose labels are powers of ten, without math markup."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _power(value: float, _: Any) -> str:
    exponent = math.log10(value) if value > 0 else 0.0
    if not math.isclose(exponent, round(exponent), abs_tol=1e-9):
        return f"{value:g}"
    return "10" + str(round(exponent)).translate(SUPERSCRIPTS)


def _others(told: Sequence[tuple[Any, ...]]) -> str:
    if len(told) == 1:
        return ""
    seed = told[0][0].settings.get("seed", style.HOLE)
    return f" Strong: seed {seed}; thin: {style.plural(len(told) - 1, 'other seed')}."
