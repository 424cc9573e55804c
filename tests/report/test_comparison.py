"""Bars and curves of a comparison show the numbers of its records."""

from __future__ import annotations

import numpy as np
import pytest

from condensery.report import comparison
from condensery.report.figures import Drawing
from condensery.report.panels import Panel, panels
from report.runs import grid, record, three_rows


@pytest.fixture
def panel() -> Panel:
    return three_rows()


def bars(drawing: Drawing) -> list[float]:
    return [round(patch.get_width(), 6) for patch in drawing.figure.axes[0].patches]


def test_bars_are_as_long_as_accuracies_and_holes_are_said(panel: Panel) -> None:
    drawing = comparison.accuracy_bars(panel, "x")
    assert bars(drawing) == [61.0] * 3 + [56.0] * 3 + [51.0]
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert texts == ["– not measured"] * 2  # random on mlp, and the mean that needs it


def test_chance_has_its_line(panel: Panel) -> None:
    lines = comparison.accuracy_bars(panel, "x").figure.axes[0].get_lines()
    (chance,) = [line for line in lines if line.get_label() == "chance"]
    assert chance.get_xdata()[0] == 10


def test_gap_bars_are_paired_differences(panel: Panel) -> None:
    drawing = comparison.gap_bars(panel, "hmdc", "x")
    assert drawing is not None
    assert bars(drawing) == [10.0, 5.0, 5.0, 5.0]  # random: one network; step 0: two and their mean


def test_without_anything_to_compare_there_is_no_gap_figure() -> None:
    (alone,) = panels([record()])
    assert comparison.gap_bars(alone, "hmdc", "x") is None


def spent(panel: Panel) -> list[dict[str, tuple[float, float]]]:
    """For each pane, seconds and accuracy of each row by its label."""
    found = []
    for axes in comparison.seconds_map(panel, "x").figure.axes:
        assert axes.get_xscale() == "log"
        points = [(one.get_label(), one[0].get_xydata()[0]) for one in axes.containers]
        found.append({label: (point[0], point[1]) for label, point in points})
    return found


def test_seconds_are_those_of_one_training_and_then_with_the_making_of_the_set() -> None:
    cells = {("hmdc", "mlp"): [[60.0, 62.0]], ("random", "mlp"): [[50.0, 50.0]]}
    records = grid(cells, seen=False, seconds=2.0)
    records = [record(**vars(one) | {"condense_seconds": 98.0 if one.row == "hmdc" else None})
               for one in records]  # fmt: skip
    (panel,) = panels(records)
    alone, whole = spent(panel)
    assert alone["HMDC"] == pytest.approx((2, 61)) and whole["HMDC"] == pytest.approx((100, 61))
    assert alone["Random"] == whole["Random"] == pytest.approx((2, 50))


@pytest.mark.parametrize("spent", [1e-3, 0.37, 11.0, 40_000.0])
def test_seconds_have_a_few_labels_however_alike_or_unlike_they_are(spent: float) -> None:
    (panel,) = panels([record(seconds=10.9), record(row="random", seconds=spent)])
    figure = comparison.seconds_map(panel, "x").figure
    figure.canvas.draw()
    axes = figure.axes[-1]
    low, high = axes.get_xlim()
    shown = [one for one in axes.get_xticklabels(which="both")
             if one.get_text() and low <= one.get_position()[0] <= high]  # fmt: skip
    assert 2 <= len(shown) <= 10


def test_learning_curves_are_means_of_the_checks_that_all_trainings_have() -> None:
    curves = ([[10, 0.2], [20, 0.4], [30, 0.6]], [[10, 0.4], [30, 0.8]])
    (panel,) = panels([record(seed=seed, curve=curve) for seed, curve in enumerate(curves)])
    drawing = comparison.learning_curves(panel, "x")
    assert drawing is not None
    (line,) = drawing.figure.axes[0].get_lines()
    assert line.get_xydata() == pytest.approx(np.array([[10, 30], [30, 70]]))
    (plain,) = panels([record()])
    assert comparison.learning_curves(plain, "x") is None


def test_each_network_has_a_pane_of_learning_curves() -> None:
    curve = [[1, 0.5], [2, 0.6]]
    records = [record(model=name, curve=curve) for name in ("a", "b")]
    (panel,) = panels([*records, record(model="c")])
    drawing = comparison.learning_curves(panel, "x")
    assert drawing is not None
    assert [axes.get_title("left") for axes in drawing.figure.axes] == ["● a", "● b"]
