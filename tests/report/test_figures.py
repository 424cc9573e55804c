"""Figures are files and markup that bring nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest

from condensery.report import comparison, curves, figures, matrices, style
from condensery.report.gather import read_run
from condensery.report.panels import Panel, panels
from report.runs import record, run_directory, three_rows


@pytest.fixture
def panel() -> Panel:
    return three_rows()


def test_every_figure_names_its_axes_and_units(panel: Panel, tmp_path: Path) -> None:
    run = read_run(run_directory(tmp_path))
    drawn = [*comparison.panel_drawings(panel, "")[0], *curves.run_drawings([run], "run")]
    assert len(drawn) == 6
    for drawing in drawn:
        labels = [axes.get_xlabel() for axes in drawing.figure.axes]
        assert drawing.alt and any(labels)
    assert drawn[0].figure.axes[0].get_xlabel() == "paired difference (points), 95 % interval"


def test_markup_for_the_page_has_its_ink_its_own_names_and_no_address(panel: Panel) -> None:
    markup = figures.inline(comparison.accuracy_bars(panel, "mine"))
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
    markup = figures.inline(comparison.accuracy_bars(hostile, "x"))
    assert "<script" not in markup
    whole = "".join(ElementTree.fromstring(markup).itertext())
    assert "<script>ale" in whole  # long names are shortened in the middle


def test_files_are_written_as_png_and_svg_and_settings_of_the_process_come_back(
    panel: Panel, tmp_path: Path
) -> None:
    before = dict(matplotlib.rcParams)
    png, svg = figures.save(matrices.heat_map(panel, "heat"), tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    ElementTree.parse(svg)
    assert dict(matplotlib.rcParams) == before
