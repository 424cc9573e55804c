"""Nearest real samples, embeddings, cost, and the whole data as a row."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from cases import sounds
from condensery.artefact import save
from condensery.core.starts import random_start
from condensery.data.problem import Split
from condensery.errors import UsageError
from condensery.evaluate import (
    RECIPES,
    Recipe,
    baselines,
    cost,
    embeddings,
    evaluate,
    neighbours,
    recipes,
    train,
)
from condensery.evaluate.cost import costs, kept_out, over
from condensery.evaluate.measures import alike, check, measure
from condensery.evaluate.neighbours import LEAK, write_neighbours
from condensery.evaluate.usual import usual
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams

SHORT = Recipe("short", updates=6, batch=64, lr=0.02)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_real_sample_is_found_as_what_it_is_packed_or_not(problem, drawn, factor):
    selected = drawn(per_class=2, factor=factor)
    found = neighbours(selected, problem)
    assert len(found) == len(selected) * factor**2
    assert all(one.leaked and one.distance < LEAK for one in found)
    labels = selected.quantised().decode().y.tolist()
    assert [one.label for one in found] == labels
    assert [int(problem.train.labels[one.position]) for one in found] == labels


def test_a_clip_that_sounds_like_a_real_one_is_not_taken_for_it():
    problem = sounds()
    made = random_start(problem, 2, problem.modality.codec(), Streams(0))
    assert all(one.leaked for one in neighbours(made, problem))
    made.stored["wave"] = made.stored["wave"].roll(1600, -1)
    assert not any(one.leaked for one in neighbours(made, problem)), "shifted, but other samples"


def test_the_nearest_is_that_of_a_loop_over_all_samples_of_the_class(problem, drawn):
    noisy = drawn(per_class=2)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(noisy.stored["pixels"].shape, generator=generator)
    noisy.stored["pixels"] = (noisy.stored["pixels"] + 0.3 * noise).clamp(0, 1)
    batch = noisy.quantised().decode()
    for one in neighbours(noisy, problem):
        own = batch.x[one.sample].flatten()
        distances = {
            int(position): float((own - problem.samples([position])[0].flatten()).square().mean())
            for position in problem.of(one.label)
        }
        best = min(distances, key=distances.get)
        assert one.position == best
        assert one.distance == pytest.approx(distances[best] ** 0.5, abs=1e-4)


def test_the_file_tells_of_leaks_and_shows_both_sides(problem, drawn, tmp_path):
    path = write_neighbours(drawn(per_class=2), problem, tmp_path)
    told = json.loads(path.read_text())
    assert told["leaked"] == 6 and "not anonymous" in told["note"]
    assert all((tmp_path / name).is_file() for name in told["pictures"])


def test_a_set_of_other_data_has_no_neighbours_here(problem, drawn):
    other = drawn()
    other.modality = dataclasses.replace(other.modality, shape=(1, 4, 4))
    with pytest.raises(UsageError, match=r"samples of \(1, 4, 4\)"):
        neighbours(other, problem)


def test_embeddings_hold_every_sample_once_and_the_same_for_the_same_seed(problem, drawn):
    first = embeddings(drawn(per_class=2), problem, drawn(1, per_class=2), updates=5)
    again = embeddings(drawn(per_class=2), problem, drawn(1, per_class=2), updates=5)
    assert first == again
    kinds = [one["kind"] for one in first["points"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "real": 60, "synthetic": 6, "start": 6}  # fmt: skip
    assert all(len(one["pca"]) == len(one["tsne"]) == 2 for one in first["points"])
    spread = np.array([one["pca"] for one in first["points"]]).std(0)
    assert spread[0] >= spread[1] > 0


def test_what_is_kept_out_no_baseline_holds(problem):
    rest, checks = kept_out(problem, 0)
    assert len(rest.train) + len(checks) == len(problem.train)
    held = {sample.tobytes() for sample in rest.train.samples}
    assert not held & {sample.tobytes() for sample in checks.split.samples}
    assert set(np.unique(checks.split.labels)) == {0, 1, 2}


def test_costs_climb_the_ladder_and_say_when_a_set_pays_off(problem, drawn):
    synthetic = drawn(per_class=2)
    synthetic.about["seconds"] = 100.0
    found = costs(synthetic, problem, PeerSpec("mlp"), dataclasses.replace(SHORT, updates=20))
    assert [one["row"] for one in found["rungs"]][:3] == [
        f"k-means, {count} per class" for count in (1, 2, 5)]  # fmt: skip
    assert found["whole"] and found["rungs"][-1]["samples"] == 3 * 16
    assert found["set"]["trained"] is not None
    assert found["set"]["best"] >= found["target"]
    assert found["break_even"]


def test_costs_over_seeds_count_those_apart_that_have_no_break_even():
    def found(made, other_made, against="k"):
        rungs = [{"row": "k", "made": other_made, "trained": 60.0}]
        return {"set": {"made": made, "trained": 20.0}, "rungs": rungs, "against": against}

    told = over([found(3600.0, 30.0), found(1800.0, 30.0), found(1.0, 1.0, None), found(None, 1.0)])
    assert told == ("after 67 trainings (smallest: after 45 trainings; largest: after 90 "
                    "trainings), over 2 sets; none for 2")  # fmt: skip
    assert over([found(None, 1.0)]).startswith("unknown")


def test_runs_that_differ_in_their_seed_alone_are_replicates(drawn, tmp_path: Path):
    for name, settings in {"a": {"seed": 0, "lr": 1}, "b": {"seed": 0, "lr": 2},
                           "c": {"seed": 1, "lr": 1}}.items():  # fmt: skip
        made = drawn(per_class=1)
        made.about["settings"] = settings
        save(made, tmp_path / name / "synthetic")
    places = [tmp_path / name for name in "abc"]
    assert alike(places) == [[places[0], places[2]], [places[1]]]
    (places[2] / "config.json").write_text('{"budget": {"steps": 400, "minutes": null}}')
    assert alike(places) == [[places[0]], [places[1]], [places[2]]]
    (places[0] / "config.json").write_text('{"budget": {"steps": 400, "minutes": null}}')
    assert alike(places) == [[places[0], places[2]], [places[1]]]


def test_a_measure_is_not_made_twice_of_one_set(problem, drawn, tmp_path: Path):
    save(drawn(per_class=1), tmp_path / "synthetic")
    first = measure(tmp_path, problem, "neighbours")
    assert first == tmp_path / "neighbours.json"
    assert measure(tmp_path, problem, "neighbours") is None
    with pytest.raises(UsageError, match="neighbours, embeddings, cost"):
        measure(tmp_path, problem, "neighbors")


def test_what_was_measured_of_another_set_start_or_data_is_measured_anew(problem, drawn, tmp_path):
    save(drawn(0, per_class=1), tmp_path / "synthetic")
    path = measure(tmp_path, problem, "neighbours")
    before = json.loads(path.read_text())
    os.utime(path, (2**33, 2**33))  # times of files say nothing
    save(drawn(1, per_class=1), tmp_path / "synthetic")
    assert measure(tmp_path, problem, "neighbours") == path
    after = json.loads(path.read_text())
    assert before["made_of"]["set"] != after["made_of"]["set"]
    assert before["nearest"] != after["nearest"]
    fewer = dataclasses.replace(
        problem, train=Split(problem.train.samples[:30], problem.train.labels[:30])
    )
    assert measure(tmp_path, fewer, "neighbours") == path
    save(drawn(2, per_class=1), tmp_path / "start")
    assert measure(tmp_path, fewer, "neighbours") == path
    assert measure(tmp_path, fewer, "neighbours") is None
    path.write_text("{")
    assert measure(tmp_path, fewer, "neighbours") == path


def test_another_network_measures_anew_and_is_named_in_what_it_made(problem, drawn, tmp_path):
    save(drawn(per_class=1), tmp_path / "synthetic")
    path = measure(tmp_path, problem, "embeddings", PeerSpec("mlp"))
    assert path is not None and json.loads(path.read_text())["network"] == "mlp"
    assert measure(tmp_path, problem, "embeddings", PeerSpec("mlp")) is None
    assert measure(tmp_path, problem, "embeddings", PeerSpec("convnet2_w8")) == path
    assert json.loads(path.read_text())["network"] == "convnet2_w8"
    # What needs no network is the same by any.
    assert measure(tmp_path, problem, "neighbours") is not None
    assert measure(tmp_path, problem, "neighbours", PeerSpec("mlp")) is None


def test_a_network_that_does_not_read_the_samples_is_refused(problem, drawn, tmp_path):
    save(drawn(per_class=1), tmp_path / "synthetic")
    with pytest.raises(UsageError, match="lstm reads"):
        measure(tmp_path, problem, "cost", PeerSpec("lstm"))
    with pytest.raises(UsageError, match="unknown model 'mpl'"):
        measure(tmp_path, problem, "embeddings", PeerSpec("mpl"))
    assert not list(tmp_path.glob("*.json"))


def test_a_set_without_a_run_is_measured_in_its_own_folder(problem, drawn, tmp_path):
    folder = save(drawn(per_class=1), tmp_path / "bare")
    assert measure(folder, problem, "neighbours") == folder / "neighbours.json"
    assert measure(folder, problem, "neighbours") is None
    assert measure(folder / "synthetic.safetensors", problem, "neighbours") is None


def test_no_class_is_emptied_and_none_gives_more_than_a_fifth(problem):
    label = problem.train.labels
    few = np.concatenate([np.flatnonzero(label == 0)[:20], np.flatnonzero(label == 1)[:7],
                          np.flatnonzero(label == 2)[:2]])  # fmt: skip
    small = dataclasses.replace(
        problem, train=Split(problem.train.samples[few], problem.train.labels[few])
    )
    rest, checks = kept_out(small, 0)
    assert np.bincount(checks.split.labels, minlength=3).tolist() == [4, 1, 0]
    assert np.bincount(rest.train.labels).tolist() == [16, 6, 2]
    tiny = dataclasses.replace(
        problem, train=Split(problem.train.samples[:6], problem.train.labels[:6])
    )
    with pytest.raises(UsageError, match="less than five"):
        kept_out(tiny, 0)


@pytest.mark.parametrize(("updates", "checked"), [(20, 20), (100, 50), (150, 50), (151, 51)])
def test_a_cost_is_checked_fifty_times_however_long_an_epoch_is(
    problem, drawn, updates, checked, monkeypatch
):
    seen = []

    def pretend(synthetic, spec, recipe, streams, after_update):
        for update in range(1, updates + 1):
            after_update(update, None)

    def tested(backbone, checks):
        seen.append(backbone)
        return train.Tested(0.5, [])

    monkeypatch.setattr(cost, "train_network", pretend)
    monkeypatch.setattr(cost, "tested", tested)
    long = Recipe("long", updates=updates, batch=4)
    curve = cost._curve(drawn(per_class=3), PeerSpec("mlp"), long, Streams(0), None)
    assert len(curve) == len(seen) == checked
    passes = [where for _, where, _ in curve]
    assert passes == sorted(passes)
    # Nine samples in batches of four: the last of each epoch, that would be alone, joins another.
    assert passes[-1] == updates // 2 * 9 + updates % 2 * 4


def test_measures_of_sound_take_a_network_that_hears(tmp_path):
    problem = sounds()
    synthetic = random_start(problem, 1, problem.modality.codec(1), Streams(0))
    spec, recipe = usual(problem.modality)
    found = embeddings(synthetic, problem, updates=2)
    assert found["network"] == spec.name == "spectrogram_cnn"
    told = costs(synthetic, problem, recipe=dataclasses.replace(recipe, epochs=2), longest=0.0)
    assert told["network"] == "spectrogram_cnn"


def test_what_no_network_looks_at_is_said_before_anything_is_made(problem):
    class Smell:
        kind = "smell"

    with pytest.raises(UsageError, match="smell, only at image and audio"):
        check("cost", Smell())
    check("neighbours", Smell())
    check("cost", problem.modality)


def test_the_whole_data_are_a_row_of_their_own_length(problem, drawn, monkeypatch):
    monkeypatch.setattr(recipes, "WHOLE_UPDATES", 6)
    rows = baselines(problem, [(0, drawn(0)), (1, drawn(1))], name="ours", which=("random", "full"))
    assert [len(made) for _, made in rows["full"]] == [60]
    found = evaluate(rows, problem, ["mlp"], recipe=SHORT, seeds=(0,))
    lengths = {one.row: (one.samples, one.updates) for one in found}
    assert lengths["full"] == (60, 6) and lengths["ours"] == (6, 6)
    assert Recipe("long", epochs=1).on_whole_data(50_000, 10).updates == 3 * 391
    once = dataclasses.replace(RECIPES["quick"], updates=None, epochs=1, batch=8)
    longer = evaluate(rows, problem, ["mlp"], recipe=once, seeds=(0,))
    assert {one.row: one.updates for one in longer} == {"random": 1, "full": 3 * 8, "ours": 1}
    accuracy = {one.row: one.accuracy for one in longer}
    assert accuracy["full"] >= accuracy["ours"]
