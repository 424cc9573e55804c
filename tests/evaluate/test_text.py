"""Sets of text are judged as they are exported, beside real texts of equal bytes and count."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cases import texts
from condensery import models
from condensery.core.starts import odds_start, random_start
from condensery.core.synthetic import SyntheticSet
from condensery.errors import UsageError
from condensery.evaluate import baselines, grid
from condensery.evaluate import train as training
from condensery.evaluate.neighbours import neighbours
from condensery.evaluate.recipes import RECIPES, Recipe
from condensery.evaluate.train import learned_from
from condensery.evaluate.usual import usual
from condensery.modality import DenseTokens, SoftTokens, Text
from condensery.models import PeerSpec
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


def dense(keep: int = 0) -> SyntheticSet:
    """A set over the whole vocabulary, and its data."""
    modality = dataclasses.replace(TOPICS.modality, form="dense")
    data = dataclasses.replace(TOPICS, modality=modality)
    return random_start(data, 2, DenseTokens(keep=keep), Streams(0))


def test_a_recipe_of_raw_text_hands_networks_the_stored_values_and_matching_the_decoded_ones() -> (
    None
):
    made, raw = dense(), Recipe("x", text="raw")
    read, decoded = learned_from(made, raw), learned_from(made, Recipe("x"))
    assert torch.equal(read.x, made.stored["logits"].half().float())
    assert torch.equal(read.y, decoded.y) and torch.equal(read.y, made.labels)
    torch.testing.assert_close(decoded.x, made.stored["logits"].half().float().softmax(2))
    # As in the released code: 0.8 at the real token, 0.2 at every entry, padding is a token.
    assert read.x.sum(2).unique().tolist() == pytest.approx([0.8 + 0.2 * 45], rel=1e-3)
    network = models.build(PeerSpec("lstm2_w8_released"), made.modality, 3, Streams(0)("weights"))
    states = read.x @ network.words.weight
    for layer in network.layers:
        states = layer(states)[0]
    torch.testing.assert_close(network(read.x), network.classifier(states.mean(1)))
    assert not torch.allclose(network(read.x), network(decoded.x), atol=1e-3)


def test_raw_text_is_trained_on_as_it_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(training, "fit", lambda backbone, batch, *rest: given.append(batch.x))
    made = dense()
    for recipe in (RECIPES["hmdc-released"], RECIPES["hmdc"]):
        training.train_network(made, PeerSpec("lstm2_w8"), recipe, Streams(0))
    assert torch.equal(given[0], made.stored["logits"].half().float())
    assert torch.equal(given[1], made.quantised().decode().x)


@pytest.mark.parametrize("codec", [SoftTokens(2), DenseTokens(), DenseTokens(2)], ids=str)
def test_a_set_that_does_not_export_its_stored_values_is_not_read_raw(codec: SoftTokens) -> None:
    made = random_start(TOPICS, 1, codec, Streams(0))
    with pytest.raises(UsageError, match="recipe hmdc-released reads texts undecoded") as caught:
        training.train_network(made, PeerSpec("lstm2_w8"), RECIPES["hmdc-released"], Streams(0))
    assert "\n" not in str(caught.value)


def test_real_texts_have_nothing_to_decode() -> None:
    made = random_start(TOPICS, 2, SoftTokens(1), Streams(0))
    assert torch.equal(learned_from(made, Recipe("x", text="raw")).x, made.decode().x)


def test_beside_a_whole_vocabulary_stand_real_texts_as_ids() -> None:
    drawn = [baselines(TOPICS, [(0, dense(keep))], name="hmdc", which=["random"])["random"][0][1]
             for keep in (0, 15)]  # fmt: skip
    assert [one.codec for one in drawn] == [SoftTokens(), DenseTokens()]
    assert all(one.nbytes() <= dense(0).nbytes() for one in drawn)


def test_measures_of_text_have_a_network_that_reads() -> None:
    network, recipe = usual(TOPICS.modality)
    assert (network.name, recipe.name) == ("lstm", "text")
