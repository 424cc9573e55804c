"""Augmentation of text, real or soft: differentiable, drawn before it is applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from condensery.errors import UsageError
from condensery.modality.base import OPERATIONS, Augmentation
from condensery.types import Tokens

TEXT = OPERATIONS["text"]


class TextDraw(NamedTuple):
    """Parameters of one application; tensors are ``(count, ...)``, or ``(1, ...)`` when shared.

    Attributes:
        shift: ``(count,)`` in [0, 1): part of the text. seed: of which positions are dropped.
        shared: the same positions of all texts. lot: seed of which tokens are drawn.
    """

    shift: Tensor
    seed: int
    shared: bool
    lot: int


@dataclass(frozen=True)
class TextAugmentation(Augmentation):
    """Alterations that leave a text about what it was about.

    The first position stays as it is: encoders read the whole text from the token there.

    Attributes:
        operations: which may act: ``token_draw`` (of the tokens of a position one is drawn by
            their weights, so that a network meets whole tokens as in real text, which this leaves
            as it is), ``token_shift`` (what leaves at the end comes in at the beginning),
            ``token_drop`` (positions at which nothing is any more).
        chance: with which a position is dropped, in [0, 1).

    Raises:
        UsageError: an operation that there is not, or a chance out of range.
    """

    operations: tuple[str, ...] = TEXT
    chance: float = 0.1

    def __post_init__(self) -> None:
        strange = [name for name in self.operations if name not in TEXT]
        if strange:
            raise UsageError(f"unknown operation {strange[0]!r} on text; known: {', '.join(TEXT)}")
        if not 0 <= self.chance < 1:
            raise UsageError(f"the chance of a dropped token lies in [0, 1); got {self.chance}")

    def draw(self, generator: torch.Generator, count: int, shared: bool = False) -> TextDraw:
        """Draw the parameters of one application."""
        shift = torch.rand(1 if shared else count, generator=generator)
        seed, lot = torch.randint(2**62, (2,), generator=generator).tolist()
        return TextDraw(shift, seed, shared, lot)

    def apply(self, draw: TextDraw, x: Tensor) -> Tensor:
        """Alter texts, ``(n, length, 2, k)`` or ``(n, length, vocabulary)``."""
        if "token_draw" in self.operations:
            x = self._drawn(draw, x)
        if "token_shift" in self.operations:
            x = self._shifted(draw, x)
        if "token_drop" in self.operations:
            x = self._dropped(draw, x)
        return x

    @staticmethod
    def _drawn(draw: TextDraw, x: Tensor) -> Tensor:
        tokens = Tokens.of(x)
        if tokens.weights.shape[2] == 1:
            return x  # real text: there is nothing to choose from
        generator = torch.Generator().manual_seed(draw.lot)
        shares = tokens.weights.detach().cumsum(2)
        whole = shares[..., -1:]
        height = torch.rand(*x.shape[:2], 1, generator=generator).to(x.device) * whole
        place = (shares <= height).sum(2, keepdim=True).clamp(max=shares.shape[2] - 1)
        drawn = torch.zeros_like(tokens.weights).scatter_(2, place, 1.0) * whole
        # The value is a whole token; the gradient is that of the weights it was drawn by
        # (straight through: Bengio, Leonard and Courville, 2013).
        return tokens._replace(weights=drawn + tokens.weights - tokens.weights.detach()).packed()

    @staticmethod
    def _shifted(draw: TextDraw, x: Tensor) -> Tensor:
        length = x.shape[1] - 1
        if length < 1:
            return x
        by = (draw.shift.to(x.device) * length).long().view(-1, 1)
        order = (torch.arange(length, device=x.device) - by) % length + 1
        order = torch.cat([torch.zeros_like(by), order], 1).expand(len(x), -1)
        rows = torch.arange(len(x), device=x.device).unsqueeze(1)
        return x[rows, order]

    def _dropped(self, draw: TextDraw, x: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(draw.seed)
        drawn = torch.rand(1 if draw.shared else len(x), x.shape[1], generator=generator)
        kept = (drawn >= self.chance).to(x)
        kept[:, 0] = 1
        tokens = Tokens.of(x)
        return tokens._replace(weights=tokens.weights * kept.unsqueeze(2)).packed()
