"""Curves, means and forgetting of continual learning, from lines written by hand."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from condensery.errors import UsageError
from condensery.report.continual import (
    FRESH,
    WARM,
    continual_report,
    curve,
    curves,
    forgetting,
    matrix,
)

TABLE = [[0.90], [0.60, 0.80], [0.45, 0.55, 0.70]]


def lines(
    row: str = "dm", order: int = 0, shift: float = 0.0, seed: int = 0, **told: Any
) -> list[dict[str, Any]]:
    return [
        {
            "order": order, "stage": stage, "stages": 3, "row": row, "seed": seed,
            "by_stage": [value + shift for value in values], "data": "rows", "network": "mlp",
            "recipe": "quick", "accuracy": sum(values) / len(values) + shift, "per_class": 20,
            "stored_bytes": 100 * stage, "classes": list(range(2 * stage)), **told,
        }
        for stage, values in enumerate(TABLE, start=1)
    ]  # fmt: skip


def pairs(orders: int, **told: Any) -> list[dict[str, Any]]:
    return [one for order in range(orders) for row, shift in (("dm", 0.05 + order / 100),
            ("random", 0.0)) for one in lines(row, order, shift, **told)]  # fmt: skip


def test_the_worked_example_comes_out() -> None:
    own = curve(lines(), "dm", 0)
    assert [round(100 * value, 2) for value in own.values()] == [90.0, 70.0, 56.67]
    assert round(100 * sum(own.values()) / 3, 2) == 72.22
    assert matrix(lines(), "dm", 0) == TABLE
    assert forgetting(TABLE) == pytest.approx(0.35)
    assert forgetting(TABLE[:1]) == 0.0


def test_the_report_holds_curves_and_differences_paired_by_order(tmp_path: Path) -> None:
    accuracies, differences = continual_report(pairs(5), tmp_path)
    told = {key: cells for key, _, cells in accuracies.rows}
    assert [one.text for one in told["random"]] == [
        "90.00 ± 0.00", "70.00 ± 0.00", "56.67 ± 0.00", "72.22 ± 0.00", "35.00 ± 0.00",
        "300"]  # fmt: skip
    assert [one.detail for one in accuracies.heads[:3]] == [
        "chance 50.00", "chance 25.00", "chance 16.67"]  # fmt: skip
    gaps = {key: cells for key, _, cells in differences.rows}
    # 5, 6, 7, 8 and 9 points: sd 1.58, t(4) 2.776, half 1.96.
    assert [(one.text, one.detail) for one in gaps["dm"]] == [
        ("+7.00 above", "[+5.04, +8.96], n = 5")] * 2
    assert {one.text for one in gaps["random"]} == {"–"}
    for name in ("continual.md", "continual.csv", "continual.png", "continual.svg"):
        assert (tmp_path / name).stat().st_size > 0


def test_accuracy_on_each_stages_classes_is_shown_and_written(tmp_path: Path) -> None:
    ceiling = [one for order in range(2) for one in lines("full", order, 0.1)[2:]]
    continual_report(pairs(2) + ceiling, tmp_path)
    table = (tmp_path / "continual.md").read_text().split("### Accuracy on the classes")[1]
    assert "| Random (after stage 2) | 60.00 ± 0.00 (n = 2) | 80.00 ± 0.00 (n = 2) |  |" in table
    assert "| DM (after stage 1) | 95.50 ± 0.71 (n = 2) |" in table
    assert "full data (after stage 3) | 55.00" in table and "full data (after stage 2)" not in table
    with (tmp_path / "continual-stages.csv").open() as file:
        told = {(one["row"], one["order"], one["after stage"], one["classes of stage"]):
                float(one["accuracy"]) for one in csv.DictReader(file)}  # fmt: skip
    assert len(told) == 2 * (6 + 6 + 3)
    assert told["dm", "1", "3", "2"] == pytest.approx(TABLE[2][1] + 0.06)
    assert told["full", "0", "3", "1"] == pytest.approx(TABLE[2][0] + 0.1)


def test_few_orders_suggest_at_most_and_one_says_nothing_of_others(tmp_path: Path) -> None:
    _, three = continual_report(pairs(3), tmp_path)
    assert [cells[0].text for _, _, cells in three.rows] == ["+6.00 suggests above", "–"]
    _, one = continual_report(pairs(1), tmp_path)
    (cell, _) = dict((key, cells) for key, _, cells in one.rows)["dm"]
    assert (cell.text, cell.detail) == ("+5.00", "n = 1")
    seeds = [line for seed in (0, 1) for row, shift in (("dm", 0.02 * seed), ("random", 0.0))
             for line in lines(row, 0, shift, seed)]  # fmt: skip
    _, two = continual_report(seeds, tmp_path)
    (cell, _) = dict((key, cells) for key, _, cells in two.rows)["dm"]
    assert cell.text == "+1.00" and cell.detail.endswith("n = 2 evaluation seeds of one order")


def test_evaluation_seeds_are_averaged_within_an_order_and_must_be_alike(tmp_path: Path) -> None:
    every = [one for order in range(3) for seed in (0, 1) for row in ("dm", "random")
             for one in lines(row, order, 0.01 * seed if row == "dm" else 0.0, seed)]  # fmt: skip
    accuracies, differences = continual_report(every, tmp_path)
    last = accuracies.rows[0][2][2]
    assert (last.text, last.detail) == ("57.17 ± 0.00", "n = 3")
    assert "3 class orders, 2 evaluation seeds" in accuracies.caption
    assert differences.rows[0][2][0].text.startswith("+0.50")
    with pytest.raises(UsageError, match="evaluation seeds differ"):
        continual_report([one for one in every if (one["row"], one["seed"]) != ("dm", 1)], tmp_path)


def test_the_page_says_whether_the_network_went_on_and_bytes_were_shared(tmp_path: Path) -> None:
    continual_report(pairs(3), tmp_path)
    fresh = (tmp_path / "continual.md").read_text()
    assert FRESH in fresh and WARM not in fresh
    assert "20 stored per class, mlp fresh at each stage, quick, 3 class orders" in fresh
    continual_report(pairs(3, warm=True, total_bytes=12345), tmp_path)
    warm = (tmp_path / "continual.md").read_text()
    assert WARM in warm and FRESH not in warm
    assert "12,345 bytes for all classes together, mlp continued from stage to stage" in warm


def test_a_ceiling_at_the_last_stage_alone_stands_there_and_nowhere_else(tmp_path: Path) -> None:
    every = pairs(3) + [one for order in range(3) for one in lines("full", order, 0.2)[2:]]
    accuracies, differences = continual_report(every, tmp_path)
    full = {key: cells for key, _, cells in accuracies.rows}["full"]
    assert [one.text for one in full[:5]] == ["–", "–", "76.67 ± 0.00", "–", "–"]
    gaps = {key: cells for key, _, cells in differences.rows}["full"]
    assert gaps[0].text.startswith("+20.00") and gaps[1].text == "–"
    drawn = {one.get_label(): one for one in curves(every).figure.axes[0].lines}
    assert list(drawn["full data"].get_xdata()) == [3]
    assert drawn["full data"].get_ydata()[0] == pytest.approx(100 * (17 / 30 + 0.2))


def test_an_order_that_a_row_has_not_finished_is_left_out() -> None:
    every = lines("dm", 0) + lines("random", 0) + lines("dm", 1) + lines("random", 1)[:2]
    drawn = curves(every).figure.axes[0].lines
    assert [line.get_label() for line in drawn] == ["DM", "Random", "chance"]
    assert list(drawn[2].get_ydata()) == pytest.approx([50, 25, 100 / 6])
    assert list(drawn[2].get_xdata()) == [1, 2, 3]


def test_lines_that_tell_of_no_one_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="condensery continual"):
        continual_report([], tmp_path)
    with pytest.raises(UsageError, match=r"lines of several runs \(warm"):
        continual_report(pairs(1) + lines("dm", 1, warm=True), tmp_path)
    with pytest.raises(UsageError, match="no class order is finished"):
        continual_report(lines("dm") + lines("random")[:2], tmp_path)
