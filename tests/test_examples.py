"""What the examples show works as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_the_example_with_own_data_and_network_ends_with_a_network_that_learned(
    tmp_path: Path,
) -> None:
    script = EXAMPLES / "own_data_and_network.py"
    # One thread: threads that wait for each other on a busy machine cost minutes.
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "10 stored" in done.stdout
    assert float(done.stdout.rsplit(":", 1)[1]) < 1.0, "ten images are learned by heart"
    assert not list(tmp_path.iterdir()), "an example without --out writes nothing"
