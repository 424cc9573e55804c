"""Soft labels: a teacher says how much of each class it sees in a sample.

Hinton, Vinyals and Dean (2015); in condensation Yin et al. (SRe2L, NeurIPS 2023) and Sun et al.
(RDED, CVPR 2024). The loss is ``t^2 * KL(softmax(teacher / t) | softmax(network / t))``, the mean
over a batch, without a term for the hard label; CutMix mixes the softened targets. Labels bring
knowledge that the samples do not hold: a teacher's bytes, or those of its answers, are bytes of the
set, and hard and soft rows are never compared in one table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.core.teacher import TEACHER, teacher
from condensery.data.problem import Problem
from condensery.errors import UsageError, unknown
from condensery.modality import Image, Modality
from condensery.models.backbone import Backbone, PeerSpec
from condensery.streams import Streams
from condensery.types import Batch

Regime = Literal["hard", "static", "live"]
SIZE = 100  # samples that the teacher looks at once

_hired: WeakKeyDictionary[Problem, dict[Any, Backbone]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Labels:
    """What networks learn from when a set is judged.

    Attributes:
        regime: ``hard``, the class; ``static``, the teacher's answers to the decoded samples, kept
            as 16-bit logits; ``live``, its answers to each altered batch.
        teacher: the network that answers: with weights it is taken as it comes, head included;
            from scratch it is trained on the training split, by its own optimiser and rate.
        temperature: both sides' logits are divided by it, from above 0.
        updates: batches of 128 that a teacher from scratch learns from.
        seed: of such a teacher.

    Raises:
        UsageError: an unknown regime, or a value out of its range.
    """

    regime: Regime = "hard"
    teacher: PeerSpec = TEACHER
    temperature: float = 1.0
    updates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.regime not in get_args(Regime):
            raise unknown("kind of labels", self.regime, get_args(Regime))
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"--temperature lies above 0; got {self.temperature}")
        if self.updates < 1:
            raise UsageError(f"--teacher-updates counts batches, from 1; got {self.updates}")

    def told(self, teacher_name: str) -> str:
        """For ``Record.labels``: the regime, and where it is soft, whose labels they are."""
        if self.regime == "hard":
            return "hard"
        own = self.teacher
        taught = "" if own.weights else f" after {self.updates} updates, seed {self.seed}"
        return f"{self.regime} of {teacher_name}{taught}, temperature {self.temperature:g}"

    def values(self) -> dict[str, Any]:
        """Plain values for a record, as they come back from a file; of weights the file's name."""
        kept = asdict(self)
        if self.teacher.weights is not None:
            kept["teacher"]["weights"] = Path(self.teacher.weights).name
        if isinstance(self.teacher.taps, tuple):
            kept["teacher"]["taps"] = list(self.teacher.taps)
        return kept


HARD = Labels()


def labels_from(labels: str | Labels) -> Labels:
    """Labels by the name of their regime, or those that are given.

    Raises:
        UsageError: an unknown regime.
    """
    return labels if isinstance(labels, Labels) else Labels(labels)  # type: ignore[arg-type]


def hired(
    labels: Labels,
    problem: Problem,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    device: str | torch.device = "cpu",
) -> Backbone | None:
    """The teacher in evaluation mode; None where labels are hard.

    It sees samples normalised as those of ``problem`` are. It can be sent to another process: it
    has no factory, and cannot restart. While a problem lives, it is trained once.

    Raises:
        UsageError: an unknown network, or weights without a head for these classes.
    """
    if labels.regime == "hard":
        return None
    # Static and live labels have one teacher, whatever the temperature.
    key = (labels.teacher, labels.updates, labels.seed, str(device),
           (modules or {}).get(labels.teacher.name))  # fmt: skip
    known = _hired.setdefault(problem, {})
    if key not in known:
        streams, place = Streams(labels.seed).child("labels"), torch.device(device)
        network = teacher(labels.teacher, problem, streams, place, modules, labels.updates)
        network.factory = None
        known[key] = network.requires_grad_(False)
    return known[key]


class Lesson:
    """What training asks of labels: targets for samples, and a loss.

    Args:
        labels: the regime. network: its teacher; None where labels are hard.
        modality: how the taught samples are normalised. own: how the teacher's are; None: alike.

    Raises:
        UsageError: the two differ in a way that no conversion is known for.
    """

    def __init__(
        self,
        labels: Labels = HARD,
        network: Backbone | None = None,
        modality: Modality | None = None,
        own: Modality | None = None,
    ) -> None:
        self.labels, self.network = labels, network
        self.modality, self.own = modality, own or modality
        images = isinstance(self.modality, Image) and isinstance(self.own, Image)
        if network is not None and self.modality != self.own and not images:
            raise UsageError("the set is normalised otherwise than the teacher's data: use hard "
                             "labels, or a set of this data")  # fmt: skip

    def prepared(self, batch: Batch) -> Batch:
        """All decoded samples before training: with static labels, the teacher's word on each."""
        return batch if self.labels.regime != "static" else batch._replace(y=self._soft(batch))

    def targets(self, batch: Batch) -> Batch:
        """An altered batch before it is mixed: with live labels, the teacher's word on it."""
        return batch if self.labels.regime != "live" else batch._replace(y=self._soft(batch))

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Of logits ``(n, classes)`` and hard ``(n,)`` or soft ``(n, classes)`` targets."""
        if self.labels.regime == "hard":
            return F.cross_entropy(logits, y)
        return soft_loss(logits, y, self.labels.temperature)

    def nbytes(self, samples: int, classes: int) -> int:
        """What the labels add to the bytes of a set: static answers, or a live teacher.

        Args:
            samples: decoded ones. classes: numbers in an answer, 2 bytes each.

        Returns:
            0 for a live teacher that is not there yet.
        """
        if self.labels.regime == "static":
            return 2 * classes * samples
        if self.labels.regime == "live" and self.network is not None:
            return network_bytes(self.network)
        return 0

    def _soft(self, batch: Batch) -> Tensor:
        """Softened targets ``(n, classes)``, rounded to 16 bits where they are stored."""
        assert self.network is not None and isinstance(batch.x, Tensor)
        x, parts = self._as_taught(batch.x), []
        with torch.no_grad():
            for place in range(0, len(x), SIZE):
                here = slice(place, place + SIZE)
                mask = None if batch.mask is None else batch.mask[here]
                parts.append(self.network(x[here], mask))
        logits = torch.cat(parts).float()
        if self.labels.regime == "static":
            logits = logits.half().float()
        return torch.softmax(logits / self.labels.temperature, 1)

    def _as_taught(self, x: Tensor) -> Tensor:
        """Samples in the teacher's own normalisation."""
        if self.modality == self.own:
            return x
        assert isinstance(self.modality, Image) and isinstance(self.own, Image)
        return self.own.from_pixels(self.modality.to_pixels(x))


def soft_loss(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """``t^2 * KL(targets | softmax(logits / t))``, the mean over the batch.

    Args:
        logits: ``(n, classes)``. targets: ``(n, classes)`` probabilities, softened already.
        temperature: above 0.
    """
    own = F.log_softmax(logits / temperature, 1)
    return temperature**2 * F.kl_div(own, targets, reduction="batchmean")


def network_bytes(network: Backbone) -> int:
    """Bytes that a network's numbers take as they are stored.

    Weights that came from a file have the type that they have there. Whole numbers (how many
    batches a batch norm has seen) answer nothing and are not counted.
    """
    kept = network.pretrained or {}
    return sum(
        tensor.numel() * kept.get(name, tensor).element_size()
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    )
