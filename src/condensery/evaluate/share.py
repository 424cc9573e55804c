"""Cells that several processes share: on one machine, and between jobs that share a directory.

A job claims a cell before it runs it, by a file that only one can make, and keeps the claim fresh
while it works. A claim whose owner died, or was not heard of for a while, is anybody's again.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
BEAT, SILENCE = 5.0, 60.0  # seconds between signs of life, and after which an owner counts as dead
SLOW_IMPORTS = ("torch._dynamo", "timm", "transformers")
LAST = 4  # items of each worker, among which the longest goes first


class Claims:
    """Who runs which cell; in a directory beside the records. A context manager.

    Args:
        directory: of the claims; jobs that share it never run a cell twice at once. None: this job
            is alone.
    """

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._held: dict[str, Path] = {}
        self._left = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Claims:
        if self.directory is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._beats.start()
        return self

    def __exit__(self, *told: Any) -> None:
        self._left.set()
        for key in list(self._held):
            self.release(key)
        if self.directory is not None and self.directory.is_dir():
            # A job that was killed between a cell's record and its release left a claim that nobody
            # will ask for again.
            for path in self.directory.glob("*.json"):
                self._orphaned(path)
            # Another job's claims keep it there.
            try:
                self.directory.rmdir()
            except OSError:
                return

    def take(self, key: str) -> bool:
        """Whether this job may run the cell: nobody else does."""
        if self.directory is None:
            return True
        path = self.directory / f"{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.json"
        for _ in range(2):
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                with path.open("x", encoding="utf-8") as file:
                    json.dump({"host": socket.gethostname(), "process": os.getpid()}, file)
            except FileNotFoundError:
                continue  # another job has just left and cleared the directory away
            except FileExistsError:
                if not self._orphaned(path):
                    return False
            else:
                self._held[key] = path
                return True
        return False

    def release(self, key: str) -> None:
        """The cell is done, or given up."""
        path = self._held.pop(key, None)
        if path is not None:
            path.unlink(missing_ok=True)

    def _orphaned(self, path: Path) -> bool:
        """Whether the owner of a claim is gone; its claim is cleared away by one job alone."""
        try:
            owner = json.loads(path.read_text(encoding="utf-8"))
            silent = self._now() - path.stat().st_mtime
        except FileNotFoundError:
            return True
        except ValueError:  # being written, or cut short by a kill
            owner, silent = {}, self._now() - path.stat().st_mtime
        here = owner.get("host") == socket.gethostname()
        if not (silent > SILENCE or (here and not _lives(owner.get("process")))):
            return False
        aside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.gone")
        try:
            path.rename(aside)  # of two jobs that want it, one finds it gone
        except FileNotFoundError:
            return False
        aside.unlink(missing_ok=True)
        return True

    def _now(self) -> float:
        """The time by the clock of the file system: those of two machines may differ."""
        assert self.directory is not None
        mark = self.directory / f".{os.getpid()}.clock"
        mark.touch()
        now = mark.stat().st_mtime
        mark.unlink(missing_ok=True)
        return now

    def _beat(self) -> None:
        while not self._left.wait(BEAT):
            for path in list(self._held.values()):
                try:
                    os.utime(path)
                except FileNotFoundError:
                    continue


def _lives(process: object) -> bool:
    try:
        os.kill(int(process), 0)  # type: ignore[call-overload]
    except (ProcessLookupError, TypeError, ValueError):
        return False
    except PermissionError:
        return True
    return True


class Here(Executor):
    """Runs what it is given at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished call."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def executor(workers: int, begin: Callable[..., None], given: tuple[Any, ...]) -> Executor:
    """Processes that begin with ``begin(*given)``; with one worker this process, as it is.

    They are forked from one clean process that has imported everything once: what this process has
    started (threads of its own) they do not inherit. They end when this process does, however it
    ends; the clean process ends with the last of them.
    """
    if workers == 1:
        return Here()
    return ProcessPoolExecutor(workers, started(begin), _begin, (begin, given))


def _begin(begin: Callable[..., None], given: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*given)


def _end_with_parent() -> None:
    """Leave at once, in the middle of whatever is done, when the one that gave the work is gone.

    A worker that waits for its next item would wait for ever: it holds that pipe's other end too.
    What is waited on here is the pipe that the parent started this process by (its process id may
    be another's by then, and while nobody has fetched its exit status the dead seem to live).
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def started(begin: Callable[..., None]) -> BaseContext:
    """The clean process, which imports from now on, beside what this process does meanwhile."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    # What this process has needed the others will, and each import takes about a second.
    needed = [name for name in SLOW_IMPORTS if name in sys.modules]
    context.set_forkserver_preload([begin.__module__, *needed])
    forkserver.ensure_running()
    return context


def keep_memory() -> None:
    """Let this process keep the memory that it frees, where its C library can be told so.

    A small network's test frees some megabytes after each layer and asks for them again. Where they
    went back to the system in between, each page is cleared anew: a fifth of the time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # a system with another C library
    trim_threshold, mmap_threshold = -1, -3  # as in malloc.h
    mallopt(trim_threshold, 2**30)
    mallopt(mmap_threshold, 2**25)  # the largest that it takes


def each(
    work: Executor,
    call: Callable[[T], R],
    items: Sequence[T],
    key: Callable[[T], str],
    claims: Claims,
    known: Callable[[T], R | None],
    most: int,
    length: Callable[[T], float] = lambda _: math.inf,
) -> Iterator[tuple[int, R, bool]]:
    """Run every item once, here or in another job, as they are done.

    They begin in their order; of the last few the longest first, so that at the end no worker is
    left alone with a long one.

    Args:
        work: where. call: what to do with an item. items: what there is. key: its name among jobs.
        known: the result of another job, where there is one by now.
        most: items that are under way at once. length: seconds that an item will take, as far as
            is known by now; infinite where it is not.

    Yields:
        (position of the item, its result, whether it was run by this job).
    """
    ready, running = list(range(len(items))), dict[Future[R], int]()
    elsewhere: list[int] = []
    while ready or running or elsewhere:
        while ready and len(running) < most:
            last = most > 1 and len(ready) <= LAST * most
            place = max(ready, key=lambda one: length(items[one])) if last else ready[0]
            ready.remove(place)
            if not claims.take(key(items[place])):
                elsewhere.append(place)
                continue
            found = known(items[place])  # finished between the last look and the claim
            if found is None:
                running[work.submit(call, items[place])] = place
                continue
            claims.release(key(items[place]))
            yield place, found, False
        if running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                place = running.pop(future)
                yield place, future.result(), True
                claims.release(key(items[place]))
        elif elsewhere:
            time.sleep(1.0)
            ready.extend(elsewhere)
            elsewhere.clear()
