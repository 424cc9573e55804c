"""Run directories as they are found: whole, odd, damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from condensery.errors import UsageError
from condensery.report import report
from condensery.report.gather import by_kind, gather, short_names
from report.runs import evaluated, record, run_directory, write


def test_a_directory_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run directory"):
        gather(tmp_path)
    with pytest.raises(UsageError, match="nowhere is no run directory"):
        gather(str(tmp_path / "nowhere"))


def test_nothing_given_and_a_run_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to report"):
        gather([])
    run = run_directory(tmp_path / "a")
    with pytest.raises(UsageError, match="given twice"):
        gather([run, run])


def test_a_folder_stands_for_the_runs_below_it_seeds_by_their_number(tmp_path: Path) -> None:
    for name in ("b/10", "b/2", "a/0", "a/0/inside"):
        evaluated(run_directory(tmp_path / "study" / name, steps=2), [record()])
    run_directory(tmp_path / "study" / ".claims" / "hidden", steps=2)
    (tmp_path / "study" / "report").mkdir()
    assert [run.name for run in gather(tmp_path / "study").runs] == ["a/0", "b/2", "b/10"]
    assert [run.name for run in gather(tmp_path / "study/a/0").runs] == ["a/0"]
    with pytest.raises(UsageError, match="report is no run directory.*none lies below it"):
        gather(tmp_path / "study" / "report")
    with pytest.raises(UsageError, match="given twice"):
        gather([tmp_path / "study", tmp_path / "study/a/0"])


def test_missing_files_are_notes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    found = gather(tmp_path)
    told = "\n".join(found.notes)
    for file in ("synthetic/card.json", "start/card.json", "events.jsonl", "records.jsonl", "png"):
        assert file in told


def test_damaged_files_are_notes_and_what_is_sound_is_kept(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "a", steps=5)
    (run / "config.json").write_text("{ not json")
    (run / "synthetic" / "card.json").write_text("[1, 2]")
    with (run / "events.jsonl").open("a") as file:
        file.write('{"step": "six"}\nnonsense\n{"step": 6, "ter')
    found = gather(run)
    told = "\n".join(found.notes)
    assert "config.json cannot be read" in told
    assert "card.json holds no table" in told
    assert "3 damaged line(s) of events.jsonl" in told
    assert len(found.runs[0].events) == 5
    assert found.runs[0].label_names[0] == "zero"  # from the start's card


def test_a_damaged_line_of_records_is_named(tmp_path: Path) -> None:
    run = evaluated(run_directory(tmp_path / "a"), [record()])
    (run / "records.jsonl").write_text('{"row": 1}\n{}\n')
    (note,) = [note for note in gather(run).notes if "records" in note]
    assert "line 1" in note


def test_a_last_record_that_was_cut_short_is_left_out_and_said(tmp_path: Path) -> None:
    run = evaluated(run_directory(tmp_path / "run"), [record(), record(seed=1)])
    file = run / "records.jsonl"
    whole = file.read_bytes()
    assert not gather(run).notes
    said = ("the last line of run/records.jsonl is cut short: the same `condensery evaluate` "
            "measures it again",)  # fmt: skip
    # Without the last sign alone, its end of line, a record is whole.
    for kept, count, notes in ((len(whole) - 1, 2, ()), (len(whole) - 30, 1, said), (40, 0, said)):
        file.write_bytes(whole[:kept])
        found = gather(run)
        assert (len(found.records), found.notes) == (count, notes)


def test_records_without_an_accuracy_are_left_out_and_said() -> None:
    found = gather([record(), record(accuracy=float("nan"), seed=1), record(accuracy=55.0, seed=2)])
    assert len(found.records) == 1 and len(found.notes) == 2


def arm_run(path: Path, arm: str, **settings: object) -> Path:
    """A run of a study."""
    run = run_directory(path, steps=3)
    config = json.loads((run / "config.json").read_text())
    write(run / "config.json", config | {"settings": config["settings"] | settings})
    write(run / "study.json", {"arm": arm})
    return run


def test_runs_that_differ_in_their_seed_are_replicates_of_one_row(tmp_path: Path) -> None:
    runs = [
        evaluated(run_directory(tmp_path / str(seed), seed=seed),
                  [record(replicate=seed, fingerprint=f"f{seed}")])
        for seed in range(3)
    ]  # fmt: skip
    assert {one.row for one in gather(runs).records} == {"hmdc"}


def test_runs_of_one_method_with_other_settings_are_two_rows(tmp_path: Path) -> None:
    runs = []
    for name, balance in (("with", True), ("without", False)):
        records = [record(fingerprint=name), record(row="start", fingerprint="same start"),
                   record(row="random", fingerprint="same")]  # fmt: skip
        runs.append(evaluated(run_directory(tmp_path / name, balance=balance), records))
    rows = [one.row for one in gather(runs).records]
    assert rows == ["hmdc [with]", "start [with]", "random",
                    "hmdc [without]", "start [without]", "random"]  # fmt: skip


def test_an_arm_on_several_data_sets_and_sizes_is_several_kinds(tmp_path: Path) -> None:
    """Table 1: an arm of a study stands for two data sets, three sizes and three seeds."""
    places = []
    for data in ("cifar10", "cifar100"):
        for size in (1, 10):
            for seed in (0, 1):
                place = tmp_path / data / f"hmdc-ipc{size}" / str(seed)
                places.append(arm_run(place, "hmdc", data=data, per_class=size, seed=seed))
    found = by_kind(gather(places).runs)
    assert list(found) == [f"hmdc [{data}, {size} per class]" for data in ("cifar10", "cifar100")
                           for size in (1, 10)]  # fmt: skip
    for held in found.values():
        assert [run.settings["seed"] for run in held] == [0, 1]
        assert len({(run.settings["data"], run.settings["per_class"]) for run in held}) == 1
    sizes = by_kind(gather(places[:4]).runs)
    assert list(sizes) == ["hmdc [1 per class]", "hmdc [10 per class]"]
    assert list(by_kind(gather(places[:2]).runs)) == ["hmdc"]


def test_a_page_of_several_sizes_calls_seeds_only_what_are_seeds(tmp_path: Path) -> None:
    places = [arm_run(tmp_path / f"{size}" / f"{seed}", "hmdc", per_class=size, seed=seed)
              for size in (1, 10) for seed in (0, 1, 2)]  # fmt: skip
    html = report(places, tmp_path / "out").read_text(encoding="utf-8")
    assert html.count("thin: 2 other seeds") == 4 and "5 other seeds" not in html
    assert "HMDC [1 per class]" in html and "2 more of HMDC [10 per class]" in html
    for size in (1, 10):
        assert (tmp_path / "out" / f"balance-hmdc-{size}-per-class.svg").is_file()


def test_a_set_that_was_made_anew_in_its_run_replaces_the_old_one(tmp_path: Path) -> None:
    old, new = record(fingerprint="old", accuracy=0.2), record(fingerprint="new", accuracy=0.6)
    run = evaluated(run_directory(tmp_path / "a"), [old, new])
    assert [one.accuracy for one in gather(run).records] == [0.6]


def test_names_of_runs_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    assert short_names([Path("r/a"), Path("r/b")]) == ["a", "b"]
    assert short_names([Path("x/a"), Path("y/a")]) == ["x/a", "y/a"]
    assert short_names([Path("hmdc/0"), Path("hmdc/1")]) == ["hmdc/0", "hmdc/1"]


def test_terms_are_named_as_told_else_by_peers_else_by_number(tmp_path: Path) -> None:
    (run,) = gather(run_directory(tmp_path / "a")).runs
    assert run.term_names(3) == ["convnet3", "vit_mini", "agreement"]
    assert run.term_names(2) == ["convnet3", "vit_mini"]
    assert run.term_names(4) == ["term 1", "term 2", "term 3", "term 4"]


def test_a_selection_as_an_arm_goes_with_its_start_and_is_no_baseline_of_other_arms(
    tmp_path: Path,
) -> None:
    hmdc = evaluated(arm_run(tmp_path / "h", "h"),
                     [record(), record(row="start"), record(row="random")])  # fmt: skip
    selection = evaluated(arm_run(tmp_path / "r", "r", method="random"),
                          [record(row="random"), record(row="start")])  # fmt: skip
    rows = [one.row for one in gather([hmdc, selection]).records]
    assert rows == ["hmdc [h]", "start [h]", "random", "random (run) [r]", "start [r]"]
