"""The search for a learning rate: alike for all rows, on validation, told in the records."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from condensery.data.problem import Split
from condensery.errors import UsageError
from condensery.evaluate import RECIPES, Override, Recipe, evaluate_searched, grid, search
from condensery.records import read

SHORT = Recipe("short", updates=4, batch=64, overrides=(Override("mlp", lr=0.5),))
RATES = (0.0001, 0.01, 0.1)


@pytest.fixture
def rows(drawn):
    return {"random": [(0, drawn(0)), (1, drawn(1))], "ours": [(0, drawn(2)), (1, drawn(3))]}


@pytest.fixture
def searched(problem, rows, tmp_path):
    def search_for(**more):
        out = tmp_path / "records.jsonl"
        asked = {"recipe": SHORT, "seeds": (0, 1), "rates": RATES, "out": out}
        return evaluate_searched(rows, problem, ["mlp", "convnet_mini"], **asked | more)

    return search_for


def test_every_set_and_network_has_the_same_trials_on_the_validation_split(searched, tmp_path):
    searched()
    trials = read(tmp_path / "trials.jsonl")
    tried = Counter((one.row, one.replicate, one.model) for one in trials)
    assert len(tried) == 8 and set(tried.values()) == {len(RATES)}
    assert {one.split for one in trials} == {"val"}
    rates = {(one.row, one.replicate, one.model, one.settings["lr"]) for one in trials}
    assert len(rates) == 8 * len(RATES)


def test_records_are_of_the_test_split_at_the_best_rate_of_their_own_trials(searched, tmp_path):
    found = searched()
    trials = read(tmp_path / "trials.jsonl")
    assert read(tmp_path / "records.jsonl") == found
    assert len(found) == 16 and {one.split for one in found} == {"test"}
    assert {one.recipe for one in found} == {"short, rate searched"}
    for one in found:
        own = {trial.settings["lr"]: trial.accuracy for trial in trials
               if (trial.row, trial.replicate, trial.model)
               == (one.row, one.replicate, one.model)}  # fmt: skip
        assert own[one.settings["lr"]] == max(own.values())
        assert one.settings["searched"] == [[rate, own[rate]] for rate in RATES]
        assert one.settings["rate_at_edge"] == (one.settings["lr"] in (RATES[0], RATES[-1]))


def test_of_equal_rates_the_lowest_wins():
    made = search.winner(SHORT, {0.1: [0.5], 0.01: [0.4, 0.6], 0.001: [0.2]})
    assert made.for_network("mlp", "mlp").lr == 0.01
    assert made.searched == ((0.001, 0.2), (0.01, 0.5), (0.1, 0.5))
    assert made.values()["rate_at_edge"] is False


def test_a_rate_that_diverges_loses_and_stops_nothing(searched, tmp_path):
    found = searched(rates=(0.01, 1e30))
    assert {one.settings["lr"] for one in found} == {0.01}
    wild = [one for one in read(tmp_path / "trials.jsonl") if one.settings["lr"] == 1e30]
    assert 0.0 in {one.accuracy for one in wild}


def test_nothing_is_tried_or_trained_twice(searched, monkeypatch):
    first = searched()
    monkeypatch.setattr(grid.Grid, "measure", None)
    assert searched() == first


def test_progress_counts_trials_and_trainings_together(searched, rows):
    told = []
    searched(on_record=lambda record, done, of: told.append((done, of)))
    assert told == [(done, 40) for done in range(1, 41)]
    assert search.trainings(sets=4, models=2, seeds=2, rates=3) == 40


def test_no_trial_sees_a_test_sample(problem, rows):
    nothing = Split(np.zeros_like(problem.test.samples), problem.test.labels)
    blank = dataclasses.replace(problem, test=nothing)
    settings = []
    for data in (problem, blank):
        found = evaluate_searched(rows, data, ["mlp"], recipe=SHORT, seeds=(0,), rates=RATES)
        settings.append([one.settings for one in found])
    assert settings[0] == settings[1]


def test_data_without_a_validation_split_say_how_to_get_one(problem, rows):
    none = Split(problem.val.samples[:0], problem.val.labels[:0])
    without = dataclasses.replace(problem, val=none)
    with pytest.raises(UsageError, match="condense with --validation"):
        evaluate_searched(rows, without, ["mlp"], recipe=SHORT)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"recipe": RECIPES["linear-probe"]}, "no learning rate"), ({"split": "val"}, "--split test"),
     ({"rates": ()}, "ascend"), ({"rates": (0.1, 0.01)}, "ascend"), ({"rates": (0.0,)}, "ascend")],
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused(searched, wrong, message):
    with pytest.raises(UsageError, match=message):
        searched(**wrong)


def test_the_rates_are_those_of_the_literature():
    assert search.RATES == (0.001, 0.005, 0.01, 0.05, 0.1)
