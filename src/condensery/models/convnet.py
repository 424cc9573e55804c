"""ConvNet: the network of the condensation literature, in any depth and width; and LeNet."""

from __future__ import annotations

import re

import torch.nn.functional as F
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import Plan, head_names, house_plan, input_size, refuse_taps
from condensery.types import Reading

NAME = re.compile(r"convnet(?P<depth>\d+)(_w(?P<width>\d+))?")
MINI_WIDTH = 32


class ConvNet(Backbone):
    """``depth`` times [3x3 convolution, a norm for each channel, ReLU, 2x2 mean], then linear.

    Gidaris and Komodakis (CVPR 2018) as the condensation papers use it; depth 3 and width 128 have
    320,010 parameters for 3 x 32 x 32 images of 10 classes. Taps: after each ReLU, and the last
    pooled map (HMDC, section 3). The embedding is that map, flattened.

    Args:
        channels, size: of the input; ``size`` is (height, width), any number, odd ones too.
        classes: outputs.
        depth: blocks, each of which halves the map. width: channels of each.
        released_taps: taps as the code of HMDC has them: after each pool, the last one twice.

    Raises:
        UsageError: the last map would have no pixel.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        classes: int,
        depth: int = 3,
        width: int = 128,
        released_taps: bool = False,
    ) -> None:
        super().__init__()
        grid = (size[0] >> depth, size[1] >> depth)
        if depth < 1 or width < 1:
            raise UsageError(f"a ConvNet has a depth and a width from 1; got {depth} and {width}")
        if min(grid) < 1:
            fits = min(size).bit_length() - 1
            raise UsageError(f"convnet{depth} halves {size[0]} x {size[1]} images {depth} times, "
                             f"which leaves no pixel: take at most convnet{fits}")  # fmt: skip
        self.size = size
        self.released_taps = released_taps
        inputs = [channels] + [width] * (depth - 1)
        self.convs = nn.ModuleList([nn.Conv2d(number, width, 3, padding=1) for number in inputs])
        self.norms = nn.ModuleList([nn.GroupNorm(width, width) for _ in inputs])
        self.classifier = nn.Linear(width * grid[0] * grid[1], classes)
        self.head = head_names(self, "classifier")

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read images ``(n, channels, height, width)`` of this network's size."""
        active, pooled = [], []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            active.append(F.relu(norm(conv(x))))
            x = F.avg_pool2d(active[-1], 2)
            pooled.append(x)
        maps = [*pooled, x] if self.released_taps else [*active, x]
        embedding = x.flatten(1)
        read = tuple(as_map(each) for each in maps) if taps else ()
        return Reading(self.classifier(embedding), embedding, read)


class LeNet(Backbone):
    """Two 5x5 convolutions with 2x2 maxima and three linear layers; no norm anywhere.

    LeCun et al. (1998) with ReLU and padding, so that 8 x 8 images work. Taps: after each ReLU of
    the convolutions, and the last pooled map. The embedding is the last hidden layer (84).

    Args:
        channels, size: of the input; both sides at least 4. classes: outputs.
    """

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        if min(size) < 4:
            raise UsageError(f"lenet needs images of at least 4 x 4, not {size[0]} x {size[1]}")
        self.size = size
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=2)
        self.hidden1 = nn.Linear(16 * (size[0] // 4) * (size[1] // 4), 120)
        self.hidden2 = nn.Linear(120, 84)
        self.classifier = nn.Linear(84, classes)
        self.head = head_names(self, "classifier")

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read images ``(n, channels, height, width)`` of this network's size."""
        first = F.relu(self.conv1(x))
        second = F.relu(self.conv2(F.max_pool2d(first, 2)))
        last = F.max_pool2d(second, 2)
        embedding = F.relu(self.hidden2(F.relu(self.hidden1(last.flatten(1)))))
        read = tuple(as_map(each) for each in (first, second, last)) if taps else ()
        return Reading(self.classifier(embedding), embedding, read)


def parse(name: str) -> tuple[int, int] | None:
    """Depth and width of a name: ``convnet4`` (width 128), ``convnet3_w32``; None for others."""
    if name == "convnet_mini":
        return 3, MINI_WIDTH
    found = NAME.fullmatch(name)
    return (int(found["depth"]), int(found["width"] or 128)) if found else None


def convnet(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """A ConvNet of the depth and width that its name says.

    ``spec.taps = ("pools",)`` taps after the pools, the last twice, as the code of HMDC does.

    Raises:
        UsageError: other taps, or images too small for the depth.
    """
    shape = parse(spec.name)
    assert shape is not None, "the table of models sends only names that parse"
    if spec.taps not in ("auto", ("pools",)):
        raise UsageError(f"{spec.name} has taps 'auto' (after each ReLU and the last pool) or "
                         f"('pools',), not {spec.taps}")  # fmt: skip
    size, released = input_size(spec, modality), spec.taps != "auto"

    def make() -> Backbone:
        return ConvNet(modality.shape[0], size, classes, *shape, released_taps=released)

    return house_plan(spec, make)


def lenet(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """LeNet of the size of the data."""
    refuse_taps(spec)
    size = input_size(spec, modality)
    return house_plan(spec, lambda: LeNet(modality.shape[0], size, classes))
