"""The peers: restarted in place, they really learn; whose turn it is; who stands still."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cases import texts
from condensery.core.alignment import Alignment
from condensery.core.cohort import Cohort, align, make_optimiser, still_dropout
from condensery.core.matching import cross_entropy
from condensery.errors import UsageError
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.types import Batch
from core.made import cohort, generator, noise_batch, problem

PEERS = ("convnet2_w8", "vit_mini", "mlp")


def weights(peers: Cohort) -> list[dict[str, Tensor]]:
    return [{name: one.clone() for name, one in peer.backbone.state_dict().items()}
            for peer in peers]  # fmt: skip


def same(one: list[dict[str, Tensor]], other: list[dict[str, Tensor]]) -> list[bool]:
    """For each peer whether nothing of it differs."""
    return [all(torch.equal(a[name], b[name]) for name in a)
            for a, b in zip(one, other, strict=True)]  # fmt: skip


def alignment_of(peers: Cohort, batch: Batch) -> Alignment:
    with torch.no_grad():
        return Alignment(peers.taps(batch), generator())


# Restarts.


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_after_a_restart_the_optimisers_hold_the_networks_and_every_gradient_moves_its_parameter(
    optimiser: str,
) -> None:
    peers, batch = cohort(*PEERS, optimiser=optimiser, lr=0.1), noise_batch(6)
    counts = [sum(p.numel() for p in peer.backbone.parameters()) for peer in peers]
    peers.learn([batch], None)
    peers.restart(Streams(0), step=3)
    assert [sum(p.numel() for p in peer.backbone.parameters()) for peer in peers] == counts
    fresh = weights(peers)
    for peer in peers:
        held = [p for group in peer.optimiser.param_groups for p in group["params"]]
        assert {id(p) for p in held} == {id(p) for p in peer.backbone.parameters()}
        assert not peer.optimiser.state, "nothing of the optimiser's past is left"
    gradients = [
        torch.autograd.grad(cross_entropy(peer.backbone(batch.x), batch.y), peer.parameters)
        for peer in peers
    ]
    peers.learn([batch], None)
    for peer, before, found in zip(peers, fresh, gradients, strict=True):
        moving = 0
        for (name, parameter), one in zip(peer.backbone.named_parameters(), found, strict=True):
            if float(one.abs().max()) > 1e-6:
                moving += 1
                assert not torch.equal(parameter.detach(), before[name]), f"{name} stood still"
        assert moving > len(found) / 2


def test_a_restart_depends_on_its_step_and_on_nothing_learned() -> None:
    one, other = cohort(*PEERS), cohort(*PEERS)
    other.learn([noise_batch()], None)
    one.restart(Streams(0), step=5)
    other.restart(Streams(0), step=5)
    assert same(weights(one), weights(other)) == [True] * 3
    other.restart(Streams(0), step=6)
    assert same(weights(one), weights(other)) == [False] * 3


def test_peers_of_one_name_are_different_networks() -> None:
    first, second = weights(cohort("mlp", "mlp"))
    assert not torch.equal(first["hidden1.weight"], second["hidden1.weight"])


# Whose turn it is.


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 4), every=st.integers(1, 12), step=st.integers(0, 200))
def test_peers_take_turns_in_order_every_so_many_steps(count: int, every: int, step: int) -> None:
    peers = Cohort(list(range(count)))  # type: ignore[arg-type]
    order = [index for _ in range(step + 1) for index in range(count) for _ in range(every)]
    assert peers.turn(step, every) == order[step]


def test_of_two_peers_the_first_has_steps_0_to_9_and_the_second_10_to_19() -> None:
    peers = cohort("mlp", "convnet2_w8")
    turns = [peers.peers.index(peers.turn(step, 10)) for step in range(40)]
    assert turns == [0] * 10 + [1] * 10 + [0] * 10 + [1] * 10


# Learning.


@pytest.mark.parametrize(
    ("name", "learns", "moving"),
    [("convnet2_w8", "head", {"classifier.weight", "classifier.bias"}),
     ("mlp", "all", None), ("lstm2_w8", "embedding", {"words.weight"}),
     ("bert_mini", "head", {"classifier.weight", "classifier.bias"}),
     ("bert_mini", "embedding", {"encoder.embeddings.word_embeddings.weight"})],
)  # fmt: skip
@pytest.mark.parametrize("alone", [True, False])
def test_of_a_peer_only_the_part_that_learns_moves_and_all_of_it_is_matched(
    name: str, learns: Any, moving: set[str] | None, alone: bool
) -> None:
    data = texts() if name in ("lstm2_w8", "bert_mini") else problem()
    batch = data.batch(range(6))
    peers = cohort(name, data=data, learns=learns, lr=0.1)
    (before,) = weights(peers)
    peer = peers.peers[0]
    if alone:
        peer.learn(batch)
    else:
        peers.learn([batch], None)
    now = dict(peer.backbone.named_parameters())
    moved = {key for key, one in now.items() if not torch.equal(one, before[key])}
    assert moved == (set(now) if moving is None else moving)
    assert len(peer.parameters) == len(now), "gradients are matched in all of them"
    assert all(one.grad is None for one in now.values())


@pytest.mark.parametrize(
    ("name", "learns", "kept"),
    [("lstm2_w8", "embedding", {"words.weight"}),
     ("lstm2_w8", "all", {"classifier.weight", "classifier.bias"}),
     ("bert_mini", "head", {"classifier.weight", "classifier.bias"})],
)  # fmt: skip
def test_a_restart_that_keeps_keeps_the_head_or_the_word_vectors_that_alone_learn(
    name: str, learns: Any, kept: set[str]
) -> None:
    for keep in (True, False):
        peers = cohort(name, data=texts(), learns=learns, lr=0.1)
        peers.learn([texts().batch(range(6))], None)
        (before,) = weights(peers)
        peers.restart(Streams(0), 5, keep)
        (after,) = weights(peers)
        drawn = {key for key in before if before[key].ndim > 1 or key in kept}
        still = {key for key in drawn if torch.equal(before[key], after[key])}
        assert still == (kept if keep else set())


def test_a_part_that_a_network_has_not_is_told_in_one_line() -> None:
    with pytest.raises(UsageError, match="ConvNet does not say .* word vectors: name them"):
        cohort("convnet2_w8", learns="embedding")
    with pytest.raises(UsageError, match="unknown part of a network 'hed'.*head"):
        cohort("convnet2_w8", learns="hed")


def test_without_an_alignment_each_peer_learns_as_if_it_were_alone() -> None:
    batches = [noise_batch(4), noise_batch(6)]
    together = cohort("convnet2_w8", "mlp", lr=0.1)
    told = together.learn(batches, None)
    for index, peer in enumerate(cohort("convnet2_w8", "mlp", lr=0.1)):
        losses = [peer.learn(batch)[0] for batch in batches]
        assert told[index] == pytest.approx(sum(losses) / 2, rel=1e-5)
        for one, other in zip(peer.parameters, together.peers[index].parameters, strict=True):
            torch.testing.assert_close(one, other)


def test_with_an_alignment_one_step_descends_all_cross_entropies_plus_the_agreement() -> None:
    peers, batch = cohort("convnet2_w8", "mlp", lr=0.1), noise_batch()
    aligning = alignment_of(peers, batch)
    readings = [peer.backbone.read(batch) for peer in peers]
    total = sum(cross_entropy(reading.logits, batch.y) for reading in readings)
    total = total + aligning([reading.taps for reading in readings])
    parameters = [p for peer in peers for p in peer.parameters]
    gradients = torch.autograd.grad(total, parameters)  # type: ignore[arg-type]
    expected = [p.detach() - 0.1 * one for p, one in zip(parameters, gradients, strict=True)]
    peers.learn([batch], aligning)
    for parameter, wanted in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), wanted)


@pytest.mark.parametrize("names", [PEERS[:2], PEERS])
def test_peers_learn_while_the_alignment_stands_still_and_the_reverse(names: Any) -> None:
    peers, batch = cohort(*names, lr=0.1), noise_batch()
    aligning = alignment_of(peers, batch)
    before, maps = weights(peers), [p.clone() for p in aligning.parameters()]
    told = peers.learn([batch], aligning)
    assert len(told) == len(names) and same(weights(peers), before) == [False] * len(names)
    assert all(torch.equal(a, b) for a, b in zip(aligning.parameters(), maps, strict=True))
    everything = [*aligning.parameters(), *(p for peer in peers for p in peer.parameters)]
    assert all(parameter.grad is None for parameter in everything), "no gradient is left behind"

    before = weights(peers)
    moving = torch.optim.SGD(aligning.parameters(), lr=0.1)
    agreement = align(peers, aligning, moving, [batch] * 3)
    assert same(weights(peers), before) == [True] * len(names)
    assert not any(torch.equal(a, b) for a, b in zip(aligning.parameters(), maps, strict=True))
    with torch.no_grad():
        assert float(aligning(peers.taps(batch))) < agreement
    assert all(parameter.grad is None for parameter in everything)


def test_no_batches_teach_nothing() -> None:
    peers = cohort("mlp", "convnet2_w8")
    before = weights(peers)
    assert peers.learn([], None) == [0.0, 0.0]
    assert same(weights(peers), before) == [True, True]


def test_a_peer_says_its_loss_and_how_many_it_had_right_before_the_step() -> None:
    peer, batch = cohort("mlp", lr=0.1).peers[0], noise_batch(6)
    logits = peer.backbone(batch.x).detach()
    loss, right = peer.learn(batch)
    assert loss == pytest.approx(float(cross_entropy(logits, batch.y)), rel=1e-5)
    assert right == sum(int(row.argmax()) == int(y) for row, y in zip(logits, batch.y, strict=True))
    assert peer.learn(batch)[0] < loss


# Dropout.


class Dropping(nn.Module):
    """A user's network that drops all it can."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Sequential(nn.Conv2d(1, 8, 2, stride=2), nn.Dropout2d(0.5))
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
        self.recurrent = nn.LSTM(8, 8, num_layers=2, dropout=0.5, batch_first=True)
        self.deep = torchvision.ops.StochasticDepth(0.5, "row")
        self.path = timm.layers.DropPath(0.5)
        self.final = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.convolution(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.deep(self.attention(tokens, tokens, tokens)[0])
        return self.final((tokens + self.path(self.recurrent(tokens)[0])).mean(1))


PARTS = {
    "layers": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Dropout(0.5)),
    "everything": Dropping,
}


@pytest.mark.parametrize("name", PARTS)
def test_dropout_is_still_so_that_one_sample_always_meets_the_same_network(name: str) -> None:
    module, x = PARTS[name](), noise_batch().x
    assert isinstance(x, Tensor)
    module.train()
    assert not torch.equal(module(x), module(x)), "it does drop before"
    still_dropout(module)
    assert torch.equal(module(x), module(x))


def test_a_cohort_stills_the_networks_of_users_and_leaves_them_in_training_mode() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5),
            nn.Flatten(), nn.Linear(4 * 36, 3),
        )  # fmt: skip

    modules: dict[str, Callable[[], nn.Module]] = {"mine": factory}
    peers = cohort("mine", modules=modules)
    network = peers.peers[0].backbone
    assert network.training
    x = noise_batch().x
    for step in (1, 2):
        assert torch.equal(network(x), network(x))
        peers.restart(Streams(0), step)


# What a checkpoint and a setting say.


def test_loading_brings_back_weights_and_optimisers_in_place() -> None:
    peers = cohort("mlp", "resnet_mini", optimiser="sgd", lr=0.1, momentum=0.9)
    peers.learn([noise_batch()], None)
    saved = copy.deepcopy(peers.tensors())  # as a file would hold it
    other = cohort("mlp", "resnet_mini", optimiser="sgd", lr=0.1, momentum=0.9, seed=8)
    held = [id(p) for peer in other for p in peer.parameters]
    other.load(saved)
    assert [id(p) for peer in other for p in peer.parameters] == held
    for both in (peers, other):
        both.learn([noise_batch(6)], None)
    assert same(weights(peers), weights(other)) == [True, True]


@pytest.mark.parametrize(
    ("spec", "kind", "values"),
    [
        (PeerSpec("x", lr=0.3, momentum=0.9, weight_decay=0.1), torch.optim.SGD,
         {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.1}),
        (PeerSpec("x", optimiser="adamw", lr=0.2, weight_decay=0.3), torch.optim.AdamW,
         {"lr": 0.2, "weight_decay": 0.3}),
    ],
)  # fmt: skip
def test_an_optimiser_is_the_one_that_its_setting_names(
    spec: PeerSpec, kind: type, values: dict[str, float]
) -> None:
    made = make_optimiser(spec, nn.Linear(2, 2).parameters())
    assert type(made) is kind
    assert {name: made.param_groups[0][name] for name in values} == values


def test_at_least_one_peer_is_needed() -> None:
    with pytest.raises(ValueError, match="at least one peer"):
        cohort(data=problem())
