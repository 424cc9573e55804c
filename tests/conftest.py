"""What all tests share: where real data lies, and small threads on a small machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(int(os.environ.get("CONDENSERY_TEST_THREADS", "1")))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data, or a skip that says where it was looked for."""
    named = os.environ.get("CONDENSERY_DATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    for place in [Path(named)] if named else [beside]:
        if (place / "cifar10").is_dir():
            return place
    pytest.skip("no real data: set CONDENSERY_DATA to a folder that holds cifar10/ and the others")
