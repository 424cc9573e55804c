"""A multilayer perceptron: the network that knows least of images."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import Plan, head_names, house_plan, input_size, refuse_taps
from condensery.types import Reading


class MLP(Backbone):
    """Flattened pixels, two hidden layers with ReLU, linear.

    A hidden layer has no place in the image: its tap is a map of one pixel, so spatial and semantic
    parts are the same. The embedding is the last hidden layer.

    Args:
        channels, size: of the input. classes: outputs. width: of the hidden layers.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], classes: int, width: int = 256
    ) -> None:
        super().__init__()
        self.size = size
        self.hidden1 = nn.Linear(channels * math.prod(size), width)
        self.hidden2 = nn.Linear(width, width)
        self.classifier = nn.Linear(width, classes)
        self.head = head_names(self, "classifier")

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read images ``(n, channels, height, width)`` of this network's size."""
        first = F.relu(self.hidden1(x.flatten(1)))
        second = F.relu(self.hidden2(first))
        read = tuple(as_map(each[:, :, None, None]) for each in (first, second)) if taps else ()
        return Reading(self.classifier(second), second, read)


def mlp(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """Three layers of width 256 on the size of the data."""
    refuse_taps(spec)
    size = input_size(spec, modality)
    return house_plan(spec, lambda: MLP(modality.shape[0], size, classes))
