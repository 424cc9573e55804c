"""Who else works on this run: one worker (``Solo``) unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

Item = TypeVar("Item")


class World:
    """Workers that share the classes of one run.

    Attributes:
        rank: this worker's number, from 0.
        size: how many workers there are, at least 1.
    """

    rank: int = 0
    size: int = 1

    def share(self, items: Sequence[Item]) -> list[Item]:
        """The items that fall to this worker: every ``size``-th, starting at ``rank``."""
        return list(items[self.rank :: self.size])

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of ``tensor`` over all workers, the same on each."""
        raise NotImplementedError


class Solo(World):
    """One worker: everything falls to it, and a sum is what it already holds."""

    def sum(self, tensor: Tensor) -> Tensor:
        """``tensor`` itself."""
        return tensor
