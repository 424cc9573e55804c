"""What records tell beyond one accuracy, against sums by hand."""

from __future__ import annotations

import csv
from pathlib import Path

from condensery.report import details, report
from condensery.report.panels import panels
from report.runs import record

TWO = {"classes": 2, "class_accuracy": [0.75, 0.25], "confusion": [[3, 1], [3, 1]]}


def test_class_accuracy_is_a_hole_as_soon_as_one_training_does_not_tell_it() -> None:
    (panel,) = panels([record(**TWO), record(classes=2, seed=1)])
    assert details.class_accuracy(panel, "hmdc") == []
    assert details.confusion(panel, "hmdc") == [[3, 1], [3, 1]]


def test_seconds_of_training_are_of_the_headlines_networks_and_of_making_of_each_set_once() -> None:
    (panel,) = panels([
        record(seen=True, seconds=100.0, condense_seconds=10.0),
        record(model="mlp", seen=False, seconds=1.0, condense_seconds=10.0),
        record(model="mlp", seen=False, seconds=3.0, condense_seconds=10.0, seed=1),
        record(model="mlp", seen=False, seconds=2.0, condense_seconds=40.0, replicate=1),
    ])  # fmt: skip
    assert details.training_seconds(panel, "hmdc") == 2.0
    assert details.condense_seconds(panel, "hmdc") == 25.0


def test_a_damaged_curve_or_confusion_is_left_out() -> None:
    (panel,) = panels([record(**TWO | {"confusion": [[1, 2]]}, curve=[[1]])])
    assert details.confusion(panel, "hmdc") == []
    assert details.curve(panel, "hmdc", "convnet3") == []


def test_classes_and_confusion_are_written_as_csv_only_where_they_are_known(tmp_path: Path) -> None:
    report([record(**TWO)], tmp_path / "told")
    with (tmp_path / "told" / "confusion.csv").open(newline="") as file:
        found = [(one["true"], one["taken for"], one["count"]) for one in csv.DictReader(file)]
    assert found == [("0", "0", "3"), ("0", "1", "1"), ("1", "0", "3"), ("1", "1", "1")]
    assert "0.75" in (tmp_path / "told" / "class-accuracy.csv").read_text()
    report([record()], tmp_path / "silent")
    assert not list((tmp_path / "silent").glob("c*.csv"))
