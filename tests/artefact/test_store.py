"""A synthetic set on disk: the same bits back, a card that says all, nothing executed."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from condensery.artefact import load, save
from condensery.artefact import store as module
from condensery.artefact.files import write_json, write_whole
from condensery.core.synthetic import SyntheticSet
from condensery.errors import UsageError
from condensery.modality import Image, Pixels

GREY = Image((1, 8, 8), (0.3,), (0.2,), mirror=False)
COLOUR = Image((3, 8, 12), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
CODECS = [
    Pixels(),
    Pixels(2),
    Pixels(2, corners=True, shrink="area", order="column"),
    Pixels(2, corners=True, space="normalised", order="column"),
    Pixels(1, space="normalised", clamp=False),
]
ABOUT = {"method": "hmdc", "steps": 3, "seconds": 1.5, "peers": ["mlp"], "settings": {"lr": 0.1}}
codecs = pytest.mark.parametrize("codec", CODECS, ids=str)


def made(codec: Pixels = CODECS[0], modality: Image = COLOUR, seed: int = 0) -> SyntheticSet:
    """A set of noise with two, one and three stored samples per class."""
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    stored = codec.noise(6, modality, torch.Generator().manual_seed(seed))
    return SyntheticSet(stored, labels, modality, codec, ("a", "bé", "c c"), dict(ABOUT))


@codecs
@pytest.mark.parametrize("modality", [GREY, COLOUR], ids=["grey", "colour"])
def test_what_is_loaded_is_what_is_evaluated_to_the_last_bit(
    codec: Pixels, modality: Image, tmp_path: Path
) -> None:
    synthetic = made(codec, modality)
    there, expected = load(save(synthetic, tmp_path / "set")), synthetic.quantised()
    assert there.stored.keys() == expected.stored.keys()
    for name, leaf in there.stored.items():
        assert leaf.dtype == torch.float32 and torch.equal(leaf, expected.stored[name])
    assert torch.equal(there.decode().x, expected.decode().x)
    assert torch.equal(there.decode().y, expected.decode().y)
    assert torch.equal(there.labels, synthetic.labels) and there.labels.dtype == torch.int64
    assert (there.codec, there.modality) == (codec, modality)
    assert there.label_names == synthetic.label_names and there.about == ABOUT


@codecs
def test_saving_again_changes_no_byte(codec: Pixels, tmp_path: Path) -> None:
    first = save(made(codec), tmp_path / "first")
    second = save(load(first), tmp_path / "second")
    for name in (module.FILE, "card.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_saving_does_not_touch_the_set(tmp_path: Path) -> None:
    synthetic = made()
    before = synthetic.stored["pixels"].clone()
    synthetic.stored["pixels"].requires_grad_()
    save(synthetic, tmp_path)
    assert torch.equal(synthetic.stored["pixels"].detach(), before)
    assert synthetic.stored["pixels"].requires_grad


def test_pixels_are_bytes_on_disk(tmp_path: Path) -> None:
    tensors = load_file(save(made(), tmp_path) / module.FILE)
    assert set(tensors) == {"stored.pixels", "labels"}
    assert tensors["stored.pixels"].dtype == torch.uint8
    assert tensors["stored.pixels"].shape == (6, 3, 8, 12)


def test_the_card_says_what_a_reader_needs(tmp_path: Path) -> None:
    card = json.loads((save(made(CODECS[3]), tmp_path) / "card.json").read_text("utf-8"))
    assert card["format"] == 1
    assert card["modality"] == {"kind": "image", "shape": [3, 8, 12], "mean": [0.4, 0.5, 0.6],
                                "std": [0.2, 0.25, 0.3], "mirror": True}  # fmt: skip
    assert card["codec"] == {"kind": "pixels", "factor": 2, "corners": True, "shrink": "bilinear",
                             "space": "normalised", "clamp": True, "order": "column",
                             "formation": "single"}  # fmt: skip
    assert card["label_names"] == ["a", "bé", "c c"]
    assert (card["stored_samples"], card["decoded_samples"]) == (6, 24)
    assert card["bytes"] == 6 * 3 * 8 * 12 + 6  # a byte a pixel, a byte a label
    assert card["about"] == ABOUT


def test_the_tensors_file_alone_is_enough(tmp_path: Path) -> None:
    folder = save(made(), tmp_path / "set")
    (folder / "card.json").unlink()
    alone = tmp_path / "alone.safetensors"
    (folder / module.FILE).rename(alone)
    assert torch.equal(load(alone).stored["pixels"], made().quantised().stored["pixels"])


def test_a_set_is_found_from_its_run_its_folder_or_its_file(tmp_path: Path) -> None:
    folder = save(made(), tmp_path / "run" / "synthetic")
    for path in (tmp_path / "run", folder, folder / module.FILE, str(tmp_path / "run")):
        assert len(load(path)) == 6


@pytest.mark.parametrize("place", ["nowhere", "empty", "empty/synthetic"])
def test_where_there_is_no_set_it_is_said_what_was_looked_for(place: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no synthetic set at .*expected a run directory") as told:
        load(tmp_path / place)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_refused(share: float, tmp_path: Path) -> None:
    file = save(made(), tmp_path) / module.FILE
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UsageError, match="cannot be read as a synthetic set, it may be damaged"):
        load(tmp_path)


def test_whatever_bytes_a_file_holds_the_answer_is_a_set_or_one_line(tmp_path: Path) -> None:
    file = save(made(CODECS[1]), tmp_path) / module.FILE
    whole, generator = file.read_bytes(), random.Random(0)
    header = len(whole) - 6 * 3 * 8 * 12
    refused = 0
    for trial in range(400):
        spoilt = bytearray(whole)
        for _ in range(generator.choice([1, 1, 3])):
            end = header if trial % 2 else len(whole)
            spoilt[generator.randrange(end)] = generator.randrange(256)
        file.write_bytes(bytes(spoilt))
        try:
            load(tmp_path)
        except UsageError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 100


def rewritten(folder: Path, change: dict[str, Any], drop: str | None = None) -> None:
    """The tensors' file of a set with another card."""
    card = json.loads((folder / "card.json").read_text("utf-8")) | change
    card.pop(drop or "", None)
    tensors = load_file(folder / module.FILE)
    save_file(tensors, folder / module.FILE, {"condensery": json.dumps(card)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "is of format 2, this reads 1: update condensery"),
        ({"format": None}, "is of format None"),
        ({"modality": {"kind": "smell"}}, "unknown modality 'smell'; known: image"),
        ({"codec": {"kind": "zip"}}, "unknown codec 'zip'; known: pixels"),
        ({"codec": {"kind": "pixels", "colour": 3}}, "not as this version writes it"),
        ({"codec": {"kind": "pixels", "factor": 0}}, "factor counts the tiles"),
        ({"codec": {"kind": "pixels", "factor": "two"}}, "damaged"),
        ({"codec": "pixels"}, "damaged"),
        ({"modality": None}, "damaged"),
        ({"label_names": 3}, "damaged"),
        ({"label_names": ["a"]}, "damaged"),
        ({"about": 3}, "damaged"),
    ],
    ids=str,
)
def test_a_card_that_cannot_be_is_said_in_one_line(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    rewritten(save(made(), tmp_path), change)
    with pytest.raises(UsageError, match=said) as told:
        load(tmp_path)
    assert "\n" not in str(told.value) and module.FILE in str(told.value)


@pytest.mark.parametrize("field", ["modality", "codec", "label_names"])
def test_a_card_without_a_field_is_said_in_one_line(field: str, tmp_path: Path) -> None:
    rewritten(save(made(), tmp_path), {}, drop=field)
    with pytest.raises(UsageError, match="damaged"):
        load(tmp_path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"labels": torch.zeros(6, dtype=torch.int64)},
        {"stored.pixels": torch.zeros(6, 3, 8, 12, dtype=torch.uint8)},
        {"stored.pixels": torch.zeros(5, 3, 8, 12, dtype=torch.uint8),
         "labels": torch.zeros(6, dtype=torch.int64)},
        {"stored.pixels": torch.zeros(6, 3, 8, 12, dtype=torch.uint8),
         "labels": torch.tensor([0, 0, 2, 1, 2, 2])},
        {"stored.pixels": torch.zeros(6, 3, 8, 12, dtype=torch.uint8),
         "labels": torch.tensor([0, 0, 1, 1, 2, 3])},
        {"stored.pixels": torch.zeros(6, 3, 8, 8, dtype=torch.uint8),
         "labels": torch.zeros(6, dtype=torch.int64)},
    ],
    ids=["no samples", "no labels", "lengths", "order", "a class too many", "another shape"],
)  # fmt: skip
def test_tensors_that_do_not_fit_the_card_are_refused(
    tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    folder = save(made(), tmp_path)
    card = (folder / "card.json").read_text("utf-8")
    save_file(tensors, folder / module.FILE, {"condensery": card})
    with pytest.raises(UsageError):
        load(tmp_path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"condensery": "[1]"}])
def test_the_weights_of_a_network_are_no_synthetic_set(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / module.FILE, metadata)
    with pytest.raises(UsageError, match="no synthetic set of this project"):
        load(tmp_path)


class Bomb:
    """Something that does harm when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    file = tmp_path / module.FILE
    for write in (pickle.dump, torch.save):
        with file.open("wb") as opened:
            write({"labels": Bomb(mark)}, opened)
        with pytest.raises(UsageError, match="cannot be read as a synthetic set"):
            load(file)
    assert not mark.exists()


# Files that are there whole or not at all.


def test_a_save_that_fails_leaves_the_set_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(made(seed=0), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half of")
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="no space left"):
        save(made(seed=1), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_newer_set_beside_an_older_card_is_the_newer_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A kill between the two files of a save.
    save(made(), tmp_path)
    monkeypatch.setattr(module, "write_json", lambda path, card: None)
    newer = dataclasses.replace(made(CODECS[1], seed=1), about={"steps": 9})
    save(newer, tmp_path)
    there = load(tmp_path)
    assert there.codec == CODECS[1] and there.about == {"steps": 9}
    assert torch.equal(there.decode().x, newer.quantised().decode().x)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file"
    write_whole(path, lambda aside: aside.write_text("old"))

    def fail(aside: Path) -> None:
        aside.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fail)
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_in_place_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def slow(aside: Path) -> None:
        aside.write_text("new")
        assert path.read_text() == "old" and aside.parent == path.parent

    write_whole(path, slow)
    assert path.read_text() == "new"


def test_json_is_written_for_people(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"café": [1, 2.5, None]})
    text = (tmp_path / "file.json").read_text("utf-8")
    assert "café" in text and text.endswith("}\n") and json.loads(text) == {"café": [1, 2.5, None]}


def test_values_that_are_not_plain_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "file.json", {"a": torch.zeros(1)})
    assert not list(tmp_path.iterdir())
