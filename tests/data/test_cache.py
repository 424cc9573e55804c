"""Data are decoded once; what is remembered is whole, or it is made again."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from condensery.data import assemble, load_problem
from condensery.data.cache import cache_folder
from condensery.errors import UsageError
from data.made import channels_first, cifar_like, noise, table


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the data sets that were decoded."""
    seen: list[str] = []
    original = assemble.decoded

    def counting(found: object, name: str, *rest: object) -> object:
        seen.append(name)
        return original(found, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(assemble, "decoded", counting)
    return seen


def entries() -> list[Path]:
    return sorted((cache_folder() / "data").iterdir())


def test_the_second_time_nothing_is_decoded(tmp_path: Path, decodings: list[str]) -> None:
    images, _ = cifar_like(tmp_path / "mine")
    first, second = load_problem(tmp_path / "mine"), load_problem(tmp_path / "mine")
    assert decodings == ["mine"] and len(entries()) == 1
    assert isinstance(second.train.samples, np.memmap)
    assert not second.train.samples.flags.writeable
    assert np.array_equal(second.train.samples, channels_first(images))
    assert first.describe() == second.describe() and first.label_names == second.label_names


def test_samples_of_a_memory_map_are_handed_out_without_a_warning(tmp_path: Path) -> None:
    cifar_like(tmp_path / "mine")
    problem = load_problem(tmp_path / "mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sliced, picked = problem.samples(slice(0, 4)), problem.samples([0, 1, 2, 3])
    assert (sliced == picked).all()


def test_changed_files_replace_their_entry(tmp_path: Path, decodings: list[str]) -> None:
    cifar_like(tmp_path / "mine")
    before = load_problem(tmp_path / "mine")
    table(tmp_path / "mine" / "train-00000-of-00001.parquet", noise(20, 8, 8, 3, seed=1),
          [*range(10)] * 2)  # fmt: skip
    after = load_problem(tmp_path / "mine")
    assert len(decodings) == 2 and len(entries()) == 1
    assert before.fingerprint != after.fingerprint and len(after.train) == 20


def test_each_size_has_its_entry(tmp_path: Path, decodings: list[str]) -> None:
    cifar_like(tmp_path / "mine")
    for size in (None, 4, None, 4):
        load_problem(tmp_path / "mine", size=size)
    assert len(decodings) == 2 and len(entries()) == 2


DAMAGES = ["a flipped bit", "cut short", "no card", "a strange card", "gone", "other labels"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(tmp_path: Path, decodings: list[str], damage: str) -> None:
    cifar_like(tmp_path / "mine")
    whole = load_problem(tmp_path / "mine").fingerprint
    entry = entries()[0]
    samples = entry / "train.npy"
    raw = bytearray(samples.read_bytes())
    if damage == "a flipped bit":
        raw[-7] ^= 4
        samples.write_bytes(raw)
    elif damage == "cut short":
        samples.write_bytes(raw[:-9])
    elif damage == "no card":
        (entry / "card.json").unlink()
    elif damage == "a strange card":
        (entry / "card.json").write_text("[1, 2")
    elif damage == "gone":
        shutil.rmtree(entry)
    else:
        labels = np.load(entry / "train_labels.npy")
        np.save(entry / "train_labels.npy", labels[::-1])
    again = load_problem(tmp_path / "mine")
    assert again.fingerprint == whole and len(decodings) == 2
    load_problem(tmp_path / "mine")
    assert len(decodings) == 2, "and is whole now"


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    table(tmp_path / "mine" / "train.parquet", noise(4, 4, 4, 3), [0, 0, 0, 0])
    with pytest.raises(UsageError, match="only 1 class"):
        load_problem(tmp_path / "mine")
    assert entries() == []


def test_without_a_place_to_write_data_stay_in_memory_and_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = cifar_like(tmp_path / "mine")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CONDENSERY_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set CONDENSERY_CACHE to a folder with room"):
        problem = load_problem(tmp_path / "mine")
    assert np.array_equal(problem.train.samples, channels_first(images))


def test_a_full_disk_is_noticed_before_it_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar_like(tmp_path / "mine")
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.warns(UserWarning, match="0 MiB free"):
        assert len(load_problem(tmp_path / "mine").train) == 30
    assert entries() == []


def test_leftovers_of_killed_processes_are_swept_after_a_day(tmp_path: Path) -> None:
    cifar_like(tmp_path / "mine")
    old, new = (cache_folder() / "data" / f".unfinished-{name}" for name in ("old", "new"))
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, 0))
    load_problem(tmp_path / "mine")
    assert not old.exists() and new.exists()
