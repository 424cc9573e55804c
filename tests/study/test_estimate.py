"""What a study will take: no training forgotten, none counted twice."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from condensery import study
from condensery.cli.study import told
from condensery.data import load_problem
from condensery.evaluate import rows_of
from condensery.models import PeerSpec
from condensery.records import read
from condensery.study import estimate


@pytest.mark.parametrize(("size", "memory"), [(1, "1.5 GB"), (3, "4.5 GB")])
def test_a_dry_run_adds_up_hours_and_gigabytes(short_plan: Path, size: int, memory: str) -> None:
    found = [study.Estimate("condense", 2, 0, 3600.0, False, 1.5),
             study.Estimate("evaluate", 30, 6, 60.0, False, 0.5)]  # fmt: skip
    said = told(study.read(short_plan, "mini"), found, size)
    hours = study.duration((2 * 3600 + 30 * 60) / size)
    assert f"32 cells to run, 2.5 h on one process of this machine, {hours} on {size}" in said
    assert said.splitlines()[-1].endswith(f"; up to {memory} of memory in all")
    # One line each, however long the names of data, arms and networks are.
    long = study.Estimate("condense esc10 dream with spectrogram_cnn, 1 per class", 1, 0, 9.0)
    (line,) = [one for one in told(study.read(short_plan, "mini"), [long], 1).splitlines()
               if "spectrogram" in one]  # fmt: skip
    assert line.split()[-7:] == ["1", "0", "9", "s", "-", "9", "s"]
    unknown = [*found, study.Estimate("condense more", 1, 0, None, why="no data")]
    assert f"at least {memory} of memory" in told(study.read(short_plan, "mini"), unknown, size)


@pytest.mark.usefixtures("quickly")
def test_an_estimate_counts_packed_rows_and_no_record_of_another_recipe(
    short_plan: Path, tmp_path: Path
) -> None:
    mine = study.read(short_plan, "mini")
    packed = replace(mine.arms[0], settings={"factor": 2})
    mine = replace(mine, seeds=(0,), arms=(packed, mine.arms[1]), draws=3,
                   rows=("random", "kmeans", "mean"))  # fmt: skip
    (first, *_) = chosen = list(study.cells(mine))
    found = {one.what: one for one in study.estimates(mine, chosen, tmp_path, None)}
    # Three draws, k-means and means, plain and packed; the start and the set of both arms.
    judging = found["evaluate digits mlp, 1 per class"]
    assert (judging.cells, judging.done) == (2 * (3 + 1 + 1) + 2 * 2, 0)
    study.run(mine, tmp_path, only=first.name, tell=lambda line: None)
    written = read(tmp_path / first.name / "records.jsonl")
    rows = rows_of(tmp_path / first.name, load_problem("digits"), mine.rows, 3).rows
    assert len(written) == sum(map(len, rows.values())) == 12
    other = replace(mine, updates=3)
    for asked, there in ((mine, 12), (other, 0), (replace(mine, evaluation_seeds=(0, 1)), 12)):
        (judging,) = [one for one in study.estimates(asked, chosen, tmp_path, None)
                      if one.what == judging.what]  # fmt: skip
        assert (judging.cells, judging.done) == (14 * len(asked.evaluation_seeds) - there, there)


def test_the_steps_of_a_training_are_timed_however_long_its_test_lasts(
    short_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate.api, "evaluate", lambda *given, **more: time.sleep(0.2))
    mine = study.read(short_plan, "mini")
    said: list[tuple[object, ...]] = []
    cell = next(iter(study.cells(mine)))
    each, updates, besides = estimate._measure_training(
        lambda *words: said.append(words), mine, cell, PeerSpec("mlp"), None
    )
    assert 0 < each < 0.2 <= besides and updates == mine.updates
    # Told before the test begins: one that outlasts our patience does not hide it.
    assert said[0] == (updates, 0.0, 0.0, False) and said[-1] == (updates, each, 0.0, False)
    assert len(said) == 2 + min(updates, 4)


def test_the_making_of_a_start_is_told_apart_from_the_steps(
    short_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def condensed(*given: object, on_step: Callable[[int], None], **more: object) -> None:
        time.sleep(0.2)  # the start, and the first step
        for number in range(3):
            on_step(number)
            time.sleep(0.01)

    monkeypatch.setattr(estimate.api, "condense", condensed)
    mine = study.read(short_plan, "mini")
    said: list[tuple[int, float, float, bool]] = []
    cell = next(iter(study.cells(mine)))
    each, steps, besides = estimate._measure_steps(
        lambda *words: said.append(words), cell, None, None, None
    )
    assert 0.01 <= each < 0.2 <= besides
    assert [(one[0], one[1] > 0, one[2] > 0, one[3]) for one in said] == [
        (steps, False, False, False), (steps, False, True, True), *[(steps, True, True, True)] * 2
    ]  # fmt: skip
    assert said[-1] == (steps, each, besides, True)


def _never_ends(begun: Callable[..., None], each: float, besides: float, in_step: bool) -> None:
    begun(1000, each, besides, in_step)
    time.sleep(60)


@pytest.mark.parametrize(
    ("each", "besides", "in_step"),
    [(0.0, 0.0, False), (0.0, 5.0, True), (7.0, 5.0, True), (7.0, 0.0, False)],
    ids=["its start", "its second step", "a step no longer than before", "the test"],
)
def test_what_is_stopped_is_a_bound_by_what_was_under_way(
    each: float, besides: float, in_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = multiprocessing.get_context("fork")  # here at once: a spawned one imports torch first
    monkeypatch.setattr(estimate.multiprocessing, "get_context", lambda kind: forked)
    told = estimate._apart(_never_ends, (each, besides, in_step), 0.8)
    found, steps, more, memory, bound = told
    assert (steps, memory, bound) == (1000, None, True)
    if in_step and not each:  # every step takes that long, at least
        assert 0 < found <= 0.8 and more == besides
    else:
        assert found == each
        # A thousand steps are not charged with a start or a test that lasts.
        assert more == besides if in_step else besides < more <= besides + 0.8
