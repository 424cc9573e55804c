"""Networks of timm (Wightman, 2019) behind our interface, and small ones built of its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import (
    Family,
    Plan,
    Statistics,
    head_names,
    house_plan,
    input_size,
    refuse_taps,
)
from condensery.models.weights import fetch_timm, read_state
from condensery.streams import borrow
from condensery.types import Reading, Tap

ALIASES = {f"vit_{size}": f"vit_{size}_patch16_224" for size in ("tiny", "small", "base")}

# Files of timm.models whose networks are transformers or perceptrons; all others are CNNs.
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        ("beit", "cait", "crossvit", "davit", "deit", "efficientformer", "eva", "flexivit",
         "hiera", "levit", "maxxvit", "mvitv2", "naflexvit", "nest", "pit", "pvt_v2",
         "swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr", "tiny_vit", "tnt",
         "twins", "visformer", "vision_transformer", "vision_transformer_hybrid",
         "vision_transformer_relpos", "vision_transformer_sam", "vitamin", "volo", "xcit"),
        "vit",
    ),
    "mlp_mixer": "mlp",
}  # fmt: skip


class TimmNet(Backbone):
    """A network of timm, read through its ``forward_intermediates``.

    Taps: of a ViT the raw outputs of its blocks, the class token apart from the patches; of a CNN
    the output of each stage; of a network that timm cannot read so, its last map. The embedding is
    what the classifier is given: the class token after the final norm, or the pooled map. Fused
    attention stays on; where second derivatives are taken, the caller selects a kernel that has
    them (``sdpa_kernel(SDPBackend.MATH)``).

    Args:
        network: a network of timm with a linear classifier.
        size: (height, width) of its input.

    Raises:
        UsageError: its classifier is not one linear layer.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.size = size
        classifier = network.get_classifier()  # type: ignore[operator]
        if not isinstance(classifier, nn.Linear):
            raise UsageError("this timm network has no single linear classifier to put a head on; "
                             "hand it over with modules= instead")  # fmt: skip
        # Some of timm's heads start at zero, which passes no gradient to the body: there would be
        # nothing to match. All are drawn as torch draws a linear layer.
        classifier.reset_parameters()
        names = {id(module): name for name, module in self.named_modules()}
        self.head = head_names(self, names[id(classifier)])

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read images ``(n, channels, height, width)`` of this network's size."""
        read: tuple[Tap, ...] = ()
        if taps and hasattr(self.network, "forward_intermediates"):
            last, read = self._intermediates(x)
        else:
            last = self.network.forward_features(x)  # type: ignore[operator]
            if taps and last.ndim == 4:
                read = (as_map(last),)
        embedding = self.network.forward_head(last, pre_logits=True)  # type: ignore[operator]
        logits = self.network.get_classifier()(embedding)  # type: ignore[operator]
        return Reading(logits, embedding, read)

    def _intermediates(self, x: Tensor) -> tuple[Tensor, tuple[Tap, ...]]:
        prefix = getattr(self.network, "num_prefix_tokens", 0)
        if not prefix:
            last, maps = self.network.forward_intermediates(x)  # type: ignore[operator]
            return last, tuple(as_map(each) for each in maps)
        last, pairs = self.network.forward_intermediates(  # type: ignore[operator]
            x, return_prefix_tokens=True
        )
        return last, tuple(Tap(patches, tokens[:, 0]) for patches, tokens in pairs)


def _patches(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """A patch that makes about 8 x 8 of them (4 x 4 of 8 x 8 images), and sides it divides."""
    patch = max(2, -(-min(size) // 8))
    return patch, (-(-size[0] // patch) * patch, -(-size[1] // patch) * patch)


def _small(
    spec: PeerSpec, modality: Modality, make: Callable[[int, tuple[int, int]], nn.Module]
) -> Plan:
    refuse_taps(spec)
    patch, size = _patches(input_size(spec, modality))
    return house_plan(spec, lambda: TimmNet(make(patch, size), size))


def vit_mini(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """A ViT of width 64, depth 4 and 4 heads; 8 x 8 patches of 32 x 32, 4 x 4 of 8 x 8 images.

    Its positions start with a standard deviation of 1, not timm's .02: beside the embeddings of
    data-normalised patches that is next to nothing, and on a handful of images the network stays a
    bag of patches (10 random digits: 21 % against 51 %).
    """

    def make(patch: int, size: tuple[int, int]) -> nn.Module:
        from timm.models.vision_transformer import VisionTransformer

        network = VisionTransformer(
            img_size=size, patch_size=patch, in_chans=modality.shape[0], num_classes=classes,
            embed_dim=64, depth=4, num_heads=4,
        )  # fmt: skip
        assert network.pos_embed is not None
        with torch.no_grad():
            network.pos_embed.mul_(50)
        return network

    return _small(spec, modality, make)


def mixer_mini(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """An MLP-Mixer (Tolstikhin et al., NeurIPS 2021), width 64, depth 4, patches as vit_mini."""

    def make(patch: int, size: tuple[int, int]) -> nn.Module:
        from timm.models.mlp_mixer import MlpMixer

        side: Any = size  # its annotation says int; it takes (height, width)
        return MlpMixer(
            img_size=side, patch_size=patch, in_chans=modality.shape[0], num_classes=classes,
            embed_dim=64, num_blocks=4,
        )  # fmt: skip

    return _small(spec, modality, make)


def family_of(name: str) -> Family | None:
    """The family of a name of timm; None where timm does not know it."""
    import timm

    if not timm.is_model(name):
        return None
    module = timm.model_entrypoint(name.split(".")[0]).__module__
    return FAMILIES.get(module.rsplit(".", 1)[-1], "cnn")


def known() -> list[str]:
    """All names of timm."""
    import timm

    return timm.list_models()


def timm_plan(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """Any network of timm: from scratch, with timm's weights, or with those of a local file.

    The input size is ``spec.size``, else what the weights were made for. Pretrained positions are
    resampled to another size, and the first convolution is adapted to grey images, both by timm.

    Raises:
        UsageError: no such weights are published, or this size cannot be had.
    """
    import timm

    refuse_taps(spec)
    name = ALIASES.get(spec.name, spec.name)
    try:
        config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        raise UsageError(f"timm cannot make {name!r}: {error}") from error
    assert config is not None, "timm raises for names without a configuration when told to"
    asked = input_size(spec, modality)  # refuses what is no image
    side = asked if spec.size is not None else config.input_size[1:]
    size = (side[0], side[1])
    channels = modality.shape[0]

    def make() -> Backbone:
        return TimmNet(_create(name, config, size, channels, classes), size)

    if spec.weights is None:
        return Plan(make)
    weights = spec.weights

    def fetch() -> dict[str, Tensor]:
        path = fetch_timm(name, config) if weights == "pretrained" else Path(weights)
        return _adapted(name, config, size, channels, path)

    return Plan(make, fetch, Statistics(tuple(config.mean), tuple(config.std)))


def _create(
    name: str, config: Any, size: tuple[int, int], channels: int, classes: int, **more: Any
) -> nn.Module:
    """A network of timm for this size.

    Raises:
        UsageError: timm cannot make it so.
    """
    import timm

    fixed: dict[str, Any] = {"img_size": size} if config.fixed_input_size else {}
    try:
        network = timm.create_model(name, num_classes=classes, in_chans=channels, **fixed, **more)
    except (AssertionError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(f"timm cannot make {name} for {size[0]} x {size[1]} images: "
                         f"{str(error).splitlines()[0]}") from error  # fmt: skip
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", (1, 1))
    if size[0] % patch[0] or size[1] % patch[1]:
        raise UsageError(f"{name} cuts patches of {patch[0]} x {patch[1]}, which do not divide "
                         f"{size[0]} x {size[1]}: choose a multiple as size")  # fmt: skip
    return network


def _adapted(
    name: str, config: Any, size: tuple[int, int], channels: int, path: Path
) -> dict[str, Tensor]:
    """Weights of a file after timm's adaptations to this size and these channels.

    The network is made with as many outputs as the file's head has, so that timm loads it strictly.

    Raises:
        UsageError: the file is not of this network.
    """
    state = read_state(path)
    head = state.get(f"{config.classifier}.weight")
    outputs = 0 if head is None else len(head)
    # timm counts in the file's own classes here: nothing is dropped, nothing shifted.
    overlay = {"state_dict": state, "num_classes": outputs, "label_offset": 0, "custom_load": False}
    with borrow(torch.Generator().manual_seed(0)):
        try:
            network = _create(
                name, config, size, channels, outputs,
                pretrained=True, pretrained_cfg_overlay=overlay,
            )  # fmt: skip
        except (RuntimeError, KeyError) as error:
            lines = " ".join(str(error).split())
            raise UsageError(f"{path} does not hold the weights of {name}: "
                             f"{lines[:300]}") from error  # fmt: skip
    return {f"network.{key}": tensor for key, tensor in network.state_dict().items()}
