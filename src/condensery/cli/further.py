"""What ``condensery evaluate`` prints below its results: best checks, rates, classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from condensery.records import Record
    from condensery.report.panels import Panel

WIDEST = 12  # classes up to which the whole confusion matrix fits a terminal
WORST = 10  # confusions that are named otherwise


def best_tables(records: Iterable[Record]) -> list[Table | Text]:
    """For each comparison with checks on the way: the best of them, under that name."""
    from condensery.report.panels import panels
    from condensery.report.tables import best_checks

    shown: list[Table | Text] = []
    for panel in panels(records):
        found = best_checks(panel)
        if found is None:
            continue
        table = _table(found.corner, [head.text for head in found.heads])
        for _, title, cells in found.rows:
            table.add_row(_plain(title.text), *(cell.text for cell in cells))
        shown += [_plain(found.caption), table]
    return shown


def edges(records: Iterable[Record]) -> list[Text]:
    """A line where a searched rate is the lowest or the highest that was tried."""
    found = {f"{one.row} on {one.model} ({one.settings['lr']:g})": None
             for one in records if one.settings.get("rate_at_edge")}  # fmt: skip
    if not found:
        return []
    return [_plain(f"At the edge of the rates that were tried, so a better one may lie beyond: "
                   f"{', '.join(found)}.")]  # fmt: skip


def class_tables(records: Iterable[Record], names: Sequence[str]) -> list[Table | Text]:
    """For each comparison: accuracy of each class, and the confusion of each condensed set.

    Means and sums over all networks, sets and trainings of a row.

    Args:
        records: of one or more comparisons. names: of the classes; their numbers where none fit.

    Returns:
        What ``rich`` prints, one below the other; a line that says so where records tell nothing of
        classes (older ones, or data of very many classes).
    """
    from condensery.report.details import class_accuracy
    from condensery.report.panels import panels

    shown: list[Table | Text] = []
    for panel in panels(records):
        named = names if len(names) == panel.classes else [str(n) for n in range(panel.classes)]
        told = {row: values for row in panel.rows if (values := class_accuracy(panel, row))}
        if not told:
            shown.append(_plain(f"{panel.title}: these records tell nothing of single classes"))
            continue
        shown += _accuracies(panel, told, named)
        shown += [
            part
            for row in (panel.condensed or panel.rows)
            for part in _confusion(panel, row, named)
        ]
    return shown


def _accuracies(
    panel: Panel, told: dict[str, list[float]], names: Sequence[str]
) -> list[Table | Text]:
    from condensery.report.style import look

    table = _table("class", [look(row).label for row in told])
    for place, name in enumerate(names):
        table.add_row(_plain(name), *(f"{100 * values[place]:.1f}" for values in told.values()))
    return [_plain(f"Accuracy per class, %: {panel.title}"), table]


def _confusion(panel: Panel, row: str, names: Sequence[str]) -> list[Table | Text]:
    """Per cent of each true class that is taken for each other; of many classes the worst pairs."""
    from condensery.report.details import confusion
    from condensery.report.style import look

    counts = confusion(panel, row)
    if not counts:
        return []
    shares = [[100 * count / max(1, sum(line)) for count in line] for line in counts]
    label = look(row).label
    if len(names) > WIDEST:
        pairs = [(share, true, taken) for true, line in enumerate(shares)
                 for taken, share in enumerate(line) if true != taken and share]  # fmt: skip
        worst = [f"{names[true]} for {names[taken]} {share:.0f} %"
                 for share, true, taken in sorted(pairs, reverse=True)[:WORST]]  # fmt: skip
        return [_plain(f"{label} takes {', '.join(worst)}")]
    table = _table("", names)
    for name, line in zip(names, shares, strict=True):
        table.add_row(_plain(name), *(f"{share:.0f}" for share in line))
    return [_plain(f"{label}: true classes down, taken for across, %"), table]


def _table(first: str, heads: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for head in heads:
        table.add_column(_plain(head), justify="right", overflow="fold")
    return table


def _plain(text: str) -> Text:
    """As it stands: a bracket in a name is no markup."""
    from rich.text import Text

    return Text(text)
