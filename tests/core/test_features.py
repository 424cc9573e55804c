"""Matching of features: class means, one draw for several batches, batch norms held still."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cases import images
from condensery.core.features import (
    altered_alike,
    altered_each,
    batch_norms,
    mean_gap,
    perhaps_mixed,
    steady,
)
from condensery.modality import ImageAugmentation
from condensery.models import PeerSpec, build
from condensery.streams import Streams
from condensery.types import Batch


def batch(count: int, seed: int = 0) -> Batch:
    x = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Batch(x, torch.zeros(count, dtype=torch.long))


def test_the_gap_is_the_squared_distance_of_means_over_all_entries() -> None:
    real = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    synthetic = torch.stack([real + 1, real + 3]).requires_grad_()
    gap = mean_gap(real, synthetic)
    assert float(gap.detach()) == 4 * 2.0**2
    (gradient,) = torch.autograd.grad(gap, synthetic)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 2.0))


def test_all_batches_are_altered_by_one_draw_whatever_their_sizes() -> None:
    augmentation = ImageAugmentation(choose="one")
    for seed in range(12):
        one, other = batch(3, 1), batch(5, 2)
        both = Batch(torch.cat([one.x, other.x]), torch.cat([one.y, other.y]))  # type: ignore
        first, second = altered_alike(augmentation, Streams(seed)("draw"), one, other)
        (whole,) = altered_alike(augmentation, Streams(seed)("draw"), both)
        torch.testing.assert_close(torch.cat([first.x, second.x]), whole.x)  # type: ignore


def test_learning_samples_have_parameters_of_their_own() -> None:
    augmentation = ImageAugmentation(("crop",))
    twins = Batch(batch(1).x.repeat(8, 1, 1, 1), torch.zeros(8))  # type: ignore[union-attr]
    altered = altered_each(augmentation, Streams(0)("draw"), twins).x
    assert isinstance(altered, Tensor)
    assert not all(torch.equal(altered[0], one) for one in altered)


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 0), (0.5, 100), (1.0, 200)])
def test_batches_are_mixed_as_often_as_the_chance_says(chance: float, expected: int) -> None:
    one, augmentation = batch(4), ImageAugmentation()
    mixed = [
        perhaps_mixed(augmentation, Streams(seed), one, 3, chance).y.ndim == 2
        for seed in range(200)
    ]
    assert sum(mixed) == pytest.approx(expected, abs=25 if 0 < chance < 1 else 0)


def network() -> nn.Module:
    return build(PeerSpec("resnet_mini"), images(3).modality, 3, Streams(0)("build"))


def test_held_still_a_batch_norm_reads_a_sample_the_same_whoever_stands_beside_it() -> None:
    net, reference, one = network(), batch(16, 1), batch(6, 2)
    assert isinstance(one.x, Tensor)
    with torch.no_grad(), steady(net, lambda: reference):
        torch.testing.assert_close(net(one.x)[:2], net(one.x[:2]))
        held = net(one.x)
        # The statistics are those of the reference: it reads itself as in training.
        inside = net(reference.x)
    with torch.no_grad():
        assert not torch.allclose(net(one.x)[:2], net(one.x[:2]))
        torch.testing.assert_close(inside, net(reference.x), atol=0.05, rtol=0.05)
    assert bool(held.isfinite().all())


def test_afterwards_buffers_and_modes_are_as_they_were_even_after_an_error() -> None:
    net = network()
    before = {name: value.clone() for name, value in net.named_buffers()}
    modes = [(one.training, one.momentum) for one in batch_norms(net)]
    with pytest.raises(RuntimeError, match="on the way"), steady(net, lambda: batch(8)):
        assert not any(one.training for one in batch_norms(net))
        raise RuntimeError("on the way")
    assert before.keys() and all(torch.equal(value, before[name])
                                 for name, value in net.named_buffers())  # fmt: skip
    assert [(one.training, one.momentum) for one in batch_norms(net)] == modes


def test_a_network_without_batch_norm_asks_for_no_reference() -> None:
    net = build(PeerSpec("convnet2_w8"), images(3).modality, 3, Streams(0)("build"))

    def never() -> Batch:
        raise AssertionError("asked for real samples in vain")

    with steady(net, never):
        assert net.training
