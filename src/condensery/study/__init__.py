"""Studies: a whole table or figure as one plan, resumable at every cell."""

from __future__ import annotations

from condensery.study.estimate import Estimate, estimates
from condensery.study.left import Left, duration
from condensery.study.plan import SIZES, Arm, Cell, Study, cells, names
from condensery.study.reading import read, sized, text
from condensery.study.redrawing import keep, kept, redraw
from condensery.study.run import arm_plan, check, chosen_cells, run

__all__ = [
    "SIZES",
    "Arm",
    "Cell",
    "Estimate",
    "Left",
    "Study",
    "arm_plan",
    "cells",
    "check",
    "chosen_cells",
    "duration",
    "estimates",
    "keep",
    "kept",
    "names",
    "read",
    "redraw",
    "run",
    "sized",
    "text",
]
