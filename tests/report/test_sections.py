"""Further parts of the page: in the page, its contents, its tables and its files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from condensery.report import comparison, report
from condensery.report.sections import Section
from condensery.report.tables import Cell, Grid
from report.runs import record, three_rows

GRID = Grid("Bytes & more", "set", (Cell("kept"), Cell("lost", "per cent")),
            (("a", Cell("set a"), (Cell("10", "n = 3"), Cell("2"))),))  # fmt: skip


@pytest.fixture
def out(tmp_path: Path) -> Path:
    drawing = comparison.accuracy_bars(three_rows(), "further-figure")
    section = Section("What <b>was</b> kept", "A lead.", (GRID,), (drawing,), "Small print.",
                      "<p class='own'>own markup</p>", name="kept",
                      notes=("odd: yes",))  # fmt: skip
    report([record()], tmp_path, [section])
    return tmp_path


def test_a_section_stands_on_the_page_and_in_its_contents(out: Path) -> None:
    html = (out / "report.html").read_text(encoding="utf-8")
    assert html.count("What &lt;b&gt;was&lt;/b&gt; kept") == 2 and 'href="#section-1"' in html
    assert "A lead." in html and "Small print." in html and "<p class='own'>" in html
    assert "<li>odd: yes</li>" in html and "further-figure-" in html


def test_its_tables_and_figures_are_files_too(out: Path) -> None:
    assert (out / "further-figure.png").exists() and (out / "further-figure.svg").exists()
    with (out / "kept.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {"table": "Bytes & more", "set": "set a", "kept": "10", "kept: detail": "n = 3",
                   "lost": "2"}  # fmt: skip
    assert "### Bytes &amp; more" in (out / "table.md").read_text(encoding="utf-8")
