"""Selections: sets that are not optimised. The rows that every condensed set must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from condensery.core.starts import STARTS
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.methods.base import Context, Info, Method, State
from condensery.modality import Codec


@dataclass(frozen=True)
class Selection(Method):
    """What is chosen once and stays as it is.

    Attributes:
        factor: tiles per side of a stored image, parts of a stored clip, tokens a position of a
            stored text; 1 packs nothing.
    """

    start_from: ClassVar[str]
    factor: int = 1

    def codec(self, problem: Problem) -> Codec:
        """The modality's own, packed where ``factor`` says so."""
        return problem.modality.codec(self.factor)

    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """The selection itself."""
        streams = context.streams.child("start")
        return STARTS[self.start_from](problem, per_class, self.codec(problem), streams)

    def init(self, problem: Problem, start: SyntheticSet, context: Context) -> State:
        """Nothing but the set."""
        return State(start.clone())

    def step(self, state: State, problem: Problem, context: Context) -> Info:
        """Counts; a selection does not move."""
        state.step += 1
        return Info({})


@dataclass(frozen=True)
class Random(Selection):
    """Real samples drawn without replacement."""

    title: ClassVar[str] = "Random"
    paper: ClassVar[str] = "baseline"
    start_from: ClassVar[str] = "random"


@dataclass(frozen=True)
class KMeans(Selection):
    """The real samples nearest to the k-means centres of their class's pixels (bags of words)."""

    title: ClassVar[str] = "k-means"
    paper: ClassVar[str] = "baseline"
    start_from: ClassVar[str] = "kmeans"


@dataclass(frozen=True)
class Mean(Selection):
    """Class means; with several per class, k-means centres. Synthetic, though not optimised."""

    title: ClassVar[str] = "class means"
    modalities: ClassVar[tuple[str, ...]] = ("image", "audio")
    paper: ClassVar[str] = "baseline"
    start_from: ClassVar[str] = "mean"


@dataclass(frozen=True)
class NaiveBayes(Selection):
    """The tokens whose odds tell their class best, as soft texts made by hand. Text only."""

    title: ClassVar[str] = "naive Bayes tokens"
    paper: ClassVar[str] = "baseline"
    modalities: ClassVar[tuple[str, ...]] = ("text",)
    start_from: ClassVar[str] = "odds"
