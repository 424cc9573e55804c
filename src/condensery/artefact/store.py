"""Save and load a synthetic set: one safetensors file that says all, and ``card.json`` to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from condensery.artefact.files import write_json, write_whole
from condensery.core.synthetic import SyntheticSet
from condensery.errors import UsageError
from condensery.modality import codec_from, modality_from

FILE = "synthetic.safetensors"
FORMAT = 1


def save(synthetic: SyntheticSet, path: str | Path) -> Path:
    """Write the exported form (8-bit pixels, labels, card) into a folder.

    The card lies in the tensors' file too, so that a kill between the two files cannot part them.

    Args:
        synthetic: the set. path: a folder, made if it is not there.

    Returns:
        The folder.
    """
    folder = Path(path)
    card = describe(synthetic)
    tensors = {
        f"stored.{n}": leaf
        for n, leaf in synthetic.codec.pack(synthetic.stored, synthetic.modality).items()
    }
    tensors["labels"] = synthetic.labels
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"condensery": json.dumps(card)}
    write_whole(folder / FILE, lambda aside: save_file(tensors, aside, metadata))
    write_json(folder / "card.json", card)
    return folder


def describe(synthetic: SyntheticSet) -> dict[str, Any]:
    """The card: plain values that say how the tensors are to be read and where they come from."""
    return {
        "format": FORMAT,
        "modality": synthetic.modality.to_dict(),
        "codec": synthetic.codec.to_dict(),
        "label_names": list(synthetic.label_names),
        "stored_samples": len(synthetic),
        "decoded_samples": len(synthetic) * synthetic.codec.multiplies,
        "bytes": synthetic.nbytes(),
        "about": synthetic.about,
    }


def load(path: str | Path) -> SyntheticSet:
    """Read a set from its folder, from a run directory, or from the tensors' file itself.

    Nothing in the file is imported or executed.

    Raises:
        UsageError: there is no set, or the file is damaged or of a newer format.
    """
    file = find(Path(path))
    try:
        with safe_open(file, framework="pt") as opened:
            card = json.loads((opened.metadata() or {}).get("condensery", "null"))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(
            f"{file} cannot be read as a synthetic set, it may be damaged: {error}"
        ) from None
    if not isinstance(card, dict) or "labels" not in tensors:
        raise UsageError(f"{file} is a tensor file, but no synthetic set of this project")
    if card.get("format") != FORMAT:
        raise UsageError(
            f"{file} is of format {card.get('format')}, this reads {FORMAT}: update condensery"
        )
    try:
        return _assemble(card, tensors)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{file} is damaged, or of another version: {reason}") from None


def _assemble(card: dict[str, Any], tensors: dict[str, torch.Tensor]) -> SyntheticSet:
    """The set that a card describes; an error says that card and tensors do not fit."""
    modality, codec = modality_from(card["modality"]), codec_from(card["codec"])
    packed = {name.removeprefix("stored."): t for name, t in tensors.items() if name != "labels"}
    synthetic = SyntheticSet(
        stored=codec.unpack(packed, modality),
        labels=tensors["labels"].to(torch.int64),
        modality=modality,
        codec=codec,
        label_names=tuple(map(str, card["label_names"])),
        about=dict(card["about"]),
    )
    if len(synthetic) and not 0 <= int(synthetic.labels[0]) <= int(synthetic.labels[-1]) < (
        synthetic.classes
    ):
        raise ValueError(f"labels lie outside the {synthetic.classes} classes that are named")
    first = {name: leaf[:1] for name, leaf in synthetic.stored.items()}
    codec.check(codec.decode(first, modality), modality)
    return synthetic


def find(path: Path) -> Path:
    """The tensors' file of a set, given its folder, its run directory or itself.

    Raises:
        UsageError: there is none; says where it was looked for.
    """
    places = [path, path / FILE, path / "synthetic" / FILE]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        f"no synthetic set at {path}: expected a run directory, a folder with {FILE}, or that file"
    )
