"""The values that every room of the house shares: what a network is given and what it answers."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor


class Tokens(NamedTuple):
    """Text as a network sees it: each position a weighted few of the vocabulary.

    Real text has ``k = 1`` and weight 1. With ``ids=None`` the weights run over the whole
    vocabulary, so that ``k`` is its size.
    """

    ids: Int[Tensor, "batch length k"] | None
    weights: Float[Tensor, "batch length k"]


class Batch(NamedTuple):
    """Samples and their labels.

    Attributes:
        x: data-normalised samples, ``(batch, channels, height, width)`` for images, or ``Tokens``.
        y: ``(batch,)`` class indices (int64), or ``(batch, classes)`` probabilities.
        mask: ``(batch, length)``, True where something is; None when all samples are full.
    """

    x: Tensor | Tokens
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
