"""Matching of features: class means, real and synthetic altered alike, batch norms held still."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from condensery.modality import Augmentation
from condensery.streams import Streams
from condensery.types import Batch


def mean_gap(real: Tensor, synthetic: Tensor) -> Tensor:
    """Squared distance of a class's mean features, summed over all their entries: a scalar.

    DM (Zhao & Bilen, WACV 2023), equation 5; IDM and CAFE match the same statistic.

    Args:
        real: ``(*features)``, the mean over the real samples; a constant.
        synthetic: ``(batch, *features)``, differentiable.
    """
    return (synthetic.mean(0) - real).square().sum()


def altered_alike(
    augmentation: Augmentation, generator: torch.Generator, *batches: Batch
) -> list[Batch]:
    """All batches altered by one and the same draw (siamese, DSA; Zhao & Bilen, ICML 2021)."""
    draw = augmentation.draw(generator, 1, shared=True)
    return [batch._replace(x=augmentation.apply(draw, batch.x)) for batch in batches]


def altered_each(augmentation: Augmentation, generator: torch.Generator, batch: Batch) -> Batch:
    """Every sample altered by parameters of its own: for networks that learn."""
    draw = augmentation.draw(generator, len(batch.y))
    return batch._replace(x=augmentation.apply(draw, batch.x))


def perhaps_mixed(
    augmentation: Augmentation,
    streams: Streams,
    batch: Batch,
    classes: int,
    chance: float,
) -> Batch:
    """The batch mixed (CutMix) with probability ``chance``, else as it is.

    Args:
        streams: of this one batch; a coin and a mix are drawn from it.
    """
    if chance <= 0 or float(torch.rand((), generator=streams("coin"))) >= chance:
        return batch
    return augmentation.mix(streams("mix"), batch, classes)


def altered_pair(
    real: Batch,
    synthetic: Batch,
    augmentation: Augmentation,
    streams: Streams,
    classes: int,
    chance: float = 0.0,
    most: int | None = None,
) -> tuple[Batch, Batch]:
    """A class's real and synthetic samples as they are matched: altered alike, perhaps mixed.

    Args:
        real, synthetic: of one class; the synthetic ones differentiable.
        streams: of this class and step.
        chance: of CutMix within the class, of either side by itself.
        most: at most this many synthetic samples, drawn at random; None: all.
    """
    if most is not None and most < len(synthetic.y):
        order = torch.randperm(len(synthetic.y), generator=streams("subset"))
        taken = order[:most].to(synthetic.y.device)
        synthetic = Batch(synthetic.x[taken], synthetic.y[taken])
    pair = altered_alike(augmentation, streams("draw"), real, synthetic)
    first, second = (
        perhaps_mixed(augmentation, streams.child(side), batch, classes, chance)
        for side, batch in zip(("mix real", "mix synthetic"), pair, strict=True)
    )
    return first, second


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """The layers of a network that see a batch as a whole."""
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]


@contextlib.contextmanager
def steady(
    network: nn.Module, reference: Callable[[], Batch], momentum: float = 1.0
) -> Iterator[None]:
    """Inside, batch norms use the statistics of one mixed real batch, and nothing of them changes.

    In training mode a batch norm would subtract the mean of each class's own batch, which is the
    very thing that is matched; DC's and DM's codes therefore set it by real samples of all classes.
    Afterwards buffers and modes are as they were. Networks without batch norm are left alone.

    Args:
        network: takes data-normalised samples.
        reference: real samples of many classes; asked for only where there is a batch norm.
        momentum: share of that batch in the statistics; what remains is what they were before.
    """
    norms = batch_norms(network)
    if not norms:
        yield
        return
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    before = [(layer.training, layer.momentum) for layer in norms]
    try:
        for layer in norms:
            layer.train()
            layer.momentum = momentum
        with torch.no_grad():
            network(reference().x)
        for layer in norms:
            layer.eval()
        yield
    finally:
        for layer, (training, own) in zip(norms, before, strict=True):
            layer.train(training)
            layer.momentum = own
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(buffers[name])


def class_by_class(lr: float, momentum: float, classes: int) -> tuple[float, float]:
    """Rate and momentum of one step for all classes that equals a step after each class.

    Released codes step the optimiser after every class, with a zero gradient for the others, whose
    momentum coasts on. Between two of its own gradients a class then moves by
    ``lr * (1 + m + ... + m^(K-1))`` and its momentum has shrunk to ``m^K``: one step with these
    values visits the same positions at every gradient, whatever the order of the classes.

    Returns:
        ``lr (1 - m^K) / (1 - m)`` and ``m^K``.
    """
    kept = momentum**classes
    return lr * (1 - kept) / (1 - momentum), kept
