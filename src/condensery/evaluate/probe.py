"""Linear probe: a frozen network's embeddings of a set, and ridge regression in closed form.

Made for pretrained networks: what does a set tell of its classes to somebody who already sees? No
step is taken, so the number depends on the set and the network alone, and costs seconds.

Each label becomes a vector of one 1 among zeros (or its probabilities); weights ``W`` and offset
``b`` minimise the sum over samples of ``|y - b - W x|^2 + penalty * |W|^2`` in 64 bits, where
``penalty = ridge * (summed variance of the embeddings) / features``: relative to their scale and to
the number of samples, so that neither a network that answers in larger numbers nor a set whose
samples all come twice is probed otherwise. The class of the largest output is named (Hoerl and
Kennard, Technometrics 1970; as classifier: Rifkin, Yeo and Poggio, 2003).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from condensery.errors import RunError, UsageError
from condensery.evaluate.recipes import Recipe
from condensery.evaluate.soft import Lesson
from condensery.modality import Modality
from condensery.models.backbone import Backbone
from condensery.streams import Streams
from condensery.types import Batch, Reading

SIZE = 100  # samples that are embedded at once


class Probe(Backbone):
    """A frozen network and a linear layer on its embedding, in place of its own head.

    Args:
        body: the network, which resizes and normalises by itself.
        weight: ``(features, classes)``. offset: ``(classes,)``. Both float64.
    """

    weight: Tensor
    offset: Tensor

    def __init__(self, body: Backbone, weight: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("weight", weight)
        self.register_buffer("offset", offset)

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read data-normalised samples; the logits ``(n, classes)`` are float64."""
        reading = self.body.look(self.body.prepare(x), mask, taps)
        logits = reading.embedding.to(self.weight) @ self.weight + self.offset
        return Reading(logits, reading.embedding, reading.taps)


def probed(
    backbone: Backbone,
    batch: Batch,
    recipe: Recipe,
    streams: Streams,
    modality: Modality,
    classes: int,
    lesson: Lesson | None = None,
) -> Probe:
    """Freeze a network and fit a linear layer on its embeddings of a set.

    Args:
        backbone: the network; nothing of it changes but that it is in evaluation mode.
        batch: data-normalised decoded samples ``(n, ...)``, hard or soft labels.
        recipe: its ``ridge``, and ``epochs``: the samples as they are, then views by
            ``operations``. streams: of the views.
        modality, classes: of the set. lesson: whose labels the views get; None: those of ``batch``.

    Returns:
        The probe, in evaluation mode, where the network was.

    Raises:
        UsageError: the network has no embedding of shape ``(n, features)``.
        RunError: an embedding is not finite.
    """
    backbone.eval()
    augmentation, drawn = recipe.augmentation(modality), streams("augment")
    lesson = lesson or Lesson()
    features, targets = [], []
    for view in range(recipe.epochs):
        for place in range(0, len(batch.y), SIZE):
            part = _part(batch, slice(place, place + SIZE))
            if view and augmentation is not None:
                seen = augmentation.apply(augmentation.draw(drawn, len(part.x)), part.x)
                part = part._replace(x=seen)
            features.append(embedded(backbone, part))
            targets.append(lesson.targets(part).y)
    x, y = torch.cat(features), _vectors(torch.cat(targets), classes)
    if not torch.isfinite(x).all():
        raise RunError("an embedding is not finite: the network cannot be probed")
    weight, offset = ridge_regression(x, y, recipe.ridge)
    return Probe(backbone, weight, offset).to(batch.y.device).eval()


def embedded(backbone: Backbone, batch: Batch) -> Tensor:
    """Embeddings ``(n, features)`` of data-normalised samples, float64 on the CPU.

    Raises:
        UsageError: the network has none.
    """
    with torch.inference_mode():
        found = backbone.read(batch, taps=False).embedding
    if not isinstance(found, Tensor) or found.ndim != 2 or not found.shape[1]:
        raise UsageError(
            f"{type(backbone).__name__} has no embedding (n, features), which a linear probe reads:"
            f" let its look() answer with one, or take another recipe"
        )
    return found.double().cpu()


def ridge_regression(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Weights and offset of the regression that the module describes.

    Args:
        x: ``(n, features)`` float64. y: ``(n, classes)`` float64. ridge: above 0.

    Returns:
        ``(features, classes)`` and ``(classes,)``, float64. Embeddings that are all equal have
        nothing to tell: weights of 0.
    """
    from sklearn.linear_model import Ridge

    penalty = ridge * float((x - x.mean(0)).square().sum()) / x.shape[1]
    if penalty == 0:
        return x.new_zeros(x.shape[1], y.shape[1]), y.mean(0)
    solved = Ridge(alpha=penalty, solver="cholesky").fit(x.numpy(), y.numpy())
    return torch.from_numpy(solved.coef_.T.copy()), torch.from_numpy(solved.intercept_.copy())


def _vectors(y: Tensor, classes: int) -> Tensor:
    if y.ndim == 1:
        y = nn.functional.one_hot(y, classes)
    return y.double().cpu()


def _part(batch: Batch, place: slice) -> Batch:
    return Batch(batch.x[place], batch.y[place], None if batch.mask is None else batch.mask[place])
