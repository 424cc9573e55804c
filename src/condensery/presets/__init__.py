"""Presets: what a table, a demo or a small machine changes of a method's settings.

A preset is a function of (method, data, per class), so that ``--preset small`` works on any data.
Its docstring says where it comes from, on what hardware it runs how long, what to expect and
whether that was verified. Flags come after presets.
"""

from __future__ import annotations

from collections.abc import Callable

from condensery.presets.base import Plan
from condensery.presets.papers import paper, released
from condensery.presets.small import demo, small, smoke

PRESETS: dict[str, Callable[..., Plan]] = {
    "demo": demo,
    "small": small,
    "paper": paper,
    "released": released,
    "smoke": smoke,
}

__all__ = ["PRESETS", "Plan"]
