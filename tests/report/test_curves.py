"""Curves of runs: the events' numbers, the first seed strong."""

from __future__ import annotations

from pathlib import Path

import pytest

from condensery.report import curves, figures
from condensery.report.gather import read_run
from report.runs import run_directory


def test_balance_shows_gradients_before_and_times_their_weights_after(tmp_path: Path) -> None:
    run = read_run(run_directory(tmp_path, steps=31))
    drawing = curves.balance_curves([run], "x")
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
    assert curves.run_drawings([read_run(run)], "x") == []


def test_terms_that_are_not_finite_or_not_positive_are_gaps(tmp_path: Path) -> None:
    run = run_directory(tmp_path)
    lines = '{"step": 1, "terms": [NaN, 0]}\n{"step": 2, "terms": [1, 0]}\n'
    (run / "events.jsonl").write_text(lines)
    drawing = curves.term_curves([read_run(run)], "x")
    assert drawing is not None and "<svg" in figures.inline(drawing)


def test_seeds_of_one_kind_share_a_figure_with_the_first_in_front(tmp_path: Path) -> None:
    runs = [read_run(run_directory(tmp_path / str(seed), seed=seed, steps=5)) for seed in range(3)]
    drawing = curves.term_curves(runs, "hmdc")
    assert drawing is not None and "Strong: seed 0; thin: 2 other seeds." in drawing.caption
    lines = drawing.figure.axes[0].get_lines()
    assert len(lines) == 9
    assert [line.get_label() for line in lines[-3:]] == ["convnet3", "vit_mini", "agreement"]
    assert lines[-1].get_linewidth() > lines[0].get_linewidth()
