"""Residual networks for small images (with batch norm), and the CIFAR-10 teachers."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import (
    Plan,
    Statistics,
    head_names,
    house_plan,
    input_size,
    refuse_taps,
)
from condensery.types import Reading

IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Shortcut = Literal["conv", "pad"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to their input (He et al., CVPR 2016).

    Args:
        inputs, outputs: channels. stride: of the first convolution.
        shortcut: where sizes differ: a 1x1 ``conv``, or every second pixel and a ``pad`` of zero
            channels, half on each side (option A of the paper, without parameters).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.padding = stride, (outputs - inputs) // 2
        self.shortcut: nn.Module | None = None
        if shortcut == "conv" and (stride != 1 or inputs != outputs):
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, height, width)`` to ``(n, outputs, height / stride, width / stride)``."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.stride != 1 or self.padding:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0,) * 4 + (self.padding,) * 2)
        return F.relu(out + x)


class ResNet(Backbone):
    """A 3x3 stem and three stages of ``BasicBlock``; the second and third halve the map.

    Taps: after the stem and after each stage. The embedding is the mean over the last map. It has
    batch norm: in training mode what it says of a sample depends on the batch.

    Args:
        channels: of the input. size: (height, width) to resize to, or None for any size.
        classes: outputs. widths: channels of the stages. blocks: of each stage.
        shortcut: see ``BasicBlock``.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int] | None,
        classes: int,
        widths: tuple[int, int, int],
        blocks: int,
        shortcut: Shortcut,
    ) -> None:
        super().__init__()
        self.size = size
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        stages, inputs = [], widths[0]
        for number, width in enumerate(widths):
            first = BasicBlock(inputs, width, 1 if number == 0 else 2, shortcut)
            rest = [BasicBlock(width, width, 1, shortcut) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            inputs = width
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(widths[-1], classes)
        self.head = head_names(self, "linear")

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read images ``(n, channels, height, width)``."""
        maps = [F.relu(self.bn1(self.conv1(x)))]
        for stage in (self.layer1, self.layer2, self.layer3):
            maps.append(stage(maps[-1]))
        embedding = maps[-1].flatten(2).mean(2)
        read = tuple(as_map(each) for each in maps) if taps else ()
        return Reading(self.linear(embedding), embedding, read)


def resnet_mini(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """Three residual blocks of 24, 48 and 96 channels with batch norm, for images of any size."""
    refuse_taps(spec)
    size = input_size(spec, modality)
    widths = (24, 48, 96)
    return house_plan(spec, lambda: ResNet(modality.shape[0], size, classes, widths, 1, "conv"))


def cifar_resnet(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """ResNet-20 and ResNet-56 of He et al. (CVPR 2016, section 4.2), shortcuts of option A.

    Weights of a file are taken to be trained with ImageNet's mean and std, as the public ones are
    (`normalise="data"` says otherwise).
    """
    refuse_taps(spec)
    size = input_size(spec, modality)
    blocks = {"cifar_resnet20": 3, "cifar_resnet56": 9}[spec.name]
    widths = (16, 32, 64)

    def make() -> Backbone:
        return ResNet(modality.shape[0], size, classes, widths, blocks, "pad")

    return house_plan(spec, make, IMAGENET)
