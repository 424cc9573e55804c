"""Networks, by name. ``MODELS`` is the table of contents; any other name is a name of timm."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models import convnet, mlp, resnet, timm_net
from condensery.models.backbone import Backbone, PeerSpec
from condensery.models.plan import Entry, Family, Plan
from condensery.models.weights import body_of, head_of
from condensery.streams import borrow
from condensery.types import Batch

_CONV_TAPS = "each ReLU, last pool"
_STAGES = "stem, stages"
_BLOCKS = "blocks"

MODELS: dict[str, Entry] = {
    "convnet3": Entry(
        convnet.convnet,
        "ConvNet of depth 3, width 128 (convnet4, convnet3_w32, ...: any depth and width)",
        "cnn",
        _CONV_TAPS,
    ),
    "convnet_mini": Entry(convnet.convnet, "ConvNet of depth 3, width 32", "cnn", _CONV_TAPS),
    "lenet": Entry(convnet.lenet, "LeNet with ReLU: no norm", "cnn", _CONV_TAPS),
    "resnet_mini": Entry(resnet.resnet_mini, "three residual blocks, batch norm", "cnn", _STAGES),
    "cifar_resnet20": Entry(resnet.cifar_resnet, "ResNet-20 of CIFAR", "cnn", _STAGES),
    "cifar_resnet56": Entry(resnet.cifar_resnet, "ResNet-56 of CIFAR", "cnn", _STAGES),
    "vit_mini": Entry(timm_net.vit_mini, "ViT of width 64, depth 4", "vit", _BLOCKS),
    "mixer_mini": Entry(timm_net.mixer_mini, "MLP-Mixer of width 64, depth 4", "mlp", _BLOCKS),
    "mlp": Entry(mlp.mlp, "perceptron with two hidden layers of 256", "mlp", "hidden layers"),
}


def entry(name: str) -> Entry:
    """The table's line for a name.

    Raises:
        UsageError: unknown; the closest names are said.
    """
    if name in MODELS:
        return MODELS[name]
    if convnet.parse(name):
        return MODELS["convnet3"]
    close = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.5)
    raise UsageError(f"unknown model {name!r}; close: {', '.join(close or MODELS)}")


def build(
    spec: PeerSpec,
    modality: Modality,
    classes: int,
    generator: torch.Generator,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    keep_head: bool = False,
) -> Backbone:
    """Make the network that a spec describes, on the CPU and in training mode.

    Args:
        spec: name, weights, input size, taps, normalisation.
        modality: of the data that it will be given.
        classes: outputs.
        generator: where fresh weights come from; the global generators are left as they are.
        modules: factories of the user's own networks by name.
        keep_head: answer with the head that the weights came with (a teacher) rather than with a
            fresh one.

    Raises:
        UsageError: unknown name, weights that do not fit, a setting that this network cannot use.
        RunError: pretrained weights that cannot be fetched.
    """
    plan = entry(spec.name).plan(spec, modality, classes)
    with borrow(generator):
        backbone = plan.factory()
    backbone.factory = plan.factory
    if plan.fetch is not None:
        _load(backbone, plan, spec, keep_head)
    elif keep_head:
        raise UsageError(f"{spec.name} from scratch has no trained head to keep; give weights")
    _normalise(backbone, plan, spec, modality)
    return backbone


def _load(backbone: Backbone, plan: Plan, spec: PeerSpec, keep_head: bool) -> None:
    assert plan.fetch is not None
    state, own, what = plan.fetch(), backbone.state_dict(), f"{spec.name}: {spec.weights}"
    backbone.pretrained = body_of(state, own, backbone.head, what)
    kept = head_of(state, own, backbone.head, what) if keep_head else {}
    backbone.load_state_dict({**own, **backbone.pretrained, **kept})


def _normalise(backbone: Backbone, plan: Plan, spec: PeerSpec, modality: Modality) -> None:
    if spec.normalise == "data" or (spec.normalise == "auto" and plan.statistics is None):
        return
    if plan.statistics is None:
        raise UsageError(f"{spec.name} has no mean and std of its own: normalise must be 'data' "
                         f"or 'auto'")  # fmt: skip
    mean, std = plan.statistics.mean, plan.statistics.std
    if len(mean) != modality.shape[0]:
        mean, std = ((sum(each) / len(each),) * modality.shape[0] for each in (mean, std))
    backbone.use_statistics(modality, mean, std)


def family(name: str) -> Family:
    """``cnn``, ``vit`` or ``mlp``.

    Raises:
        UsageError: unknown name.
    """
    return entry(name).family


class Description(NamedTuple):
    """What ``condensery list models`` says of a network.

    Attributes:
        parameters: how many. size: (height, width) of its input.
        taps: channels and grid of each, shallow to deep. family: ``cnn``, ``vit`` or ``mlp``.
        about: one line.
    """

    parameters: int
    size: tuple[int, int]
    taps: tuple[tuple[int, ...], ...]
    family: Family
    about: str


def describe(name: str, modality: Modality, classes: int = 10) -> Description:
    """Build a network from scratch, read two blank samples, and say what it is.

    Raises:
        UsageError: unknown name, or a network that cannot take this data.
    """
    line = entry(name)
    backbone = build(PeerSpec(name), modality, classes, torch.Generator().manual_seed(0)).eval()
    blank = Batch(torch.zeros(2, *modality.shape), torch.zeros(2, dtype=torch.int64))
    with torch.no_grad():
        reading = backbone.read(blank)
    return Description(
        sum(parameter.numel() for parameter in backbone.parameters()),
        backbone.size or tuple(modality.shape[-2:]),
        tuple(tuple(tap.spatial.shape[1:]) for tap in reading.taps),
        line.family,
        line.about,
    )


__all__ = [
    "MODELS",
    "Backbone",
    "Description",
    "Entry",
    "Family",
    "PeerSpec",
    "Plan",
    "build",
    "describe",
    "entry",
    "family",
]
