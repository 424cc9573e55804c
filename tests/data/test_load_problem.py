"""What a person may hand over as data, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

import condensery.data
from condensery.data import DATA, load_problem
from condensery.errors import UsageError
from data.made import channels_first, cifar_like, noise, save, table


class Pairs(Dataset):
    """A map-style data set of whatever it is given."""

    def __init__(self, images: list, labels: list) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple:
        return self.images[row], self.labels[row]


def class_folders(root: Path, classes: dict[str, int], side: int = 6) -> None:
    for label, (name, count) in enumerate(classes.items()):
        for row in range(count):
            save(noise(side, side, 3, seed=100 * label + row), root / name / f"{row}.png")


def test_digits_are_scikit_learns_in_uint8_with_a_stratified_third_for_testing() -> None:
    from sklearn.datasets import load_digits

    problem = load_problem("digits")
    assert problem.modality.shape == (1, 8, 8) and not problem.modality.mirror
    assert len(problem.train) + len(problem.test) == 1797
    assert problem.train.samples.dtype == np.uint8 and problem.train.samples.max() == 255
    counts = np.bincount(load_digits().target)
    assert np.array_equal(np.bincount(problem.test.labels), [round(count / 3) for count in counts])
    both = np.concatenate([problem.train.samples, problem.test.samples]).reshape(1797, -1)
    assert both.sum() == np.round(load_digits().data * 255 / 16).sum()


def test_the_split_of_digits_follows_the_seed_alone() -> None:
    first, again, other = (load_problem("digits", seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_validation_split_comes_out_of_the_training_data() -> None:
    whole, parted = load_problem("digits"), load_problem("digits", validation=0.25)
    assert len(parted.train) + len(parted.val) == len(whole.train)
    assert np.array_equal(parted.test.samples, whole.test.samples)
    assert set(parted.val.labels) == set(range(10))


def test_a_problem_is_returned_as_it_is() -> None:
    problem = load_problem("digits")
    assert load_problem(problem) is problem


def test_a_folder_of_parquet_files_goes_by_its_name_and_keeps_every_pixel(tmp_path: Path) -> None:
    images, labels = cifar_like(tmp_path / "mine")
    problem = load_problem(tmp_path / "mine")
    assert problem.name == "mine" and problem.modality.mirror
    assert np.array_equal(problem.train.samples, channels_first(images))
    assert problem.train.labels.tolist() == problem.test.labels.tolist() == labels
    assert problem.label_names == tuple("0123456789")


def test_a_folder_named_as_a_built_in_set_gets_its_class_names_and_mirror(tmp_path: Path) -> None:
    cifar_like(tmp_path / "cifar10")
    cifar_like(tmp_path / "svhn")
    assert load_problem(str(tmp_path / "cifar10")).label_names == DATA["cifar10"].label_names
    assert not load_problem(str(tmp_path / "svhn")).modality.mirror
    assert load_problem(str(tmp_path / "svhn"), mirror=True).modality.mirror


def test_class_names_come_from_the_metadata_and_classes_tsv(tmp_path: Path) -> None:
    images = noise(6, 4, 4, 3)
    table(tmp_path / "a" / "train.parquet", images, [0, 1] * 3, names=["n02", "n01"])
    assert load_problem(tmp_path / "a").label_names == ("n02", "n01")
    lines = ["label\twnid\tname", "0\tn01\tfish", "1\tn02\tbird", "2\tn03\tcat"]
    (tmp_path / "a" / "classes.tsv").write_text("\n".join(lines))
    assert load_problem(tmp_path / "a").label_names == ("bird", "fish")
    table(tmp_path / "b" / "train.parquet", images, [0, 1, 2] * 2)
    (tmp_path / "b" / "classes.tsv").write_text("\n".join(lines))
    assert load_problem(tmp_path / "b").label_names == ("fish", "bird", "cat")


def test_validation_files_are_the_test_split_only_when_there_is_none(tmp_path: Path) -> None:
    images = noise(4, 4, 4, 3)
    table(tmp_path / "train-0.parquet", images, [0, 1, 0, 1])
    table(tmp_path / "valid-0.parquet", images[:2], [0, 1])
    problem = load_problem(tmp_path)
    assert (len(problem.train), len(problem.val), len(problem.test)) == (4, 0, 2)
    table(tmp_path / "test-0.parquet", images[:3], [0, 1, 0])
    problem = load_problem(tmp_path)
    assert (len(problem.train), len(problem.val), len(problem.test)) == (4, 2, 3)


def test_several_shards_are_read_in_order_and_other_files_left_alone(tmp_path: Path) -> None:
    images = noise(6, 4, 4, 3)
    table(tmp_path / "train-00000-of-00002.parquet", images[:4], [0, 1, 0, 1])
    table(tmp_path / "train-00001-of-00002.parquet", images[4:], [1, 0])
    table(tmp_path / "extra-00000-of-00001.parquet", images, [0] * 6)
    table(tmp_path / "test-00000-of-00001.parquet", images, [0, 1] * 3)
    problem = load_problem(tmp_path)
    assert np.array_equal(problem.train.samples, channels_first(images))
    assert problem.train.labels.tolist() == [0, 1, 0, 1, 1, 0]


def test_a_pattern_of_files_is_a_data_set(tmp_path: Path) -> None:
    cifar_like(tmp_path / "mine")
    assert load_problem(str(tmp_path / "mine" / "*.parquet")).name == "mine"


def test_a_csv_of_paths_is_relative_to_its_folder(tmp_path: Path) -> None:
    images = noise(10, 5, 5, 3)
    rows = [f"pictures/{row}.png,{'cat' if row % 2 else 'ape'}" for row in range(10)]
    for row, image in enumerate(images):
        save(image, tmp_path / "pictures" / f"{row}.png")
    (tmp_path / "all.csv").write_text("\n".join(["file,label", *rows]))
    problem = load_problem(tmp_path / "all.csv")
    assert problem.label_names == ("ape", "cat")
    assert (len(problem.train), len(problem.test)) == (8, 2)


def test_class_folders_without_splits_give_a_stratified_fifth_for_testing(tmp_path: Path) -> None:
    class_folders(tmp_path, {"ape": 10, "bee": 5})
    problem = load_problem(tmp_path)
    assert problem.label_names == ("ape", "bee")
    assert np.bincount(problem.train.labels).tolist() == [8, 4]
    assert np.bincount(problem.test.labels).tolist() == [2, 1]


def test_class_folders_with_train_and_val_are_taken_as_they_are(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"2": 3, "10": 2})
    class_folders(tmp_path / "val", {"2": 1, "10": 1})
    problem = load_problem(tmp_path)
    assert problem.label_names == ("2", "10"), "numbers in numerical order"
    assert (len(problem.train), len(problem.val), len(problem.test)) == (5, 0, 2)


@pytest.mark.parametrize(
    "keys",
    [("x_train", "y_train", "x_test", "y_test"), ("x", "y"), ("images", "labels"),
     ("train_images", "train_labels", "test_images", "test_labels")],
)  # fmt: skip
def test_an_npz_is_known_by_its_keys(tmp_path: Path, keys: tuple[str, ...]) -> None:
    values = [noise(10, 6, 6), np.arange(10) % 2] * (len(keys) // 2)
    np.savez(tmp_path / "a.npz", **dict(zip(keys, values, strict=True)))
    problem = load_problem(tmp_path / "a.npz")
    assert problem.name == "a" and problem.modality.shape == (1, 6, 6)
    assert (len(problem.train), len(problem.test)) == ((10, 10) if len(keys) == 4 else (8, 2))


@pytest.mark.parametrize("kind", ["uint8", "float32", "uint16", "int64", "first", "tensor"])
def test_arrays_of_every_kind_become_the_same_uint8(kind: str) -> None:
    images = noise(6, 5, 7, 3)
    given = {
        "uint8": images,
        "float32": (images / 255).astype(np.float32),
        "uint16": images.astype(np.uint16) * 257,
        "int64": images.astype(np.int64),
        "first": channels_first(images),
        "tensor": torch.from_numpy(channels_first(images)) / 255,
    }[kind]
    labels = [0, 1] * 3
    problem = load_problem((given, labels, given, np.array(labels)[:, None]))
    assert np.array_equal(problem.train.samples, channels_first(images))
    assert problem.test.labels.tolist() == labels


def test_alpha_is_dropped_and_grey_arrays_have_one_channel() -> None:
    four = noise(4, 5, 5, 4)
    assert np.array_equal(
        load_problem((four, [0, 1, 0, 1], four, [0, 1, 0, 1])).train.samples,
        channels_first(four[..., :3]),
    )
    assert load_problem((noise(4, 5, 5), [0, 1, 0, 1])).modality.shape == (1, 5, 5)
    assert load_problem((noise(4, 5, 5, 1), [0, 1, 0, 1])).modality.shape == (1, 5, 5)


@pytest.mark.parametrize("kind", ["pil", "uint8 tensor", "float tensor", "numpy"])
def test_a_torch_dataset_is_read_once_whatever_it_yields(kind: str) -> None:
    images = noise(10, 6, 6, 3)
    make = {
        "pil": Image.fromarray,
        "uint8 tensor": lambda one: torch.from_numpy(one).permute(2, 0, 1),
        "float tensor": lambda one: torch.from_numpy(one).permute(2, 0, 1) / 255,
        "numpy": lambda one: one,
    }[kind]
    data = Pairs([make(one) for one in images], [0, 1] * 5)
    data.classes = ["ape", "bee"]
    problem = load_problem((data, data))
    assert np.array_equal(problem.train.samples, channels_first(images))
    assert problem.label_names == ("ape", "bee")
    single = load_problem(data)
    assert single.name == "pairs" and (len(single.train), len(single.test)) == (8, 2)


def test_the_fingerprint_of_a_dataset_is_that_of_its_content() -> None:
    images = torch.from_numpy(channels_first(noise(10, 6, 6, 3)))
    labels = torch.arange(10) % 2
    first = load_problem(TensorDataset(images, labels)).fingerprint
    again = load_problem(Pairs(list(images), labels.tolist())).fingerprint
    images[0, 0, 0, 0] ^= 1
    assert first == again != load_problem(TensorDataset(images, labels)).fingerprint


def test_numbers_with_gaps_are_renumbered_and_become_names() -> None:
    problem = load_problem((noise(8, 4, 4), [3, 7, 12, 3, 7, 12, 3, 7]))
    assert problem.label_names == ("3", "7", "12")
    assert set(problem.train.labels) | set(problem.test.labels) == {0, 1, 2}


def test_mean_and_std_are_those_of_the_training_split() -> None:
    train, test = noise(9, 4, 6, 3), noise(5, 4, 6, 3, seed=1)
    problem = load_problem((train, [0, 1, 2] * 3, test, [0, 1, 2, 0, 1]))
    pixels = train.astype(np.float64) / 255
    assert np.allclose(problem.modality.mean, pixels.mean((0, 1, 2)), rtol=0, atol=1e-12)
    assert np.allclose(problem.modality.std, pixels.std((0, 1, 2)), rtol=0, atol=1e-9)
    normalised = problem.samples(slice(None))
    assert torch.allclose(normalised.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(normalised.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)


def test_size_brings_every_kind_of_data_to_that_size(tmp_path: Path) -> None:
    cifar_like(tmp_path / "mine")
    assert load_problem(tmp_path / "mine", size=4).modality.shape == (3, 4, 4)
    assert load_problem("digits", size=(12, 10)).modality.shape == (1, 12, 10)
    assert load_problem((noise(4, 8, 8), [0, 1] * 2), size=6).modality.shape == (1, 6, 6)


NOTHING = np.zeros((4, 5, 5), np.uint8)
BAD: dict[str, tuple[object, dict, str]] = {
    "a wrong name": ("cifer10", {}, r"did you mean cifar10.*known: digits, mnist"),
    "a missing file": ("no/such/file.parquet", {}, "no file or folder no/such/file.parquet"),
    "a missing folder": ("./nowhere", {}, "no file or folder"),
    "unequal lengths": ((noise(4, 5, 5), [0, 1]), {}, "4 samples, but 2 labels"),
    "negative labels": ((noise(4, 5, 5), [0, 1, -1, 0]), {}, "negative .-1 at row 2"),
    "broken labels": ((noise(4, 5, 5), [0, 0.5, 1, 0]), {}, "not whole numbers"),
    "missing labels": ((noise(4, 5, 5), ["a", None, "b", "a"]), {}, "gap at row 1"),
    "one class": ((noise(4, 5, 5), [1, 1, 1, 1]), {}, "only 1 class"),
    "a class only in test": (
        (noise(4, 5, 5), [0, 1, 0, 1], noise(1, 5, 5), [2]), {}, "no training sample of class 2"),
    "floats beyond one": ((noise(4, 5, 5) * 1.0, [0, 1, 0, 1]), {}, r"give floats in \[0, 1\]"),
    "not a number": ((np.full((4, 5, 5), np.nan), [0, 1, 0, 1]), {}, "not finite"),
    "wide integers": ((np.full((4, 5, 5), 300), [0, 1, 0, 1]), {}, "from 300 to 300"),
    "flat vectors": ((noise(4, 25), [0, 1, 0, 1]), {}, "have shape"),
    "five channels": ((noise(4, 5, 5, 5), [0, 1, 0, 1]), {}, "1, 3 or 4 channels"),
    "equal pixels": ((NOTHING, [0, 1, 0, 1]), {}, "equal in one channel"),
    "three parts": ((1, 2, 3), {}, "got 3 parts"),
    "no data at all": (7, {}, "got int"),
    "a size of nothing": ("digits", {"size": 0}, "size is a side"),
    "a label of arrays": ((NOTHING, [0, 1, 0, 1]), {"label": "y"}, "label names a column"),
    "a label of digits": ("digits", {"label": "y"}, "one set of labels"),
    "a folder for arrays": ((NOTHING, [0, 1, 0, 1]), {"data_dir": "."}, "data_dir is for"),
    "a data_dir that is not there": ("cifar10", {"data_dir": "./nowhere"}, "is no folder"),
    "an unknown set of labels": ("cifar100", {"label": "fine"}, "known: fine_label, coarse_label"),
    "too much validation": ("digits", {"validation": 1.5}, "between 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data_gets_one_line_that_says_what_is_wrong(case: str) -> None:
    data, options, message = BAD[case]
    with pytest.raises(UsageError, match=message) as caught:
        load_problem(data, **options)
    assert "\n" not in str(caught.value)


def test_a_stream_is_refused() -> None:
    class Stream(IterableDataset):
        def __iter__(self):  # noqa: ANN204
            yield NOTHING[0], 0

    with pytest.raises(UsageError, match="is a stream"):
        load_problem(Stream())


def test_an_item_that_is_no_pair_is_named() -> None:
    with pytest.raises(UsageError, match="item 0 is no pair"):
        load_problem(TensorDataset(torch.zeros(3, 1, 4, 4)))


def refused(place: Path, message: str, **options: object) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_problem(place, **options)
    assert "\n" not in str(caught.value)


def test_bad_folders_get_one_line_that_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty holds no data set")
    class_folders(tmp_path / "gap", {"ape": 2, "bee": 2})
    (tmp_path / "gap" / "cat").mkdir()
    refused(tmp_path / "gap", "gap/cat holds no image")
    save(noise(4, 4), tmp_path / "loose" / "a.png")
    refused(tmp_path / "loose", "holds images, but no class folders")
    class_folders(tmp_path / "one", {"ape": 2})
    refused(tmp_path / "one", r"only 1 class \(ape\)")
    class_folders(tmp_path / "untrained" / "test", {"ape": 2, "bee": 2})
    refused(tmp_path / "untrained", "holds test, but no folder train")
    class_folders(tmp_path / "labelled", {"ape": 2, "bee": 2})
    refused(tmp_path / "labelled", "leave label 'x' away", label="x")
    (tmp_path / "note.txt").write_text("x")
    refused(tmp_path / "note.txt", "is no data set")


def test_an_unreadable_image_is_named_by_its_file_or_row(tmp_path: Path) -> None:
    class_folders(tmp_path / "folders", {"ape": 2, "bee": 2})
    (tmp_path / "folders" / "bee" / "1.png").write_bytes(b"no image")
    refused(tmp_path / "folders", r"bee/1.png is no readable image \(an unknown format\)")
    whole = (tmp_path / "folders" / "bee" / "0.png").read_bytes()
    (tmp_path / "folders" / "bee" / "1.png").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "folders", r"bee/1.png is no readable image \(.*truncated")
    (tmp_path / "a.csv").write_text("image,label\nfolders/ape/0.png,0\nfolders/ape/9.png,1\n")
    refused(tmp_path / "a.csv", "row 1 of .*a.csv is no readable image .there is no file .*9.png")


def test_bad_tables_get_one_line_that_says_which_columns_there_are(tmp_path: Path) -> None:
    images = noise(4, 4, 4, 3)
    table(tmp_path / "a.parquet", images, [0, 1, 0, 1], label="kind")
    refused(tmp_path / "a.parquet", "no column 'label'.*: img, kind")
    refused(tmp_path / "a.parquet", "no label column 'sort'.*: img, kind", label="sort")
    assert load_problem(tmp_path / "a.parquet", label="kind").classes == 2
    (tmp_path / "b.csv").write_text("year,label\n1999,0\n2000,1\n")
    refused(tmp_path / "b.csv", "no column of images, sounds or texts .its columns: year, label")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 but no more")
    refused(tmp_path / "c.parquet", "is no readable parquet file")
    table(tmp_path / "d.parquet", images, [0, 1, 2, 1], names=["ape", "bee"])
    refused(tmp_path / "d.parquet", "reach 2, but there are names for 2 classes")
    table(tmp_path / "e.parquet", images, [0, 1, 0, 1], names=["ape", "bee", "cat"])
    refused(tmp_path / "e.parquet", "no training sample of class cat")


def test_a_bad_npz_gets_one_line_that_says_which_keys_there_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.zeros(3), target=np.zeros(3))
    refused(tmp_path / "a.npz", "has the keys data, target: name them x and y")
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 damaged")
    refused(tmp_path / "b.npz", "damaged|no readable .npz")
    np.savez(tmp_path / "c.npz", x=np.array([{}], dtype=object), y=np.zeros(1))
    refused(tmp_path / "c.npz", "no readable .npz")


def test_the_table_of_contents_says_of_every_set_what_a_person_asks() -> None:
    assert list(DATA) == ["digits", "mnist", "fashion_mnist", "svhn", "cifar10", "cifar100",
                          "tiny_imagenet", "esc10", "esc50", "imdb"]  # fmt: skip
    for name, source in DATA.items():
        assert source.description and "\n" not in source.description
        assert source.label_names is None or len(source.label_names) == source.classes, name
        sound = name.startswith("esc")
        assert len(source.shape) == (2 if sound else 1 if name == "imdb" else 3)
        assert (source.hub is None) == (name == "digits" or sound)
        assert source.mirror == (name not in ("digits", "mnist", "svhn", "imdb"))


def test_a_source_may_return_a_problem_of_any_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_problem("digits")
    source = condensery.data.Source(
        lambda name, source, options: made, "mine", 10, (1, 8, 8), False
    )
    monkeypatch.setitem(DATA, "mine", source)
    assert load_problem("mine") is made
