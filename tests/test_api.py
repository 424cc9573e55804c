"""The Python entry: condense what, evaluate what, and what is found again."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from condensery import HMDC, PeerSpec, Random, SyntheticSet, condense, evaluate, load, report
from condensery.api import changed, pick_device, resolve
from condensery.data import load_problem
from condensery.errors import UsageError
from condensery.methods import METHODS
from condensery.presets import Plan
from condensery.records import Record, read

TINY = HMDC(
    peers=(PeerSpec("mlp"), PeerSpec("convnet2_w8")),
    start_from="random",
    factor=1,
    real_batch=4,
    candidates=8,
    train_samples=8,
    train_batch=8,
    align_samples=8,
)
QUICK: dict[str, Any] = {
    "models": ["mlp"], "recipe": "quick", "updates": 2, "seeds": [0], "draws": 1
}  # fmt: skip


def arrays(seed: int = 0, classes: int = 3, count: int = 45) -> tuple[np.ndarray, np.ndarray]:
    """Small colour images whose class is a band of their own."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    samples = generator.integers(0, 60, (count, 8, 8, 3), dtype=np.uint8)
    for label in range(classes):
        samples[labels == label, 2 * label : 2 * label + 2] += 150
    return samples, labels


def npz(path: Path, seed: int = 0) -> Path:
    (x, y), (x_test, y_test) = arrays(seed), arrays(seed + 1)
    np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits, with a validation split."""
    out = tmp_path_factory.mktemp("api") / "run"
    condense("digits", TINY, steps=2, out=out, validation=0.2, quiet=True)
    return out


def same(one: SyntheticSet, other: SyntheticSet) -> bool:
    return all(torch.equal(leaf, other.stored[name]) for name, leaf in one.stored.items())


# Condense


def test_a_built_in_set_becomes_a_plain_dataset() -> None:
    synthetic = condense("digits", Random(), per_class=2, quiet=True)
    dataset = synthetic.as_dataset()
    sample, label = dataset[0]
    assert len(dataset) == 20 and sample.shape == (1, 8, 8) and int(label) == 0


def test_arrays_and_a_torch_dataset_of_them_give_the_same_set() -> None:
    x, y = arrays()
    from_arrays = condense((x, y), TINY, steps=1, quiet=True)
    tensors = TensorDataset(torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y))
    from_dataset = condense(tensors, TINY, steps=1, quiet=True)
    assert from_arrays.classes == 3 and same(from_arrays, from_dataset)


def test_a_problem_is_taken_as_it_is() -> None:
    problem = load_problem(arrays(), mirror=False)
    synthetic = condense(problem, "mean", quiet=True)
    assert synthetic.modality == problem.modality


def test_a_seed_gives_the_same_set_and_another_gives_another() -> None:
    first, again, other = (condense("digits", TINY, steps=1, seed=seed, quiet=True)
                           for seed in (1, 1, 2))  # fmt: skip
    assert same(first, again) and not same(first, other)


def test_every_step_is_told_with_the_set_as_it_is() -> None:
    told: list[tuple[int, bool, int]] = []

    def on_step(step: int, info: Any, made: SyntheticSet) -> None:
        told.append((step, bool(info.values), len(made)))

    condense("digits", TINY, steps=3, quiet=True, on_step=on_step)
    assert told == [(1, True, 10), (2, True, 10), (3, True, 10)]


def test_a_network_of_ones_own_is_a_peer() -> None:
    def mine() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

    method = dataclasses.replace(TINY, peers=(PeerSpec("mine", taps=("1",)), PeerSpec("mlp")))
    synthetic = condense("digits", method, steps=1, modules={"mine": mine}, quiet=True)
    assert synthetic.about["peers"] == ["mine", "mlp"]


def test_settings_come_after_the_preset() -> None:
    problem = load_problem("digits")
    plan = changed(resolve("hmdc", "smoke", problem, 1), {"real_batch": 3})
    smoke = resolve("hmdc", "smoke", problem, 1)
    assert plan == Plan(dataclasses.replace(smoke.method, real_batch=3), smoke.steps)
    synthetic = condense("digits", "hmdc", preset="smoke", settings={"lr": 0.125}, quiet=True)
    fields = synthetic.about["settings"]["fields"]
    assert fields["lr"] == 0.125 and fields["candidates"] == 8 and synthetic.about["steps"] == 2


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"method": "hmcd"}, "did you mean hmdc"),
        ({"method": "hmdc", "preset": "smok"}, "did you mean smoke"),
        ({"method": TINY, "preset": "smoke"}, "given by name"),
        ({"method": TINY, "settings": {"real_bach": 1}}, "did you mean real_batch"),
        ({"method": TINY, "steps": 1, "minutes": 1}, "not both"),
        ({"method": TINY, "per_class": 0}, "from 1"),
        ({"method": TINY, "device": "nowhere"}, "no device"),
    ],
    ids=lambda part: str(part)[:30],
)
def test_what_cannot_be_is_said_in_one_line(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        condense("digits", quiet=True, **asked)
    assert "\n" not in str(error.value)


def test_a_run_begins_from_another_runs_set(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(run)
    monkeypatch.chdir(run.parent)
    again = condense("digits", TINY, steps=0, init=run.name, validation=0.2, quiet=True)
    assert same(before, again)
    # Wherever a later session is started, it finds the same start.
    assert again.about["settings"]["init"] == str(run.resolve())


def test_a_set_of_other_classes_is_no_start(run: Path) -> None:
    with pytest.raises(UsageError, match="10 classes"):
        condense(arrays(), TINY, steps=0, init=run, quiet=True)


def test_the_first_device_is_a_gpu_where_there_is_one() -> None:
    assert pick_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == torch.device("cpu")


# Evaluate


def test_a_directory_is_evaluated_beside_its_baselines_and_its_start(run: Path) -> None:
    told: list[tuple[str, int, int]] = []
    records = evaluate(run, **QUICK, on_record=lambda one, *at: told.append((one.row, *at)))
    rows = ["random", "kmeans", "mean", "start", "hmdc"]
    assert [one.row for one in records] == rows
    assert told == [(row, number, 5) for number, row in enumerate(rows, start=1)]
    assert all(one.seen and one.replicate == 0 and one.stored_bytes == 650 for one in records)
    assert read(run / "records.jsonl") == records
    assert evaluate(run, **QUICK, on_record=_never) == records, "they were there already"


def test_random_is_drawn_ten_times_over_the_seeds_of_one_size_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    runs = {(per_class, seed): tmp_path / f"{per_class}-{seed}"
            for per_class, seed in ((1, 0), (1, 1), (1, 2), (2, 0))}  # fmt: skip
    for (per_class, seed), out in runs.items():
        condense("digits", Random(), per_class=per_class, seed=seed, out=out, quiet=True)
    # Another method's run of a seed that is there: its random draws are the same ones.
    runs[1, "mean"] = tmp_path / "mean"
    condense("digits", "mean", seed=2, out=tmp_path / "mean", quiet=True)
    ask = {name: value for name, value in QUICK.items() if name != "draws"}
    told = evaluate(list(runs.values()), rows=("random",), **ask)
    drawn = [one for one in told if one.row == "random" and one.condense_seconds is None]
    sets = {(one.per_class, one.replicate % 1_000_000): set() for one in drawn}
    for one in drawn:
        sets[one.per_class, one.replicate % 1_000_000].add(one.replicate)
    assert {key: len(found) for key, found in sets.items()} == {
        (1, 0): 4, (1, 1): 4, (1, 2): 4, (2, 0): 10}  # fmt: skip
    memory = condense("digits", Random(), quiet=True)
    assert len(evaluate(memory, "digits", rows=("random",), **ask)) == 11
    assert len(evaluate(memory, "digits", rows=("random",), **QUICK)) == 2


def test_an_unknown_name_is_said_before_anything_is_loaded(run: Path) -> None:
    for wrong in ({"models": ["mlpp"]}, {"recipe": "quik"}):
        with pytest.raises(UsageError, match="unknown"):
            evaluate(run, data="no such data", **(QUICK | wrong))


def test_several_directories_are_counted_together(tmp_path: Path) -> None:
    runs = [tmp_path / str(seed) for seed in (0, 1)]
    for seed, out in enumerate(runs):
        condense("digits", Random(), seed=seed, out=out, quiet=True)
    told: list[tuple[int, int]] = []
    records = evaluate(runs, rows=(), **QUICK, on_record=lambda _, *at: told.append(at))
    assert [(one.row, one.replicate) for one in records] == [
        ("start", 0), ("random", 0), ("start", 1), ("random", 1)
    ]  # fmt: skip
    assert told == [(number, 4) for number in (1, 2, 3, 4)]


def test_a_set_in_memory_needs_to_be_told_its_data() -> None:
    synthetic = condense(arrays(), "random", quiet=True)
    with pytest.raises(UsageError, match="give data"):
        evaluate(synthetic, **QUICK)
    records = evaluate(synthetic, arrays(), rows=("mean",), **QUICK)
    assert [one.row for one in records] == ["mean", "random"]


def test_the_validation_split_of_the_run_is_there_again(run: Path) -> None:
    (record,) = [one for one in evaluate(run, rows=(), split="val", **QUICK) if one.row == "hmdc"]
    assert record.split == "val"


def test_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match="at least one run directory"):
        evaluate([], **QUICK)


def test_data_of_a_path_are_found_again_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    npz(here / "bands.npz")
    monkeypatch.chdir(here)
    condense("bands.npz", "random", out="run", size=6, quiet=True)
    source = json.loads(Path("run/config.json").read_text())["source"]
    assert source["data"] == str((here / "bands.npz").resolve()) and source["size"] == 6
    monkeypatch.chdir(there)
    assert {one.data for one in evaluate("../here/run", rows=(), **QUICK)} == {"bands"}


def test_data_that_have_changed_are_refused_unless_they_are_named(tmp_path: Path) -> None:
    data = npz(tmp_path / "bands.npz")
    condense(data, "random", out=tmp_path / "run", quiet=True)
    npz(data, seed=5)
    with pytest.raises(UsageError, match="have changed: give --data"):
        evaluate(tmp_path / "run", rows=(), **QUICK)
    assert evaluate(tmp_path / "run", data, rows=(), **QUICK)


def test_a_run_of_data_in_memory_asks_for_them(tmp_path: Path) -> None:
    condense(arrays(), "random", out=tmp_path / "run", quiet=True)
    with pytest.raises(UsageError, match="does not say where its data are: give --data"):
        evaluate(tmp_path / "run", rows=(), **QUICK)
    assert evaluate(tmp_path / "run", arrays(), rows=(), **QUICK)


def test_records_become_a_report(run: Path, tmp_path: Path) -> None:
    page = report(evaluate(run, **QUICK), tmp_path / "drawn")
    assert page == tmp_path / "drawn" / "report.html" and page.is_file()


# Names


@pytest.mark.parametrize(
    "first", ["condensery", "condensery.evaluate.grid", "condensery.report", "condensery.cli"]
)
def test_verbs_are_functions_whatever_was_imported_before(first: str) -> None:
    code = (
        f"import {first}\nfrom condensery import condense, evaluate, report\n"
        "print(*(type(one).__name__ for one in (condense, evaluate, report)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["function"] * 3


def test_every_method_of_the_table_can_be_named() -> None:
    problem = load_problem("digits")
    named: dict[str, Callable[..., Any]] = dict(METHODS)
    for name, kind in named.items():
        assert type(resolve(name, None, problem, 1).method) is kind


def _never(record: Record, done: int, of: int) -> None:
    raise AssertionError(f"{record.row} was measured again")


@pytest.mark.parametrize("asked", [{"steps": 5}, {"minutes": 1.0}])
def test_a_selection_is_not_given_time_that_it_would_not_use(asked: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="only selects"):
        condense("digits", "random", quiet=True, **asked)  # type: ignore[arg-type]
    assert len(condense("digits", "random", steps=0, quiet=True)) == 10
