"""How to reproduce: the commands that make these sets and measure these numbers again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

from condensery.records import Record
from condensery.report.gather import RunFiles, mapping
from condensery.report.panels import Panel
from condensery.report.style import base

DRAWN = ("random", "kmeans", "mean", "herding", "naive_bayes", "full")  # what `--rows` takes
PRECISION = "float32"  # of testing, unless `--precision` says otherwise
SEARCHED = ", rate searched"  # what the name of a recipe ends in whose rates were searched for
BREAK = " \\\n  "
# How records call a network: name, then what was asked for beside it (weights, size, statistics).
NETWORK = re.compile(
    r"(?P<name>\S+)(?: (?P<weights>(?!\d+px\b).+?))?(?: (?P<size>\d+)px)?"
    r"(?: (?P<normalise>model|data) statistics)?"
)


def condense_command(run: RunFiles) -> str:
    """The command line that makes this set again, every setting written out; empty if unknown."""
    options = condense_options(run)
    if not options:
        return ""
    source = mapping(run.config.get("source"))
    data = _quoted(source.get("data") or run.settings["data"])
    return BREAK.join([f"condensery condense {data}",
                       *(f"{name} {value}" for name, value in options.items())])  # fmt: skip


def condense_options(run: RunFiles) -> dict[str, str]:
    """Flags and quoted values of ``condense_command``; empty where the run does not say enough."""
    settings = run.settings
    if not settings.get("data") or not settings.get("method"):
        return {}
    budget = mapping(run.config.get("budget"))
    steps = run.about.get("steps", budget.get("steps", settings.get("steps")))
    source = mapping(run.config.get("source"))
    options = {"--method": settings["method"], "--per-class": settings.get("per_class"),
               # A selection takes no steps; to give it 0 would be refused.
               "--steps": steps or None, "--seed": settings.get("seed"),
               "--init": settings.get("init"), "--out": f"runs/{run.name}"}  # fmt: skip
    options |= {f"--{name.replace('_', '-')}": source.get(name) or None
                for name in ("data_dir", "label", "size", "validation", "tokenizer")}  # fmt: skip
    fields = mapping(settings.get("fields"))
    options |= {f"--method.{name}": value for name, value in fields.items()}
    kept = {flag: value for flag, value in options.items() if value is not None}
    kept |= {f"--method.{name}": None for name, value in fields.items() if value is None}
    return {flag: _quoted(value) for flag, value in kept.items()}


def alike_commands(runs: Sequence[RunFiles]) -> list[str]:
    """For runs that are like the first but for a few flags: those flags, a line a run."""
    first = condense_options(runs[0])
    lines = []
    for run in runs[1:]:
        own = condense_options(run)
        changed = [f"{flag} {value}" for flag, value in own.items() if first.get(flag) != value]
        if changed:
            lines.append(" ".join(changed))
    return lines


def evaluate_command(panel: Panel, runs: Sequence[RunFiles]) -> str:
    """The command line that measures these numbers again: the runs of this comparison only."""
    held = {one.fingerprint for one in panel.records}
    own = [run for run in runs if any(one.fingerprint in held and _of(panel, one)
                                      for one in run.records)]  # fmt: skip
    places = [_quoted(f"runs/{run.name}") for run in own] or ["DIR"]
    seeds = ",".join(map(str, sorted({one.seed for one in panel.records})))
    # A shortened recipe says so in its name, and then one whose rates were searched for:
    # "quick (20 updates), rate searched".
    plain = panel.recipe.removesuffix(SEARCHED)
    shortened = re.fullmatch(r"(.*) \((\d+) (epochs|updates)\)", plain)
    recipe = shortened[1] if shortened else plain
    options = [f"--models {_models(panel.seen)}", f"--seeds {seeds}"]
    options += [f"--recipe {_quoted(recipe)}", f"--split {_quoted(panel.split)}"]
    options += [f"--{shortened[3]} {shortened[2]}"] if shortened else []
    options += ["--rate search"] if plain != panel.recipe else []
    options += _labels(panel)
    options += [f"--rows {','.join(_rows(panel)) or 'none'}", *_draws(panel), *_checks(panel)]
    options += _precision(panel)
    return BREAK.join([f"condensery evaluate {' '.join(places)}", *options])


def network(name: str) -> dict[str, Any]:
    """A network as ``--models`` takes it, from its name in records: ``vit_tiny pretrained 64px``.

    Of weights in a file records keep the file's name: the folder is for the reader to put before.
    """
    found = NETWORK.fullmatch(name)
    if found is None:
        return {"name": name}
    told = {key: value for key, value in found.groupdict().items() if value is not None}
    return told | ({"size": int(told["size"])} if "size" in told else {})


def unknown_weights(panel: Panel) -> list[str]:
    """Files of weights whose folder records do not tell."""
    told = [network(name).get("weights") for name in panel.seen]
    return [one for one in told if one is not None and one != "pretrained"]


def _models(names: Sequence[str] | dict[str, bool]) -> str:
    """Names with commas between them; JSON as soon as one network is more than its name."""
    specs = [network(name) for name in names]
    if all(len(spec) == 1 for spec in specs):
        return _quoted(",".join(str(spec["name"]) for spec in specs))
    return _quoted(specs)


def _rows(panel: Panel) -> list[str]:
    names = {base(row).removesuffix(" packed") for row in panel.rows}
    return [one for one in DRAWN if one in names]


def _draws(panel: Panel) -> list[str]:
    """``--draws`` for each condensed set, where there are random rows."""
    random = {one.replicate for one in panel.records if base(one.row) == "random"}
    sets = {one.replicate for one in panel.records if one.row in panel.condensed}
    times = max(1, round(len(random) / len(sets))) if sets else 1
    return [f"--draws {times}"] if random else []


def _checks(panel: Panel) -> list[str]:
    """``--check-every`` as the checks on the way tell it."""
    epochs = [epoch for one in panel.records for epoch, *_ in one.curve or [] if epoch > 0]
    return [f"--check-every {min(epochs):g}"] if epochs else []


def _precision(panel: Panel) -> list[str]:
    """``--precision`` as records tell it; where networks differ in it, each was given its own."""
    told = {str(one.circumstances.get("tested in", PRECISION)) for one in panel.records}
    if len(told) > 1:
        return ["--precision auto"]
    return [f"--precision {one}" for one in told if one != PRECISION]


def _labels(panel: Panel) -> list[str]:
    """Whose labels the networks learned from, where they were soft."""
    told = mapping(panel.records[0].settings.get("labels"))
    if panel.labels == "hard" or not told:
        return []
    flags = {"--labels": "regime", "--teacher": "teacher", "--temperature": "temperature",
             "--teacher-updates": "updates", "--teacher-seed": "seed"}  # fmt: skip
    return [f"{flag} {_quoted(told[name])}" for flag, name in flags.items() if name in told]


def _of(panel: Panel, one: Record) -> bool:
    return (one.data, one.per_class, one.recipe, one.split, one.labels) == (
        panel.data, panel.per_class, panel.recipe, panel.split, panel.labels)  # fmt: skip


def _quoted(value: Any) -> str:
    """A value as a shell takes it and the command line reads it."""
    return shlex.quote(value if isinstance(value, str) else json.dumps(value, default=str))
