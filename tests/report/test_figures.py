"""Figures show the numbers of the records; on the page they bring nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest

from condensery.report import figures, style
from condensery.report.gather import read_run
from condensery.report.panels import panels
from report.runs import grid, record, run_directory

ROWS = ("hmdc", "start", "random")


@pytest.fixture
def panel():
    cells = {(row, model): [[60.0 - 5 * place, 62.0 - 5 * place]] * 2
             for place, row in enumerate(ROWS) for model in ("convnet3", "mlp")}  # fmt: skip
    del cells["random", "mlp"]
    (found,) = panels(grid(cells))
    return found


def bars(drawing: figures.Drawing) -> list[float]:
    return [round(patch.get_width(), 6) for patch in drawing.figure.axes[0].patches]


def test_bars_are_as_long_as_accuracies_and_holes_are_said(panel) -> None:
    drawing = figures.accuracy_bars(panel, "x")
    assert bars(drawing) == [61.0] * 3 + [56.0] * 3 + [51.0]
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert texts == ["– not measured"] * 2  # random on mlp, and the mean that needs it


def test_chance_has_its_line(panel) -> None:
    lines = figures.accuracy_bars(panel, "x").figure.axes[0].get_lines()
    (chance,) = [line for line in lines if line.get_label() == "chance"]
    assert chance.get_xdata()[0] == 10


def test_gap_bars_are_paired_differences(panel) -> None:
    drawing = figures.gap_bars(panel, "hmdc", "x")
    assert drawing is not None
    assert bars(drawing) == [10.0, 5.0, 5.0, 5.0]  # random: one network; step 0: two and their mean


def test_without_anything_to_compare_there_is_no_gap_figure() -> None:
    (alone,) = panels([record()])
    assert figures.gap_bars(alone, "hmdc", "x") is None


def test_the_heat_map_prints_each_measured_mean(panel) -> None:
    drawing = figures.heat_map(panel, "x")
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert texts == ["61.0"] * 3 + ["56.0"] * 3 + ["51.0"]


def test_every_figure_names_its_axes_and_units(panel, tmp_path: Path) -> None:
    run = read_run(run_directory(tmp_path))
    drawn = [*figures.panel_drawings(panel, ""), *figures.run_drawings(run)]
    assert len(drawn) == 5
    for drawing in drawn:
        labels = [axes.get_xlabel() for axes in drawing.figure.axes]
        assert drawing.alt and any(labels)
    assert drawn[0].figure.axes[0].get_xlabel() == "paired difference (points), 95 % interval"


def test_balance_shows_gradients_before_and_times_their_weights_after(tmp_path: Path) -> None:
    run = read_run(run_directory(tmp_path, steps=31))
    drawing = figures.balance_curves(run)
    assert drawing is not None
    before, after = (axes.get_lines()[0].get_ydata() for axes in drawing.figure.axes)
    steps, largest = run.series("largest")
    assert steps == [1, 11, 21, 31]
    assert list(before) == pytest.approx([row[0] for row in largest])
    assert list(after) == pytest.approx([0.06 * row[0] for row in largest])
    assert drawing.figure.axes[0].get_yscale() == "log"


def test_events_that_tell_nothing_draw_nothing(tmp_path: Path) -> None:
    run = run_directory(tmp_path)
    (run / "events.jsonl").write_text('{"step": 1, "terms": []}\n{"step": 2, "terms": null}\n')
    assert figures.run_drawings(read_run(run)) == []


def test_terms_that_are_not_finite_or_not_positive_are_gaps(tmp_path: Path) -> None:
    run = run_directory(tmp_path)
    lines = '{"step": 1, "terms": [NaN, 0]}\n{"step": 2, "terms": [1, 0]}\n'
    (run / "events.jsonl").write_text(lines)
    drawing = figures.term_curves(read_run(run))
    assert drawing is not None and "<svg" in figures.inline(drawing)


def test_markup_for_the_page_has_its_ink_its_own_names_and_no_address(panel) -> None:
    markup = figures.inline(figures.accuracy_bars(panel, "mine"))
    assert markup.startswith('<svg role="img"')
    assert "http" not in markup and "<style" not in markup and "<!--" not in markup
    assert "currentColor" in markup and style.INK not in markup
    ids = re.findall(r'\sid="([^"]+)"', markup)
    assert len(ids) == len(set(ids)) and all(one.startswith("mine-") for one in ids)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup))
    assert used <= set(ids)
    ElementTree.fromstring(markup)


def test_names_in_figures_are_text_not_markup_and_not_mathematics() -> None:
    name = '<script>alert("$x_1$")</script> -->'
    (hostile,) = panels([record(model=name)])
    markup = figures.inline(figures.accuracy_bars(hostile, "x"))
    assert "<script" not in markup
    whole = "".join(ElementTree.fromstring(markup).itertext())
    assert "<script>ale" in whole  # long names are shortened in the middle


def test_files_are_written_as_png_and_svg_and_settings_of_the_process_come_back(
    panel, tmp_path: Path
) -> None:
    before = dict(matplotlib.rcParams)
    png, svg = figures.save(figures.heat_map(panel, "heat"), tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    ElementTree.parse(svg)
    assert dict(matplotlib.rcParams) == before
