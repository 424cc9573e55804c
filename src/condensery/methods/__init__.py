"""The methods, one file each; this table is the room's contents."""

from __future__ import annotations

from condensery.methods.base import Context, Info, Method, State
from condensery.methods.cafe import CAFE
from condensery.methods.hmdc import HMDC
from condensery.methods.idm import IDM
from condensery.methods.selection import KMeans, Mean, Random

METHODS: dict[str, type[Method]] = {
    "hmdc": HMDC,
    "cafe": CAFE,
    "idm": IDM,
    "random": Random,
    "kmeans": KMeans,
    "mean": Mean,
}


def name_of(method: Method) -> str:
    """The name under which a method stands in the table; a user's own: its class name."""
    for name, kind in METHODS.items():
        if type(method) is kind:
            return name
    return type(method).__name__.lower()


__all__ = [
    "CAFE",
    "HMDC",
    "IDM",
    "METHODS",
    "Context",
    "Info",
    "KMeans",
    "Mean",
    "Method",
    "Random",
    "State",
    "name_of",
]
