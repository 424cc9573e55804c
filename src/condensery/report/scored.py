"""Scores, cost, nearest real samples and embeddings on the page: from records and run files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from condensery.records import Record
from condensery.report import style
from condensery.report.figures import Drawing, dressed, legend_above, panes, slug
from condensery.report.gather import Gathered, RunFiles, mapping
from condensery.report.panels import Panel
from condensery.report.pictures import encoded
from condensery.report.sections import Section
from condensery.report.tables import Cell, Grid
from condensery.scores import held_out_worst, label_robust_of, model_dependency

MOST_RUNS = 6  # runs whose neighbours and embeddings a page shows


def sections(gathered: Gathered, shown: Sequence[Panel]) -> list[Section]:
    """What was measured besides accuracies; nothing where nothing was."""
    found = [one for panel in shown
             for one in (_dependency(panel, shown), _label_robust(panel)) if one]  # fmt: skip
    found += [one for one in (_costs(gathered.runs),) if one]
    for run in gathered.runs[:MOST_RUNS]:
        found += [one for one in (_neighbours(run), _embeddings(run)) if one]
    return found


def _read(run: RunFiles, name: str) -> dict[str, Any]:
    """A file of a run; empty where it is not there or cannot be read."""
    try:
        return mapping(json.loads((run.path / name).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _dependency(panel: Panel, shown: Sequence[Panel]) -> Section | None:
    """Model dependency of the condensed rows, over all sizes; once, at the smallest of them."""
    alike = [one for one in shown if (one.data, one.recipe, one.split, one.labels)
             == (panel.data, panel.recipe, panel.split, panel.labels)]  # fmt: skip
    if panel is not alike[0] or len(panel.seen) < 2:
        return None
    records: list[Record] = [one for other in alike for one in other.records]
    rows = []
    for row in dict.fromkeys(row for other in alike for row in other.condensed):
        for one in model_dependency(records, row):
            if one.sd is None or one.spread is None:
                continue
            own = [record for record in records if record.per_class == one.per_class]
            worst = held_out_worst(own, row)
            count = style.count(one.per_class)
            cells = (Cell(style.points(one.sd)), Cell(style.points(one.spread)),
                     Cell(style.HOLE if worst is None else style.signed(worst)))  # fmt: skip
            rows.append((f"{row} {count}", Cell(f"{style.look(row).label}, {count} per class"),
                         cells))  # fmt: skip
    if not rows:
        return None
    heads = (Cell("deviation", "over networks"), Cell("range", "over networks"),
             Cell("worst network", "picked by the other sets"))  # fmt: skip
    return Section(
        f"Model dependency: {panel.data}, recipe {panel.recipe}",
        "How much the gap to Random hangs on the network, in points: a set that serves all alike "
        "has a small deviation.",
        (Grid("Gap to Random over networks", "trained on", heads, tuple(rows)),),
        open=False, name=slug(f"dependency {panel.data} {panel.recipe}"),
    )  # fmt: skip


def _label_robust(panel: Panel) -> Section | None:
    """LRS, where the whole data were trained on too."""
    if "full" not in panel.rows:
        return None
    heads = tuple(Cell(name) for name in panel.seen)
    rows = []
    for row in panel.condensed:
        scores = {one.model: one for one in label_robust_of(panel.records, row)}
        cells = []
        for name in panel.seen:
            found = scores[name].interval
            if found is None:
                missing = ", ".join(scores[name].missing)
                cells.append(Cell(style.HOLE, f"no record: {missing}", "hole"))
                continue
            spread = "" if found.sd is None else f" ± {found.sd:.3f}"
            cells.append(Cell(f"{found.mean:.3f}{spread}", f"n = {found.n}"))
        rows.append((row, Cell(style.look(row).label), tuple(cells)))
    return Section(
        f"Label-robust score: {panel.title}",
        "From 0 to 1; Random against itself lies below 0.269. With hard labels it says no more "
        "than the gap to Random; it is meant for soft ones.",
        (Grid("LRS", "trained on", heads, tuple(rows)),),
        open=False, name=slug(f"lrs {panel.title}"),
    )  # fmt: skip


def _costs(runs: Sequence[RunFiles]) -> Section | None:
    """What sets took, and after how many trainings they have paid off."""
    told = [(run, found) for run in runs if (found := _read(run, "costs.json"))]
    if not told:
        return None
    heads = (Cell("target", "points"), Cell("made", "seconds"), Cell("training", "seconds"),
             Cell("against", "k-means set"), Cell("its making", "seconds"),
             Cell("its training", "seconds"), Cell("pays off"))  # fmt: skip
    rows = []
    for run, found in told:
        own = mapping(found.get("set"))
        against = str(found.get("against") or style.HOLE)
        rungs = [mapping(one) for one in found.get("rungs", [])]
        other = next((one for one in rungs if one.get("row") == against), {})
        cells = (
            Cell(style.points(found.get("target"))), Cell(style.seconds(own.get("made"))),
            Cell(style.seconds(own.get("trained"))), Cell(against),
            Cell(style.seconds(other.get("made"))), Cell(style.seconds(other.get("trained"))),
            Cell(str(found.get("break_even")),
                 "" if found.get("whole") else "the ladder was not climbed to its end"),
        )  # fmt: skip
        rows.append((run.name, Cell(run.name, str(found.get("network", ""))), cells))
    return Section(
        "Cost",
        "At equal accuracy, on real samples that no side has seen: seconds of a training until it "
        "reaches the condensed set's accuracy less half a point, and of making the set.",
        (Grid("When condensing pays off against k-means", "run", heads, tuple(rows)),),
        open=False, name="cost",
    )  # fmt: skip


def _neighbours(run: RunFiles) -> Section | None:
    """Each synthetic sample above its nearest real one."""
    found = _read(run, "neighbours.json")
    places = [run.path / str(name) for name in found.get("pictures", [])]
    if not found or not all(place.is_file() and place.suffix == ".png" for place in places):
        return None
    from markupsafe import escape

    shown = "".join(
        f'<figure><img alt="{escape(title)}" style="max-width:100%" '
        f'src="{encoded(place.read_bytes())}"><figcaption>{escape(title)}</figcaption></figure>'
        for title, place in zip(("decoded samples", "their nearest real samples"), places,
                                strict=False)
    )  # fmt: skip
    distances = [float(one["distance"]) for one in found.get("nearest", [])]
    told = ""
    if distances:
        told = (f"Distances (root mean square, data-normalised): {min(distances):.2f} to "
                f"{max(distances):.2f}. ")  # fmt: skip
    return Section(f"Nearest real samples: {run.name}", f"{told}Of each: {found.get('note', '')}.",
                   fragment=shown, open=False)  # fmt: skip


def _embeddings(run: RunFiles) -> Section | None:
    """Real and synthetic samples in a plane."""
    found = _read(run, "embeddings.json")
    points = found.get("points") or []
    if not points:
        return None
    drawings = tuple(
        Drawing(
            slug(f"{plane} {run.name}"), f"{title} of {run.name}",
            f"Real samples faint, the step-0 set as crosses, the synthetic set as circles; one "
            f"colour a class. Embeddings of {found.get('network')} after {found.get('updates')} "
            f"updates on real data. Distances in t-SNE mean little.",
            f"Scatter of real and synthetic samples by {title}.", _scatter(points, plane),
        )
        for plane, title in (("pca", "Principal components"), ("tsne", "t-SNE"))
    )  # fmt: skip
    return Section(f"Real and synthetic samples: {run.name}", drawings=drawings, open=False)


def _scatter(points: Sequence[Mapping[str, Any]], plane: str) -> Any:
    """One plane: a colour a class, a marker a kind."""
    import matplotlib

    colours = matplotlib.colormaps["tab10"]
    looks = {"real": ("o", 6, 0.35), "start": ("x", 36, 0.9), "synthetic": ("o", 42, 1.0)}
    with dressed():
        figure, (axes,) = panes(1, each=3.6)
        for kind, (marker, size, strength) in looks.items():
            own = [one for one in points if one["kind"] == kind]
            if not own:
                continue
            edge = style.INK if kind == "synthetic" else None
            axes.scatter([one[plane][0] for one in own], [one[plane][1] for one in own], s=size,
                         marker=marker, alpha=strength, label={"start": "step 0"}.get(kind, kind),
                         edgecolors=edge,
                         c=[colours(one["label"] % 10) for one in own])  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        legend_above(figure, axes)
    return figure

