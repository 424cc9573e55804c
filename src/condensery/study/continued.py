"""A network that is continued from stage to stage: its head grows, what it said is held to.

The continual protocol of IDC's experiments (Kim et al., ICML 2022): after a stage the network is
not begun anew but trained on, with a head that has grown by the new classes and a loss that keeps
what it answered for the old ones, ``t^2 * KL(old || new)`` (Li and Hoiem, "Learning without
forgetting", ECCV 2016, on memory). Written from notes on what the authors' code does.

Where the notes are silent: the network before answers in evaluation mode, and sees each batch as
the learning one does, mixed samples too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from condensery import models
from condensery.artefact.files import write_whole
from condensery.core.synthetic import SyntheticSet
from condensery.errors import UsageError
from condensery.evaluate.recipes import Recipe
from condensery.evaluate.soft import Lesson, soft_loss
from condensery.evaluate.train import family_of, fit
from condensery.models.backbone import Backbone, PeerSpec
from condensery.streams import Streams
from condensery.types import Reading

TEMPERATURE = 2.0
WEIGHT = 1.0


def kept(old: Tensor, new: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """``t^2 * KL(softmax(old / t) || softmax(new / t))`` on the old classes, mean over the batch.

    Args:
        old: logits ``(n, old classes)`` of the network as it was. new: ``(n, classes)`` of the
            network that learns, the old classes first.
    """
    return soft_loss(new[:, : old.shape[1]], (old / temperature).softmax(1), temperature)


class Kept(Lesson):
    """Cross-entropy with the labels, and ``kept`` for what the network answered before.

    Args:
        old: classes that it answered for.
    """

    def __init__(self, old: int) -> None:
        super().__init__()
        self.old = old

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Of the logits of ``Beside`` and hard ``(n,)`` or mixed ``(n, classes)`` labels."""
        new, before = logits[:, : -self.old], logits[:, -self.old :]
        return F.cross_entropy(new, y) + WEIGHT * kept(before, new)


class Beside(Backbone):
    """A network that learns; its logits are followed by those of the network as it was.

    Args:
        network: what learns. before: as it was; it is read, in evaluation mode, and stays.
    """

    def __init__(self, network: Backbone, before: Backbone) -> None:
        super().__init__()
        self.network = network
        self.head = tuple(f"network.{name}" for name in network.head)
        # In a tuple it is no part of this module: neither trained, nor switched between modes.
        self._before = (before.eval().requires_grad_(False),)

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """What the network that learns reads."""
        return self.network.look(x, mask, taps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits ``(n, classes + old classes)``."""
        with torch.no_grad():
            before = self._before[0](x, mask)
        return torch.cat([self.network(x, mask), before], 1)


@torch.no_grad()
def grow(network: Backbone, before: Backbone) -> None:
    """Give a fresh network the weights of another with fewer classes, in place.

    The old classes' rows of the head are those that they were; the new ones stay as drawn.

    Args:
        network: fresh. before: the same network with fewer classes.
    """
    held = before.state_dict()
    for name, tensor in network.state_dict().items():
        (tensor[: len(held[name])] if name in network.head else tensor).copy_(held[name])


def check_growth(network: Backbone, classes: int, name: str) -> None:
    """Say that the head of a network cannot grow, before any time is spent.

    Args:
        network: with so many ``classes``. name: how it is called.

    Raises:
        UsageError: it names no head, or one whose rows are not its classes.
    """
    named = dict(network.named_parameters())
    if not network.head or any(len(named[one]) != classes for one in network.head):
        raise UsageError(f"the head of {name} cannot grow class by class: take another --network, "
                         f"or leave --warm away")  # fmt: skip


def continue_network(
    before: Backbone, made: SyntheticSet, spec: PeerSpec, recipe: Recipe, streams: Streams
) -> Backbone:
    """Train a network on, on a set with further classes.

    Args:
        before: as it was; the set's first classes are those that it knows, in their order.
        made: what it learns from. spec: the network.
        recipe: how; its schedule begins anew. streams: of this stage and evaluation seed.

    Returns:
        A new network in evaluation mode; ``before`` stays as it was.

    Raises:
        Diverged: the loss is not finite.
    """
    network = models.build(spec, made.modality, made.classes, streams("weights"))
    grow(network, before)
    applied = recipe.for_network(spec.name, family_of(spec, None))
    frozen = applied.batch_norm == "eval" and spec.weights is not None
    batch, old = made.quantised().decode(), _answers(before)
    fit(Beside(network, before), batch, applied, streams, made.modality, made.classes, frozen,
        lesson=Kept(old))  # fmt: skip
    return network.eval()


def _answers(network: Backbone) -> int:
    """For how many classes a network answers."""
    return len(dict(network.named_parameters())[network.head[0]])


def keep_weights(network: nn.Module, path: Path) -> None:
    """Write a network's numbers, whole or not at all."""
    # Clones: parts of one tensor under several names are refused otherwise.
    state = {name: one.detach().cpu().clone().contiguous()
             for name, one in network.state_dict().items()}  # fmt: skip
    write_whole(path, lambda aside: save_file(state, aside))


def with_weights(network: Backbone, path: Path) -> Backbone:
    """A network with the numbers that ``keep_weights`` wrote, in evaluation mode.

    Raises:
        UsageError: they are not there any more.
    """
    if not path.is_file():
        raise UsageError(f"{path} is gone, which the next stage goes on from: choose another --out")
    state: Mapping[str, Tensor] = load_file(path)
    network.load_state_dict(state)
    return network.eval()
