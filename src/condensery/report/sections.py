"""Further parts of a report: what other rooms found, as tables and figures under a heading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from condensery.report.figures import Drawing
from condensery.report.gather import Gathered
from condensery.report.panels import Panel
from condensery.report.tables import Grid


@dataclass(frozen=True)
class Section:
    """A part of the page with its tables and figures.

    Attributes:
        title: heading. What stands before its first colon is its entry in the list of contents.
        lead: what the reader sees here, a sentence or two. legend: small print below.
        grids: tables; they also go to ``table.md`` and, where ``name`` is given, to ``NAME.csv``.
        drawings: figures; each is also saved as ``.png`` and ``.svg``.
        fragment: sound HTML whose maker has escaped every text in it; stands after the figures.
        open: whether the page shows it unfolded.
        name: stem of the ``.csv`` file; empty writes none.
        notes: what is missing or odd, for the page's notes.
    """

    title: str
    lead: str = ""
    grids: tuple[Grid, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    legend: str = ""
    fragment: str = ""
    open: bool = True
    name: str = ""
    notes: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """Its name in a list: without the conditions that tell it from sections like it."""
        return self.title.partition(":")[0]


@dataclass(frozen=True)
class Heading:
    """What a page is, where whoever draws it knows more of that than its records tell.

    Attributes:
        title: of the page; empty: methods and data. subtitle: what stands below it first.
        command: makes all of it again; stands before the commands of single runs.
        evaluated: whether an evaluation was meant. Where not, that there is none is no alarm.
    """

    title: str = ""
    subtitle: tuple[str, ...] = ()
    command: str = ""
    evaluated: bool = True


Maker = Callable[[Gathered, Sequence[Panel]], list[Section]]
