"""Tables of a comparison: as text cells, Markdown and csv."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from condensery.records import Record
from condensery.report import style
from condensery.report.panels import Claim, Panel, counts
from condensery.statistics import Line

LEGEND = (
    "Accuracy in points at the last epoch: mean ± standard deviation over n sets, each the mean of "
    "m trainings; with n = 1 the deviation is over its m trainings and says nothing of other sets. "
    f"{style.SEEN} took part in condensing; {style.STAR} never left chance; {style.HOLE} not "
    "measured."
)
GAP_LEGEND = (
    "Paired differences in points, their 95 % t-interval and standard error (SE) over n condensed "
    "sets. The words above and below need n of 5 or more; with 3 or 4 the numbers suggest at most. "
    "Where the m trainings of a set make it less sure than the sets alone tell, the interval over "
    "sets and trainings stands beside it and decides."
)
INTERVAL_LEGEND = (
    "t-intervals in points over n condensed sets; with one set over its m trainings, which says "
    "nothing of other sets. Whether two rows differ the paired differences tell, not these."
)


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: the number, and how sure it is."""

    text: str
    detail: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of texts. ``heads`` name the columns after the first; ``key`` is a row's own name."""

    caption: str
    corner: str
    heads: tuple[Cell, ...]
    rows: tuple[tuple[str, Cell, tuple[Cell, ...]], ...]


def results(panel: Panel) -> Grid:
    """Rows by networks and means, then what each row costs."""
    columns = [*panel.seen, *panel.means]
    heads = [head(panel, name) for name in columns]
    cost = [Cell("stored", "bytes"), Cell("samples", "per epoch"), Cell("condensing", "seconds")]
    rows = []
    for row in panel.rows:
        cells = [accuracy_cell(panel, row, name) for name in columns]
        kind = "" if style.is_baseline(row) else "condensed"
        rows.append((row, Cell(style.look(row).label, "", kind), (*cells, *costs(panel, row))))
    return Grid(panel.title, "trained on", (*heads, *cost), tuple(rows))


def intervals(panel: Panel) -> Grid | None:
    """The 95 % interval of each accuracy; None where one training of one set is all there is."""
    columns = [*panel.seen, *panel.means]
    rows = [(row, Cell(style.look(row).label),
             tuple(_interval_cell(panel, row, name) for name in columns)) for row in panel.rows]
    if not any(cell.detail for _, _, cells in rows for cell in cells):
        return None
    caption = f"95 % intervals of accuracies: {panel.title}"
    return Grid(caption, "trained on", tuple(head(panel, name) for name in columns), tuple(rows))


def _interval_cell(panel: Panel, row: str, model: str) -> Cell:
    """``[57.68, 63.19]`` and what it is over; a hole where nothing or one value was measured."""
    line = panel.lines.get((row, model))
    found = line.interval if line else None
    if line is None or found is None or found.low is None or found.high is None:
        return Cell(style.HOLE, "", "hole")
    over = counts(line) if line.unit == "sets" else f"one set, m = {line.seeds}"
    return Cell(f"[{style.points(found.low)}, {style.points(found.high)}]", over)


def beside(panel: Panel) -> tuple[Grid, ...]:
    """Random samples with hard labels in all bytes of soft labels: a table of its own, or none."""
    if panel.beside is None:
        return ()
    caption = (f"Beside it, with hard labels: real samples in all bytes, those of the soft labels "
               f"too ({panel.conditions})")  # fmt: skip
    return (dataclasses.replace(results(panel.beside), caption=caption),)


def head(panel: Panel, name: str) -> Cell:
    """A column's name, with its mark and family."""
    if name in panel.seen:
        text = f"{style.SEEN} {name}" if panel.seen[name] else name
        return Cell(text, panel.family(name), "seen" if panel.seen[name] else "")
    return Cell(name, style.plural(len(panel.members[name]), "network"), "mean")


def accuracy_cell(panel: Panel, row: str, model: str) -> Cell:
    """``67.12 ± 1.05`` and ``n = 3, m = 3``; a dash for a hole."""
    line = panel.lines.get((row, model))
    mean = "mean" if model in panel.means else ""
    if line is None or line.interval is None:
        return Cell(style.HOLE, "not measured", f"hole {mean}".strip())
    return Cell(mean_and_deviation(line) + panel.mark(row, model), counts(line), mean)


def mean_and_deviation(line: Line) -> str:
    """Points with their standard deviation, where there is one."""
    assert line.interval is not None
    text = style.points(line.interval.mean)
    return text if line.interval.sd is None else f"{text} ± {style.points(line.interval.sd)}"


def costs(panel: Panel, row: str) -> tuple[Cell, Cell, Cell]:
    """Stored bytes, samples per epoch, and seconds to condense."""
    stored, samples, mean = cost_values(panel, row)
    return (
        Cell(" / ".join(map(style.count, stored)) or style.HOLE),
        Cell(" / ".join(map(style.count, samples)) or style.HOLE),
        Cell(style.seconds(mean)),
    )


def cost_values(panel: Panel, row: str) -> tuple[list[int], list[int], float | None]:
    """Stored bytes and samples (usually one of each), and mean seconds to condense a set."""
    own = [one for one in panel.records if one.row == row]
    by_set = {one.replicate: one.condense_seconds for one in own}
    told = [value for value in by_set.values() if value is not None]
    return (
        list(dict.fromkeys(one.stored_bytes for one in own)),
        list(dict.fromkeys(one.samples for one in own)),
        sum(told) / len(told) if told else None,
    )


def differences(panel: Panel, row: str) -> Grid:
    """A condensed row against Random, packed Random and its start, network by network."""
    against = [one for one in panel.against(row)
               if panel.counterpart(row, one) or one != "random packed"]  # fmt: skip
    heads = tuple(Cell(f"against {style.look(one).label}") for one in against)
    rows = []
    for name in [*panel.seen, *panel.means, "worst"]:
        cells = tuple(gap_cell(panel, row, one, name) for one in against)
        title = Cell("worst network") if name == "worst" else head(panel, name)
        rows.append((name, title, cells))
    return Grid(f"{style.look(row).label}: {panel.title}", "network", heads, tuple(rows))


def headline(panel: Panel) -> Grid:
    """Gap of each condensed row over (packed) Random and its start: means, worst, networks.

    The number that counts stands first: the mean over the networks that were never seen.
    """
    means = sorted(panel.means, key=lambda one: one != panel.scope)
    columns = [means[0], "worst", *means[1:], *panel.seen]
    heads = [Cell("worst network", "", "mean") if one == "worst" else head(panel, one)
             for one in columns]  # fmt: skip
    rows = []
    for row in panel.condensed:
        random = "random packed" if panel.packs(row) else "random"
        for against in (one for one in panel.against(row) if one in (random, "start")):
            cells = tuple(_short_gap(panel, row, against, one) for one in columns)
            title = Cell(style.look(row).label, f"over {style.spoken(against)}", "condensed")
            rows.append((f"{row} over {against}", title, cells))
    return Grid(f"Gaps in points: {panel.title}", "set", tuple(heads), tuple(rows))


def _short_gap(panel: Panel, row: str, against: str, model: str) -> Cell:
    """The difference and the interval that decides; all of it stands in the long table."""
    found = panel.gaps.get((row, against, model))
    if found is None or found.paired is None:
        return Cell(style.HOLE, "not measured", "hole")
    pair = found.paired
    detail = "" if pair.ends is None else "[{}, {}]".format(*map(style.signed, pair.ends))
    where = [detail, found.network if model == "worst" else ""]
    kind = {"above": "above", "below": "below"}.get(pair.verdict or "", "")
    mean = "mean" if model not in panel.seen else ""
    return Cell(style.signed(pair.difference), " ".join(filter(None, where)),
                f"{mean} {kind}".strip())  # fmt: skip


def gap_cell(panel: Panel, row: str, against: str, model: str) -> Cell:
    """``+1.47 above``, then ``[+0.10, +2.83], SE 0.32, n = 5, m = 3``."""
    found = panel.gaps.get((row, against, model))
    if found is None or found.paired is None:
        return Cell(style.HOLE, "not measured", "hole")
    pair = found.paired
    parts = []
    if pair.low is not None and pair.high is not None and pair.error is not None:
        parts += [style.ends(pair)]
        parts += [f"SE {style.points(pair.error)}"]
    line = panel.lines.get((row, found.network))
    sets = pair.n if pair.unit == "sets" else 1
    parts.append(f"n = {sets}, m = {line.seeds if line else style.HOLE}")
    parts += [f"mean of {pair.draws} draws"] if pair.draws > 1 else []
    parts += ["all differences equal"] if pair.tied else []
    parts += [found.network] if model == "worst" else []
    kind = {"above": "above", "below": "below"}.get(pair.verdict or "", "")
    words = f" {pair.verdict}" if pair.verdict else ""
    return Cell(style.signed(pair.difference) + words, ", ".join(parts), kind)


def best_checks(panel: Panel) -> Grid | None:
    """Best accuracy of any check, apart: it was chosen on the evaluated split and is no result."""
    if all(one.best is None for one in panel.records):
        return None
    rows = []
    for row in panel.rows:
        cells = []
        for name in panel.seen:
            values = [
                one.best
                for one in panel.records
                if (one.row, one.model) == (row, name) and one.best is not None
            ]
            mean = sum(values) / len(values) if values else None
            detail = style.plural(len(values), "training") if values else ""
            cells.append(Cell(style.points(mean), detail))
        rows.append((row, Cell(style.look(row).label), tuple(cells)))
    caption = f"Best of {panel.split}: the best of all checks, chosen on that split, so no result"
    heads = tuple(head(panel, name) for name in panel.seen)
    return Grid(caption, "trained on", heads, tuple(rows))


def markdown(shown: Sequence[Panel]) -> str:
    """All comparisons as Markdown."""
    parts = []
    for panel in shown:
        parts += [f"## {_escape(panel.title)}", *map(_claim, panel.claims)]
        parts += [_markdown_grid(headline(panel))] if panel.condensed else []
        parts += [_markdown_grid(results(panel)), LEGEND]
        parts += panel.remarks
        told = intervals(panel)
        if told is not None:
            parts += [f"### {_escape(told.caption)}", _markdown_grid(told), INTERVAL_LEGEND]
        for grid in beside(panel):
            parts += [f"### {_escape(grid.caption)}", _markdown_grid(grid)]
        for row in panel.condensed:
            parts += [f"### Differences: {_escape(style.look(row).label)}"]
            parts += [_markdown_grid(differences(panel, row)), GAP_LEGEND]
        best = best_checks(panel)
        if best is not None:
            parts += [f"### {_escape(best.caption)}", _markdown_grid(best)]
        parts += [f"- {_escape(note)}" for note in dict.fromkeys(panel.notes)]
    return "\n\n".join(parts or ["No records."]) + "\n"


def markdown_grids(title: str, grids: Sequence[Grid], legend: str = "") -> str:
    """Further tables as Markdown, under a heading of their own."""
    parts = [f"## {_escape(title)}"]
    for grid in grids:
        parts += [f"### {_escape(grid.caption)}", _markdown_grid(grid)]
    return "\n\n".join([*parts, *([_escape(legend)] if legend else [])]) + "\n"


def grid_values(grid: Grid) -> list[dict[str, str]]:
    """A table of texts as rows for a ``.csv`` file: numbers as printed, details beside them."""
    found = []
    for key, name, cells in grid.rows:
        line = {"table": grid.caption, grid.corner or "row": name.text or key}
        for column, cell in zip(grid.heads, cells, strict=True):
            line[column.text] = cell.text
            if cell.detail:
                line[f"{column.text}: detail"] = cell.detail
        found.append(line)
    return found


def _claim(claim: Claim) -> str:
    return _escape(f"{claim.numbers} {claim.verdict}")


def _markdown_grid(grid: Grid) -> str:
    names = [grid.corner, *(_join(one) for one in grid.heads)]
    lines = [names, ["---", *("---:" for _ in grid.heads)]]
    lines += [[_join(name), *map(_join, cells)] for _, name, cells in grid.rows]
    escaped = [[_escape(text) for text in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def _join(cell: Cell) -> str:
    if cell.kind.startswith("hole"):
        return cell.text
    text = f"**{cell.text}**" if cell.kind == "best" else cell.text
    return f"{text} ({cell.detail})" if cell.detail else text


def _escape(text: str) -> str:
    """Text that Markdown takes as text: no cell borders, no tags, one line."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        text = text.replace(sign, instead)
    return " ".join(text.split())


def write_csv(shown: Sequence[Panel], records: Iterable[Record], out: Path) -> list[Path]:
    """``table.csv`` (means), ``differences.csv`` (pairs), ``records.csv`` (all records), unrounded.

    Accuracies and differences are parts of 1, as in records; an empty field is a hole.
    """
    beside = [panel.beside for panel in shown if panel.beside is not None]
    means = [_mean_values(panel, row, model) for panel in (*shown, *beside)
             for row in panel.rows for model in (*panel.seen, *panel.means)]  # fmt: skip
    pairs = [
        values
        for panel in shown
        for (row, against, model) in panel.gaps
        if (values := _pair_values(panel, row, against, model))
    ]
    fields = [one.name for one in dataclasses.fields(Record)]
    raw = [{name: _plain(getattr(one, name)) for name in fields} for one in records]
    return [
        write_rows(out / "table.csv", means, ["data", "row", "network", "mean"]),
        write_rows(out / "differences.csv", pairs,
                   ["data", "row", "against", "network", "difference"]),
        write_rows(out / "records.csv", raw, fields),
    ]  # fmt: skip


def _mean_values(panel: Panel, row: str, model: str) -> dict[str, Any]:
    line = panel.lines.get((row, model))
    found = line.interval if line else None
    stored, samples, seconds = cost_values(panel, row)
    return _where(panel) | {
        "row": row,
        "network": model,
        "seen": panel.seen.get(model),
        "mean": found and found.mean,
        "sd": found and found.sd,
        "low": found and found.low,
        "high": found and found.high,
        "sets": line.replicates if line else 0,
        "trainings": line.seeds if line else 0,
        "deviation over": line.unit if line else None,
        "failed to converge": (row, model) in panel.stars,
        "losses not finite": panel.failed.get((row, model), 0),
        "stored bytes": " / ".join(map(str, stored)),
        "samples": " / ".join(map(str, samples)),
        "condense seconds": seconds,
    }


def _pair_values(panel: Panel, row: str, against: str, model: str) -> dict[str, Any]:
    found = panel.gaps[row, against, model]
    start = _where(panel) | {"row": row, "against": found.against, "network": model}
    if found.paired is None:
        return start | {"difference": None}
    values = dataclasses.asdict(found.paired)
    return start | values | {"worst network": found.network if model == "worst" else None}


def _where(panel: Panel) -> dict[str, Any]:
    return {"data": panel.data, "per_class": panel.per_class, "recipe": panel.recipe,
            "split": panel.split, "labels": panel.labels}  # fmt: skip


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], least: Sequence[str] = ()) -> Path:
    """A ``.csv`` file of these rows; ``least`` names its columns where there is no row."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(least)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value
