"""The page: one file that holds everything, and asks nobody for anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from condensery.report import style
from condensery.report.commands import (
    alike_commands,
    condense_command,
    evaluate_command,
    unknown_weights,
)
from condensery.report.figures import Drawing, inline, slug
from condensery.report.gather import Gathered, RunFiles, mapping, number
from condensery.report.panels import Panel, joined
from condensery.report.pictures import Album, album
from condensery.report.sections import Heading, Section
from condensery.report.tables import (
    GAP_LEGEND,
    INTERVAL_LEGEND,
    LEGEND,
    Cell,
    Grid,
    beside,
    best_checks,
    differences,
    headline,
    intervals,
    results,
)

FEW_CLASSES = 10  # of each seed behind the first: enough to see how alike seeds are


@dataclass(frozen=True)
class PanelView:
    """A comparison as the page shows it."""

    panel: Panel
    results: Grid
    headline: Grid | None
    differences: tuple[Grid, ...]
    best: Grid | None
    drawings: tuple[Drawing, ...]
    folded: tuple[Drawing, ...]
    classes: tuple[Drawing, ...]
    beside: tuple[Grid, ...] = ()
    intervals: Grid | None = None


@dataclass(frozen=True)
class GroupView:
    """Runs that differ in nothing but their seed, as the page shows them: the first stands for all.

    Attributes:
        name: of the kind. anchor: for links. runs: at least one. album: of the first.
        others: name and album of each further run, with fewer pictures.
        drawings: curves, all seeds in one figure.
        settings, command: of the first. alike: what is different in the others' commands.
    """

    name: str
    anchor: str
    runs: tuple[RunFiles, ...]
    album: Album
    others: tuple[tuple[str, Album], ...]
    drawings: tuple[Drawing, ...]
    settings: tuple[tuple[str, str], ...]
    command: str
    alike: tuple[str, ...]


def panel_view(
    panel: Panel,
    drawings: Sequence[Drawing],
    folded: Sequence[Drawing] = (),
    classes: Sequence[Drawing] = (),
) -> PanelView:
    """Tables and figures of a comparison.

    Args:
        drawings: figures that are seen at once. folded: further ones. classes: of single classes.
    """
    gaps = tuple(differences(panel, row) for row in panel.condensed)
    top = headline(panel) if panel.condensed else None
    return PanelView(panel, results(panel), top, gaps, best_checks(panel), tuple(drawings),
                     tuple(folded), tuple(classes), beside(panel), intervals(panel))  # fmt: skip


def group_view(name: str, runs: Sequence[RunFiles], drawings: Sequence[Drawing]) -> GroupView:
    """Pictures, curves and settings of runs of one kind."""
    first = runs[0]
    settings = {key: value for key, value in first.settings.items() if key != "fields"}
    fields = mapping(first.settings.get("fields"))
    return GroupView(
        style.look(name).label,
        slug(name),
        tuple(runs),
        album(first),
        tuple((run.name, album(run, FEW_CLASSES)) for run in runs[1:]),
        tuple(drawings),
        _pairs({**settings, **fields}),
        condense_command(first),
        tuple(alike_commands(runs)),
    )


def render(
    gathered: Gathered,
    panels: Sequence[PanelView],
    groups: Sequence[GroupView],
    sections: Sequence[Section] = (),
    heading: Heading | None = None,
) -> str:
    """The whole page as HTML. Every text is escaped; figures and fragments are sound markup."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    told = heading or Heading()
    title = _title(gathered, panels)
    environment = Environment(
        loader=PackageLoader("condensery.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["figure"] = lambda drawing: Markup(inline(drawing))
    environment.filters["sound"] = Markup
    return environment.get_template("report.html").render(
        title=told.title or title,
        subtitle=[*told.subtitle, *([title] if told.title else []), *_subtitle(gathered, panels)],
        command=told.command,
        evaluated=told.evaluated or bool(panels),
        panels=panels,
        groups=groups,
        made=_facts(groups),
        sections=sections,
        contents=_contents(sections),
        notes=_notes(gathered, panels, groups, sections),
        legend=LEGEND,
        gap_legend=GAP_LEGEND,
        interval_legend=INTERVAL_LEGEND,
        cost=[_cost(view.panel) for view in panels],
        evaluations=[evaluate_command(view.panel, gathered.runs) for view in panels],
        machines=_machines(gathered),
    )


def _contents(sections: Sequence[Section]) -> list[tuple[str, int, int]]:
    """Short names of sections, the place of the first of each name, and how many have it."""
    names = [one.short for one in sections]
    return [(name, names.index(name) + 1, names.count(name)) for name in dict.fromkeys(names)]


def _notes(
    gathered: Gathered,
    panels: Sequence[PanelView],
    groups: Sequence[GroupView],
    sections: Sequence[Section],
) -> list[str]:
    notes = [*gathered.notes, *(note for view in panels for note in view.panel.notes)]
    notes += [note for view in groups for note in view.album.notes]
    notes += [note for view in groups for _, held in view.others for note in held.notes]
    notes += [note for one in sections for note in one.notes]
    notes += [f"{view.panel.title}: a searched rate lies at the edge of those tried: a better one "
              f"may lie beyond" for view in panels
              if any(one.settings.get("rate_at_edge") for one in view.panel.records)]  # fmt: skip
    notes += [f"{view.panel.title}: put the folder of {file} before its name in --models"
              for view in panels for file in unknown_weights(view.panel)]  # fmt: skip
    return list(dict.fromkeys(notes))


def _facts(groups: Sequence[GroupView]) -> Grid:
    """What the runs are, in a few numbers, a line each."""
    heads = ("method", "seed", "steps", "seconds", "stored samples", "decoded samples", "packed",
             "bytes")  # fmt: skip
    rows = [(run.name, Cell(run.name), tuple(map(Cell, _run_facts(run))))
            for view in groups for run in view.runs]  # fmt: skip
    return Grid("Runs: what was made, and what it took", "run", tuple(map(Cell, heads)),
                tuple(rows))  # fmt: skip


def _run_facts(run: RunFiles) -> list[str]:
    card, about = run.card, run.about
    factor = mapping(card.get("codec")).get("factor", 1)
    last = run.events[-1]["step"] if run.events else None
    return [
        style.look(str(run.settings.get("method", style.HOLE))).label,
        str(run.settings.get("seed", style.HOLE)),
        _number(about.get("steps", last)),
        style.seconds(about["seconds"]) if number(about.get("seconds")) else style.HOLE,
        _number(card.get("stored_samples")),
        _number(card.get("decoded_samples")),
        "no" if factor == 1 else f"{factor} × {factor}",
        _number(card.get("bytes")),
    ]


def _title(gathered: Gathered, panels: Sequence[PanelView]) -> str:
    rows = [row for view in panels for row in view.panel.condensed]
    methods = [style.look(style.base(row)).label for row in rows]
    methods += [style.look(str(run.settings["method"])).label for run in gathered.runs
                if run.settings.get("method") and not rows]  # fmt: skip
    data = [view.panel.data for view in panels]
    told = [run.settings.get("data") for run in gathered.runs]
    data = data or [str(name) for name in told if name]
    made = joined(list(dict.fromkeys(methods))) or "Baselines"
    return f"{made} on {joined(list(dict.fromkeys(data))) or 'unknown data'}"


def _subtitle(gathered: Gathered, panels: Sequence[PanelView]) -> list[str]:
    """Size and seeds, where they are the same throughout."""
    found = []
    sizes = {view.panel.per_class for view in panels}
    sizes |= {run.settings["per_class"] for run in gathered.runs if run.settings.get("per_class")}
    if len(sizes) == 1:
        found.append(f"{style.plural(sizes.pop(), 'stored sample')} per class")
    classes = {view.panel.classes for view in panels}
    classes |= {len(run.label_names) for run in gathered.runs if run.label_names}
    if len(classes) == 1:
        found.append(style.plural(classes.pop(), "class"))
    stored = {run.card["bytes"] for run in gathered.runs if isinstance(run.card.get("bytes"), int)}
    stored |= {one.stored_bytes for view in panels for one in view.panel.records
               if one.row in view.panel.condensed}  # fmt: skip
    if len(stored) == 1:
        found.append(style.plural(stored.pop(), "byte"))
    if len(gathered.runs) > 1:
        found.append(style.plural(len(gathered.runs), "run"))
    return found


def _number(value: Any) -> str:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return style.count(value) if plain else style.HOLE


def _pairs(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), _text(value)) for name, value in values.items())


def _text(value: Any) -> str:
    if value is None:
        return style.HOLE
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _cost(panel: Panel) -> Grid:
    """What training on each row cost: seconds, epochs and updates, from the records."""
    heads = (Cell("one training", "seconds, mean"), Cell("all trainings", "seconds"),
             Cell("epochs"), Cell("updates"))  # fmt: skip
    rows = []
    for row in panel.rows:
        own = [one for one in panel.records if one.row == row]
        whole = sum(one.seconds for one in own)
        cells = (
            Cell(style.seconds(whole / len(own))),
            Cell(style.seconds(whole), style.plural(len(own), "training")),
            _range([one.epochs for one in own]),
            _range([one.updates for one in own]),
        )
        rows.append((row, Cell(style.look(row).label), cells))
    return Grid(f"Cost of evaluation: {panel.title}", "trained on", heads, tuple(rows))


def _range(values: list[int]) -> Cell:
    low, high = min(values), max(values)
    return Cell(style.count(low) if low == high else f"{style.count(low)} to {style.count(high)}")


def _machines(gathered: Gathered) -> list[tuple[str, str]]:
    """Hardware and versions under which numbers were measured, unlike values beside one another."""
    held: dict[str, list[str]] = {}
    told = [run.circumstances for run in gathered.runs]
    told += [one.circumstances for one in gathered.records]
    for circumstances in told:
        for name, value in mapping(circumstances).items():
            words = ", ".join(map(str, value)) if isinstance(value, list) else _text(value)
            held.setdefault(str(name), []).append(words)
    return [(name, "; ".join(dict.fromkeys(values))) for name, values in held.items()]
