"""HMDC's gradient balance: terms of very different size get an equal say."""

from __future__ import annotations

import torch
from torch import Tensor


class Balance:
    """Gradient balance module (Moon et al., ECCV 2024, section 3: GBM).

    For each class and term it sums up the largest gradient entries that were sampled since the last
    restart; ``weights = min(sums) / sums``, so the weakest term has weight 1 and the others less.

    Args:
        classes: number of classes. targets: number of terms.
        epsilon: what the sums start from; positive.
    """

    def __init__(self, classes: int, targets: int, epsilon: float = 1e-6) -> None:
        if epsilon <= 0:
            raise ValueError(f"the balance starts from a positive number, got {epsilon}")
        self.epsilon = epsilon
        self.sums = torch.full((classes, targets), epsilon, dtype=torch.float64)

    def restart(self) -> None:
        """Forget all maxima (at the start of each iteration)."""
        self.sums.fill_(self.epsilon)

    def observe(self, largest: Tensor) -> None:
        """Add the largest absolute gradient entries, ``(classes, targets)``."""
        self.sums += largest

    def weights(self, label: int, fresh: list[float] | None = None) -> list[float]:
        """One weight in (0, 1] per term, constants; the largest is 1.

        Args:
            label: the class. fresh: maxima of this very step that were not observed yet.
        """
        sums: Tensor = self.sums[label]
        if fresh is not None:
            sums = sums + torch.tensor(fresh, dtype=torch.float64)
        return (sums.min() / sums).tolist()
