"""What ``condensery evaluate`` takes and prints beyond accuracies."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from condensery.__main__ import main
from condensery.cli.evaluate import _measure, _over_seeds
from condensery.cli.further import best_tables, class_tables, edges
from condensery.core.synthetic import SyntheticSet
from condensery.data import Problem, Split
from condensery.evaluate import RECIPES, grid
from condensery.modality import Sound
from condensery.models.backbone import Backbone, PeerSpec
from condensery.records import Record, read
from report.runs import record

SHORT = ["--models", "mlp", "--seeds", "0", "--rows", "none"]


@pytest.fixture(scope="module")
def condensed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits of which a fifth was kept for validation."""
    out = tmp_path_factory.mktemp("cli") / "run"
    asked = ["--method", "random", "--per-class", "2", "--validation", "0.2", "--out", str(out)]
    assert main(["condense", "digits", *asked]) == 0
    return out


@pytest.fixture
def run(condensed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(condensed, tmp_path / "run")


def printed(*parts: object) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    return captured.get()


def told(**values: object) -> list[Record]:
    return [dataclasses.replace(record(classes=3), **values)]


def test_list_recipes_says_a_line_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "recipes"]) == 0
    said = capsys.readouterr().out
    starts = [line.split(" ")[0] for line in said.splitlines()]
    assert [name for name in RECIPES if name not in starts] == []


def test_the_released_recipe_shows_the_last_epoch_and_the_best_under_its_name(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--recipe", "hmdc-released", "--epochs", "20"]
    assert main(["evaluate", str(run), *SHORT, *asked]) == 0
    said = capsys.readouterr().out
    made = read(run / "records.jsonl")[-1]
    assert made.best is not None and made.settings["reported"] == "best"
    last, rest = said.split("Best of test: the best of all checks, chosen on that split, so no")
    assert f"{100 * made.accuracy:.2f}" in last and "at the last epoch" in last
    assert f"{100 * made.best:.2f}" in rest


def test_soft_labels_and_a_searched_rate_are_flags(run: Path) -> None:
    soft = ["--labels", "static", "--temperature", "4", "--teacher", "mlp"]
    taught = ["--teacher-updates", "3", "--teacher-seed", "7"]
    quick = ["--recipe", "quick", "--updates", "3"]
    assert main(["evaluate", str(run), *SHORT, *quick, *soft, *taught, "--rate", "search"]) == 0
    made = read(run / "records.jsonl")[-1]
    assert made.labels == "static of mlp after 3 updates, seed 7, temperature 4"
    assert made.recipe == "quick (3 updates), rate searched"
    assert len(made.settings["searched"]) == 5
    assert len(read(run / "trials.jsonl")) == 2 * 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [(["--teacher", "mlp"], "--labels static or live"), (["--temperature", "4"], "--labels"),
     (["--labels", "live", "--temperature", "0"], "--temperature"),
     (["--recipe", "linear-probe", "--updates", "3"], "--epochs"),
     (["--recipe", "linear-probe", "--rate", "search"], "no learning rate"),
     (["--rate", "search", "--split", "val"], "--split test"), (["--rate", "x"], "recipe, search")],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], message: str
) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(run), *SHORT, *wrong]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said
    assert not (run / "records.jsonl").exists()


def test_classes_are_shown_with_their_names_and_what_they_are_taken_for() -> None:
    counts = [[8, 2, 0], [0, 10, 0], [5, 0, 5]]
    records = told(class_accuracy=[0.8, 1.0, 0.5], confusion=counts, row="hmdc")
    said = printed(*class_tables(records, ["cat", "dog", "cow"]))
    lines = [line.split() for line in said.splitlines()]
    assert ["cat", "80.0"] in lines and ["cow", "50.0"] in lines
    assert ["cat", "80", "20", "0"] in lines and ["cow", "50", "0", "50"] in lines


def test_of_many_classes_the_worst_pairs_are_named() -> None:
    classes = 20
    counts = [[10 if a == b else 0 for b in range(classes)] for a in range(classes)]
    counts[3][4], counts[3][3] = 7, 3
    records = told(class_accuracy=[0.5] * classes, confusion=counts, classes=classes, row="hmdc")
    assert "takes 3 for 4 70 %" in printed(*class_tables(records, []))


def test_records_that_tell_nothing_of_classes_are_said_to() -> None:
    assert "nothing of single classes" in printed(*class_tables(told(), []))


def test_a_rate_at_the_edge_of_those_that_were_tried_is_flagged() -> None:
    inside = told(settings={"lr": 0.01, "rate_at_edge": False})
    outside = told(settings={"lr": 0.1, "rate_at_edge": True}, row="hmdc [b]", model="mlp")
    assert edges(inside) == []
    assert "hmdc [b] on mlp (0.1)" in printed(*edges([*inside, *outside]))


def test_without_checks_there_is_no_table_of_the_best() -> None:
    assert best_tables(told(best=None)) == []
    assert len(best_tables(told(best=0.7))) == 2


def test_an_unknown_measure_is_told_before_anything_is_trained(tmp_path, capsys, monkeypatch):
    import condensery.api

    monkeypatch.setattr(condensery.api, "evaluate", lambda *given, **named: pytest.fail("trained"))
    assert main(["evaluate", str(tmp_path), "--measure", "neighbors"]) == 2
    assert "did you mean neighbours" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--measure-network", "mlp"], "no measure asks a network"),
        (["--measure", "neighbours", "--measure-network", "mlp"], "--measure embeddings or cost"),
        (["--measure", "cost", "--measure-network", "mpl"], "'mpl'; did you mean mlp"),
    ],
)
def test_a_network_of_measures_that_cannot_be_is_told_before_anything_is_trained(
    words: list[str], told: str, run: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import condensery.api

    monkeypatch.setattr(condensery.api, "evaluate", lambda *given, **named: pytest.fail("trained"))
    assert main(["evaluate", str(run), *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line


def test_the_network_of_measures_comes_from_the_command_line(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import condensery.api

    asked = []
    monkeypatch.setattr(condensery.api, "measure", lambda *given: asked.append(given))
    _measure([run], ["embeddings"], PeerSpec("mlp"), {"data": "digits"})
    assert asked == [(run, "embeddings", "digits", None, PeerSpec("mlp"))]
    assert "embeddings: was measured before" in capsys.readouterr().out


def test_costs_of_runs_that_differ_in_their_seed_are_told_together(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run, shutil.copytree(run, tmp_path / "other")]
    for place, made in zip(runs, (3600.0, 1800.0), strict=True):
        rung = {"row": "k", "made": 30.0, "trained": 60.0}
        costs = {"set": {"made": made, "trained": 20.0}, "rungs": [rung], "against": "k"}
        (place / "costs.json").write_text(json.dumps(costs))
    _over_seeds(runs, ["neighbours"])
    _over_seeds(runs[:1], ["cost"])
    assert capsys.readouterr().out == ""
    _over_seeds(runs, ["cost"])
    assert f"cost, {run} and 1 of other seeds: after 67 trainings" in capsys.readouterr().out


def test_a_set_in_an_npz_is_evaluated_like_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("theirs.npz", x=np.arange(640, dtype=np.uint8).reshape(10, 8, 8), y=np.arange(10))
    asked = [*SHORT, "--recipe", "quick", "--updates", "3"]
    assert main(["evaluate", "theirs.npz", "--data", "digits", *asked]) == 0
    assert "condensery report runs/theirs --out runs/theirs/report" in capsys.readouterr().out
    assert [one.row for one in read(Path("runs/theirs/records.jsonl"))] == ["theirs"]
    assert main(["evaluate", "theirs.npz", "--data", "digits", "--out", "mine", *asked]) == 0
    assert main(["show", "mine"]) == main(["report", "mine"]) == 0
    assert "theirs" in Path("mine/report/table.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [(["theirs.npz"], "give --data"), (["run", "--out", "other"], "leave --out away"),
     (["theirs.npz", "--data", "digits", "--out", "run"], "choose another --out"),
     (["theirs.npz", "--data", "esc10:1"], "only sets of images"),
     (["all.npz", "--data", "digits"], "name its arrays x and y"),
     (["torn.npz", "--data", "digits"], "torn.npz")],
)  # fmt: skip
def test_a_set_in_an_npz_that_cannot_be_one_is_one_line(
    run: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(run.parent)
    x, y = np.zeros((2, 8, 8), np.uint8), np.arange(2)
    np.savez("theirs.npz", x=x, y=y)
    np.savez("all.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    Path("torn.npz").write_bytes(Path("theirs.npz").read_bytes()[:99])
    if "esc10:1" in words:
        sounds = Problem("esc10", Sound((1, 16), 16_000), ("a", "b"), *[Split(x, y)] * 3)
        monkeypatch.setattr("condensery.api.load_problem", lambda *_, **__: sounds)
    capsys.readouterr()
    assert main(["evaluate", *words, *SHORT]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said
    assert not (Path("runs").exists() or Path("other").exists())


def test_several_recipes_are_one_command_and_each_has_its_table(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*SHORT, "--recipe", "quick, quick-plain", "--updates", "2"]
    assert main(["evaluate", str(run), *asked]) == 0
    said = capsys.readouterr().out
    assert "recipe quick (2 updates)" in said and "recipe quick-plain (2 updates)" in said
    found = read(run / "records.jsonl")
    assert [one.recipe for one in found] == [
        *["quick (2 updates)"] * 2, *["quick-plain (2 updates)"] * 2]  # fmt: skip
    assert main(["evaluate", str(run), *SHORT, "--recipe", "quick,quick"]) == 2
    assert "quick is named twice" in capsys.readouterr().err


def test_runs_that_share_a_set_train_on_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(tmp_path / seed) for seed in "01"]
    for seed, out in zip("01", runs, strict=True):
        asked = ["--method", "random", "--per-class", "1", "--seed", seed, "--out", out]
        assert main(["condense", "digits", *asked]) == 0
    trained: list[int] = []
    true_train = grid.train_network

    def counted(synthetic: SyntheticSet, *rest: Any, **named: Any) -> Backbone:
        trained.append(len(synthetic))
        return true_train(synthetic, *rest, **named)

    monkeypatch.setattr(grid, "train_network", counted)
    asked = ["--models", "mlp", "--seeds", "0,1", "--rows", "mean", "--updates", "2"]
    assert main(["evaluate", *runs, *asked]) == 0
    # Two sets and two starts, and class means, which are one set for both: two trainings of each.
    assert len(trained) == 2 * 5
    said = capsys.readouterr().out
    means = [one for one in read(tmp_path / "1" / "records.jsonl") if one.row == "mean"]
    assert [one.replicate for one in means] == [1, 1]
    table = said[said.index("class means") :]
    assert "n = 1, m = 2" in table and "n = 2" not in table.splitlines()[2], "one set for both runs"


def test_a_loss_that_is_not_finite_is_marked_and_explained(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = dataclasses.replace(RECIPES["quick"], name="wild", lr=1e60)
    monkeypatch.setitem(RECIPES, "wild", wild)
    assert main(["evaluate", str(run), *SHORT, "--recipe", "wild", "--updates", "4"]) == 0
    said = capsys.readouterr().out
    assert "† mlp on random (replicate 0, evaluation seed 0): the loss is not finite" in said
