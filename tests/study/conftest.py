"""A plan of seconds: two arms, two seeds, one network; and measurements that take none."""

from __future__ import annotations

import sys
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


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page is drawn, which takes most of a short study's time."""
    module = sys.modules["condensery.study.run"]  # its package calls a function so
    monkeypatch.setattr(module, "report", lambda there, out, *rest, **named: out / "report.html")
