"""DM's settings: the paper's, the released code's, and those for machines without a GPU."""

from __future__ import annotations

from dataclasses import replace

from condensery.data.problem import Problem
from condensery.methods.dm import DM
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan, parts
from condensery.presets.hmdc import READERS, TOKENS, ears
from condensery.presets.tiny import tiny_networks

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
    condensation seed 100. What it reaches stands in REPRODUCIBILITY.md. Sound and text have
    settings of their own (``small_sound``, ``small_text``).
    """
    if problem.modality.kind == "audio":
        return small_sound(problem, per_class)
    if problem.modality.kind == "text":
        return small_text(problem, per_class)
    settings = DM(peers=(PeerSpec("convnet_mini"),), factor=2, real_batch=32)
    return Plan(settings, steps=800)


def small_sound(problem: Problem, per_class: int) -> Plan:
    """Clips of about 5 s at 16 kHz on 2 cores: both CNNs of HMDC's preset, drawn at every step.

    Parts as in that preset. Not run.
    """
    settings = DM(
        peers=ears(problem),
        factor=parts(problem),
        real_batch=8,
        operations=("shift", "gain"),
    )
    return Plan(settings, steps=100)


def small_text(problem: Problem, per_class: int) -> Plan:
    """Texts of 64 tokens on 2 cores: the LSTMs of HMDC's preset, drawn at every step.

    Tokens and start as in that preset. Not run.
    """
    settings = DM(peers=READERS[:1], start_from="odds", factor=TOKENS, lr=0.3, real_batch=8)
    return Plan(settings, steps=120)


def smoke(problem: Problem, per_class: int) -> Plan:
    """Two steps with tiny peers, to see in seconds that everything is connected."""
    settings = DM(
        peers=tuple(PeerSpec(name) for name in tiny_networks(problem)),
        factor=2 if problem.modality.kind == "text" else 1,
        real_batch=4,
    )
    return Plan(settings, steps=2)
