"""Scores, costs, neighbours and embeddings on the page; nothing where nothing was measured."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path

import pytest

from condensery.evaluate import RECIPES, recipe_from
from condensery.records import Record, append
from condensery.report import report
from condensery.report.gather import gather
from condensery.report.panels import panels
from condensery.report.scored import sections
from condensery.scores import augmentation_robust, label_robust
from report.runs import record


def grid(recipe: str = "quick", per_class: float = 1, full: bool = False) -> list[Record]:
    accuracies = {"hmdc": 0.5, "random": 0.3} | ({"full": 0.9} if full else {})
    return [record(row=row, model=model, replicate=one, recipe=recipe, per_class=per_class,
                   accuracy=value + 0.01 * one + (0.1 if model == "mlp" and row == "hmdc" else 0))
            for row, value in accuracies.items() for model in ("mlp", "convnet3")
            for one in (0, 1)]  # fmt: skip


def shown(records: list[Record], directory: Path) -> dict[str, object]:
    append(directory / "records.jsonl", records)
    gathered = gather(directory)
    return {one.title.split(":")[0]: one for one in sections(gathered, panels(records))}


def test_label_robust_scores_need_the_whole_data(tmp_path: Path) -> None:
    assert "Label-robust score" not in shown(grid(), tmp_path / "a")
    (table,) = shown(grid(full=True), tmp_path / "b")["Label-robust score"].grids
    cells = dict(zip([one.text for one in table.heads], table.rows[0][2], strict=True))
    each = [label_robust(0.905, 0.5 + one, 0.5 + one, 0.3 + one) for one in (0.0, 0.01)]
    assert cells["convnet3"].text.startswith(f"{sum(each) / 2:.3f}")


def test_soft_labels_are_scored_beside_the_whole_data_of_hard_ones(tmp_path: Path) -> None:
    soft = [record(row=row, model="mlp", recipe="quick", accuracy=value, labels="static of t")
            for row, value in (("hmdc", 0.7), ("random", 0.35))]  # fmt: skip
    hard = [record(row=row, model="mlp", recipe="quick", accuracy=value)
            for row, value in (("hmdc", 0.4), ("random", 0.3), ("full", 0.8))]  # fmt: skip
    append(tmp_path / "records.jsonl", hard + soft)
    gathered = gather(tmp_path)
    found = [one for one in sections(gathered, panels(gathered.records))
             if one.title.startswith("Label-robust")]  # fmt: skip
    assert sorted(one.grids[0].rows[0][2][0].text for one in found) == ["0.210", "0.258"]


def test_soft_labels_without_the_whole_data_are_a_hole_that_says_how_to_fill_it(
    tmp_path: Path,
) -> None:
    told = grid() + [dataclasses.replace(one, labels="static of t") for one in grid()]
    (section,) = [one for one in sections(gather(told), panels(told))
                  if one.title.startswith("Label-robust")]  # fmt: skip
    assert "labels static of t" in section.title and "--rows random,full" in section.lead
    assert [(cell.text, cell.detail) for _, _, cells in section.grids[0].rows for cell in cells] \
        == [("–", "no record of the whole data")] * 2


def test_packed_sets_are_scored_against_packed_random(tmp_path: Path) -> None:
    values = {"hmdc": 0.5, "random": 0.2, "random packed": 0.45, "full": 0.9}
    records = [record(row=row, model=model, recipe="quick", accuracy=value, samples=40)
               for row, value in values.items() for model in ("mlp", "convnet3")]  # fmt: skip
    found = shown(records, tmp_path)
    expected = label_robust(0.9, 0.5, 0.5, 0.45)
    assert found["Label-robust score"].grids[0].rows[0][2][0].text == f"{expected:.3f}"


def test_augmentation_robust_scores_need_the_plain_recipe_too(tmp_path: Path) -> None:
    both = grid("quick (60 updates)") + grid("quick-plain (60 updates)")
    (table,) = shown(both, tmp_path)["Augmentation-robust score"].grids
    cells = dict(zip([one.text for one in table.heads], table.rows[0][2], strict=True))
    expected = augmentation_robust(0.5, 0.3, 0.5, 0.3)
    assert cells["convnet3"].text.startswith(f"{expected:.3f}")


def test_model_dependency_is_drawn_against_samples_per_class(tmp_path: Path) -> None:
    one = shown(grid(), tmp_path / "a")["Model dependency"]
    assert one.grids[0].rows[0][2][0].text == "7.07" and not one.drawings
    two = shown(grid() + grid(per_class=10), tmp_path / "b")["Model dependency"]
    assert len(two.grids[0].rows) == 2 and len(two.drawings) == 1


def test_each_size_is_measured_by_random_samples_packed_like_the_set(tmp_path: Path) -> None:
    """IDC packs at 10 per class and is not there at 1; at 1 a plain method stands first."""
    values = {
        ("hmdc", 1): (0.40, 0.50, 10), ("random", 1): (0.30, 0.30, 10),
        ("idc", 10): (0.60, 0.70, 400), ("idc", 50): (0.80, 0.84, 2000),
        ("random", 10): (0.10, 0.50, 100), ("random", 50): (0.10, 0.50, 500),
        ("random packed", 10): (0.55, 0.60, 400), ("random packed", 50): (0.70, 0.70, 2000),
    }  # fmt: skip
    records = [record(row=row, model=model, replicate=one, recipe="quick", per_class=float(size),
                      accuracy=accuracy, samples=samples)
               for (row, size), (*both, samples) in values.items()
               for model, accuracy in zip(("mlp", "convnet3"), both, strict=True)
               for one in (0, 1)]  # fmt: skip
    found = shown(records, tmp_path)["Model dependency"]
    told = {name.text: (name.detail, cells) for _, name, cells in found.grids[0].rows}
    # The gaps of IDC over packed Random are 5 and 10 points at 10 per class, 10 and 14 at 50.
    for name, against, gaps in (("HMDC, 1 per class", "Random", (0.1, 0.2)),
                                ("IDC, 10 per class", "packed Random", (0.05, 0.1)),
                                ("IDC, 50 per class", "packed Random", (0.1, 0.14))):  # fmt: skip
        detail, cells = told[name]
        assert detail == f"gap to {against}"
        assert cells[0].text == f"{100 * statistics.stdev(gaps):.2f}"
        assert cells[1].text == f"{100 * (gaps[1] - gaps[0]):.2f}"
        assert cells[2].text == f"+{100 * gaps[0]:.2f}"
    (line,) = found.drawings[0].figure.axes[0].lines
    assert list(line.get_xdata()) == [10, 50]
    assert line.get_ydata() == pytest.approx([100 * statistics.stdev(x)
                                              for x in ((0.05, 0.1), (0.1, 0.14))])  # fmt: skip


def test_two_recipes_and_splits_on_one_data_set_keep_their_own_curves(tmp_path: Path) -> None:
    records = [one for recipe in ("quick", "quick-plain") for size in (1, 10)
               for one in grid(recipe, size)]  # fmt: skip
    records += [dataclasses.replace(one, split="val") for one in records]
    append(tmp_path / "records.jsonl", records)
    found = [one for one in sections(gather(tmp_path), panels(records))
             if one.title.startswith("Model")]  # fmt: skip
    assert len({one.title for one in found}) == 4
    assert {one.drawings[0].name for one in found} == {
        f"dependency-digits-{recipe}-{split}" for recipe in ("quick", "quick-plain")
        for split in ("test", "val")}  # fmt: skip


def test_costs_neighbours_and_embeddings_are_read_from_the_run(tmp_path: Path) -> None:
    place = tmp_path / "run"
    append(place / "records.jsonl", grid())
    training = {"row": "set", "samples": 10, "stored_bytes": 650, "made": 60.0, "trained": 2.0,
                "passes": 100, "best": 0.6}  # fmt: skip
    rung = training | {"row": "k-means, 5 per class", "made": 1.0, "trained": 4.0}
    told = {"target": 0.595, "set": training, "rungs": [rung], "against": rung["row"],
            "break_even": "after 30 trainings", "whole": False, "network": "mlp"}  # fmt: skip
    (place / "costs.json").write_text(json.dumps(told))
    points = [{"kind": kind, "label": label, "pca": [label, 0], "tsne": [0, label]}
              for kind in ("real", "synthetic") for label in range(3)]  # fmt: skip
    (place / "embeddings.json").write_text(
        json.dumps({"network": "mlp", "updates": 5, "points": points}))  # fmt: skip
    page = report(place, tmp_path / "out").read_text()
    assert "after 30 trainings" in page and "the ladder was not climbed to its end" in page
    assert "Real and synthetic samples" in page and (tmp_path / "out" / "tsne-run.svg").is_file()
    assert "Nearest real samples" not in page


def test_a_damaged_file_is_left_out(tmp_path: Path) -> None:
    append(tmp_path / "run" / "records.jsonl", grid())
    (tmp_path / "run" / "costs.json").write_text("{")
    assert "Cost" not in {one.title for one in sections(gather(tmp_path / "run"), [])}


@pytest.mark.parametrize("name", ["quick", "idc", "dsa"])
def test_a_plain_recipe_alters_nothing(name: str) -> None:
    plain = recipe_from(f"{name}-plain")
    assert (plain.operations, plain.mix, plain.name) == ((), 0.0, f"{name}-plain")
    assert plain.lr == RECIPES[name].lr and plain.updates == RECIPES[name].updates


def test_runs_with_something_to_show_are_shown_wherever_they_stand(tmp_path: Path) -> None:
    points = [{"kind": "real", "label": 0, "pca": [0, 0], "tsne": [0, 0]}]
    places = []
    for number in range(9):
        place = tmp_path / f"run{number}"
        append(place / "records.jsonl", [record(replicate=number)])
        if number > 1:
            (place / "embeddings.json").write_text(json.dumps({"network": "mlp", "points": points}))
        places.append(place)
    gathered = gather(places)
    found = [one for one in sections(gathered, panels(gathered.records))
             if one.title.startswith("Real and synthetic")]  # fmt: skip
    assert [one.title[-4:] for one in found] == [f"run{number}" for number in range(2, 8)]
    assert found[-1].notes == ("embeddings.json is not shown of run8",)
