"""Training one network on a set, and testing it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from condensery import models
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem, SplitName
from condensery.errors import RunError, UsageError
from condensery.evaluate.precision import Precision, precision_of
from condensery.evaluate.probe import probed
from condensery.evaluate.recipes import Recipe
from condensery.evaluate.soft import Lesson
from condensery.modality import DenseTokens, Modality
from condensery.models.backbone import Backbone, PeerSpec, parameters_of
from condensery.streams import Streams, borrow
from condensery.types import Batch

Watch = Callable[[int, Backbone], None]
LOW_BATCHES = 4  # times as many samples a batch in 16 bits: their layers are quick and small
LOW_BYTES = 2**23  # unless such a batch (as float32) is larger
KEPT_BYTES = 2**30  # test samples up to this size (as float32) are normalised once and kept


class Diverged(RunError):
    """A loss that is not finite: the rate is too high for this network and set.

    Args:
        epoch: in which, counted from 1. epochs: of the whole training.
    """

    def __init__(self, epoch: int, epochs: int) -> None:
        super().__init__(f"the loss is not finite in epoch {epoch} of {epochs}: lower its rate in "
                         f"the recipe")  # fmt: skip
        self.epoch, self.epochs = epoch, epochs

    def __reduce__(self) -> tuple[type[Diverged], tuple[int, int]]:
        """Its own arguments, so that it comes whole out of another process."""
        return type(self), (self.epoch, self.epochs)


def train_network(
    synthetic: SyntheticSet,
    spec: PeerSpec,
    recipe: Recipe,
    streams: Streams,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    device: str | torch.device = "cpu",
    watch: Watch | None = None,
    lesson: Lesson | None = None,
    after_update: Watch | None = None,
    stop: int | None = None,
) -> Backbone:
    """Train a fresh network on the exported form of a set (quantised, then decoded, once).

    Args:
        synthetic: the set; it is left as it is.
        spec: the network. Its own training values (``lr``, ...) belong to condensing: the recipe's
            apply here.
        recipe: how to train; its override for this network is worked in.
        streams: of this network and evaluation seed, never of the set: two sets of one size see
            equal initial weights and batch orders, so that they can be compared in pairs.
        modules: factories of the user's own networks.
        watch: called as ``watch(epoch, backbone)`` after each epoch, counted from 1.
        lesson: what it learns from; None: hard labels.
        after_update: called as ``after_update(update, backbone)`` after each, counted from 1.
        stop: end after so many epochs of the recipe, whose schedule stays as it is; None: at its
            end.

    Returns:
        The trained network, in evaluation mode; with a linear layer in place of its head where the
        recipe solves for one.

    Raises:
        Diverged: the loss is not finite.
        UsageError: a recipe that trains or replaces a part that a network has not; one that reads
            texts undecoded, and a set that does not export them so.
    """
    backbone = models.build(
        spec, synthetic.modality, synthetic.classes, streams("weights"), modules=modules
    ).to(device)
    applied = recipe.for_network(spec.name, family_of(spec, modules))
    batch = learned_from(synthetic, applied)
    lesson = lesson or Lesson()
    batch = lesson.prepared(Batch(batch.x.to(device), batch.y.to(device), batch.mask))
    modality, classes = synthetic.modality, synthetic.classes
    if applied.solver == "ridge":
        return probed(backbone, batch, applied, streams, modality, classes, lesson)
    frozen = applied.batch_norm == "eval" and spec.weights is not None
    fit(backbone, batch, applied, streams, modality, classes, frozen, watch, lesson, after_update,
        stop)  # fmt: skip
    return backbone.eval()


def learned_from(synthetic: SyntheticSet, recipe: Recipe) -> Batch:
    """The samples that a recipe trains on: those of the exported form, decoded.

    HMDC's code matches texts decoded and evaluates them raw; a recipe with ``text="raw"`` does so
    too. A real text, one token a position, has nothing to decode and is read as it is.

    Raises:
        UsageError: texts are to be read raw, and the set exports but a few tokens a position.
    """
    exported, codec = synthetic.quantised(), synthetic.codec
    if recipe.text == "decoded" or synthetic.modality.kind != "text" or not codec.moves:
        return exported.decode()
    if not (isinstance(codec, DenseTokens) and codec.whole):
        raise UsageError(f"recipe {recipe.name} reads texts undecoded, which this set does not "
                         f"export: condense data of form dense with keep 0, or take another "
                         f"recipe")  # fmt: skip
    return Batch(exported.stored["logits"], exported.labels)


def family_of(spec: PeerSpec, modules: Mapping[str, Any] | None) -> str:
    """What kind of network this is; ``module`` for one of the user's own."""
    return "module" if modules and spec.name in modules else models.family(spec.name)


def fit(
    backbone: Backbone,
    batch: Batch,
    recipe: Recipe,
    streams: Streams,
    modality: Modality,
    classes: int,
    frozen_statistics: bool = False,
    watch: Watch | None = None,
    lesson: Lesson | None = None,
    after_update: Watch | None = None,
    stop: int | None = None,
) -> None:
    """Train a network in place on decoded samples, by a recipe without overrides.

    The optimiser is made here, from the parameters that are there now: the released code of HMDC
    made it before it replaced the network, and then moved tensors that nobody used.

    Args:
        batch: data-normalised samples with hard or soft labels, where the network is.
        streams: order, augmentation, mixing and dropout have one each.
        frozen_statistics: batch norm stays in evaluation mode.
        lesson: targets of altered samples, and the loss; None: hard labels.
        watch, after_update: see ``train_network``; each may leave evaluation mode behind.
        stop: see ``train_network``.

    Raises:
        Diverged: the loss is not finite; says in which epoch.
        UsageError: only the head is to be trained, and the network names none.
    """
    lesson = lesson or Lesson()
    optimiser = make_optimiser(backbone, recipe)
    epochs, updates = recipe.length(len(batch.y))
    per_epoch = recipe.per_epoch(len(batch.y))
    order, alter = streams("order"), _altering(recipe, streams, modality, classes, lesson)
    done = 0

    def tell(update: int) -> None:
        if after_update is not None:
            after_update(update, backbone)
            _training_mode(backbone, recipe, frozen_statistics)

    with borrow(streams("dropout")):
        for epoch in range(1, 1 + (epochs if stop is None else stop)):
            _training_mode(backbone, recipe, frozen_statistics)
            total = torch.zeros((), device=batch.y.device)
            shuffled = torch.randperm(len(batch.y), generator=order).to(batch.y.device)
            for positions in recipe.batches(shuffled)[: updates - done]:
                rate = recipe.lr * recipe.schedule.rate(done, updates, per_epoch)
                altered = alter(_pick(batch, positions))
                total += _update(backbone, optimiser, rate, altered, lesson)
                done += 1
                tell(done)
            if not torch.isfinite(total):
                raise Diverged(epoch, epochs)
            if watch is not None:
                watch(epoch, backbone)


def make_optimiser(backbone: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """An optimiser of what a recipe without overrides trains: all parameters, or those of a part.

    The others take no gradient any more.

    Raises:
        UsageError: a part is to be trained that the network does not name.
    """
    held = parameters_of(backbone, recipe.train_part)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name in held)
    parameters = list(held.values())
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(
            parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
    return torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _update(
    backbone: Backbone,
    optimiser: torch.optim.Optimizer,
    rate: float,
    batch: Batch,
    lesson: Lesson,
) -> Tensor:
    """One step at this rate; the loss before it."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    loss = lesson.loss(backbone(batch.x, batch.mask), batch.y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()


def _altering(
    recipe: Recipe, streams: Streams, modality: Modality, classes: int, lesson: Lesson
) -> Callable[[Batch], Batch]:
    """The augmentation of a recipe and its mixing, each with one generator for all of training.

    A teacher that answers live sees samples as the network does, but before two are mixed: what is
    mixed is its softened word on each.
    """
    augmentation = recipe.augmentation(modality)
    parameters, boxes = streams("augment"), streams("mix")

    def alter(batch: Batch) -> Batch:
        if augmentation is None:
            return lesson.targets(batch)
        x = augmentation.apply(augmentation.draw(parameters, len(batch.x)), batch.x)
        batch = lesson.targets(Batch(x, batch.y, batch.mask))
        # The coin is thrown for each batch, whatever the probability, so that streams stay in step.
        if float(torch.rand((), generator=boxes)) < recipe.mix:
            return augmentation.mix(boxes, batch, classes)
        return batch

    return alter


def _training_mode(backbone: Backbone, recipe: Recipe, frozen_statistics: bool) -> None:
    backbone.train(recipe.mode != "eval")
    if recipe.mode == "dropout":
        nn.Module.train(backbone)  # past what a network of its own accord keeps in evaluation mode
    if not frozen_statistics:
        return
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def _pick(batch: Batch, positions: Tensor) -> Batch:
    mask = None if batch.mask is None else batch.mask[positions]
    return Batch(batch.x[positions], batch.y[positions], mask)


class TestSamples:
    """A split as networks are tested on it: never augmented, normalised once where it fits.

    Args:
        problem: the data. split: ``test`` or ``val``.
        modality: whose mean and std samples are normalised by: that of the set that the network was
            trained on (an imported set may have been made with other constants than ours).
        device: where the networks are.
        size: samples in a batch; None: few on a CPU, where the values between two layers should
            stay in its cache (1,000 at once take 1.5 to 3 times as long as 32), else 1,000.
    """

    __test__ = False  # not a test of pytest's

    def __init__(
        self,
        problem: Problem,
        split: SplitName = "test",
        modality: Modality | None = None,
        device: str | torch.device = "cpu",
        size: int | None = None,
    ) -> None:
        self.split = problem.split(split)
        self.modality = modality or problem.modality
        self.device = device
        self.size = size or (32 if torch.device(device).type == "cpu" else 1000)
        self.classes = problem.classes
        one = int(np.prod(self.modality.shape)) * 4
        # One tensor, so that processes can share its memory.
        self._kept = self._read(slice(None)) if one * len(self.split) <= KEPT_BYTES else None
        small = torch.device(device).type == "cpu" and one * self.size * LOW_BATCHES <= LOW_BYTES
        self._low_size = self.size * (LOW_BATCHES if small else 1)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def batches(self, low: bool = False) -> Iterator[Batch]:
        """All samples. low: for a test in 16 bits, of small samples four times as many at once."""
        size = self._low_size if low else self.size
        for start in range(0, len(self.split), size):
            here = slice(start, start + size)
            if self._kept is None:
                yield self._read(here)
            else:
                yield Batch(self._kept.x[here], self._kept.y[here])  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.split)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: the split itself only where nothing is kept."""
        state = dict(self.__dict__)
        if self._kept is not None:
            state["split"] = range(len(self.split))  # its length is all that is asked of it
        return state

    def _read(self, here: slice) -> Batch:
        # Copies: a slice of a memory map is read-only, which torch does not take.
        raw = torch.from_numpy(np.array(self.split.samples[here]))
        labels = torch.from_numpy(np.array(self.split.labels[here]))
        return Batch(self.modality.normalise(raw.to(self.device)), labels.to(self.device))


class Tested(NamedTuple):
    """What a network made of a split.

    Attributes:
        accuracy: the part of the samples whose class it names, in [0, 1].
        confusion: counts ``[true class][predicted class]``.
        precision: that it was tested in.
    """

    accuracy: float
    confusion: list[list[int]]
    precision: str = "float32"

    @property
    def class_accuracy(self) -> list[float]:
        """Accuracy of each class, in [0, 1]; 0 for a class without samples."""
        return [row[label] / max(1, sum(row)) for label, row in enumerate(self.confusion)]


def tested(
    backbone: Backbone, samples: TestSamples, precision: Precision = "float32"
) -> Tested:
    """Test a network; it is left in evaluation mode.

    Args:
        precision: of products and convolutions (``torch.autocast``; norms and sums keep 32 bits),
            see ``condensery.evaluate.precision``.
    """
    backbone.eval()
    kind, counts = torch.device(samples.device).type, None
    network = _laid_out(backbone, kind)
    chosen = precision_of(precision, network, next(iter(samples)).x)
    low = chosen != torch.float32
    with torch.inference_mode(), torch.autocast(kind, chosen, enabled=low):
        for batch in samples.batches(low):
            logits = network(batch.x, batch.mask)
            width = logits.shape[1]
            found = torch.bincount(batch.y * width + logits.argmax(1),
                                   minlength=samples.classes * width)  # fmt: skip
            counts = found if counts is None else counts + found
    assert counts is not None
    confusion = counts.view(samples.classes, -1)
    right = int(confusion.diagonal().sum())
    told = str(chosen).removeprefix("torch.")
    return Tested(right / len(samples), confusion.tolist(), told)


def accuracy(backbone: Backbone, samples: TestSamples) -> float:
    """The part of the samples whose class a network names, in [0, 1]; see ``tested``."""
    return tested(backbone, samples).accuracy


def _laid_out(backbone: Backbone, kind: str) -> Backbone:
    """The network with its channels last where it convolves: up to 1.5 times faster on a CPU.

    A copy, since an optimiser may hold the parameters as they lie.
    """
    spatial = [one for one in backbone.modules()
               if isinstance(one, nn.Conv2d) and one.kernel_size != one.stride]  # fmt: skip
    if kind != "cpu" or not spatial:
        return backbone
    return copy.deepcopy(backbone).to(memory_format=torch.channels_last)
