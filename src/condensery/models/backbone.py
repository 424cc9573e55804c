"""A network that can be read: logits, an embedding, and taps from shallow to deep."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.errors import UsageError, unknown
from condensery.modality import Modality
from condensery.streams import borrow
from condensery.types import Batch, Reading, Tap

Part = Literal["all", "head", "embedding"]


@dataclass(frozen=True)
class PeerSpec:
    """A network and how it is trained: what a setting can hold. The live network is a ``Peer``.

    Attributes:
        name: a name of ``condensery list models``, a timm name, or a name of ``modules=``.
        weights: None trains from scratch; ``pretrained`` fetches; else a checkpoint file or a
            folder.
        size: side of the input that samples are resized to; None: what the network was made for,
            or the size of the data for networks that take any.
        taps: names of layers of a foreign module to read, or ``auto``.
        normalise: ``model``: samples are converted to the mean and std the weights were trained
            with; ``data``: they stay data-normalised; ``auto``: ``model`` when pretrained.
        optimiser: ``sgd`` or ``adamw``. lr: its rate. momentum: of ``sgd``. weight_decay: of both.
        learns: which of its parameters the optimiser moves: ``all``, the ``head`` or the
            ``embedding`` (the table of word vectors).
        matches: in which of them HMDC, DC and DSA match gradients (IDC has settings of its own).
            Those of the ``head`` alone say where an encoder sees the means of the classes, and
            spare a large one the second order.
    """

    name: str
    weights: str | None = None
    size: int | None = None
    taps: tuple[str, ...] | Literal["auto"] = "auto"
    normalise: Literal["auto", "model", "data"] = "auto"
    optimiser: Literal["sgd", "adamw"] = "sgd"
    lr: float = 1e-2
    momentum: float = 0.0
    weight_decay: float = 0.0
    learns: Part = "all"
    matches: Part = "all"


class Backbone(nn.Module):
    """A network of any kind behind one interface. Samples come in data-normalised.

    A subclass builds its layers in ``__init__`` and says how they are read in ``look``. It is made
    by a *factory*, a function without arguments that draws its initial weights from the global
    generator; ``restart`` runs it again.

    Attributes:
        size: ``(height, width)`` that samples are resized to, or None (taken as they come).
        pretrained: weights to come back to at a restart (all but the head), or None.
        head: names of the parameters that decide between the classes.
        vectors: names of the parameters that are word vectors, of networks that read text.
    """

    size: tuple[int, int] | None = None
    head: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.factory: Callable[[], Backbone] | None = None
        self.pretrained: dict[str, Tensor] | None = None
        self.affine: tuple[Tensor, Tensor] | None = None

    @abstractmethod
    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read samples that are already of this network's size and normalisation."""

    def prepare(self, x: Tensor) -> Tensor:
        """Data-normalised samples as this network takes them: resized, in its own mean and std."""
        if self.size is not None and tuple(x.shape[-2:]) != tuple(self.size):
            shrinks = x.shape[-2] > self.size[0] or x.shape[-1] > self.size[1]
            x = F.interpolate(x, list(self.size), mode="bilinear", antialias=shrinks)
        if self.affine is not None:
            scale, offset = self.affine
            x = x * scale.to(x) + offset.to(x)
        return x

    def read(self, batch: Batch, taps: bool = True) -> Reading:
        """Logits ``(n, classes)``, embedding ``(n, features)`` and taps of a batch."""
        return self.look(self.prepare(batch.x), batch.mask, taps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits ``(n, classes)`` of data-normalised samples: an ordinary module for others."""
        return self.look(self.prepare(x), mask, taps=False).logits

    def use_statistics(
        self, modality: Modality, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        """Convert data-normalised images to this mean and std, per channel, of pixels in [0, 1]."""
        data_mean, data_std = modality.statistics(torch.zeros(1))  # type: ignore[attr-defined]
        own_mean = torch.tensor(mean).view(1, -1, 1, 1)
        own_std = torch.tensor(std).view(1, -1, 1, 1)
        self.affine = (data_std / own_std, (data_mean - own_mean) / own_std)

    @torch.no_grad()
    def restart(
        self, generator: torch.Generator, keep_head: bool = False, keep_words: bool = False
    ) -> None:
        """Begin again, in place: fresh weights, or the pretrained ones with a fresh head.

        Parameters and buffers are copied into the tensors that are already there, so that an
        optimiser that holds them goes on moving this network (the released research code replaces
        modules, and its optimiser then moves dead tensors).

        Args:
            generator: where the fresh weights come from.
            keep_head, keep_words: leave the head, or the word vectors, as they are (the released
                code's behaviour).

        Raises:
            RuntimeError: the network was not made by a factory.
        """
        if self.factory is None:
            raise RuntimeError("this network was handed over ready-made and cannot restart; hand "
                               "over a factory instead: modules={'mine': function}")  # fmt: skip
        device = next(self.parameters()).device
        with borrow(generator), torch.enable_grad():
            fresh = self.factory()
        source = dict(fresh.state_dict())
        if self.pretrained is not None:
            source.update(self.pretrained)
        kept = {*(self.head if keep_head else ()), *(self.vectors if keep_words else ())}
        for name, tensor in self.state_dict(keep_vars=True).items():
            if name not in kept:
                tensor.data.copy_(source[name].to(device))


def parameters_of(network: nn.Module, part: Part) -> dict[str, nn.Parameter]:
    """The parameters of a part of a network, by name.

    Raises:
        UsageError: the network does not say which these are, or a part that there is not.
    """
    own = dict(network.named_parameters())
    if part == "all":
        return own
    kinds = {"head": ("head", "head"), "embedding": ("vectors", "word vectors")}
    if part not in kinds:
        raise unknown("part of a network", part, ("all", *kinds))
    field, meant = kinds[part]
    names = getattr(network, field, ())
    if not names:
        raise UsageError(f"{type(network).__name__} does not say which of its parameters are its "
                         f"{meant}: name them in `{field}`, or take all of it")  # fmt: skip
    return {name: own[name] for name in names}


def as_map(tap: Tensor) -> Tap:
    """A map of features ``(n, channels, height, width)`` or a sequence ``(n, channels, time)``.

    Its mean over the grid says what is there (HMDC section 3: CNN).
    """
    return Tap(spatial=tap, semantic=tap.flatten(2).mean(2))


def as_tokens(tokens: Tensor, grid: tuple[int, int], prefix: int = 1) -> Tap:
    """Transformer tokens ``(n, prefix + height * width, channels)``: CLS apart, patches to a grid.

    Without a CLS token (``prefix = 0``) the mean over the patches stands for it.
    """
    patches = tokens[:, prefix:].transpose(1, 2).unflatten(2, grid)
    semantic = tokens[:, 0] if prefix else tokens.mean(1)
    return Tap(spatial=patches, semantic=semantic)
