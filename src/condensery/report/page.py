"""The page: one file that holds everything, and asks nobody for anything."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from condensery.report import style
from condensery.report.figures import Drawing, inline, slug
from condensery.report.gather import Gathered, RunFiles, mapping
from condensery.report.panels import Panel
from condensery.report.pictures import Album, album
from condensery.report.tables import (
    GAP_LEGEND,
    LEGEND,
    Cell,
    Grid,
    best_checks,
    differences,
    results,
)


@dataclass(frozen=True)
class PanelView:
    """A comparison as the page shows it."""

    panel: Panel
    results: Grid
    differences: tuple[Grid, ...]
    best: Grid | None
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True)
class RunView:
    """A run as the page shows it."""

    run: RunFiles
    album: Album
    drawings: tuple[Drawing, ...]
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    circumstances: tuple[tuple[str, str], ...]
    command: str


def panel_view(panel: Panel, drawings: Sequence[Drawing]) -> PanelView:
    """Tables and figures of a comparison."""
    gaps = tuple(differences(panel, row) for row in panel.condensed)
    return PanelView(panel, results(panel), gaps, best_checks(panel), tuple(drawings))


def run_view(run: RunFiles, drawings: Sequence[Drawing]) -> RunView:
    """Pictures, curves and settings of a run."""
    settings = {name: value for name, value in run.settings.items() if name != "fields"}
    fields = mapping(run.settings.get("fields"))
    return RunView(
        run,
        album(run),
        tuple(drawings),
        facts=tuple(_facts(run)),
        settings=_pairs({**settings, **fields}),
        circumstances=_pairs(run.circumstances),
        command=condense_command(run),
    )


def render(gathered: Gathered, panels: Sequence[PanelView], runs: Sequence[RunView]) -> str:
    """The whole page as HTML. Every text is escaped; figures are the only markup from outside."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("condensery.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["figure"] = lambda drawing: Markup(inline(drawing))
    environment.filters["slug"] = slug
    environment.filters["label"] = lambda row: style.look(row).label
    notes = [*gathered.notes, *(note for view in panels for note in view.panel.notes)]
    notes += [note for view in runs for note in view.album.notes]
    return environment.get_template("report.html").render(
        title=_title(gathered, panels),
        subtitle=_subtitle(gathered, panels),
        panels=panels,
        runs=runs,
        notes=list(dict.fromkeys(notes)),
        legend=LEGEND,
        gap_legend=GAP_LEGEND,
        cost=[_cost(view.panel) for view in panels],
        evaluations=[evaluate_command(view.panel, gathered.runs) for view in panels],
        machines=_machines(gathered),
    )


def condense_command(run: RunFiles) -> str:
    """The command line that makes this set again, every setting written out; empty if unknown."""
    settings = run.settings
    if not settings.get("data") or not settings.get("method"):
        return ""
    budget = mapping(run.config.get("budget"))
    steps = run.about.get("steps", budget.get("steps", settings.get("steps")))
    source = mapping(run.config.get("source"))
    options = [("--method", settings["method"]), ("--per-class", settings.get("per_class"))]
    options += [("--steps", steps), ("--seed", settings.get("seed"))]
    options += [("--init", settings.get("init")), ("--out", f"runs/{run.name}")]
    options += [(f"--{name.replace('_', '-')}", source.get(name) or None)
                for name in ("data_dir", "label", "size", "validation")]  # fmt: skip
    lines = [f"condensery condense {_quoted(source.get('data') or settings['data'])}"]
    lines += [f"{name} {_quoted(value)}" for name, value in options if value is not None]
    fields = mapping(settings.get("fields"))
    lines += [f"--method.{name} {_quoted(value)}" for name, value in fields.items()]
    return " \\\n  ".join(lines)


def evaluate_command(panel: Panel, runs: Sequence[RunFiles]) -> str:
    """The command line that measures these numbers again."""
    places = [_quoted(f"runs/{run.name}") for run in runs] or ["DIR"]
    seeds = ",".join(map(str, sorted({one.seed for one in panel.records})))
    # A shortened recipe says so in its name: "quick (20 updates)".
    shortened = re.fullmatch(r"(.*) \((\d+) (epochs|updates)\)", panel.recipe)
    recipe = shortened[1] if shortened else panel.recipe
    options = [f"--models {_quoted(','.join(panel.seen))}", f"--seeds {seeds}"]
    options += [f"--recipe {_quoted(recipe)}", f"--split {_quoted(panel.split)}"]
    options += [f"--{shortened[3]} {shortened[2]}"] if shortened else []
    return " \\\n  ".join([f"condensery evaluate {' '.join(places)}", *options])


def _quoted(value: Any) -> str:
    """A value as a shell takes it and the command line reads it."""
    return shlex.quote(value if isinstance(value, str) else json.dumps(value, default=str))


def _title(gathered: Gathered, panels: Sequence[PanelView]) -> str:
    rows = [row for view in panels for row in view.panel.condensed]
    methods = [style.look(style.base(row)).label for row in rows]
    methods += [style.look(str(run.settings["method"])).label for run in gathered.runs
                if run.settings.get("method") and not rows]  # fmt: skip
    data = [view.panel.data for view in panels]
    told = [run.settings.get("data") for run in gathered.runs]
    data = data or [str(name) for name in told if name]
    made = " and ".join(dict.fromkeys(methods)) or "Baselines"
    return f"{made} on {', '.join(dict.fromkeys(data)) or 'unknown data'}"


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


def _facts(run: RunFiles) -> list[tuple[str, str]]:
    """What a run is, in a few numbers."""
    card, about = run.card, run.about
    codec = mapping(card.get("codec"))
    packed = f"{codec['factor']} × {codec['factor']}" if codec.get("factor", 1) != 1 else ""
    told = [
        ("method", style.look(str(run.settings.get("method", style.HOLE))).label),
        ("seed", str(run.settings.get("seed", style.HOLE))),
        ("steps", _number(about.get("steps", run.events[-1]["step"] if run.events else None))),
        ("seconds", style.seconds(about.get("seconds"))),
        ("stored samples", _number(card.get("stored_samples"))),
        ("decoded samples", _number(card.get("decoded_samples"))),
        ("bytes", _number(card.get("bytes"))),
    ]
    return told + ([("packed", packed)] if packed else [])


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
