"""Spatial-semantic decomposition and mutual distillation: how much unlike networks disagree.

HMDC (Moon et al., ECCV 2024, section 3). Each tap of a network is split into what is there
(semantic) and where it is (spatial); one affine map per tap brings both to a common width,
positions are resized to a common grid, and the deeper network's taps are folded onto the shallower
one's by a learned matrix. The agreement of two networks is the mean squared difference of what
results.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.streams import borrow
from condensery.types import Tap

Taps = Sequence[Tap]


class PairAlignment(nn.Module):
    """The affine maps and the layer matrix of one pair of networks.

    Args:
        first, second: taps of the two networks for any batch; only their shapes are read.
        fold: ``average``: each target is a weighted mean of the source's depths; ``distribute``:
            each source depth spreads a unit of mass over the targets (the authors' released code).
    """

    def __init__(
        self, first: Taps, second: Taps, fold: Literal["average", "distribute"] = "average"
    ) -> None:
        super().__init__()
        taps = [*first, *second]
        self.fold = fold
        self.grid = tuple(
            min(sizes) for sizes in zip(*(t.spatial.shape[2:] for t in taps), strict=True)
        )
        self.width = min(tap.semantic.shape[1] for tap in taps)
        self.first = nn.ModuleList(nn.Linear(tap.semantic.shape[1], self.width) for tap in first)
        self.second = nn.ModuleList(nn.Linear(tap.semantic.shape[1], self.width) for tap in second)
        self.matrix = nn.Parameter(torch.zeros(len(first), len(second)))

    def tokens(self, taps: Taps, maps: nn.ModuleList) -> Tensor:
        """``(batch, depths, 1 + positions, width)``: the semantic token, then the spatial ones."""
        depths = []
        for tap, affine in zip(taps, maps, strict=True):
            positions = resize(tap.spatial, self.grid).flatten(2).transpose(1, 2)
            depths.append(affine(torch.cat([tap.semantic[:, None], positions], 1)))
        return torch.stack(depths, 1)

    def folding(self) -> Tensor:
        """``(targets, sources)``: how the deeper network's taps make up the shallower one's.

        The deeper network is folded; on a tie the first. ``average``: rows sum to 1.
        ``distribute``: columns sum to 1.
        """
        matrix = self.matrix.T if len(self.first) >= len(self.second) else self.matrix
        return matrix.softmax(1 if self.fold == "average" else 0)

    def forward(self, first: Taps, second: Taps) -> Tensor:
        """Mean squared difference over batch, depths, tokens and width: a scalar."""
        left, right = self.tokens(first, self.first), self.tokens(second, self.second)
        if len(self.first) >= len(self.second):
            left = torch.einsum("ts,bsnw->btnw", self.folding(), left)
        else:
            right = torch.einsum("ts,bsnw->btnw", self.folding(), right)
        return (left - right).square().mean()


class Alignment(nn.Module):
    """Agreement of any number of networks: the mean over all unordered pairs.

    Two networks are the paper's case. Each pair has affine maps, a grid and a width of its own.

    Args:
        taps: of each network, in order, for any batch; only shapes are read.
        fold: see ``PairAlignment``.
        generator: where the affine maps' first weights come from.

    Raises:
        ValueError: fewer than two networks, or one without taps.
    """

    def __init__(
        self,
        taps: Sequence[Taps],
        generator: torch.Generator,
        fold: Literal["average", "distribute"] = "average",
    ) -> None:
        super().__init__()
        if len(taps) < 2:
            raise ValueError("an agreement needs at least two networks")
        empty = [index for index, one in enumerate(taps) if not one]
        if empty:
            raise UsageError(
                f"network {empty[0]} has no taps to align: choose one that has, or align=False"
            )
        self.pairs = list(itertools.combinations(range(len(taps)), 2))
        with borrow(generator):
            self.maps = nn.ModuleList(PairAlignment(taps[i], taps[j], fold) for i, j in self.pairs)

    def forward(self, taps: Sequence[Taps]) -> Tensor:
        """Mean agreement over pairs, a scalar; 0 when all networks say the same."""
        values = [one(taps[i], taps[j]) for (i, j), one in zip(self.pairs, self.maps, strict=True)]
        return torch.stack(values).mean()

    @torch.no_grad()
    def restart(self, generator: torch.Generator) -> None:
        """Fresh affine maps and zero matrices, in place."""
        with borrow(generator):
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    module.reset_parameters()
                elif isinstance(module, PairAlignment):
                    module.matrix.zero_()


def resize(spatial: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Features ``(batch, channels, *positions)`` on another grid, (bi)linear with fixed ends.

    A grid of one position holds the mean: with fixed ends it would be a corner.
    """
    if tuple(spatial.shape[2:]) == tuple(grid):
        return spatial
    if max(grid) == 1:
        return spatial.mean(tuple(range(2, spatial.ndim)), keepdim=True)
    mode = {1: "linear", 2: "bilinear"}[len(grid)]
    return F.interpolate(spatial, size=list(grid), mode=mode, align_corners=True)
