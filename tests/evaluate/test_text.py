"""Sets of text are judged as they are exported, beside real texts of equal bytes and count."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cases import texts
from condensery.core.starts import odds_start, random_start
from condensery.errors import UsageError
from condensery.evaluate import baselines, grid
from condensery.evaluate.neighbours import neighbours
from condensery.evaluate.recipes import RECIPES
from condensery.evaluate.usual import usual
from condensery.modality import SoftTokens, Text
from condensery.streams import Streams

TOPICS = texts((30, 30, 30))
QUICK = dataclasses.replace(RECIPES["text"], lr=1e-2)


def test_rows_of_text_are_of_equal_bytes_and_of_equal_count() -> None:
    made = odds_start(TOPICS, 1, SoftTokens(5), Streams(0))
    rows = baselines(TOPICS, [(0, made)], name="hmdc")
    assert list(rows) == ["random", "random packed", "random as many", "kmeans", "kmeans packed",
                          "naive_bayes", "naive_bayes packed", "hmdc"]  # fmt: skip
    for name, sets in rows.items():
        assert sets[0][1].nbytes() <= made.nbytes(), name
    # Eight positions of five tokens are 160 bytes and a label; a real text is 16 and a label.
    assert rows["random"][0][1].per_class == 161 // 17
    assert rows["random packed"][0][1].per_class == rows["random as many"][0][1].per_class == 1
    packed = rows["naive_bayes packed"][0][1]
    assert torch.equal(packed.decode().x, made.decode().x)


def test_a_network_learns_the_topics_from_few_texts_and_twice_the_same() -> None:
    made = random_start(TOPICS, 6, SoftTokens(1), Streams(0))
    found = [
        grid.evaluate({"random": [(0, made)]}, TOPICS, ("lstm2_w8",), recipe=QUICK, seeds=(0,),
                      updates=60, per_class=6)[0].accuracy
        for _ in range(2)
    ]  # fmt: skip
    assert found[0] == found[1] > 0.6


def test_a_set_of_other_words_is_refused_by_the_data() -> None:
    made = random_start(TOPICS, 1, SoftTokens(1), Streams(0))
    assert isinstance(TOPICS.modality, Text)
    other = dataclasses.replace(TOPICS.modality, fingerprint="f" * 16)
    strange = dataclasses.replace(made, modality=other)
    with pytest.raises(UsageError, match="evaluate a set on the data it was made from"):
        grid.evaluate({"random": [(0, strange)]}, TOPICS, ("lstm2_w8",), recipe=QUICK, seeds=(0,),
                      updates=1, per_class=1)  # fmt: skip


def test_a_real_text_in_a_set_is_found_and_soft_tokens_are_none() -> None:
    real = neighbours(random_start(TOPICS, 2, SoftTokens(1), Streams(0)), TOPICS)
    assert all(one.leaked and one.distance < 1e-3 for one in real)
    soft = neighbours(odds_start(TOPICS, 1, SoftTokens(5), Streams(0)), TOPICS)
    assert not any(one.leaked for one in soft)


def test_measures_of_text_have_a_network_that_reads() -> None:
    network, recipe = usual(TOPICS.modality)
    assert (network.name, recipe.name) == ("lstm", "text")
