"""Files of records only grow, and outlive a kill."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest

from condensery.records import Record, append, circumstances, newest, peak_memory, read


def record(seed: int = 0, accuracy: float = 0.5, **other) -> Record:
    values = dict(row="random", model="mlp", seen=False, replicate=0, recipe="hmdc", split="test",
                  best=None, data="digits", classes=10, per_class=1.0, samples=10,
                  stored_bytes=650, epochs=10, updates=10, seconds=1.0)  # fmt: skip
    return Record(seed=seed, accuracy=accuracy, **{**values, **other})


def test_what_is_appended_is_read_back_in_order(tmp_path):
    path = tmp_path / "deep" / "records.jsonl"
    append(path, [record(0), record(1)])
    append(path, [record(2, settings={"at": [0.5]}, circumstances={"cpu": "x"})])
    assert [one.seed for one in read(path)] == [0, 1, 2]
    assert read(path)[2].settings == {"at": [0.5]}


def test_no_file_holds_no_records(tmp_path):
    assert read(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("cut", [1, 2, 30, 10_000])
def test_a_torn_last_line_costs_that_record_only_and_the_file_goes_on(tmp_path, cut):
    path = tmp_path / "records.jsonl"
    append(path, [record(0), record(1)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][: max(1, len(lines[1]) - cut)])
    kept = [0, 1] if cut == 1 else [0]  # without its line's end alone a record is whole
    assert [one.seed for one in read(path)] == kept
    append(path, [record(2)])
    assert [one.seed for one in read(path)] == [*kept, 2]


def test_a_damaged_line_that_is_not_the_last_is_named(tmp_path):
    path = tmp_path / "records.jsonl"
    append(path, [record(0), record(1)])
    text = path.read_text()
    path.write_text("{]\n" + text)
    with pytest.raises(ValueError, match="line 1, is no record"):
        read(path)
    path.write_text(text + '{"row": "random"}\n')
    with pytest.raises(ValueError, match="line 3, is no record"):
        read(path)


def test_records_of_a_newer_version_can_be_read(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({**dataclasses.asdict(record(3)), "colour": "blue"}) + "\n")
    assert read(path) == [record(3)]


def test_the_newest_record_of_a_cell_holds():
    made = [record(0, 0.1), record(1, 0.2), record(0, 0.3)]
    assert [(one.seed, one.accuracy) for one in newest(made)] == [(0, 0.3), (1, 0.2)]


@pytest.mark.parametrize(
    "change", [{"row": "x"}, {"model": "x"}, {"replicate": 1}, {"seed": 1}, {"recipe": "x"},
               {"split": "val"}, {"epochs": 11}, {"updates": 11}, {"data": "x"}, {"per_class": 2.0},
               {"labels": "static of convnet3, temperature 4"}]
)  # fmt: skip
def test_what_was_measured_makes_the_key(change):
    assert dataclasses.replace(record(), **change).key() != record().key()


def test_random_samples_in_all_bytes_of_two_kinds_of_soft_labels_are_two_cells():
    few, many = (record(row="random, all bytes", stored_bytes=held) for held in (650, 6500))
    assert few.key() != many.key() and newest([few, many]) == [few, many]
    assert record(stored_bytes=650).key() == record(stored_bytes=6500).key()


def test_how_it_went_does_not_make_the_key():
    assert record(accuracy=0.9, seconds=9.0, seen=True).key() == record().key()


def test_the_largest_memory_is_in_bytes_and_never_falls():
    pytest.importorskip("resource", reason="Windows counts none")
    before = peak_memory()
    block = np.ones(2 * before, np.uint8)
    with_block = peak_memory()
    del block
    assert 2 * before < with_block < 4 * before and peak_memory() >= with_block


def test_kibibytes_are_counted_as_such_but_on_macos_and_none_on_windows(monkeypatch):
    resource = pytest.importorskip("resource", reason="Windows counts none")
    counted = type("Usage", (), {"ru_maxrss": 3000})
    monkeypatch.setattr(resource, "getrusage", lambda who: counted)
    for platform, expected in (("linux", 3_072_000), ("darwin", 3000)):
        monkeypatch.setattr(sys, "platform", platform)
        assert peak_memory() == expected
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory() is None


def test_circumstances_are_plain_values():
    told = circumstances()
    assert told["cpu"] and told["torch"] and json.loads(json.dumps(told)) == told
