"""After how many trainings condensing has paid off: at equal accuracy, against k-means samples.

A training is timed until it first reaches the accuracy of the condensed set, less half a point, on
real training samples that no baseline holds (the set may have been made with them). The other side
is the k-means set, of the sizes of a ladder, on which a training gets there soonest.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condensery.artefact.files import write_json
from condensery.core.starts import kmeans_start
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem, Split
from condensery.errors import UsageError
from condensery.evaluate.baselines import plain_codec
from condensery.evaluate.recipes import Recipe
from condensery.evaluate.train import TestSamples, family_of, tested, train_network
from condensery.evaluate.usual import usual
from condensery.models.backbone import Backbone, PeerSpec
from condensery.records import circumstances
from condensery.scores import break_even, break_even_over
from condensery.streams import Streams

LADDER = (1, 2, 5, 10, 20, 50, 100, 200, 500)
KEPT_OUT, CHECKS, LESS = 1000, 50, 0.005


@dataclass(frozen=True)
class Training:
    """A training that was timed until it reached an accuracy.

    Attributes:
        row: what it was on. samples: decoded ones. stored_bytes: of the set.
        made: seconds to make the set; None where nothing says.
        trained: seconds until the accuracy was reached, without the checks; None: never.
        passes: samples seen until then. best: its best check, in [0, 1].
    """

    row: str
    samples: int
    stored_bytes: int
    made: float | None
    trained: float | None
    passes: int | None
    best: float


def costs(
    synthetic: SyntheticSet,
    problem: Problem,
    spec: PeerSpec | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    longest: float = 120.0,
) -> dict[str, Any]:
    """Seconds, bytes and the break-even of a set, on one network.

    Args:
        synthetic: the set; its card tells what condensing took. spec: the network that is trained,
            and recipe: how; None: usual ones for this kind of samples.
        seed: of the samples that are kept out, of k-means and of trainings.
        longest: the ladder is climbed until all of its trainings took so many seconds.

    Returns:
        Plain values: ``target`` accuracy, ``set`` and ``rungs`` (see ``Training``), ``against``
        (the rung that counts; None where none reaches the target), ``break_even`` in words, and
        ``whole``: whether the ladder was climbed to its end.
    """
    if spec is None or recipe is None:
        network, training = usual(synthetic.modality)
        spec, recipe = spec or network, recipe or training
    rest, checks = kept_out(problem, seed)
    streams = Streams(seed).child("cost")
    # What is done for the first time takes twice as long: neither side shall pay for that.
    _curve(synthetic, spec, dataclasses.replace(recipe, updates=2), streams, checks)
    kmeans_start(rest, 1, plain_codec(synthetic), streams.child("warm"))
    first = _curve(synthetic, spec, recipe, streams, checks)
    target = first[-1][2] - LESS
    made = synthetic.about.get("seconds")
    own = _training("set", synthetic, made, first, target)
    rungs, spent = [], 0.0
    smallest = min(len(rest.of(label)) for label in rest.labels)
    codec = plain_codec(synthetic)
    for count in (*(one for one in LADDER if one < smallest), smallest):
        begin = time.perf_counter()
        some = kmeans_start(rest, count, codec, streams.child("kmeans"))
        took = time.perf_counter() - begin
        curve = _curve(some, spec, recipe, streams, checks)
        rungs.append(_training(f"k-means, {count} per class", some, took, curve, target))
        spent += curve[-1][0] + took
        if spent > longest:
            break
    reached = [one for one in rungs if one.trained is not None]
    best = min(reached, key=lambda one: one.trained or math.inf, default=None)
    told = "not reached by k-means"
    if made is None:
        told = "unknown: the set's card does not say what condensing took"
    elif best is not None and own.trained is not None and best.trained is not None:
        assert best.made is not None
        told = break_even(float(made), own.trained, best.made, best.trained).text
    return {
        "network": spec.name, "recipe": recipe.name, "target": target, "seed": seed,
        "set": dataclasses.asdict(own), "rungs": [dataclasses.asdict(one) for one in rungs],
        "against": best.row if best else None, "break_even": told, "whole": count == smallest,
        "circumstances": circumstances(),
    }  # fmt: skip


def kept_out(problem: Problem, seed: int) -> tuple[Problem, TestSamples]:
    """The problem without some training samples, and these, to read accuracies on.

    A thousand of them, drawn alike from all classes, and a fifth of each class at most: none is
    emptied, and a class of fewer than five samples gives none.

    Raises:
        UsageError: no class has five samples.
    """
    each = max(1, KEPT_OUT // problem.classes)
    positions = {label: problem.of(label) for label in problem.labels}
    out = np.concatenate([
        own[torch.randperm(len(own), generator=Streams(seed)("kept out", label)).numpy()]
        [: min(each, len(own) // 5)]
        for label, own in positions.items()
    ])  # fmt: skip
    if not len(out):
        raise UsageError(f"{problem.name} has less than five training samples of each class, too "
                         f"few to keep some out and read accuracies on them")  # fmt: skip
    rest = np.setdiff1d(np.arange(len(problem.train)), out)

    def part(where: np.ndarray) -> Split:
        return Split(np.asarray(problem.train.samples)[where], problem.train.labels[where])

    held = dataclasses.replace(problem, train=part(rest), val=part(out))
    return held, TestSamples(held, "val")


def _curve(
    synthetic: SyntheticSet, spec: PeerSpec, recipe: Recipe, streams: Streams, checks: TestSamples
) -> list[tuple[float, int, float]]:
    """(seconds of training, samples seen, accuracy) at each fiftieth of a training's updates."""
    samples = len(synthetic) * synthetic.codec.multiplies
    applied = recipe.for_network(spec.name, family_of(spec, None))
    per_epoch, updates = applied.per_epoch(samples), applied.length(samples)[1]
    every, found = max(1, updates // CHECKS), list[tuple[float, int, float]]()
    checking, begin = 0.0, time.perf_counter()

    def check(update: int, backbone: Backbone) -> None:
        nonlocal checking
        if update % every and update < updates:
            return
        now = time.perf_counter()
        accuracy = tested(backbone, checks).accuracy
        epochs, more = divmod(update, per_epoch)
        seen = epochs * samples + more * applied.batch
        found.append((now - begin - checking, seen, accuracy))
        checking += time.perf_counter() - now

    train_network(synthetic, spec, recipe, streams, after_update=check)
    return found


def _training(
    row: str,
    synthetic: SyntheticSet,
    made: float | None,
    curve: list[tuple[float, int, float]],
    target: float,
) -> Training:
    there = next(((seconds, seen) for seconds, seen, accuracy in curve if accuracy >= target), None)
    return Training(
        row, len(synthetic) * synthetic.codec.multiplies, synthetic.nbytes(), made,
        there[0] if there else None, there[1] if there else None,
        max(accuracy for _, _, accuracy in curve),
    )  # fmt: skip


def over(found: Sequence[Mapping[str, Any]]) -> str:
    """Break-even of several sets that differ in their seeds alone, in words.

    Args:
        found: what ``costs`` gave of each. Those whose accuracy k-means did not reach, or whose
            card does not say what condensing took, have none: they are counted apart.
    """
    seconds: list[tuple[float, float, float, float]] = []
    for one in found:
        rung: Mapping[str, Any] = next(
            (each for each in one["rungs"] if each["row"] == one["against"]), {}
        )
        made, trained = one["set"]["made"], one["set"]["trained"]
        if rung and made is not None and trained is not None:
            seconds.append((made, trained, rung["made"], rung["trained"]))
    without = f"; none for {len(found) - len(seconds)}" if len(seconds) < len(found) else ""
    if not seconds:
        return "unknown: none of them can be compared"
    return f"{break_even_over(seconds).text}, over {len(seconds)} sets{without}"


def write_costs(
    synthetic: SyntheticSet, problem: Problem, directory: Path, network: PeerSpec | None = None
) -> Path:
    """``costs.json`` in a run directory; see ``costs``."""
    path = directory / "costs.json"
    write_json(path, costs(synthetic, problem, network))
    return path
