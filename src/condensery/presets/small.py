"""Presets for machines without a GPU."""

from __future__ import annotations

from condensery.data.problem import Problem
from condensery.methods.hmdc import HMDC
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan, selection

VIT = PeerSpec("vit_mini", optimiser="adamw", lr=1e-3)


def demo(method: str, problem: Problem, per_class: int) -> Plan:
    """One image per class of 8 x 8 digits in about a minute on 2 cores, from the class means.

    HMDC with a two-layer ConvNet and a small ViT, both from scratch; whole images, since a packed
    digit would be 4 x 4. Settings were chosen on a validation split with condensation seed 100.
    What it reaches stands in REPRODUCIBILITY.md.
    """
    chosen = selection(method, problem, factor=1)
    if chosen:
        return chosen
    settings = HMDC(
        peers=(PeerSpec("convnet2_w32", lr=1e-2, momentum=0.9), VIT),
        start_from="mean",
        factor=1,
        lr=1e-2,
        real_batch=16,
        restart_every=20,
        train_samples=128,
        train_batch=64,
        align_samples=64,
        operations=("color", "crop", "scale", "rotate"),
    )
    return Plan(settings, steps=120)


def small(method: str, problem: Problem, per_class: int) -> Plan:
    """Any images of about 32 x 32 on 2 cores in minutes: small peers, few real samples.

    HMDC with a ConvNet-3 of width 32 and a small ViT, both from scratch. Settings were chosen on a
    validation split of CIFAR-10 with condensation seed 100. What it reaches stands in
    REPRODUCIBILITY.md.
    """
    chosen = selection(method, problem, factor=2)
    if chosen:
        return chosen
    settings = HMDC(
        peers=(PeerSpec("convnet_mini", lr=1e-2, momentum=0.9), VIT),
        lr=5e-2,
        real_batch=16,
        candidates=256,
        restart_every=50,
        train_samples=128,
        train_batch=64,
        align_samples=64,
        operations=("flip", "color", "crop", "scale", "rotate"),
    )
    return Plan(settings, steps=240)


def smoke(method: str, problem: Problem, per_class: int) -> Plan:
    """Two steps with tiny peers, to see in seconds that everything is connected."""
    chosen = selection(method, problem, factor=1)
    if chosen:
        return chosen
    settings = HMDC(
        peers=(PeerSpec("mlp"), PeerSpec("convnet2_w8")),
        start_from="random",
        factor=1,
        real_batch=4,
        candidates=8,
        train_samples=8,
        train_batch=8,
        align_samples=8,
    )
    return Plan(settings, steps=2)
