"""What several verbs share: help pages, flags, words that are directories, what is printed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Literal

from condensery.cli.options import Given, Option, help_lines, page_width, parse
from condensery.errors import UsageError

DEBUG = Option("--debug", "show the whole trace of an error", kind=None)
DATA_DIR = Option("--data-dir", "where local copies of data sets lie, looked into first", "DIR")
DEVICE = Option(
    "--device", "where to compute: cpu, cuda, cuda:1", "NAME", standard="a GPU if there is one"
)
PRECISION = Option(
    "--precision",
    "of testing; auto: 16 bits where this CPU is measured to be faster with them",
    "float32|bfloat16|auto",
    Literal["float32", "bfloat16", "auto"],
    "float32",
)
THREADS = Option("--threads", "CPU threads", "N", int, "as torch chooses")


@dataclass(frozen=True)
class Page:
    """A verb's help page, and what it reads.

    Attributes:
        command: ``condensery VERB``. words: what stands after it besides flags.
        about: paragraphs. options: its flags. examples: commands.
    """

    command: str
    words: str
    about: str
    options: Sequence[Option]
    examples: Sequence[str]

    def text(self) -> str:
        """The page."""
        parts = [fill(" ".join(part.split()), page_width()) for part in self.about.split("\n\n")]
        usage = f"usage: {self.command} {self.words} [flags]"
        examples = "\n".join(["examples:", *(f"  {one}" for one in self.examples)])
        return "\n\n".join([usage, *parts, "flags:\n" + help_lines(self.options), examples])

    def read(self, arguments: Sequence[str]) -> Given | None:
        """Words and flags; None after the help page was printed because it was asked for.

        Raises:
            UsageError: see ``parse``.
        """
        if {"-h", "--help"} & set(arguments):
            print(self.text())
            return None
        return parse(arguments, self.options, self.command)

    def directories(self, words: Sequence[str]) -> list[Path]:
        """The words as directories.

        Raises:
            UsageError: there is none, or one is not there.
        """
        if not words:
            raise UsageError(f"{self.command} wants a run directory: {self.examples[0]}")
        paths = [Path(word).expanduser() for word in words]
        for path in paths:
            if not path.exists():
                raise UsageError(f"there is no {path}: give a directory that `condensery condense "
                                 f"DATA --out DIR` made")  # fmt: skip
        return paths


def use_threads(count: int | None) -> None:
    """Let torch compute on so many CPU threads.

    Raises:
        UsageError: fewer than 1.
    """
    if count is None:
        return
    if count < 1:
        raise UsageError(f"--threads counts from 1; got {count}")
    import torch

    torch.set_num_threads(count)


def next_command(*words: object) -> None:
    """Say what to type next."""
    print(f"next: {shlex.join(map(str, words))}")
