"""The precision that networks are tested in: 32 bits, or 16 where they are faster here."""

from __future__ import annotations

import time
from functools import cache
from typing import Literal, get_args

import torch

from condensery.errors import unknown

Precision = Literal["float32", "bfloat16", "auto"]
WORTH = 1.5  # a product must be that much faster: one machine is to decide alike each time
SIDE, TRIES = 768, 7


def precision_from(name: str) -> torch.dtype:
    """The type that a network is tested in.

    Args:
        name: ``float32``, ``bfloat16``, or ``auto``: what this CPU was measured to be faster with.
            Some multiply bfloat16 twice to four times as fast as float32, others twenty times as
            slowly, and their names do not tell.

    Raises:
        UsageError: another name.
    """
    if name not in get_args(Precision):
        raise unknown("precision", name, get_args(Precision))
    if name == "auto":
        return torch.bfloat16 if gain() >= WORTH else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


@cache
def gain() -> float:
    """How many times faster this CPU multiplies bfloat16 than float32, on one thread.

    A product of two square matrices, the best of some tries of each in turn; some milliseconds,
    once a process.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        wide = torch.ones(SIDE, SIDE)
        narrow = wide.bfloat16()
        pairs = [(_seconds(wide), _seconds(narrow)) for _ in range(TRIES)]
    finally:
        torch.set_num_threads(threads)
    return min(one for one, _ in pairs[1:]) / min(other for _, other in pairs[1:])


def _seconds(matrix: torch.Tensor) -> float:
    begin = time.perf_counter()
    torch.mm(matrix, matrix)
    return time.perf_counter() - begin
