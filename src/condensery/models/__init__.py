"""Networks, by name. ``MODELS`` is the table of contents; any other name is a name of timm."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models import (
    audio_cnn,
    audio_transformers,
    convnet,
    foreign,
    lstm,
    mlp,
    resnet,
    spectrogram,
    text_transformers,
    timm_net,
    transformers_net,
)
from condensery.models.backbone import Backbone, PeerSpec
from condensery.models.foreign import fingerprint
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
    "resnet18": Entry(timm_net.timm_plan, "timm resnet18", "cnn", _STAGES),
    "resnet50": Entry(timm_net.timm_plan, "timm resnet50", "cnn", _STAGES),
    "resnet101": Entry(timm_net.timm_plan, "timm resnet101", "cnn", _STAGES),
    "vit_tiny": Entry(timm_net.timm_plan, "timm vit_tiny_patch16_224", "vit", _BLOCKS),
    "vit_small": Entry(timm_net.timm_plan, "timm vit_small_patch16_224", "vit", _BLOCKS),
    "vit_base": Entry(timm_net.timm_plan, "timm vit_base_patch16_224", "vit", _BLOCKS),
    "transformers": Entry(
        transformers_net.transformers_plan,
        "encoder of images, sound or text in a local transformers folder: weights=FOLDER",
        "vit",
        "layers",
    ),
    "audio_cnn": Entry(
        audio_cnn.audio_cnn,
        "six layers on waveforms (audio_cnn_w16, ...: any width; audio_cnn_released)",
        "cnn",
        "layers",
        "audio",
    ),
    "spectrogram_cnn": Entry(
        spectrogram.spectrogram_cnn,
        "four blocks on log-mel spectrograms (spectrogram_cnn_w8, ...)",
        "cnn",
        _CONV_TAPS,
        "audio",
    ),
    "hubert_mini": Entry(
        audio_transformers.hubert, "HuBERT of width 64, depth 4", "transformer", "layers", "audio"
    ),
    "hubert": Entry(
        audio_transformers.hubert,
        "HuBERT-base (hubert_released); or any encoder of waveforms: weights=FOLDER",
        "transformer",
        "layers",
        "audio",
    ),
    "whisper_mini": Entry(
        audio_transformers.whisper,
        "encoder of a Whisper of width 64, depth 4",
        "transformer",
        "layers",
        "audio",
    ),
    "whisper": Entry(
        audio_transformers.whisper,
        "encoder of Whisper in a local folder: weights=FOLDER",
        "transformer",
        "layers",
        "audio",
    ),
    "lstm": Entry(
        lstm.lstm,
        "six LSTMs of width 128 (lstm2_w16, ...: any depth and width; lstm_released)",
        "rnn",
        "layers",
        "text",
    ),
    "bert_mini": Entry(
        text_transformers.bert, "BERT of width 64, depth 4", "transformer", "layers", "text"
    ),
    "minilm": Entry(
        text_transformers.minilm,
        "MiniLM of width 384, depth 6; pretrained: all-MiniLM-L6-v2",
        "transformer",
        "layers",
        "text",
    ),
    "bert": Entry(
        text_transformers.bert,
        "BERT-base; or any encoder of text: weights=FOLDER",
        "transformer",
        "layers",
        "text",
    ),
}


def entry(name: str) -> Entry:
    """The table's line for a name; any name of timm has one too.

    Raises:
        UsageError: unknown; the closest names are said.
    """
    if name in MODELS:
        return MODELS[name]
    if convnet.parse(name):
        return MODELS["convnet3"]
    if audio_cnn.parse(name):
        return MODELS["audio_cnn"]
    if spectrogram.parse(name):
        return MODELS["spectrogram_cnn"]
    if lstm.parse(name):
        return MODELS["lstm"]
    if (known := audio_transformers.parse(name)) is not None:
        return MODELS[known]
    kind = timm_net.family_of(name)
    if kind is not None:
        return Entry(timm_net.timm_plan, f"timm {name}", kind, "stages or blocks")
    names = list(dict.fromkeys([*MODELS, *timm_net.known()]))  # some are in both
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.5) or list(MODELS)
    raise UsageError(f"unknown model {name!r}; did you mean {', '.join(close)}? "
                     f"(condensery list models)")  # fmt: skip


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
    if modules and spec.name in modules:
        plan = foreign.foreign_plan(spec, modality, classes, modules)
    else:
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
    """``cnn``, ``vit``, ``mlp``, ``rnn`` or ``transformer``.

    Raises:
        UsageError: unknown name.
    """
    return entry(name).family


class Description(NamedTuple):
    """What ``condensery list models`` says of a network.

    Attributes:
        parameters: how many; None where only the weights that are given decide.
        size: (height, width) of its input, or None likewise.
        taps: channels and grid of each, shallow to deep.
        family: ``cnn``, ``vit``, ``mlp``, ``rnn`` or ``transformer``: the average it belongs to.
        about: one line. tapped: what the taps are.
    """

    parameters: int | None
    size: tuple[int, int] | None
    taps: tuple[tuple[int, ...], ...]
    family: Family
    about: str
    tapped: str


@torch.no_grad()
def describe(name: str, modality: Modality, classes: int = 10) -> Description:
    """Say what a network is, from shapes alone: nothing is drawn, fetched or computed.

    Raises:
        UsageError: unknown name, or a network that cannot take this data.
    """
    line = entry(name)
    if name in ("transformers", "whisper"):
        return Description(None, None, (), line.family, line.about, line.taps)
    plan = line.plan(PeerSpec(name), modality, classes)
    with torch.device("meta"), borrow(torch.Generator().manual_seed(0)):
        backbone = plan.factory().eval()
        blank = torch.zeros(2, *modality.shape)
        reading = backbone.read(Batch(blank, torch.zeros(2, dtype=torch.int64)))
    return Description(
        sum(parameter.numel() for parameter in backbone.parameters()),
        backbone.size,
        tuple(tuple(tap.spatial.shape[1:]) for tap in reading.taps),
        line.family,
        line.about,
        line.taps,
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
    "fingerprint",
]
