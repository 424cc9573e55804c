"""Weights from files: read without executing anything, and matched strictly except for the head."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from condensery import hub
from condensery.errors import RunError, UsageError

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
WRAPPERS = ("state_dict", "model", "model_state_dict")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors``, ``.pt`` or ``.pth`` file by name, floats as float32.

    A dict inside ``state_dict`` or ``model``, and the ``module.`` that data parallel training puts
    before each name, are taken off.

    Raises:
        UsageError: no such file, another ending, or a file that holds more than tensors.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the weights file, or name the model "
                         f"'transformers' to read a transformers folder")  # fmt: skip
    if not path.is_file():
        raise UsageError(f"no weights at {path}: give an existing .safetensors, .pt or .pth file")
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
    elif path.suffix in (".pt", ".pth", ".bin"):
        state = _read_torch(path)
    else:
        raise UsageError(f"{path.name}: weights are read from .safetensors, .pt or .pth files")
    return {
        name.removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UsageError(f"{path} is damaged or no safetensors file: {error}") from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{path} holds more than tensors, or is damaged ({reason}); save network.state_dict()"
        ) from None
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise UsageError(f"{path} holds no tensors by name; save network.state_dict()")
    return dict(state)


def fetch_timm(name: str, config: Any) -> Path:
    """The file with timm's weights of a network: from the local cache, else from the hub.

    Args:
        name: of timm. config: its pretrained configuration.

    Raises:
        UsageError: nobody has published weights for it.
        RunError: they are not in the cache and cannot be fetched; it says how to give a local file.
    """
    from huggingface_hub import try_to_load_from_cache

    if not config.hf_hub_id:
        raise UsageError(f"timm has no pretrained weights of {name} on the hub; give weights=FILE, "
                         f"or leave weights out to start from scratch")  # fmt: skip
    repository, _, revision = config.hf_hub_id.partition("@")
    names = [config.hf_hub_filename] if config.hf_hub_filename else list(HUB_FILES)
    for file in names:
        cached = try_to_load_from_cache(
            repository, file, cache_dir=hub.cache("hub"), revision=revision or None
        )
        if isinstance(cached, str):
            return Path(cached)
    return _download(repository, revision or None, names, name)


def _download(repository: str, revision: str | None, names: list[str], what: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    how = "give a local file instead: weights=FILE.safetensors, or leave weights out for scratch"
    hub.require(repository, f"the pretrained weights of {what}", how)
    for file in names:
        try:
            return Path(hf_hub_download(repository, file, revision=revision))
        except EntryNotFoundError:
            continue
        except Exception as error:  # which ones a download raises differs between hub versions
            reason = " ".join(str(error).split())[:200]
            raise RunError(f"could not fetch {repository} for {what} ({reason}); {how}") from error
    raise RunError(f"{repository} holds none of {', '.join(names)}; {how}")


def body_of(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], head: Collection[str], what: str
) -> dict[str, Tensor]:
    """All weights but the head's, after checking that they are those of this network.

    The counter of a batch norm (``num_batches_tracked``) may be absent: it changes nothing with the
    usual momentum, and old files do not have it.

    Args:
        state: what a file holds.
        own: the network's ``state_dict``.
        head: names of its head's parameters; ``state`` may lack them, or hold another size.
        what: the file, for the error.

    Raises:
        UsageError: weights are missing, unknown, or of another shape.
    """
    wanted = {name for name in own if name not in head}
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = sorted(wanted - counters - set(state))
    unexpected = sorted(set(state) - set(own))
    shapes = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
        for name in sorted(wanted & set(state))
        if state[name].shape != own[name].shape
    ]
    faults = [*_few("missing", missing), *_few("unexpected", unexpected), *_few("shapes", shapes)]
    if faults:
        raise UsageError(f"{what} does not hold the weights of this network: {'; '.join(faults)}")
    return {name: (state[name] if name in state else own[name]).clone() for name in wanted}


def head_of(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], head: Collection[str], what: str
) -> dict[str, Tensor]:
    """The head's weights, for a network that shall answer as it was trained (a teacher).

    Raises:
        UsageError: the file has no head of this network's number of classes.
    """
    for name in head:
        if name not in state or state[name].shape != own[name].shape:
            found = tuple(state[name].shape) if name in state else "absent"
            raise UsageError(f"{what} has no head for these classes: {name} is {found}, wanted "
                             f"{tuple(own[name].shape)}")  # fmt: skip
    return {name: state[name].clone() for name in head}


def _few(kind: str, names: list[str]) -> list[str]:
    if not names:
        return []
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{kind} {', '.join(names[:3])}{rest}"]
