"""One line of progress with the time left: alive on a terminal, plain lines in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Part = Callable[[int, float], float]


class Progress:
    """Shows how far a run is. A context manager.

    Args:
        name: what runs. part: the part of the budget that is used, from step and seconds.
        quiet: show nothing. every: seconds between plain lines where there is no terminal.
        unit: what is counted. plain: lines on a terminal too, where several processes write to it.
    """

    def __init__(
        self,
        name: str,
        part: Part,
        quiet: bool = False,
        every: float = 15.0,
        unit: str = "step",
        plain: bool = False,
    ) -> None:
        self.name, self.part, self.quiet, self.every, self.unit = name, part, quiet, every, unit
        self.plain = plain
        self.bar: Any = None
        self.began: tuple[float, float] | None = None
        self.said = time.perf_counter()

    def __enter__(self) -> Self:
        if not self.quiet and not self.plain and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=1.0, left="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, step: int, seconds: float) -> None:
        """Tell where the run is, ``seconds`` after its beginning."""
        if self.quiet:
            return
        left = self.left(step, seconds)
        if self.bar is not None:
            self.bar.update(
                self.task, completed=self.part(step, seconds), left=f"{self.unit} {step}, {left}"
            )
        elif time.perf_counter() - self.said >= self.every:
            self.said = time.perf_counter()
            line = f"{self.name}: {self.unit} {step}, {seconds:.0f} s, {left}"
            print(line, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """One line of its own, above the bar where there is one."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def left(self, step: int, seconds: float) -> str:
        """The time that the rest will take at the speed of this session, in words."""
        part = self.part(step, seconds)
        if self.began is None:
            self.began = (part, seconds)
            return "measuring"
        gained, spent = part - self.began[0], seconds - self.began[1]
        if gained <= 0:
            return "measuring"
        return f"{duration((1 - part) * spent / gained)} left"


class Counted(Progress):
    """Progress of things whose number is told as they are done.

    Args:
        name: what runs. unit: what is counted. every: seconds between plain lines.
    """

    def __init__(self, name: str, unit: str, every: float = 15.0) -> None:
        super().__init__(name, lambda done, _: done / self.of, every=every, unit=unit)
        self.of, self.since = 1, time.perf_counter()

    def count(self, done: int, of: int) -> None:
        """So many are done of so many."""
        self.of = of
        self.show(done, time.perf_counter() - self.since)


def duration(seconds: float) -> str:
    """``95`` seconds as ``1:35``, ``4000`` as ``1:06:40``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    text = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{text}" if hours else text.removeprefix("0")
