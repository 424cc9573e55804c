"""What a method is: a frozen value whose fields are its settings, and a state that it moves."""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from condensery.core.cohort import Cohort
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.errors import RunError
from condensery.modality import Codec
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.world import World

Modules = Mapping[str, Callable[[], nn.Module]]


class Info(NamedTuple):
    """What one step tells: plain numbers for ``events.jsonl``.

    Attributes:
        values: by name; a number, or a list of numbers (one per term, peer or class).
    """

    values: dict[str, Any]


@dataclass
class State:
    """All that changes during a run. A step changes it in place.

    Attributes:
        synthetic: the set that is being made.
        step: updates made so far.
    """

    synthetic: SyntheticSet
    step: int = 0

    def tensors(self) -> dict[str, Any]:
        """Everything that a resume needs: nested dicts and lists of tensors and plain values."""
        return {"step": self.step, "stored": dict(self.synthetic.stored)}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave, in place.

        Raises:
            ValueError: shapes or names differ: the checkpoint belongs to another run.
        """
        self.step = int(saved["step"])
        fill(self.synthetic.stored, saved["stored"])


@dataclass
class PeersState(State):
    """A set that an optimiser moves and peers judge.

    Attributes:
        cohort: the peers. optimiser: holds the leaves of the set.
    """

    cohort: Cohort = None  # type: ignore[assignment]
    optimiser: torch.optim.Optimizer = None  # type: ignore[assignment]

    def tensors(self) -> dict[str, Any]:
        """Everything that a resume needs."""
        own = {"cohort": self.cohort.tensors(), "optimiser": self.optimiser.state_dict()}
        return super().tensors() | own

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave, in place."""
        super().load(saved)
        self.cohort.load(saved["cohort"])
        self.optimiser.load_state_dict(saved["optimiser"])


@dataclass(frozen=True)
class Context:
    """What a run gives to its method besides the data.

    Attributes:
        streams: the run's random streams. world: its workers. device: where tensors live.
        modules: factories of the user's own networks, by the name a ``PeerSpec`` uses.
    """

    streams: Streams
    world: World
    device: torch.device = torch.device("cpu")
    modules: Modules = field(default_factory=dict)


@dataclass(frozen=True)
class Method(ABC):
    """A way to condense. Subclasses are frozen dataclasses of plain values, one file each.

    Attributes:
        title: its name in tables. paper: where it comes from. modalities: what it works on.
        default_steps: updates when neither steps nor minutes are given.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    modalities: ClassVar[tuple[str, ...]] = ("image", "audio", "text")
    default_steps: ClassVar[int] = 0

    @abstractmethod
    def codec(self, problem: Problem) -> Codec:
        """How this method stores the samples of this problem."""

    @abstractmethod
    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """The step-0 set. The engine may use another (another run's set) in its place."""

    @abstractmethod
    def init(self, problem: Problem, start: SyntheticSet, context: Context) -> State:
        """What ``step`` moves, with a copy of ``start`` as the set to be made."""

    @abstractmethod
    def step(self, state: State, problem: Problem, context: Context) -> Info:
        """One update of the synthetic set and of what belongs to it, in place."""

    def peers_used(self) -> tuple[str, ...]:
        """Names of the networks that judge the set; records mark them as seen."""
        return ()


def of_today(fields: Mapping[str, Any], kind: type[Method]) -> dict[str, Any]:
    """Fields of a method as an older version wrote them, with those that have been added since.

    Such a field stood at its default then, whatever is asked of it now; the same goes for its
    networks. So a run that was begun before can be resumed.

    Args:
        fields: as they are read back from JSON. kind: of method.

    Returns:
        All fields, in plain values as JSON gives them back.
    """
    added = {one.name: one.default for one in dataclasses.fields(kind)
             if one.default is not dataclasses.MISSING}  # fmt: skip
    networks = {one.name: one.default for one in dataclasses.fields(PeerSpec) if one.name != "name"}

    def completed(value: Any) -> Any:
        if isinstance(value, list):
            return [completed(one) for one in value]
        network = isinstance(value, dict) and set(value) <= {"name", *networks} and "name" in value
        return networks | value if network else value

    found = added | {name: completed(value) for name, value in fields.items()}
    whole: dict[str, Any] = json.loads(json.dumps(found, default=dataclasses.asdict))
    return whole


def finite(loss: torch.Tensor, state: State, label_name: str) -> torch.Tensor:
    """The loss itself.

    Raises:
        RunError: it is not a finite number; names class and step.
    """
    if not bool(loss.isfinite()):
        raise RunError(f"the loss of class {label_name!r} is not finite at step {state.step}: "
                       f"lower lr, or the learning rate of the peers")  # fmt: skip
    return loss


@torch.no_grad()
def fill(target: Mapping[str, torch.Tensor], source: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors by name into those that are there.

    Raises:
        ValueError: names or shapes differ.
    """
    if set(target) != set(source):
        raise ValueError(f"a checkpoint of other tensors: {sorted(set(target) ^ set(source))[:3]}")
    for name, tensor in target.items():
        if tensor.shape != source[name].shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)} here, "
                             f"{tuple(source[name].shape)} in the checkpoint")  # fmt: skip
        tensor.copy_(source[name])
