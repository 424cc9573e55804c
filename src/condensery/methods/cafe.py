"""CAFE: condensation by aligning features.

Wang, Zhao, Peng, Zhu, Yang, Wang, Huang, Bilen, Wang and You, "CAFE: Learning to Condense Dataset
by Aligning Features", CVPR 2022.
Class means of features are aligned in every layer of a network; real samples must be told apart by
the centres of the synthetic classes; and the accuracy on real samples decides when the network has
learned enough from the set, and when a fresh network is due.

Differs from the paper: both loops have a cap, without which a network that has come to rest, or a
problem of many classes, never ends; the query has about the same number of samples whatever the
number of classes. The length of a run is counted in image updates, of which a network gets ten or
more, and not in networks. What is exported, and judged, are pixels of 8 bits. Layers are weighted
and the discrimination is a sum over real samples, as in the authors' code. Batch norms, which the
paper's networks do not have, use the statistics of mixed real samples while features are aligned.

Differs from the authors' code (HMDC's re-implementation differs further; its behaviours are fields,
all together in preset ``hmdc-authors``): any number of classes and size of samples; the query's
accuracy is its own and holds no part of the one before; the windows ask for 0.05 both, as the paper
does (0.04 and 0.03); the gradient is taken in two passes, class by class, which gives the same as
one graph of all classes; the cross-entropy of real samples, which no path connects with the set, is
left out; every draw has a stream of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.core.cohort import Cohort
from condensery.core.features import altered_each, altered_pair, perhaps_mixed, steady
from condensery.core.matching import leaf_gradient
from condensery.core.sampling import candidates, drawn
from condensery.core.starts import STARTS
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import RunError, UsageError
from condensery.methods.base import Context, Info, Method, PeersState, State
from condensery.modality import Augmentation, Codec
from condensery.models.backbone import Backbone, PeerSpec
from condensery.types import Batch, Reading


@dataclass
class Window:
    """The last few accuracies, of which the range tells whether anything moves; CAFE section 3.3.

    Attributes:
        size: how many. values: those that there are, the newest last; fewer than ``size``.
    """

    size: int
    values: list[float] = field(default_factory=list)

    def push(self, value: float) -> float | None:
        """The range of the last ``size`` values with this one; None while there are fewer."""
        values = [*self.values, value]
        self.values = values[-(self.size - 1) :] if self.size > 1 else []
        return max(values) - min(values) if len(values) == self.size else None


class Seen(NamedTuple):
    """One class as the network sees it.

    Attributes:
        real, synthetic: the class mean of every layer's features, the embedding last.
        features: embeddings of the real samples, ``(batch, width)``.
    """

    real: list[Tensor]
    synthetic: list[Tensor]
    features: Tensor


@dataclass
class CAFEState(PeersState):
    """What CAFE moves: the set, its optimiser, a network, its accuracies.

    Attributes:
        network: networks before this one. updates: image updates with this one.
        finished: whether a fresh network is due. sizes: features of each layer.
    """

    window: Window = None  # type: ignore[assignment]
    network: int = 0
    updates: int = 0
    finished: bool = False
    sizes: tuple[int, ...] = ()

    @property
    def backbone(self) -> Backbone:
        """The network."""
        return self.cohort.peers[0].backbone

    def tensors(self) -> dict[str, Any]:
        """Everything that a resume needs."""
        return super().tensors() | {
            "window": list(self.window.values),
            "network": self.network,
            "updates": self.updates,
            "finished": self.finished,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave, in place."""
        super().load(saved)
        self.window.values = [float(value) for value in saved["window"]]
        self.network, self.updates = int(saved["network"]), int(saved["updates"])
        self.finished = bool(saved["finished"])


@dataclass(frozen=True)
class CAFE(Method):
    """Condensation by aligning features (Wang et al., CVPR 2022).

    Defaults are CAFE without augmentation; ``operations`` of DSA make it CAFE+DSA.

    Attributes:
        peer: the network.
        start_from: the step-0 set: noise, random, kmeans, mean, herding or mosaic.
        factor: tiles per side of a stored image; 1 packs nothing.
        lr: step of the synthetic set, in data-normalised units. momentum: of its SGD.
        halve_at: numbers of networks, from 0, at which ``lr`` is halved.
        layer_weights: of each tap's alignment, shallow to deep; with other numbers of taps the
            deepest keep theirs, and further shallow ones get the first.
        embedding_weight: the same for the embedding (of a ConvNet the last tap once more).
        statistic: ``class``: mean features of each class; ``all``: one number a layer for all
            classes together (HMDC's authors).
        discrimination: weight of the discrimination loss.
        discrimination_over: real samples ``sum`` or ``mean`` of it (HMDC's authors).
        real_batch: real samples per class; a smaller class gives all it has.
        query: real samples of all classes together by which accuracy is measured.
        window: accuracies of which the range is taken.
        settled: a range below it after image updates calls for a fresh network.
        moved: a range above it after epochs on the set calls for an image update.
        most_updates: image updates of one network at most. most_epochs: epochs between two at most.
        train_batch: decoded samples in a batch when the network learns.
        operations: augmentations, one drawn for each class and step (and for each batch when the
            network learns); flip only where a mirrored sample keeps its class.
        mixup: probability of CutMix when the network learns. mixup_in_matching: within the class
            in matching (HMDC's authors).
        keep_head: a fresh network keeps its head (HMDC's authors).
        clamp: bring pixels back to their range after each step (the authors' code does not; what
            is exported always is).
    """

    title: ClassVar[str] = "CAFE"
    paper: ClassVar[str] = "Wang et al., CVPR 2022"
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    default_steps: ClassVar[int] = 20_000

    peer: PeerSpec = PeerSpec("convnet3", lr=1e-2)
    start_from: Literal["noise", "random", "kmeans", "mean", "herding", "mosaic"] = "noise"
    factor: int = 1
    lr: float = 0.1
    momentum: float = 0.5
    halve_at: tuple[int, ...] = (1200, 1600, 1800)
    layer_weights: tuple[float, ...] = (0.1, 0.1, 1.0, 1.0)
    embedding_weight: float = 1.0
    statistic: Literal["class", "all"] = "class"
    discrimination: float = 0.01
    discrimination_over: Literal["sum", "mean"] = "sum"
    real_batch: int = 256
    query: int = 1280
    window: int = 10
    settled: float = 0.05
    moved: float = 0.05
    most_updates: int = 100
    most_epochs: int = 100
    train_batch: int = 256
    operations: tuple[str, ...] = ()
    mixup: float = 0.0
    mixup_in_matching: float = 0.0
    keep_head: bool = False
    clamp: bool = False

    def peers_used(self) -> tuple[str, ...]:
        """The network."""
        return (self.peer.name,)

    def codec(self, problem: Problem) -> Codec:
        """The modality's own, whole samples unless ``factor`` says otherwise."""
        return problem.modality.codec(self.factor, clamp=self.clamp)

    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """Noise, or real samples."""
        streams = context.streams.child("start")
        return STARTS[self.start_from](problem, per_class, self.codec(problem), streams)

    def init(self, problem: Problem, start: SyntheticSet, context: Context) -> CAFEState:
        """A network and an empty window around a copy of the start."""
        self._check()
        synthetic = start.clone().to(context.device)
        cohort = Cohort.build(
            (self.peer,), problem, context.streams, context.device, context.modules
        )
        backbone = cohort.peers[0].backbone.eval()
        with torch.no_grad():
            layers = layers_of(backbone.read(problem.batch(range(1), device=context.device)))
        backbone.train()
        return CAFEState(
            synthetic=synthetic,
            cohort=cohort,
            optimiser=torch.optim.SGD(
                list(synthetic.stored.values()), lr=self.lr, momentum=self.momentum
            ),
            window=Window(self.window),
            sizes=tuple(layer[0].numel() for layer in layers),
        )

    def step(self, state: State, problem: Problem, context: Context) -> Info:
        """Move the set once; then a fresh network is due, or this one learns from the set."""
        assert isinstance(state, CAFEState)
        if state.finished:
            self._next_network(state, context)
        state.optimiser.param_groups[0]["lr"] = self.rate(state.network)
        terms = self._update(state, problem, context)
        accuracy = self.accuracy(state.backbone, problem, context, state.step, 0)
        state.updates += 1
        spread = state.window.push(accuracy)
        at_rest = spread is not None and spread < self.settled
        state.finished = at_rest or state.updates >= self.most_updates
        epochs = 0 if state.finished else self._learn(state, problem, context)
        told = {
            "terms": terms,
            "accuracy": accuracy,
            "network": state.network,
            "epochs": epochs,
            "capped updates": int(state.finished and not at_rest),
            "capped epochs": int(epochs == self.most_epochs),
        }
        state.step += 1
        return Info(told)

    # The parts of a step, in the order in which they are used.

    def _next_network(self, state: CAFEState, context: Context) -> None:
        """A fresh network with an empty window; the set and its momentum go on."""
        state.cohort.restart(context.streams, state.step, self.keep_head)
        state.window.values = []
        state.network, state.updates, state.finished = state.network + 1, 0, False

    def rate(self, network: int) -> float:
        """The learning rate of the set for a network, counted from 0."""
        return self.lr * 0.5 ** sum(network >= at for at in self.halve_at)

    def _update(self, state: CAFEState, problem: Problem, context: Context) -> list[float]:
        """Move the set once, in two passes; values of alignment and discrimination.

        The first pass finds, without a graph, what class means are and how the loss falls with
        them; the second carries that to the stored samples, class by class.
        """
        own = context.world.share(problem.labels)
        with steady(state.backbone, lambda: self._mixed(problem, context, state.step)):
            with torch.no_grad():
                seen = {label: self._see(state, problem, label, context) for label in own}
            slopes, values = self.slopes(state, problem, seen, context)
            for label in own:
                leaves = state.synthetic.leaves(label)
                _, synthetic = self._pair(state, problem, label, leaves, context)
                layers = layers_of(state.backbone.read(synthetic))
                parts = [
                    (slope * layer.mean(0)).sum()
                    for slope, layer in zip(slopes[label], layers, strict=True)
                ]
                total = torch.stack(parts).sum()
                state.synthetic.pull(label, leaf_gradient(total, leaves, retain=False))
        state.synthetic.gather(context.world.sum)
        state.synthetic.descend(state.optimiser)
        return values

    def _see(self, state: CAFEState, problem: Problem, label: int, context: Context) -> Seen:
        """Class means of real and synthetic samples in every layer."""
        leaves = state.synthetic.of(label)
        real, synthetic = (
            layers_of(state.backbone.read(batch))
            for batch in self._pair(state, problem, label, leaves, context)
        )
        means = [[layer.mean(0) for layer in layers] for layers in (real, synthetic)]
        return Seen(means[0], means[1], real[-1])

    def slopes(
        self, state: CAFEState, problem: Problem, seen: Mapping[int, Seen], context: Context
    ) -> tuple[dict[int, list[Tensor]], list[float]]:
        """How the loss changes with each class's mean features, and the loss's two parts.

        Args:
            seen: this worker's classes; the centres of all classes are gathered.

        Returns:
            For each class of ``seen`` one tensor a layer, shaped like its mean; alignment and
            discrimination summed over all classes and weighted.
        """
        weights = spread_weights(self.layer_weights, len(state.sizes) - 1)
        weights = (*weights, self.embedding_weight)
        aligned, slopes = self._alignment(state, problem, seen, weights, context)
        centres = torch.zeros(problem.classes, state.sizes[-1], device=context.device)
        for label, one in seen.items():
            centres[label] = one.synthetic[-1]
        centres = context.world.sum(centres)
        # In double precision, so that the order in which workers add does not matter.
        pushes, told, samples = torch.zeros_like(centres, dtype=torch.float64), 0.0, 0
        for label, one in seen.items():
            loss, gradient = discriminate(one.features, label, centres)
            pushes += gradient.double()
            told, samples = told + loss, samples + len(one.features)
        pushes, totals = context.world.sum(pushes), torch.tensor([aligned, told, float(samples)])
        totals = context.world.sum(totals.double().to(context.device))
        over = float(totals[2]) if self.discrimination_over == "mean" else 1.0
        scale = self.discrimination / over
        for label in seen:
            slopes[label][-1] = slopes[label][-1] + (scale * pushes[label]).to(centres)
        values = [float(totals[0]), scale * float(totals[1])]
        for name, value in zip(("alignment", "discrimination"), values, strict=True):
            if not np.isfinite(value):
                raise RunError(
                    f"the {name} is not finite at step {state.step}: lower lr, or the learning "
                    f"rate of the peer"
                )
        return slopes, values

    def _alignment(
        self,
        state: CAFEState,
        problem: Problem,
        seen: Mapping[int, Seen],
        weights: Sequence[float],
        context: Context,
    ) -> tuple[float, dict[int, list[Tensor]]]:
        """This worker's part of the alignment loss, and its slopes."""
        if self.statistic == "class":
            found = {label: align(one.real, one.synthetic, weights) for label, one in seen.items()}
            slopes = {label: slope for label, (_, slope) in found.items()}
            return sum(loss for loss, _ in found.values()), slopes
        means = torch.zeros(2, problem.classes, len(weights), device=context.device)
        for label, one in seen.items():
            means[0, label] = torch.stack([layer.mean() for layer in one.real])
            means[1, label] = torch.stack([layer.mean() for layer in one.synthetic])
        real, synthetic = context.world.sum(means).mean(1)
        loss, numbers = align(list(real), list(synthetic), weights)
        shares = [
            number / (problem.classes * size)
            for number, size in zip(numbers, state.sizes, strict=True)
        ]
        slopes = {
            label: [share.expand_as(mean) for share, mean in zip(shares, one.real, strict=True)]
            for label, one in seen.items()
        }
        return loss / context.world.size, slopes

    def _pair(
        self,
        state: CAFEState,
        problem: Problem,
        label: int,
        leaves: Mapping[str, Tensor],
        context: Context,
    ) -> tuple[Batch, Batch]:
        """Real and synthetic samples of a class, altered by one draw: the same in both passes."""
        streams = context.streams.child("match", state.step, label)
        real = drawn(problem, label, self.real_batch, streams("real"), context.device)
        return altered_pair(
            real,
            state.synthetic.decoded(label, leaves),
            self._augmentation(problem),
            streams,
            problem.classes,
            self.mixup_in_matching,
        )

    def _learn(self, state: CAFEState, problem: Problem, context: Context) -> int:
        """The network learns from the set until its accuracy has moved; how many epochs."""
        samples, window = state.synthetic.decode(), Window(self.window)
        augmentation, peer = self._augmentation(problem), state.cohort.peers[0]
        for epoch in range(1, self.most_epochs + 1):
            key = ("learn", state.step, epoch)
            order = torch.randperm(len(samples.y), generator=context.streams(*key))
            for index, part in enumerate(order.to(samples.y.device).split(self.train_batch)):
                streams = context.streams.child(*key, index)
                batch = Batch(samples.x[part], samples.y[part])
                batch = altered_each(augmentation, streams("draw"), batch)
                peer.learn(perhaps_mixed(augmentation, streams, batch, problem.classes, self.mixup))
            accuracy = self.accuracy(peer.backbone, problem, context, state.step, epoch)
            spread = window.push(accuracy)
            if spread is not None and spread > self.moved:
                return epoch
        return self.most_epochs

    @torch.no_grad()
    def accuracy(
        self, network: Backbone, problem: Problem, context: Context, step: int, epoch: int
    ) -> float:
        """Accuracy in [0, 1] on fresh real samples, the mean over classes; unaugmented.

        Args:
            step, epoch: where the run is; each has samples of its own.
        """
        each = max(1, self.query // problem.classes)
        parts = [
            candidates(problem.of(label), each, context.streams("query", step, epoch, label))
            for label in problem.labels
        ]
        training = network.training
        network.eval()
        batches = [
            problem.batch(places, device=context.device)
            for places in torch.from_numpy(np.concatenate(parts)).split(256)
        ]
        right = [network.read(one, taps=False).logits.argmax(1) == one.y for one in batches]
        network.train(training)
        by_class = torch.cat(right).split([len(part) for part in parts])
        return float(np.mean([float(one.float().mean()) for one in by_class]))

    def _mixed(self, problem: Problem, context: Context, step: int) -> Batch:
        """Real samples of all classes."""
        positions = candidates(
            np.arange(len(problem.train)), self.train_batch, context.streams("steady", step)
        )
        return problem.batch(positions, device=context.device)

    # What follows from the settings.

    def _check(self) -> None:
        counts = (self.real_batch, self.query, self.window, self.train_batch)
        if self.lr <= 0 or min(*counts, self.most_updates, self.most_epochs) < 1:
            raise UsageError(
                "cafe: lr, real_batch, query, window, train_batch, most_updates and most_epochs "
                "must be positive"
            )
        if not self.layer_weights:
            raise UsageError("cafe: layer_weights needs at least one weight")

    def _augmentation(self, problem: Problem) -> Augmentation:
        return problem.modality.augmentation(self.operations, choose="one")


def layers_of(reading: Reading) -> list[Tensor]:
    """Features of all taps, shallow to deep, each ``(batch, channels, *grid)``; then embeddings."""
    return [*(tap.spatial for tap in reading.taps), reading.embedding.flatten(1)]


def spread_weights(weights: Sequence[float], taps: int) -> tuple[float, ...]:
    """One weight a tap: the deepest keep theirs, further shallow ones get the first."""
    if taps <= len(weights):
        return tuple(weights[len(weights) - taps :])
    return (weights[0],) * (taps - len(weights)) + tuple(weights)


def align(
    real: Sequence[Tensor], synthetic: Sequence[Tensor], weights: Sequence[float]
) -> tuple[float, list[Tensor]]:
    """Feature alignment of one class: squared distances of its means, summed over layers.

    CAFE equation 3, with the authors' weights of the layers.

    Returns:
        The loss, and its gradient with respect to each of ``synthetic``.
    """
    gaps = [s - r for r, s in zip(real, synthetic, strict=True)]
    loss = sum(w * float(gap.square().sum()) for w, gap in zip(weights, gaps, strict=True))
    return loss, [2 * w * gap for w, gap in zip(weights, gaps, strict=True)]


def discriminate(features: Tensor, label: int, centres: Tensor) -> tuple[float, Tensor]:
    """Discrimination loss of one class's real samples, summed; CAFE equations 5 to 7.

    Real samples are classified by inner products with the centres of the synthetic classes.

    Args:
        features: ``(batch, width)``, constant. centres: ``(classes, width)``.

    Returns:
        The summed cross-entropy, and its gradient ``(classes, width)`` with respect to the centres.
    """
    logits = features.float() @ centres.float().T
    target = torch.full((len(features),), label, device=features.device)
    loss = F.cross_entropy(logits, target, reduction="sum")
    error = logits.softmax(1)
    error[:, label] -= 1
    return float(loss), error.T @ features.float()
