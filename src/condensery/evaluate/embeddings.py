"""Real and synthetic samples in a plane, by a network that learned from the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from condensery.artefact.files import write_json
from condensery.core.synthetic import SyntheticSet
from condensery.core.teacher import teacher
from condensery.data.problem import Problem
from condensery.evaluate.grid import name_of
from condensery.evaluate.probe import embedded
from condensery.evaluate.usual import usual
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams

REAL = 100  # real samples of a class that are drawn


def embeddings(
    synthetic: SyntheticSet,
    problem: Problem,
    start: SyntheticSet | None = None,
    network: PeerSpec | None = None,
    updates: int = 300,
    seed: int = 0,
) -> dict[str, Any]:
    """Where samples lie, by the two largest principal components and by t-SNE.

    Args:
        synthetic: the set. start: its step-0 set. network: that looks; from scratch it learns from
            the training split first, for so many updates. None: a small one for this kind of
            samples.
        seed: of the network, of the real samples that are drawn (``REAL`` of each class at most),
            and of t-SNE.

    Returns:
        Plain values: ``network``, ``updates``, ``points``, each with ``kind`` (``real``,
        ``synthetic`` or ``start``), ``label``, ``pca`` and ``tsne`` (two coordinates each).
    """
    network = network or usual(synthetic.modality)[0]
    streams = Streams(seed).child("embeddings")
    backbone = teacher(network, problem, streams.child("network"), torch.device("cpu"), None,
                       updates).eval()  # fmt: skip
    drawn = [problem.of(label)[torch.randperm(len(problem.of(label)),
                                              generator=streams("real", label))[:REAL].numpy()]
             for label in problem.labels]  # fmt: skip
    positions = np.concatenate(drawn)
    sides = [("real", problem.batch(positions)), ("synthetic", synthetic.quantised().decode())]
    if start is not None:
        sides.append(("start", start.quantised().decode()))
    seen = [(kind, batch.y, embedded(backbone, batch).flatten(1)) for kind, batch in sides]
    whole = torch.cat([embedding for _, _, embedding in seen]).double().numpy()
    planes = {"pca": _pca(whole, seed), "tsne": _tsne(whole, seed)}
    kinds = [kind for kind, labels, _ in seen for _ in labels]
    labels = torch.cat([labels for _, labels, _ in seen]).tolist()
    points = [
        {"kind": kind, "label": label,
         **{name: [round(float(value), 3) for value in plane[index]]
            for name, plane in planes.items()}}
        for index, (kind, label) in enumerate(zip(kinds, labels, strict=True))
    ]  # fmt: skip
    return {"network": name_of(network), "updates": updates, "seed": seed, "points": points}


def _pca(values: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    return PCA(2, random_state=seed).fit_transform(values)


def _tsne(values: np.ndarray, seed: int) -> np.ndarray:
    """t-SNE of the first 50 principal components, as its authors advise for wide features."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    kept = min(50, *values.shape)
    narrow = PCA(kept, random_state=seed).fit_transform(values)
    perplexity = min(30.0, (len(values) - 1) / 3)
    made = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed)
    return made.fit_transform(narrow)


def write_embeddings(
    synthetic: SyntheticSet,
    problem: Problem,
    directory: Path,
    start: SyntheticSet | None = None,
    network: PeerSpec | None = None,
) -> Path:
    """``embeddings.json`` in a run directory; see ``embeddings``."""
    path = directory / "embeddings.json"
    write_json(path, embeddings(synthetic, problem, start, network))
    return path
