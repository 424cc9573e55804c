"""Condensery: turn a labelled data set into a handful of synthetic samples per class."""

from __future__ import annotations

__version__ = "0.1.0"
