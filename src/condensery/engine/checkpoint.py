"""Checkpoints: tensors and plain values only, the newest and the one before."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from condensery.artefact.files import write_whole
from condensery.errors import RunError

KEPT = 2


def write(folder: Path, step: int, values: dict[str, Any]) -> Path:
    """Write the checkpoint of a step whole or not at all, and drop all but the newest two."""
    path = folder / f"{step:08d}.pt"
    write_whole(path, lambda aside: torch.save(values, aside))
    for old in listed(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def listed(folder: Path) -> list[Path]:
    """Checkpoints, oldest first."""
    return sorted(folder.glob("[0-9]*.pt")) if folder.is_dir() else []


def newest(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """What the newest checkpoint holds, or None when there is none.

    Raises:
        RunError: it is damaged. It is neither passed over nor overwritten; the message says how to
            go on from the one before.
    """
    files = listed(folder)
    if not files:
        return None
    found = _read(files[-1], device)
    if found is None:
        before = f"go on from {files[-2].name}" if len(files) > 1 else "start again"
        raise RunError(
            f"{files[-1]} is damaged or foreign: delete it to {before}, or choose another --out"
        )
    return found


def _read(path: Path, device: torch.device) -> dict[str, Any] | None:
    """A checkpoint if it is whole, down to its last bit; None for anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None  # torch writes check sums, but does not read them
        found = torch.load(path, map_location=device, weights_only=True) if whole else None
    except Exception:  # whatever bytes that are no checkpoint make their readers raise
        return None
    return found if isinstance(found, dict) and {"state", "seconds"} <= set(found) else None
