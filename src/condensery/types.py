"""The values that every room of the house shares: what a network is given and what it answers."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Tokens(NamedTuple):
    """Text as a network sees it: each position a weighted few of the vocabulary.

    Real text has ``k = 1`` and weight 1, and weight 0 at padding. With ``ids=None`` the weights run
    over the whole vocabulary, so that ``k`` is its size. This is a view: batches, sets and
    checkpoints hold the one tensor that ``packed`` gives, so that whatever indexes, joins, moves or
    stores samples needs to know of no second kind.
    """

    ids: Int[Tensor, "batch length k"] | None
    weights: Float[Tensor, "batch length k"]

    @classmethod
    def of(cls, x: Tensor) -> Tokens:
        """The tokens of a batch of texts.

        Args:
            x: ``(n, length, 2, k)`` with token ids (whole numbers, exact in 32 bits below
                2 ** 24) in plane 0 and their weights in plane 1; or ``(n, length, vocabulary)``.

        Raises:
            ValueError: another shape.
        """
        if x.ndim == 3:
            return cls(None, x)
        if x.ndim != 4 or x.shape[2] != 2:
            raise ValueError(f"texts are (n, length, 2, k) or (n, length, vocabulary), not "
                             f"{tuple(x.shape)}")  # fmt: skip
        return cls(x[:, :, 0].detach().long(), x[:, :, 1])

    def packed(self) -> Tensor:
        """The one tensor that ``of`` reads."""
        if self.ids is None:
            return self.weights
        return torch.stack([self.ids.to(self.weights), self.weights], 2)

    @property
    def present(self) -> Bool[Tensor, "batch length"]:
        """Where something is: not all of its weights are 0. What a network attends to."""
        return (self.weights.detach() != 0).any(2)

    def embedded(self, table: Float[Tensor, "vocabulary width"]) -> Float[Tensor, "batch length w"]:
        """Each position's weighted sum of rows of a network's own table; differentiable in both.

        Released as ``S @ embedding`` (HMDC's code for text), here the same for few tokens.
        """
        if self.ids is None:
            return self.weights @ table
        rows = functional.embedding(self.ids, table)
        return (rows * self.weights.unsqueeze(3)).sum(2)


class Batch(NamedTuple):
    """Samples and their labels.

    Attributes:
        x: data-normalised samples, ``(batch, channels, height, width)`` for images,
            ``(batch, channels, samples)`` for sound, ``(batch, length, 2, k)`` for text
            (``Tokens``).
        y: ``(batch,)`` class indices (int64), or ``(batch, classes)`` probabilities.
        mask: ``(batch, length)``, True where something is; None when all samples are full, and for
            text, whose weights say it.
    """

    x: Tensor
    y: Tensor
    mask: Tensor | None = None


class Tap(NamedTuple):
    """One depth of a network: where things are (``spatial``), and what they are (``semantic``).

    HMDC's spatial-semantic decomposition (Moon et al., ECCV 2024, section 3). The grid is
    ``(height, width)`` of a map of features, or ``(time,)`` of a sequence.
    """

    spatial: Float[Tensor, "batch channels *grid"]
    semantic: Float[Tensor, "batch channels"]


class Reading(NamedTuple):
    """What a network says of a batch. ``taps`` go from shallow to deep; empty if not asked for."""

    logits: Float[Tensor, "batch classes"]
    embedding: Float[Tensor, "batch features"]
    taps: tuple[Tap, ...]
