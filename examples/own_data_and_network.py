"""Your own arrays and your own network, and an ordinary training loop on what comes out.

    python examples/own_data_and_network.py

Seconds on two cores. The settings show the way, not what is good: see the presets for that.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

from condensery import HMDC, PeerSpec, condense, load_problem


def mine() -> nn.Module:
    """A fresh network each time: peers restart, with weights drawn anew."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def main() -> None:
    """Condense arrays with two unlike judges, then train on ten images."""
    digits = load_digits()
    images = (digits.images / 16 * 255).round().astype("uint8")[:, None]  # (n, 1, 8, 8)
    problem = load_problem((images, digits.target), mirror=False)  # a mirrored digit is none
    method = HMDC(
        peers=(PeerSpec("mine", lr=1e-2, taps=("1", "4")), PeerSpec("vit_mini", lr=1e-3)),
        factor=1,
        real_batch=16,
        candidates=32,
        train_samples=128,
        align_samples=128,
    )
    synthetic = condense(problem, method, per_class=1, steps=3, modules={"mine": mine}, quiet=True)
    print(synthetic)

    torch.manual_seed(0)
    network = mine()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(50):
        for x, y in DataLoader(synthetic.as_dataset(), batch_size=10, shuffle=True):
            loss = nn.functional.cross_entropy(network(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    print(f"loss on the ten images: {loss.item():.3f}")


if __name__ == "__main__":
    main()
