"""HMDC: heterogeneous model dataset condensation.

Moon, Kim and Park, "Towards Model-Agnostic Dataset Condensation by Heterogeneous Models", ECCV
2024.
Networks of unlike architecture judge the synthetic set together: each matches the gradients that
real and synthetic samples cause in it, their agreement is matched as one more term, and a balance
gives all terms an equal say.

Differs from the paper: any number of peers; one peer has no agreement term. The mean
cross-entropy's gradient is matched by the sum of squares over all parameters, the image gradient
is normalised and pixels are clamped, as the authors' code does and the paper does not say.

Differs from the authors' code (each a field, all together in preset ``released``): resets are in
place so that the ConvNet's body learns (released: only its head does); taps after each ReLU; the
head is redrawn at a restart; folding averages over depths; k-means++ with squared distances;
colour is brightness, saturation and contrast; no CutMix inside matching, no cutout beside CutMix;
one ``align_corners``; samples go straight to each peer's size; the gradient is normalised whether
or not the terms are balanced; tiles are decoded row by row and pixels are what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from condensery.core.alignment import Alignment
from condensery.core.balance import Balance
from condensery.core.cohort import Cohort, Peer, align
from condensery.core.matching import (
    cross_entropy,
    distance,
    double_backward,
    parameter_gradients,
    single_terms,
    weighted_terms,
)
from condensery.core.sampling import embed, spokesmen
from condensery.core.starts import STARTS
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import RunError, UsageError
from condensery.methods.base import Context, Info, Method, State, fill
from condensery.modality import Augmentation, Codec
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.types import Batch, Reading

KEPT_BYTES = 2**30  # gradients of real samples up to this size are kept
PEERS = (PeerSpec("convnet3", lr=1e-2), PeerSpec("vit_mini", lr=1e-3))


@dataclass
class HMDCState(State):
    """What HMDC moves: the set, its optimiser, the peers, their alignment, the balance."""

    cohort: Cohort = None  # type: ignore[assignment]
    optimiser: torch.optim.Optimizer = None  # type: ignore[assignment]
    balance: Balance = None  # type: ignore[assignment]
    alignment: Alignment | None = None
    alignment_optimiser: torch.optim.Optimizer | None = None
    chosen: Tensor = None  # type: ignore[assignment]
    # Gradients of real samples by label while nothing changes them; a resume makes them again.
    wanted: dict[int, list[Any]] = field(default_factory=dict)

    def tensors(self) -> dict[str, Any]:
        """Everything that a resume needs."""
        saved = super().tensors() | {
            "optimiser": self.optimiser.state_dict(),
            "cohort": self.cohort.tensors(),
            "balance": self.balance.sums,
            "chosen": self.chosen,
        }
        if self.alignment is not None and self.alignment_optimiser is not None:
            saved["alignment"] = self.alignment.state_dict()
            saved["alignment_optimiser"] = self.alignment_optimiser.state_dict()
        return saved

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave, in place."""
        super().load(saved)
        self.optimiser.load_state_dict(saved["optimiser"])
        self.cohort.load(saved["cohort"])
        fill({"balance": self.balance.sums}, {"balance": saved["balance"]})
        fill({"chosen": self.chosen}, {"chosen": saved["chosen"]})
        if self.alignment is not None and self.alignment_optimiser is not None:
            self.alignment.load_state_dict(saved["alignment"])
            self.alignment_optimiser.load_state_dict(saved["alignment_optimiser"])


@dataclass(frozen=True)
class HMDC(Method):
    """Heterogeneous model dataset condensation (Moon et al., ECCV 2024).

    Defaults are the supplement's, and the authors' code where it is silent; the peers are two
    networks that any machine can train from scratch (the paper's ConvNet-3 and pretrained
    ViT-Tiny: preset ``paper``).

    Attributes:
        peers: the networks that judge, one or more.
        start_from: the step-0 set: kmeans, random, mean, noise or (of text) odds.
        factor: tiles per side of a stored image, parts of a stored clip (multi-formation); 1 packs
            nothing.
        lr: step of the synthetic set, in data-normalised units. momentum: of its SGD.
        normalise_gradient: divide each image plane's gradient by its largest entry.
        balance: weigh the terms by the gradient balance; False: all weights 1.
        align: mutual distillation: match the peers' agreement and let peers learn it.
        real_batch: real samples per class in matching, and clusters they are chosen by.
        synthetic_batch: at most this many decoded samples per class in matching.
        interval: steps between choosing real samples and sampling the balance.
        candidates: cluster at most this many samples of a class; None: all of it.
        choose: real samples by ``kmeans`` of the peer whose turn it is, or at ``random``.
        restart_every: steps between restarts of peers, alignment and balance.
        keep_head: a restart leaves the peers' heads as they are (released code).
        train_samples: real samples that the peers learn from per step (the batch that reaches it
            completes it); 0: peers stay as they were drawn. train_batch: samples in a batch.
        align_samples: real samples that the alignment learns from per step, likewise.
        overrun: one batch more than those numbers ask for, as in the authors' code, which counts
            before it learns: 17 batches of 128 for 2000 samples.
        alignment_optimiser, alignment_lr: of the affine maps and the layer matrix.
        fold: how the deeper peer's taps are folded: ``average`` or ``distribute`` (released code).
        metric: gradient distance: squares ``sum`` over a tensor, or their ``mean``.
        operations: augmentations of matching and learning, those that the kind of data has; flip
            only where a mirrored sample keeps its class, cutout only where CutMix is off.
        mixup: probability of CutMix per batch when peers learn.
        mixup_in_matching: CutMix within the class in matching too (released code).
        brightness_only: colour is brightness alone (released code).
        cutout_with_mixup: keep cutout beside CutMix (released code).
        seeding: k-means++ by ``squared`` distance, or ``distance`` (released code).
        two_corners: scale and rotate with a grid of other ``align_corners`` (released code).
        through_first: resize to the first peer's input before any other's (released code).
        normalised_storage: store normalised values and decode tiles column by column with
            ``align_corners`` (released code).
        epsilon: what the balance's sums start from.
        temperature: of text: the softmax that reads stored logits (released code: 10).
        keep: of text: tokens a position that are exported and evaluated; 0, of data of form dense
            only: the whole vocabulary, begun and stored as the released code has it.
    """

    title: ClassVar[str] = "HMDC"
    paper: ClassVar[str] = "Moon et al., ECCV 2024"
    default_steps: ClassVar[int] = 300

    peers: tuple[PeerSpec, ...] = PEERS
    start_from: Literal["kmeans", "random", "mean", "noise", "odds"] = "kmeans"
    factor: int = 2
    lr: float = 5e-3
    momentum: float = 0.5
    normalise_gradient: bool = True
    balance: bool = True
    align: bool = True
    real_batch: int = 128
    synthetic_batch: int = 128
    interval: int = 10
    candidates: int | None = None
    choose: Literal["kmeans", "random"] = "kmeans"
    restart_every: int = 100
    keep_head: bool = False
    train_samples: int = 2000
    train_batch: int = 128
    align_samples: int = 2000
    overrun: bool = True
    alignment_optimiser: Literal["sgd", "adam"] = "sgd"
    alignment_lr: float = 1e-1
    fold: Literal["average", "distribute"] = "average"
    metric: Literal["sum", "mean"] = "sum"
    operations: tuple[str, ...] = ("flip", "color", "crop", "scale", "rotate", "cutout")
    mixup: float = 0.5
    mixup_in_matching: bool = False
    brightness_only: bool = False
    cutout_with_mixup: bool = False
    seeding: Literal["squared", "distance"] = "squared"
    two_corners: bool = False
    through_first: bool = False
    normalised_storage: bool = False
    epsilon: float = 1e-6
    temperature: float = 1.0
    keep: int = 15

    def __post_init__(self) -> None:
        positive = ("factor", "lr", "real_batch", "synthetic_batch", "interval", "restart_every",
                    "train_batch", "alignment_lr", "epsilon", "temperature")  # fmt: skip
        for name in positive:
            if getattr(self, name) <= 0:
                raise UsageError(f"hmdc: {name} must be positive, got {getattr(self, name)}")
        if self.candidates is not None and self.candidates < 1:
            raise UsageError(f"hmdc: candidates counts samples, from 1; got {self.candidates}")
        if self.keep < 0:
            raise UsageError(f"hmdc: keep counts the tokens of a position, from 1, and 0 is all of "
                             f"them; got {self.keep}")  # fmt: skip
        if self._aligned and all(peer.matches == "head" for peer in self.peers):
            raise UsageError("hmdc: the agreement of peers lies before their heads: let a peer "
                             "match all of it, or set align to false")  # fmt: skip
        if not 0 <= self.mixup <= 1:
            raise UsageError(f"hmdc: mixup is a probability between 0 and 1, got {self.mixup}")

    def peers_used(self) -> tuple[str, ...]:
        """Names of the peers."""
        return tuple(peer.name for peer in self.peers)

    def codec(self, problem: Problem) -> Codec:
        """Packed samples, as the modality stores them."""
        asked: dict[str, Any] = {"keep": self.keep, "temperature": self.temperature}
        if self.normalised_storage:
            asked |= {"corners": True, "space": "normalised", "order": "column"}
        return problem.modality.codec(self.factor, **asked)

    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """The step-0 set; ``kmeans`` clusters embeddings of the first peer, untrained."""
        streams = context.streams.child("start")
        extra: dict[str, Any] = {}
        if self.start_from == "kmeans":
            first = Cohort.build(
                self.peers[:1], problem, context.streams, context.device, context.modules
            ).peers[0]
            extra = {
                "embed": lambda where: embed(first.backbone, problem, where, context.device),
                "most": self.candidates,
                "seeding": self.seeding,
            }
        return STARTS[self.start_from](problem, per_class, self.codec(problem), streams, **extra)

    def init(self, problem: Problem, start: SyntheticSet, context: Context) -> HMDCState:
        """Peers, alignment and balance around a copy of the start."""
        synthetic = start.clone().to(context.device)
        cohort = Cohort.build(self.peers, problem, context.streams, context.device, context.modules)
        alignment = self._alignment(cohort, problem, context) if self._aligned else None
        targets = len(cohort) + (alignment is not None)
        return HMDCState(
            synthetic=synthetic,
            cohort=cohort,
            optimiser=torch.optim.SGD(
                list(synthetic.stored.values()), lr=self.lr, momentum=self.momentum
            ),
            balance=Balance(problem.classes, targets, self.epsilon),
            alignment=alignment,
            alignment_optimiser=self._alignment_optimiser(alignment),
            chosen=torch.full((problem.classes, self.real_batch), -1),
        )

    def step(self, state: State, problem: Problem, context: Context) -> Info:
        """Move the synthetic set once, then let the peers learn from real data."""
        assert isinstance(state, HMDCState)
        step, streams = state.step, context.streams
        if step % self.restart_every == 0:
            self._restart(state, streams)
        if self._samples(step):
            self._choose(state, problem, context)
        told: dict[int, dict[str, list[float]]] = {}
        observed = torch.zeros_like(state.balance.sums)
        for label in context.world.share(problem.labels):
            told[label] = self._pull(state, problem, label, context, observed)
        state.balance.observe(context.world.sum(observed))
        state.synthetic.gather(context.world.sum)
        state.synthetic.descend(state.optimiser, normalise=self.normalise_gradient)
        losses = state.cohort.learn(
            self._batches(problem, context, "learn", step, self.train_samples), state.alignment
        )
        told_alignment = self._align(state, problem, context)
        refuse_nonsense(losses, [peer.spec.name for peer in state.cohort], step)
        state.step += 1
        return Info(summary(told) | {"learning": losses, "alignment": told_alignment})

    # The parts of a step, in the order in which they are used.

    def _restart(self, state: HMDCState, streams: Streams) -> None:
        """Fresh peers, alignment and balance; the set and its momentum go on."""
        state.wanted.clear()
        state.balance.restart()
        if state.step == 0:
            return  # just built: nothing has been learned that should be forgotten
        state.cohort.restart(streams, state.step, self.keep_head)
        if state.alignment is not None and state.alignment_optimiser is not None:
            state.alignment.restart(streams("restart alignment", state.step))
            state.alignment_optimiser.state.clear()

    def _choose(self, state: HMDCState, problem: Problem, context: Context) -> None:
        """Real samples for the next steps: k-means in the eyes of the peer whose turn it is."""
        state.wanted.clear()
        peer = state.cohort.turn(state.step, self.interval)
        chosen = spokesmen(
            peer.backbone,
            problem,
            context.world.share(problem.labels),
            self.real_batch,
            context.streams,
            ("choose", state.step),
            context.device,
            self.candidates,
            self.seeding,
            self.choose,
        )
        state.chosen.copy_(context.world.sum(chosen))

    def _pull(
        self, state: HMDCState, problem: Problem, label: int, context: Context, observed: Tensor
    ) -> dict[str, list[float]]:
        """Add one class's balanced gradient to the set; what was seen on the way."""
        leaves = {
            name: part.detach().clone().requires_grad_()
            for name, part in state.synthetic.of(label).items()
        }
        losses = self.losses(state, problem, label, leaves, context)
        for index, loss in enumerate(losses):
            if not bool(loss.isfinite()):
                raise RunError(
                    f"term {index} of class {problem.label_names[label]!r} is not finite at step "
                    f"{state.step}: lower lr, or the learning rate of the peers"
                )
        values = [float(loss.detach()) for loss in losses]
        if not self._samples(state.step):
            weights = self._weights(state, label)
            state.synthetic.pull(label, weighted_terms(losses, leaves, weights).gradient)
            return {"terms": values, "weights": weights}
        terms = single_terms(losses, leaves)
        largest = [max(float(g.abs().max()) for g in term.gradient.values()) for term in terms]
        observed[label] = torch.tensor(largest, dtype=observed.dtype)
        weights = self._weights(state, label, largest)
        for weight, term in zip(weights, terms, strict=True):
            state.synthetic.pull(label, {n: weight * g for n, g in term.gradient.items()})
        balanced = [weight * one for weight, one in zip(weights, largest, strict=True)]
        return {"terms": values, "weights": weights, "largest": largest, "balanced": balanced}

    def losses(
        self,
        state: HMDCState,
        problem: Problem,
        label: int,
        leaves: Mapping[str, Tensor],
        context: Context,
    ) -> list[Tensor]:
        """The terms of one class, differentiable in ``leaves``: one per peer, then the agreement.

        Args:
            leaves: the class's stored samples, by leaf name.

        Returns:
            Scalars: ``len(peers)`` gradient distances, and with an alignment one more.
        """
        real, synthetic = self._pair(state, problem, label, leaves, context)
        real_gradients = self._wanted(state, problem, label, real)
        with double_backward():
            synthetic_gradients = self._gradients(state, synthetic, graph=True)
        peers = len(state.cohort)
        pairs = list(zip(real_gradients, synthetic_gradients, strict=True))
        losses = [distance(r, s, self.metric) for r, s in pairs[:peers]]
        if pairs[peers:]:
            # The agreement lies before the heads: a peer that is matched there has no say in it.
            told = [(r, s) for r, s in pairs[peers:] if any(one is not None for one in r)]
            if not told:
                raise RunError("hmdc: no peer has a parameter before its head that takes a gradient"
                               ": nothing moves their agreement; set align to false")  # fmt: skip
            losses.append(torch.stack([distance(r, s, self.metric) for r, s in told]).sum())
        return losses

    def _wanted(self, state: HMDCState, problem: Problem, label: int, real: Batch) -> list[Any]:
        """Gradients of a class's real samples, kept until others are chosen if nothing alters them.

        Peers and alignment that stand still and samples that are not augmented give the same ones
        again: of 128 texts they take nine tenths of a step.
        """
        moving = self.train_samples or self.align_samples or self.mixup_in_matching
        if moving or self._augmentation(problem).operations or not self._may_keep(state, problem):
            return self._gradients(state, real, graph=False)
        if label not in state.wanted:
            state.wanted[label] = self._gradients(state, real, graph=False)
        return state.wanted[label]

    def _may_keep(self, state: HMDCState, problem: Problem) -> bool:
        """Whether all classes' gradients fit, and looking once for twice leaves no trace.

        Batch norm counts how often it has looked, and k-means looks through it: a run that was
        resumed, hence looked once more, would choose other samples.
        """
        if self.choose == "kmeans" and any(
            isinstance(one, _BatchNorm) for peer in state.cohort for one in peer.backbone.modules()
        ):
            return False
        numbers = sum(one.numel() for peer in state.cohort for one in peer.parameters)
        terms = 1 if state.alignment is None else 2
        return 4 * numbers * terms * problem.classes <= KEPT_BYTES

    def _pair(
        self,
        state: HMDCState,
        problem: Problem,
        label: int,
        leaves: Mapping[str, Tensor],
        context: Context,
    ) -> tuple[Batch, Batch]:
        """Real and synthetic samples of a class, altered by one and the same draw."""
        key, streams = (state.step, label), context.streams
        chosen = state.chosen[label]
        real = problem.batch(chosen[chosen >= 0].cpu(), device=context.device)
        decoded = state.synthetic.codec.decode(leaves, problem.modality)
        if len(decoded) > self.synthetic_batch:
            order = torch.randperm(len(decoded), generator=streams("subset", *key))
            decoded = decoded[order[: self.synthetic_batch].to(decoded.device)]
        target = torch.full((len(decoded),), label, device=decoded.device)
        augmentation = self._augmentation(problem)
        draw = augmentation.draw(streams("match", *key), 1, shared=True)
        real = real._replace(x=augmentation.apply(draw, real.x))
        synthetic = Batch(augmentation.apply(draw, decoded), target)
        if (
            self.mixup_in_matching
            and float(torch.rand((), generator=streams("coin", *key))) < self.mixup
        ):
            # Within one class the labels stay as they are: only pixels are mixed.
            real = real._replace(
                x=augmentation.mix(streams("mix real", *key), real, problem.classes).x
            )
            mixed = augmentation.mix(streams("mix synthetic", *key), synthetic, problem.classes)
            synthetic = synthetic._replace(x=mixed.x)
        return self._detour(state, real), self._detour(state, synthetic)

    def _gradients(self, state: HMDCState, batch: Batch, graph: bool) -> list[Any]:
        """Gradients of each peer's cross-entropy, then of the agreement for each peer."""
        aligned = state.alignment is not None
        readings: list[Reading] = [p.backbone.read(batch, taps=aligned) for p in state.cohort]
        found = [
            parameter_gradients(
                cross_entropy(reading.logits, batch.y), peer.parameters, graph, retain=aligned
            )
            for peer, reading in zip(state.cohort, readings, strict=True)
        ]
        if state.alignment is not None:
            agreement = state.alignment([reading.taps for reading in readings])
            parameters = [p for peer in state.cohort for p in peer.parameters]
            gradients = parameter_gradients(agreement, parameters, graph)
            found.extend(split_by_peer(gradients, state.cohort.peers))
        return found

    def _weights(
        self, state: HMDCState, label: int, fresh: list[float] | None = None
    ) -> list[float]:
        """One weight per term: the balance, with the maxima that were sampled in this very step."""
        if not self.balance:
            return [1.0] * state.balance.sums.shape[1]
        return state.balance.weights(label, fresh)

    def _batches(
        self, problem: Problem, context: Context, name: str, step: int, samples: int
    ) -> Iterator[Batch]:
        """Augmented real batches until the step that reaches ``samples``, or the data ends."""
        order = torch.randperm(len(problem.train), generator=context.streams(name, step))
        end = samples + self.train_batch if self.overrun and samples else samples
        augmentation = self._augmentation(problem, learning=True)
        for index, start in enumerate(range(0, len(order), self.train_batch)):
            if start >= end:
                return
            batch = problem.batch(order[start : start + self.train_batch], device=context.device)
            streams = context.streams
            draw = augmentation.draw(streams(name, step, index, "draw"), len(batch.y))
            batch = batch._replace(x=augmentation.apply(draw, batch.x))
            if float(torch.rand((), generator=streams(name, step, index, "coin"))) < self.mixup:
                batch = augmentation.mix(streams(name, step, index, "mix"), batch, problem.classes)
            yield batch

    def _align(self, state: HMDCState, problem: Problem, context: Context) -> float | None:
        if state.alignment is None or state.alignment_optimiser is None:
            return None
        batches = self._batches(problem, context, "align", state.step, self.align_samples)
        return align(state.cohort, state.alignment, state.alignment_optimiser, batches)

    # What follows from the settings.

    @property
    def _aligned(self) -> bool:
        return self.align and len(self.peers) > 1

    def _samples(self, step: int) -> bool:
        """Whether real samples are chosen and the balance is sampled: after each restart too."""
        return step % self.restart_every % self.interval == 0

    def _augmentation(self, problem: Problem, learning: bool = False) -> Augmentation:
        augmentation = problem.modality.augmentation(
            self.operations,
            brightness_only=self.brightness_only,
            corners_grid=True if self.two_corners else None,
        )
        mixes = learning or self.mixup_in_matching
        if mixes and self.mixup > 0 and not self.cutout_with_mixup:
            return augmentation.without("cutout")
        return augmentation

    def _alignment(self, cohort: Cohort, problem: Problem, context: Context) -> Alignment:
        """An alignment that fits the peers' taps, read from one training sample."""
        with torch.no_grad():
            taps = []
            for peer in cohort:
                peer.backbone.eval()
                taps.append(
                    peer.backbone.read(problem.batch(np.arange(1), device=context.device)).taps
                )
                peer.backbone.train()
        generator = context.streams("build alignment")
        return Alignment(taps, generator, self.fold).to(context.device)

    def _alignment_optimiser(self, alignment: Alignment | None) -> torch.optim.Optimizer | None:
        if alignment is None:
            return None
        kind = torch.optim.SGD if self.alignment_optimiser == "sgd" else torch.optim.Adam
        return kind(alignment.parameters(), lr=self.alignment_lr)

    def _detour(self, state: HMDCState, batch: Batch) -> Batch:
        """Released code: samples pass the first peer's input size on their way to all others."""
        size = state.cohort.peers[0].backbone.size
        if not self.through_first or size is None:
            return batch
        x = F.interpolate(batch.x, list(size), mode="bilinear", align_corners=True)
        return batch._replace(x=x)


def split_by_peer(gradients: tuple[Tensor | None, ...], peers: list[Peer]) -> list[Any]:
    """A flat list of gradients, cut into one tuple per peer."""
    parts, start = [], 0
    for peer in peers:
        end = start + len(peer.parameters)
        parts.append(gradients[start:end])
        start = end
    return parts


def refuse_nonsense(losses: list[float], names: list[str], step: int) -> None:
    """Stop before what cannot be used is kept.

    Raises:
        RunError: the loss that a peer learns by is not finite; says which.
    """
    for name, loss in zip(names, losses, strict=True):
        if not math.isfinite(loss):
            raise RunError(
                f"peer {name}: the loss it learns by is not finite at step {step}: lower its lr"
            )


def summary(told: Mapping[int, Mapping[str, list[float]]]) -> dict[str, Any]:
    """Means over the classes of what they told; of gradients the largest over the classes."""
    told_values: dict[str, Any] = {}
    reductions: dict[str, Callable[..., Any]] = {
        "terms": np.mean,
        "weights": np.mean,
        "largest": np.max,
        "balanced": np.max,
    }
    for name, reduce in reductions.items():
        rows = [one[name] for one in told.values() if name in one]
        if rows:
            told_values[name] = reduce(np.array(rows), axis=0).tolist()
    return told_values
