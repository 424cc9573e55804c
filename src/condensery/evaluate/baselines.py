"""What a condensed set is compared with: real samples and their means, of equal stored bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from condensery.core.starts import (
    herding_start,
    kmeans_start,
    mean_start,
    odds_start,
    random_start,
)
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError, unknown
from condensery.modality import Codec, DenseTokens, SoftTokens
from condensery.records import ALL_BYTES
from condensery.streams import Streams

Sets = Sequence[tuple[int, SyntheticSet]]
BASELINES = {
    "random": random_start,
    "kmeans": kmeans_start,
    "mean": mean_start,
    "herding": herding_start,
    "naive_bayes": odds_start,
}
USUAL = ("random", "kmeans", "mean")
WHOLE = "full"
AS_MANY = "random as many"
FURTHER = 1_000_000  # replicates of further random draws, so that they meet no run's seed


def baselines(
    problem: Problem,
    sets: Sets,
    *,
    name: str,
    start: Sets = (),
    which: Sequence[str] = USUAL,
    replicates: Sequence[int] | None = None,
    draws: int = 1,
    extra_bytes: int = 0,
) -> dict[str, list[tuple[int, SyntheticSet]]]:
    """The rows of a comparison, the condensed set last.

    ``random``, ``kmeans`` (real samples nearest to k-means centres) and ``mean`` (class means; the
    centres themselves), and on request ``herding`` (real samples whose mean of pixels follows that
    of their class; by features of a network: the method ``herding``), each plain and, where the
    set's codec packs several samples into one, as ``random packed`` ... by the same codec;
    where a stored sample holds several without decoding to several (soft texts), random samples of
    equal count as ``random as many``. Where soft labels cost bytes, ``random, all bytes`` are as
    many random samples as fit into those of the set and its labels together; the grid gives them
    hard labels. Token ids have no mean: of text ``mean`` is ``naive_bayes``, the tokens whose odds
    tell the classes best. Then ``start`` (the step-0 sets) and ``name``.
    A baseline has as many samples per class as fit into the bytes of the condensed set (samples
    after quantising, and labels), but never more than a class has.

    Args:
        problem: the real samples.
        sets: condensed sets with their replicates (condensation seeds), all of the same size.
        name: of their row: the method.
        start: their step-0 sets, with the same replicates.
        which: names of ``BASELINES``; ``USUAL`` unless said otherwise.
        replicates: seeds of the baselines' draws; None: those of ``sets``, so that all rows pair.
        draws: of the random rows for each replicate; the further ones count from ``FURTHER`` on.
        extra_bytes: what soft labels add to those of a set: answers that are kept, or a teacher.

    Returns:
        Rows for ``condensery.evaluate.evaluate``.

    Raises:
        UsageError: no set, sets that differ in size or codec, an unknown baseline.
    """
    first = _alike(sets, name)
    if problem.modality.kind == "text":
        which = ["naive_bayes" if one == "mean" else one for one in which]
    for one in which:
        if one not in (*BASELINES, WHOLE):
            raise unknown("baseline", one, (*BASELINES, WHOLE))
    if draws < 1:
        raise UsageError(f"draws of the random rows count from 1; got {draws}")
    drawn = [one for one, _ in sets] if replicates is None else list(replicates)
    further = [FURTHER * more + seed for more in range(1, draws) for seed in drawn]
    forms = {"": plain_codec(first)}
    if first.codec.holds > 1:
        forms[" packed"] = first.codec
    rows: dict[str, list[tuple[int, SyntheticSet]]] = {}
    for one in which:
        if one == WHOLE:  # the same for every seed: it is trained on once
            rows[one] = [(drawn[0], whole_data(problem, forms[""]))]
            continue
        for suffix, codec in forms.items():
            count = fitting(problem, codec, first.nbytes())
            rows[one + suffix] = [
                (seed, _draw(problem, one, suffix, count, codec, seed))
                for seed in (drawn + further if one == "random" else drawn)
            ]
        if one == "random" and first.codec.holds > first.codec.multiplies:
            count = round(first.per_class)
            rows[AS_MANY] = [(seed, _draw(problem, one, "", count, forms[""], seed))
                             for seed in drawn + further]  # fmt: skip
        if one == "random" and extra_bytes:
            count = fitting(problem, forms[""], first.nbytes() + extra_bytes)
            rows[ALL_BYTES] = [(seed, _draw(problem, one, "", count, forms[""], seed))
                               for seed in drawn + further]  # fmt: skip
    if start:
        rows["start"] = list(start)
    # A selection that was run as a method must not take the place of the baseline of its name.
    rows[f"{name} (run)" if name in rows else name] = list(sets)
    return rows


def planned(which: Sequence[str], codec: Codec, kind: str, draws: int = 1) -> dict[str, int]:
    """The rows that ``baselines`` makes beside one set, and how many sets each has; it makes none.

    Args:
        which, draws: as there. codec: of the set. kind: of samples: ``image``, ``audio``, ``text``.
    """
    found = {}
    for one in ("naive_bayes" if kind == "text" and each == "mean" else each for each in which):
        if one == WHOLE:
            found[one] = 1
            continue
        count = draws if one == "random" else 1
        found |= {one: count} | ({f"{one} packed": count} if codec.holds > 1 else {})
        if one == "random" and codec.holds > codec.multiplies:
            found[AS_MANY] = count
    return found


def whole_data(problem: Problem, codec: Codec) -> SyntheticSet:
    """All training samples as a set: the ceiling. Class by class, in data order.

    50,000 images of 32 x 32 are 0.6 GB of floats; while a network is trained on them about 2 GB are
    held, in each process that does so.
    """
    positions = np.concatenate([problem.of(label) for label in problem.labels])
    stored = codec.encode(problem.samples(positions), problem.modality)
    labels = torch.from_numpy(problem.train.labels[positions].astype(np.int64))
    about = {"method": WHOLE, "data": problem.name}
    return SyntheticSet(stored, labels, problem.modality, codec, problem.label_names, about)


def plain_codec(synthetic: SyntheticSet) -> Codec:
    """How one real sample is stored whole, in the modality of a set.

    Into the bytes of a text whose whole vocabulary is exported go a thousand real ones: as ids.
    """
    if isinstance(synthetic.codec, DenseTokens) and synthetic.codec.whole:
        return SoftTokens()
    return synthetic.modality.codec()


def fitting(problem: Problem, codec: Codec, stored_bytes: int) -> int:
    """Stored samples per class that fit into so many bytes: samples and labels, every class alike.

    Bounded by the smallest class, whose real samples are used once at most.

    Raises:
        UsageError: not even one fits.
    """
    one = codec.encode(problem.samples(range(codec.holds)), problem.modality)
    label = 1 if problem.classes <= 256 else 2
    each = codec.nbytes(one, problem.modality) + label
    smallest = min(len(problem.of(label)) for label in problem.labels)
    count = min(stored_bytes // (problem.classes * each), smallest // codec.holds)
    if count < 1:
        raise UsageError(
            f"{stored_bytes:,} bytes, or a smallest class of {smallest} samples, leave no room for "
            f"one stored sample per class ({each:,} bytes): leave this baseline out, or condense "
            f"more per class"
        )
    return count


def _draw(
    problem: Problem, one: str, suffix: str, count: int, codec: Codec, seed: int
) -> SyntheticSet:
    made = BASELINES[one](problem, count, codec, Streams(seed).child("baseline", one))
    about = {"method": one + suffix, "seed": seed, "data": problem.name}
    return dataclasses.replace(made, about=about)


def _alike(sets: Sets, name: str) -> SyntheticSet:
    """The first set, when all have its size and codec."""
    if not sets:
        raise UsageError(f"no set of {name!r} to compare with; give at least one")
    first = sets[0][1]
    for replicate, other in sets[1:]:
        if other.nbytes() != first.nbytes() or other.codec != first.codec:
            raise UsageError(
                f"the sets of {name!r} differ in size or codec ({first.nbytes():,} bytes for "
                f"replicate {sets[0][0]}, {other.nbytes():,} for {replicate}): evaluate runs of "
                f"one size together"
            )
    return first
