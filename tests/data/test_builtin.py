"""Built-in sets: local copies first, then the caches, then the hub; never another data set."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from condensery import hub
from condensery.data import DATA, builtin, load_problem
from condensery.errors import RunError, UsageError
from data.made import channels_first, cifar_like, noise, table


def test_data_that_are_nowhere_are_an_error_in_one_line_within_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path))
    start = time.perf_counter()
    with pytest.raises(RunError) as caught:
        load_problem("cifar10", data_dir=tmp_path)
    assert time.perf_counter() - start < 5
    told = str(caught.value)
    assert "\n" not in told and told.startswith("cifar10 (looked in ")
    assert str(tmp_path / "cifar10") in told and str(hub.cache("hub")) in told
    assert "HF_HUB_OFFLINE is set" in told and "--data-dir" in told and "CONDENSERY_DATA" in told


def test_without_download_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "require", lambda *_: pytest.fail("the hub was asked"))
    with pytest.raises(RunError, match="download is off"):
        load_problem("mnist", download=False)


@pytest.mark.parametrize(
    "way", ["data_dir", "variable", "own folder", "own variable", "any folder"]
)
def test_a_local_copy_is_found_in_every_way_to_point_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    folder = tmp_path / ("copy" if way == "any folder" else "cifar10")
    images, _ = cifar_like(folder)
    if "variable" in way:
        monkeypatch.setenv("CONDENSERY_DATA", str(folder if way.startswith("own") else tmp_path))
    place = {"data_dir": tmp_path, "own folder": folder, "any folder": folder}.get(way)
    problem = load_problem("cifar10", data_dir=place)
    assert problem.name == "cifar10" and problem.label_names == DATA["cifar10"].label_names
    assert np.array_equal(problem.train.samples, channels_first(images))


def test_the_argument_goes_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar_like(tmp_path / "a" / "cifar10", per_class=2)
    cifar_like(tmp_path / "b" / "cifar10", per_class=3)
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path / "b"))
    assert len(load_problem("cifar10").train) == 30
    assert len(load_problem("cifar10", data_dir=tmp_path / "a").train) == 20


def test_the_folder_of_another_data_set_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar_like(tmp_path / "cifar10")
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path / "cifar10"))
    with pytest.raises(RunError, match="fashion_mnist .looked in"):
        load_problem("fashion_mnist")


def test_a_copy_with_other_classes_under_the_same_name_is_refused(tmp_path: Path) -> None:
    cifar_like(tmp_path / "cifar10", classes=3)
    with pytest.raises(UsageError, match="has 3 classes, cifar10 has 10: .*folder itself"):
        load_problem("cifar10", data_dir=tmp_path)


def test_a_part_of_tiny_imagenet_goes_by_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "tiny_imagenet_5"
    for split in ("train", "valid"):
        table(folder / f"{split}-0.parquet", noise(10, 8, 8, 3), [0, 1, 2, 3, 4] * 2, image="image")
    problem = load_problem("tiny_imagenet", data_dir=tmp_path)
    assert problem.name == "tiny_imagenet_5" and problem.classes == 5 and len(problem.test) == 10


def test_cifar100_has_fine_and_coarse_labels(tmp_path: Path) -> None:
    fine = [*range(100)] * 2
    coarse = [label // 5 for label in fine]
    for split in ("train", "test"):
        table(tmp_path / "cifar100" / f"{split}.parquet", noise(200, 4, 4, 3), fine,
              label="fine_label", more={"coarse_label": coarse})  # fmt: skip
    problem = load_problem("cifar100", data_dir=tmp_path)
    assert (problem.name, problem.classes) == ("cifar100", 100)
    problem = load_problem("cifar100", data_dir=tmp_path, label="coarse_label")
    assert (problem.name, problem.classes) == ("cifar100-coarse_label", 20)
    assert problem.train.labels.tolist() == coarse


def test_what_was_downloaded_before_is_found_without_the_network() -> None:
    folder = hub.cache("hub") / "datasets--uoft-cs--cifar10"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    images, _ = cifar_like(folder / "snapshots" / "abc" / "plain_text")
    problem = load_problem("cifar10")
    assert problem.name == "cifar10" and len(problem.train) == len(images)


def test_a_download_with_missing_shards_is_not_taken_for_the_whole() -> None:
    folder = hub.cache("hub") / "datasets--uoft-cs--cifar10"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    data = folder / "snapshots" / "abc" / "plain_text"
    cifar_like(data)
    (data / "train-00000-of-00001.parquet").rename(data / "train-00000-of-00002.parquet")
    with pytest.raises(RunError, match="cannot be fetched"):
        load_problem("cifar10")


def prepare(folder: Path, repository: str) -> np.ndarray:
    """Let ``datasets`` prepare a set as it does after a download, under a repository's name."""
    import datasets

    images, _ = cifar_like(folder)
    files = {split: str(folder / f"{split}-00000-of-00001.parquet") for split in ("train", "test")}
    cache = folder / "prepared"
    datasets.load_dataset("parquet", data_files=files, cache_dir=str(cache))
    made = next(path for path in cache.iterdir() if path.is_dir())
    base = hub.cache("datasets") / repository.replace("/", "___")
    base.mkdir(parents=True)
    next(path for path in made.iterdir() if path.is_dir()).rename(base / "plain_text")
    return images


def test_what_the_datasets_library_prepared_is_found_without_the_network(tmp_path: Path) -> None:
    images = prepare(tmp_path / "made", "uoft-cs/cifar10")
    problem = load_problem("cifar10")
    assert problem.name == "cifar10" and len(problem.test) == 30
    assert np.array_equal(problem.train.samples, channels_first(images))
    same = load_problem("uoft-cs/cifar10")
    assert same.name == "uoft-cs/cifar10" and same.label_names == DATA["cifar10"].label_names


def test_a_hub_id_is_fetched_by_the_datasets_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    images, _ = cifar_like(tmp_path / "made")
    files = {split: str(tmp_path / "made" / f"{split}-00000-of-00001.parquet")
             for split in ("train", "test")}  # fmt: skip
    found = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    asked = []
    monkeypatch.setattr(hub, "require", lambda repository, *_: asked.append(repository))
    monkeypatch.setattr(datasets, "load_dataset", lambda *what: asked.append(what) or found)
    problem = load_problem("owner/mine:small")
    assert asked == ["owner/mine", ("owner/mine", "small")]
    assert problem.name == "owner/mine:small" and len(problem.test) == len(images)


def test_what_goes_wrong_while_fetching_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    def fail(*what: object) -> None:
        raise ValueError("Config name is missing.\nPlease pick one among: ['a', 'b']")

    monkeypatch.setattr(hub, "require", lambda *_: None)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(RunError, match="Config name is missing. Please pick one") as caught:
        load_problem("owner/mine")
    assert "\n" not in str(caught.value)


def test_a_hub_id_that_may_have_been_a_path_is_told_as_both() -> None:
    with pytest.raises(RunError, match=r"looked in data/mine, .*data/mine cannot be fetched"):
        load_problem("data/mine")


def test_how_to_help_is_told_in_the_same_words_everywhere() -> None:
    assert "--data-dir" in builtin.HOW and "CONDENSERY_DATA" in builtin.HOW
