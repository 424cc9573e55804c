"""What stays of stages: condensed sets, and real samples of equal bytes beside them.

A class keeps what it has, or all classes share a fixed number of bytes; then earlier memories
shrink at each stage, by what is held alone, since their data are gone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from condensery import api
from condensery.artefact import load, save
from condensery.artefact.files import write_json
from condensery.core.sampling import representatives
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.evaluate import BASELINES, baselines
from condensery.methods import METHODS
from condensery.streams import Streams

if TYPE_CHECKING:
    from condensery.study.continual import Continual

SHRINK = ("random", "herding", "kmeans")
MARK = "memory.json"


class Memories:
    """All that is left of the stages of one order so far.

    Args:
        problem: the data; of its classes alone is taken what arrives.
        what: which memories. order: the seed of the order of classes.

    Attributes:
        rows: memories of each row, stage by stage, the method's own row last.
        total: bytes that all classes share, samples and labels; None: a class keeps its own.
    """

    def __init__(self, problem: Problem, what: Continual, order: int) -> None:
        self.what, self.order = what, order
        self.rows: dict[str, list[SyntheticSet]] = {}
        self._each = sample_bytes(problem)
        self.total = total_bytes(problem, what)

    def add(self, part: Problem, block: Sequence[int], place: Path) -> None:
        """Remember a stage; what lies at ``place`` already is not made again.

        Args:
            part: the data of its classes alone. block: these classes.
            place: the directory of the stage.

        Raises:
            UsageError: a memory of other settings or other data lies there.
        """
        count = self.what.per_class
        if self.total is not None:
            count = self._shrink(part)
        asked = self._asked(part, block, count)
        there = _read(place / MARK)
        for name in dict.fromkeys([*asked, *there]) if there else ():
            if there.get(name) != asked.get(name):
                raise UsageError(f"{place} holds a memory of other settings ({name}: "
                                 f"{there.get(name)!r} there, {asked.get(name)!r} here): choose "
                                 f"another --out")  # fmt: skip
        if not there:
            self._condense(part, count, place)
        condensed = load(place)
        made = baselines(part, [(self.order, condensed)], name=self.what.method,
                         which=self.what.rows)  # fmt: skip
        for row, sets in made.items():
            own = sets[0][1] is condensed
            if own and self.what.method in BASELINES:
                # The same name whatever stands beside it: rows may be added later.
                row = f"{self.what.method} (run)"
            held = condensed if own else _kept(sets[0][1], place / "rows" / row)
            self.rows.setdefault(row, []).append(held)
        if not there:
            write_json(place / MARK, asked)

    def _asked(self, part: Problem, block: Sequence[int], count: int) -> dict[str, object]:
        what = self.what
        asked: dict[str, object] = {
            "classes": list(block), "order": self.order, "data": part.fingerprint,
            "method": what.method, "preset": what.preset, "steps": what.steps,
            "per_class": what.per_class,
        }  # fmt: skip
        return asked if self.total is None else asked | {"total": self.total, "count": count}

    def _condense(self, part: Problem, count: int, place: Path) -> None:
        what = self.what
        steps = what.steps if METHODS[what.method].default_steps else None
        settings = {} if self.total is None else {"factor": 1}
        api.condense(part, what.method, per_class=count, preset=what.preset, settings=settings,
                     steps=steps, seed=self.order, out=place, quiet=True)  # fmt: skip

    def _shrink(self, part: Problem) -> int:
        """Make room for the classes that arrive; how many samples each of them may store."""
        assert self.total is not None
        first = next(iter(self.rows.values()), [])
        classes = part.classes + sum(one.classes for one in first)
        room = self.total // (classes * self._each)
        for row, sets in self.rows.items():
            self.rows[row] = [fewer(one, room, row.split(" ")[0], self.order) for one in sets]
        return min(room, min(len(part.of(label)) for label in part.labels))


def fewer(held: SyntheticSet, count: int, row: str, seed: int = 0) -> SyntheticSet:
    """A memory with at most ``count`` samples of each class, from what it holds alone.

    Herding and random memory keep their first ones, which are what they would have chosen; k-means
    is run again, on the samples that are held.

    Args:
        held: plain, not packed. row: which memory it is, of ``SHRINK``. seed: of the centres.
    """
    chosen: list[int] = []
    for label in range(held.classes):
        place = held.where(label)
        number = place.stop - place.start
        within = list(range(min(count, number)))
        if row == "kmeans" and number > count:
            features = held.modality.features(held.decoded(label, held.of(label)).x)
            drawn = Streams(seed)("shrink", held.label_names[label], count)
            within = sorted(representatives(features, count, drawn, distinct=True))
        chosen += [place.start + one for one in within]
    index = torch.tensor(chosen)
    stored = {name: leaf[index] for name, leaf in held.stored.items()}
    return dataclasses.replace(held, stored=stored, labels=held.labels[index])


def sample_bytes(problem: Problem) -> int:
    """Bytes of one real sample, stored whole, and of its label."""
    codec = problem.modality.codec()
    one = codec.encode(problem.samples(range(codec.holds)), problem.modality)
    return codec.nbytes(one, problem.modality) + (1 if problem.classes <= 256 else 2)


def total_bytes(problem: Problem, what: Continual) -> int | None:
    """What all classes share: as much as they hold in the end where each keeps its own."""
    if what.budget == "class":
        return None
    return problem.classes * what.per_class * sample_bytes(problem)


def check_budget(what: Continual) -> None:
    """Say which memories cannot share a fixed number of bytes.

    Raises:
        UsageError: what is condensed (or means) under a budget for all classes together.
    """
    if what.budget == "class":
        return
    for one in (what.method, *what.rows):
        if one not in SHRINK:
            raise UsageError(f"a memory of {one} cannot shrink, as a total budget asks of earlier "
                             f"stages: take {', '.join(SHRINK)}, or --budget class")  # fmt: skip


def _kept(made: SyntheticSet, place: Path) -> SyntheticSet:
    """What lies there, else this set, which then lies there."""
    if not (place / "card.json").is_file():
        save(made, place)
    return load(place)


def _read(mark: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(mark.read_text("utf-8")) if mark.is_file() else {}
    return found
