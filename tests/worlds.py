"""Several workers in one process, for tests: each in a thread, one running at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from condensery.world import World


class Meeting:
    """Where the workers of one world meet to sum.

    Only one worker runs at a time, and another may go on only while this one waits to sum: code
    that borrows the global generators is never interrupted in the middle.
    """

    def __init__(self, size: int) -> None:
        self.turn = threading.Lock()
        self.barrier = threading.Barrier(size, timeout=60)
        self.parts: dict[int, Tensor] = {}

    def sum(self, rank: int, tensor: Tensor) -> Tensor:
        self.parts[rank] = tensor.detach().clone()
        self._wait()
        total = torch.stack([self.parts[one] for one in sorted(self.parts)]).sum(0)
        self._wait()
        return total

    def _wait(self) -> None:
        self.turn.release()
        try:
            self.barrier.wait()
        finally:
            self.turn.acquire()


class Rank(World):
    """One of several workers."""

    def __init__(self, rank: int, size: int, meeting: Meeting) -> None:
        self.rank, self.size, self.meeting = rank, size, meeting
        self.sums = 0

    def sum(self, tensor: Tensor) -> Tensor:
        self.sums += 1
        return self.meeting.sum(self.rank, tensor)


def together(size: int, work: Callable[[World], Any]) -> list[Any]:
    """What ``work(world)`` gives on each of ``size`` workers, by rank; the first error is raised.

    All workers must sum equally often, or this fails within a minute.
    """
    meeting, found, errors = Meeting(size), {}, []
    threads_of_torch = torch.get_num_threads()

    def run(rank: int) -> None:
        with meeting.turn:
            torch.set_num_threads(threads_of_torch)
            try:
                found[rank] = work(Rank(rank, size, meeting))
            except BaseException as error:
                errors.append(error)
                meeting.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    real = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    if errors:
        raise (real or errors)[0]
    return [found[rank] for rank in range(size)]
