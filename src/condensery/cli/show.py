"""``condensery show PRESET|STUDY|DIR``: what a preset sets, what a plan is, what a run is."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.cli.common import DEBUG, Page
from condensery.cli.options import columns
from condensery.errors import UsageError, unknown

if TYPE_CHECKING:
    from condensery.presets import Plan

PAGE = Page(
    "condensery show",
    "PRESET|STUDY|DIR",
    "Say what a preset sets for each of its methods, what a study's plan is, or what a run "
    "directory holds.",
    (DEBUG,),
    ("condensery show small", "condensery show runs/digits"),
)


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery show``.

    Raises:
        UsageError: neither a preset, nor a study, nor a directory.
    """
    given = PAGE.read(arguments)
    if given is None:
        return
    if len(given.words) != 1:
        raise UsageError("show wants a preset, a study or a run directory: condensery show demo")
    word = given.words[0]
    path = Path(word).expanduser()
    if path.exists():
        print(directory(path))
        return
    from condensery import study
    from condensery.presets import PRESETS

    if word in study.names():
        print(study.text(word).rstrip())
        return
    if word not in PRESETS:
        where = "" if "/" not in word else f"; there is no directory {word} either"
        raise UsageError(f"{unknown('preset', word, PRESETS)}{where}")
    print(preset(word))


def preset(name: str) -> str:
    """What a preset is, and what it sets for each method on a small data set."""
    from condensery.data import load_problem
    from condensery.presets import PRESETS

    found, problem = PRESETS[name], load_problem("digits")
    parts = [f"preset {name}: {found.about}"]
    for method, function in found.methods.items():
        about = inspect.cleandoc(function.__doc__ or "").replace("``", "")
        parts.append(f"{method}\n{textwrap.indent(about, '  ')}\n\n{changes(function(problem, 1))}")
    parts.append("Settings as they are for digits at 1 per class; what is not named keeps the "
                 "method's default.")  # fmt: skip
    return "\n\n".join(parts)


def changes(plan: Plan) -> str:
    """Fields that differ from the method's defaults, as flags, and the budget."""
    from condensery.cli.settings import shown

    usual: Any = type(plan.method)()
    rows = []
    for one in dataclasses.fields(plan.method):  # type: ignore[arg-type]
        value = getattr(plan.method, one.name)
        if value != getattr(usual, one.name):
            rows.append((f"--method.{one.name}", shown(value) + in_full(value)))
    if plan.steps is not None:
        rows.append(("--steps", str(plan.steps)))
    if plan.minutes is not None:
        rows.append(("--minutes", f"{plan.minutes:g}"))
    return columns(rows, indent=2) if rows else "  the method's defaults"


def in_full(value: Any) -> str:
    """How networks are trained, in brackets: what differs from the defaults of ``PeerSpec``."""
    from condensery.models import PeerSpec

    told = []
    for spec in value if isinstance(value, tuple) else (value,):
        if not isinstance(spec, PeerSpec):
            return ""
        plain = PeerSpec(spec.name)
        own = {one.name: getattr(spec, one.name) for one in dataclasses.fields(spec)}
        pairs = [f"{key} {own[key]}" for key in own if own[key] != getattr(plain, key)]
        told.append(f"{own['name']}: {', '.join(pairs)}" if pairs else "")
    kept = "; ".join(one for one in told if one)
    return f"  ({kept})" if kept else ""


def directory(path: Path) -> str:
    """What a run is: settings, budget, steps, seconds, bytes, and its records in short."""
    from condensery.cli.settings import shown
    from condensery.report.gather import mapping, read_run

    found = read_run(path)
    budget = mapping(found.config.get("budget"))
    asked = [f"{value:g} {name}" for name, value in budget.items() if value is not None]
    source, memory = mapping(found.config.get("source")), found.about.get("peak_memory_bytes")
    told: dict[str, Any] = {
        "run": path,
        **{name: value for name, value in found.settings.items() if name != "fields" and value},
        "from": source.get("data"),
        "budget": ", ".join(asked),
        "steps made": found.about.get("steps"),
        "seconds": found.about.get("seconds"),
        "peak memory": f"{memory / 2**30:.2f} GiB" if isinstance(memory, int) else None,
        "stored": f"{found.card.get('stored_samples')} samples, decoded to "
        f"{found.card.get('decoded_samples')}" if found.card else None,
        "bytes": found.card.get("bytes"),
    }  # fmt: skip
    rows = [(name, str(value)) for name, value in told.items() if value not in (None, "")]
    fields = mapping(found.settings.get("fields"))
    set_to = [(f"--method.{name}", shown(_named(value))) for name, value in fields.items()]
    parts = [columns(rows), "settings\n" + columns(set_to, indent=2) if set_to else ""]
    return "\n\n".join([one for one in parts if one] + [_records(found.records)])


def _named(value: Any) -> Any:
    """Networks by their names, as they stand in ``config.json``."""
    if isinstance(value, list):
        return [_named(one) for one in value]
    return value.get("name", value) if isinstance(value, dict) else value


def _records(records: Sequence[Any]) -> str:
    """Rows with the mean accuracy of all their trainings, by recipe and split."""
    from condensery.records import newest

    held = newest(records)
    if not held:
        return "records: none yet (condensery evaluate)"
    groups = Counter((one.recipe, one.split, one.row) for one in held)
    rows = []
    for (recipe, split, row), count in groups.items():
        own = [one.accuracy for one in held if (one.recipe, one.split, one.row) == (recipe, split,
               row)]  # fmt: skip
        mean = f"{100 * sum(own) / len(own):.2f}"
        rows.append((row, recipe, split, f"{mean} (mean of {count} trainings)"))
    heads = [("trained on", "recipe", "split", "accuracy in points")]
    return textwrap.indent(columns(heads + rows), "  ").join(["records\n", ""])
