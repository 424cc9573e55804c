"""Sets that were made elsewhere, read from arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from condensery.api import adopt, evaluate
from condensery.artefact import load, read_set, set_from_arrays
from condensery.core.synthetic import SyntheticSet
from condensery.data import Problem, load_problem
from condensery.errors import UsageError
from condensery.records import read

generator = np.random.default_rng(0)
# Every one of the 256 values is there.
COLOURED = np.arange(20 * 8 * 8 * 3).reshape(20, 8, 8, 3).astype(np.uint8)
LABELS = np.arange(20) % 2


@pytest.fixture(scope="module")
def colours() -> Problem:
    return load_problem((generator.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 2))


@pytest.fixture(scope="module")
def digits() -> Problem:
    return load_problem("digits")


def pixels(made: SyntheticSet) -> np.ndarray:
    (leaf,) = made.stored.values()
    return (leaf * 255).round().byte().numpy()


@pytest.mark.parametrize("form", ["uint8", "channels first", "float", "tensor"])
def test_every_sample_is_stored_as_it_is_class_by_class(colours: Problem, form: str) -> None:
    first = np.moveaxis(COLOURED, -1, 1)
    x = {"uint8": COLOURED, "channels first": first, "float": COLOURED / 255,
         "tensor": torch.from_numpy(first.copy())}[form]  # fmt: skip
    made = set_from_arrays(x, LABELS, colours)
    assert made.labels.tolist() == [0] * 10 + [1] * 10
    expected = np.concatenate([first[label == LABELS] for label in (0, 1)])
    assert (pixels(made) == expected).all()
    assert made.nbytes() == 20 * (3 * 8 * 8 + 1), "8-bit pixels and a label of one byte"


def test_decoded_samples_are_normalised_as_the_data_are(colours: Problem) -> None:
    x = colours.train.samples[:4]
    made = set_from_arrays(x, colours.train.labels[:4], colours)
    order = np.argsort(colours.train.labels[:4], kind="stable")
    torch.testing.assert_close(made.decode().x, colours.samples(order), atol=1e-5, rtol=1e-5)


def test_floats_are_rounded_to_eight_bits(digits: Problem) -> None:
    made = set_from_arrays(np.full((1, 8, 8), 0.5, np.float32), [3], digits)
    (leaf,) = made.stored.values()
    assert torch.allclose(leaf, torch.tensor(128 / 255), atol=1e-7)


def test_labels_are_numbers_or_names_of_the_data(digits: Problem) -> None:
    x = np.zeros((2, 8, 8), np.uint8)
    assert set_from_arrays(x, ["7", "2"], digits).labels.tolist() == [2, 7]
    named = load_problem((np.arange(256, dtype=np.uint8).reshape(4, 8, 8), ["cat", "dog"] * 2))
    assert set_from_arrays(x, [1, 0], named).labels.tolist() == [0, 1]
    assert set_from_arrays(x, ["dog", "cat"], named).labels.tolist() == [0, 1]
    numbered = load_problem((np.arange(256, dtype=np.uint8).reshape(4, 8, 8), [10, 20] * 2))
    assert set_from_arrays(x, [20, 10], numbered).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [(np.zeros((2, 8, 8), np.uint8), [0, 10], "unknown class of digits '10'"),
     (np.zeros((2, 8, 8), np.uint8), [0, -1], "classes count from 0"),
     (np.zeros((2, 8, 8), np.uint8), np.eye(2), "one number or name per sample"),
     (np.zeros((2, 8, 8), np.uint8), [0], "2 samples, but 1 labels"),
     (np.zeros((2, 6, 8), np.uint8), [0, 1], "6 x 8 with 1 channel, but digits has 8 x 8"),
     (np.zeros((2, 8, 8, 3), np.uint8), [0, 1], "8 x 8 with 3 channels"),
     (np.zeros((2, 64), np.uint8), [0, 1], "images are"),
     (np.full((2, 8, 8), -1.5), [0, 1], r"floats in \[0, 1\]"),
     (np.full((2, 8, 8), np.nan), [0, 1], "not finite"),
     (np.zeros((0, 8, 8), np.uint8), [], "there are none"),
     ([np.zeros((8, 8)), np.zeros((9, 9))], [0, 1], "one array of images")],
)  # fmt: skip
def test_what_is_no_set_of_the_data_is_one_line(
    digits: Problem, x: object, y: object, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as told:
        set_from_arrays(x, y, digits)
    assert "\n" not in str(told.value)


def test_a_class_beyond_those_of_named_data_is_refused() -> None:
    named = load_problem((np.arange(256, dtype=np.uint8).reshape(4, 8, 8), ["cat", "dog"] * 2))
    with pytest.raises(UsageError, match="indices from 0 to 1, or names"):
        set_from_arrays(np.zeros((1, 8, 8), np.uint8), [2], named)


def test_a_file_with_a_test_split_is_data_and_no_set(digits: Problem, tmp_path: Path) -> None:
    file, x = tmp_path / "all.npz", np.zeros((2, 8, 8), np.uint8)
    np.savez(file, x_train=x, y_train=[0, 1], x_test=x, y_test=[0, 1])
    with pytest.raises(UsageError, match="name its arrays x and y"):
        read_set(file, digits)


def test_an_adopted_set_is_a_run_that_can_be_evaluated_without_naming_its_data(
    tmp_path: Path,
) -> None:
    file, x = tmp_path / "theirs.npz", generator.integers(0, 256, (10, 8, 8), np.uint8)
    np.savez(file, x=x, y=np.arange(10)[::-1])
    out = adopt(file, "digits", tmp_path / "run")
    assert (pixels(load(out))[:, 0] == x[::-1]).all()
    records = evaluate(out, models=["mlp"], recipe="quick", updates=2, seeds=[0], draws=1)
    rows = {one.row: one for one in records}
    assert set(rows) == {"random", "kmeans", "mean", "theirs"}
    assert {one.stored_bytes for one in records} == {650}, "equal bytes"
    assert adopt(file, "digits", out) == out and len(read(out / "records.jsonl")) == 4
    np.savez(file, x=255 - x, y=np.arange(10))
    with pytest.raises(UsageError, match="another run"):
        adopt(file, "digits", out)
