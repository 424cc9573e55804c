"""The precision that networks are tested in: 32 bits, or 16 where they are faster here.

``auto`` times one batch of each network in both. What was found is kept in a file, so that the same
network is tested in the same precision again: two tests by two precisions can differ in a sample
that lies between two classes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from condensery.data.cache import cache_folder
from condensery.errors import unknown
from condensery.records import circumstances

Precision = Literal["float32", "bfloat16", "auto"]
PRODUCT = 1.1  # how many times faster products must be, for a network to be worth a trial
WORTH = 1.2  # and the network itself, to be tested in 16 bits
SIDE, TRIES, LONGEST = 768, 7, 2.0
FILE = "precisions.json"


def precision_from(name: str) -> Precision:
    """A name of a precision, known to be one.

    Raises:
        UsageError: another name.
    """
    if name not in get_args(Precision):
        raise unknown("precision", name, get_args(Precision))
    return cast(Precision, name)


def precision_of(name: Precision, network: nn.Module, x: Tensor) -> torch.dtype:
    """The type that a network is tested in.

    Args:
        name: ``float32``, ``bfloat16``, or ``auto``: what this CPU was measured to be faster with
            on this network. Some CPUs multiply bfloat16 twice to four times as fast as float32,
            others twenty times as slowly, and their names do not tell; and on one that is fast, a
            network whose norms are slow in 16 bits (a ConvNet's) may still be slower. On another
            device than a CPU ``auto`` is ``float32``.
        network: in evaluation mode. x: a batch as it will be tested.
    """
    if name == "bfloat16":
        return torch.bfloat16
    if name == "float32" or x.device.type != "cpu":
        return torch.float32
    return getattr(torch, _remembered(network, x))


def times_faster(network: nn.Module, x: Tensor) -> float:
    """How many times faster a network answers this batch in 16 bits than in 32.

    The best of some tries of each in turn, after one that does not count. Below 1 without a trial
    where this CPU's products are no faster: a trial could take minutes.
    """
    if gain() < PRODUCT:
        return min(gain(), 1.0)
    found: dict[bool, list[float]] = {False: [], True: []}
    begin = time.perf_counter()
    for number in range(1 + TRIES):
        for low in found:
            found[low].append(_answered(network, x, low))
        if number and time.perf_counter() - begin > LONGEST:
            break
    return min(found[False][1:]) / min(found[True][1:])


@cache
def gain() -> float:
    """How many times faster this CPU multiplies bfloat16 than float32, on one thread.

    A product of two square matrices, the best of some tries of each in turn; some milliseconds,
    once a process.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        wide = torch.ones(SIDE, SIDE)
        narrow = wide.bfloat16()
        pairs = [(_seconds(wide), _seconds(narrow)) for _ in range(TRIES)]
    finally:
        torch.set_num_threads(threads)
    return min(one for one, _ in pairs[1:]) / min(other for _, other in pairs[1:])


def _seconds(matrix: Tensor) -> float:
    begin = time.perf_counter()
    torch.mm(matrix, matrix)
    return time.perf_counter() - begin


def _answered(network: nn.Module, x: Tensor, low: bool) -> float:
    begin = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=low):
        network(x)
    return time.perf_counter() - begin


def _remembered(network: nn.Module, x: Tensor) -> str:
    """``float32`` or ``bfloat16``, as it was found when this network was first met on this CPU."""
    from filelock import FileLock

    key, path = _identity(network, x), cache_folder() / FILE
    kept = _kept(path)
    if key in kept:
        return str(kept[key]["tested in"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One process measures while the others wait: two at once would disturb each other.
        with FileLock(path.with_name(f".{FILE}.lock")):
            kept = _kept(path)
            if key not in kept:
                kept[key] = _measured(network, x)
                aside = path.with_name(f".{FILE}.{os.getpid()}")
                aside.write_text(json.dumps(kept, indent=1), encoding="utf-8")
                aside.replace(path)
    except OSError as error:
        warnings.warn(
            f"the precision of tests cannot be kept in {path.parent} ({error}) and may be another "
            f"the next time: set CONDENSERY_CACHE to a folder with room, or name a --precision",
            stacklevel=3,
        )
        kept.setdefault(key, _measured(network, x))
    return str(kept[key]["tested in"])


def _measured(network: nn.Module, x: Tensor) -> dict[str, Any]:
    times = times_faster(network, x)
    return {
        "network": type(network).__name__,
        "batch": list(x.shape),
        "times faster in bfloat16": round(times, 3),
        "tested in": "bfloat16" if times >= WORTH else "float32",
    }


def _kept(path: Path) -> dict[str, dict[str, Any]]:
    """What the file holds; nothing where it is not there or was damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and all(
        isinstance(one, dict) and one.get("tested in") in ("float32", "bfloat16")
        for one in found.values()
    )
    return found if whole else {}


def _identity(network: nn.Module, x: Tensor) -> str:
    """Of what decides the speed: this CPU and torch, the network's layers, the batch."""
    here = circumstances()
    machine = [here[name] for name in ("cpu", "flags", "torch")] + [torch.get_num_threads()]
    layers = [(name, type(one).__qualname__) for name, one in network.named_modules()]
    sizes = [(name, tuple(one.shape)) for name, one in network.named_parameters()]
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((machine, layers, sizes, tuple(x.shape))).encode())
    return digest.hexdigest()
