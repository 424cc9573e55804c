"""The demo's claim over 5 condensation seeds: HMDC on digits against every other row.

python benchmarks/demo_digits.py
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
    )
