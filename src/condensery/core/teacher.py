"""A network that knows the real data, to choose samples by: trained here, or come with weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from condensery.core.cohort import Peer
from condensery.core.learning import learn
from condensery.data.problem import Problem
from condensery.models import build
from condensery.models.backbone import Backbone, PeerSpec
from condensery.streams import Streams, borrow

TEACHER = PeerSpec("convnet_mini", lr=1e-2, momentum=0.9, weight_decay=5e-4)
SIZE = 128  # samples in a batch of its training


def teacher(
    spec: PeerSpec,
    problem: Problem,
    streams: Streams,
    device: torch.device,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    updates: int = 1000,
    keep_head: bool = True,
) -> Backbone:
    """A network in evaluation mode that was trained on the training split, or had been before.

    Args:
        spec: from scratch it is trained here; with weights it is taken as it comes.
        streams: of its weights, its batches and their augmentation.
        updates: optimiser steps of training, on shifted (and flipped) samples; 0 leaves a network
            from scratch untrained.
        keep_head: whether weights must bring a head for these classes; False where only features
            are read.

    Raises:
        UsageError: an unknown name, or weights without a fitting head.
    """
    modules = modules or {}
    if spec.weights is not None:
        kept = build(spec, problem.modality, problem.classes, streams("build"), modules, keep_head)
        return kept.to(device).eval()
    peer = Peer.build(spec, problem, streams("build"), device, modules)
    shifted = problem.modality.augmentation(("flip", "crop", "shift"))
    with borrow(streams("globals")):
        learn(peer, problem, range(updates), streams.child("learn"), shifted, 0.0, SIZE, device)
    return peer.backbone.eval()
