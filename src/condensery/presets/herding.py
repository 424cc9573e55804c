"""Herding's settings where they are not its defaults."""

from __future__ import annotations

from condensery.data.problem import Problem
from condensery.methods.herding import Herding
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan
from condensery.presets.hmdc import READERS, ears
from condensery.presets.tiny import tiny_networks


def small(problem: Problem, per_class: int) -> Plan:
    """Features of the network by default; of sound and text of the first one of HMDC's preset.

    The latter learns from 100 batches of 128, a few minutes on 2 cores. Not run there; images stand
    in REPRODUCIBILITY.md.
    """
    if problem.modality.kind == "image":
        return Plan(Herding(), steps=0)
    network = ears(problem)[0] if problem.modality.kind == "audio" else READERS[0]
    return Plan(Herding(network=network, updates=100), steps=0)


def smoke(problem: Problem, per_class: int) -> Plan:
    """Features of a tiny network after two updates, seconds."""
    return Plan(Herding(network=PeerSpec(tiny_networks(problem)[0]), updates=2), steps=0)
