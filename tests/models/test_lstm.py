"""Stacked LSTMs on text: their size, what padding does to them, and that they can learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.core.matching import distance, double_backward, parameter_gradients
from condensery.errors import UsageError
from condensery.modality import Image, Sound, Text
from condensery.models import Backbone, PeerSpec, build, describe, family
from condensery.streams import borrow
from condensery.types import Batch, Tokens

BERTS = Text((64, 2, 1), 30_522, "bert-base-uncased", "0" * 16, 0, (0, 100, 101, 102, 103))
SHORT = Text((8, 2, 1), 50, "made up", "0" * 16)


def made(name: str, modality: Any = SHORT, seed: int = 0, **settings: Any) -> Backbone:
    spec = PeerSpec(name, **settings)
    return build(spec, modality, 2, torch.Generator().manual_seed(seed))


def some_ids(count: int, words: int, modality: Text = SHORT, seed: int = 0) -> Tensor:
    """Ids ``(count, length)`` of texts of so many words, and padding after them."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, modality.vocabulary, (count, modality.length), generator=generator)
    ids[:, words:] = modality.pad
    return ids


def texts(count: int = 4, words: int = 8, modality: Text = SHORT, seed: int = 0) -> Batch:
    x = modality.normalise(some_ids(count, words, modality, seed))
    return Batch(x, torch.arange(count) % 2)


def test_the_six_layers_have_the_published_size_and_taps() -> None:
    told = describe("lstm", BERTS, 2)
    gates = 4 * 128
    layer = gates * 128 + gates * 128 + gates + gates  # from below, from before, two biases
    assert told.parameters == 30_522 * 128 + 6 * layer + 128 * 2 + 2 == 4_699_650
    assert told.taps == ((128, 64),) * 6
    assert family("lstm") == family("lstm2_w16_released") == "rnn"


def test_a_name_says_depth_and_width() -> None:
    told = describe("lstm2_w16", SHORT, 2)
    assert told.taps == ((16, 8),) * 2
    assert told.parameters == 50 * 16 + 2 * (2 * 64 * 16 + 2 * 64) + 16 * 2 + 2


@pytest.mark.parametrize("name", ["lstm1_w4", "lstm1_w4_released"])
def test_a_layer_computes_what_the_equations_of_an_lstm_say(name: str) -> None:
    network, batch = made(name), texts(1)
    own = {name: p.detach() for name, p in network.layers[0].named_parameters()}  # type: ignore[index, union-attr]
    words = network.words.weight.detach()  # type: ignore[union-attr]
    state, cell = torch.zeros(4), torch.zeros(4)
    expected = []
    for word in batch.x[0, :, 0, 0].long():
        gates = own["weight_ih_l0"] @ words[word] + own["bias_ih_l0"]
        gates = gates + own["weight_hh_l0"] @ state + own["bias_hh_l0"]
        enter, forget, value, leave = gates.view(4, 4)
        cell = forget.sigmoid() * cell + enter.sigmoid() * value.tanh()
        state = leave.sigmoid() * cell.tanh()
        expected.append(state if name.endswith("released") else words[word] + state)
    tap = network.read(batch).taps[0].spatial[0]
    torch.testing.assert_close(tap, torch.stack(expected, 1))


def test_gates_begin_open_and_recurrent_matrices_keep_lengths() -> None:
    for layer in made("lstm2_w16").layers:  # type: ignore[union-attr]
        own = {name: p.detach() for name, p in layer.named_parameters()}  # type: ignore[union-attr]
        bias = (own["bias_ih_l0"] + own["bias_hh_l0"]).view(4, 16)
        assert torch.equal(bias, torch.tensor([0.0, 1.0, 0.0, 0.0]).view(4, 1).expand(4, 16))
        for block in own["weight_hh_l0"].chunk(4):
            torch.testing.assert_close(block @ block.T, torch.eye(16), atol=1e-5, rtol=0)


def test_the_released_layers_begin_as_pytorch_draws_them() -> None:
    with borrow(torch.Generator().manual_seed(7)):
        expected = torch.nn.Embedding(50, 16), torch.nn.LSTM(16, 16), torch.nn.LSTM(16, 16)
    own = list(made("lstm2_w16_released", seed=7).parameters())
    for a, b in zip((p for one in expected for p in one.parameters()), own, strict=False):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["lstm2_w16", "lstm2_w16_released"])
def test_ids_and_one_hot_tokens_sparse_and_dense_read_alike(name: str) -> None:
    network, ids = made(name).eval(), some_ids(3, 6)
    there = (ids != 0).float().unsqueeze(2)
    dense = F.one_hot(ids, 50).float() * there
    noise = torch.randint(0, 50, (3, 8, 4))
    few = torch.cat([ids.unsqueeze(2), noise], 2)
    sparse = Tokens(few, torch.cat([there, torch.zeros(3, 8, 4)], 2)).packed()
    plain = network(SHORT.normalise(ids))
    torch.testing.assert_close(network(dense), plain)
    torch.testing.assert_close(network(sparse), plain)


def test_more_padding_changes_no_answer_but_the_released_one() -> None:
    longer = Text((20, 2, 1), 50, "made up", "0" * 16)
    ids = some_ids(3, 5)
    padded = torch.cat([ids, torch.zeros(3, 12, dtype=torch.int64)], 1)
    own, released = made("lstm2_w16").eval(), made("lstm2_w16_released").eval()
    x, y = SHORT.normalise(ids), longer.normalise(padded)
    torch.testing.assert_close(own(y), own(x))
    assert not torch.allclose(released(y), released(x), atol=1e-4)


def test_taps_are_zero_where_nothing_is_and_mean_over_the_rest() -> None:
    network = made("lstm2_w16").eval()
    reading = network.read(texts(4, words=5))
    for tap in reading.taps:
        assert tap.spatial.shape == (4, 16, 8) and not tap.spatial[:, :, 5:].any()
        torch.testing.assert_close(tap.semantic, tap.spatial[:, :, :5].mean(2))
    torch.testing.assert_close(reading.embedding, reading.taps[-1].semantic)
    own = dict(network.named_parameters())
    weight, bias = (own[name] for name in network.head)
    torch.testing.assert_close(F.linear(reading.embedding, weight, bias), reading.logits)


def test_a_text_with_nothing_in_it_has_an_answer() -> None:
    x = torch.zeros(2, *SHORT.shape, requires_grad=True)
    for name in ("lstm2_w16", "lstm2_w16_released"):
        logits = made(name)(x)
        assert logits.isfinite().all()
        assert torch.autograd.grad(logits.sum(), x)[0].isfinite().all()


def test_what_is_said_of_a_text_does_not_depend_on_the_others() -> None:
    network, batch = made("lstm2_w16").eval(), texts()
    with torch.no_grad():
        alone = [network(batch.x[i : i + 1]) for i in range(4)]
        torch.testing.assert_close(torch.cat(alone), network(batch.x))


def test_a_restart_is_in_place_and_every_layer_then_learns() -> None:
    network, batch = made("lstm_w8", seed=1), texts()
    held = list(network.parameters())
    optimiser = torch.optim.SGD(held, lr=1.0)
    network.restart(torch.Generator().manual_seed(2))
    assert all(a is b for a, b in zip(held, network.parameters(), strict=True))
    fresh = made("lstm_w8", seed=2).state_dict()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    assert all(torch.equal(before[name], fresh[name]) for name in before)
    F.cross_entropy(network(batch.x), batch.y).backward()
    optimiser.step()
    still = [name for name, p in network.named_parameters() if torch.equal(before[name], p)]
    assert not still, f"the optimiser holds dead tensors: {still}"


def after_learning(name: str, batch: Batch, updates: int = 100) -> float:
    network = made(name)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for _ in range(updates):
        loss = F.cross_entropy(network(batch.x), batch.y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def test_six_layers_learn_two_texts_by_heart_where_the_released_ones_learn_nothing() -> None:
    pair = texts(2)
    assert after_learning("lstm_w32", pair) < 0.1
    assert after_learning("lstm_w32_released", pair) > 0.6


def matching_loss(network: Backbone, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    parameters = list(network.parameters())
    with double_backward():
        real = parameter_gradients(F.cross_entropy(network(x), y), parameters, graph=False)
        soft = Tokens(Tokens.of(x).ids, weights).packed()
        loss = F.cross_entropy(network(soft), y)
        return distance(real, parameter_gradients(loss, parameters, graph=True))


def test_matched_gradients_have_the_derivatives_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    network, batch = made("lstm2_w4").double(), texts(2)
    weights = (torch.rand(2, 8, 1, generator=generator) + 0.5).double().requires_grad_()
    x = batch.x.double()
    slope = torch.autograd.grad(matching_loss(network, x, batch.y, weights), weights)[0]
    for place in [(0, 0, 0), (0, 7, 0), (1, 3, 0)]:
        step = torch.zeros_like(weights)
        step[place] = 1e-6
        ends = [matching_loss(network, x, batch.y, (weights + s).detach()) for s in (step, -step)]
        expected = float((ends[0] - ends[1]).detach()) / 2e-6
        assert float(slope[place]) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_in_single_precision_the_second_derivatives_are_those_of_double() -> None:
    network, batch = made("lstm2_w16"), texts(2)
    found = []
    for kind in (torch.float32, torch.float64):
        weights = torch.full((2, 8, 1), 0.7, dtype=kind, requires_grad=True)
        loss = matching_loss(network.to(kind), batch.x.to(kind), batch.y, weights)
        found.append(torch.autograd.grad(loss, weights)[0].double())
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-3)


@pytest.mark.cuda
def test_on_a_gpu_matched_gradients_have_derivatives_in_both_modes() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: cuDNN's LSTM has no second derivative")
    batch = texts(2)
    for mode in (True, False):
        found = []
        for device in ("cpu", "cuda"):
            network = made("lstm2_w16").to(device).train(mode)
            weights = torch.full((2, 8, 1), 0.7, device=device, requires_grad=True)
            loss = matching_loss(network, batch.x.to(device), batch.y.to(device), weights)
            found.append(torch.autograd.grad(loss, weights)[0].cpu())
        torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "modality", "settings", "said"),
    [
        ("lstm", Image((1, 8, 8), (0.5,), (0.2,)), {}, "reads text; this data set holds image"),
        ("lstm", Sound((1, 8000), 16_000), {}, "reads text; this data set holds audio"),
        ("convnet3", SHORT, {}, "reads images; this data set holds text"),
        ("mlp", SHORT, {}, "reads images; this data set holds text"),
        ("vit_tiny", SHORT, {}, "reads images; this data set holds text"),
        ("audio_cnn", SHORT, {}, "reads sound; this data set holds text"),
        ("lstm", SHORT, {"size": 8}, "leave size away"),
        ("lstm", SHORT, {"taps": ("layers.0",)}, "own taps"),
        ("lstm", SHORT, {"weights": "pretrained"}, "no published weights"),
        ("lstm", SHORT, {"normalise": "model"}, "no mean and std"),
        ("lstm_w0", SHORT, {}, "depth and a width from 1; got 6 and 0"),
        ("lstm0", SHORT, {}, "depth and a width from 1; got 0 and 128"),
    ],
)
def test_what_does_not_fit_gets_one_line(
    name: str, modality: Any, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(name, modality, **settings)
    assert "\n" not in str(caught.value)
