"""Settings made small: tiny networks of the same kind, tiny numbers; a preset within seconds."""

from __future__ import annotations

import dataclasses
from typing import Any

from condensery.data.problem import Problem
from condensery.methods.base import Method
from condensery.models import entry
from condensery.models.backbone import PeerSpec

SIDE = 12  # of the input of a tiny network whose model has a size of its own
# The largest number that a setting keeps; one that says "all" or "as published" takes this.
MOST = {
    "real_batch": 4, "synthetic_batch": 8, "train_batch": 8, "train_samples": 8, "align_samples": 8,
    "query": 8, "statistics_samples": 2, "restart_every": 1, "outer": 2, "inner": 1, "window": 2,
    "most_updates": 2, "most_epochs": 2, "first": 1, "capacity": 2, "push_every": 1, "learners": 1,
    "learn_steps": 1, "early_epochs": 1, "pretrained": 1, "pretrained_epochs": 1, "updates": 2,
    "crops": 2,
}  # fmt: skip


def tiny_networks(problem: Problem) -> tuple[str, str]:
    """Names of two unlike networks that read what sets of these samples hold; seconds with both."""
    modality = problem.modality
    form = modality.form if modality.kind == "audio" else None  # type: ignore[attr-defined]
    if form == "logmel":
        return "spectrogram_cnn_w2", "spectrogram_cnn_w4"
    return {
        "image": ("convnet2_w8", "mlp"),
        "audio": ("audio_cnn_w2", "spectrogram_cnn_w2"),
        "text": ("lstm2_w8", "bert_mini"),
    }[modality.kind]


def tiny(spec: PeerSpec) -> PeerSpec:
    """A network of the same family in its smallest size, from scratch; it learns as it did.

    What it taps and how its input is normalised is kept, where the small one has that choice. A
    HuBERT becomes a small Whisper, which hears one clip alone too, unlike ``hubert_released``.
    """
    return dataclasses.replace(
        spec,
        name=_smallest(spec.name),
        weights=None,
        size=None if spec.size is None else min(spec.size, SIDE),
        normalise="auto" if spec.normalise == "model" else spec.normalise,
    )


def _smallest(name: str) -> str:
    line = entry(name)
    released = "_released" if name.endswith("_released") else ""
    if line.reads == "text":
        return f"lstm2_w8{released}" if line.family == "rnn" else "bert_mini"
    if line.reads == "audio" and line.family == "cnn":
        return "spectrogram_cnn_w2" if "spectrogram" in name else f"audio_cnn_w2{released}"
    if line.reads == "audio":  # a small HuBERT takes ten seconds a step for clips of 5 s
        return "whisper_mini"
    return {"cnn": "convnet2_w8", "vit": "vit_mini"}.get(line.family, "mlp")


def shrunk(method: Method, problem: Problem, per_class: int) -> Method:
    """The method with tiny networks and tiny numbers; whatever else it does stays as it is.

    Args:
        method: any of the house. problem, per_class: enough candidates are kept for a start.
    """
    enough = max(8, per_class * method.codec(problem).holds)
    most, changed = MOST | {"candidates": enough, "pool": enough}, dict[str, Any]()
    for field in dataclasses.fields(method):
        value = getattr(method, field.name)
        if isinstance(value, PeerSpec):
            changed[field.name] = tiny(value)
        elif isinstance(value, tuple) and any(isinstance(one, PeerSpec) for one in value):
            changed[field.name] = tuple(tiny(one) for one in value)
        elif field.name in most:
            kept = most[field.name]
            changed[field.name] = kept if value is None else min(value, kept)
    return dataclasses.replace(method, **changed)  # type: ignore[type-var]
