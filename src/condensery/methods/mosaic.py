"""Mosaic: those parts of real images that a trained network recognises best, packed together.

Sun, Shi, Yu and Lin, "On the Diversity and Realism of Distilled Dataset: An Efficient Dataset
Distillation Paradigm" (RDED), CVPR 2024. Only its selection: labels stay hard.

Differs from the paper: the network judges a crop at full size, not as a small tile on a grey field,
because a set is read through its codec, which enlarges its tiles (``view="padded"`` is the
published view); tiles are packed for 32 x 32 images too; a small ConvNet that is trained here
judges, where the paper has fully trained networks (``network`` takes weights from a file).

Differs from the authors' code: tiles are stored in eight bits, not as JPEG; crops keep the image's
proportions; the judge gets the data's own mean and std; nothing is relabelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from condensery.core.starts import mosaic_start
from condensery.core.synthetic import SyntheticSet
from condensery.core.teacher import TEACHER, teacher
from condensery.data.problem import Problem
from condensery.methods.base import Context
from condensery.methods.selection import Selection
from condensery.models.backbone import PeerSpec


@dataclass(frozen=True)
class Mosaic(Selection):
    """Scored crops of real images, one of an image, ``factor`` squared in each stored one.

    Attributes:
        pool: images of a class that are looked at, drawn at random; at most all.
        crops: tried of each image; the one with the lowest cross-entropy is kept.
        area: smallest and largest share of the image that a crop takes.
        view: how a crop is shown to the network: ``source`` at full size, ``decoded`` as it comes
            out of the stored tile, ``padded`` as a small tile on the mean colour (as published);
            ``unscored`` asks no network: random crops, which say what the scores bring.
        network: that recognises them. With weights it is not trained again.
        updates: batches of 128 that it learns from, where it is trained.
    """

    title: ClassVar[str] = "mosaic"
    paper: ClassVar[str] = "Sun et al. (RDED), CVPR 2024"
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    start_from: ClassVar[str] = "mosaic"

    factor: int = 2
    pool: int = 300
    crops: int = 5
    area: tuple[float, float] = (0.08, 1.0)
    view: Literal["source", "decoded", "padded", "unscored"] = "source"
    network: PeerSpec = TEACHER
    updates: int = 1000

    def peers_used(self) -> tuple[str, ...]:
        """The network that scores, if any."""
        return () if self.view == "unscored" else (self.network.name,)

    def start(self, problem: Problem, per_class: int, context: Context) -> SyntheticSet:
        """The selection itself."""
        streams, judge = context.streams.child("start"), None
        if self.view != "unscored":
            judge = teacher(
                self.network,
                problem,
                streams.child("teacher"),
                context.device,
                context.modules,
                self.updates,
            )
        return mosaic_start(
            problem,
            per_class,
            self.codec(problem),
            streams,
            judge,
            pool=self.pool,
            crops=self.crops,
            area=self.area,
            view=self.view,
            device=context.device,
        )
