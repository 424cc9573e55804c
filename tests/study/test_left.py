"""What is left of a study, said and, after a kill, done."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from condensery import study
from condensery.cli import main
from condensery.errors import RunError, UsageError
from condensery.evaluate import grid
from condensery.models import PeerSpec
from condensery.records import read
from condensery.study.left import trainings
from condensery.study.run import MARK


def test_the_time_left_is_what_is_missing_at_what_its_kind_took() -> None:
    left = study.Left(2, {"b": 10.0})
    assert left.words() == ""
    left.add("a", 3)
    assert left.words() == "", "nothing is known of any"
    left.add("b", 4)
    assert (left.seconds, left.words()) == (20.0, ", at least 20 s left")
    left.done("a", 60.0)
    assert left.words() == ", 80 s left"
    left.done("b", 20.0)  # what it took counts more than what was measured before
    left.done("b", None)
    assert left.seconds == (2 * 60 + 2 * 20) / 2
    for kind in "aabb":
        left.done(kind, None)
    assert (left.seconds, left.words()) == (0, "")


def test_a_study_says_the_hours_first_and_then_what_is_left(
    short_plan: Path,
    tmp_path: Path,
    quickly: None,
    undrawn: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["study", str(short_plan), "--size", "mini", "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("condense 1/4"))
    # Four sets; two rows beside one of the arms, a start and a set for each.
    assert "14 cells to run, 28 s on one process" in "\n".join(lines[:first])
    assert all(line.endswith("left") for line in lines[first : first + 5])
    assert lines[first + 4].startswith("evaluate 1/4: digits/both-ipc1/0, ")
    again = main(["study", str(short_plan), "--size", "mini", "--out", str(tmp_path / "out")])
    assert again == 0 and "0 cells to run" in capsys.readouterr().out


def test_a_study_that_is_killed_with_its_workers_goes_on_and_repeats_nothing(
    short_plan: Path, tmp_path: Path
) -> None:
    """Killed twice: while sets are made, and while they are judged."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "condensery", "study", str(short_plan), "--size", "mini",
               "--out", str(out), "--workers", "2", "--patience", "0"]  # fmt: skip
    for last in ("condense 2/4", "evaluate 2/4"):
        before, marks = kept(out)
        killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert killed.stdout is not None
        said = []
        while not said or not said[-1].startswith(last):
            said.append(killed.stdout.readline())
            assert said[-1], "it ended too early"
        killed.kill()
        killed.communicate()
        nothing_is_repeated(out, before, marks, said)
    before, marks = kept(out)
    assert len(marks) == 4 and before
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    nothing_is_repeated(out, before, marks, done.stdout.splitlines())
    for cell in study.cells(study.read(short_plan, "mini")):
        place = out / cell.name
        steps = [json.loads(line)["step"] for line in
                 (place / "events.jsonl").read_text().splitlines()]  # fmt: skip
        assert steps == list(range(1, len(steps) + 1)) and steps
        keys = [one.key() for one in read(place / "records.jsonl")]
        assert len(keys) == len(set(keys)) == (3 if cell.first else 2)
    assert not list(out.rglob("*.tmp"))


def kept(out: Path) -> tuple[dict[Path, str], dict[Path, int]]:
    """Records, and when each finished set was marked so."""
    records = {path: path.read_text() for path in out.rglob("records.jsonl")}
    return records, {path: path.stat().st_mtime_ns for path in out.rglob(MARK)}


def nothing_is_repeated(
    out: Path, before: dict[Path, str], marks: dict[Path, int], said: list[str]
) -> None:
    made = [line for line in said if line.startswith("condense ")]
    assert len(made) <= 4 - len(marks), "a finished set was made again"
    assert all(path.stat().st_mtime_ns == when for path, when in marks.items())
    for path, text in before.items():
        assert path.read_text().startswith(text[: text.rfind("\n") + 1])


FAILING = """
title = "Mine"
[size.mini]
data = ["digits"]
seeds = [0]
models = ["mlp"]
recipe = "quick,quick-plain"
updates = 2
rows = []
[[size.mini.arms]]
method = "dm"
name = "wild"
preset = "smoke"
settings = { lr = 1e37 }
[[size.mini.arms]]
method = "hmdc"
preset = "smoke"
"""


def test_a_cell_that_fails_leaves_a_hole_and_ends_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    plan, out = tmp_path / "failing.toml", tmp_path / "out"
    plan.write_text(FAILING)
    command = ["study", str(plan), "--size", "mini", "--out", str(out), "--patience", "0"]
    assert main(command) == 1
    told = capsys.readouterr()
    assert "condense 1/2: digits/wild-ipc1/0 failed: " in told.out
    assert told.err.count("\n") == 1
    assert "1 of 2 cells failed, first digits/wild-ipc1/0: " in told.err
    assert "not finite" in told.err and str(out / "report" / "report.html") in told.err
    found = read(out / "digits" / "hmdc-ipc1" / "0" / "records.jsonl")
    assert {one.row for one in found} == {"start", "hmdc"}
    assert {one.recipe for one in found} == {"quick (2 updates)", "quick-plain (2 updates)"}
    assert main(command) == 1, "the same command tries again what failed, and that alone"
    again = capsys.readouterr().out
    assert "condense 1/1: digits/wild-ipc1/0 failed" in again
    assert read(out / "digits" / "hmdc-ipc1" / "0" / "records.jsonl") == found


def test_the_trainings_of_every_recipe_are_counted(short_plan: Path, tmp_path: Path) -> None:
    mine = study.read(short_plan, "mini")
    both = replace(mine, recipe="quick,quick-plain")
    rows = {"random": 1, "start": 1, "hmdc": 1}
    assert trainings(mine, mine.models[0], rows, tmp_path) == (3, 0)
    assert trainings(both, mine.models[0], rows, tmp_path) == (6, 0)


def test_an_unknown_recipe_among_several_is_said_when_the_plan_is_read(tmp_path: Path) -> None:
    plan = tmp_path / "failing.toml"
    plan.write_text(FAILING.replace("quick-plain", "quik"))
    with pytest.raises(UsageError, match="recipe 'quik'.*quick"):
        study.read(plan, "mini")
    plan.write_text(FAILING.replace("quick-plain", "quick"))
    with pytest.raises(UsageError, match="quick is named twice"):
        study.read(plan, "mini")


def test_a_network_that_fails_keeps_no_other_from_judging(
    short_plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    mine = study.read(short_plan, "mini")
    mine = replace(mine, models=(PeerSpec("mlp"), PeerSpec("lenet"), PeerSpec("convnet2_w8")))
    true_train = grid.train_network

    def short_of_memory(synthetic: Any, spec: PeerSpec, *rest: Any, **named: Any) -> Any:
        if spec.name == "lenet":
            raise MemoryError("no room for 40 GB")
        return true_train(synthetic, spec, *rest, **named)

    monkeypatch.setattr(grid, "train_network", short_of_memory)
    with pytest.raises(RunError, match="1 of 1 cells failed.*MemoryError: no room for 40 GB"):
        study.run(mine, tmp_path, only="both-ipc1/0", tell=lambda line: None)
    (file,) = tmp_path.rglob("records.jsonl")
    assert {one.model for one in read(file)} == {"mlp", "convnet2_w8"}
