"""``condensery condense DATA``: a labelled data set becomes a synthetic one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.cli.common import DATA_DIR, DEBUG, DEVICE, THREADS, Page, next_command, use_threads
from condensery.cli.options import Option
from condensery.errors import UsageError, unknown

if TYPE_CHECKING:
    from condensery.modality import Modality

COMMAND = "condensery condense"
NEXT = {
    "image": ("--models", "convnet3,vit_mini,resnet_mini,mlp", "--recipe", "quick"),
    "audio": ("--models", "audio_cnn,spectrogram_cnn", "--recipe", "sound"),
    "logmel": ("--models", "spectrogram_cnn", "--recipe", "sound"),
    "text": ("--models", "lstm", "--recipe", "text"),
}
# Of spectrograms: they cannot be listened to.
SHOWN = {"image": "pictures", "audio": "sounds", "logmel": "pictures", "text": "texts"}
ABOUT = """\
Make a synthetic set of DATA: a built-in name (condensery list data), a Hugging Face hub id, or a
path: a folder of class folders (images, sounds, texts), parquet or csv files, an .npz.

Stopped at any time, the same command goes on from the last checkpoint; more --steps extend a run. A
run of other settings is never overwritten. Settings come in this order: the method's own, the
preset's, the flags'. The last flags below are those of method {method} ({title}); --method NAME
--help shows another's.

Lists are written a,b or as JSON; null, true and false as they are. A network is a name, or JSON of
{fields}: '{{"name": "vit_tiny", "weights": "pretrained", "lr": 0.001}}'."""
OPTIONS = (
    Option("--method", "how to condense (condensery list methods)", "NAME", standard="hmdc"),
    Option("--preset", "settings under one name (condensery list presets)", "NAME"),
    Option("--per-class", "stored samples per class", "N", int, "1"),
    Option("--steps", "updates of the set", "N", int, "the preset's, else the method's"),
    Option("--minutes", "of condensing, instead of --steps", "X", float),
    Option("--seed", "of everything random", "N", int, "0"),
    Option("--init", "where to start from: random, kmeans, mean, noise, ... where the method has "
           "start_from, or another run's directory", "START|DIR"),
    Option("--out", "the run directory", "DIR", standard="runs/DATA-METHOD-ipcN-seedN"),
    DATA_DIR,
    Option("--label", "the column of labels, where there are several", "COLUMN"),
    Option("--size", "side, or height,width, of images; samples, or samples,rate, of clips; "
           "tokens of texts", "N", int | tuple[int, int], "their own; of texts 64"),
    Option("--tokenizer", "of texts: a folder or a hub id", "NAME", standard="bert-base-uncased"),
    Option("--validation", "share of the training samples kept for evaluate --split val", "X",
           float, "0"),
    DEVICE,
    THREADS,
    Option("--quiet", "no line of progress", kind=None),
    DEBUG,
)  # fmt: skip
EXAMPLES = (
    "condensery condense digits --preset demo --per-class 1 --out runs/digits",
    "condensery condense photos/ --preset small --per-class 10 --minutes 20",
    "condensery condense cifar10 --method.peers convnet3,vit_mini,mlp --method.lr 0.01",
)


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery condense``.

    Raises:
        UsageError, RunError: see ``condensery.api.condense``.
    """
    given = page_for(arguments).read(arguments)
    if given is None:
        return
    from condensery.api import condense
    from condensery.presets import PRESETS

    data, values = _data(given.words), arguments_of(given.values)
    if values.get("preset") not in (None, *PRESETS):
        raise unknown("preset", values["preset"], PRESETS)
    use_threads(values.pop("threads", None))
    values.pop("debug", None)
    out = Path(values.pop("out", None) or usual_out(data, values)).expanduser()
    synthetic = condense(data, out=out, **values)
    about, packed = synthetic.about, len(synthetic) * synthetic.codec.multiplies
    decoded = "" if packed == len(synthetic) else f" (decoded to {packed})"
    print(
        f"made: {len(synthetic)} stored samples of {synthetic.classes} classes{decoded}, "
        f"{synthetic.nbytes():,} bytes; steps: {about['steps']}, seconds: {about['seconds']:.0f}"
    )
    print(f"run: {out} (the set: synthetic/, {SHOWN[stored_as(synthetic.modality)]}: previews/)")
    next_command("condensery", "evaluate", out, *NEXT[stored_as(synthetic.modality)])


def stored_as(modality: Modality) -> str:
    """The kind of the samples of a set; ``logmel`` of spectrograms, which not all networks read."""
    return "logmel" if getattr(modality, "form", None) == "logmel" else modality.kind


def page_for(arguments: Sequence[str]) -> Page:
    """The page of this verb with the settings of the method that is named.

    Raises:
        UsageError: an unknown method.
    """
    from condensery.cli.settings import options_of
    from condensery.methods import METHODS
    from condensery.models import PeerSpec

    name = named(arguments, "--method") or "hmdc"
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    fields = ", ".join(one.name for one in dataclasses.fields(PeerSpec))
    about = ABOUT.format(method=name, title=METHODS[name].title, fields=fields)
    return Page(COMMAND, "DATA", about, (*OPTIONS, *options_of(name)), EXAMPLES)


def named(arguments: Sequence[str], flag: str) -> str | None:
    """The value of a flag that must be known before the others can be read."""
    found = None
    for word, after in zip(arguments, [*arguments[1:], None], strict=False):
        if word == flag:
            found = after
        elif word.startswith(f"{flag}="):
            found = word.partition("=")[2]
    return found


def arguments_of(values: dict[str, Any]) -> dict[str, Any]:
    """Values of flags as arguments of ``condense``: settings together, a named start among them.

    Raises:
        UsageError: a start that this method does not have.
    """
    from condensery.cli.settings import PREFIX
    from condensery.core.starts import STARTS

    kept = {name: value for name, value in values.items() if not name.startswith(PREFIX)}
    settings = {
        name.removeprefix(PREFIX): value
        for name, value in values.items()
        if name.startswith(PREFIX)
    }
    if kept.get("init") in STARTS:
        settings = _started(kept.get("method", "hmdc"), kept.pop("init"), settings)
    elif "init" in kept and not Path(kept["init"]).expanduser().exists():
        raise UsageError(
            f"{unknown('start', kept['init'], STARTS)}; or a run directory that exists"
        )
    return {"method": "hmdc", **kept, "settings": settings}


def _started(method: str, start: str, settings: dict[str, Any]) -> dict[str, Any]:
    from condensery.cli.settings import starts_of

    known = starts_of(method)
    if start not in known:
        own = f"it has {', '.join(known)}" if known else "leave --init away"
        raise UsageError(f"--init {start}: {method} has no such start; {own}")
    if settings.get("start_from", start) != start:
        raise UsageError("give --init or --method.start_from, not both: they differ")
    return {**settings, "start_from": start}


def usual_out(data: str, values: dict[str, Any]) -> str:
    """The run directory where none is named."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).stem if Path(data).exists() else data)
    method, count = values["method"], values.get("per_class", 1)
    return f"runs/{name.strip('-.') or 'data'}-{method}-ipc{count}-seed{values.get('seed', 0)}"


def _data(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    if words:
        raise UsageError(f"condense takes one DATA, got {', '.join(words)}: flags begin with --")
    raise UsageError("condense wants DATA: a name (condensery list data), a path or a hub id, "
                     "such as: condensery condense digits --preset demo")  # fmt: skip
