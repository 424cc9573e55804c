"""The compared methods' preset small on real CIFAR-10, 5 condensation seeds, one image per class.

    CONDENSERY_DATA=/folder/that/holds/cifar10 python benchmarks/cifar10_methods.py [METHOD ...]

Peers are small ConvNets, the judge is ConvNet-3 under the recipe ``idc``, cut to 300 updates for
every row alike. Each method stands beside random sets packed by the same codec (ten draws), plain
random sets, and its own step-0 set. On 2 cores about 8 minutes a method.
"""

from __future__ import annotations

import sys
from pathlib import Path

from seeds import HERE, PROCESSES, SEEDS, condensed, say

from condensery import load, load_problem
from condensery.data import Problem
from condensery.evaluate import baselines, grid

METHODS = ("idm", "idc", "dream", "dm", "dsa", "cafe", "dc")
RECORDS = HERE / "records" / "cifar10_methods.jsonl"


def judge(problem: Problem, method: str, directories: list[Path]) -> None:
    """Evaluate one method's sets; cells that are in the records already are not run again."""
    sets = [(seed, load(place)) for seed, place in zip(SEEDS, directories, strict=True)]
    starts = [(seed, load(place / "start")) for seed, place in zip(SEEDS, directories, strict=True)]
    made = baselines(problem, sets, name=method, start=starts, which=("random",), draws=2)
    # Plain random sets are the same for all methods; packing and starts are each method's own.
    rows = {one if one in ("random", method) else f"{method}: {one}": made[one] for one in made}
    records = grid.evaluate(
        rows,
        problem,
        ("convnet3",),
        recipe="idc",
        updates=300,
        seeds=(0, 1),
        per_class=1,
        out=RECORDS,
        workers=PROCESSES,
    )
    say(records, method, [one for one in rows if one != method])


if __name__ == "__main__":
    cifar10 = load_problem("cifar10")
    for name in sys.argv[1:] or METHODS:
        judge(cifar10, name, condensed("cifar10", name, "small", Path("runs/bench/methods") / name))
