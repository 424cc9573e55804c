"""What the arms of a study show: a method's variants side by side, and HMDC's balance at work."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from condensery.errors import UsageError
from condensery.records import Record
from condensery.report import style
from condensery.report.curves import logarithmic
from condensery.report.figures import Drawing, dressed, legend_above, panes, slug
from condensery.report.gather import RunFiles
from condensery.report.panels import Panel, counts, panels
from condensery.report.published import Ablation
from condensery.report.sections import Section
from condensery.report.tables import Cell, Grid, mean_and_deviation
from condensery.statistics import Comparison, compare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = tuple[list[int], list[list[float]]]
MEAN = "mean of all"
RANDOM = ("random", "random packed")  # stand first, as in the paper's tables
LEGEND = (
    "Accuracy in points at the last epoch, mean ± standard deviation over n sets, each the mean of "
    f"m trainings; with n = 1 the deviation is over its m trainings; {style.STAR} never left "
    "chance."
)


def arm_records(runs: Sequence[RunFiles]) -> list[Record]:
    """The records of each run's own set, its row named as its arm."""
    found = []
    for run in runs:
        own = [one for one in run.records if one.row == run.row]
        found += [dataclasses.replace(one, row=run.arm) for one in own]
    return found


def arms_table(
    runs: Sequence[RunFiles],
    title: str,
    against: str = "",
    lead: str = "",
    paper: Ablation | None = None,
    planned: Mapping[str, str] | None = None,
) -> list[Section]:
    """Random samples and arms by networks, and paired differences of arms to one of them.

    Args:
        runs: of one data set and number of samples. against: an arm; empty: no differences.
        paper: what was published of arms of these names, shown apart from ours.
        planned: notes of all arms by name; those that no run has made yet are holes.

    Returns:
        One section for each recipe, split and kind of labels; none where no run was evaluated.
    """
    notes = {**(planned or {}), **{run.arm: str(run.study.get("note", "")) for run in runs}}
    arms = list(notes)
    random = [one for run in runs for one in run.records
              if one.row in RANDOM and one.row not in (*arms, run.row)]  # fmt: skip
    shown = [one for one in panels([*random, *arm_records(runs)]) if set(arms) & set(one.rows)]
    found = []
    for panel in shown:
        named = title if len(shown) == 1 else f"{title} ({panel.conditions})"
        heads = {row: Cell(style.look(row).label, "real samples") for row in RANDOM
                 if row in panel.rows and row not in arms}  # fmt: skip
        heads |= {arm: Cell(arm, notes[arm]) for arm in arms}
        found.append(_section(panel, heads, arms, named, against, lead))
    return found if paper is None else [_beside(one, paper) for one in found]


def _section(
    panel: Panel, heads: Mapping[str, Cell], arms: list[str], title: str, against: str, lead: str
) -> Section:
    """One comparison: its table, and where an arm is measured by another, their differences."""
    records = [one for one in panel.records if one.row in arms]
    networks = list(dict.fromkeys(one.model for one in records))
    columns = [*networks, MEAN] if len(networks) > 1 else networks
    grids = [_accuracies(panel, heads, columns, title)]
    if len(arms) > 1 and against in {one.row for one in records}:
        grids.append(_gaps(records, arms, against, columns))
    drawings = tuple(one for one in (_bars(records, arms, against, title),) if one)
    return Section(title, lead, tuple(grids), drawings, LEGEND, name=slug(title),
                   notes=tuple(panel.notes))  # fmt: skip


def _beside(section: Section, paper: Ablation) -> Section:
    """The same with a last column of what was published, and rows of which only that is known."""
    table, *others = section.grids
    holes = (Cell(style.HOLE, "not measured", "hole"),) * len(table.heads)
    known = {key for key, _, _ in table.rows}
    only = tuple((name, Cell(style.look(name).label, "published only"), holes)
                 for name in paper.averages if name not in known)  # fmt: skip
    rows = []
    for key, head, cells in (*table.rows, *only):
        found = paper.averages.get(key)
        told = Cell(style.HOLE, "not told", "hole") if found is None else Cell(found.text)
        rows.append((key, head, (*cells, told)))
    heads = (*table.heads, Cell("published (another setting)", "", "mean"))
    grid = dataclasses.replace(table, heads=heads, rows=tuple(rows))
    legend = f"{section.legend} Published, in another setting: {paper.note} {paper.source}."
    return dataclasses.replace(section, grids=(grid, *others), legend=legend)


def _accuracies(
    panel: Panel, heads: Mapping[str, Cell], columns: Sequence[str], title: str
) -> Grid:
    """Rows by networks, each the mean over its sets; a hole where a row was not measured."""
    rows = []
    for row, head in heads.items():
        cells = []
        for name in columns:
            line = panel.lines.get((row, name))
            if line is None or line.interval is None:
                cells.append(Cell(style.HOLE, "not measured", "hole"))
                continue
            cells.append(Cell(mean_and_deviation(line) + panel.mark(row, name), counts(line)))
        rows.append((row, head, tuple(cells)))
    return Grid(title, "arm", tuple(map(Cell, columns)), tuple(rows))


def _gaps(records: list[Record], arms: list[str], against: str, columns: list[str]) -> Grid:
    """Paired differences of each arm to one of them, over the same condensation seeds."""
    rows, measured = [], {one.row for one in records}
    for arm in (one for one in arms if one != against):
        found = _compared(records, arm, against)
        why = "not measured with the same seeds" if arm in measured else "not measured"
        rows.append((arm, Cell(arm), tuple(_gap(found.get(name), why) for name in columns)))
    heads = tuple(Cell(name) for name in columns)
    return Grid(f"Paired differences to {against}", "arm", heads, tuple(rows))


def _compared(records: list[Record], arm: str, against: str) -> dict[str, Comparison]:
    """Differences by network and mean; none where nothing pairs, which is a hole and no crash."""
    try:
        return {one.model: one for one in compare(records, arm, against)}
    except UsageError:
        return {}


def _gap(found: Comparison | None, why: str) -> Cell:
    if found is None or found.paired is None:
        return Cell(style.HOLE, why, "hole")
    pair = found.paired
    words = f" {pair.verdict}" if pair.verdict else ""
    told = f"{style.ends(pair)}, n = {pair.n}" if style.ends(pair) else ""
    return Cell(style.signed(pair.difference) + words, told)


def _bars(records: list[Record], arms: list[str], against: str, title: str) -> Drawing | None:
    """Differences of the mean over networks, with their intervals."""
    told = []
    for arm in arms:
        if against and arm != against and arm in {one.row for one in records}:
            found = _compared(records, arm, against)
            pair = found[MEAN].paired if MEAN in found else None
            if pair is not None:
                told.append((arm, pair))
    if not told:
        return None
    with dressed():
        figure, (axes,) = panes(1)
        for place, (_, pair) in enumerate(told):
            low, high = pair.ends or (pair.difference, pair.difference)
            axes.barh(place, 100 * pair.difference, color=style.TERMS[1], height=0.6)
            axes.plot([100 * low, 100 * high], [place, place], color=style.INK, linewidth=1.5)
        axes.set_yticks(range(len(told)), [arm for arm, _ in told])
        axes.invert_yaxis()
        axes.axvline(0, color=style.INK, linewidth=1)
        axes.set_xlabel(f"points above {against},\nmean of all networks")
    alt = "; ".join(f"{arm}: {style.signed(pair.difference)}" for arm, pair in told)
    return Drawing(
        slug(f"{title} differences"),
        f"Differences to {against}",
        f"Mean over networks, paired over {told[0][1].n} {told[0][1].unit}; lines are 95 % "
        f"t-intervals, over trainings too where those make them wider.",
        f"Bars of the differences to {against}. {alt}.",
        figure,
    )


def largest_gradients(runs: Mapping[str, RunFiles], restart_every: int) -> list[Section]:
    """The largest gradient of each term where it was sampled, without and with the balance.

    HMDC (Moon et al., ECCV 2024), Figure 5. Drawn from the events of two runs that differ in
    nothing else.

    Args:
        runs: ``without`` and ``with`` the balance. restart_every: steps of an iteration.

    Returns:
        One section; none where an event tells no largest gradient.
    """
    sides = [
        ("without the balance", runs["without"], runs["without"].series("largest")),
        ("with the balance", runs["with"], runs["with"].series("balanced")),
    ]
    if any(not steps for _, _, (steps, _) in sides):
        return []
    names = sides[0][1].term_names(len(sides[0][2][1][0]))
    apart = {title: _apart(rows) for title, _, (_, rows) in sides}
    told = "; ".join(f"{title} {value:,.1f} times" for title, value in apart.items())
    samples, iterations = len(sides[0][2][0]), math.ceil(sides[0][2][0][-1] / restart_every)
    lead = (f"The largest gradient of each term with respect to the synthetic samples, mean over "
            f"classes, at {samples} sampled steps of {iterations} iterations. The largest term is "
            f"above the smallest, by the median over steps: {told}.")  # fmt: skip
    drawing = Drawing(
        "figure5", "Largest gradients", "Both on one scale; grey lines are restarts of the peers. "
        "With the balance: as weighted, class by class.",
        f"Curves of the largest gradients of {', '.join(names)} without and with the gradient "
        f"balance on a logarithmic scale. {told}.",
        _two_panes([(title, series) for title, _, series in sides], names, restart_every),
    )  # fmt: skip
    heads = tuple(Cell(name) for name in names)
    medians = tuple(
        (title, Cell(title), tuple(Cell(f"{statistics.median(column):.3g}")
                                   for column in zip(*found, strict=True)))
        for title, _, (_, found) in sides
    )  # fmt: skip
    grid = Grid("Median of the largest gradients", "run", heads, medians)
    return [Section("Largest gradients: with and without the balance", lead, (grid,), (drawing,),
                    name="figure5")]  # fmt: skip


def _two_panes(
    sides: Sequence[tuple[str, Series]], names: Sequence[str], restart_every: int
) -> Figure:
    """One pane a side, a line a term, both on one scale."""
    with dressed():
        figure, both = panes(2)
        for axes, (title, (steps, rows)) in zip(both, sides, strict=True):
            for index, name in enumerate(names):
                values = [row[index] if row[index] > 0 else math.nan for row in rows]
                axes.plot(steps, values, ".-", markersize=3, linewidth=1,
                          label=name, color=style.TERMS[index % len(style.TERMS)])  # fmt: skip
            for begin in range(restart_every, steps[-1], restart_every):
                axes.axvline(begin + 0.5, color=style.INK, alpha=0.2, linewidth=0.8)
            axes.set_title(title, loc="left")
            axes.set_yscale("log")
            axes.set_ylabel("largest gradient")
        low = min(axes.get_ylim()[0] for axes in both)
        high = max(axes.get_ylim()[1] for axes in both)
        for axes in both:
            axes.set_ylim(low, high)
            logarithmic(axes)
        both[-1].set_xlabel("step")
        legend_above(figure, both[0])
    return figure


def _apart(rows: Sequence[Sequence[float]]) -> float:
    """How many times the largest term is above the smallest, the median over steps."""
    return statistics.median(max(row) / min(row) for row in rows if min(row) > 0)
