"""Continual learning with condensed memory: classes arrive in stages, only their memory stays.

At each stage the training data of its classes alone are there; they are condensed, and later only
that memory is. After a stage a network learns from all memories so far and is tested on all classes
seen: a fresh one, or the one of the stage before (``continued``). Beside it stand real samples of
equal stored bytes, and all real data as the ceiling. The protocol of Zhao and Bilen's experiments
(DM, WACV 2023, section 4.3), with last-epoch accuracy and the class order as replicate.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from condensery import api, models
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError, unknown
from condensery.evaluate import BASELINES, name_of, recipe_from, shorten
from condensery.evaluate.baselines import WHOLE, plain_codec, whole_data
from condensery.evaluate.grid import cell_streams
from condensery.evaluate.recipes import Recipe
from condensery.evaluate.train import TestSamples, family_of, tested, train_network
from condensery.models import PeerSpec
from condensery.models.backbone import Backbone
from condensery.records import circumstances
from condensery.streams import Streams
from condensery.study.continued import check_growth, continue_network, keep_weights, with_weights
from condensery.study.memory import Memories, check_budget

FILE = "continual.jsonl"
Tell = Callable[[str], object]
Line = dict[str, Any]
Ceiling = Literal["every", "last", "none"]
Budget = Literal["class", "total"]


@dataclass(frozen=True)
class Continual:
    """What is run.

    Attributes:
        stages: in which the classes arrive. per_class: stored samples of each.
        method, preset, steps: what condenses a stage. orders: seeds of class orders: replicates.
        network, recipe, epochs, updates: what learns from the memory after each stage.
        seeds: evaluation seeds. rows: memories of real samples of equal bytes.
        ceiling: after which stages a row learns, always anew, from all real data of the classes
            seen.
        warm: the network goes on from stage to stage, its head grown (``continued``), instead of
            beginning anew; the first stage is the same.
        budget: ``class``: each class keeps its memory; ``total``: all classes share the bytes that
            they hold together in the end, so that the first ones have more, and shrink.
    """

    stages: int = 5
    per_class: int = 20
    method: str = "dm"
    preset: str | None = "small"
    steps: int | None = None
    orders: tuple[int, ...] = (0, 1, 2)
    network: PeerSpec = PeerSpec("convnet3")
    recipe: str = "dsa"
    epochs: int | None = None
    updates: int | None = None
    seeds: tuple[int, ...] = (0,)
    rows: tuple[str, ...] = ("random", "herding", "kmeans")
    ceiling: Ceiling = "every"
    warm: bool = False
    budget: Budget = "class"


CONTINUAL: dict[str, Continual] = {
    # Sizes by the number of samples that are looked at; not measured where nothing is said.
    "paper": Continual(per_class=20, preset="paper", orders=(0, 1, 2, 3, 4), seeds=(0, 1, 2)),
    "small": Continual(per_class=10, steps=200, network=PeerSpec("convnet_mini"), recipe="quick",
                       epochs=50),
    "tiny20": Continual(per_class=10, steps=200, network=PeerSpec("convnet_mini"), recipe="quick",
                        epochs=50),
    "smoke": Continual(per_class=1, preset="smoke", orders=(0,), network=PeerSpec("mlp"),
                       recipe="quick", updates=3, ceiling="none"),
}  # fmt: skip


def class_order(classes: int, seed: int) -> list[int]:
    """The order in which classes arrive, as the field draws it: NumPy's legacy generator."""
    return [int(label) for label in np.random.RandomState(seed).permutation(classes)]


def blocks(order: Sequence[int], stages: int) -> list[list[int]]:
    """Classes of each stage; the first stages get one more where they do not divide evenly.

    Raises:
        UsageError: more stages than classes, or fewer than 1.
    """
    if not 1 <= stages <= len(order):
        raise UsageError(f"{len(order)} classes arrive in 1 to {len(order)} stages; got {stages}")
    return [[int(label) for label in part] for part in np.array_split(np.array(order), stages)]


def joined(parts: Sequence[SyntheticSet]) -> SyntheticSet:
    """One set of several, the classes of each after those of the one before."""
    first, offset, labels = parts[0], 0, []
    for part in parts:
        labels.append(part.labels + offset)
        offset += part.classes
    stored = {name: torch.cat([part.stored[name] for part in parts]) for name in first.stored}
    names = tuple(name for part in parts for name in part.label_names)
    return dataclasses.replace(first, stored=stored, labels=torch.cat(labels), label_names=names)


def run(problem: Problem, what: Continual, out: Path, tell: Tell = print) -> list[Line]:
    """All orders and stages; what stands in ``out`` already is not done again.

    Args:
        problem: the data. what: see ``Continual``.
        out: run directories of the stages, and ``continual.jsonl``, a line for each training.
        tell: called with a line for each stage.

    Returns:
        The lines: order, stage, row, seed, accuracy of all classes seen, ``by_stage`` (accuracy on
        the classes of each stage), bytes, lengths, seconds, circumstances.

    Raises:
        UsageError: settings that cannot be; a network whose weights may know later classes.
    """
    _check(problem, what)
    found = {_key(one): one for one in read(out / FILE)}
    lines = []
    for order in what.orders:
        arriving = blocks(class_order(problem.classes, order), what.stages)
        memories = Memories(problem, what, order)
        for number in range(1, what.stages + 1):
            stage = Stage(problem, what, order, arriving[:number], out / f"order{order}")
            memories.add(problem.only(arriving[number - 1]), arriving[number - 1], stage.place)
            own = []
            for line in _trained(stage, memories, found):
                if _key(line) not in found:
                    _append(out / FILE, line)
                    found[_key(line)] = line
                own.append(line)
            stage.forget(own)
            lines += own
            tell(f"order {order}, stage {number} of {what.stages}: {_told(own)}")
    return lines


@dataclass(frozen=True)
class Stage:
    """A moment of one order: what was seen until then, where it is kept.

    Attributes:
        problem: all data. what: is run. order: seed of the order. seen: classes, stage by stage.
        home: the directory of the order.
    """

    problem: Problem
    what: Continual
    order: int
    seen: Sequence[Sequence[int]]
    home: Path

    @property
    def number(self) -> int:
        """Of the stage, counted from 1."""
        return len(self.seen)

    @property
    def last(self) -> bool:
        """Whether no class is left to come."""
        return self.number == self.what.stages

    @property
    def place(self) -> Path:
        """The directory of the stage."""
        return self.home / f"stage{self.number}"

    @property
    def labels(self) -> list[int]:
        """Classes seen, in the order in which they came."""
        return [label for block in self.seen for label in block]

    def streams(self, seed: int, recipe: str) -> Streams:
        """A stage begins with weights of its own; rows of one stage with equal ones.

        Where there is one stage it is an ordinary evaluation, to the bit.
        """
        if self.what.stages == 1:
            return cell_streams(seed, name_of(self.what.network), recipe)
        return Streams(seed).child("continual", self.order, self.number)

    def before(self) -> Stage:
        """The stage before this one."""
        return dataclasses.replace(self, seen=self.seen[:-1])

    def network(self, row: str, seed: int) -> Path:
        """Where the network is kept that the next stage goes on from."""
        name = f"{row} seed {seed} {_asked(self.problem, self.what)}.safetensors"
        return self.place / "networks" / name

    def forget(self, lines: Sequence[Line]) -> None:
        """Networks of the stage before, from which nothing goes on any more, are removed."""
        if self.what.warm and self.number > 1:
            for line in lines:
                self.before().network(line["row"], line["seed"]).unlink(missing_ok=True)


def _trained(
    stage: Stage, memories: Memories, found: Mapping[tuple[Any, ...], Line]
) -> Iterator[Line]:
    """One line for each memory and seed after a stage."""
    what = stage.what
    part = stage.problem.only(stage.labels)
    samples, asked = TestSamples(part), _asked(stage.problem, what)
    rows = {row: joined(parts) for row, parts in memories.rows.items()}
    condensed = list(rows.values())[-1]
    if what.ceiling == "every" or (what.ceiling == "last" and stage.last):
        rows[WHOLE] = whole_data(part, plain_codec(condensed))
    for row, made in rows.items():
        for seed in what.seeds:
            line = {"order": stage.order, "stage": stage.number, "row": row, "seed": seed,
                    "asked": asked}  # fmt: skip
            if _key(line) in found:
                yield found[_key(line)]
                continue
            begin = time.perf_counter()
            recipe = shorten(recipe_from(what.recipe), what.epochs, what.updates)
            if row == WHOLE and recipe.solver == "descent":
                many = len(condensed) * condensed.codec.multiplies
                recipe = recipe.on_whole_data(len(made), many)
            result = tested(_learned(stage, row, made, recipe, seed), samples)
            count = len(made) * made.codec.multiplies
            applied = recipe.for_network(what.network.name, family_of(what.network, None))
            yield line | {
                "accuracy": result.accuracy, "by_stage": by_stage(result.confusion, stage.seen),
                "classes": stage.labels, "stages": what.stages, "data": stage.problem.name,
                "network": name_of(what.network), "recipe": recipe.name, "warm": what.warm,
                "per_class": what.per_class, "total_bytes": memories.total,
                "stored_bytes": made.nbytes(), "samples": count,
                "updates": applied.length(count)[1], "seconds": time.perf_counter() - begin,
                "circumstances": circumstances(),
            }  # fmt: skip


def _learned(stage: Stage, row: str, made: SyntheticSet, recipe: Recipe, seed: int) -> Backbone:
    """A network that has learned from a memory: a fresh one, or the one of the stage before.

    The ceiling is what all data at once would give: it always begins anew.
    """
    spec, streams = stage.what.network, stage.streams(seed, recipe.name)
    if not stage.what.warm or row == WHOLE:
        return train_network(made, spec, recipe, streams)
    own = stage.network(row, seed)
    if own.is_file():  # it was trained, and the line that says so was cut short
        return with_weights(_drawn(stage, streams), own)
    if stage.number == 1:
        network = train_network(made, spec, recipe, streams)
    else:
        earlier = stage.before()
        old = with_weights(_drawn(earlier, streams), earlier.network(row, seed))
        network = continue_network(old, made, spec, recipe, streams)
    if not stage.last:
        keep_weights(network, own)
    return network


def _drawn(stage: Stage, streams: Streams) -> Backbone:
    """A network for the classes that a stage has seen, as it is drawn."""
    modality, classes = stage.problem.modality, len(stage.labels)
    return models.build(stage.what.network, modality, classes, streams("weights"))


def _told(lines: Sequence[Line]) -> str:
    """Accuracy of each row, evaluation seeds averaged."""
    rows = dict.fromkeys(line["row"] for line in lines)
    own = {row: [line["accuracy"] for line in lines if line["row"] == row] for row in rows}
    return ", ".join(f"{row} {100 * sum(values) / len(values):.1f}" for row, values in own.items())


def by_stage(confusion: Sequence[Sequence[int]], seen: Sequence[Sequence[int]]) -> list[float]:
    """Accuracy on the classes of each stage, from counts ``[true][predicted]`` in their order."""
    found, begin = [], 0
    for block in seen:
        places = range(begin, begin + len(block))
        total = sum(sum(confusion[place]) for place in places)
        found.append(sum(confusion[place][place] for place in places) / max(1, total))
        begin += len(block)
    return found


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of an earlier run; one that a kill cut short is left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _append(path: Path, line: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.read_bytes() if path.is_file() else b""
    with path.open("ab") as file:
        if whole and not whole.endswith(b"\n"):
            file.write(b"\n")
        file.write((json.dumps(line) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in ("order", "stage", "row", "seed", "asked"))


def _asked(problem: Problem, what: Continual) -> str:
    """What tells trainings of unlike settings apart; orders, seeds and rows may be added later."""
    alike = dataclasses.replace(what, orders=(), seeds=(), rows=(), ceiling="every")
    text = repr((problem.fingerprint, sorted(dataclasses.asdict(alike).items())))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _check(problem: Problem, what: Continual) -> None:
    """Say what cannot be before any time is spent."""
    first = blocks(range(problem.classes), what.stages)[0]
    for name, value, known in (("ceiling", what.ceiling, get_args(Ceiling)),
                               ("budget", what.budget, get_args(Budget))):  # fmt: skip
        if value not in known:
            raise unknown(name, value, known)
    listings = {"class order": what.orders, "evaluation seed": what.seeds, "row": what.rows}
    for name, listed in listings.items():
        if name != "row" and not listed:
            raise UsageError(f"nothing to do: give at least one {name}")
        if len(set(listed)) < len(listed):
            raise UsageError(f"a {name} is named twice in {listed}; name each once")
    _check_rows(what)
    method = api.resolve(what.method, what.preset, problem.only(first), what.per_class).method
    check_budget(what)
    _check_weights(what.network, method)
    recipe = shorten(recipe_from(what.recipe), what.epochs, what.updates)
    network = models.build(what.network, problem.modality, len(first), Streams(0)("weights"))
    if what.warm and recipe.solver != "descent":
        raise UsageError(f"{recipe.name} is solved at once, no network goes on from it: take "
                         f"another --recipe, or leave --warm away")  # fmt: skip
    if what.warm:
        check_growth(network, len(first), name_of(what.network))


def _check_rows(what: Continual) -> None:
    for row in what.rows:
        if row == WHOLE:
            raise UsageError("all data are no memory: leave full out of --rows and say after which "
                             "stages to train on them, --ceiling every|last")  # fmt: skip
        if row not in BASELINES:
            raise unknown("row", row, BASELINES)


def _check_weights(network: PeerSpec, method: Any) -> None:
    values = [getattr(method, one.name) for one in dataclasses.fields(method)]
    listed = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    for peer in (network, *listed):
        if isinstance(peer, PeerSpec) and peer.weights not in (None, "pretrained"):
            raise UsageError(
                f"{peer.name} brings weights of its own ({peer.weights}), which may have seen "
                f"classes that come later: take it from scratch, or general pretrained weights"
            )
