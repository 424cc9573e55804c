"""The synthetic set: what is stored, how it is read, how it is moved."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from condensery.modality import Codec, Modality
from condensery.types import Batch


@dataclass(eq=False)
class SyntheticSet:
    """A handful of samples per class, stored in leaves and read through a codec.

    Attributes:
        stored: leaves by name, each ``(n, ...)``; samples lie class by class.
        labels: ``(n,)`` int64, ascending.
        modality: what a sample is, with the mean and std it is normalised by.
        codec: how it is stored.
        label_names: one per class.
        about: plain values for the card: method, settings, data, seed, seconds.
    """

    stored: dict[str, Tensor]
    labels: Tensor
    modality: Modality
    codec: Codec
    label_names: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(leaf) for leaf in self.stored.values()} | {len(self.labels)}
        if len(lengths) != 1:
            raise ValueError(
                f"leaves and labels of a synthetic set differ in length: {sorted(lengths)}"
            )
        if len(self.labels) and not bool((self.labels.diff() >= 0).all()):
            raise ValueError(
                "the samples of a synthetic set lie class by class: labels must ascend"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.label_names)

    @property
    def per_class(self) -> float:
        """Stored samples per class, on average."""
        return len(self) / max(1, self.classes)

    @property
    def device(self) -> torch.device:
        """Where the leaves are."""
        return self.labels.device

    def where(self, label: int) -> slice:
        """Where a class's samples lie among the stored ones; classes may differ in number."""
        first = int(torch.searchsorted(self.labels, label))
        last = int(torch.searchsorted(self.labels, label, right=True))
        return slice(first, last)

    def of(self, label: int) -> dict[str, Tensor]:
        """A class's stored samples: views into the leaves."""
        place = self.where(label)
        return {name: leaf[place] for name, leaf in self.stored.items()}

    def leaves(self, label: int) -> dict[str, Tensor]:
        """A copy of a class's stored samples that takes a gradient, for a loss to be made of."""
        return {
            name: part.detach().clone().requires_grad_() for name, part in self.of(label).items()
        }

    def decoded(self, label: int, leaves: Mapping[str, Tensor]) -> Batch:
        """A class's samples with their hard labels, differentiable in ``leaves`` (see there)."""
        x = self.codec.decode(leaves, self.modality)
        return Batch(x, torch.full((len(x),), label, device=x.device))

    def decode(self) -> Batch:
        """All samples, data-normalised, decoded class by class, with hard labels; no gradient."""
        with torch.no_grad():
            parts = [self.codec.decode(self.of(label), self.modality) for label in self._present()]
        labels = [self.codec.labels(self.labels[self.where(label)]) for label in self._present()]
        return Batch(torch.cat(parts), torch.cat(labels))

    def as_stored(self) -> Tensor:
        """A copy of the stored samples as they lie there, packed ones still packed."""
        plain = self.codec.plain()
        return plain.decode(self.stored, self.modality).detach().cpu().clone()

    def _present(self) -> list[int]:
        return torch.unique(self.labels).tolist()

    def pull(self, label: int, gradient: Mapping[str, Tensor]) -> None:
        """Add a class's gradient (with respect to its stored samples) to the leaves' gradients."""
        place = self.where(label)
        for name, leaf in self.stored.items():
            if leaf.grad is None:
                leaf.grad = torch.zeros_like(leaf)
            leaf.grad[place] += gradient[name]

    def gather(self, sum_over_workers: Callable[[Tensor], Tensor]) -> None:
        """Make every worker hold the gradients of all classes."""
        for leaf in self.stored.values():
            own = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            leaf.grad = sum_over_workers(own)

    @torch.no_grad()
    def descend(
        self, optimiser: torch.optim.Optimizer, normalise: bool = False, convert: bool = True
    ) -> None:
        """One step against the pulled gradient, then back into range; the gradient is cleared.

        Args:
            optimiser: holds the leaves.
            normalise: divide the gradient by its largest entry over ``codec.gradient_dims`` first,
                so that the largest step of each image plane is the rate.
            convert: the optimiser's rate is in data-normalised units whatever is stored
                (``Codec.units``); False: it is in the units of what is stored.
        """
        for name, leaf in self.stored.items():
            units = self.codec.units(name, self.modality).to(leaf) if convert else 1.0
            if leaf.grad is None:
                continue
            leaf.grad *= units
            if normalise:
                largest = leaf.grad.abs().amax(self.codec.gradient_dims, keepdim=True)
                leaf.grad /= largest + 1e-6
            leaf.grad *= units
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self.codec.project_(self.stored, self.modality)

    def clone(self) -> SyntheticSet:
        """A copy that shares no memory with this one."""
        stored = {name: leaf.detach().clone() for name, leaf in self.stored.items()}
        return replace(self, stored=stored, labels=self.labels.clone(), about=dict(self.about))

    def to(self, device: str | torch.device) -> SyntheticSet:
        """A copy on another device."""
        copy = self.clone()
        copy.stored = {name: leaf.to(device) for name, leaf in copy.stored.items()}
        copy.labels = copy.labels.to(device)
        return copy

    def quantised(self) -> SyntheticSet:
        """The set in the form that is exported, and therefore evaluated (8-bit pixels)."""
        copy = self.clone()
        copy.stored = self.codec.quantise(copy.stored, self.modality)
        return copy

    def nbytes(self) -> int:
        """Bytes of the exported samples and of their labels (1 byte up to 256 classes, else 2)."""
        label = 1 if self.classes <= 256 else 2
        return self.codec.nbytes(self.stored, self.modality) + label * len(self)

    def as_dataset(self) -> TensorDataset:
        """A plain torch ``Dataset`` of (data-normalised sample, class index): train anything."""
        batch = self.quantised().decode()
        return TensorDataset(batch.x.cpu(), batch.y.cpu())

    def as_hf_dataset(self) -> Any:
        """A Hugging Face ``Dataset`` of pictures (sounds, texts) and ``label`` with class names."""
        from datasets import ClassLabel, Dataset, Features

        batch = self.quantised().decode()
        name, values, feature = self.modality.hub_column(batch.x)
        features = Features({name: feature, "label": ClassLabel(names=list(self.label_names))})
        return Dataset.from_dict({name: values, "label": batch.y.tolist()}, features=features)

    def _repr_html_(self) -> str:
        """What a notebook shows: one line that says what it is, and the stored samples."""
        rows = max(1, round(self.per_class))
        columns = rows if rows > 1 else min(10, self.classes)
        shown = self.quantised().as_stored()[:200]
        more = f" (the first {len(shown)})" if len(shown) < len(self) else ""
        picture = self.modality.html(shown, columns)
        return f"<div><code>{html.escape(repr(self))}</code>{more}<br>{picture}</div>"

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        dataset = self.as_dataset()
        return (dataset[index] for index in range(len(dataset)))

    def __repr__(self) -> str:
        made = self.about.get("method", "")
        return (f"SyntheticSet({made}{', ' if made else ''}{len(self)} stored, "
                f"{len(self) * self.codec.multiplies} samples, {self.classes} classes, "
                f"{self.nbytes():,} bytes)")  # fmt: skip
