"""Previews are cut into the very samples that they were made of."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from condensery.report.gather import read_run
from condensery.report.pictures import album
from report.runs import run_directory, sheet, write


def pixels(address: str | None) -> np.ndarray:
    assert address is not None
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def test_each_class_shows_its_first_sample_before_and_after(tmp_path: Path) -> None:
    run = run_directory(tmp_path, steps=3)
    rng = np.random.default_rng(1)
    before, after = rng.integers(0, 256, (2, 10, 8, 8), np.uint8)
    sheet(before, run / "previews" / "000000.png", 10, 8)
    sheet(after, run / "previews" / "000003.png", 10, 8)
    found = album(read_run(run))
    assert [one.label for one in found.samples][:2] == ["zero", "one"]
    for label, one in enumerate(found.samples):
        assert np.array_equal(pixels(one.start), before[label])
        assert np.array_equal(pixels(one.final), after[label])
    assert not found.sheets and not found.notes


def test_with_several_per_class_the_first_of_each_is_shown_beside_whole_sheets(
    tmp_path: Path,
) -> None:
    run = run_directory(tmp_path, steps=3, names=("a", "b", "c"))
    card = json.loads((run / "synthetic" / "card.json").read_text())
    write(run / "synthetic" / "card.json", card | {"stored_samples": 6})
    tiles = np.arange(6, dtype=np.uint8).repeat(64).reshape(6, 8, 8)
    for step in ("000000", "000003"):
        sheet(tiles, run / "previews" / f"{step}.png", 2, 8)
    found = album(read_run(run))
    assert [pixels(one.final)[0, 0] for one in found.samples] == [0, 2, 4]
    assert [step for step, _ in found.sheets] == [0, 3]


def test_a_preview_of_unknown_layout_is_shown_whole(tmp_path: Path) -> None:
    run = run_directory(tmp_path, steps=3)
    for file in (run / "previews").glob("*.png"):
        Image.new("L", (100, 50)).save(file)
    found = album(read_run(run))
    assert not found.samples and len(found.sheets) == 2


def test_a_missing_first_picture_is_a_hole_and_a_note(tmp_path: Path) -> None:
    run = run_directory(tmp_path, steps=3)
    (run / "previews" / "000000.png").unlink()
    found = album(read_run(run))
    assert found.samples[0].start is None and found.samples[0].final is not None
    assert "no picture of step 0" in found.notes[0]


def test_a_damaged_picture_is_a_note(tmp_path: Path) -> None:
    run = run_directory(tmp_path, steps=3)
    (run / "previews" / "000003.png").write_bytes(b"no picture")
    found = album(read_run(run))
    assert found.samples[0].start is not None and found.samples[0].final is None
    assert "cannot be read" in found.notes[0]
