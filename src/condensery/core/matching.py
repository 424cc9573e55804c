"""Gradient matching: gradients of network parameters, their distance, second derivatives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from condensery.errors import UsageError
from condensery.models.backbone import Backbone

Gradients = tuple[Tensor | None, ...]


class Term(NamedTuple):
    """One thing to match: its value and its gradient with respect to the class's stored samples.

    Attributes:
        value: the loss, finite.
        gradient: by leaf name, shaped like the class's slice of the leaf; no graph attached.
    """

    value: float
    gradient: dict[str, Tensor]


@contextlib.contextmanager
def double_backward() -> Iterator[None]:
    """Inside, attention uses the kernel that has a second derivative; outside, nothing changes.

    Fused attention has no double backward on any device (pytorch issue 116350).
    """
    with sdpa_kernel(SDPBackend.MATH):
        yield


def matched(backbone: Backbone, biases: bool = False, head: bool = False) -> list[Tensor]:
    """The parameters whose gradients IDC matches (Kim et al., ICML 2022): kernels and matrices.

    Args:
        biases: those of one dimension too: biases and the norms' gains.
        head: what decides between the classes too. It is known by its name, since a rule by the
            number of dimensions (no matrices) would leave next to nothing of a transformer.

    Raises:
        UsageError: none is left.
    """
    found: list[Tensor] = [
        parameter
        for name, parameter in backbone.named_parameters()
        if parameter.requires_grad
        and (biases or parameter.ndim > 1)
        and (head or name not in backbone.head)
    ]
    if not found:
        raise UsageError("this network has no kernel or matrix besides its head: nothing to match; "
                         "take another, or match its head")  # fmt: skip
    return found


def parameter_gradients(
    loss: Tensor, parameters: Sequence[Tensor], graph: bool, retain: bool = False
) -> Gradients:
    """Gradients of a loss with respect to network parameters; None where there is no path.

    Args:
        loss: a scalar.
        parameters: tensors that require a gradient.
        graph: keep the graph of the gradient (synthetic side); without it the result is constant.
        retain: keep the loss's own graph for another call.
    """
    return torch.autograd.grad(
        loss, list(parameters), create_graph=graph, retain_graph=graph or retain, allow_unused=True
    )


def distance(
    real: Gradients,
    synthetic: Gradients,
    metric: Literal["sum", "mean", "mse", "l1", "l1_mean", "cos"] = "sum",
) -> Tensor:
    """Distance of two lists of parameter gradients, summed over tensors, a scalar.

    ``sum`` (HMDC, section 3; ``mse`` to IDC): squares, summed over a tensor. ``mean``: their mean
    over a tensor (HMDC's released code for sound and text). ``l1``: absolute differences, summed.
    ``l1_mean``: their mean over each row, rows summed; a row is a slice along the first dimension.
    ``cos``: see ``row_cosine``. A tensor without a gradient on either side is skipped.

    Raises:
        ValueError: no tensor has a gradient on both sides.
    """
    if metric == "cos":
        return row_cosine(real, synthetic)
    reduce = REDUCTIONS[metric]
    pairs = [
        (a, b) for a, b in zip(real, synthetic, strict=True) if a is not None and b is not None
    ]
    if not pairs:
        raise ValueError("no parameter has a gradient on both sides: nothing to match")
    return torch.stack([reduce(b - a) for a, b in pairs]).sum()


REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda gap: gap.square().sum(),
    "mse": lambda gap: gap.square().sum(),
    "mean": lambda gap: gap.square().mean(),
    "l1": lambda gap: gap.abs().sum(),
    "l1_mean": lambda gap: gap.abs().reshape(len(gap), -1).mean(1).sum(),
}


def row_cosine(real: Gradients, synthetic: Gradients, epsilon: float = 1e-6) -> Tensor:
    """One minus the cosine of each row of each parameter tensor, summed over all, a scalar.

    DC (Zhao et al., ICLR 2021, section 3): a row is what leads to one output, that is a slice along
    the first dimension. Tensors of one dimension (biases, gains) contribute nothing, and so do
    those without a gradient on either side. A row that has vanished on one side costs 1.

    Args:
        epsilon: added to the product of the norms.

    Raises:
        ValueError: no tensor of two dimensions or more has a gradient on both sides.
    """
    pairs = rows(real, synthetic)
    if not pairs:
        raise ValueError("no weight matrix or kernel has a gradient on both sides: nothing matches")
    return torch.stack([(1 - cosine(a, b, epsilon)).sum() for a, b in pairs]).sum()


def flat_cosine(real: Gradients, synthetic: Gradients, epsilon: float = 1e-6) -> Tensor:
    """One minus the cosine of all gradients as one long vector (an ablation of DC), a scalar."""
    pairs = [
        (a, b) for a, b in zip(real, synthetic, strict=True) if a is not None and b is not None
    ]
    a, b = (torch.cat([one[side].flatten() for one in pairs]) for side in (0, 1))
    return 1 - cosine(a[None], b[None], epsilon).sum()


def vanished(real: Gradients, synthetic: Gradients, epsilon: float = 1e-6) -> float:
    """The part of the rows of ``row_cosine`` whose norms' product is below ``epsilon``.

    Such rows cost about 1 whatever their direction: many of them, and the distance says little.
    """
    products = [a.norm(dim=1) * b.norm(dim=1) for a, b in rows(real, synthetic)]
    return float((torch.cat(products) < epsilon).float().mean())


def rows(real: Gradients, synthetic: Gradients) -> list[tuple[Tensor, Tensor]]:
    """Pairs of ``(rows, width)``: gradients of tensors of two or more dimensions on both sides."""
    return [
        (a.flatten(1), b.flatten(1))
        for a, b in zip(real, synthetic, strict=True)
        if a is not None and b is not None and a.ndim > 1
    ]


def cosine(a: Tensor, b: Tensor, epsilon: float) -> Tensor:
    """Cosines of the rows of two ``(rows, width)``, ``epsilon`` added to the norms' product."""
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + epsilon)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy with hard ``(n,)`` or soft ``(n, classes)`` targets."""
    return F.cross_entropy(logits, target)


def leaf_gradient(loss: Tensor, leaves: Mapping[str, Tensor], retain: bool) -> dict[str, Tensor]:
    """Gradient of a loss with respect to the class's stored samples only, zero where no path leads.

    Network parameters get none: nothing is computed in vain and no ``.grad`` is left behind.
    """
    gradients = torch.autograd.grad(
        loss, list(leaves.values()), retain_graph=retain, allow_unused=True
    )
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }


def weighted_terms(
    losses: Sequence[Tensor], leaves: Mapping[str, Tensor], weights: Sequence[float]
) -> Term:
    """All terms at once: one backward pass of their weighted sum (weights are constants)."""
    total = torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum()
    return Term(float(total.detach()), leaf_gradient(total, leaves, retain=False))


def single_terms(losses: Sequence[Tensor], leaves: Mapping[str, Tensor]) -> list[Term]:
    """Each term by itself, one backward pass each; the last one frees the graph."""
    last = len(losses) - 1
    return [
        Term(float(loss.detach()), leaf_gradient(loss, leaves, retain=index < last))
        for index, loss in enumerate(losses)
    ]
