"""A plan of seconds: two arms, two seeds, one network; and measurements that take none."""

from __future__ import annotations

from pathlib import Path

import pytest

from condensery.study import estimate

SHORT = """
title = "Mine"
[size.mini]
data = ["digits"]
seeds = [0, 1]
models = ["mlp"]
recipe = "quick"
updates = 2
rows = ["random"]
draws = 1
[[size.mini.arms]]
method = "hmdc"
name = "both"
preset = "smoke"
[[size.mini.arms]]
method = "hmdc"
name = "none"
preset = "smoke"
settings = { balance = false }
"""


@pytest.fixture
def short_plan(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return path


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: a step or training takes two seconds."""
    monkeypatch.setattr(estimate, "_apart", lambda *given: (2.0, 1, 0.0, 0.5, False))
