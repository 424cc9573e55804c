"""One measured number and its circumstances; files of records only ever grow."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

# Random samples with hard labels in all bytes of a set and of its soft labels.
ALL_BYTES = "random, all bytes"


@dataclass(frozen=True)
class Record:
    """One network trained on one set, once.

    Attributes:
        row: what the network was trained on: a method's name, or a baseline of the same run
            (``random``, ``random packed``, ``random as many``, ``random, all bytes``,
            ``kmeans``, ``mean``, ``start``, ``full``).
        model: the network's name, as it was really used.
        seen: True when this network took part in making the set of this run.
        replicate: the condensation seed (for a baseline: the seed of its draw). Paired rows share
            it.
        seed: the evaluation seed: initial weights and batch order.
        recipe: name of the evaluation recipe.
        split: ``test`` or ``val``.
        accuracy: of the last epoch, in ``[0, 1]``.
        best: the best accuracy of any check, in ``[0, 1]``; chosen on the evaluated split, so never
            a result. None when only the last epoch was tested.
        per_class: stored samples per class of the condensed set of this run.
        samples: samples that a network was shown in an epoch (after decoding).
        stored_bytes: bytes of what is stored: quantised samples and labels.
        epochs: passes over the set. updates: optimiser steps.
        seconds: of training and testing. condense_seconds: of making the set.
        data: name of the data set. classes: its number of classes.
        settings: the recipe's values that applied to this network (rate, optimiser, batch, ...).
        fingerprint: of the exported set; a set that was changed since is measured anew.
        circumstances: hardware, versions, commit; see ``circumstances()``.
        family: what kind of network it is: ``cnn``, ``vit``, ``mlp``, ``rnn``, ``transformer``,
            ``module`` (the user's own); empty in records of earlier versions.
        labels: what the network learned from: ``hard``, or the regime of soft labels with its
            teacher. Hard and soft rows are never compared.
        class_accuracy: accuracy of each class, in ``[0, 1]``, in the order of the labels; their
            mean is ``accuracy`` where all classes have equally many test samples.
        confusion: counts ``[true class][predicted class]``; None where nobody asked, or where
            there are too many classes to keep it for every cell.
        curve: ``[epoch, accuracy]`` of each check on the way, when ``check_every`` was given.
        parameters: numbers that the network learns, heads included; None in older records.
        failed: why training ended early (a loss that is not finite); empty where it did not. The
            accuracy is that of the last weights that were finite.
    """

    row: str
    model: str
    seen: bool
    replicate: int
    seed: int
    recipe: str
    split: str
    accuracy: float
    best: float | None
    data: str
    classes: int
    per_class: float
    samples: int
    stored_bytes: int
    epochs: int
    updates: int
    seconds: float
    condense_seconds: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    circumstances: dict[str, Any] = field(default_factory=dict)
    family: str = ""
    parameters: int | None = None
    labels: str = "hard"
    class_accuracy: list[float] | None = None
    confusion: list[list[int]] | None = None
    curve: list[list[float]] | None = None
    failed: str = ""

    def key(self) -> tuple[Any, ...]:
        """What makes a cell of the grid: two records with one key measured the same thing.

        Of random samples in all bytes of soft labels the bytes are part of it: kinds of soft labels
        differ in them, and records of one kind must not take the place of another's.
        """
        held = self.stored_bytes if self.row == ALL_BYTES else None
        return (self.data, self.row, self.per_class, self.replicate, self.model, self.seed,
                self.recipe, self.split, self.epochs, self.updates, self.labels, held)  # fmt: skip

    def training(self) -> str:
        """What was trained on what: runs that share a set share what was measured on it.

        The exported set itself, whatever the run and the seed that it was made with.
        """
        held = self.stored_bytes if self.row == ALL_BYTES else None
        return repr((self.data, self.row, self.fingerprint, self.model, self.seed, self.recipe,
                     self.split, self.epochs, self.updates, self.labels, held,
                     sorted(self.settings.items())))  # fmt: skip

    def measured_as(self, other: Record) -> Record:
        """This record with what another says of the same training (``training``)."""
        return dataclasses.replace(
            self, accuracy=other.accuracy, best=other.best, seconds=other.seconds,
            circumstances=other.circumstances, class_accuracy=other.class_accuracy,
            confusion=other.confusion, curve=other.curve, parameters=other.parameters,
            failed=other.failed,
        )  # fmt: skip


def by_training(records: Iterable[Record]) -> dict[str, Record]:
    """Records of sets that are known by their fingerprint, the last of each ``training``."""
    return {one.training(): one for one in records if one.fingerprint}


def append(path: Path, records: Iterable[Record]) -> None:
    """Add records to a JSON-lines file, each on disk before the next begins.

    What a kill left of a last line is cut off first: else the next record would be glued to it.
    Jobs that share the file wait for one another (by a lock file beside it).
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")), path.open("ab+") as file:
        _mend(file)
        for record in records:
            file.write((json.dumps(dataclasses.asdict(record)) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())


def read(path: Path) -> list[Record]:
    """All records of a JSON-lines file, in the order in which they were measured.

    A last line that was cut short by a kill is left out. Unknown keys are ignored, so that a newer
    version's records can be read. Where a cell was measured again (its set or its recipe's values
    had changed), both records are given; ``newest`` keeps the one that holds.

    Raises:
        ValueError: a line is no record; says which.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    known = {one.name for one in dataclasses.fields(Record)}
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
            found.append(Record(**{name: values[name] for name in values if name in known}))
        except (ValueError, TypeError) as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise ValueError(f"{path}, line {number}, is no record: {error}") from None
    return found


def newest(records: Iterable[Record]) -> list[Record]:
    """One record for each cell (``Record.key``): the last measured, in order of the first."""
    held: dict[tuple[Any, ...], Record] = {}
    for record in records:
        held[record.key()] = record
    return list(held.values())


def _mend(file: IO[bytes]) -> None:
    """Cut off a last line without an end, or give a whole one its end."""
    file.seek(0)
    content = file.read()
    if not content or content.endswith(b"\n"):
        return
    whole = content.rfind(b"\n") + 1
    try:
        json.loads(content[whole:])
    except ValueError:
        file.truncate(whole)
    else:
        file.write(b"\n")


@cache
def circumstances() -> dict[str, Any]:
    """Hardware, versions and commit of this process: plain values, read once."""
    import torch

    from condensery import __version__

    flags, name = "", platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
        flags = next((x.split(":")[1] for x in lines if x.startswith("flags")), "")
    telling = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "cpu": name,
        "flags": [flag for flag in telling if flag in flags.split()],
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "version": __version__,
        "commit": _commit(),
    }


def peak_memory() -> int | None:
    """Bytes of main memory that this process held at most so far; None where nobody counts them.

    Of the whole process since it began, other runs in it included; memory of a GPU is not counted.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    told = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(told if sys.platform == "darwin" else told * 1024)


def _commit() -> str | None:
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
