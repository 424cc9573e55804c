"""Baselines: of equal stored bytes, plain and packed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cases import texts
from condensery.core.starts import odds_start
from condensery.errors import UsageError
from condensery.evaluate import baselines
from condensery.evaluate.baselines import AS_MANY, fitting, planned
from condensery.modality import Pixels, SoftTokens
from condensery.streams import Streams


def test_an_unpacked_set_stands_beside_plain_rows_only(problem, drawn):
    rows = baselines(problem, [(0, drawn())], name="ours", start=[(0, drawn(1))])
    assert list(rows) == ["random", "kmeans", "mean", "start", "ours"]


def test_a_packed_set_stands_beside_plain_and_packed_rows_of_equal_bytes(problem, drawn):
    ours = drawn(factor=2)
    rows = baselines(problem, [(0, ours)], name="ours")
    assert list(rows) == ["random", "random packed", "kmeans", "kmeans packed", "mean",
                          "mean packed", "ours"]  # fmt: skip
    for name, ((replicate, made),) in rows.items():
        assert replicate == 0
        assert made.nbytes() == ours.nbytes()
        assert made.codec == (ours.codec if "packed" in name or name == "ours" else Pixels())


def test_the_bytes_never_exceed_the_set_s_and_one_more_per_class_would(problem):
    for stored_bytes in (195, 389, 390, 391, 1000):
        count = fitting(problem, Pixels(), stored_bytes)
        each = 3 * (64 + 1)
        assert count * each <= stored_bytes < (count + 1) * each


def test_a_class_never_gives_more_than_it_has(problem):
    assert fitting(problem, Pixels(), 10**9) == 20
    assert fitting(problem, Pixels(factor=2), 10**9) == 5


def test_bytes_that_hold_no_sample_are_an_error_that_says_so(problem):
    with pytest.raises(UsageError, match="no room"):
        fitting(problem, Pixels(), 100)


def test_replicates_are_other_draws_and_the_same_each_time(problem, drawn):
    sets = [(4, drawn(0)), (5, drawn(1))]
    one, again = (baselines(problem, sets, name="ours")["random"] for _ in range(2))
    assert [seed for seed, _ in one] == [4, 5]
    assert torch.equal(one[0][1].stored["pixels"], again[0][1].stored["pixels"])
    assert not torch.equal(one[0][1].stored["pixels"], one[1][1].stored["pixels"])
    many = baselines(problem, sets, name="ours", which=("random",), replicates=range(10))
    assert len(many["random"]) == 10 and list(many) == ["random", "ours"]


def test_random_rows_hold_real_samples_and_means_are_class_means(problem, drawn):
    rows = baselines(problem, [(0, drawn(per_class=1))], name="ours")
    real = {sample.tobytes() for sample in problem.train.samples}
    stored = (rows["random"][0][1].stored["pixels"] * 255).round().to(torch.uint8).numpy()
    assert all(sample.tobytes() in real for sample in stored)
    mean = torch.from_numpy(problem.train.samples[problem.of(1)]).float().mean(0) / 255
    assert torch.allclose(rows["mean"][0][1].of(1)["pixels"][0], mean, atol=1e-5)


def test_sets_that_differ_in_size_or_codec_are_no_replicates(problem, drawn):
    other = dataclasses.replace(drawn(), codec=Pixels(corners=True))
    for wrong in (drawn(per_class=3), other):
        with pytest.raises(UsageError, match="differ in size or codec"):
            baselines(problem, [(0, drawn()), (1, wrong)], name="ours")


def test_an_unknown_baseline_names_the_known_ones(problem, drawn):
    with pytest.raises(UsageError, match="random, kmeans, mean"):
        baselines(problem, [(0, drawn())], name="ours", which=("herd",))
    with pytest.raises(UsageError, match="no set"):
        baselines(problem, [], name="ours")


@pytest.mark.parametrize("factor", [1, 2])
def test_what_is_planned_of_rows_is_what_is_made(problem, drawn, factor):
    ours, which = drawn(factor=factor), ("random", "mean", "full", "herding")
    rows = baselines(problem, [(0, ours)], name="ours", which=which, draws=3)
    made = {row: len(sets) for row, sets in rows.items() if row != "ours"}
    assert planned(which, ours.codec, "image", 3) == made


def test_what_is_planned_beside_a_text_is_what_is_made():
    topics, codec = texts((30, 30, 30)), SoftTokens(5)
    made = odds_start(topics, 1, codec, Streams(0))
    rows = baselines(topics, [(0, made)], name="ours", which=("random", "mean"), draws=2)
    count = {row: len(sets) for row, sets in rows.items() if row != "ours"}
    assert AS_MANY in count and planned(("random", "mean"), codec, "text", 2) == count
