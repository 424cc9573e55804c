"""Agreement of unlike networks: tokens, folding, and the mean over pairs, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from condensery.core.alignment import Alignment, PairAlignment, Taps, resize
from condensery.types import Tap
from core.made import generator, normal, taps

FOLDS = ["average", "distribute"]
CNN, VIT = taps((6, 8, 8), (8, 4, 4)), taps((5, 3, 3), (5, 3, 3), (7, 3, 3), seed=1)


def pair(first: Taps, second: Taps, fold: Any = "average", seed: int = 0) -> PairAlignment:
    """A pair whose matrix is not zero."""
    torch.manual_seed(seed)
    made = PairAlignment(first, second, fold)
    nn.init.normal_(made.matrix)
    return made


def naive(made: PairAlignment, first: Taps, second: Taps) -> float:
    """The agreement of the paper, position by position."""
    both = []
    for one, maps in ((first, made.first), (second, made.second)):
        depths = []
        for tap, affine in zip(one, maps, strict=True):
            grid = F.interpolate(tap.spatial, made.grid, mode="bilinear", align_corners=True)
            places = [tap.semantic]
            places += [grid[:, :, i, j] for i in range(made.grid[0]) for j in range(made.grid[1])]
            depths.append([place @ affine.weight.T + affine.bias for place in places])
        both.append(depths)
    left, right = both
    scores = made.matrix.tolist()
    folded_first = len(left) >= len(right)
    source, target = (left, right) if folded_first else (right, left)
    total, count = 0.0, 0
    for t in range(len(target)):
        for token in range(len(target[0])):
            mixed: Tensor | float = 0.0
            for s in range(len(source)):
                raw = [
                    [scores[a][b] if folded_first else scores[b][a] for b in range(len(target))]
                    for a in range(len(source))
                ]
                over = (
                    [raw[a][t] for a in range(len(source))]
                    if made.fold == "average"
                    else [raw[s][b] for b in range(len(target))]
                )
                share = np.exp(raw[s][t]) / np.exp(over).sum()
                mixed = mixed + share * source[s][token]
            gap = (mixed - target[t][token]).square()
            total, count = total + float(gap.sum().detach()), count + gap.numel()
    return total / count


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("order", ["shallow first", "deep first", "as deep"])
def test_the_agreement_equals_the_paper_position_by_position(fold: Any, order: str) -> None:
    first, second = {
        "shallow first": (CNN, VIT), "deep first": (VIT, CNN), "as deep": (CNN, VIT[1:]),
    }[order]  # fmt: skip
    made = pair(first, second, fold)
    assert float(made(first, second).detach()) == pytest.approx(
        naive(made, first, second), rel=1e-4
    )


SIZES = {
    "ConvNet + ViT-T": ([(128, 32, 32), (128, 16, 16), (128, 8, 8), (128, 4, 4)],
                        [(192, 14, 14)] * 12, (4, 1 + 16, 128)),
    "ResNet18 + ViT-T": ([(64, 56, 56), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)],
                         [(192, 14, 14)] * 12, (5, 1 + 49, 64)),
    "ResNet50 + ViT-T": ([(64, 56, 56), (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)],
                         [(192, 14, 14)] * 12, (5, 1 + 49, 64)),
    "ViT-T + ViT-S": ([(192, 14, 14)] * 12, [(384, 14, 14)] * 12, (12, 1 + 196, 192)),
    "AudioCNN + HuBERT": ([(32, 3999), (32, 3999), (64, 285), (64, 285), (128, 27), (128, 27)],
                          [(768, 249)] * 12, (6, 1 + 27, 32)),
    "LSTM + BERT": ([(128, 64)] * 6, [(768, 63)] * 12, (6, 1 + 63, 128)),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_tokens_have_the_depths_positions_and_width_of_the_papers_pairs(name: str) -> None:
    one, other, (depths, tokens, width) = SIZES[name]
    first, second = taps(*one, batch=2), taps(*other, batch=2, seed=1)
    made = PairAlignment(first, second)
    with torch.no_grad():
        left, right = made.tokens(first, made.first), made.tokens(second, made.second)
        assert left.shape == (2, len(one), tokens, width)
        assert right.shape == (2, len(other), tokens, width)
        assert made.folding().shape == (depths, max(len(one), len(other)))
        assert made(first, second).shape == ()
    sizes = [(affine.in_features, affine.out_features) for affine in made.second]
    assert sizes == [(shape[0], width) for shape in other]


@settings(max_examples=30, deadline=None)
@given(first=st.integers(1, 6), second=st.integers(1, 6), fold=st.sampled_from(FOLDS))
def test_each_target_is_a_mean_of_sources_or_each_source_spreads_one_unit(
    first: int, second: int, fold: Any
) -> None:
    made = pair(taps(*[(2, 2, 2)] * first), taps(*[(2, 2, 2)] * second), fold)
    folding = made.folding().detach()
    assert folding.shape == (min(first, second), max(first, second)), "the deeper is folded"
    sums = folding.sum(1 if fold == "average" else 0)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    nn.init.zeros_(made.matrix)
    even = 1 / max(first, second) if fold == "average" else 1 / min(first, second)
    torch.testing.assert_close(made.folding().detach(), torch.full_like(folding, even))


def test_as_released_twelve_sources_give_each_of_four_targets_three_units() -> None:
    made = PairAlignment(taps(*[(2, 2, 2)] * 4), taps(*[(2, 2, 2)] * 12), "distribute")
    torch.testing.assert_close(made.folding().detach().sum(1), torch.full((4,), 3.0))


def test_of_two_equally_deep_networks_the_first_is_folded() -> None:
    first, second = taps((4, 2, 2), (4, 2, 2)), taps((4, 2, 2), (4, 2, 2), seed=1)
    made = PairAlignment(first, second)
    with torch.no_grad():
        made.matrix.copy_(torch.tensor([[0.0, 1e4], [0.0, 1e4]]))  # both sources to target 1 ...
        left, right = made.tokens(first, made.first), made.tokens(second, made.second)
        # ... whose rows over sources are even, so target 0 and 1 are means of the first network.
        folded = torch.einsum("ts,bsnw->btnw", made.folding(), left)
        expected = (folded - right).square().mean()
        torch.testing.assert_close(made(first, second), expected)
        torch.testing.assert_close(folded[:, 0], left.mean(1))


@pytest.mark.parametrize("fold", FOLDS)
def test_identical_networks_with_shared_maps_and_depth_on_depth_agree_completely(fold: Any) -> None:
    made = pair(CNN, CNN, fold)
    made.second.load_state_dict(made.first.state_dict())
    with torch.no_grad():
        made.matrix.copy_(1e4 * torch.eye(2))
    assert float(made(CNN, CNN).detach()) == 0
    assert float(made(CNN, taps((6, 8, 8), (8, 4, 4), seed=3)).detach()) > 0.01


def test_on_constant_maps_the_semantic_token_equals_every_spatial_token() -> None:
    values = [normal(3, 6), normal(3, 8, seed=1)]
    flat = tuple(
        Tap(value[:, :, None, None].expand(-1, -1, side, side), value)
        for value, side in zip(values, (9, 5), strict=True)
    )
    made = PairAlignment(flat, VIT)
    tokens = made.tokens(flat, made.first).detach()
    torch.testing.assert_close(tokens, tokens[:, :, :1].expand_as(tokens), atol=1e-5, rtol=0)


def test_one_affine_map_serves_what_and_where_of_a_depth() -> None:
    made = PairAlignment(CNN, VIT)
    assert [len(made.first), len(made.second)] == [len(CNN), len(VIT)]
    tokens = made.tokens(CNN, made.first)
    for depth, (tap, affine) in enumerate(zip(CNN, made.first, strict=True)):
        torch.testing.assert_close(tokens[:, depth, 0], affine(tap.semantic))
        if tap.spatial.shape[2:] == made.grid:
            torch.testing.assert_close(tokens[:, depth, 2], affine(tap.spatial[:, :, 0, 1]))


@settings(max_examples=30, deadline=None)
@given(length=st.integers(2, 12), target=st.integers(2, 12))
def test_a_sequence_is_resized_linearly_with_fixed_ends(length: int, target: int) -> None:
    x = normal(1, 1, length, dtype=torch.float64)
    by_hand = np.interp(np.linspace(0, length - 1, target), np.arange(length), x[0, 0].numpy())
    resized = resize(x, (target,))
    np.testing.assert_allclose(resized[0, 0].numpy(), by_hand, atol=1e-9)
    assert resized[0, 0, 0] == x[0, 0, 0]
    assert float(resized[0, 0, -1]) == pytest.approx(float(x[0, 0, -1]))


def test_a_map_keeps_its_corners_and_one_position_is_its_mean() -> None:
    x = normal(2, 3, 7, 5)
    small = resize(x, (3, 4))
    for row in (0, -1):
        for column in (0, -1):
            torch.testing.assert_close(small[..., row, column], x[..., row, column])
    torch.testing.assert_close(resize(x, (1, 1))[..., 0, 0], x.mean((2, 3)))
    assert resize(x, (7, 5)) is x


def test_doubling_the_batch_changes_neither_agreement_nor_gradients() -> None:
    def told(times: int) -> list[Tensor]:
        made = pair(CNN, VIT)
        many = [
            [Tap(*(part.repeat(times, *[1] * (part.ndim - 1)) for part in tap)) for tap in one]
            for one in (CNN, VIT)
        ]
        loss = made(*many)
        return [loss.detach(), *torch.autograd.grad(loss, list(made.parameters()))]

    for once, twice in zip(told(1), told(2), strict=True):
        torch.testing.assert_close(once, twice, rtol=1e-4, atol=1e-6)


def test_the_agreement_pulls_on_both_networks_and_on_every_map() -> None:
    parts = [[part.clone().requires_grad_() for tap in one for part in tap] for one in (CNN, VIT)]
    first, second = (
        [Tap(*one[index : index + 2]) for index in range(0, len(one), 2)] for one in parts
    )
    made = pair(first, second)
    found = torch.autograd.grad(made(first, second), [*parts[0], *parts[1], *made.parameters()])
    assert all(float(gradient.abs().max()) > 0 for gradient in found)


def test_swapping_two_networks_of_unlike_depth_changes_nothing() -> None:
    one, other = pair(CNN, VIT), pair(VIT, CNN)
    with torch.no_grad():
        other.first.load_state_dict(one.second.state_dict())
        other.second.load_state_dict(one.first.state_dict())
        other.matrix.copy_(one.matrix.T)
    torch.testing.assert_close(one(CNN, VIT), other(VIT, CNN))


# Any number of networks.

THREE = [CNN, VIT, taps((9, 2, 2), seed=2)]


def test_the_agreement_of_three_is_the_mean_over_unordered_pairs() -> None:
    made = Alignment(THREE, generator())
    assert made.pairs == [(0, 1), (0, 2), (1, 2)]
    single = [one(THREE[i], THREE[j]) for (i, j), one in zip(made.pairs, made.maps, strict=True)]
    torch.testing.assert_close(made(THREE), sum(single) / 3)
    assert [(one.grid, one.width) for one in made.maps] == [((3, 3), 5), ((2, 2), 6), ((2, 2), 5)]


def test_the_agreement_of_two_is_the_papers() -> None:
    made = Alignment([CNN, VIT], generator())
    torch.testing.assert_close(made([CNN, VIT]), made.maps[0](CNN, VIT))


@pytest.mark.parametrize("fold", FOLDS)
def test_a_restart_redraws_in_place_what_building_draws_from_the_same_stream(fold: Any) -> None:
    before = torch.get_rng_state()
    made, fresh = Alignment(THREE, generator(1), fold), Alignment(THREE, generator(2), fold)
    held = {id(parameter) for parameter in made.parameters()}
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1)
    made.restart(generator(2))
    assert {id(parameter) for parameter in made.parameters()} == held
    for one, other in zip(made.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, other)
    assert all(not one.matrix.any() for one in made.maps)
    made.restart(generator(3))
    assert not torch.equal(made.maps[0].first[0].weight, fresh.maps[0].first[0].weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_fewer_than_two_networks_or_one_without_taps_cannot_be_aligned() -> None:
    with pytest.raises(ValueError, match="at least two networks"):
        Alignment([CNN], generator())
    with pytest.raises(ValueError, match="network 1 has no taps.*align=False"):
        Alignment([CNN, ()], generator())
