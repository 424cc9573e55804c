"""DC and DSA: dataset condensation by gradient matching, without and with augmentation.

Zhao, Mopuri and Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021; Zhao and Bilen,
"Dataset Condensation with Differentiable Siamese Augmentation", ICML 2021.
A network that begins afresh again and again learns from the synthetic set; at each stage of its
learning the synthetic samples move so that they cause the gradients that real ones cause. DSA is DC
with one augmentation for real and synthetic samples alike, and a start from real samples.

Differs from the paper: any number of peers, whose distances add up. A budget counts updates of the
set: 1000 iterations of the paper are ``1000 * outer``. Pixels are stored (the rate is still one of
data-normalised units), normalised by the data's own mean and std.

Differs from the authors' code: the set that is kept is the one after the last update; any number of
samples per class has outer and inner loops; batch norm takes the statistics of the reference batch
as they are (released: ``statistics_momentum`` 0.1, and they stay in the network); DSA without any
operation is an error instead of DC under another name; nothing reseeds a global generator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from condensery.core.cohort import Cohort, Peer
from condensery.core.features import altered_alike, altered_each, steady
from condensery.core.matching import (
    Gradients,
    cross_entropy,
    distance,
    double_backward,
    flat_cosine,
    parameter_gradients,
    row_cosine,
    vanished,
    weighted_terms,
)
from condensery.core.sampling import candidates, drawn
from condensery.core.starts import STARTS
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods.base import Context, Info, Method, PeersState, State, finite
from condensery.modality import Augmentation, Codec
from condensery.models.backbone import PeerSpec
from condensery.types import Batch

Distance = Callable[[Gradients, Gradients], Tensor]
DISTANCES: dict[str, Distance] = {"row": row_cosine, "flat": flat_cosine, "squares": distance}
# Samples per class: image updates of one network, and epochs that it learns between two of them.
LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}


@dataclass(frozen=True)
class DC(Method):
    """Dataset condensation with gradient matching (Zhao et al., ICLR 2021).

    Attributes:
        peers: the networks whose gradients are matched; they learn from the synthetic set.
        start_from: the step-0 set: noise, random, kmeans, mean, herding, mosaic or (of text) odds.
        factor: tiles per side of a stored image; 1 packs nothing, as in the paper.
        lr: step of the synthetic set, in data-normalised units. momentum: of its SGD.
        clamp: keep pixels in [0, 1] (the authors' code does not).
        real_batch: real samples per class in matching.
        outer: updates of the set before the networks begin afresh; None: by the samples per class,
            as published (1 at 1, 10 at 10, 50 at 50; else their number).
        inner: epochs that the networks learn from the set between two updates; None: as published.
        train_batch: synthetic samples in a batch of that learning.
        metric: distance of gradients: one minus the cosine of each ``row``, of all as one ``flat``
            vector, or their ``squares`` (ablations of the paper).
        operations: augmentations of matching (real and synthetic alike) and learning, one at a
            time; none in DC. Flip only where a mirrored sample keeps its class.
        statistics_samples: real samples per class whose statistics batch norm takes in matching.
        statistics_momentum: share of them in the statistics (released code: 0.1).
    """

    title: ClassVar[str] = "DC"
    paper: ClassVar[str] = "Zhao et al., ICLR 2021"
    modalities: ClassVar[tuple[str, ...]] = ("image", "audio", "text")
    default_steps: ClassVar[int] = 1000

    peers: tuple[PeerSpec, ...] = (PeerSpec("convnet3", lr=1e-2),)
    start_from: Literal["noise", "random", "kmeans", "mean", "herding", "mosaic", "odds"] = "noise"
    factor: int = 1
    lr: float = 0.1
    momentum: float = 0.5
    clamp: bool = False
    real_batch: int = 256
    outer: int | None = None
    inner: int | None = None
    train_batch: int = 256
    metric: Literal["row", "flat", "squares"] = "row"
    operations: tuple[str, ...] = ()
    statistics_samples: int = 16
    statistics_momentum: float = 1.0

    def peers_used(self) -> tuple[str, ...]:
        """Names of the peers."""
        return tuple(peer.name for peer in self.peers)

    def codec(self, problem: Problem) -> Codec:
        """The modality's own, packed where ``factor`` says so."""
        return problem.modality.codec(self.factor, clamp=self.clamp)

    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """The step-0 set."""
        streams = context.streams.child("start")
        return STARTS[self.start_from](problem, per_class, self.codec(problem), streams)

    def init(self, problem: Problem, start: SyntheticSet, context: Context) -> PeersState:
        """Peers around a copy of the start, and one optimiser for the whole run."""
        self._check()
        self._augmentation(problem)  # an unknown operation is said before any time is spent
        synthetic = start.clone().to(context.device)
        return PeersState(
            synthetic,
            cohort=Cohort.build(
                self.peers, problem, context.streams, context.device, context.modules
            ),
            optimiser=torch.optim.SGD(
                list(synthetic.stored.values()), lr=self.lr, momentum=self.momentum
            ),
        )

    def step(self, state: State, problem: Problem, context: Context) -> Info:
        """Match all classes' gradients, move the set once, then let the peers learn from it."""
        assert isinstance(state, PeersState)
        outer, inner = self.loops(max(1, round(state.synthetic.per_class)))
        turn = state.step % outer
        if turn == 0 and state.step > 0:
            state.cohort.restart(context.streams, state.step)
        losses: list[float] = []
        gone: list[float] = []
        with self._statistics(state, problem, context):
            for label in context.world.share(problem.labels):
                leaves = state.synthetic.leaves(label)
                loss, lost = self.loss(state, problem, label, leaves, context)
                term = weighted_terms(
                    [finite(loss, state, problem.label_names[label])], leaves, [1.0]
                )
                state.synthetic.pull(label, term.gradient)
                losses, gone = [*losses, term.value], [*gone, lost]
        state.synthetic.gather(context.world.sum)
        state.synthetic.descend(state.optimiser)
        learning: list[float] = []
        if turn < outer - 1:  # what a network learns after its last update, nobody would ask
            learning = state.cohort.learn(self._batches(state, problem, context, inner), None)
        state.step += 1
        values = {"terms": losses, "vanished": gone, "learning": learning}
        return Info({name: value for name, value in values.items() if value})

    # The parts of a step, in the order in which they are used.

    def loops(self, per_class: int) -> tuple[int, int]:
        """Updates of the set per network, and epochs of learning between two of them."""
        outer, inner = LOOPS.get(per_class, (per_class, max(1, 500 // per_class)))
        return self.outer or outer, inner if self.inner is None else self.inner

    @contextlib.contextmanager
    def _statistics(self, state: PeersState, problem: Problem, context: Context) -> Iterator[None]:
        """Inside, batch norms stand still at the statistics of real samples of all classes."""

        def reference() -> Batch:
            generator = context.streams("statistics", state.step)
            taken = [
                torch.from_numpy(candidates(problem.of(one), self.statistics_samples, generator))
                for one in problem.labels
            ]
            return problem.batch(torch.cat(taken), device=context.device)

        with contextlib.ExitStack() as held:
            for peer in state.cohort:
                held.enter_context(steady(peer.backbone, reference, self.statistics_momentum))
            yield

    def loss(
        self,
        state: PeersState,
        problem: Problem,
        label: int,
        leaves: Mapping[str, Tensor],
        context: Context,
    ) -> tuple[Tensor, float]:
        """Distance of the gradients of one class, real and synthetic, over all peers.

        Args:
            leaves: the class's stored samples, by leaf name.

        Returns:
            A scalar that is differentiable in ``leaves``, and the part of the gradients' rows that
            have vanished (see ``matching.vanished``), the mean over the peers.
        """
        key, streams = (state.step, label), context.streams
        real = drawn(problem, label, self.real_batch, streams("real", *key), context.device)
        decoded = state.synthetic.codec.decode(leaves, problem.modality)
        target = torch.full((len(decoded),), label, device=decoded.device)
        real, synthetic = altered_alike(
            self._augmentation(problem), streams("match", *key), real, Batch(decoded, target)
        )
        distances, gone = [], []
        for peer in state.cohort:
            wanted = self._gradients(peer, real, graph=False)
            with double_backward():
                found = self._gradients(peer, synthetic, graph=True)
            distances.append(DISTANCES[self.metric](wanted, found))
            gone.append(vanished(wanted, found))
        return torch.stack(distances).sum(), sum(gone) / len(gone)

    def _gradients(self, peer: Peer, batch: Batch, graph: bool) -> Gradients:
        logits = peer.backbone.read(batch, taps=False).logits
        return parameter_gradients(cross_entropy(logits, batch.y), peer.parameters, graph)

    def _batches(
        self, state: PeersState, problem: Problem, context: Context, epochs: int
    ) -> Iterator[Batch]:
        """The synthetic set as it is now, shuffled and augmented, epoch after epoch."""
        whole, augmentation = state.synthetic.decode(), self._augmentation(problem)
        for epoch in range(epochs):
            key = ("learn", state.step, epoch)
            order = torch.randperm(len(whole.y), generator=context.streams(*key, "order"))
            for index, few in enumerate(order.to(whole.y.device).split(self.train_batch)):
                batch = Batch(whole.x[few], whole.y[few])
                yield altered_each(augmentation, context.streams(*key, index), batch)

    # What follows from the settings.

    def _augmentation(self, problem: Problem) -> Augmentation:
        return problem.modality.augmentation(self.operations, choose="one")

    def _check(self) -> None:
        if self.lr <= 0 or self.real_batch < 1 or self.train_batch < 1:
            raise UsageError("dc, dsa: lr, real_batch and train_batch must be positive")
        if self.metric not in DISTANCES:
            raise UsageError(f"dc, dsa: unknown metric {self.metric!r}; known: "
                             f"{', '.join(DISTANCES)}")  # fmt: skip
        if (self.outer is not None and self.outer < 1) or (self.inner or 0) < 0:
            raise UsageError("dc, dsa: outer counts updates from 1, inner epochs from 0; None "
                             "takes the published loops")  # fmt: skip


@dataclass(frozen=True)
class DSA(DC):
    """DC with differentiable siamese augmentation (Zhao & Bilen, ICML 2021): other defaults only.

    Real and synthetic samples of a class are altered by one and the same draw of one operation, and
    the set starts from real samples.
    """

    title: ClassVar[str] = "DSA"
    paper: ClassVar[str] = "Zhao & Bilen, ICML 2021"

    start_from: Literal["noise", "random", "kmeans", "mean", "herding", "mosaic", "odds"] = "random"
    operations: tuple[str, ...] = ("color", "crop", "cutout", "flip", "scale", "rotate")

    def _check(self) -> None:
        super()._check()
        if not self.operations:
            raise UsageError("dsa: without operations this is dc: name some, or take --method dc")
