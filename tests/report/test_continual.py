"""Curves, means and forgetting of continual learning, from lines written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from condensery.errors import UsageError
from condensery.report.continual import continual_report, curve, curves, forgetting, matrix

TABLE = [[0.90], [0.60, 0.80], [0.45, 0.55, 0.70]]


def lines(row: str = "dm", order: int = 0, shift: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "order": order, "stage": stage, "stages": 3, "row": row, "seed": 0,
            "by_stage": [value + shift for value in values], "data": "rows", "network": "mlp",
            "accuracy": sum(values) / len(values) + shift, "per_class": 20, "stored_bytes": 100,
            "classes": list(range(2 * stage)),
        }
        for stage, values in enumerate(TABLE, start=1)
    ]  # fmt: skip


def test_the_worked_example_comes_out() -> None:
    own = curve(lines(), "dm", 0)
    assert [round(100 * value, 2) for value in own.values()] == [90.0, 70.0, 56.67]
    assert round(100 * sum(own.values()) / 3, 2) == 72.22
    assert matrix(lines(), "dm", 0) == TABLE
    assert forgetting(TABLE) == pytest.approx(0.35)
    assert forgetting(TABLE[:1]) == 0.0


def test_the_report_holds_curves_and_differences_paired_by_order(tmp_path: Path) -> None:
    every = [one for order in range(5) for row, shift in (("dm", 0.05 + order / 100), ("random", 0))
             for one in lines(row, order, shift)]  # fmt: skip
    accuracies, differences = continual_report(every, tmp_path)
    told = {key: cells for key, _, cells in accuracies.rows}
    assert [one.text for one in told["random"]][:5] == [
        "90.00 ± 0.00", "70.00 ± 0.00", "56.67 ± 0.00", "72.22 ± 0.00", "35.00 ± 0.00"]  # fmt: skip
    pairs = {key: cells for key, _, cells in differences.rows}
    assert pairs["dm"][0].text == "+7.00 above" and "n = 5" in pairs["dm"][0].detail
    for name in ("continual.md", "continual.csv", "continual.png", "continual.svg"):
        assert (tmp_path / name).stat().st_size > 0


def test_an_order_that_a_row_has_not_finished_is_left_out() -> None:
    every = lines("dm", 0) + lines("random", 0) + lines("dm", 1) + lines("random", 1)[:2]
    drawn = curves(every)
    assert [line.get_label() for line in drawn.figure.axes[0].lines] == ["DM", "Random", "chance"]
    assert drawn.figure.axes[0].lines[2].get_ydata()[0] == pytest.approx(50.0)


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="condensery continual"):
        continual_report([], tmp_path)
