"""Mosaic's settings where they are not its defaults."""

from __future__ import annotations

from condensery.data.problem import Problem
from condensery.methods.mosaic import Mosaic
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan


def smoke(problem: Problem, per_class: int) -> Plan:
    """Crops scored by a tiny network after two updates, seconds."""
    return Plan(Mosaic(network=PeerSpec("convnet2_w8"), updates=2), steps=0)
