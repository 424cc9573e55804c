"""Figures in rows and columns show what was recorded, and nothing that was not."""

from __future__ import annotations

import numpy as np

from condensery.report import matrices
from condensery.report.figures import Drawing
from condensery.report.panels import panels
from report.runs import record, three_rows

TWO = {"classes": 2, "class_accuracy": [0.9, 0.5], "confusion": [[9, 1], [5, 5]]}


def texts(drawing: Drawing) -> list[str]:
    return [text.get_text() for text in drawing.figure.axes[0].texts]


def test_the_heat_map_prints_each_measured_mean() -> None:
    drawing = matrices.heat_map(three_rows(), "x")
    assert texts(drawing) == ["61.0"] * 3 + ["56.0"] * 3 + ["51.0"]


def test_accuracy_per_class_is_the_mean_over_trainings() -> None:
    (panel,) = panels([record(**TWO), record(**TWO | {"class_accuracy": [0.7, 0.1]}, seed=1)])
    drawing = matrices.class_map(panel, ["cat", "dog"], "x")
    assert drawing is not None and texts(drawing) == ["80.0", "30.0"]
    names = [label.get_text() for label in drawing.figure.axes[0].get_xticklabels()]
    assert names == ["cat", "dog"]


def test_confusion_is_summed_and_in_per_cent_of_the_true_class() -> None:
    (panel,) = panels([record(**TWO), record(**TWO | {"confusion": [[1, 9], [5, 5]]}, seed=1)])
    drawing = matrices.confusion_map(panel, "hmdc", ["cat", "dog"], "x")
    assert drawing is not None and texts(drawing) == ["50.0", "50.0", "50.0", "50.0"]
    (first,) = panels([record(**TWO)])
    alone = matrices.confusion_map(first, "hmdc", ["cat", "dog"], "x")
    assert alone is not None and texts(alone) == ["90.0", "10.0", "50.0", "50.0"]


def test_without_records_of_classes_there_is_no_figure_of_them() -> None:
    (panel,) = panels([record()])
    assert matrices.class_drawings(panel, [str(one) for one in range(10)], "") == []


def test_a_class_without_a_test_sample_is_a_hole() -> None:
    (panel,) = panels([record(**TWO | {"confusion": [[9, 1], [0, 0]]})])
    drawing = matrices.confusion_map(panel, "hmdc", ["cat", "dog"], "x")
    assert drawing is not None and texts(drawing) == ["90.0", "10.0"]
    assert len(drawing.figure.axes[0].patches) == 2


def test_a_hundred_classes_are_one_picture_not_ten_thousand_shapes() -> None:
    counts = np.eye(30, dtype=int).tolist()
    (panel,) = panels([record(classes=30, class_accuracy=[1.0] * 30, confusion=counts)])
    drawing = matrices.confusion_map(panel, "hmdc", [f"class {one}" for one in range(30)], "x")
    assert drawing is not None and not texts(drawing)
    assert len(drawing.svg) < 100_000
