"""Continual learning: what a stage may see, what stays, what is counted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from condensery import load
from condensery.data import load_problem
from condensery.data.problem import Problem, Split
from condensery.errors import UsageError
from condensery.evaluate import train
from condensery.evaluate.baselines import plain_codec, whole_data
from condensery.methods.selection import Random
from condensery.modality import Image
from condensery.models import PeerSpec
from condensery.records import circumstances
from condensery.study import continual
from condensery.study.continual import Continual, blocks, by_stage, class_order, joined, run

QUICK = Continual(stages=2, per_class=1, method="random", preset=None, orders=(0,),
                  network=PeerSpec("mlp"), recipe="quick", updates=5, rows=("random",),
                  ceiling="none")  # fmt: skip


def separable(classes: int = 4, each: int = 6, marked: int = 200) -> Problem:
    """8 x 8 images whose class is which row of pixels is bright."""

    def split(count: int, seed: int) -> Split:
        generator = np.random.default_rng(seed)
        labels = np.repeat(np.arange(classes), count)
        samples = generator.integers(0, 30, (len(labels), 1, 8, 8), dtype=np.uint8)
        for label in range(classes):
            samples[labels == label, :, 2 * label : 2 * label + 2] += np.uint8(marked)
        return Split(samples, labels.astype(np.int64))

    names = tuple(f"class {label}" for label in range(classes))
    empty = Split(np.empty((0, 1, 8, 8), np.uint8), np.empty(0, np.int64))
    return Problem("rows", Image((1, 8, 8), (0.2,), (0.3,), mirror=False), names, split(each, 0),
                   empty, split(each, 1))  # fmt: skip


def quiet(_: str) -> None:
    return None


def plain(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    varies = ("seconds", "circumstances")
    return [{name: one[name] for name in one if name not in varies} for one in lines]


@pytest.mark.parametrize(
    ("seed", "order"),
    [(0, [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]), (1, [2, 9, 6, 4, 0, 3, 1, 7, 8, 5]),
     (2, [4, 1, 5, 0, 7, 2, 3, 6, 9, 8])],
)  # fmt: skip
def test_orders_are_those_of_the_field(seed: int, order: list[int]) -> None:
    assert class_order(10, seed) == order
    assert class_order(100, 0)[:5] == [26, 86, 2, 55, 75]


@pytest.mark.parametrize(("classes", "stages"), [(10, 5), (10, 3), (7, 7), (5, 1)])
def test_stages_are_disjoint_and_complete_and_the_first_get_one_more(
    classes: int, stages: int
) -> None:
    parts = blocks(class_order(classes, 0), stages)
    assert sorted(label for part in parts for label in part) == list(range(classes))
    expected = [classes // stages + (number < classes % stages) for number in range(stages)]
    assert [len(part) for part in parts] == expected
    with pytest.raises(UsageError, match="in 1 to"):
        blocks(range(classes), classes + 1)


def test_a_part_of_a_problem_has_its_classes_in_their_order() -> None:
    whole = separable()
    part = whole.only([3, 1])
    assert part.label_names == ("class 3", "class 1") and part.classes == 2
    assert np.array_equal(part.train.samples[part.train.labels == 0],
                          whole.train.samples[whole.train.labels == 3])  # fmt: skip
    assert part.modality == whole.modality
    for wrong in ([], [1, 1], [4]):
        with pytest.raises(UsageError, match="classes 0 to 3"):
            whole.only(wrong)


def test_a_method_sees_the_classes_of_its_stage_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []
    true_start = Random.start

    def spy(self: Random, problem: Problem, *rest: Any) -> Any:
        seen.append(problem.label_names)
        return true_start(self, problem, *rest)

    monkeypatch.setattr(Random, "start", spy)
    problem = separable()
    run(problem, QUICK, tmp_path, quiet)
    order = class_order(4, 0)
    stages = [tuple(f"class {label}" for label in part) for part in (order[:2], order[2:])]
    assert list(dict.fromkeys(seen)) == stages


def test_data_of_later_stages_change_nothing_before_them(tmp_path: Path) -> None:
    problem = separable()
    later = class_order(4, 0)[2:]
    samples = problem.train.samples.copy()
    samples[np.isin(problem.train.labels, later)] = 255
    changed = dataclasses.replace(problem, train=Split(samples, problem.train.labels))
    one = run(problem, QUICK, tmp_path / "one", quiet)
    other = run(changed, QUICK, tmp_path / "other", quiet)
    mine, theirs = (load(tmp_path / name / "order0" / "stage1") for name in ("one", "other"))
    assert torch.equal(mine.stored["pixels"], theirs.stored["pixels"])
    accuracies = [[line["accuracy"] for line in lines if line["stage"] == 1]
                  for lines in (one, other)]  # fmt: skip
    assert accuracies[0] == accuracies[1]


def test_each_stage_begins_with_weights_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = [], []
    true_fit = train.fit

    def spy(network: Any, *given: Any) -> None:
        begun.append(next(network.parameters()).detach().clone())
        true_fit(network, *given)
        ended.append(next(network.parameters()).detach().clone())

    monkeypatch.setattr(train, "fit", spy)
    run(separable(), QUICK, tmp_path, quiet)
    assert len(begun) == 4  # two rows, two stages
    assert torch.equal(begun[0], begun[1])  # rows of a stage are paired
    assert not torch.equal(begun[2], ended[0]) and not torch.equal(begun[2], begun[0])


def test_memory_costs_its_bytes_at_every_stage_and_never_shrinks(tmp_path: Path) -> None:
    lines = run(separable(), dataclasses.replace(QUICK, per_class=2), tmp_path, quiet)
    for line in lines:
        classes = len(line["classes"])
        assert line["stored_bytes"] == classes * 2 * (64 + 1)
        assert line["samples"] == classes * 2


def test_memory_of_all_samples_is_the_ceiling(tmp_path: Path) -> None:
    problem = separable()
    what = dataclasses.replace(QUICK, per_class=6, ceiling="every", updates=2500)
    lines = run(problem, what, tmp_path, quiet)
    last = {one["row"]: one for one in lines if one["stage"] == 2}
    assert last["full"]["stored_bytes"] == last["random"]["stored_bytes"]
    assert last["full"]["updates"] == last["random"]["updates"] == 2500
    part = problem.only(class_order(4, 0))
    full = whole_data(part, plain_codec(load(tmp_path / "order0" / "stage1")))
    held = joined([load(tmp_path / "order0" / f"stage{stage}") for stage in (1, 2)])
    ours = sorted(one.numpy().tobytes() for one in full.quantised().stored["pixels"])
    assert ours == sorted(one.numpy().tobytes() for one in held.quantised().stored["pixels"])


def test_easy_classes_are_learned_at_every_stage_also_where_there_is_one(
    tmp_path: Path,
) -> None:
    problem = separable()
    what = dataclasses.replace(QUICK, stages=1, per_class=4, updates=150, orders=(0, 1))
    for line in run(problem, what, tmp_path / "one", quiet):
        assert line["accuracy"] == 1.0 and line["by_stage"] == [1.0]
    two = dataclasses.replace(what, stages=2)
    for line in run(problem, two, tmp_path / "two", quiet):
        assert line["accuracy"] == 1.0 and line["by_stage"] == [1.0] * line["stage"]


def test_a_stopped_run_goes_on_after_the_stage_it_finished(tmp_path: Path) -> None:
    problem = separable()

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(problem, QUICK, tmp_path / "part", stop)
    before = (tmp_path / "part" / continual.FILE).read_text()
    assert len(before.splitlines()) == 2
    lines = run(problem, QUICK, tmp_path / "part", quiet)
    assert (tmp_path / "part" / continual.FILE).read_text().startswith(before)
    assert plain(lines) == plain(run(problem, QUICK, tmp_path / "whole", quiet))


def test_a_line_cut_short_is_measured_again(tmp_path: Path) -> None:
    problem = separable()
    first = run(problem, QUICK, tmp_path, quiet)
    file = tmp_path / continual.FILE
    file.write_bytes(file.read_bytes()[:-30])
    assert plain(run(problem, QUICK, tmp_path, quiet)) == plain(first)
    assert len(continual.read(file)) == 4


def test_weights_that_may_know_later_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "late.safetensors"
    path.write_bytes(b"")
    settings = PeerSpec("convnet2_w8", weights=str(path))

    class Told:
        method = dataclasses.make_dataclass("Told", [("peer", PeerSpec)])(settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(continual.api, "resolve", lambda *given: Told)
        with pytest.raises(UsageError, match="classes that come later"):
            run(separable(), QUICK, tmp_path / "out", quiet)


@pytest.mark.parametrize(
    ("changes", "name"), [({"per_class": 2}, "per_class"), ({"method": "kmeans"}, "method")]
)
def test_a_memory_of_other_settings_is_not_taken_for_this_one(
    tmp_path: Path, changes: dict[str, Any], name: str
) -> None:
    run(separable(), QUICK, tmp_path, quiet)
    with pytest.raises(UsageError, match=f"other settings .{name}"):
        run(separable(), dataclasses.replace(QUICK, **changes), tmp_path, quiet)


def test_a_memory_of_other_data_is_not_taken_for_this_one(tmp_path: Path) -> None:
    run(separable(), QUICK, tmp_path, quiet)
    with pytest.raises(UsageError, match="other settings .data"):
        run(separable(marked=150), QUICK, tmp_path, quiet)


def test_the_network_that_learns_may_not_know_later_classes_either(tmp_path: Path) -> None:
    late = dataclasses.replace(QUICK, network=PeerSpec("mlp", weights="mine.safetensors"))
    with pytest.raises(UsageError, match="mlp brings weights of its own"):
        run(separable(), late, tmp_path, quiet)


def test_accuracy_by_stage_is_read_from_counts() -> None:
    confusion = [[8, 2, 0], [1, 9, 0], [5, 0, 5]]
    assert by_stage(confusion, [[7, 3], [1]]) == [0.85, 0.5]


def test_the_presets_name_what_is_there() -> None:
    assert set(continual.CONTINUAL) == {"paper", "small", "tiny20", "smoke"}
    smoke = continual.CONTINUAL["smoke"]
    assert (smoke.stages, smoke.per_class) == (5, 1)
    small = continual.CONTINUAL["small"]
    assert (small.stages, small.per_class, small.epochs, len(small.orders)) == (5, 10, 50, 3)
    assert load_problem("digits").classes == 10 and json.dumps(circumstances())
