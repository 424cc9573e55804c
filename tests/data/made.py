"""Small data sets made for the tests, and naive references."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def save(pixels: np.ndarray, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return file


def table(
    file: Path,
    images: Sequence[np.ndarray],
    labels: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    image: str = "img",
    label: str = "label",
    more: dict[str, Sequence[Any]] | None = None,
) -> Path:
    """A parquet file as the hub has them."""
    made = pyarrow.table(
        {
            image: [{"bytes": png(one), "path": None} for one in images],
            label: list(labels),
            **{name: list(values) for name, values in (more or {}).items()},
        }
    )
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"_type": "ClassLabel", "names": list(names)}}
        about = json.dumps({"info": {"features": features}})
        made = made.replace_schema_metadata({"huggingface": about})
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(made, file)
    return file


def cifar_like(folder: Path, per_class: int = 3, classes: int = 10) -> tuple[np.ndarray, list[int]]:
    """Train and test parquet files of noise, the same in both; returns images and labels."""
    labels = [label for label in range(classes) for _ in range(per_class)]
    images = noise(len(labels), 8, 8, 3)
    for split in ("train", "test"):
        table(folder / f"{split}-00000-of-00001.parquet", images, labels)
    return images, labels


def channels_first(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2)
