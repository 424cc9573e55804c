"""A page plays the clips of runs on sound, first and last, and nothing where there are none."""

from __future__ import annotations

import base64
from pathlib import Path

from condensery.report import players
from condensery.report.gather import Gathered, RunFiles


def run(place: Path, sounds: dict[str, bytes]) -> RunFiles:
    (place / "previews").mkdir(parents=True)
    for name, content in sounds.items():
        (place / "previews" / name).write_bytes(content)
    return RunFiles(place, place.name)


def gathered(*runs: RunFiles) -> Gathered:
    return Gathered(runs=runs, records=(), notes=())


def test_the_first_and_the_last_sound_of_a_run_are_played(tmp_path: Path) -> None:
    files = {"000000.wav": b"first", "000010.wav": b"middle", "000020.wav": b"last"}
    (section,) = players.sections(gathered(run(tmp_path / "a<b", files)), [])
    assert section.fragment.count("<audio controls") == 2
    for content, there in ((b"first", True), (b"middle", False), (b"last", True)):
        assert (base64.b64encode(content).decode() in section.fragment) == there
    assert "a&lt;b, step 20" in section.fragment and "a<b" not in section.fragment


def test_runs_without_sound_add_nothing(tmp_path: Path) -> None:
    assert players.sections(gathered(run(tmp_path / "a", {"000000.png": b""})), []) == []


def test_a_page_stays_small(tmp_path: Path) -> None:
    runs = [run(tmp_path / str(number), {"000000.wav": b"x"}) for number in range(6)]
    large = run(tmp_path / "0large", {"000000.wav": bytes(players.MOST_BYTES + 1)})
    (section,) = players.sections(gathered(large, *runs), [])
    assert section.fragment.count("<audio") == players.MOST_RUNS - 1
    assert "3 more runs" in section.legend and "too large" in section.notes[0]
