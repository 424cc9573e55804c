"""The demo: condense real digits to ten images, and see what unlike networks learn from them.

    python examples/demo.py --out runs/demo

HMDC condenses scikit-learn's 1,797 digits to one image per class, with a small ConvNet and a small
ViT as peers. Four networks, two of which took no part, are then trained from scratch on the ten
images and beside it on as many random ones, k-means medoids and class means, three times each, and
tested on digits that nothing was chosen on.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch
from rich.console import Console

from condensery import condense, evaluate, report
from condensery.report import terminal_table

NETWORKS = ("convnet2_w32", "vit_mini", "mlp", "resnet_mini")


def main() -> None:
    """Condense, evaluate, report; all lands in one folder, and a second call goes on there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # such small networks lose more by handing work over than they gain
    begin, console = time.perf_counter(), Console()
    console.print("Condensing digits to one image per class (about a minute) ...")
    synthetic = condense(
        "digits", "hmdc", preset="demo", per_class=1, seed=arguments.seed, out=arguments.out
    )
    seconds = synthetic.about["seconds"]
    console.print(f"{synthetic} in {seconds:.0f} s. Training {len(NETWORKS)} networks a row ...")
    records = evaluate(
        arguments.out,
        models=NETWORKS,
        recipe="quick",
        seeds=(0, 1, 2),
        draws=1,  # a look of minutes; left out, it is the ten draws that a claim wants
        workers=max(1, min(4, os.cpu_count() or 1)),
    )
    page = report([arguments.out], arguments.out / "report")
    console.print(terminal_table(records))
    console.print(f"{time.perf_counter() - begin:.0f} seconds in all. Pictures and figures: {page}")


if __name__ == "__main__":
    main()
