"""A synthetic set on disk: what it needs to be read again, and a card for people."""

from __future__ import annotations

from condensery.artefact.foreign import read_set, set_from_arrays
from condensery.artefact.store import load, save

__all__ = ["load", "read_set", "save", "set_from_arrays"]
