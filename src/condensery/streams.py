"""Named random streams: every draw has an address, so nothing has to be remembered to resume.

A stream is a pure function of (seed, name, step, label, ...). A checkpoint therefore holds no
generator state, and one worker draws what two workers draw.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Streams:
    """The streams of one run. ``streams("augment", step, label)`` is a fresh generator each time.

    Args:
        seed: any integer; two runs with the same seed draw the same.
    """

    seed: int

    def number(self, *key: str | int) -> int:
        """A whole number in ``[0, 2**63)`` that belongs to this seed and key."""
        digest = hashlib.blake2b(repr((int(self.seed), *key)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1

    def __call__(self, *key: str | int, device: str | torch.device = "cpu") -> torch.Generator:
        """A fresh generator for this address, on ``device``."""
        return torch.Generator(device=device).manual_seed(self.number(*key))

    def child(self, *key: str | int) -> Streams:
        """Streams of a part of the run (a peer, an evaluation), independent of all others."""
        return Streams(self.number("child", *key))


@contextlib.contextmanager
def borrow(generator: torch.Generator) -> Iterator[None]:
    """Run code of others that draws from the global generators as if it drew from ``generator``.

    Building a network, dropout and the like know no generator argument. Inside this context the
    global generators of torch (CPU and the generator's device), numpy and random are seeded from
    one draw of ``generator``; afterwards they are as they were before.
    """
    device = generator.device
    drawn = torch.randint(0, 2**62, (), generator=generator, device=device)
    seed = int(drawn)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.random.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
