"""What a terminal shows: numbers, counts, and what may be claimed."""

from __future__ import annotations

import io

from rich.console import Console

from condensery.report import terminal_table
from report.runs import grid, record

NINE = [[60.2, 60.8, 59.9], [61.5, 62.1, 61.2], [59.0, 59.8, 59.4]]


def shown(records: list, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal_table(records))
    return " ".join(console.export_text().split())


def test_the_terminal_shows_numbers_counts_and_what_may_be_claimed() -> None:
    text = shown(grid({("hmdc", "mlp"): NINE, ("random", "mlp"): NINE}))
    assert "60.43" in text and "± 1.11" in text
    assert "n = 3, m = 3 throughout" in text
    assert "No claim is made" in text


def test_the_terminal_takes_markup_in_names_as_text() -> None:
    assert "[red]" in shown([record(data="[red]")])


def test_several_comparisons_stand_below_one_another_in_the_terminal() -> None:
    text = shown([record(), record(split="val")])
    assert "test split" in text and "val split" in text


def test_no_records_are_said_in_the_terminal() -> None:
    assert "No records" in shown([])


def test_one_set_trained_once_reads_as_sentences_without_intervals() -> None:
    cells = {("hmdc", "mlp"): [[50.0]], ("random", "mlp"): [[40.0]], ("start", "mlp"): [[51.5]]}
    text = shown(grid(cells, seen=False))
    assert ("HMDC reaches 50.00 % on mlp, the one network it never saw (n = 1, m = 1). In points: "
            "+10.00 against Random and \u22121.50 against its own step-0 set. The best") in text
