"""Preset small on real CIFAR-10 over 5 condensation seeds, one image per class.

CONDENSERY_DATA=/folder/that/holds/cifar10 python benchmarks/cifar10_small.py
"""

from __future__ import annotations

from pathlib import Path

from seeds import run

if __name__ == "__main__":
    networks = ("convnet_mini", "vit_mini", "resnet_mini", "mlp")
    run("cifar10", "small", networks, Path("runs/bench/cifar10"))
