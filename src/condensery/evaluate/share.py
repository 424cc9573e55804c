"""Cells that several processes share: on one machine, and between jobs that share a directory.

A job claims a cell before it runs it, by a file that only one can make, and keeps the claim fresh
while it works. A claim whose owner died, or was not heard of for a while, is anybody's again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
BEAT, SILENCE = 5.0, 60.0  # seconds between signs of life, and after which an owner counts as dead


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
    started (threads of its own) they do not inherit.
    """
    if workers == 1:
        return Here()
    how = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(how)
    if how == "forkserver":
        context.set_forkserver_preload([begin.__module__])
    return ProcessPoolExecutor(workers, context, begin, given)


def each(
    work: Executor,
    call: Callable[[T], R],
    items: Sequence[T],
    key: Callable[[T], str],
    claims: Claims,
    known: Callable[[T], R | None],
    most: int,
) -> Iterator[tuple[int, R, bool]]:
    """Run every item once, here or in another job, as they are done.

    Args:
        work: where. call: what to do with an item. items: what there is. key: its name among jobs.
        known: the result of another job, where there is one by now.
        most: items that are under way at once.

    Yields:
        (position of the item, its result, whether it was run by this job).
    """
    ready, running = deque(range(len(items))), dict[Future[R], int]()
    elsewhere: list[int] = []
    while ready or running or elsewhere:
        while ready and len(running) < most:
            place = ready.popleft()
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
