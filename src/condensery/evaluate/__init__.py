"""Judging sets: fresh networks are trained on them and tested on real samples, row beside row."""

from __future__ import annotations

from condensery.evaluate.baselines import BASELINES, USUAL, baselines
from condensery.evaluate.embeddings import embeddings
from condensery.evaluate.grid import evaluate, name_of
from condensery.evaluate.neighbours import neighbours
from condensery.evaluate.recipes import (
    RECIPES,
    Override,
    Recipe,
    Schedule,
    recipe_from,
    recipes_from,
    shorten,
)
from condensery.evaluate.runs import RunRows, rows_beside, rows_of
from condensery.evaluate.search import evaluate_searched
from condensery.evaluate.soft import Labels, labels_from
from condensery.evaluate.train import TestSamples, accuracy, train_network

__all__ = [
    "BASELINES",
    "USUAL",
    "RECIPES",
    "Labels",
    "Override",
    "Recipe",
    "RunRows",
    "Schedule",
    "TestSamples",
    "accuracy",
    "baselines",
    "embeddings",
    "evaluate",
    "evaluate_searched",
    "labels_from",
    "name_of",
    "neighbours",
    "recipe_from",
    "recipes_from",
    "rows_beside",
    "rows_of",
    "shorten",
    "train_network",
]
