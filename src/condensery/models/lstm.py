"""Stacked LSTMs on text: the small network of HMDC's experiments with text, in any depth, width."""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

import torch
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality, Text
from condensery.models.backbone import Backbone, PeerSpec
from condensery.models.plan import Plan, head_names, house_plan, refuse_taps, wrong_kind
from condensery.types import Reading, Tap, Tokens

NAME = re.compile(r"lstm(?P<depth>\d+)?(_w(?P<width>\d+))?(?P<released>_released)?")
DEPTH, WIDTH = 6, 128


class Shape(NamedTuple):
    """What a name says: layers, units of each, and whether as the authors' code has it."""

    depth: int = DEPTH
    width: int = WIDTH
    released: bool = False


class StackedLSTM(Backbone):
    """Word vectors, LSTMs one on the other, the mean of the last one's outputs, linear.

    Described in the supplement of HMDC (Moon et al., ECCV 2024, section C) as a SimpleLSTM
    (SimpleRNN in its Table 3); sizes are those of the authors' code: vectors of 128, six layers,
    4,699,650 parameters for 30,522 tokens and 2 classes. Taps: each layer's outputs, 0 where
    nothing is. The embedding is the mean of the last over the positions where something is.

    Six layers as PyTorch draws them do not even learn two texts by heart by gradient descent,
    whatever the rate (see the tests). So each layer's input is added to its output (Wu et al.,
    2016), gates begin open (a forget bias of 1: Jozefowicz et al., ICML 2015), recurrent matrices
    orthogonal (Saxe et al., ICLR 2014) and input matrices by Glorot's rule. No shape changes.

    Args:
        vocabulary: tokens. classes: outputs.
        shape: depth, width; ``released``: nothing added, PyTorch's initial weights, and the mean
            over all positions, empty ones too, as the authors' code has it. Their code clusters
            the whole last sequence, flattened, where this answers with its mean.

    Raises:
        UsageError: no layer, or no unit.
    """

    def __init__(self, vocabulary: int, classes: int, shape: Shape) -> None:
        super().__init__()
        if shape.depth < 1 or shape.width < 1:
            raise UsageError(f"an lstm has a depth and a width from 1; got {shape.depth} and "
                             f"{shape.width}")  # fmt: skip
        self.released = shape.released
        self.words = nn.Embedding(vocabulary, shape.width)
        self.layers = nn.ModuleList(
            nn.LSTM(shape.width, shape.width, batch_first=True) for _ in range(shape.depth)
        )
        self.classifier = nn.Linear(shape.width, classes)
        self.head = head_names(self, "classifier")
        self.vectors = head_names(self, "words")
        if not shape.released:
            for layer in self.layers:
                open_gates(layer)

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read texts ``(n, length, 2, k)`` or ``(n, length, vocabulary)``."""
        tokens = Tokens.of(x)
        states = tokens.embedded(self.words.weight)
        present = tokens.present
        outputs = []
        with differentiable_twice():
            for layer in self.layers:
                found = layer(states)[0]
                states = found if self.released else states + found
                outputs.append(states)
        embedding = states.mean(1) if self.released else mean_of(states, present)
        read = tuple(_tap(each, present) for each in outputs) if taps else ()
        return Reading(self.classifier(embedding), embedding, read)


def open_gates(layer: nn.Module) -> None:
    """Draw the weights of an LSTM of one layer so that it remembers from the first step on.

    The four blocks of its matrices are input, forget, cell and output gate, each drawn by itself.
    """
    own = dict(layer.named_parameters())
    with torch.no_grad():
        for block in own["weight_ih_l0"].chunk(4):
            nn.init.xavier_uniform_(block)
        for block in own["weight_hh_l0"].chunk(4):
            nn.init.orthogonal_(block)
        own["bias_ih_l0"].zero_().chunk(4)[1].fill_(1.0)
        own["bias_hh_l0"].zero_()


def differentiable_twice() -> contextlib.AbstractContextManager[None]:
    """Inside, where gradients are wanted, recurrent layers do not use cuDNN.

    Its LSTM has no second derivative, and no first one in evaluation mode. On the CPU nothing
    changes.
    """
    if torch.is_grad_enabled():
        return torch.backends.cudnn.flags(enabled=False)
    return contextlib.nullcontext()


def mean_of(states: Tensor, present: Tensor) -> Tensor:
    """Mean ``(n, width)`` of ``(n, length, width)`` over ``present``; 0 where nothing is."""
    weights = present.to(states).unsqueeze(2)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


def text_of(spec: PeerSpec, modality: Modality) -> Text:
    """The modality, when it is text and the spec asks for nothing that text has not.

    Raises:
        UsageError: other data, an input size, a normalisation of the network's own, or taps.
    """
    if not isinstance(modality, Text):
        raise wrong_kind(spec, "text", modality)
    refuse_taps(spec)
    if spec.size is not None:
        raise UsageError(f"{spec.name} reads texts as long as they come: leave size away, and load "
                         f"the data with another length")  # fmt: skip
    return modality


def parse(name: str) -> Shape | None:
    """Depth, width and whether released, of ``lstm``, ``lstm2_w16``, ``lstm_released``."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    depth, width = (int(found[key] or usual) for key, usual in (("depth", DEPTH), ("width", WIDTH)))
    return Shape(depth, width, bool(found["released"]))


def lstm(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """The stacked LSTM that its name says."""
    vocabulary, shape = text_of(spec, modality).vocabulary, parse(spec.name)
    assert shape is not None, "the table of models sends only names that parse"
    return house_plan(spec, lambda: StackedLSTM(vocabulary, classes, shape))


def _tap(states: Tensor, present: Tensor) -> Tap:
    kept = states * present.to(states).unsqueeze(2)
    return Tap(spatial=kept.transpose(1, 2), semantic=mean_of(states, present))
