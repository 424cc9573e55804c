"""Tables, figures and a page, drawn from what lies on disk, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from condensery.errors import UsageError
from condensery.report import (
    comparison,
    curves,
    details,
    figures,
    matrices,
    page,
    paper,
    players,
    reading,
    scored,
    tables,
)
from condensery.report.gather import Gathered, Sources, by_kind, gather
from condensery.report.panels import Panel, panels
from condensery.report.sections import Heading, Maker, Section
from condensery.report.terminal import terminal_table

# Who adds a part to the page; each gives its sections, or none, from what was gathered.
MAKERS: tuple[Maker, ...] = (paper.sections, scored.sections, players.sections, reading.sections)


def report(
    sources: Sources,
    out: str | Path,
    sections: Sequence[Section] = (),
    heading: Heading | None = None,
) -> Path:
    """Draw what run directories (or records) say.

    Writes into ``out``: ``report.html`` (one file that holds everything), ``table.md``,
    ``table.csv``, ``differences.csv``, ``records.csv``, where records tell them also
    ``class-accuracy.csv`` and ``confusion.csv``, and each figure as ``.png`` and ``.svg``. Files of
    an earlier report there are replaced; other files are left alone. What is missing or damaged in
    a run is a visible hole and a line under "Notes".

    Args:
        sources: a run directory, several, a folder that holds some, or records. Runs that differ
            in nothing but their seed are replicates of one row.
        out: a folder; made if it is not there.
        sections: further parts of the page, after those that ``MAKERS`` find by themselves.
        heading: what the page is, e.g. which study; None: methods and data, as records tell them.

    Returns:
        The path of ``report.html``.

    Raises:
        UsageError: nothing to report, a folder without a run directory, or ``out`` is a file.
    """
    heading = heading or Heading()
    gathered, folder = gather(sources, heading.evaluated), Path(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; --out wants a directory")
    folder.mkdir(parents=True, exist_ok=True)
    shown = panels(gathered.records)
    names = [_class_names(gathered, panel) for panel in shown]
    panel_views = []
    for place, panel in enumerate(shown):
        prefix = f"{place + 1}-" if len(shown) > 1 else ""
        figured, folded = comparison.panel_drawings(panel, prefix)
        classes = matrices.class_drawings(panel, names[place], prefix)
        panel_views.append(page.panel_view(panel, figured, folded, classes))
    group_views = [page.group_view(kind, runs, curves.run_drawings(runs, kind))
                   for kind, runs in by_kind(gathered.runs).items()]  # fmt: skip
    further = [section for maker in MAKERS for section in maker(gathered, shown)]
    further += sections
    drawn = [drawing for view in panel_views
             for drawing in (*view.drawings, *view.folded, *view.classes)]  # fmt: skip
    drawn += [drawing for view in group_views for drawing in view.drawings]
    drawn += [drawing for section in further for drawing in section.drawings]
    for drawing in drawn:
        figures.save(drawing, folder)
    _write_tables(gathered, shown, names, further, folder)
    target = folder / "report.html"
    rendered = page.render(gathered, panel_views, group_views, further, heading)
    target.write_text(rendered, encoding="utf-8")
    return target


def _write_tables(
    gathered: Gathered,
    shown: Sequence[Panel],
    names: Sequence[Sequence[str]],
    sections: Sequence[Section],
    folder: Path,
) -> None:
    """``table.md`` with all tables, and what they hold as ``.csv``."""
    tables.write_csv(shown, gathered.records, folder)
    pairs = list(zip(shown, names, strict=True))
    for file, values in (("class-accuracy", details.class_values), ("confusion", details.counts)):
        found = [row for panel, classes in pairs for row in values(panel, classes)]
        if found:
            tables.write_rows(folder / f"{file}.csv", found)
    texts = [tables.markdown(shown)]
    for one in sections:
        texts += [tables.markdown_grids(one.title, one.grids, one.legend)] if one.grids else []
        rows = [row for grid in one.grids for row in tables.grid_values(grid)]
        if one.name and rows:
            tables.write_rows(folder / f"{one.name}.csv", rows)
    (folder / "table.md").write_text("\n".join(texts), encoding="utf-8")


def _class_names(gathered: Gathered, panel: Panel) -> list[str]:
    """Names of the classes as a run on these data tells them; else their numbers."""
    for run in gathered.runs:
        named = run.label_names if run.settings.get("data") == panel.data else []
        if len(named) == panel.classes:
            return named
    return list(map(str, range(panel.classes)))


__all__ = ["Heading", "Section", "Sources", "report", "terminal_table"]
