"""Networks of timm (Wightman, 2019) behind our interface, and small ones built of its parts."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import Plan, head_names, house_plan, input_size, refuse_taps
from condensery.types import Reading, Tap


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
    """A ViT of width 64, depth 4 and 4 heads; 8 x 8 patches of 32 x 32, 4 x 4 of 8 x 8 images."""

    def make(patch: int, size: tuple[int, int]) -> nn.Module:
        from timm.models.vision_transformer import VisionTransformer

        return VisionTransformer(
            img_size=size, patch_size=patch, in_chans=modality.shape[0], num_classes=classes,
            embed_dim=64, depth=4, num_heads=4,
        )  # fmt: skip

    return _small(spec, modality, make)


def mixer_mini(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """An MLP-Mixer (Tolstikhin et al., NeurIPS 2021) of width 64 and depth 4, patches as vit_mini."""

    def make(patch: int, size: tuple[int, int]) -> nn.Module:
        from timm.models.mlp_mixer import MlpMixer

        return MlpMixer(
            img_size=size, patch_size=patch, in_chans=modality.shape[0], num_classes=classes,
            embed_dim=64, num_blocks=4,
        )  # fmt: skip

    return _small(spec, modality, make)
