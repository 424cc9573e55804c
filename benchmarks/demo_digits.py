"""The demo's claim over 5 condensation seeds: HMDC on digits against every other row.

python benchmarks/demo_digits.py

Ten trainings a set: class means, which HMDC begins with, are one set for all seeds, and three first
weights do not tell whether HMDC is above it.
"""

from __future__ import annotations

from pathlib import Path

from seeds import run

if __name__ == "__main__":
    run(
        "digits",
        "demo",
        ("convnet2_w32", "vit_mini", "mlp", "resnet_mini"),
        Path("runs/bench/digits"),
        evaluation=range(10),
    )
