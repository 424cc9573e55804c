"""Continual learning with condensed memory: classes arrive in stages, only their memory stays.

At each stage the training data of its classes alone are there; they are condensed, and later only
that memory is. After a stage a fresh network learns from all memories so far and is tested on all
classes seen. Beside it stand real samples of equal stored bytes, and all real data as the ceiling.
The protocol of Zhao and Bilen's experiments (DM, WACV 2023, section 4.3), with last-epoch accuracy
and the class order as replicate.
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
from typing import Any

import numpy as np
import torch

from condensery import api
from condensery.artefact import load, save
from condensery.artefact.files import write_json
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.evaluate import baselines, name_of, recipe_from, shorten
from condensery.evaluate.baselines import plain_codec, whole_data
from condensery.evaluate.train import TestSamples, tested, train_network
from condensery.models import PeerSpec
from condensery.records import circumstances
from condensery.streams import Streams

FILE = "continual.jsonl"
Tell = Callable[[str], object]


@dataclass(frozen=True)
class Continual:
    """What is run.

    Attributes:
        stages: in which the classes arrive. per_class: stored samples of each, never fewer later.
        method, preset, steps: what condenses a stage. orders: seeds of class orders: replicates.
        network, recipe, epochs, updates: what learns from the memory, anew after each stage.
        seeds: evaluation seeds. rows: memories of real samples of equal bytes.
        ceiling: whether a row learns from all real data of the classes seen.
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
    ceiling: bool = True


CONTINUAL: dict[str, Continual] = {
    # Sizes by the number of samples that are looked at; not measured where nothing is said.
    "paper": Continual(per_class=20, preset="paper", orders=(0, 1, 2, 3, 4), seeds=(0, 1, 2)),
    "small": Continual(per_class=10, steps=200, network=PeerSpec("convnet_mini"), recipe="quick",
                       epochs=50),
    "tiny20": Continual(per_class=10, steps=200, network=PeerSpec("convnet_mini"), recipe="quick",
                        epochs=50),
    "smoke": Continual(per_class=1, preset="smoke", orders=(0,), network=PeerSpec("mlp"),
                       recipe="quick", updates=3),
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


def run(
    problem: Problem,
    what: Continual,
    out: Path,
    tell: Tell = print,
) -> list[dict[str, Any]]:
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
    asked = _asked(problem, what)
    lines = []
    for order in what.orders:
        arriving = blocks(class_order(problem.classes, order), what.stages)
        memories: dict[str, list[SyntheticSet]] = {}
        for stage, block in enumerate(arriving, start=1):
            place = out / f"order{order}" / f"stage{stage}"
            _remember(problem.only(block), what, order, block, place, memories)
            seen = arriving[:stage]
            for line in _trained(problem, what, order, seen, memories, found, asked):
                if _key(line) not in found:
                    _append(out / FILE, line)
                    found[_key(line)] = line
                lines.append(line)
            own = [one for one in lines if one["order"] == order and one["stage"] == stage]
            told = ", ".join(f"{one['row']} {100 * one['accuracy']:.1f}" for one in own)
            tell(f"order {order}, stage {stage} of {what.stages}: {told}")
    return lines


def _remember(
    part: Problem,
    what: Continual,
    order: int,
    block: Sequence[int],
    place: Path,
    memories: dict[str, list[SyntheticSet]],
) -> None:
    """The memory of a stage, from its classes alone: condensed, and real samples of equal bytes.

    Raises:
        UsageError: a memory of other settings or other data lies there.
    """
    mark = place / "memory.json"
    asked = {
        "classes": list(block), "order": order, "data": part.fingerprint, "method": what.method,
        "preset": what.preset, "steps": what.steps, "per_class": what.per_class,
    }  # fmt: skip
    there = json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else {}
    for name in asked if there else ():
        if there.get(name) != asked[name]:
            raise UsageError(f"{place} holds a memory of other settings ({name}: "
                             f"{there.get(name)!r} there, {asked[name]!r} here): choose another "
                             f"--out")  # fmt: skip
    if not there:
        api.condense(part, what.method, per_class=what.per_class, preset=what.preset,
                     steps=what.steps, seed=order, out=place, quiet=True)  # fmt: skip
    condensed = load(place)
    rows = baselines(part, [(order, condensed)], name=what.method, which=what.rows)
    for row, sets in rows.items():
        kept = place / "rows" / row
        own = sets[0][1] is condensed
        if not own and not (kept / "card.json").is_file():
            save(sets[0][1], kept)
        memories.setdefault(row, []).append(condensed if own else load(kept))
    if not there:
        write_json(mark, asked)


def _trained(
    problem: Problem,
    what: Continual,
    order: int,
    seen: Sequence[Sequence[int]],
    memories: Mapping[str, Sequence[SyntheticSet]],
    found: Mapping[tuple[Any, ...], dict[str, Any]],
    asked: str,
) -> Iterator[dict[str, Any]]:
    """One line for each memory and seed after a stage."""
    labels = [label for block in seen for label in block]
    part = problem.only(labels)
    samples = TestSamples(part)
    rows = {row: joined(parts) for row, parts in memories.items()}
    if what.ceiling:
        rows["full"] = whole_data(part, plain_codec(next(iter(rows.values()))))
    condensed = list(rows.values())[len(memories) - 1]  # the last memory: the method's own
    for row, made in rows.items():
        for seed in what.seeds:
            line = {"order": order, "stage": len(seen), "row": row, "seed": seed, "asked": asked}
            if _key(line) in found:
                yield found[_key(line)]
                continue
            begin = time.perf_counter()
            recipe = shorten(recipe_from(what.recipe), what.epochs, what.updates)
            if row == "full":
                recipe = recipe.on_whole_data(
                    len(made), len(condensed) * condensed.codec.multiplies
                )
            # A stage begins with weights of its own; rows of one stage with equal ones.
            streams = Streams(seed).child("continual", order, len(seen))
            network = train_network(made, what.network, recipe, streams)
            result = tested(network, samples)
            count = len(made) * made.codec.multiplies
            yield line | {
                "accuracy": result.accuracy, "by_stage": by_stage(result.confusion, seen),
                "classes": labels, "stages": what.stages, "data": problem.name,
                "network": name_of(what.network), "recipe": recipe.name,
                "per_class": what.per_class, "stored_bytes": made.nbytes(), "samples": count,
                "updates": recipe.length(count)[1], "seconds": time.perf_counter() - begin,
                "circumstances": circumstances(),
            }  # fmt: skip


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
    """What tells trainings of unlike settings apart; orders and seeds may be added later."""
    kept = dataclasses.asdict(dataclasses.replace(what, orders=(), seeds=(), rows=()))
    text = repr((problem.fingerprint, sorted(kept.items())))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _check(problem: Problem, what: Continual) -> None:
    first = blocks(range(problem.classes), what.stages)[0]
    method = api.resolve(what.method, what.preset, problem.only(first), what.per_class).method
    values = [getattr(method, one.name) for one in dataclasses.fields(method)]  # type: ignore[arg-type]
    listed = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    for peer in (what.network, *listed):
        if isinstance(peer, PeerSpec) and peer.weights not in (None, "pretrained"):
            raise UsageError(
                f"{peer.name} brings weights of its own ({peer.weights}), which may have seen "
                f"classes that come later: take it from scratch, or general pretrained weights"
            )
