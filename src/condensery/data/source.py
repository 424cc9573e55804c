"""What can be asked of a data set, and what the table of contents says of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from condensery.data.problem import Problem


@dataclass(frozen=True)
class Options:
    """How a data set is to be loaded. See ``condensery.data.load_problem``."""

    data_dir: Path | None = None
    size: tuple[int, int] | None = None
    label: str | None = None
    mirror: bool | None = None
    seed: int = 0
    download: bool = True
    clip: int | tuple[int, int] | None = None  # ``size`` as it was asked for: (samples, rate)
    tokenizer: str | None = None


@dataclass(frozen=True)
class Source:
    """A built-in data set: a line of the room's table of contents.

    Attributes:
        load: gets the name, this source and the options; returns the problem, of any modality.
        description: one line.
        classes: how many.
        shape: of one sample.
        mirror: whether a mirrored sample keeps its class.
        hub: its id on the Hugging Face hub; None when no download is needed.
        config: the part of the hub's repository, where it has several.
        label: the usual column of labels; the others in ``labels`` can be asked for.
        labels: the columns of labels, each with its number of classes, where there are several.
        folders: names (patterns) under which a local copy may lie, besides its own name.
        label_names: the classes, where a copy does not tell them.
        parts: what may follow the name after a colon (``esc10:2``).
    """

    load: Callable[[str, Source, Options], Problem]
    description: str
    classes: int
    shape: tuple[int, ...]
    mirror: bool
    hub: str | None = None
    config: str | None = None
    label: str | None = None
    labels: tuple[tuple[str, int], ...] = ()
    folders: tuple[str, ...] = ()
    label_names: tuple[str, ...] | None = None
    parts: tuple[str, ...] = ()
