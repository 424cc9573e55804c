"""A network that learns from real data: an endless shuffled stream, read where one left off."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from condensery.core.cohort import Peer
from condensery.core.features import altered_each, perhaps_mixed
from condensery.data.problem import Problem
from condensery.modality import Augmentation
from condensery.streams import Streams


def nth_batch(count: int, size: int, index: int, streams: Streams, whole: bool = False) -> Tensor:
    """Which samples make the ``index``-th batch of an endless stream, ``(size,)`` or fewer.

    The stream is shuffled anew for each epoch, and no sample comes twice in one. It is a function
    of the index alone, so that nothing has to be kept to go on with it.

    Args:
        count: samples there are. size: of a batch, at most ``count`` of them.
        index: from 0. streams: of this stream.
        whole: leave out what does not fill a batch at the end of an epoch.
    """
    size = min(size, count)
    each = batches_of(count, size) if not whole else count // size
    epoch, place = divmod(index, each)
    order = torch.randperm(count, generator=streams("epoch", epoch))
    return order[place * size : (place + 1) * size]


def batches_of(samples: int, size: int) -> int:
    """Batches until so many samples were seen: the batch that reaches the number completes it."""
    return -(-samples // size)


def learn(
    peer: Peer,
    problem: Problem,
    indices: Iterable[int],
    streams: Streams,
    augmentation: Augmentation,
    mixup: float,
    size: int,
    device: torch.device,
) -> list[float]:
    """A peer learns from these batches of an endless stream of real samples.

    Args:
        indices: which batches of the stream, one step each. streams: of the stream.
        augmentation: each sample has its own draw of it. mixup: chance of CutMix for a batch.
        size: samples in a batch.

    Returns:
        The mean cross-entropy of each batch, before its step.
    """
    losses = []
    for index in indices:
        positions = nth_batch(len(problem.train), size, index, streams)
        batch = problem.batch(positions, device=device)
        batch = altered_each(augmentation, streams("draw", index), batch)
        own = streams.child("mix", index)
        batch = perhaps_mixed(augmentation, own, batch, problem.classes, mixup)
        losses.append(peer.learn(batch)[0])
    return losses
