"""Arms of a study side by side, from runs written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from condensery.records import Record
from condensery.report.arms import arms_table
from condensery.report.gather import RunFiles, read_run
from condensery.report.published import ablation
from condensery.statistics import compare
from report.runs import evaluated, record, run_directory, write

# By arm, condensation seed and evaluation seed; the second training is another thing altogether.
ACCURACIES = {
    "both": [[0.50, 0.60], [0.52, 0.63], [0.54, 0.61]],
    "none": [[0.45, 0.50], [0.46, 0.52], [0.47, 0.51]],
}


def arm(place: Path, name: str, records: list[Record]) -> RunFiles:
    """A run of a study with its records."""
    run = evaluated(run_directory(place, steps=2), records)
    write(run / "study.json", {"arm": name, "note": f"note of {name}"})
    return read_run(run, f"digits/{name}-ipc1/0")


def two_arms(place: Path, more: list[Record], **told: object) -> list[RunFiles]:
    """Both arms of ``ACCURACIES`` on two networks, with further records in the first one's run."""
    found = []
    for name, table in ACCURACIES.items():
        own = [record(model=model, replicate=set_, seed=seed, accuracy=value, **told)
               for model in ("convnet3", "mlp") for set_, row in enumerate(table)
               for seed, value in enumerate(row)]  # fmt: skip
        found.append(arm(place / name, name, own + (more if name == "both" else [])))
    return found


def random(**told: object) -> list[Record]:
    return [record(row="random", model=model, replicate=draw, accuracy=0.4, **told)
            for model in ("convnet3", "mlp") for draw in range(4)]  # fmt: skip


def test_random_stands_first_where_it_was_measured_and_is_no_arm(tmp_path: Path) -> None:
    (section,) = arms_table(two_arms(tmp_path, random()), "Arms", "none")
    table, gaps = section.grids
    assert [key for key, _, _ in table.rows] == ["random", "both", "none"]
    assert [key for key, _, _ in gaps.rows] == ["both"]
    assert [(one.text, one.detail) for one in table.rows[0][2]] == 3 * [
        ("40.00 ± 0.00", "n = 4, m = 1")]  # fmt: skip
    assert table.rows[1][1].detail == "note of both"
    (alone,) = arms_table(two_arms(tmp_path / "alone", []), "Arms")
    assert [key for key, _, _ in alone.grids[0].rows] == ["both", "none"]


def selected(place: Path, name: str, method: str, accuracies: dict[str, float]) -> RunFiles:
    """A run of a selection with one record a row, accuracies by row."""
    run = run_directory(place, steps=0)
    config = json.loads((run / "config.json").read_text())
    write(run / "config.json", config | {"settings": config["settings"] | {"method": method}})
    write(run / "study.json", {"arm": name})
    evaluated(run, [record(row=row, accuracy=value) for row, value in accuracies.items()])
    return read_run(run, f"digits/{name}-ipc1/0")


def test_an_arm_that_is_a_selection_has_its_own_numbers_and_not_its_baselines(
    tmp_path: Path,
) -> None:
    runs = [selected(tmp_path / "r", "r", "random", {"random": 0.4, "random (run)": 0.5}),
            selected(tmp_path / "m", "m", "mean", {"mean": 0.6})]  # fmt: skip
    (section,) = arms_table(runs, "Arms")
    told = {key: cells[0].text for key, _, cells in section.grids[0].rows}
    assert told == {"random": "40.00", "r": "50.00", "m": "60.00"}


def test_a_random_arm_without_baselines_beside_it_is_no_baseline(tmp_path: Path) -> None:
    runs = [selected(tmp_path / "m", "m", "mean", {"mean": 0.6}),
            selected(tmp_path / "r", "r", "random", {"random": 0.5})]  # fmt: skip
    (section,) = arms_table(runs, "Arms")
    assert [key for key, _, _ in section.grids[0].rows] == ["m", "r"]


def test_arms_of_two_recipes_are_two_tables(tmp_path: Path) -> None:
    runs = two_arms(tmp_path, random() + [record(recipe="idc", accuracy=0.9)])
    titles = {one.title: one for one in arms_table(runs, "Arms", "none")}
    assert len(titles) == 2 and len({one.name for one in titles.values()}) == 2
    other = next(one for title, one in titles.items() if "recipe idc" in title)
    assert [[cell.text for cell in cells] for _, _, cells in other.grids[0].rows] == [
        ["90.00"], ["–"]]  # fmt: skip


def test_an_arm_that_no_run_has_made_yet_is_a_hole_in_both_tables(tmp_path: Path) -> None:
    planned = {"both": "", "none": "", "balance": "one part"}
    (section,) = arms_table(two_arms(tmp_path, []), "Arms", "none", planned=planned)
    table, gaps = section.grids
    assert [key for key, _, _ in table.rows] == ["both", "none", "balance"]
    assert [key for key, _, _ in gaps.rows] == ["both", "balance"]
    for grid in section.grids:
        assert {(cell.text, cell.detail) for cell in grid.rows[-1][2]} == {("–", "not measured")}
    assert table.rows[-1][1].detail == "one part"


def test_with_nothing_to_subtract_there_is_no_table_of_differences(tmp_path: Path) -> None:
    none = two_arms(tmp_path, [])[1:]
    (section,) = arms_table(none, "Arms", "none")
    assert len(section.grids) == 1
    (section,) = arms_table(none, "Arms", "none", planned={"both": "", "none": ""})
    assert [key for key, _, _ in section.grids[1].rows] == ["both"]


def test_random_samples_alone_are_no_table_of_arms(tmp_path: Path) -> None:
    assert arms_table([arm(tmp_path, "both", random())], "Arms") == []


def test_bars_have_the_interval_that_decides(tmp_path: Path) -> None:
    runs = two_arms(tmp_path, [])
    records = [record(row=name, model=model, replicate=set_, seed=seed, accuracy=value)
               for name, table in ACCURACIES.items() for model in ("convnet3", "mlp")
               for set_, row in enumerate(table) for seed, value in enumerate(row)]  # fmt: skip
    pair = next(one.paired for one in compare(records, "both", "none")
                if one.model == "mean of all")  # fmt: skip
    assert pair is not None and pair.ends is not None and pair.low is not None
    assert pair.ends[0] < pair.low - 0.01  # else this shows nothing
    (section,) = arms_table(runs, "Arms", "none")
    (drawing,) = section.drawings
    line = drawing.figure.axes[0].lines[0].get_xdata()
    assert list(line) == pytest.approx([100 * end for end in pair.ends])


def test_published_averages_stand_in_a_column_of_their_own_that_says_whose_they_are(
    tmp_path: Path,
) -> None:
    runs = two_arms(tmp_path, random(data="cifar10"), data="cifar10")
    (section,) = arms_table(runs, "Ablation", "none", paper=ablation())
    table, gaps = section.grids
    assert table.heads[-1].text == "published (another setting)"
    told = {key: [one.text for one in cells] for key, _, cells in table.rows}
    assert {key: cells[-1] for key, cells in told.items()} == {
        "random": "–", "both": "75.10", "none": "74.09", "balance": "73.21",
        "alignment": "73.40", "dream": "62.18"}  # fmt: skip
    assert set(told["dream"][:-1]) == {"–"}
    assert not any("published" in one.text for one in gaps.heads)
    assert "10 images per class" in section.legend and "Moon" in section.legend
