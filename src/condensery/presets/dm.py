"""DM's settings: the paper's, the released code's, and those for machines without a GPU."""

from __future__ import annotations

from dataclasses import replace

from condensery.data.problem import Problem
from condensery.methods.dm import DM
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan

ITERATIONS = 20_000


def paper(problem: Problem, per_class: int) -> Plan:
    """DM's Table 1 (Zhao & Bilen, WACV 2023): 20,000 fresh ConvNet-3, one update in each.

    ConvNet-4 for images of 64 x 64 and more; a rate of 10 for ten classes with 100 images or more.
    For a GPU and hours. Reported on CIFAR-10 at 1, 10 and 50 images per class: 26.0, 48.9 and 63.0,
    after 1000 epochs of training with the operations. Unverified.
    """
    large = min(problem.modality.shape[-2:]) >= 64
    rate = 10.0 if problem.classes <= 10 and per_class >= 100 else 1.0
    settings = DM(peers=(PeerSpec("convnet4" if large else "convnet3"),), lr=rate)
    return Plan(settings, steps=ITERATIONS)


def released(problem: Problem, per_class: int) -> Plan:
    """DM as the authors' code runs it: 20,001 updates."""
    return replace(paper(problem, per_class), steps=ITERATIONS + 1)


def small(problem: Problem, per_class: int) -> Plan:
    """Any images of about 32 x 32 on 2 cores in minutes: a narrow ConvNet, few real samples.

    Not the paper's form: four tiles are packed into each image (``factor`` 2), so that the set is
    compared with packed real samples. Settings were chosen on a validation split of CIFAR-10 with
    condensation seed 100. What it reaches stands in REPRODUCIBILITY.md.
    """
    settings = DM(peers=(PeerSpec("convnet_mini"),), factor=2, real_batch=32)
    return Plan(settings, steps=800)


def smoke(problem: Problem, per_class: int) -> Plan:
    """Two steps with tiny peers, to see in seconds that everything is connected."""
    settings = DM(peers=(PeerSpec("mlp"), PeerSpec("convnet2_w8")), real_batch=4)
    return Plan(settings, steps=2)
