"""Running a method: loop, run directory, checkpoints."""

from __future__ import annotations

from condensery.engine.loop import Budget, Run, execute
from condensery.engine.rundir import RunDirectory

__all__ = ["Budget", "Run", "RunDirectory", "execute"]
