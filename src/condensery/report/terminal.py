"""The results in a terminal: narrow enough for eight columns, and what may be claimed of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from condensery.records import Record
from condensery.report import style
from condensery.report.panels import Panel, counts, panels
from condensery.report.tables import LEGEND, Cell, beside, results

if TYPE_CHECKING:
    from rich.table import Table


def terminal_table(records: Iterable[Record]) -> Table:
    """The results for a terminal, and what may be claimed of them.

    Args:
        records: of one or more comparisons.

    Returns:
        A ``rich`` table; comparisons stand below one another in it.
    """
    from rich.table import Table
    from rich.text import Text

    whole, shown = Table.grid(), panels(records)
    for panel in shown:
        whole.add_row(Text(panel.title, "bold"))
        whole.add_row(_terminal_results(panel))
        said = (_shared(panel) + LEGEND, *panel.remarks)
        whole.add_row(Text(" ".join(said), "dim"))
        for grid in beside(panel):
            whole.add_row(Text(grid.caption, "bold"))
            whole.add_row(_terminal_results(panel.beside or panel))
        for claim in panel.claims:
            whole.add_row(Text(f"\n{claim.numbers} {claim.verdict}"))
        for note in dict.fromkeys(panel.notes):
            whole.add_row(Text(f"Note: {note}", "dim"))
    if not shown:
        whole.add_row("No records: run `condensery evaluate` first.")
    return whole


def _terminal_results(panel: Panel) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid, kept = results(panel), len(panel.seen) + len(panel.means)
    table.add_column("trained on", overflow="fold")
    for one in grid.heads[:kept]:
        table.add_column(Text(one.text), justify="right", overflow="fold")
    for _, name, cells in grid.rows:
        strong = "" if name.kind != "condensed" else "bold"
        texts = [_terminal_cell(one, len(_counted(panel)) > 1) for one in cells[:kept]]
        table.add_row(*(Text(one, strong) for one in (name.text, *texts)))
    return table


def _counted(panel: Panel) -> set[str]:
    return {counts(line) for line in panel.lines.values() if line.interval is not None}


def _shared(panel: Panel) -> str:
    """What is the same in all cells, so that none of them need say it."""
    told, stored = _counted(panel), {one.stored_bytes for one in panel.records}
    text = f"{told.pop()} throughout. " if len(told) == 1 else ""
    return text + (f"{style.plural(stored.pop(), 'byte')} each. " if len(stored) == 1 else "")


def _terminal_cell(cell: Cell, counted: bool) -> str:
    """The mean above its deviation: narrow enough for eight columns of a small terminal."""
    text = cell.text.replace(" ± ", "\n± ")
    return f"{text}\n{cell.detail}" if counted and not cell.kind.startswith("hole") else text
