"""Nearest real samples on the page: the note and the distances always, and pairs of every kind."""

from __future__ import annotations

import base64
import io
import json
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cases import images, sounds, texts
from condensery.report.gather import read_run
from condensery.report.nearest import nearest
from condensery.report.sections import Section
from report.runs import made_run, run_directory, write

PROBLEMS = {"image": images(3), "audio": sounds((4, 4, 4)), "text": texts()}
ITEM = re.compile(r"<li>.*?</li>", re.DOTALL)


def shown(path: Path) -> Section:
    found = nearest(read_run(path))
    assert found is not None
    return found


@pytest.fixture(scope="module", params=list(PROBLEMS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    path = tmp_path_factory.mktemp(request.param) / "run"
    return request.param, made_run(path, PROBLEMS[request.param])


def test_the_leak_and_the_distances_are_told_of_every_kind(made: tuple[str, Path]) -> None:
    kind, path = made
    found = shown(path)
    told = json.loads((path / "neighbours.json").read_text())
    assert told["leaked"] == (6 if kind == "text" else 3)
    assert f"{told['leaked']} of 6 samples are real ones" in found.lead
    (grid,) = found.grids
    cells = dict(zip([one.text for one in grid.heads], grid.rows[0][2], strict=True))
    distances = sorted(one["distance"] for one in told["nearest"])
    assert (cells["samples"].text, cells["real ones"].text) == ("6", str(told["leaked"]))
    assert cells["largest"].text == f"{distances[-1]:.2f}"
    assert cells["median"].text == f"{(distances[2] + distances[3]) / 2:.2f}"
    assert not found.notes


def test_each_pair_shows_both_sides_its_distance_and_whether_it_leaks(made: tuple) -> None:
    kind, path = made
    items = ITEM.findall(shown(path).fragment)
    told = sorted(json.loads((path / "neighbours.json").read_text())["nearest"],
                  key=lambda one: one["distance"])  # fmt: skip
    assert len(items) == 6
    for item, one in zip(items, told, strict=True):
        element = {"image": "<img", "audio": "<audio", "text": "<blockquote"}[kind]
        assert item.count(element) == 2
        assert kind != "audio" or item.count("<img") == 2  # spectrograms
        assert f"{one['distance']:.2f} from training sample {one['position']}" in item
        assert ('class="leak"' in item) == (one["distance"] < 0.05) == ("a real one" in item)


def decoded(item: str, kind: str) -> list[bytes]:
    """What the addresses of one kind in a piece of the page hold."""
    return [base64.b64decode(one) for one in re.findall(rf'src="data:{kind};base64,([^"]+)"', item)]


def test_a_tile_is_the_very_training_sample_that_is_named_below_it(tmp_path: Path) -> None:
    problem = PROBLEMS["image"]
    items = ITEM.findall(shown(made_run(tmp_path / "run", problem, factor=2)).fragment)
    assert len(items) == 24
    for item in items:
        (position,) = re.findall(r"from training sample (\d+)", item)
        with Image.open(io.BytesIO(decoded(item, "image/png")[1])) as opened:
            tile = np.asarray(opened, int).transpose(2, 0, 1)
        assert abs(tile - problem.train.samples[int(position)]).max() <= 1


def test_a_player_holds_one_clip_and_no_other(tmp_path: Path) -> None:
    items = ITEM.findall(shown(made_run(tmp_path / "run", PROBLEMS["audio"])).fragment)
    assert [len(decoded(one, "audio/wav")) for one in items] == [2] * 6
    for item in items:
        for content in decoded(item, "audio/wav"):
            with wave.open(io.BytesIO(content)) as clip:
                frames = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
            # 0.6 s of a tone, then the pause of a quarter of a second: another clip would be heard.
            assert (clip.getframerate(), len(frames)) == (8000, 4800 + 2000)
            assert abs(frames[:4800]).max() > 20_000 and not frames[4800:].any()


def test_a_set_of_spectrograms_is_seen_beside_real_sound(tmp_path: Path) -> None:
    path = made_run(tmp_path / "run", sounds((4, 4, 4), "logmel"))
    items = ITEM.findall(shown(path).fragment)
    assert len(items) == 6
    assert all((one.count("<img"), one.count("<audio")) == (2, 1) for one in items)


def test_the_closest_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    path = made_run(tmp_path / "run", images(1, (60, 60, 60), 8), factor=4)
    found = shown(path)
    assert len(ITEM.findall(found.fragment)) == 40
    assert found.legend == "The closest first. 56 more stand in neighbours.json."


@pytest.mark.parametrize("damage", ["gone", "no picture", "another size"])
def test_without_pictures_the_note_and_the_distances_stay(tmp_path: Path, damage: str) -> None:
    path = made_run(tmp_path / "run", PROBLEMS["image"])
    file = path / "neighbours" / "real.png"
    if damage == "gone":
        file.unlink()
    elif damage == "no picture":
        file.write_bytes(b"nothing")
    else:
        Image.new("RGB", (31, 17)).save(file)
    found = shown(path)
    assert "3 of 6 samples are real ones" in found.lead and len(found.grids) == 1
    assert not found.fragment and "no pictures of nearest real samples" in found.notes[0]


def test_names_and_texts_cannot_break_the_page(tmp_path: Path) -> None:
    hostile = "<script>alert('x')</script>"
    path = run_directory(tmp_path / "run", names=(hostile, hostile))
    card = json.loads((path / "synthetic" / "card.json").read_text())
    write(path / "synthetic" / "card.json", card | {"modality": {"kind": "text"}})
    near = [{"sample": one, "label": one, "position": 3, "distance": 0.5} for one in (0, 1)]
    write(path / "neighbours.json", {"threshold": 0.05, "note": "none", "nearest": near})
    for side in ("synthetic", "real"):
        (path / "neighbours").mkdir(exist_ok=True)
        (path / "neighbours" / f"{side}.txt").write_text(f"0\t{hostile}\n1\t{hostile}\n")
    fragment = shown(path).fragment
    assert "<script" not in fragment and fragment.count("&lt;script&gt;") == 8


@pytest.mark.parametrize("odd", [
    [], {"nearest": 5}, {"nearest": [1, {"sample": 0}]}, {"nearest": [{"sample": "a"}]},
])  # fmt: skip
def test_what_tells_nothing_is_left_out(tmp_path: Path, odd: object) -> None:
    path = run_directory(tmp_path / "run")
    assert nearest(read_run(path)) is None
    write(path / "neighbours.json", odd)
    assert nearest(read_run(path)) is None
