"""IDC: dataset condensation via efficient synthetic-data parameterisation.

Kim, Kim, Oh, Yun, Song, Jeong, Ha and Song, "Dataset Condensation via Efficient Synthetic-Data
Parameterization", ICML 2022.
Each stored image holds several small ones (multi-formation), which are matched class by class: they
shall cause the gradients in a network that real samples cause, while the network learns from real
data and begins afresh every so often.

Differs from the paper: pixels are normalised by the data's own mean and std. The step after each
class on one leaf is taken in its closed form (``sweep``): every class meets each of its own
gradients where the paper's loop would have brought it, so that workers can share the classes; only
the coasting after the very last gradient is done at once. Which parameters are matched is told by
their kind and name and not by their dimensions alone, so that a transformer keeps its matrices.
Batch norms use the statistics of mixed real samples while gradients are matched. Gradients are
matched, features are not.

Differs from the authors' code: real samples of a start are drawn at random, not the first of their
class; the tiles of a side must divide it; of their formations ``single`` and ``multi`` are here,
``bound``, which only their ImageNet presets use, is not: ``synthetic_batch`` bounds what is
matched; networks that were trained beforehand (``pretrained``) are trained when they are first
wanted; every draw has a stream of its own. HMDC's authors' re-implementation differs further; its
behaviours are fields, all together in preset ``hmdc-authors``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from condensery.core.cohort import Cohort, Peer
from condensery.core.features import altered_pair, class_by_class, steady
from condensery.core.learning import batches_of, learn, nth_batch
from condensery.core.matching import (
    Gradients,
    cross_entropy,
    distance,
    double_backward,
    matched,
    parameter_gradients,
    weighted_terms,
)
from condensery.core.sampling import embed
from condensery.core.starts import STARTS
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods.base import Context, Info, Method, PeersState, State, finite
from condensery.modality import Augmentation, Codec
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.types import Batch

REFERENCE_PER_CLASS = 10


@dataclass
class IDCState(PeersState):
    """What IDC moves: the set, its optimiser, the network.

    Attributes:
        trained: weights of networks that were trained beforehand, by ``number/epochs``.
    """

    trained: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def peer(self) -> Peer:
        """The network."""
        return self.cohort.peers[0]

    def tensors(self) -> dict[str, Any]:
        """Everything that a resume needs."""
        return super().tensors() | {"trained": self.trained}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave, in place."""
        super().load(saved)
        self.trained = {name: dict(weights) for name, weights in saved["trained"].items()}


@dataclass(frozen=True)
class IDC(Method):
    """Condensation by efficient parameterisation (Kim et al., ICML 2022).

    Defaults are the authors' settings for CIFAR; those for other data: preset ``paper``.

    Attributes:
        peer: the network whose gradients are matched.
        start_from: the step-0 set: random, kmeans (of the network's embeddings, as it was drawn),
            mean or noise.
        factor: tiles per side of a stored image; 1 packs nothing ("IDC-I").
        formation: what decoding reads: the tiles (``single``), or also the whole image and every
            coarser cut of it (``multi``).
        lr: step of the synthetic set, in units of what is stored (pixels in [0, 1]), for 10 samples
            per class of the reference side. momentum: of its SGD, below 1.
        scale_lr: of images: multiply ``lr`` by samples per class / 10 and by an image's area /
            reference_side squared, against the mean in the loss.
        reference_side: of the images that ``lr`` is for (the authors: 28 for MNIST, 224 for
            ImageNet).
        sweep: ``classes``: as if the optimiser stepped after each class (the authors' code);
            ``once``: one step for all (HMDC's authors).
        clamp: bring pixels back to [0, 1] at each ``restart``, after each ``step``, or ``never``
            (HMDC's authors). What is exported always is.
        metric: distance of gradients: ``mse`` (squares, summed), ``l1``, ``l1_mean`` or ``cos``.
        biases: match biases and the gains of norms too. head: match the classifier too.
        real_batch: real samples per class in matching; a smaller class gives all it has.
        synthetic_batch: at most this many decoded samples per class in matching.
        restart_every: steps until the network begins afresh.
        keep_head: a fresh network keeps its head (HMDC's authors).
        early_epochs: over the real data that a fresh network learns before its first step.
        pretrained: networks trained beforehand, one of which takes the place of a fresh network; 0:
            none. pretrained_epochs: real epochs behind it; pretrained_spread: or one of so many
            consecutive numbers of epochs from that on.
        train_samples: real samples that the network learns from per step (the batch that reaches it
            completes it); 0: it stays as it was drawn. train_batch: samples in a batch.
        operations: augmentations of matching and learning; flip only where a mirrored sample keeps
            its class, no cutout when the network learns with CutMix.
        mixup: probability of CutMix per batch when the network learns. mixup_in_matching: the same
            within the class in matching (HMDC's authors).
        brightness_only: colour is brightness alone (HMDC's authors).
        cutout_with_mixup: keep cutout beside CutMix (HMDC's authors).
        two_corners: scale and rotate with a grid of other ``align_corners`` (HMDC's authors).
        normalised_storage: store normalised values and decode tiles column by column with
            ``align_corners`` (HMDC's authors).
        candidates: cluster at most this many samples of a class; None: all of it.
        seeding: k-means++ by ``squared`` distance, or ``distance`` (HMDC's authors).
    """

    title: ClassVar[str] = "IDC"
    paper: ClassVar[str] = "Kim et al., ICML 2022"
    modalities: ClassVar[tuple[str, ...]] = ("image", "audio", "text")
    default_steps: ClassVar[int] = 200_000

    peer: PeerSpec = PeerSpec("convnet3", lr=1e-2, momentum=0.9, weight_decay=5e-4)
    start_from: Literal["random", "kmeans", "mean", "noise", "odds"] = "random"
    factor: int = 2
    formation: Literal["single", "multi"] = "single"
    lr: float = 5e-3
    momentum: float = 0.5
    scale_lr: bool = True
    reference_side: int = 32
    sweep: Literal["classes", "once"] = "classes"
    clamp: Literal["restart", "step", "never"] = "restart"
    metric: Literal["mse", "l1", "l1_mean", "cos"] = "mse"
    biases: bool = False
    head: bool = False
    real_batch: int = 64
    synthetic_batch: int = 128
    restart_every: int = 100
    keep_head: bool = False
    early_epochs: int = 0
    pretrained: int = 0
    pretrained_epochs: int = 5
    pretrained_spread: int = 1
    train_samples: int = 2000
    train_batch: int = 64
    operations: tuple[str, ...] = ("color", "crop", "cutout")
    mixup: float = 0.5
    mixup_in_matching: float = 0.0
    brightness_only: bool = False
    cutout_with_mixup: bool = False
    two_corners: bool = False
    normalised_storage: bool = False
    candidates: int | None = None
    seeding: Literal["squared", "distance"] = "squared"

    def __post_init__(self) -> None:
        positive = ("factor", "lr", "reference_side", "real_batch", "synthetic_batch",
                    "restart_every", "train_batch", "pretrained_spread")  # fmt: skip
        for name in positive:
            if getattr(self, name) <= 0:
                raise UsageError(f"{self._name}: {name} must be positive, got "
                                 f"{getattr(self, name)}")  # fmt: skip
        for name in ("early_epochs", "pretrained", "pretrained_epochs", "train_samples"):
            if getattr(self, name) < 0:
                raise UsageError(f"{self._name}: {name} counts from 0, got {getattr(self, name)}")
        for name in ("mixup", "mixup_in_matching"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{self._name}: {name} is a probability between 0 and 1, got "
                                 f"{getattr(self, name)}")  # fmt: skip
        if not 0 <= self.momentum < 1:
            raise UsageError(f"{self._name}: momentum lies in [0, 1), got {self.momentum}")
        if self.candidates is not None and self.candidates < 1:
            raise UsageError(f"{self._name}: candidates counts samples, from 1; got "
                             f"{self.candidates}")  # fmt: skip

    def peers_used(self) -> tuple[str, ...]:
        """The network."""
        return (self.peer.name,)

    def codec(self, problem: Problem) -> Codec:
        """Packed samples; a tile of an image takes every ``factor``-th pixel of a real sample."""
        clamp = self.clamp == "step"
        if self.normalised_storage:
            asked = {"corners": True, "space": "normalised", "order": "column"}
        else:
            asked = {"shrink": "nearest"}
        return problem.modality.codec(self.factor, clamp=clamp, formation=self.formation, **asked)

    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """The step-0 set."""
        streams, extra = context.streams.child("start"), {}
        if self.start_from == "kmeans":
            first = self._cohort(problem, context).peers[0].backbone
            extra = {
                "embed": lambda where: embed(first, problem, where, context.device),
                "most": self.candidates,
                "seeding": self.seeding,
            }
        return STARTS[self.start_from](problem, per_class, self.codec(problem), streams, **extra)

    def init(self, problem: Problem, start: SyntheticSet, context: Context) -> IDCState:
        """A network around a copy of the start."""
        self._augmentation(problem)  # an unknown operation is said before any time is spent
        synthetic = start.clone().to(context.device)
        cohort = self._cohort(problem, context)
        matched(cohort.peers[0].backbone, self.biases, self.head)
        lr, momentum = self.rate(synthetic), self.momentum
        if self.sweep == "classes":
            lr, momentum = class_by_class(lr, momentum, problem.classes)
        optimiser = torch.optim.SGD(list(synthetic.stored.values()), lr=lr, momentum=momentum)
        return IDCState(synthetic, cohort=cohort, optimiser=optimiser)

    def step(self, state: State, problem: Problem, context: Context) -> Info:
        """Match each class's gradients and move its samples, then let the network learn."""
        assert isinstance(state, IDCState)
        self.prepare(state, problem, context)
        losses = []
        with steady(state.peer.backbone, lambda: self._mixed(state, problem, context)):
            for label in context.world.share(problem.labels):
                leaves = state.synthetic.leaves(label)
                loss = self.loss(state, problem, label, leaves, context)
                finite(loss, state, problem.label_names[label])
                term = weighted_terms([loss], leaves, [1.0])
                state.synthetic.pull(label, term.gradient)
                losses.append(term.value)
        state.synthetic.gather(context.world.sum)
        state.synthetic.descend(state.optimiser, convert=False)
        each = batches_of(self.train_samples, self.train_batch)
        which = range(each * state.step, each * (state.step + 1))
        learning = self._learn(state.peer, problem, which, context.streams.child("learn"), context)
        state.step += 1
        told = [sum(learning) / len(learning)] if learning else []
        return Info({"terms": losses, "learning": told})

    # The parts of a step, in the order in which they are used.

    def prepare(self, state: IDCState, problem: Problem, context: Context) -> None:
        """Every so often: a fresh network, perhaps one that has learned, and pixels in range."""
        if state.step % self.restart_every:
            return
        if state.step > 0:  # at first it has just been built
            state.cohort.restart(context.streams, state.step, self.keep_head)
        if self.pretrained:
            state.peer.backbone.load_state_dict(self._trained(state, problem, context))
        epochs = self.early_epochs * batches_of(len(problem.train), self.train_batch)
        streams = context.streams.child("early", state.step)
        self._learn(state.peer, problem, range(epochs), streams, context)
        if self.clamp == "restart":
            codec = state.synthetic.codec.clamped()
            codec.project_(state.synthetic.stored, problem.modality)

    def _trained(self, state: IDCState, problem: Problem, context: Context) -> Mapping[str, Tensor]:
        """Weights of a network that was trained beforehand; it is trained now if it was not."""
        generator = context.streams("pretrained", state.step)
        number = int(torch.randint(self.pretrained, (), generator=generator))
        more = int(torch.randint(self.pretrained_spread, (), generator=generator))
        if f"{number}/{self.pretrained_epochs}" not in state.trained:
            streams = context.streams.child("pretrain", number)
            peer = Peer.build(self.peer, problem, streams("build"), context.device, context.modules)
            each = batches_of(len(problem.train), self.train_batch)
            for epochs in range(self.pretrained_epochs + self.pretrained_spread):
                which = range(each * max(0, epochs - 1), each * epochs)
                self._learn(peer, problem, which, streams.child("learn"), context)
                if epochs >= self.pretrained_epochs:
                    kept = {k: v.detach().clone() for k, v in peer.backbone.state_dict().items()}
                    state.trained[f"{number}/{epochs}"] = kept
        return state.trained[f"{number}/{self.pretrained_epochs + more}"]

    def loss(
        self,
        state: IDCState,
        problem: Problem,
        label: int,
        leaves: Mapping[str, Tensor],
        context: Context,
    ) -> Tensor:
        """Distance of the gradients of one class, real and synthetic: a scalar.

        Args:
            leaves: the class's stored samples, by leaf name; the loss is differentiable in them.
        """
        real, synthetic = self._pair(state, problem, label, leaves, context)
        wanted = self._gradients(state.peer, real, graph=False)
        with double_backward():
            found = self._gradients(state.peer, synthetic, graph=True)
        return distance(wanted, found, self.metric)

    def _pair(
        self,
        state: IDCState,
        problem: Problem,
        label: int,
        leaves: Mapping[str, Tensor],
        context: Context,
    ) -> tuple[Batch, Batch]:
        """Real and synthetic samples of a class, altered by one and the same draw."""
        streams = context.streams.child("match", state.step, label)
        real = problem.batch(self.real(state, problem, label, context), device=context.device)
        return altered_pair(
            real,
            state.synthetic.decoded(label, leaves),
            self._augmentation(problem),
            streams,
            problem.classes,
            self.mixup_in_matching,
            self.synthetic_batch,
        )

    def real(self, state: IDCState, problem: Problem, label: int, context: Context) -> Tensor:
        """Positions of the class's next real samples: an endless shuffled stream, whole batches."""
        positions = torch.from_numpy(problem.of(label))
        streams = context.streams.child("real", label)
        return positions[nth_batch(len(positions), self.real_batch, state.step, streams, True)]

    def _gradients(self, peer: Peer, batch: Batch, graph: bool) -> Gradients:
        parameters = matched(peer.backbone, self.biases, self.head)
        logits = peer.backbone.read(batch, taps=False).logits
        return parameter_gradients(cross_entropy(logits, batch.y), parameters, graph)

    def _learn(
        self, peer: Peer, problem: Problem, which: range, streams: Streams, context: Context
    ) -> list[float]:
        """The network learns from these batches of a stream of real samples."""
        augmentation = self._augmentation(problem)
        if self.mixup > 0 and not self.cutout_with_mixup:
            augmentation = augmentation.without("cutout")
        return learn(peer, problem, which, streams, augmentation, self.mixup, self.train_batch,
                     context.device)  # fmt: skip

    def _mixed(self, state: IDCState, problem: Problem, context: Context) -> Batch:
        """Real samples of all classes, whose statistics batch norms use."""
        streams = context.streams.child("statistics")
        positions = nth_batch(len(problem.train), self.train_batch, state.step, streams, True)
        return problem.batch(positions, device=context.device)

    # What follows from the settings.

    def rate(self, synthetic: SyntheticSet) -> float:
        """The step of the set, for its samples per class and their size, where they have one."""
        if not self.scale_lr or synthetic.modality.kind != "image":
            return self.lr
        area = math.prod(synthetic.modality.shape[1:]) / self.reference_side**2
        return self.lr * area * synthetic.per_class / REFERENCE_PER_CLASS

    def _cohort(self, problem: Problem, context: Context) -> Cohort:
        return Cohort.build((self.peer,), problem, context.streams, context.device, context.modules)

    def _augmentation(self, problem: Problem) -> Augmentation:
        return problem.modality.augmentation(
            self.operations,
            brightness_only=self.brightness_only,
            corners_grid=True if self.two_corners else None,
        )

    @property
    def _name(self) -> str:
        return type(self).title.lower()
