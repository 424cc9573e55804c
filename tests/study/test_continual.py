"""Continual learning: what a stage may see, what stays, what is counted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from condensery import api, load
from condensery.core.starts import herding_start, kmeans_start, random_start
from condensery.data import load_problem
from condensery.data.problem import Problem, Split
from condensery.errors import UsageError
from condensery.evaluate import recipes, train
from condensery.evaluate.baselines import plain_codec, whole_data
from condensery.methods.selection import Random
from condensery.modality import Image, Pixels
from condensery.models import PeerSpec
from condensery.records import circumstances
from condensery.streams import Streams
from condensery.study import continual, continued
from condensery.study.continual import Continual, blocks, by_stage, class_order, joined, run
from condensery.study.memory import Memories, fewer

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


def test_memory_of_all_samples_is_the_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "WHOLE_UPDATES", 5)
    problem = separable()
    what = dataclasses.replace(QUICK, per_class=6, ceiling="every", updates=60)
    lines = run(problem, what, tmp_path, quiet)
    last = {one["row"]: one for one in lines if one["stage"] == 2}
    assert last["full"]["stored_bytes"] == last["random"]["stored_bytes"]
    assert last["full"]["updates"] == last["random"]["updates"] == 60
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


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("finished", [1, 2, 3])
def test_a_run_that_is_stopped_after_any_stage_goes_on_to_the_same_lines(
    tmp_path: Path, finished: int, warm: bool
) -> None:
    problem = separable(classes=3)
    what = dataclasses.replace(QUICK, stages=3, warm=warm, updates=3)
    told: list[str] = []

    def stop(line: str) -> None:
        told.append(line)
        if len(told) == finished:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(problem, what, tmp_path / "part", stop)
    before = (tmp_path / "part" / continual.FILE).read_text()
    assert len(before.splitlines()) == 2 * finished
    lines = run(problem, what, tmp_path / "part", quiet)
    assert (tmp_path / "part" / continual.FILE).read_text().startswith(before)
    assert plain(lines) == plain(run(problem, what, tmp_path / "whole", quiet))
    assert len(continual.read(tmp_path / "part" / continual.FILE)) == 6
    assert not list(tmp_path.rglob("networks/*"))  # nothing goes on from them any more


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_run_that_is_killed_while_a_line_is_written_trains_that_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: int, warm: bool
) -> None:
    problem = separable(classes=3)
    what = dataclasses.replace(QUICK, stages=3, warm=warm, updates=3)
    whole = run(problem, what, tmp_path / "whole", quiet)

    def killed(self: continual.Stage, line: object) -> None:
        if self.number == stage:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(continual.Stage, "forget", killed)
        run(problem, what, tmp_path / "part", quiet)
    file = tmp_path / "part" / continual.FILE
    file.write_text(file.read_text()[:-30])
    assert len(continual.read(file)) == 2 * stage - 1
    assert plain(run(problem, what, tmp_path / "part", quiet)) == plain(whole)


def test_a_finished_run_trains_nothing_and_another_seed_begins_at_the_first_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = dataclasses.replace(QUICK, warm=True)
    first = run(separable(), what, tmp_path, quiet)
    more = dataclasses.replace(what, seeds=(0, 1))
    assert plain(run(separable(), more, tmp_path, quiet))[::2] == plain(first)
    monkeypatch.setattr(continual, "_learned", None)
    assert len(run(separable(), more, tmp_path, quiet)) == 8


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


def test_a_warm_network_begins_where_the_stage_before_ended_and_a_fresh_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = [], []

    def spied(true_fit: Any) -> Any:
        def spy(network: Any, *given: Any, **named: Any) -> None:
            own = next(network.parameters())
            begun.append(own.detach().clone())
            true_fit(network, *given, **named)
            ended.append(own.detach().clone())

        return spy

    monkeypatch.setattr(train, "fit", spied(train.fit))
    monkeypatch.setattr(continued, "fit", spied(continued.fit))
    warm = run(separable(), dataclasses.replace(QUICK, warm=True), tmp_path / "warm", quiet)
    assert [torch.equal(begun[2 + row], ended[row]) for row in (0, 1)] == [True, True]
    fresh = run(separable(), QUICK, tmp_path / "fresh", quiet)
    assert torch.equal(begun[4], begun[0]) and torch.equal(ended[4], ended[0])  # the first stage
    assert [one["accuracy"] for one in warm[:2]] == [one["accuracy"] for one in fresh[:2]]
    assert not torch.equal(ended[6], ended[2])
    assert all(one["warm"] for one in warm) and not any(one["warm"] for one in fresh)


def test_the_ceiling_begins_anew_at_each_stage_and_may_stand_at_the_last_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "WHOLE_UPDATES", 5)
    every = dataclasses.replace(QUICK, ceiling="every", rows=())
    fresh = run(separable(), every, tmp_path, quiet)
    warm = run(separable(), dataclasses.replace(every, warm=True), tmp_path, quiet)
    last = run(separable(), dataclasses.replace(every, ceiling="last"), tmp_path, quiet)
    ours, theirs, alone = (
        [(one["stage"], one["accuracy"]) for one in lines if one["row"] == "full"]
        for lines in (warm, fresh, last)
    )
    assert ours == theirs and len(ours) == 2 and alone == theirs[1:]


def test_the_methods_own_row_is_its_own_whatever_baselines_stand_beside_it(tmp_path: Path) -> None:
    few = dataclasses.replace(QUICK, method="herding", rows=("random",))
    more = dataclasses.replace(few, rows=("random", "herding"))
    first = run(separable(), few, tmp_path, quiet)
    assert {one["row"] for one in first} == {"random", "herding (run)"}
    again = run(separable(), more, tmp_path, quiet)
    assert {one["row"] for one in again} == {"random", "herding", "herding (run)"}
    assert [one for one in again if one["row"] != "herding"] == first


TOTAL = dataclasses.replace(QUICK, budget="total", per_class=2, method="kmeans",
                            rows=("random", "herding"), updates=2)  # fmt: skip


def test_a_total_budget_is_never_exceeded_and_leaves_no_room_for_one_more_of_each_class(
    tmp_path: Path,
) -> None:
    problem = separable(classes=5, each=30)
    lines = run(problem, dataclasses.replace(TOTAL, stages=4), tmp_path, quiet)
    each = 64 + 1
    total = 5 * 2 * each
    assert {one["total_bytes"] for one in lines} == {total}
    held = {one["stage"]: one["stored_bytes"] for one in lines}
    assert held == {1: 2 * 5 * each, 2: 3 * 3 * each, 3: 4 * 2 * each, 4: 5 * 2 * each}
    for line in lines:
        assert line["stored_bytes"] == held[line["stage"]] == line["samples"] * each
        assert total - len(line["classes"]) * each < line["stored_bytes"] <= total
    few = run(separable(each=3), dataclasses.replace(TOTAL, per_class=3), tmp_path / "few", quiet)
    assert {one["samples"] for one in few if one["stage"] == 1} == {6}  # a class has no more


def test_memory_that_shrinks_is_what_would_have_been_chosen_and_k_means_of_what_is_held(
    tmp_path: Path,
) -> None:
    part = separable(classes=2, each=30)
    memories = {
        "random": random_start(part, 10, Pixels(), Streams(3)),
        "herding": herding_start(part, 10, Pixels(), Streams(3)),
        "kmeans": kmeans_start(part, 10, Pixels(), Streams(3)),
    }
    for row, made in memories.items():
        less = fewer(fewer(made, 7, row), 4, row)
        assert less.labels.tolist() == [0] * 4 + [1] * 4 and less.label_names == made.label_names
        held = {one.numpy().tobytes(): int(label) for one, label
                in zip(made.stored["pixels"], made.labels, strict=True)}  # fmt: skip
        chosen = [one.numpy().tobytes() for one in less.stored["pixels"]]
        assert [held[one] for one in chosen] == less.labels.tolist() and len(set(chosen)) == 8
        assert torch.equal(fewer(made, 99, row).stored["pixels"], made.stored["pixels"])
    again = {"random": random_start, "herding": herding_start}
    for row, start in again.items():
        fresh = start(part, 4, Pixels(), Streams(3))
        assert torch.equal(fewer(memories[row], 4, row).stored["pixels"], fresh.stored["pixels"])
    first = memories["kmeans"].stored["pixels"][:4]
    assert not torch.equal(fewer(memories["kmeans"], 4, "kmeans").stored["pixels"][:4], first)


def test_early_memory_is_larger_under_a_total_budget_and_shrinks_to_the_other(
    tmp_path: Path,
) -> None:
    problem = separable(each=30)
    shared = Memories(problem, TOTAL, 0)
    order = class_order(4, 0)
    shared.add(problem.only(order[:2]), order[:2], tmp_path / "stage1")
    assert [len(sets[0]) for sets in shared.rows.values()] == [8, 8, 8]
    shared.add(problem.only(order[2:]), order[2:], tmp_path / "stage2")
    assert [[len(one) for one in sets] for sets in shared.rows.values()] == [[4, 4]] * 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "dm"}, "a memory of dm cannot shrink"),
        ({"rows": ("mean",)}, "a memory of mean cannot shrink"),
        ({"budget": "totl"}, "unknown budget 'totl'"),
        ({"ceiling": "lst"}, "unknown ceiling 'lst'"),
        ({"rows": ("full",)}, "all data are no memory"),
        ({"rows": ("randm",)}, "unknown row 'randm'"),
        ({"rows": ("random", "random")}, "row is named twice"),
        ({"orders": ()}, "at least one class order"),
        ({"seeds": (1, 1)}, "evaluation seed is named twice"),
        ({"recipe": "qick"}, "unknown recipe 'qick'"),
        ({"network": PeerSpec("convnt3")}, "unknown model 'convnt3'"),
        ({"recipe": "linear-probe", "updates": None, "warm": True}, "no network goes on from it"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_before_anything_is_made(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    what = dataclasses.replace(TOTAL, **changes)
    with pytest.raises(UsageError, match=said) as error:
        run(separable(), what, tmp_path / "out", quiet)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_one_stage_is_an_ordinary_evaluation_to_the_bit(tmp_path: Path) -> None:
    problem = separable()
    what = dataclasses.replace(QUICK, stages=1, per_class=2, method="kmeans", seeds=(0, 1))
    lines = run(problem, what, tmp_path, quiet)
    records = api.evaluate(
        tmp_path / "order0" / "stage1", problem.only(class_order(4, 0)), [what.network],
        recipe=what.recipe, updates=what.updates, seeds=what.seeds, rows=what.rows,
    )  # fmt: skip
    ordinary = {(one.row, one.seed): (one.accuracy, one.stored_bytes) for one in records
                if one.row != "start"}  # fmt: skip
    ours = {(one["row"].removesuffix(" (run)"), one["seed"]):
            (one["accuracy"], one["stored_bytes"]) for one in lines}  # fmt: skip
    assert ours == ordinary and len(ours) == 4


def test_steps_of_the_preset_are_no_hindrance_to_what_only_selects(tmp_path: Path) -> None:
    assert run(separable(), dataclasses.replace(QUICK, steps=200), tmp_path, quiet)


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
