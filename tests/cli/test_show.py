"""What ``condensery show`` tells of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from condensery.api import condense
from condensery.cli.show import directory


def test_a_run_is_shown_with_the_memory_that_it_took(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="Windows counts none")
    condense("digits", "random", out=tmp_path, quiet=True)
    told = directory(tmp_path)
    (line,) = [line for line in told.splitlines() if line.startswith("peak memory")]
    card = tmp_path / "synthetic" / "card.json"
    found = json.loads(card.read_text())
    held = found["about"].pop("peak_memory_bytes")
    assert line.split()[2:] == [f"{held / 2**30:.2f}", "GiB"] and held > 2**26
    card.write_text(json.dumps(found))
    assert "peak memory" not in directory(tmp_path), "runs of earlier versions tell of none"
