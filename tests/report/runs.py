"""Records and run directories written by hand, as the engine and the evaluator write them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from condensery.records import Record, append
from condensery.report.panels import Panel, panels

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def record(**values: Any) -> Record:
    """A record of a small world: ten classes, one per class."""
    plain: dict[str, Any] = {
        "row": "hmdc", "model": "convnet3", "seen": True, "replicate": 0, "seed": 0,
        "recipe": "hmdc", "split": "test", "accuracy": 0.5, "best": None, "data": "digits",
        "classes": 10, "per_class": 1.0, "samples": 10, "stored_bytes": 650, "epochs": 100,
        "updates": 100, "seconds": 1.5, "condense_seconds": None,
    }  # fmt: skip
    return Record(**plain | values)


def grid(cells: dict[tuple[str, str], list[list[float]]], **values: Any) -> list[Record]:
    """Records from ``{(row, model): [[accuracy per seed] per replicate]}``, in points."""
    return [
        record(row=row, model=model, replicate=i, seed=j, accuracy=points / 100, **values)
        for (row, model), replicates in cells.items()
        for i, seeds in enumerate(replicates)
        for j, points in enumerate(seeds)
    ]


def three_rows() -> Panel:
    """Three rows on two networks with two sets each; Random was not measured on one of them."""
    rows = ("hmdc", "start", "random")
    cells = {(row, model): [[60.0 - 5 * place, 62.0 - 5 * place]] * 2
             for place, row in enumerate(rows) for model in ("convnet3", "mlp")}  # fmt: skip
    del cells["random", "mlp"]
    (found,) = panels(grid(cells))
    return found


def sheet(tiles: np.ndarray, path: Path, columns: int, times: int) -> None:
    """A preview: uint8 ``(n, height, width)`` tiles in white frames of two pixels."""
    count, height, width = tiles.shape
    rows = -(-count // columns)
    tall, wide = height * times + 2, width * times + 2
    whole = np.full((rows * tall + 2, columns * wide + 2), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = 2 + index // columns * tall, 2 + index % columns * wide
        large = tile.repeat(times, 0).repeat(times, 1)
        whole[top : top + tall - 2, left : left + wide - 2] = large
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(whole).save(path)


def write(path: Path, value: Any) -> None:
    """JSON, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def run_directory(
    path: Path,
    seed: int = 0,
    names: tuple[str, ...] = NAMES,
    steps: int = 60,
    tiles: np.ndarray | None = None,
    **fields: Any,
) -> Path:
    """A run as ``condensery condense`` leaves it, without records."""
    settings = {
        "method": "hmdc",
        "fields": {"peers": [{"name": "convnet3"}, {"name": "vit_mini"}], "lr": 0.005, **fields},
        "data": "digits", "per_class": 1, "seed": seed, "init": None,
    }  # fmt: skip
    circumstances = {"cpu": "A processor", "torch": "2.14.1", "commit": "abc123", "gpu": None}
    budget = {"steps": steps, "minutes": None}
    write(path / "config.json",
          {"settings": settings, "budget": budget, "circumstances": circumstances})  # fmt: skip
    card = {
        "modality": {"kind": "image", "shape": [1, 8, 8]}, "codec": {"kind": "pixels", "factor": 2},
        "label_names": list(names), "stored_samples": len(names), "bytes": 65 * len(names),
        "decoded_samples": 4 * len(names), "about": {"steps": steps, "seconds": 61.234},
    }  # fmt: skip
    write(path / "synthetic" / "card.json", card)
    write(path / "start" / "card.json", card | {"about": {"steps": 0, "seconds": 0.0}})
    rng = np.random.default_rng(seed)
    for step in (0, steps):
        drawn = rng.integers(0, 256, (len(names), 8, 8), np.uint8) if tiles is None else tiles
        sheet(drawn, path / "previews" / f"{step:06d}.png", min(10, len(names)), 8)
    (path / "events.jsonl").write_text("".join(_event(step) + "\n" for step in range(1, steps + 1)))
    return path


def made_run(path: Path, problem: Any, factor: int = 1, moved: float = 0.5, seed: int = 0) -> Path:
    """A run whose set is real samples, moved by so much noise, with its nearest real samples.

    Args:
        problem: images, sounds or texts. moved: standard deviation in data-normalised units; of
            each class's first sample none, which leaks.
    """
    import dataclasses

    import torch

    from condensery.artefact import save
    from condensery.core.starts import random_start
    from condensery.evaluate.neighbours import write_neighbours
    from condensery.streams import Streams

    kind = problem.modality.kind
    start = random_start(problem, 2, problem.modality.codec(factor), Streams(seed))
    stored = {name: leaf.clone() for name, leaf in start.stored.items()}
    for leaf in stored.values() if kind != "text" else ():
        noise = torch.randn(leaf[1::2].shape, generator=torch.Generator().manual_seed(seed))
        leaf[1::2] += moved * noise * (0.25 if kind == "image" else 1.0)
    about = {"method": "hmdc", "steps": 60, "seconds": 12.5}
    moved_set = dataclasses.replace(start, stored=stored, about=about)
    run_directory(path, seed, tuple(problem.label_names))
    for name, made in (("start", start), ("synthetic", moved_set)):
        save(made, path / name)
    for file in (path / "previews").iterdir():
        file.unlink()
    for step, made in ((0, start), (60, moved_set)):
        shown = made.quantised().as_stored()
        problem.modality.preview(shown, path / "previews" / f"{step:06d}", 2)
    config = json.loads((path / "config.json").read_text())
    told = {"data": problem.name, "per_class": 2}
    write(path / "config.json", config | {"settings": config["settings"] | told})
    write_neighbours(moved_set, problem, path)
    return path


def _event(step: int) -> str:
    rng = random.Random(step)
    terms = [scale * 0.99**step * rng.uniform(0.8, 1.2) for scale in (3.0, 40.0, 0.2)]
    weights = [0.06, 0.005, 1.0]
    event = {"step": step, "seconds": float(step), "terms": terms, "weights": weights}
    if step % 10 == 1:
        event["largest"] = [0.3 * terms[0], 0.1 * terms[1], 0.08 * terms[2]]
    return json.dumps(event)


def evaluated(path: Path, records: list[Record]) -> Path:
    """The same run with records."""
    append(path / "records.jsonl", records)
    return path


def demo_records(seed: int, networks: dict[str, bool], rows: dict[str, float]) -> list[Record]:
    """Plausible numbers: networks differ, rows differ, one draw per condensation seed."""
    rng = random.Random(seed)
    found = []
    for row, mean in rows.items():
        drawn = rng.gauss(0, 0.01)
        for place, (model, seen) in enumerate(networks.items()):
            for j in range(3):
                accuracy = min(0.98, max(0.1, mean - 0.05 * place + drawn + rng.gauss(0, 0.01)))
                found.append(record(
                    row=row, model=model, seen=seen, replicate=seed, seed=j, accuracy=accuracy,
                    samples=40 if "packed" in row or row in ("hmdc", "start") else 10,
                    condense_seconds={"hmdc": 61.234, "start": 0.0}.get(row),
                    fingerprint=f"{row}-{seed}",
                    circumstances={"cpu": "A processor", "torch": "2.14.1", "commit": "abc123"},
                ))  # fmt: skip
    return found
