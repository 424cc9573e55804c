"""The methods, one file each; this table is the room's contents."""

from __future__ import annotations

from condensery.methods.base import Context, Info, Method, State
from condensery.methods.cafe import CAFE
from condensery.methods.dc import DC, DSA
from condensery.methods.dm import DM
from condensery.methods.dream import DREAM
from condensery.methods.herding import Herding
from condensery.methods.hmdc import HMDC
from condensery.methods.idc import IDC
from condensery.methods.idm import IDM
from condensery.methods.mosaic import Mosaic
from condensery.methods.selection import KMeans, Mean, NaiveBayes, Random

METHODS: dict[str, type[Method]] = {
    "hmdc": HMDC,
    "cafe": CAFE,
    "dc": DC,
    "dsa": DSA,
    "dm": DM,
    "idm": IDM,
    "idc": IDC,
    "dream": DREAM,
    "random": Random,
    "kmeans": KMeans,
    "mean": Mean,
    "naive_bayes": NaiveBayes,
    "herding": Herding,
    "mosaic": Mosaic,
}


def name_of(method: Method) -> str:
    """The name under which a method stands in the table; a user's own: its class name."""
    for name, kind in METHODS.items():
        if type(method) is kind:
            return name
    return type(method).__name__.lower()


__all__ = [
    "CAFE",
    "DC",
    "DM",
    "DREAM",
    "DSA",
    "HMDC",
    "IDC",
    "IDM",
    "METHODS",
    "Context",
    "Herding",
    "Info",
    "KMeans",
    "Mean",
    "Method",
    "Mosaic",
    "NaiveBayes",
    "Random",
    "State",
    "name_of",
]
