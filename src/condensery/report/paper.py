"""Records in the layout of the papers' tables and figures, beside what was published.

HMDC's Table 1 (rows: samples per class and method; columns: networks, averages of CNNs, of ViTs and
of all), and its Figures 1 and 2 (what each method gains over Random). A column carries the name of
the network that was really used, a published number stands only beside the very same network,
method, number of samples and recipe, and a missing cell is a visible hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from condensery.report import style
from condensery.report.figures import Drawing, dressed, legend_above, panes, slug
from condensery.report.gather import Gathered
from condensery.report.panels import Panel, counts
from condensery.report.published import (
    AVERAGES,
    Published,
    audit,
    literature,
    published,
)
from condensery.report.sections import Section
from condensery.report.tables import Cell, Grid
from condensery.statistics import Interval, Line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDER = ("random", "cafe", "idm", "idc", "dream", "hmdc")
MEANS = {"CNN average": "mean of CNNs", "ViT average": "mean of ViTs", "average": "mean of all"}
# Which published table is of which data, as problems are called.
FOLDS = tuple(f"esc10-fold{fold}" for fold in range(1, 6))
TABLES = {
    "cifar10": "table1", "cifar100": "table1", "esc10-authors": "table2",
    **dict.fromkeys(FOLDS, "table2"), "imdb": "table3", "imdb-dense": "table3",
}  # fmt: skip
# Networks of those tables that nobody pretrained, and the ending of those that are as released.
FROM_SCRATCH = ("convnet3", "audio_cnn", "lstm")
AS_RELEASED = "_released"
LEGEND = (
    "Mean ± standard deviation over n sets (each the mean of m trainings), in points; with n = 1 "
    "the deviation is over its m trainings. An average is taken over networks within each set "
    "first, so its deviation is that of the average. The best of its block is green on the page "
    "and bold in table.md."
)
PAPER = " 'paper': as published, disputed where the data set of a table is."


def sections(gathered: Gathered, shown: Sequence[Panel]) -> list[Section]:
    """Table and gaps for comparisons of several methods, or of several numbers of samples."""
    found = []
    for group in _groups(shown):
        methods = {style.base(row) for panel in group for row in panel.condensed}
        if len(methods) < 2 and len(group) < 2:
            continue
        name = group[0].conditions
        table = paper_table(group)
        drawings = [one for panel in group for one in gap_figures(panel, shown)]
        beside = any("paper" in cell.detail for _, _, cells in table.rows for cell in cells)
        found.append(Section(
            f"Methods by networks: {name}", _lead(group), (table, *_audited(group)),
            tuple(drawings), legend=LEGEND + PAPER * beside, name=slug(f"paper {name}"),
        ))  # fmt: skip
    return found


def paper_table(group: Sequence[Panel]) -> Grid:
    """Rows: samples per class and method. Columns: networks with their parameters, and averages.

    Args:
        group: comparisons that differ in the number of samples per class only.
    """
    networks = list(dict.fromkeys(name for panel in group for name in _ordered(panel)))
    columns = [*networks, *AVERAGES]
    heads = tuple(_head(group, name) for name in columns)
    rows = []
    for panel in group:
        named = _rows(panel)
        best = {name: _best(panel, named, name) for name in columns}
        for row in named:
            cells = tuple(_cell(panel, row, name, best[name]) for name in columns)
            count = style.count(panel.per_class)
            kind = "condensed" if row in panel.condensed else ""
            named_so = Cell(f"{count} · {style.look(row).label}", "", kind)
            rows.append((f"{count} {row}", named_so, cells))
    return Grid(f"Methods by networks: {group[0].conditions}", "per class · trained on", heads,
                tuple(rows))  # fmt: skip


def gap_figures(panel: Panel, shown: Sequence[Panel] = ()) -> list[Drawing]:
    """Figures 1 and 2: what each method gains over Random, ours and as published.

    Args:
        shown: all comparisons of the report, from which the figures' files are told apart.
    """
    table, apart = _concerned(panel), panel.apart(shown)
    drawn = [_gaps(panel, apart)]
    if table is not None:
        drawn.append(_published_gaps(panel, table, apart))
    return [one for one in drawn if one is not None]


def _groups(shown: Sequence[Panel]) -> list[list[Panel]]:
    """Comparisons that differ in nothing but the number of samples per class."""
    found: dict[tuple[str, str, str, str], list[Panel]] = {}
    for panel in shown:
        key = (panel.data, panel.recipe, panel.split, panel.labels)
        found.setdefault(key, []).append(panel)
    return [sorted(group, key=lambda one: one.per_class) for group in found.values()]


def _rows(panel: Panel) -> list[str]:
    """Random, then methods in the order of the paper, then further ones."""
    wanted = [row for row in panel.rows if row in panel.condensed or style.base(row) == "random"]
    place = {name: index for index, name in enumerate(ORDER)}
    return sorted(wanted, key=lambda row: (place.get(style.base(row), len(ORDER)), row))


def _ordered(panel: Panel) -> list[str]:
    """Networks: CNNs, then ViTs, then others; in each in the order of the records."""
    kinds = {"cnn": 0, "vit": 1}
    return sorted(panel.seen, key=lambda name: kinds.get(panel.family(name), 2))


def _head(group: Sequence[Panel], name: str) -> Cell:
    sizes = {one.parameters for panel in group for one in panel.records
             if one.model == name and one.parameters}  # fmt: skip
    told = " / ".join(map(_size, sorted(sizes)))
    return Cell(name, told, "mean" if name in AVERAGES else "")


def _size(parameters: int) -> str:
    """``0.17 M``; of networks so small that this would be nothing, ``4 k``."""
    if parameters < 1000:
        return str(parameters)
    millions = f"{parameters / 1e6:.2f} M"
    return millions if parameters >= 100_000 else f"{parameters / 1e3:.0f} k"


def line_of(panel: Panel, row: str, column: str) -> Line | None:
    """The line of a network or of an average; None for a hole."""
    title = MEANS.get(column, column)
    if column in AVERAGES and title not in panel.members:
        return None
    found = panel.lines.get((row, title))
    return found if found is not None and found.interval is not None else None


def _interval(panel: Panel, row: str, column: str) -> Interval | None:
    line = line_of(panel, row, column)
    return line.interval if line else None


def _best(panel: Panel, rows: Sequence[str], column: str) -> float:
    """The highest mean in a column; several rows may have it."""
    return max((found.mean for row in rows if (found := _interval(panel, row, column))), default=0)


def _cell(panel: Panel, row: str, column: str, best: float) -> Cell:
    line = line_of(panel, row, column)
    printed = _paper_number(panel, row, column)
    if line is None or line.interval is None:
        return Cell(style.HOLE, printed or "not measured", "hole")
    spread = "" if line.interval.sd is None else f" ± {style.points(line.interval.sd)}"
    mark = panel.mark(row, MEANS.get(column, column))
    detail = ", ".join(part for part in (counts(line), printed) if part)
    kind = "best" if line.interval.mean >= best else ""
    return Cell(f"{style.points(line.interval.mean)}{spread}{mark}", detail, kind)


def _published(panel: Panel) -> Published | None:
    """The table of HMDC's supplement that a comparison is of the kind of: data, recipe, split."""
    same = panel.data in TABLES and panel.recipe in ("hmdc", "hmdc-released")
    tested = panel.split == "test" and panel.labels == "hard"
    return published(TABLES[panel.data]) if same and tested else None


def _concerned(panel: Panel) -> Published | None:
    """The table to show apart from ours: of these data, with several of these methods in it."""
    table = published(TABLES[panel.data]) if panel.data in TABLES else None
    if table is None or _published(panel) is not None:
        return table
    known = {name for block in table.blocks for name in block.rows} - {"random"}
    ours = {_method(table, row) for row in panel.condensed}
    return table if panel.labels == "hard" and len(known & ours) > 1 else None


def _paper_number(panel: Panel, row: str, column: str) -> str:
    """What a paper says of this very cell; empty where none does."""
    table = _published(panel)
    if table is not None:
        name = column if column in AVERAGES else _table_name(column)
        if column in AVERAGES and not _same_networks(panel, table, column):
            return ""
        method = _method(table, row)
        found = table.cell(method, name, panel.per_class)
        doubts = ["data set disputed"] if table.data == "disputed" else []
        doubts += ["network not told"] if method != row else []
        doubts += ["another split"] if panel.data in FOLDS else []
        doubt = f" ({', '.join(doubts)})" if doubts else ""
        return f"paper {found.text}{doubt}" if found is not None else ""
    if column == "convnet3" and panel.split == "test" and panel.labels == "hard":
        told = literature(panel.data, row, panel.per_class, panel.recipe)
        if told is not None:
            return f"paper {told[0]:.1f} ({told[1]})"
    return ""


def _method(table: Published, row: str) -> str:
    """The published row for a row of ours.

    Tables of sound and text have one DREAM and do not say with which network it was condensed, so
    it stands beside each of ours (``dream [dream with hubert]``).
    """
    return "dream" if table.data != "disputed" and style.base(row) == "dream" else row


def _table_name(model: str) -> str:
    """The published column for a network of ours: pretrained, or small and from scratch."""
    name, _, rest = model.partition(" ")
    name = name.removesuffix(AS_RELEASED)
    return name if rest == ("" if name in FROM_SCRATCH else "pretrained") else ""


def _same_networks(panel: Panel, table: Published, average: str) -> bool:
    """Whether our average is over the networks of the paper's."""
    ours = panel.members.get(MEANS[average], [])
    theirs = [table.columns[place] for place in table.members(average)]
    return sorted(map(_table_name, ours)) == sorted(theirs)


def _audited(group: Sequence[Panel]) -> list[Grid]:
    """What does not fit in the published table beside these numbers, as a table; or none."""
    table = next((found for panel in group if (found := _concerned(panel))), None)
    if table is None:
        return []
    sizes = {_table_name(one.model): one.parameters for panel in group for one in panel.records
             if one.parameters}  # fmt: skip
    rows = tuple((str(place), Cell(one.where), (Cell(one.kind), Cell(one.text, "", "words")))
                 for place, one in enumerate(audit(table, sizes)))  # fmt: skip
    title = f"What does not fit in the published table ({table.source}), found from its columns"
    return [Grid(title, "where", (Cell("kind"), Cell("what", "", "words")), rows)] if rows else []


def _lead(group: Sequence[Panel]) -> str:
    table = next((found for panel in group if (found := _published(panel))), None)
    if table is None:
        told = "All methods under one recipe, on the networks whose names stand above the columns."
        apart = next((found for panel in group if (found := _concerned(panel))), None)
        return told if apart is None else (
            f"{told} No published number stands beside ours, whose recipe is another. Apart from "
            f"them, as published: {apart.source}. {' '.join(apart.note.split())}")  # fmt: skip
    data, other = group[0].data, ""
    if data in FOLDS:
        other = " Its split is another: drawn in each class (esc10:authors), no official fold."
    if data == "imdb":
        other = " Its sets hold the whole vocabulary (imdb:dense), ours few tokens a position."
    return f"Beside ours: {table.source}. {' '.join(table.note.split())}{other}"


def _gaps(panel: Panel, apart: str) -> Drawing | None:
    """Grouped bars of the paired differences to Random, with their 95 % intervals."""
    methods = [row for row in _rows(panel) if row in panel.condensed]
    columns = [*_ordered(panel), *(name for name in AVERAGES if MEANS[name] in panel.members)]
    values: dict[str, list[tuple[float, float, float] | None]] = {}
    for row in methods:
        values[row] = []
        for column in columns:
            pair = panel.paired(row, "random", MEANS.get(column, column))
            if pair is None:
                values[row].append(None)
                continue
            low, high = pair.ends or (pair.difference, pair.difference)
            values[row].append((100 * pair.difference, 100 * low, 100 * high))
    if not any(one for told in values.values() for one in told):
        return None
    sets = max((pair.n for row in methods for name in panel.seen
                if (pair := panel.paired(row, "random", name))), default=0)  # fmt: skip
    return Drawing(
        slug(f"gap to random {panel.data} {style.count(panel.per_class)} {apart}"),
        f"Gap to Random: {panel.title}",
        f"Paired differences in points; lines are 95 % t-intervals over up to {sets} sets, "
        "and over their trainings where those make them wider. In the layout of HMDC's Figures 1 "
        "and 2.",
        f"Grouped bars of the gap to Random of {', '.join(methods)} on {', '.join(columns)}.",
        _grouped(columns, values),
    )


def _published_gaps(panel: Panel, table: Published, apart: str) -> Drawing | None:
    """The published panel: differences of the printed means to Random's; None without Random."""
    block = next((one for one in table.blocks if one.per_class == panel.per_class), None)
    if block is None or "random" not in block.rows:
        return None
    base = block.rows["random"]
    values: dict[str, list[tuple[float, float, float] | None]] = {
        method: [(cell.mean - own.mean,) * 3 for cell, own in zip(row, base, strict=True)]
        for method, row in block.rows.items()
        if method != "random"
    }
    return Drawing(
        slug(f"gap to random published {panel.data} {block.per_class} {apart}"),
        f"Gap to Random as published, {block.per_class} per class (data set disputed)",
        f"Differences of printed means, misprints and all: {table.source}. {_apart(panel)}".strip(),
        f"Grouped bars of the published gap to Random of {', '.join(values)}.",
        _grouped(table.columns, values),
    )


def _apart(panel: Panel) -> str:
    """That a published figure beside ours is of another setting; empty where it is of ours."""
    if _published(panel) is not None:
        return ""
    return (f"Another setting than ours, to be compared in its pattern only: the paper's networks "
            f"and training, not recipe {panel.recipe} on the {panel.split} split.")  # fmt: skip


def _grouped(
    columns: Sequence[str], values: dict[str, list[tuple[float, float, float] | None]]
) -> Figure:
    """Groups of horizontal bars, one group a column; a hole is left open."""
    height = 0.8 / max(1, len(values))
    with dressed():
        figure, (axes,) = panes(1, each=max(1.9, 0.22 * len(columns) * len(values)))
        for index, (row, told) in enumerate(values.items()):
            look = style.look(row)
            places = [place + index * height for place, one in enumerate(told) if one]
            axes.barh(places, [one[0] for one in told if one], height * 0.9, color=look.colour,
                      hatch=look.hatch, label=look.label, edgecolor=(1, 1, 1, 0.5))  # fmt: skip
            for place, one in zip(places, [one for one in told if one], strict=True):
                if one[1] != one[2]:
                    axes.plot(one[1:], [place, place], color=style.INK, linewidth=1.2)
        axes.axvline(0, color=style.INK, linewidth=1)
        axes.set_yticks([place + 0.4 - height / 2 for place in range(len(columns))], list(columns))
        axes.invert_yaxis()
        axes.set_xlabel("points above Random")
        legend_above(figure, axes)
    return figure
