"""What is left of a study, said and, after a kill, done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from condensery import study
from condensery.cli import main
from condensery.records import read
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
    short_plan: Path, tmp_path: Path, quickly: None, capsys: pytest.CaptureFixture[str]
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


@pytest.mark.parametrize("after", [2, 6])
def test_a_study_that_is_killed_with_its_workers_goes_on_and_repeats_nothing(
    after: int, short_plan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "condensery", "study", str(short_plan), "--size", "mini",
               "--out", str(out), "--workers", "2", "--patience", "0"]  # fmt: skip
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    for _ in range(after):  # lines: four sets, then four runs that are judged
        killed.stdout.readline()
    killed.kill()
    killed.communicate()
    before = {path: path.read_text() for path in out.rglob("records.jsonl")}
    marks = {path: path.stat().st_mtime_ns for path in out.rglob(MARK)}
    assert len(marks) >= min(after, 4)
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("condense ")]
    assert len(said) == 4 - len(marks), "a finished set was made again"
    assert all(path.stat().st_mtime_ns == when for path, when in marks.items())
    for cell in study.cells(study.read(short_plan, "mini")):
        place = out / cell.name
        steps = [json.loads(line)["step"] for line in
                 (place / "events.jsonl").read_text().splitlines()]  # fmt: skip
        assert steps == list(range(1, len(steps) + 1)) and steps
        text = (place / "records.jsonl").read_text()
        kept = before.get(place / "records.jsonl", "")
        assert text.startswith(kept[: kept.rfind("\n") + 1])
        keys = [one.key() for one in read(place / "records.jsonl")]
        assert len(keys) == len(set(keys)) == (3 if cell.first else 2)
    assert not list(out.rglob("*.tmp"))
