"""A network that is continued: what is kept of it, what is asked of it, in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from condensery import models
from condensery.core.synthetic import SyntheticSet
from condensery.errors import UsageError
from condensery.evaluate import Recipe, recipe_from, shorten
from condensery.modality import Image, Pixels
from condensery.models import PeerSpec
from condensery.models.backbone import Backbone
from condensery.streams import Streams
from condensery.study.continued import (
    Beside,
    Kept,
    check_growth,
    continue_network,
    grow,
    keep_weights,
    kept,
    with_weights,
)
from condensery.types import Batch

MODALITY = Image((1, 8, 8), (0.2,), (0.3,), mirror=False)


def network(classes: int, seed: int, name: str = "mlp") -> Backbone:
    return models.build(PeerSpec(name), MODALITY, classes, Streams(seed)("weights"))


def images(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def noise(classes: int) -> SyntheticSet:
    """Two samples of each class that tell nothing of it."""
    codec, names = Pixels(), tuple(f"class {label}" for label in range(classes))
    stored = codec.noise(2 * classes, MODALITY, torch.Generator().manual_seed(1))
    labels = torch.arange(classes).repeat_interleave(2)
    return SyntheticSet(stored, labels, MODALITY, codec, names)


def short(updates: int = 3) -> Recipe:
    return shorten(recipe_from("quick"), updates=updates)


def test_what_is_kept_is_a_softened_divergence_on_the_old_classes_alone() -> None:
    # At temperature 2 the old answer is (1/4, 3/4) and the new one (1/2, 1/2).
    old = torch.tensor([[0.0, 2 * math.log(3)], [0.0, 0.0]])
    new = torch.tensor([[1.0, 1.0, 5.0], [3.0, 3.0, -7.0]])
    first = 4 * (0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5))
    assert float(kept(old, new)) == pytest.approx(first / 2)  # the second sample lost nothing
    other_way = 4 * (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    assert float(kept(old, new)) != pytest.approx(other_way / 2)


@pytest.mark.parametrize("name", ["mlp", "convnet2_w8", "vit_mini"])
def test_a_network_that_has_only_grown_is_asked_for_its_labels_alone(name: str) -> None:
    before, grown = network(2, 0, name), network(5, 1, name)
    grow(grown, before)
    both, y = Beside(grown.eval(), before), torch.tensor([0, 1, 2, 3, 4, 2])
    loss = Kept(2).loss(both(images()), y)
    alone = F.cross_entropy(grown(images()), y)
    assert loss.item() == pytest.approx(alone.item(), abs=1e-6)
    asked = torch.autograd.grad(loss, list(both.parameters()))
    labels = torch.autograd.grad(alone, list(grown.parameters()))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(asked, labels, strict=True))


def test_one_that_has_changed_is_asked_for_what_it_said_too() -> None:
    before, other = network(2, 0), network(5, 1)
    y = torch.tensor([0, 1, 2, 3, 4, 2])
    loss = Kept(2).loss(Beside(other, before)(images()), y)
    with torch.no_grad():
        old, new = before(images()), other(images())
        p, q = (one[:, :2].div(2).softmax(1) for one in (old, new))
        expected = F.cross_entropy(new, y) + 4 * (p * (p / q).log()).sum(1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["mlp", "convnet2_w8", "vit_mini"])
def test_a_head_that_grows_keeps_old_rows_and_old_answers_bit_for_bit(name: str) -> None:
    before, grown, drawn = network(2, 0, name), network(5, 1, name), network(5, 1, name)
    grow(grown, before)
    held, fresh = before.state_dict(), drawn.state_dict()
    for part, tensor in grown.state_dict().items():
        if part in grown.head:
            assert torch.equal(tensor[:2], held[part]) and torch.equal(tensor[2:], fresh[part][2:])
        else:
            assert torch.equal(tensor, held[part])
    # Libraries multiply matrices of two and of five columns in other orders: one by one they agree.
    with torch.no_grad():
        old, new = (one.eval().read(Batch(images(), torch.zeros(6)), taps=False)
                    for one in (before, grown))  # fmt: skip
        assert torch.equal(old.embedding, new.embedding)
        assert torch.allclose(new.logits[:, :2], old.logits, atol=1e-6)
        weights = [one.state_dict()[one.head[0]] for one in (before, grown)]
        sums = [(new.embedding[:, None] * weight).sum(2) for weight in weights]
        assert torch.equal(sums[1][:, :2], sums[0])


def test_the_network_before_is_read_and_stays_as_it_was() -> None:
    before = network(2, 0)
    asked = {name: one.clone() for name, one in before.state_dict().items()}
    both = Beside(network(4, 1), before).train()
    assert not before.training and len(list(both.parameters())) == len(list(before.parameters()))
    after = continue_network(before, noise(4), PeerSpec("mlp"), short(), Streams(3))
    assert all(torch.equal(one, asked[name]) for name, one in before.state_dict().items())
    assert not torch.equal(after.state_dict()["hidden1.weight"], asked["hidden1.weight"])
    assert after(images()).shape == (6, 4) and not after.training


def test_old_classes_are_remembered_better_where_answers_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, made = network(2, 0), noise(3)
    held = continue_network(before, made, PeerSpec("mlp"), short(60), Streams(3))
    monkeypatch.setattr("condensery.study.continued.WEIGHT", 0.0)
    free = continue_network(before, made, PeerSpec("mlp"), short(60), Streams(3))
    with torch.no_grad():
        far, near = (float(kept(before(images()), one(images()))) for one in (free, held))
    assert near < far / 2


def test_a_head_that_is_not_its_classes_cannot_grow() -> None:
    whole = network(3, 0)
    check_growth(whole, 3, "mlp")
    for head in ((), ("hidden1.weight",)):
        whole.head = head
        with pytest.raises(UsageError, match=r"head of mlp cannot grow.*--warm"):
            check_growth(whole, 3, "mlp")


def test_weights_come_back_as_they_were_kept(tmp_path: Path) -> None:
    one = network(3, 0)
    keep_weights(one, tmp_path / "kept.safetensors")
    other = with_weights(network(3, 1), tmp_path / "kept.safetensors")
    held = other.state_dict()
    assert all(torch.equal(part, held[name]) for name, part in one.state_dict().items())
    with pytest.raises(UsageError, match="choose another --out"):
        with_weights(network(3, 1), tmp_path / "gone.safetensors")
