"""How much faster the grid is than the same trainings one after another in a plain PyTorch loop.

    CONDENSERY_DATA=/folder/that/holds/cifar10 python benchmarks/grid_speed.py [PAIRS]

Four small networks x 3 seeds on ten real images of CIFAR-10 (one per class), recipe ``quick`` cut
to 100 epochs; both sides test once, at the last epoch, on the 10,000 test images. The plain loop is
what one writes without a library: networks of the same architectures, torch's own number of
threads, batches of 256 that are normalised as they come. Both sides begin from the same weights and
draw the same orders, augmentations and boxes of CutMix, so that their accuracies can be compared
cell by cell: what each cell differs by is printed, and every pair is one line of
``benchmarks/records/grid_speed.jsonl``: seconds and accuracies of both sides, hardware, commit. The
two sides run in turn; ratios are medians over the pairs. The grid's seconds hold
the start of its processes, and in the first pair the trials of ``precision="auto"``, which are kept
in an empty folder from then on; imports of this process are made before.

Then each measure of testing alone, and two that the grid does not take: several seeds of a network
in one call (``torch.func.stack_module_state``, ``vmap``), and training with channels last (it pays
for the ResNet, and would change the numbers of records that are there).

What each brought (AMD EPYC with AVX-512 and bf16, two cores, otherwise idle; seconds of the whole
grid, before and after): 29.8 in 32 bits and 25.1 with 16 bits for all networks, beside 45.4 of the
plain loop. Freed memory kept by the processes, each network in the precision that is faster for it
(16 bits take three times as long on the small ConvNet), batches of 32 for 64, and the longest of
the last cells first, together: 23.7, and 19.8 with ``auto``. Imports made once for all processes:
22.0 and 17.1, 2.02 and 2.60 times as fast as plain (two pairs; on other machines less, see
REPRODUCIBILITY.md). Of a test of the ResNet in a
process that gives memory back, 0.6 of 2.8 seconds were 350,000 page faults. What is left are mostly
products and convolutions; torch's attention on a CPU is slower in 16 bits than in 32, and its
float32 products (MKL) run at half the speed of its convolutions (oneDNN) here.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from condensery import load_problem, models
from condensery.core.starts import random_start
from condensery.core.synthetic import SyntheticSet
from condensery.data import Problem
from condensery.evaluate import RECIPES, grid, shorten
from condensery.evaluate.precision import gain
from condensery.evaluate.share import keep_memory
from condensery.evaluate.train import TestSamples, accuracy, make_optimiser, tested
from condensery.modality import Pixels
from condensery.models import PeerSpec
from condensery.records import circumstances
from condensery.streams import Streams
from condensery.types import Batch

NETWORKS = ("convnet_mini", "vit_mini", "resnet_mini", "mlp")
SEEDS = (0, 1, 2)
EPOCHS = 100
CORES = os.cpu_count() or 1
RECORDS = Path(__file__).resolve().parent / "records" / "grid_speed.jsonl"


def plain(problem: Problem, synthetic: SyntheticSet) -> list[float]:
    """The same cells, one after another, as a script would train and test them."""
    found = []
    for seed in SEEDS:
        for name in NETWORKS:
            found.append(plain_cell(problem, synthetic, name, seed))
    return found


def plain_cell(problem: Problem, synthetic: SyntheticSet, name: str, seed: int) -> float:
    """Train one network, test it once; from the grid's weights, orders and draws."""
    recipe = shorten(RECIPES["quick"], epochs=EPOCHS).for_network(name, models.family(name))
    augmentation = recipe.augmentation(problem.modality)
    streams = grid.cell_streams(seed, name, recipe.name)
    order, parameters, boxes = (streams(one) for one in ("order", "augment", "mix"))
    network = models.build(PeerSpec(name), problem.modality, problem.classes, streams("weights"))
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[recipe.optimiser]
    extra = {"momentum": recipe.momentum} if recipe.optimiser == "sgd" else {}
    optimiser = kind(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, **extra)
    steps = EPOCHS * recipe.per_epoch(len(synthetic))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    batch = synthetic.quantised().decode()
    network.train()
    for _ in range(EPOCHS):
        for positions in torch.randperm(len(batch.y), generator=order).split(recipe.batch):
            drawn = augmentation.draw(parameters, len(positions))
            altered = Batch(augmentation.apply(drawn, batch.x[positions]), batch.y[positions])
            if float(torch.rand((), generator=boxes)) < recipe.mix:
                altered = augmentation.mix(boxes, altered, problem.classes)
            loss = F.cross_entropy(network(altered.x), altered.y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(problem.test), 256):
            here = slice(start, start + 256)
            x = problem.modality.normalise(torch.from_numpy(problem.test.samples[here].copy()))
            y = torch.from_numpy(problem.test.labels[here].copy())
            right += int((network(x).argmax(1) == y).sum())
    return right / len(problem.test)


def ours(problem: Problem, synthetic: SyntheticSet, precision: Any) -> list[float]:
    """The same cells by the grid."""
    rows = {"random": [(0, synthetic)]}
    records = grid.evaluate(
        rows, problem, NETWORKS, recipe="quick", epochs=EPOCHS, seeds=SEEDS, workers=CORES,
        precision=precision,
    )  # fmt: skip
    return [one.accuracy for one in records]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found


def pairs(problem: Problem, synthetic: SyntheticSet, count: int) -> None:
    """Both sides in turn."""
    ways: dict[str, Callable[[], list[float]]] = {
        "plain": lambda: plain(problem, synthetic),
        "grid, 32 bits": lambda: ours(problem, synthetic, "float32"),
        "grid, auto": lambda: ours(problem, synthetic, "auto"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    accuracies: dict[str, list[float]] = {}
    for number in range(1, count + 1):
        for name, way in ways.items():
            took, found = timed(way)
            if accuracies.setdefault(name, found) != found:
                raise SystemExit(f"{name} gave other numbers with the same seeds")
            seconds[name].append(took)
            print(f"{name}: {took:.1f} s, mean {100 * statistics.fmean(accuracies[name]):.2f}",
                  flush=True)  # fmt: skip
        keep({"pair": number, "of": count, "seconds": {name: seconds[name][-1] for name in ways},
              "accuracies": accuracies, "cells": cells(), "epochs": EPOCHS, "processes": CORES,
              "data": problem.name, "circumstances": circumstances()})  # fmt: skip
    for name in list(ways)[1:]:
        ratios = [a / b for a, b in zip(seconds["plain"], seconds[name], strict=True)]
        told = f"{statistics.median(ratios):.2f} times as fast as plain (median of {count}, "
        told += f"{min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name}: {told}; accuracy {apart(accuracies['plain'], accuracies[name])}")
    for place, cell in enumerate(cells()):
        told = " | ".join(f"{name} {100 * accuracies[name][place]:.2f}" for name in ways)
        gaps = (accuracies[name][place] - accuracies["plain"][place] for name in list(ways)[1:])
        print(f"  {cell}: {told}; less plain: {', '.join(f'{100 * gap:+.2f}' for gap in gaps)}")
    told = apart(accuracies["grid, 32 bits"], accuracies["grid, auto"])
    print(f"auto against 32 bits on the same trained networks: {told}")


def cells() -> list[str]:
    """What is trained, in the order of both sides."""
    return [f"{name}, seed {seed}" for seed in SEEDS for name in NETWORKS]


def keep(values: dict[str, Any], file: Path = RECORDS) -> None:
    """One more line; the file only grows."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(values) + "\n")


def apart(one: list[float], other: list[float]) -> str:
    """Mean, deviation and largest of the differences of cells, in points."""
    found = [100 * (b - a) for a, b in zip(one, other, strict=True)]
    largest = max(map(abs, found))
    return (f"{statistics.fmean(found):+.3f} points, sd {statistics.stdev(found):.3f}, largest "
            f"{largest:.2f} over {len(found)} cells")  # fmt: skip


def measures(problem: Problem) -> None:
    """What each measure of testing brings, on one thread, median of three."""
    sizes = {size: TestSamples(problem, size=size) for size in (32, 64, 256, 1000)}
    print("testing 10,000 images, seconds on one thread: batches of 1,000 | 256 | 64 | 32 with "
          "channels as they lie | 32, channels last | and 16 bits")  # fmt: skip
    for name in NETWORKS:
        network = models.build(PeerSpec(name), problem.modality, 10, Streams(0)("weights")).eval()
        calls: list[Callable[[], Any]] = [
            *(partial(lying, network, sizes[size]) for size in (1000, 256, 64, 32)),
            partial(accuracy, network, sizes[32]),
            partial(tested, network, sizes[32], "bfloat16"),
        ]
        told = " | ".join(f"{median_of(call, 3):.2f}" for call in calls)
        chosen = tested(network, sizes[32], "auto").precision
        print(f"  {name}: {told}; auto takes {chosen}", flush=True)


def median_of(call: Callable[[], Any], times: int) -> float:
    """Seconds of a call."""
    return statistics.median(timed(call)[0] for _ in range(times))


def lying(network: torch.nn.Module, samples: TestSamples) -> int:
    """Test without any change of layout."""
    with torch.inference_mode():
        return sum(int((network(one.x).argmax(1) == one.y).sum()) for one in samples)


def stacked(problem: Problem, synthetic: SyntheticSet) -> None:
    """Three seeds of a network in one call against one after another: forward and backward."""
    x, y = synthetic.quantised().decode()[:2]
    print("gradients of three seeds, seconds: one after another | channels last | stacked:")
    for name in NETWORKS:
        networks = [models.build(PeerSpec(name), problem.modality, 10, Streams(seed)("weights"))
                    for seed in SEEDS]  # fmt: skip
        parameters, buffers = torch.func.stack_module_state(networks)
        step = torch.func.vmap(torch.func.grad(partial(loss, copy.deepcopy(networks[0]), x, y)))
        try:
            together = median_of(partial(step, parameters, buffers), 9)
        except RuntimeError as error:
            print(f"  {name}: cannot be stacked ({str(error).splitlines()[0][:80]})")
            continue
        one_by_one = median_of(partial(alone, networks, x, y), 9)
        for network in networks:
            network.to(memory_format=torch.channels_last)
        last = median_of(partial(alone, networks, x, y), 9)
        ratio = one_by_one / together
        print(f"  {name}: {one_by_one:.4f} | {last:.4f} | {together:.4f}; stacked is {ratio:.2f} "
              f"times as fast", flush=True)  # fmt: skip


def loss(base: Any, x: torch.Tensor, y: torch.Tensor, own: Any, held: Any) -> torch.Tensor:
    """Of a network with these parameters and buffers."""
    return F.cross_entropy(torch.func.functional_call(base, (own, held), (x,)), y)


def alone(networks: list[Any], x: torch.Tensor, y: torch.Tensor) -> None:
    """The gradients of each network, one after another."""
    for network in networks:
        network.zero_grad()
        F.cross_entropy(network(x), y).backward()


def imported(problem: Problem) -> None:
    """Build everything once, so that neither side pays for this process's imports."""
    for name in NETWORKS:
        network = models.build(PeerSpec(name), problem.modality, 10, Streams(0)("weights"))
        make_optimiser(network, RECIPES["quick"].for_network(name, models.family(name)))


def main(count: int) -> None:
    """All measurements, with what they were made on."""
    problem = load_problem("cifar10")
    synthetic = random_start(problem, 1, Pixels(), Streams(0))
    imported(problem)
    print(circumstances(), f"bfloat16 products: {gain():.2f} times as fast as float32", flush=True)
    with tempfile.TemporaryDirectory() as empty:
        os.environ["CONDENSERY_CACHE"] = empty
        if count:
            pairs(problem, synthetic, count)
        torch.set_num_threads(1)
        keep_memory()
        measures(problem)
        stacked(problem, synthetic)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
