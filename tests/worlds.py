"""Several workers in one process, for tests: each in a thread, one running at a time."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from condensery.world import World

Result = TypeVar("Result")


class Table:
    """Where workers put what is to be summed. One works at a time: generators are global."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.turn = threading.Lock()
        self.barrier = threading.Barrier(size)
        self.parts: dict[tuple[int, int], Tensor] = {}


class Worker(World):
    """One of several threads. A sum waits until all have brought their part."""

    def __init__(self, rank: int, table: Table) -> None:
        self.rank, self.size, self.table = rank, table.size, table
        self.sums = 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The parts of all workers, added in the order of their ranks."""
        call, self.sums = self.sums, self.sums + 1
        self.table.parts[call, self.rank] = tensor.detach().clone()
        with own_generators():
            self.table.turn.release()
            try:
                self.table.barrier.wait(timeout=60)
            finally:
                self.table.turn.acquire()
        parts = [self.table.parts[call, rank] for rank in range(self.size)]
        assert len({part.shape for part in parts}) == 1, "workers sum different things"
        return torch.stack(parts).sum(0).to(tensor.dtype)


@contextlib.contextmanager
def own_generators() -> Iterator[None]:
    """The global generators are afterwards as they were, whoever draws from them meanwhile."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


def together(size: int, work: Callable[[World], Result]) -> list[Result]:
    """What ``work`` gives for each of ``size`` workers, which can sum over one another.

    All must sum equally often, or this fails within a minute. The error of a worker is raised,
    not that of the workers which waited for it in vain.
    """
    table = Table(size)

    def one(rank: int) -> Any:
        with table.turn:
            try:
                return work(Worker(rank, table))
            except BaseException:
                table.barrier.abort()  # nobody waits for one who will not come
                raise

    with ThreadPoolExecutor(size) as threads, own_generators():
        waiting = [threads.submit(one, rank) for rank in range(size)]
        errors = [error for future in waiting if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda one: isinstance(one, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in waiting]
