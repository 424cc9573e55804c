"""The peers: networks that judge the synthetic set together and learn from real data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from condensery.core.alignment import Alignment
from condensery.core.matching import cross_entropy
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.models import build
from condensery.models.backbone import Backbone, PeerSpec, parameters_of
from condensery.streams import Streams
from condensery.types import Batch, Tap


def make_optimiser(spec: PeerSpec, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that a ``PeerSpec`` names, over these parameters."""
    if spec.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=spec.lr, weight_decay=spec.weight_decay)
    return torch.optim.SGD(
        parameters, lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay
    )


@dataclass
class Peer:
    """A live network with its optimiser."""

    spec: PeerSpec
    backbone: Backbone
    optimiser: torch.optim.Optimizer

    @classmethod
    def build(
        cls,
        spec: PeerSpec,
        problem: Problem,
        generator: torch.Generator,
        device: torch.device,
        modules: Mapping[str, Any],
    ) -> Peer:
        """A fresh network in training mode, without dropout, and an optimiser that holds it.

        Raises:
            UsageError: a name that is not known, or a part to learn or to match that the network
                has not.
        """
        backbone = build(spec, problem.modality, problem.classes, generator, modules).to(device)
        backbone.train()
        still_dropout(backbone)
        parameters_of(backbone, spec.matches)  # refuses here what the first step would refuse
        parameters = parameters_of(backbone, spec.learns).values()
        return cls(spec, backbone, make_optimiser(spec, parameters))

    @property
    def parameters(self) -> list[Tensor]:
        """Parameters whose gradients are matched, in the module's order."""
        held = parameters_of(self.backbone, self.spec.matches).values()
        return [p for p in held if p.requires_grad]

    @property
    def learning(self) -> list[Tensor]:
        """Those that its optimiser moves: all, or those of the part that its spec names."""
        held = parameters_of(self.backbone, self.spec.learns).values()
        return [p for p in held if p.requires_grad]

    def restart(self, generator: torch.Generator, keep: bool = False) -> None:
        """The network begins again, in place, with a fresh optimiser state.

        Args:
            generator: where fresh weights come from.
            keep: leave the head as it is; of a peer that learns word vectors alone, those (the
                released code never draws anew what learns, where the rest stands still).
        """
        words = self.spec.learns == "embedding"
        self.backbone.restart(generator, keep and not words, keep and words)
        self.optimiser.state.clear()

    def learn(self, batch: Batch) -> tuple[float, int]:
        """One step of cross-entropy: its mean, and how many samples were right before the step."""
        logits = self.backbone.read(batch, taps=False).logits
        loss = cross_entropy(logits, batch.y)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward(inputs=self.learning)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        target = batch.y if batch.y.ndim == 1 else batch.y.argmax(1)
        return float(loss.detach()), int((logits.argmax(1) == target).sum())

    def tensors(self) -> dict[str, Any]:
        """Weights, buffers and the optimiser's state, for a checkpoint."""
        return {"network": self.backbone.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave, in place."""
        self.backbone.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])


class Cohort:
    """An ordered list of one or more peers. Nothing here knows how many there are."""

    def __init__(self, peers: Sequence[Peer]) -> None:
        self.peers = list(peers)

    @classmethod
    def build(
        cls,
        specs: Sequence[PeerSpec],
        problem: Problem,
        streams: Streams,
        device: torch.device,
        modules: Mapping[str, Any],
    ) -> Cohort:
        """Build each network under its own stream and its optimiser over its live parameters.

        Raises:
            UsageError: no peer at all, or a name that is not known.
        """
        if not specs:
            raise UsageError("at least one peer is needed to judge the synthetic set")
        return cls(
            [
                Peer.build(spec, problem, streams("build", index), device, modules)
                for index, spec in enumerate(specs)
            ]
        )

    def __len__(self) -> int:
        return len(self.peers)

    def __iter__(self) -> Any:
        return iter(self.peers)

    def turn(self, step: int, every: int) -> Peer:
        """Whose turn it is to choose the real samples: peers alternate every ``every`` steps."""
        return self.peers[(step // every) % len(self.peers)]

    def restart(self, streams: Streams, step: int, keep_head: bool = False) -> None:
        """All networks begin again, in place, with fresh optimiser states."""
        for index, peer in enumerate(self.peers):
            peer.restart(streams("restart", step, index), keep_head)

    def taps(self, batch: Batch) -> list[tuple[Tap, ...]]:
        """Taps of every peer for one batch."""
        return [peer.backbone.read(batch).taps for peer in self.peers]

    def learn(self, batches: Iterable[Batch], alignment: Alignment | None) -> list[float]:
        """Every peer learns from the same real batches; with an alignment, from each other as well.

        One backward of the sum of all cross-entropies and the agreement (HMDC section 3, mutual
        distillation), one step of every optimiser per batch. The alignment itself does not move.

        Returns:
            Mean cross-entropy of each peer over the batches.
        """
        totals, count = [0.0] * len(self.peers), 0
        learning = [p for peer in self.peers for p in peer.learning]
        for batch in batches:
            readings = [
                peer.backbone.read(batch, taps=alignment is not None) for peer in self.peers
            ]
            losses = [cross_entropy(reading.logits, batch.y) for reading in readings]
            total = torch.stack(losses).sum()
            if alignment is not None:
                total = total + alignment([reading.taps for reading in readings])
            for peer in self.peers:
                peer.optimiser.zero_grad(set_to_none=True)
            total.backward(inputs=learning)
            for peer in self.peers:
                peer.optimiser.step()
            totals = [t + float(loss.detach()) for t, loss in zip(totals, losses, strict=True)]
            count += 1
        for peer in self.peers:
            peer.optimiser.zero_grad(set_to_none=True)
        return [total / max(1, count) for total in totals]

    def tensors(self) -> list[dict[str, Any]]:
        """Weights, buffers and optimiser states, for a checkpoint."""
        return [peer.tensors() for peer in self.peers]

    def load(self, saved: Sequence[Mapping[str, Any]]) -> None:
        """Take over what ``tensors`` gave, in place."""
        for peer, one in zip(self.peers, saved, strict=True):
            peer.load(one)


def still_dropout(module: nn.Module) -> None:
    """Switch dropout off: real and synthetic samples must meet the same network.

    Of layers, of attention and of recurrent networks; and of whole residual branches (stochastic
    depth), of timm's networks and of torchvision's.
    """
    from timm.layers import DropPath
    from torchvision.ops import StochasticDepth

    for layer in module.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd | StochasticDepth):
            layer.p = 0.0
        elif isinstance(layer, nn.MultiheadAttention | nn.RNNBase):
            layer.dropout = 0.0
        elif isinstance(layer, DropPath):
            layer.drop_prob = 0.0


def align(
    cohort: Cohort, alignment: Alignment, optimiser: torch.optim.Optimizer, batches: Iterable[Batch]
) -> float:
    """The alignment learns to make the peers agree; the peers stand still. Mean agreement."""
    total, count = 0.0, 0
    for batch in batches:
        with torch.no_grad():
            taps = cohort.taps(batch)
        loss = alignment(taps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total, count = total + float(loss.detach()), count + 1
    optimiser.zero_grad(set_to_none=True)
    return total / max(1, count)
