"""Figures are files and markup that bring nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.text import Text

from condensery.report import MAKERS, comparison, curves, figures, matrices, style
from condensery.report.arms import arms_table
from condensery.report.figures import Drawing, dressed
from condensery.report.gather import gather, read_run
from condensery.report.panels import Panel, panels
from report.runs import NAMES, demo_records, evaluated, record, run_directory, three_rows, write


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
    assert drawn[0].figure.axes[0].get_xlabel() == "paired difference (points),\n95 % interval"


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


def outside(drawing: Drawing) -> list[str]:
    """Words of a figure that reach over its edge, where a page cuts them.

    Numbers are left out: those of ticks beyond an axis' end are there and never drawn.
    """
    with dressed():
        drawing.figure.draw_without_rendering()
    edge = drawing.figure.bbox.padded(1)
    boxes = [(one.get_text(), one.get_window_extent()) for one in drawing.figure.findobj(Text)
             if one.get_visible() and re.search("[a-z]", one.get_text())]  # fmt: skip
    return [text for text, box in boxes if box.x0 < edge.x0 or box.x1 > edge.x1
            or box.y0 < edge.y0 or box.y1 > edge.y1]  # fmt: skip


@pytest.fixture(scope="module")
def all_drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Drawing]:
    """Every figure that a comparison, runs and a study draw, with names that are long."""
    networks = {"convnet3": True, "a_network_of_a_rather_long_name": False}
    rows = {"random": 0.4, "random packed": 0.45, "start": 0.47, "hmdc": 0.5, "idc": 0.55}
    told = {"class_accuracy": [0.1] * 10, "confusion": [[1] * 10] * 10,
            "curve": [[50, 0.4], [100, 0.6]], "data": "cifar10", "recipe": "hmdc"}  # fmt: skip
    records = [record(**vars(one) | told | {"per_class": size, "family": "cnn"})
               for size in (1.0, 10.0) for seed in (0, 1)
               for one in demo_records(seed, networks, rows)]  # fmt: skip
    shown = panels(records)
    place = tmp_path_factory.mktemp("run")
    runs = []
    for arm in ("with", "a_method_of_a_rather_long_name"):
        run = evaluated(run_directory(place / arm), [record(replicate=one) for one in (0, 1)])
        write(run / "study.json", {"arm": arm})
        runs.append(read_run(run, arm))
    found = [one for maker in MAKERS for section in maker(gather(records), shown)
             for one in section.drawings]  # fmt: skip
    for panel in shown:
        first, folded = comparison.panel_drawings(panel, "x")
        found += [*first, *folded, *matrices.class_drawings(panel, NAMES, "x")]
    found += curves.run_drawings(runs, "hmdc")
    for section in arms_table(runs, "Ablation", "with"):
        found += section.drawings
    return found


def test_no_label_of_any_figure_is_cut_at_its_edge(all_drawings: list[Drawing]) -> None:
    assert len(all_drawings) > 20
    assert not {one.title: texts for one in all_drawings if (texts := outside(one))}
