"""Condensery: turn a labelled data set into a handful of synthetic samples per class.

    from condensery import HMDC, condense, evaluate, report

    synthetic = condense("digits", HMDC(), per_class=1, minutes=1, out="runs/mine")
    records = evaluate("runs/mine", models=["convnet3", "vit_mini"])
    report(records, "runs/mine/report")

The names below are found when they are first asked for, so that ``import condensery`` takes no time
and the report can be drawn where there is no torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from condensery.api import condense as condense
    from condensery.api import evaluate as evaluate
    from condensery.artefact import load as load
    from condensery.artefact import save as save
    from condensery.core.synthetic import SyntheticSet as SyntheticSet
    from condensery.data import load_problem as load_problem
    from condensery.methods import CAFE as CAFE
    from condensery.methods import DC as DC
    from condensery.methods import DM as DM
    from condensery.methods import DREAM as DREAM
    from condensery.methods import DSA as DSA
    from condensery.methods import HMDC as HMDC
    from condensery.methods import IDC as IDC
    from condensery.methods import IDM as IDM
    from condensery.methods import Herding as Herding
    from condensery.methods import KMeans as KMeans
    from condensery.methods import Mean as Mean
    from condensery.methods import Mosaic as Mosaic
    from condensery.methods import Random as Random
    from condensery.models import PeerSpec as PeerSpec
    from condensery.report import report as report

__version__ = "0.1.0"

_PUBLIC = {
    "CAFE": "condensery.methods",
    "DC": "condensery.methods",
    "DM": "condensery.methods",
    "DREAM": "condensery.methods",
    "DSA": "condensery.methods",
    "HMDC": "condensery.methods",
    "Herding": "condensery.methods",
    "IDC": "condensery.methods",
    "IDM": "condensery.methods",
    "KMeans": "condensery.methods",
    "Mean": "condensery.methods",
    "Mosaic": "condensery.methods",
    "PeerSpec": "condensery.models",
    "Random": "condensery.methods",
    "SyntheticSet": "condensery.core.synthetic",
    "adopt": "condensery.api",
    "condense": "condensery.api",
    "evaluate": "condensery.api",
    "load": "condensery.artefact",
    "load_problem": "condensery.data",
    "report": "condensery.report",
    "save": "condensery.artefact",
    "set_from_arrays": "condensery.artefact",
}

__all__ = sorted(_PUBLIC)


class _Package(ModuleType):
    """``condensery.evaluate`` and ``condensery.report`` are verbs, and rooms of the same name.

    Python binds a submodule to its package's attribute when it is first imported. Which of the two
    a user gets must not hang on what was imported before, so the verb always stands.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


sys.modules[__name__].__class__ = _Package
