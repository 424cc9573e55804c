"""``condensery show PRESET|RECIPE|STUDY|DIR``: what each sets, plans or holds."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.cli.common import DEBUG, Page
from condensery.cli.options import columns, page_width
from condensery.errors import UsageError, unknown

if TYPE_CHECKING:
    from condensery.evaluate import Override, Recipe
    from condensery.presets import Plan

PAGE = Page(
    "condensery show",
    "PRESET|RECIPE|STUDY|DIR",
    """\
Say what a preset sets for each of its methods, how a recipe trains, what a study's plan is, or what
a run directory holds. A word that names several is the first of: a path that is there, a study, a
preset, a recipe.""",
    (DEBUG,),
    ("condensery show small", "condensery show quick", "condensery show runs/digits"),
)
# What a recipe that solves for its weights at once has no use for.
OF_STEPS = ("updates", "batch", "optimiser", "lr", "momentum", "weight_decay", "schedule", "mix",
            "mix_vit", "batch_norm")  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery show``.

    Raises:
        UsageError: neither a preset, nor a recipe, nor a study, nor a directory.
    """
    given = PAGE.read(arguments)
    if given is None:
        return
    if len(given.words) != 1:
        raise UsageError("show wants a preset, a recipe, a study or a run directory: condensery "
                         "show demo")  # fmt: skip
    word = given.words[0]
    path = Path(word).expanduser()
    if path.exists():
        print(directory(path))
        return
    print(named(word))


def named(word: str) -> str:
    """A study, a preset or a recipe, whichever has this name, in this order.

    Raises:
        UsageError: none has.
    """
    from condensery import study
    from condensery.evaluate import RECIPES, recipe_from
    from condensery.evaluate.recipes import PLAIN
    from condensery.presets import PRESETS

    if word in study.names():
        return study.text(word).rstrip()
    if word in PRESETS:
        return preset(word)
    if word.removesuffix(PLAIN) in RECIPES:
        return recipe(recipe_from(word))
    where = "" if "/" not in word else f"; there is no directory {word} either"
    known = (*PRESETS, *RECIPES, *study.names())
    raise UsageError(f"{unknown('preset, recipe or study', word, known)}{where}")


def recipe(found: Recipe) -> str:
    """What a recipe is, its values, and what is different for some networks."""
    from condensery.evaluate.recipes import PLAIN

    plain = "; here without any augmentation or mixing" if found.name.endswith(PLAIN) else ""
    names = [one.name for one in dataclasses.fields(found)]
    rows = [(name, in_words(getattr(found, name))) for name in names if applies(found, name)]
    about = f"recipe {found.name}: {found.summary}{plain}"
    parts = [textwrap.fill(about, page_width()), columns(rows, indent=2)]
    if found.overrides and found.solver == "descent":
        own = {one.network: override(one) for one in reversed(found.overrides)}
        parts += [f"otherwise for some networks\n{columns(list(own.items())[::-1], indent=2)}",
                  "Of these a network takes one: that of its own name, else the first pattern that "
                  "its name fits\n(convnet*: of any depth and width), else that of its family "
                  "(cnn, vit, rnn, transformer, ...)."]  # fmt: skip
    return "\n\n".join(parts)


def applies(found: Recipe, name: str) -> bool:
    """Whether a recipe's field is worth a line: it is used, and is no late one at its default."""
    from condensery.evaluate.recipes import LATER

    if name in ("name", "summary", "overrides"):
        return False
    if found.solver == "ridge" and (name in OF_STEPS or name == "ridge"):
        return name == "ridge"
    if name in ("epochs", "updates"):
        return (name == "updates") == (found.updates is not None)
    usual = next(one.default for one in dataclasses.fields(found) if one.name == name)
    return name not in LATER or getattr(found, name) != usual


def in_words(value: Any) -> str:
    """A value of a recipe; of a schedule its kind and, where the rate drops, where and how far."""
    from condensery.cli.settings import shown
    from condensery.evaluate import Schedule

    if not isinstance(value, Schedule):
        return "none" if value == () else shown(value)
    drops = ", ".join(f"{part:.3f}" for part in value.at)
    return f"{value.kind}, times {value.factor:g} at {drops} of the epochs" if drops else value.kind


def override(one: Override) -> str:
    """What one does differently: fields with their values."""
    usual = type(one)(one.network)
    names = [each.name for each in dataclasses.fields(one)]
    return ", ".join(f"{name} {getattr(one, name)}" for name in names
                     if getattr(one, name) != getattr(usual, name))  # fmt: skip


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
