"""The grid: one record a cell, none twice, rows in pairs."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
import torch

from condensery import models
from condensery.errors import UsageError
from condensery.evaluate import Override, Recipe, Schedule, evaluate, grid, name_of, precision
from condensery.evaluate.train import Diverged
from condensery.models.backbone import PeerSpec
from condensery.records import Record, by_training, newest, read

SHORT = Recipe("short", updates=4, batch=64, lr=0.02)
MODELS = ["mlp", "convnet_mini"]


@pytest.fixture
def rows(drawn):
    return {"random": [(0, drawn(0)), (1, drawn(1))], "ours": [(0, drawn(2)), (1, drawn(3))]}


@pytest.fixture
def trainings(monkeypatch):
    """The cells that are really trained."""
    calls = []
    true_train = grid.train_network

    def spy(synthetic, spec, *rest, **named):
        calls.append(spec.name)
        return true_train(synthetic, spec, *rest, **named)

    monkeypatch.setattr(grid, "train_network", spy)
    return calls


def test_each_cell_gives_one_record_with_its_circumstances(problem, rows):
    found = evaluate(rows, problem, MODELS, recipe=SHORT, seeds=(0, 1), seen={"mlp"})
    keys = [(one.seed, one.model, one.row, one.replicate) for one in found]
    expected = [(seed, model, row, replicate) for seed in (0, 1) for model in MODELS
                for row in ("random", "ours") for replicate in (0, 1)]  # fmt: skip
    assert keys == expected
    one = found[0]
    assert (one.data, one.classes, one.per_class, one.samples) == ("bands", 3, 2, 6)
    assert (one.epochs, one.updates, one.split, one.recipe) == (4, 4, "test", "short")
    assert one.stored_bytes == 6 * 64 + 6
    assert one.best is None and 0 <= one.accuracy <= 1 and one.seconds > 0
    assert {x.model for x in found if x.seen} == {"mlp"}
    assert one.settings["lr"] == 0.02 and "torch" in one.circumstances


def test_the_same_seeds_give_the_same_numbers_in_whatever_company(problem, rows):
    together = evaluate(rows, problem, MODELS, recipe=SHORT, seeds=(0, 1))
    alone = evaluate({"ours": rows["ours"]}, problem, ["convnet_mini"], recipe=SHORT, seeds=(1,))
    same = [x for x in together if (x.row, x.model, x.seed) == ("ours", "convnet_mini", 1)]
    assert [x.accuracy for x in alone] == [x.accuracy for x in same]


def test_two_rows_begin_from_equal_weights_and_orders(problem, rows, monkeypatch):
    begun = []
    true_build = models.build

    def spy(*given, **named):
        network = true_build(*given, **named)
        begun.append(torch.cat([one.detach().flatten() for one in network.parameters()]))
        return network

    monkeypatch.setattr(models, "build", spy)
    evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0, 1))
    assert all(torch.equal(begun[0], one) for one in begun[:4])
    assert not torch.equal(begun[0], begun[4])


def test_a_finished_cell_is_never_run_twice(problem, rows, tmp_path, trainings):
    out = tmp_path / "records.jsonl"
    first = evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0,), out=out)
    assert len(trainings) == 4
    seen = []

    def tell(record, done, of):
        seen.append((record.seed, done, of))

    more = evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0, 1), out=out, on_record=tell)
    assert len(trainings) == 8
    assert more[:4] == first
    assert seen == [(1, 5, 8), (1, 6, 8), (1, 7, 8), (1, 8, 8)]
    assert [x.accuracy for x in read(out)] == [x.accuracy for x in more]


def test_a_cell_cut_short_by_a_kill_is_run_again(problem, rows, tmp_path, trainings):
    out = tmp_path / "records.jsonl"
    first = evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0,), out=out)
    out.write_bytes(out.read_bytes()[:-40])
    again = evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0,), out=out)
    assert len(trainings) == 5
    assert [x.accuracy for x in again] == [x.accuracy for x in first]
    assert len(read(out)) == 4


def test_a_changed_set_or_rate_is_measured_anew(problem, rows, drawn, tmp_path, trainings):
    out = tmp_path / "records.jsonl"
    evaluate({"ours": rows["ours"]}, problem, ["mlp"], recipe=SHORT, seeds=(0,), out=out)
    changed = {"ours": [(0, drawn(7)), rows["ours"][1]]}
    evaluate(changed, problem, ["mlp"], recipe=SHORT, seeds=(0,), out=out)
    assert len(trainings) == 3
    faster = Recipe("short", updates=4, batch=64, overrides=(Override("mlp", lr=0.1),))
    evaluate(changed, problem, ["mlp"], recipe=faster, seeds=(0,), out=out)
    assert len(trainings) == 5


def test_the_best_is_logged_beside_the_last_when_checks_are_asked_for(problem, rows):
    one_row = {"ours": rows["ours"][:1]}
    plain = evaluate(one_row, problem, ["convnet_mini"], recipe=SHORT, seeds=(0,))
    checked = evaluate(one_row, problem, ["convnet_mini"], recipe=SHORT, seeds=(0,), check_every=1)
    assert checked[0].accuracy == plain[0].accuracy
    assert checked[0].best >= checked[0].accuracy


def test_the_validation_split_is_tested_when_asked_for(problem, rows, monkeypatch):
    tested = []
    true_samples = grid.TestSamples

    def spy(*given):
        tested.append(true_samples(*given))
        return tested[-1]

    monkeypatch.setattr(grid, "TestSamples", spy)
    found = evaluate(rows, problem, MODELS, recipe=SHORT, seeds=(0,), split="val")
    assert {one.split for one in found} == {"val"}
    assert [len(one) for one in tested] == [30]


def test_a_loss_that_is_not_finite_gives_the_last_finite_weights_and_ends_no_other_cell(
    problem, rows, tmp_path, trainings
):
    out = tmp_path / "records.jsonl"
    wild = Recipe("wild", updates=4, overrides=(Override("convnet_mini", lr=1e60),))
    found = evaluate(rows, problem, MODELS, recipe=wild, seeds=(0,), out=out)
    assert len(read(out)) == len(found) == 8
    assert {one.model for one in found if one.failed} == {"convnet_mini"}
    failed = next(one for one in found if one.failed)
    assert "not finite in epoch" in failed.failed and "of 4" in failed.failed
    # By hand: the first update spoils the weights, so the last finite ones are the first ones.
    streams = grid.cell_streams(0, "convnet_mini", "wild")
    spec = PeerSpec("convnet_mini")
    network = models.build(spec, problem.modality, 3, streams("weights")).eval()
    assert failed.accuracy == grid.tested(network, grid.TestSamples(problem)).accuracy
    before = len(trainings)
    again = evaluate(rows, problem, MODELS, recipe=wild, seeds=(0,), out=out)
    assert again == found and len(trainings) == before, "no other try of a seed that failed"


def test_a_loss_that_is_not_finite_is_told_by_another_process_too():
    sent = pickle.loads(pickle.dumps(Diverged(3, 10)))
    assert sent.epoch == 3 and "in epoch 3 of 10" in str(sent)


def test_a_network_that_fails_late_is_tested_as_it_was_before_that_epoch(problem, rows):
    one_row = {"ours": rows["ours"][:1]}
    steady = evaluate(one_row, problem, ["mlp"], recipe=replace(SHORT, updates=3), seeds=(0,))
    # The fourth update spoils the weights: the loss of the fifth is the first to tell.
    schedule = Schedule("multistep", at=(0.5,), factor=1e60)
    late = replace(SHORT, updates=6, schedule=schedule)
    (found,) = evaluate(one_row, problem, ["mlp"], recipe=late, seeds=(0,))
    assert "in epoch 5 of 6" in found.failed
    assert found.accuracy == steady[0].accuracy


def test_what_another_run_measured_on_the_same_set_is_taken_over(
    problem, rows, tmp_path, trainings
):
    """Class means are one set for all condensation seeds, and the whole data are."""
    same = rows["random"][0][1]
    first = evaluate({"mean": [(0, same)]}, problem, MODELS, recipe=SHORT, seeds=(0, 1))
    assert len(trainings) == 4
    out = tmp_path / "records.jsonl"
    given = {"recipe": SHORT, "seeds": (0, 1), "out": out, "known": by_training(first)}
    second = evaluate({"mean": [(1, same)]}, problem, MODELS, **given, seen={"mlp"})
    assert len(trainings) == 4
    assert [one.accuracy for one in second] == [one.accuracy for one in first]
    assert {one.replicate for one in second} == {1} and read(out) == second
    assert {one.model for one in second if one.seen} == {"mlp"}, "what it is here, not there"
    evaluate({"mean": [(1, rows["random"][1][1])]}, problem, MODELS, **given)
    assert len(trainings) == 8, "another set is trained on"
    evaluate({"other": [(1, same)]}, problem, MODELS, **given)
    assert len(trainings) == 12, "another row is"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"models": []}, "at least one network"), ({"seeds": ()}, "at least one evaluation seed"),
     ({"models": ["mlp", "mlp"]}, "named twice"), ({"seeds": (1, 1)}, "named twice"),
     ({"models": ["mlq"]}, "mlq"), ({"recipe": "none"}, "known"), ({"epochs": 0}, "--epochs"),
     ({"rows": {}}, "at least one row"), ({"rows": {"a": []}}, "at least one set"),
     ({"check_every": 0}, "epochs, from 1"), ({"split": "tset"}, "unknown split")],
)  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_trained(
    problem, rows, trainings, changes, message
):
    given = {"rows": rows, "models": ["mlp"], "recipe": SHORT, "seeds": (0,), **changes}
    with pytest.raises(ValueError, match=message):
        evaluate(given.pop("rows"), problem, given.pop("models"), **given)
    assert trainings == []


def test_a_set_of_other_data_is_refused(problem, rows, drawn):
    foreign = drawn()
    foreign.label_names = ("a", "b", "c", "d")
    with pytest.raises(UsageError, match="4 classes.*made from"):
        evaluate({"ours": [(0, foreign)]}, problem, ["mlp"], recipe=SHORT)


def test_a_network_of_one_s_own_takes_part_by_its_name(problem, rows):
    def mine():
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))

    found = evaluate(
        rows, problem, ["mine"], recipe=SHORT, seeds=(0,), modules={"mine": mine}, seen={"mine"}
    )
    assert [(one.model, one.seen) for one in found] == [("mine", True)] * 4


def test_names_say_what_was_asked_for():
    assert name_of(PeerSpec("resnet18")) == "resnet18"
    asked = PeerSpec("resnet18", weights="pretrained", size=64)
    assert name_of(asked) == "resnet18 pretrained 64px"


def test_records_are_plain_json(problem, rows, tmp_path):
    out = tmp_path / "records.jsonl"
    made = evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0,), out=out)
    assert all(isinstance(json.loads(line), dict) for line in out.read_text().splitlines())
    assert read(out) == made
    assert all(isinstance(one, Record) for one in made)


def test_records_tell_the_precision_that_each_network_was_tested_in(
    problem, rows, monkeypatch, tmp_path
):
    monkeypatch.setenv("CONDENSERY_CACHE", str(tmp_path))

    def slow_convolutions(network, x):
        return 0.5 if any(isinstance(one, torch.nn.Conv2d) for one in network.modules()) else 3.0

    monkeypatch.setattr(precision, "times_faster", slow_convolutions)
    found = evaluate(rows, problem, MODELS, recipe=SHORT, seeds=(0,), precision="auto")
    told = {(one.model, one.circumstances["tested in"]) for one in found}
    assert told == {("mlp", "bfloat16"), ("convnet_mini", "float32")}
    again = evaluate(rows, problem, MODELS, recipe=SHORT, seeds=(0,), precision="auto")
    assert [one.accuracy for one in again] == [one.accuracy for one in found]


def test_two_processes_measure_what_one_does(problem, rows):
    alone = evaluate(rows, problem, MODELS, recipe=SHORT, seeds=(0,))
    shared = evaluate(rows, problem, MODELS, recipe=SHORT, seeds=(0,), workers=2)
    assert [one.accuracy for one in shared] == [one.accuracy for one in alone]
    assert [one.model for one in shared] == [one.model for one in alone]


def test_checks_that_no_record_holds_are_made_though_the_cell_was_measured(
    problem, rows, tmp_path, trainings
):
    out, one_row = tmp_path / "records.jsonl", {"ours": rows["ours"][:1]}
    asked = {"recipe": SHORT, "seeds": (0,), "out": out}
    evaluate(one_row, problem, ["mlp"], **asked)
    (seldom,) = evaluate(one_row, problem, ["mlp"], check_every=3, **asked)
    assert [epoch for epoch, _ in seldom.curve] == [3] and seldom.best is not None
    (often,) = evaluate(one_row, problem, ["mlp"], check_every=1, **asked)
    assert [epoch for epoch, _ in often.curve] == [1, 2, 3, 4]
    assert len(trainings) == 3 and len(read(out)) == 3
    # What was checked often serves him who asks for less; the file grows no more.
    for every in (1, 2, 3, None):
        assert evaluate(one_row, problem, ["mlp"], check_every=every, **asked) == [often]
    assert len(trainings) == 3 and newest(read(out)) == [often]


def test_a_precision_that_is_named_is_not_answered_with_records_in_another(
    problem, rows, tmp_path, trainings, monkeypatch
):
    monkeypatch.setenv("CONDENSERY_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "times_faster", lambda network, x: 3.0)
    out, one_row = tmp_path / "records.jsonl", {"ours": rows["ours"][:1]}

    def tested_in(asked):
        (made,) = evaluate(one_row, problem, ["mlp"], recipe=SHORT, seeds=(0,), out=out,
                           precision=asked)  # fmt: skip
        return made.circumstances["tested in"], len(trainings)

    assert tested_in("auto") == ("bfloat16", 1)
    assert tested_in("bfloat16") == ("bfloat16", 1)
    assert tested_in("float32") == ("float32", 2)
    assert tested_in("float32") == tested_in("auto") == ("float32", 2)
