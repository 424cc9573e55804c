"""Presets for machines without a GPU."""

from __future__ import annotations

from condensery.data.problem import Problem
from condensery.methods.hmdc import HMDC
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan, selection

PEERS = (
    PeerSpec("convnet_mini", lr=1e-2, momentum=0.9),
    PeerSpec("vit_mini", optimiser="adamw", lr=1e-3),
)


def demo(method: str, problem: Problem, per_class: int) -> Plan:
    """The demo's settings."""
    chosen = selection(method, problem, factor=1)
    if chosen:
        return chosen
    return Plan(HMDC(peers=PEERS, factor=1, start_from="mean", real_batch=32, candidates=128,
                     lr=2e-2, train_samples=256, train_batch=64, align_samples=64), steps=150)  # fmt: skip


def small(method: str, problem: Problem, per_class: int) -> Plan:
    """Small settings."""
    chosen = selection(method, problem, factor=2)
    if chosen:
        return chosen
    return Plan(HMDC(peers=PEERS, real_batch=32, candidates=256, lr=2e-2,
                     train_samples=256, train_batch=64, align_samples=64), steps=300)  # fmt: skip


def smoke(method: str, problem: Problem, per_class: int) -> Plan:
    """Two steps with tiny peers, to see that everything is connected."""
    chosen = selection(method, problem, factor=1)
    if chosen:
        return chosen
    peers = (PeerSpec("mlp"), PeerSpec("convnet3_w8"))
    return Plan(HMDC(peers=peers, factor=1, start_from="random", real_batch=4, candidates=8,
                     train_samples=8, train_batch=8, align_samples=8, align=False), steps=2)  # fmt: skip
