"""Herding: real samples whose mean follows the mean of their class.

Welling, "Herding dynamical weights to learn", ICML 2009; the greedy choice is that of Rebuffi et
al., "iCaRL", CVPR 2017, algorithm 4, which the condensation papers compare with.

Differs from the paper: no sample is chosen twice, and ties go to the lowest index.

Differs from the authors' code: the condensation papers published no code for their herding rows.
IDC's, the only one there is, reads features of a ConvNet-3 that was trained on all real data; here
a narrower one is trained for ``updates`` steps, so that minutes suffice (``network`` and
``updates`` are fields, and weights from a file spare the training).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from condensery.core.sampling import embed
from condensery.core.starts import herding_start
from condensery.core.synthetic import SyntheticSet
from condensery.core.teacher import TEACHER, teacher
from condensery.data.problem import Problem
from condensery.methods.base import Context
from condensery.methods.selection import Selection
from condensery.models.backbone import PeerSpec


@dataclass(frozen=True)
class Herding(Selection):
    """The real samples whose running mean follows their class's mean feature.

    Attributes:
        features: of a network ``trained`` on the training split, of a ``random`` one as it was
            drawn, or the ``pixels``.
        network: whose embeddings are read. With weights it is not trained again.
        updates: batches of 128 that it learns from, where it is trained.
    """

    title: ClassVar[str] = "herding"
    paper: ClassVar[str] = "Welling, ICML 2009; Rebuffi et al., CVPR 2017"
    start_from: ClassVar[str] = "herding"

    features: Literal["trained", "random", "pixels"] = "trained"
    network: PeerSpec = TEACHER
    updates: int = 1000

    def peers_used(self) -> tuple[str, ...]:
        """The network whose features decide, if any."""
        return () if self.features == "pixels" else (self.network.name,)

    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """The selection itself."""
        streams, extra = context.streams.child("start"), dict[str, Any]()
        if self.features != "pixels":
            network = teacher(
                self.network,
                problem,
                streams.child("teacher"),
                context.device,
                context.modules,
                updates=self.updates if self.features == "trained" else 0,
                keep_head=False,
            )
            extra["embed"] = lambda where: embed(network, problem, where, context.device)
        return herding_start(problem, per_class, self.codec(problem), streams, **extra)
