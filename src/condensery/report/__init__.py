"""Tables, figures and a page, drawn from what lies on disk, without torch."""

from __future__ import annotations

from pathlib import Path

from condensery.errors import UsageError
from condensery.report import figures, page, tables
from condensery.report.gather import Sources, gather
from condensery.report.panels import panels
from condensery.report.tables import terminal_table


def report(sources: Sources, out: str | Path) -> Path:
    """Draw what run directories (or records) say.

    Writes into ``out``: ``report.html`` (one file that holds everything), ``table.md``,
    ``table.csv``, ``differences.csv``, ``records.csv``, and each figure as ``.png`` and ``.svg``.
    Files of an earlier report there are replaced; other files are left alone. What is missing or
    damaged in a run is a visible hole and a line under "Notes".

    Args:
        sources: a run directory, several, or records. Runs that differ in nothing but their seed
            are replicates of one row.
        out: a folder; made if it is not there.

    Returns:
        The path of ``report.html``.

    Raises:
        UsageError: nothing to report, a directory that is no run directory, or ``out`` is a file.
    """
    gathered, folder = gather(sources), Path(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; --out wants a directory")
    folder.mkdir(parents=True, exist_ok=True)
    shown = panels(gathered.records)
    panel_views = []
    for number, panel in enumerate(shown, start=1):
        prefix = f"{number}-" if len(shown) > 1 else ""
        panel_views.append(page.panel_view(panel, figures.panel_drawings(panel, prefix)))
    run_views = [page.run_view(run, figures.run_drawings(run)) for run in gathered.runs]
    drawn = [view.drawings for view in panel_views] + [view.drawings for view in run_views]
    for drawing in (one for drawings in drawn for one in drawings):
        figures.save(drawing, folder)
    tables.write_csv(shown, gathered.records, folder)
    (folder / "table.md").write_text(tables.markdown(shown), encoding="utf-8")
    target = folder / "report.html"
    target.write_text(page.render(gathered, panel_views, run_views), encoding="utf-8")
    return target


__all__ = ["Sources", "report", "terminal_table"]
