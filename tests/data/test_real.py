"""The real CIFAR-10 and a part of Tiny ImageNet, as they lie on disk."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from condensery.data import DATA, Problem, load_problem

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def cifar10(real_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    monkeypatch.setenv("CONDENSERY_CACHE", str(cache))
    return load_problem(str(real_data / "cifar10"))


def test_cifar10_is_all_there_and_has_the_mean_and_std_of_the_literature(cifar10: Problem) -> None:
    assert cifar10.name == "cifar10" and cifar10.label_names == DATA["cifar10"].label_names
    assert (len(cifar10.train), len(cifar10.test)) == (50_000, 10_000)
    assert cifar10.modality.shape == (3, 32, 32) and cifar10.modality.mirror
    assert np.bincount(cifar10.train.labels).tolist() == [5000] * 10
    assert np.allclose(cifar10.modality.mean, (0.4913, 0.4822, 0.4464), rtol=0, atol=1e-3)
    assert np.allclose(cifar10.modality.std, (0.2471, 0.2436, 0.2617), rtol=0, atol=1e-3)


def test_the_second_time_cifar10_is_there_in_a_moment(
    cifar10: Problem, real_data: Path, cache: Path
) -> None:
    start = time.perf_counter()
    again = load_problem("cifar10", data_dir=real_data)
    assert again.fingerprint == cifar10.fingerprint
    assert time.perf_counter() - start < 3, "0.2 seconds on a machine that does nothing else"


def test_twenty_classes_of_tiny_imagenet_are_found_by_the_name_of_the_whole(
    real_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDENSERY_CACHE", str(cache))
    monkeypatch.setenv("CONDENSERY_DATA", str(real_data))
    problem = load_problem("tiny_imagenet")
    assert problem.name == "tiny_imagenet_20" and problem.classes == 20
    assert (len(problem.train), len(problem.val), len(problem.test)) == (10_000, 0, 1_000)
    assert problem.modality.shape == (3, 64, 64), "some are grey, most are not"
    assert problem.label_names[0].startswith("goldfish")
