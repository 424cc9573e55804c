"""DREAM: efficient dataset distillation by representative matching.

Liu, Gu, Wang, Zhu, Jiang and You, "DREAM: Efficient Dataset Distillation by Representative
Matching", ICCV 2023.
IDC whose real samples are not drawn but chosen: those nearest to the centres of k-means clusters of
their class, in the eyes of the network as it is, chosen anew every ten steps. The set starts from
such samples as well.

Differs from the paper: one sample from each of as many clusters as there are samples in a batch, as
in the authors' code, and not several from fewer. A preset is given 1200 iterations of 100 steps, as
the paper tells; the code does 2000. What ``condensery.methods.idc`` says holds here too.

Differs from the authors' code: the network that clusters is given normalised samples, as it is when
it learns (there: raw pixels); k-means++ seeds the centres (there: random samples, and an empty
cluster's centre is the origin); no sample is twice in a start. HMDC's authors' re-implementation
matches all parameters; preset ``hmdc-authors`` has that and its other behaviours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from condensery.core.sampling import spokesmen
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods.base import Context, fill
from condensery.methods.idc import IDC, IDCState


@dataclass
class DREAMState(IDCState):
    """What DREAM moves: as IDC, and the real samples chosen last.

    Attributes:
        chosen: ``(classes, real_batch)`` positions of training samples, -1 where there are fewer.
    """

    chosen: Tensor = None  # type: ignore[assignment]

    def tensors(self) -> dict[str, Any]:
        """Everything that a resume needs."""
        return super().tensors() | {"chosen": self.chosen}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave, in place."""
        super().load(saved)
        fill({"chosen": self.chosen}, {"chosen": saved["chosen"]})


@dataclass(frozen=True)
class DREAM(IDC):
    """Distillation by representative matching (Liu et al., ICCV 2023): IDC with chosen samples.

    Attributes:
        interval: steps between choosing real samples, counted from each fresh network.
    """

    title: ClassVar[str] = "DREAM"
    paper: ClassVar[str] = "Liu et al., ICCV 2023"
    default_steps: ClassVar[int] = 120_000

    start_from: Literal["random", "kmeans", "mean", "noise", "odds"] = "kmeans"
    real_batch: int = 128
    train_batch: int = 128
    interval: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interval < 1:
            raise UsageError(f"dream: interval counts steps, from 1; got {self.interval}")

    def init(self, problem: Problem, start: SyntheticSet, context: Context) -> DREAMState:
        """As IDC; nothing is chosen yet."""
        state = super().init(problem, start, context)
        chosen = torch.full((problem.classes, self.real_batch), -1)
        return DREAMState(
            state.synthetic, cohort=state.cohort, optimiser=state.optimiser, chosen=chosen
        )

    def prepare(self, state: IDCState, problem: Problem, context: Context) -> None:
        """As IDC; then, every ``interval`` steps, the network chooses the real samples anew."""
        super().prepare(state, problem, context)
        assert isinstance(state, DREAMState)
        if state.step % self.restart_every % self.interval:
            return
        found = spokesmen(
            state.peer.backbone,
            problem,
            context.world.share(problem.labels),
            self.real_batch,
            context.streams,
            ("choose", state.step),
            context.device,
            self.candidates,
            self.seeding,
        )
        state.chosen.copy_(context.world.sum(found))

    def real(self, state: IDCState, problem: Problem, label: int, context: Context) -> Tensor:
        """Positions of the class's samples that were chosen last."""
        assert isinstance(state, DREAMState)
        chosen = state.chosen[label]
        return chosen[chosen >= 0]
