"""Weights from files: read without executing anything, and matched strictly except for the head."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from condensery.errors import UsageError

WRAPPERS = ("state_dict", "model", "model_state_dict")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors``, ``.pt`` or ``.pth`` file by name, floats as float32.

    A dict inside ``state_dict`` or ``model``, and the ``module.`` that data parallel training puts
    before each name, are taken off.

    Raises:
        UsageError: no such file, another ending, or a file that holds more than tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UsageError(f"no weights at {path}: give an existing .safetensors, .pt or .pth file")
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
    elif path.suffix in (".pt", ".pth"):
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
