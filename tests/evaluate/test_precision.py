"""Lower precision where, and only where, it is asked for or measured to be faster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from condensery.errors import UsageError
from condensery.evaluate import precision
from condensery.evaluate.precision import precision_from, precision_of

BATCH = torch.ones(4, 64)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONDENSERY_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Speeds that the next trials find, one each."""
    left = [4.0]
    monkeypatch.setattr(precision, "times_faster", lambda network, x: left.pop(0))
    yield left


def linear(width: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        return nn.Linear(64, width)


@pytest.mark.parametrize(
    ("times", "chosen"), [(4.0, torch.bfloat16), (1.1, torch.float32), (0.05, torch.float32)]
)
def test_auto_takes_sixteen_bits_only_where_the_network_is_clearly_faster(
    times: float, chosen: torch.dtype, trials: list[float]
) -> None:
    trials[:] = [times]
    assert precision_of("auto", linear(), BATCH) == chosen


def test_what_is_named_is_taken_without_a_trial(trials: list[float]) -> None:
    assert precision_of("float32", linear(), BATCH) == torch.float32
    assert precision_of("bfloat16", linear(), BATCH) == torch.bfloat16
    assert len(trials) == 1


def test_a_network_keeps_its_precision_whatever_a_second_trial_would_find(
    trials: list[float],
) -> None:
    trials[:] = [4.0, 0.5]
    first, again = linear(), linear()  # another seed of the same network
    assert precision_of("auto", first, BATCH) == torch.bfloat16
    assert precision_of("auto", again, BATCH) == torch.bfloat16
    assert trials == [0.5]
    assert precision_of("auto", linear(width=4), BATCH) == torch.float32


def test_another_batch_is_another_trial(trials: list[float]) -> None:
    trials[:] = [4.0, 0.5]
    assert precision_of("auto", linear(), BATCH) == torch.bfloat16
    assert precision_of("auto", linear(), BATCH[:2]) == torch.float32


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', '{"a": {"tested in": "int8"}}'])
def test_a_damaged_file_is_found_anew(content: str, folder: Path, trials: list[float]) -> None:
    (folder / precision.FILE).write_text(content)
    assert precision_of("auto", linear(), BATCH) == torch.bfloat16
    kept = json.loads((folder / precision.FILE).read_text())
    assert [one["tested in"] for one in kept.values()] == ["bfloat16"]


def test_a_folder_that_cannot_be_written_is_told(
    folder: Path, trials: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("CONDENSERY_CACHE", str(folder / "file" / "below"))
    with pytest.warns(UserWarning, match="CONDENSERY_CACHE"):
        assert precision_of("auto", linear(), BATCH) == torch.bfloat16


def test_a_trial_runs_the_network_and_one_on_a_slow_cpu_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    network = linear()
    network.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    monkeypatch.setattr(precision, "gain", lambda: 0.05)
    assert precision.times_faster(network, BATCH) < 1
    assert seen == []
    monkeypatch.setattr(precision, "gain", lambda: 2.0)
    assert precision.times_faster(network, BATCH) > 0
    assert seen.count(torch.bfloat16) == seen.count(torch.float32) == 1 + precision.TRIES


def test_the_gain_is_measured_and_leaves_the_threads_as_they_were() -> None:
    threads = torch.get_num_threads()
    assert precision.gain() > 0
    assert torch.get_num_threads() == threads


def test_an_unknown_precision_prints_the_known_ones() -> None:
    with pytest.raises(UsageError, match="float16.*float32, bfloat16, auto"):
        precision_from("float16")
    assert precision_from("auto") == "auto"
