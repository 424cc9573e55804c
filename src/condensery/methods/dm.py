"""DM: dataset condensation by distribution matching.

Zhao and Bilen, "Dataset Condensation with Distribution Matching", WACV 2023.
The mean features of a class's synthetic samples follow those of its real samples in networks that
are drawn anew at every step and never learn.

Differs from the paper: any number of peers, whose distances add up. Pixels are stored (the rate is
still one of data-normalised units), normalised by the data's own mean and std. ``factor`` packs
several samples into one, which the paper does not: 1 is the default.

Differs from the authors' code: the set that is kept is the one after the last update; peers with
batch norm are found by their layers, not by their name; any number of samples per class; nothing
reseeds a global generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from condensery.core.cohort import Cohort, Peer
from condensery.core.features import altered_alike, batch_norms, mean_gap
from condensery.core.matching import leaf_gradient
from condensery.core.sampling import drawn
from condensery.core.starts import STARTS
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods.base import Context, Info, Method, PeersState, State, finite
from condensery.modality import Augmentation, Codec
from condensery.models.backbone import PeerSpec
from condensery.types import Batch


@dataclass(frozen=True)
class DM(Method):
    """Dataset condensation with distribution matching (Zhao & Bilen, WACV 2023).

    Attributes:
        peers: the networks whose features are matched; drawn anew at every step.
        start_from: the step-0 set: random, kmeans, mean, noise, herding, mosaic or (of text) odds.
        factor: tiles per side of a stored image; 1 packs nothing, as in the paper.
        lr: step of the synthetic set, in data-normalised units. momentum: of its SGD.
        clamp: keep pixels in [0, 1] (the authors' code does not).
        real_batch: real samples per class in matching.
        operations: augmentations, one at a time, real and synthetic samples alike; none switches
            them off. Flip only where a mirrored sample keeps its class.
    """

    title: ClassVar[str] = "DM"
    paper: ClassVar[str] = "Zhao & Bilen, WACV 2023"
    modalities: ClassVar[tuple[str, ...]] = ("image", "audio", "text")
    default_steps: ClassVar[int] = 20_000

    peers: tuple[PeerSpec, ...] = (PeerSpec("convnet3"),)
    start_from: Literal["random", "kmeans", "mean", "noise", "herding", "mosaic", "odds"] = "random"
    factor: int = 1
    lr: float = 1.0
    momentum: float = 0.5
    clamp: bool = False
    real_batch: int = 256
    operations: tuple[str, ...] = ("color", "crop", "cutout", "flip", "scale", "rotate")

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
        if self.lr <= 0 or self.real_batch < 1:
            raise UsageError("dm: lr and real_batch must be positive")
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
        """Draw fresh networks, match each class's mean features in them, move the set once."""
        assert isinstance(state, PeersState)
        if state.step > 0:
            state.cohort.restart(context.streams, state.step)
        own = context.world.share(problem.labels)
        told = dict.fromkeys(own, 0.0)
        for peer in state.cohort:
            # A batch norm sees all classes in one batch: by itself each would lose its mean.
            together = [list(problem.labels)] if batch_norms(peer.backbone) else [[c] for c in own]
            for labels in together:
                leaves = {label: state.synthetic.leaves(label) for label in labels}
                losses = self.losses(state, peer, problem, leaves, context)
                gradients = slopes(losses, leaves)
                for label in set(labels) & set(own):
                    state.synthetic.pull(label, gradients[label])
                    told[label] += float(losses[label].detach())
        state.synthetic.gather(context.world.sum)
        state.synthetic.descend(state.optimiser)
        state.step += 1
        return Info({"terms": list(told.values())})

    def losses(
        self,
        state: PeersState,
        peer: Peer,
        problem: Problem,
        leaves: Mapping[int, Mapping[str, Tensor]],
        context: Context,
    ) -> dict[int, Tensor]:
        """Squared distances of mean features, real and synthetic, of classes read in one batch.

        Args:
            leaves: the classes' stored samples, by label and leaf name.

        Returns:
            A scalar for each label, differentiable in ``leaves``.
        """
        pairs = [
            self._pair(state, problem, label, stored, context) for label, stored in leaves.items()
        ]
        with torch.no_grad():
            wanted = self._features(peer, [real for real, _ in pairs])
        found = self._features(peer, [synthetic for _, synthetic in pairs])
        return {
            label: finite(mean_gap(a.mean(0), b), state, problem.label_names[label])
            for label, a, b in zip(leaves, wanted, found, strict=True)
        }

    def _pair(
        self,
        state: PeersState,
        problem: Problem,
        label: int,
        leaves: Mapping[str, Tensor],
        context: Context,
    ) -> list[Batch]:
        """Real and synthetic samples of a class, altered by one and the same draw."""
        key, streams = (state.step, label), context.streams
        real = drawn(problem, label, self.real_batch, streams("real", *key), context.device)
        synthetic = state.synthetic.decoded(label, leaves)
        augmentation = self._augmentation(problem)
        return altered_alike(augmentation, streams("match", *key), real, synthetic)

    def _augmentation(self, problem: Problem) -> Augmentation:
        return problem.modality.augmentation(self.operations, choose="one")

    def _features(self, peer: Peer, batches: Sequence[Batch]) -> list[Tensor]:
        """What precedes the last layer, flat, for batches that are read as one."""
        samples = [batch.x for batch in batches if isinstance(batch.x, Tensor)]
        whole = Batch(torch.cat(samples), torch.cat([batch.y for batch in batches]))
        read = peer.backbone.read(whole, taps=False).embedding.flatten(1)
        return list(read.split([len(one) for one in samples]))


def slopes(
    losses: Mapping[int, Tensor], leaves: Mapping[int, Mapping[str, Tensor]]
) -> dict[int, dict[str, Tensor]]:
    """Gradients of the losses' sum with respect to each class's stored samples, in one pass."""
    flat = {f"{label} {name}": leaf for label, own in leaves.items() for name, leaf in own.items()}
    found = leaf_gradient(torch.stack(list(losses.values())).sum(), flat, retain=False)
    return {
        label: {name: found[f"{label} {name}"] for name in own} for label, own in leaves.items()
    }
