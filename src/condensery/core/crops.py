"""Parts of images, and which of them a network recognises best."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

View = Callable[[Tensor], Tensor]
IMAGES_AT_ONCE = 32


class Crop(NamedTuple):
    """A part of an image in whole pixels, with the image's own proportions."""

    top: int
    left: int
    height: int
    width: int


def draw_crops(
    count: int, size: tuple[int, int], area: tuple[float, float], generator: torch.Generator
) -> list[Crop]:
    """Crops whose share of the image's area is uniform in ``area``, anywhere inside it.

    Args:
        size: (height, width) of the image. area: smallest and largest share, in (0, 1].
    """
    found = []
    for share, down, right in torch.rand(count, 3, generator=generator).tolist():
        side = math.sqrt(area[0] + (area[1] - area[0]) * share)
        height, width = (max(1, round(side * length)) for length in size)
        found.append(
            Crop(
                int(down * (size[0] - height + 1)),
                int(right * (size[1] - width + 1)),
                height,
                width,
            )
        )
    return found


def cut(image: Tensor, crop: Crop) -> Tensor:
    """A crop of ``(channels, height, width)`` at the size of the whole image (bilinear)."""
    size = image.shape[-2:]
    if (crop.height, crop.width) == tuple(size):
        return image
    part = image[None, :, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    return F.interpolate(part, list(size), mode="bilinear", antialias=True)[0]


@torch.no_grad()
def best_crops(
    images: Tensor, crops: list[Crop], label: int, network: nn.Module, view: View
) -> tuple[list[Crop], Tensor]:
    """Of each image the crop that a network recognises best, and how well it does.

    Args:
        images: ``(n, channels, height, width)``, data-normalised.
        crops: as many for each image, those of the first image first.
        label: the images' class.
        network: gives logits; read in evaluation mode and left in the mode it was in.
        view: what the network sees of crops at the size of whole images, ``(m, channels, height,
            width)``.

    Returns:
        ``n`` crops, and ``(n,)`` their cross-entropies on the CPU; the lowest, ties to the first.
    """
    each, training = len(crops) // len(images), network.training
    network.eval()
    losses = []
    for first in range(0, len(crops), each * IMAGES_AT_ONCE):
        few = range(first, min(first + each * IMAGES_AT_ONCE, len(crops)))
        seen = view(torch.stack([cut(images[place // each], crops[place]) for place in few]))
        target = torch.full((len(few),), label, device=seen.device)
        losses.append(F.cross_entropy(network(seen), target, reduction="none").cpu())
    network.train(training)
    lowest = torch.cat(losses).view(len(images), each).min(1)
    chosen = [crops[place * each + best] for place, best in enumerate(lowest.indices.tolist())]
    return chosen, lowest.values
