"""What an entry of the table of models answers: how to make a network, where its weights are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec
from condensery.models.weights import read_state

Family = Literal["cnn", "vit", "mlp", "rnn", "transformer"]


@dataclass(frozen=True)
class Statistics:
    """Mean and std, per channel, of the pixels in [0, 1] that weights were trained with."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Plan:
    """How one network comes to be.

    Attributes:
        factory: draws a network from the global generator; run again at every restart.
        fetch: the weights that ``spec.weights`` asks for, under the names of the network's
            ``state_dict``, head included where there is one; None when from scratch.
        statistics: what those weights were trained with; None when nobody says.
    """

    factory: Callable[[], Backbone]
    fetch: Callable[[], dict[str, Tensor]] | None = None
    statistics: Statistics | None = None


@dataclass(frozen=True)
class Entry:
    """One line of the table of models.

    Attributes:
        plan: (spec, modality, classes) to a ``Plan``.
        about: one line for ``condensery list models``.
        family: ``cnn``, ``vit``, ``mlp``, ``rnn`` or ``transformer``: which average of the paper's
            tables it belongs to.
        taps: what its taps are.
        reads: kind of the data.
    """

    plan: Callable[[PeerSpec, Modality, int], Plan]
    about: str
    family: Family
    taps: str
    reads: Literal["image", "audio", "text"] = "image"


def input_size(spec: PeerSpec, modality: Modality) -> tuple[int, int]:
    """Height and width of the input: ``spec.size``, else that of the data.

    Raises:
        UsageError: the data are not images, or the size is below 1.
    """
    if modality.kind != "image":
        raise wrong_kind(spec, "images", modality)
    if spec.size is None:
        return modality.shape[1], modality.shape[2]
    if spec.size < 1:
        raise UsageError(f"the size of {spec.name} is a number of pixels from 1; got {spec.size}")
    return spec.size, spec.size


def wrong_kind(spec: PeerSpec, reads: str, modality: Modality) -> UsageError:
    """What is said where a network cannot read the data: who can, and which presets have such."""
    from condensery.models import MODELS

    able = [name for name, one in MODELS.items() if one.reads == modality.kind]
    return UsageError(
        f"{spec.name} reads {reads}; this data set holds {modality.kind}: name networks that read "
        f"it ({', '.join(able[:3])}, ...: condensery list models), or condense with --preset small "
        f"or smoke, which have such"
    )


def refuse_taps(spec: PeerSpec) -> None:
    """Say that this network has its own taps, rather than ignore ``spec.taps``.

    Raises:
        UsageError: ``spec.taps`` names layers.
    """
    if spec.taps != "auto":
        raise UsageError(f"{spec.name} has its own taps; leave taps at 'auto' (layers are named "
                         f"for networks handed over with modules=)")  # fmt: skip


def house_plan(
    spec: PeerSpec, factory: Callable[[], Backbone], statistics: Statistics | None = None
) -> Plan:
    """The plan of a network of ours: from scratch, or with the weights of a local file.

    Raises:
        UsageError: ``weights="pretrained"``, which these networks do not have.
    """
    if spec.weights is None:
        return Plan(factory)
    path = spec.weights
    if path == "pretrained":
        raise UsageError(f"{spec.name} has no published weights; give weights=FILE (.safetensors, "
                         f".pt) or leave weights out")  # fmt: skip
    return Plan(factory, lambda: read_state(path), statistics)


def head_names(network: nn.Module, classifier: str) -> tuple[str, ...]:
    """Full names of the parameters of the layer ``classifier`` of a network."""
    layer = network.get_submodule(classifier)
    return tuple(f"{classifier}.{name}" for name, _ in layer.named_parameters())
