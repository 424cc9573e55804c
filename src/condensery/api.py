"""The Python entry: one function a verb."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from condensery.artefact import load, read_set
from condensery.core.synthetic import SyntheticSet
from condensery.data import DATA, Problem, SplitName, load_problem
from condensery.engine import Budget, Run, RunDirectory, execute
from condensery.errors import UsageError, unknown
from condensery.evaluate import (
    USUAL,
    Labels,
    Recipe,
    RunRows,
    grid,
    labels_from,
    measures,
    recipes_from,
    rows_beside,
    rows_of,
    search,
)
from condensery.evaluate.grid import OnRecord
from condensery.evaluate.precision import Precision, precision_from
from condensery.evaluate.runs import draws_beside, enough_draws
from condensery.evaluate.train import family_of
from condensery.evaluate.usual import usual_networks
from condensery.methods import METHODS, Method, name_of
from condensery.methods.base import Info
from condensery.models import PeerSpec
from condensery.presets import PRESETS, Plan
from condensery.records import Record, by_training, circumstances, read


def condense(
    data: Any,
    method: Method | str = "hmdc",
    *,
    per_class: int = 1,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    init: str | Path | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    out: str | Path | None = None,
    on_step: Callable[[int, Info, SyntheticSet], object] | None = None,
    device: str | None = None,
    data_dir: str | Path | None = None,
    label: str | None = None,
    size: int | tuple[int, int] | None = None,
    validation: float = 0.0,
    tokenizer: str | None = None,
    quiet: bool = False,
) -> SyntheticSet:
    """Turn a labelled data set into ``per_class`` stored synthetic samples per class.

    Args:
        data: a built-in name, a hub id, a path, a torch ``Dataset``, arrays ``(x, y)`` or
            ``(x_train, y_train, x_test, y_test)``, or a ``Problem``.
        method: a method with its settings, or a name of the table of methods.
        per_class: stored samples per class, from 1.
        steps: updates of the set. minutes: of condensing, instead of steps. Neither: the preset's
            budget, else the method's.
        seed: of everything random; the same seed gives the same set.
        init: another run's directory to start from, instead of the method's own start.
        preset: settings for a method given by name (``small``, ``paper``, ...).
        settings: fields of the method to be changed after that, by name.
        modules: factories of your own networks, by the name a peer uses.
        out: the run directory; a run that lies there is resumed. None writes nothing.
        on_step: called after each step with (step, what it told, the set).
        device: ``cpu``, ``cuda``, ...; None takes a GPU when there is one.
        data_dir, label, size: how data given by name or path are read; see ``load_problem``.
        validation: share of each class's training samples that condensing does not see, so that
            settings can be chosen on them (``evaluate(..., split="val")``).
        tokenizer: of text: a folder, or a hub id; None: ``bert-base-uncased``.
        quiet: no progress line.

    Returns:
        The synthetic set, in the form that is exported.

    Raises:
        UsageError: what was asked for cannot be; says what to do instead.
        RunError: it went wrong on the way.
    """
    where: dict[str, Any] = {
        "data_dir": data_dir, "label": label, "size": size, "validation": validation
    }  # fmt: skip
    if tokenizer is not None:
        at = Path(tokenizer).expanduser()
        where["tokenizer"] = str(at.resolve()) if at.is_dir() else tokenizer
    problem = load_problem(data, **where)
    plan = changed(resolve(method, preset, problem, per_class), settings or {})
    run = Run(
        name=name_of(plan.method),
        method=plan.method,
        problem=problem,
        per_class=per_class,
        budget=_budget(plan, steps, minutes),
        seed=seed,
        init=None if init is None else Path(init).expanduser().resolve(),
        modules=modules or {},
        device=pick_device(device),
        source=_source(data, where),
    )
    return execute(run, None if out is None else Path(out), on_step, quiet)


def adopt(
    file: str | Path,
    data: Any,
    out: str | Path | None = None,
    *,
    name: str | None = None,
    data_dir: str | Path | None = None,
    label: str | None = None,
    size: int | tuple[int, int] | None = None,
    validation: float = 0.0,
) -> Path:
    """Make a run directory of a set of images that was made elsewhere.

    Args:
        file: an ``.npz`` of arrays ``x`` and ``y``, see ``condensery.artefact.read_set``.
        data: what the set stands for, as in ``condense``.
        out: the directory; None: ``runs/NAME``. One that holds this very set stays as it is.
        name: of its row in tables; None: the file's own.
        data_dir, label, size, validation: as in ``condense``.

    Returns:
        The directory, which ``evaluate``, ``report`` and ``load`` take like any other.

    Raises:
        UsageError: it is no such set, or the directory holds something else.
        RunError: the data cannot be fetched.
    """
    where: dict[str, Any] = {
        "data_dir": data_dir, "label": label, "size": size, "validation": validation
    }  # fmt: skip
    source = Path(file).expanduser()
    problem = load_problem(data, **where)
    synthetic = read_set(source, problem, name)
    config = {
        "settings": {**synthetic.about["settings"], "data": problem.name,
                     "samples": grid.fingerprint(synthetic)},
        "source": _source(data, where),
        "circumstances": circumstances(),
    }  # fmt: skip
    path = Path("runs", name or source.stem) if out is None else Path(out).expanduser()
    run = RunDirectory.open(path, config)
    run.begin(config)
    run.keep(synthetic, 0)
    return path


def evaluate(
    subject: SyntheticSet | str | Path | Sequence[str | Path],
    data: Any = None,
    models: Sequence[str | PeerSpec] | None = None,
    *,
    recipe: str | Recipe | Sequence[str | Recipe] = "hmdc",
    seeds: Sequence[int] = (0, 1, 2),
    split: SplitName = "test",
    epochs: int | None = None,
    updates: int | None = None,
    rows: Sequence[str] = USUAL,
    draws: int | None = None,
    modules: Mapping[str, Callable[[], nn.Module]] | None = None,
    device: str | None = None,
    data_dir: str | Path | None = None,
    workers: int = 1,
    check_every: int | None = None,
    labels: str | Labels = "hard",
    rate: Literal["recipe", "search"] = "recipe",
    precision: Precision = "float32",
    on_record: OnRecord | None = None,
) -> list[Record]:
    """Train fresh networks on sets, and beside them on real samples of equal bytes; test them.

    Args:
        subject: a run directory, several, or a ``SyntheticSet``. Records of a run are added to its
            ``records.jsonl``, and cells that stand there are not run again.
        data: as in ``condense``; None: what the run was condensed from.
        models: names of networks, or ``PeerSpec`` for weights or an input size; None: two usual
            ones for each run's kind of data (``evaluate.usual``), such as ``convnet3, vit_mini``.
        recipe: a name of ``RECIPES`` or a ``Recipe``, or several of them (also as
            ``"quick,quick-plain"``). epochs, updates: shorten each.
        seeds: evaluation seeds. split: ``test``, or ``val`` for what is chosen by results.
        rows: baselines to stand beside the set: ``random``, ``kmeans``, ``mean``, ``herding``, and
            ``full``, the whole training data (three passes over them, 2,000 updates or as many as
            on the set, whichever are most); ``()`` for none. The step-0 set of a run is always
            there.
        draws: of the random rows beside each run; None: as many as make ten over all seeds of one
            data set and size.
        modules: factories of your own networks, by name.
        device: as in ``condense``. data_dir: where local copies of data lie.
        workers: processes that share the cells, one thread each; see ``evaluate.grid``.
        check_every: test every so many epochs too, and log the best apart: it is chosen on the
            evaluated split, so it is never the result.
        labels: ``hard``; ``static`` or ``live`` answers of a teacher that is trained here, or
            ``Labels`` for one of your own. Records of the two are never compared. Soft ones cost
            bytes: ``random, all bytes`` stands beside them, random samples with hard labels that
            take the bytes of the set and of its labels.
        rate: ``search`` gives each set the best of the same learning rates for each network, found
            on the validation split (``condensery.evaluate.search``).
        precision: of testing: ``float32``, ``bfloat16``, or ``auto``, what this CPU is measured to
            be faster with; training has 32 bits.
        on_record: called as ``on_record(record, done, of)`` after each cell, over all runs.

    Returns:
        One record a cell, run by run and recipe by recipe. Runs that share a set (``full``, class
        means, one seed's random samples) share what was measured on it.

    Raises:
        UsageError: what was asked for cannot be; says what to do instead.
        RunError: it went wrong on the way; finished cells are kept.
    """
    for one in models or ():  # an unknown name is said before data are loaded
        family_of(PeerSpec(one) if isinstance(one, str) else one, modules)
    recipes = recipes_from(recipe)
    precision_from(precision)
    taught, measure, trials = labels_from(labels), *_way(rate)
    place, found = pick_device(device), list[Record]()
    runs = _runs(subject, data, data_dir, rows, draws, taught, modules)
    named = [usual_networks(run.modality) if models is None else models for run, _ in runs]
    files = {run.records_file for run, _ in runs if run.records_file is not None}
    known = by_training(one for file in files for one in read(file))
    ways = [(number, one) for number in range(len(runs)) for one in recipes]
    counts = [search.trainings(runs[number][0].sets(), len(named[number]), len(seeds), trials)
              for number, _ in ways]  # fmt: skip
    for turn, (number, way) in enumerate(ways):
        run, problem = runs[number]
        made = measure(
            run.rows,
            problem,
            named[number],
            recipe=way,
            seeds=seeds,
            split=split,
            epochs=epochs,
            updates=updates,
            modules=modules,
            seen=run.seen,
            device=place,
            out=run.records_file,
            on_record=search.counted(on_record, sum(counts[:turn]), sum(counts)),
            check_every=check_every,
            workers=workers,
            labels=taught,
            precision=precision,
            known=known,
        )
        known |= by_training(made)
        found += made
    return found


def measure(
    directory: str | Path,
    name: str,
    data: Any = None,
    data_dir: str | Path | None = None,
    network: str | PeerSpec | None = None,
) -> Path | None:
    """Measure of a run what is no accuracy, for the report; see ``condensery.evaluate.measures``.

    Args:
        directory: of the run. name: ``neighbours``, ``embeddings`` or ``cost``.
        data, data_dir: as in ``evaluate``.
        network: that looks at the samples (``embeddings``: from scratch it learns from the real
            data first) or is trained on them (``cost``); None: a small one for their kind.

    Returns:
        The file; None where it was there already.

    Raises:
        UsageError: an unknown name, data that are not those of the run, or a network that does not
            read them.
    """
    if name not in measures.MEASURES:
        raise unknown("measure", name, measures.MEASURES)
    (problem,) = _problems([directory], data, data_dir)
    spec = PeerSpec(network) if isinstance(network, str) else network
    return measures.measure(Path(directory), problem, name, spec)


def _way(rate: str) -> tuple[Callable[..., list[Record]], int]:
    """How sets are measured, and at how many learning rates each is tried before.

    Raises:
        UsageError: unknown.
    """
    ways = {"recipe": (grid.evaluate, 0), "search": (search.evaluate_searched, len(search.RATES))}
    if rate not in ways:
        raise unknown("way to a learning rate", rate, ways)
    return ways[rate]


def _runs(
    subject: SyntheticSet | str | Path | Sequence[str | Path],
    data: Any,
    data_dir: str | Path | None,
    which: Sequence[str],
    draws: int | None,
    labels: Labels,
    modules: Mapping[str, Callable[[], nn.Module]] | None,
) -> list[tuple[RunRows, Problem]]:
    """What is to be judged, with its data; all of it is made before time is spent on any."""
    if isinstance(subject, SyntheticSet):
        if data is None:
            raise UsageError("a set in memory does not say where its data are: give data")
        problem = load_problem(data, data_dir=data_dir)
        many = enough_draws(1) if draws is None else draws
        made = rows_beside(subject, problem, which, many, labels=labels, modules=modules)
        return [(made, problem)]
    directories = [subject] if isinstance(subject, str | Path) else list(subject)
    if not directories:
        raise UsageError("nothing to evaluate: give at least one run directory")
    problems = _problems(directories, data, data_dir)
    counts = draws_beside(directories, problems) if draws is None else [draws] * len(problems)
    return [
        (rows_of(directory, problem, which, many, labels, modules), problem)
        for directory, problem, many in zip(directories, problems, counts, strict=True)
    ]


def _budget(plan: Plan, steps: int | None, minutes: float | None) -> Budget:
    """What was asked for, else the preset's budget, else the method's.

    Raises:
        UsageError: time to spend for a method that has nothing to spend it on.
    """
    if not plan.method.default_steps:
        if steps or minutes is not None:
            raise UsageError(
                f"{name_of(plan.method)} only selects, it makes no steps: leave --steps and "
                f"--minutes away"
            )
        return Budget(0, None)
    if steps is None and minutes is None:
        steps, minutes = plan.steps, plan.minutes
        if steps is None and minutes is None:
            steps = plan.method.default_steps
    return Budget(steps, minutes)


def _source(data: Any, where: Mapping[str, Any]) -> dict[str, Any] | None:
    """What finds the data again, from any folder; None for data in memory."""
    if not isinstance(data, str | Path):
        return None
    text = str(data)
    if text not in DATA and Path(text).expanduser().exists():
        text = str(Path(text).expanduser().resolve())
    folder = where["data_dir"]
    at = None if folder is None else str(Path(folder).expanduser().resolve())
    return {"data": text, **where, "data_dir": at}


def _problems(
    directories: Sequence[str | Path], data: Any, data_dir: str | Path | None
) -> list[Problem]:
    """The data of each run, each data set loaded once; all are checked before any is used."""
    loaded: dict[str, Problem] = {}
    found = []
    for directory in directories:
        synthetic = load(directory)
        asked = dict(_run_source(directory, data))
        if data_dir is not None:
            asked["data_dir"] = data_dir
        key = repr(asked)
        if key not in loaded:
            loaded[key] = load_problem(asked.pop("data"), **asked)
        expected = synthetic.about.get("settings", {}).get("fingerprint")
        if data is None and expected not in (None, loaded[key].fingerprint):
            raise UsageError(
                f"{loaded[key].name} is not what {directory} was condensed from, its samples have "
                f"changed: give --data to evaluate on it all the same"
            )
        found.append(loaded[key])
    return found


# Of how a run's data were loaded: what holds for other data given in their place.
SAME_WAY = ("label", "size", "validation", "tokenizer")


def _run_source(directory: str | Path, data: Any) -> Mapping[str, Any]:
    """How the data of a run are loaded: as it was condensed, from the place that is given now."""
    path = Path(directory)
    config = RunDirectory(path).config() if (path / "config.json").is_file() else {}
    source = config.get("source") or {}
    if data is not None:
        same_way = {one: source[one] for one in SAME_WAY if one in source}
        return {**(same_way if isinstance(data, str | Path) else {}), "data": data}
    if not source:
        raise UsageError(f"{directory} does not say where its data are: give --data")
    return source


def resolve(method: Method | str, preset: str | None, problem: Any, per_class: int) -> Plan:
    """A method with its settings and a budget, from a name or a value and perhaps a preset.

    Raises:
        UsageError: an unknown name, or a preset for a method that already has its settings.
    """
    if isinstance(method, Method):
        if preset is not None:
            raise UsageError(
                "a preset sets a method that is given by name: method='hmdc', preset='small'"
            )
        return Plan(method)
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if preset is None:
        return Plan(METHODS[method]())
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    return PRESETS[preset](method, problem, per_class)


def changed(plan: Plan, settings: Mapping[str, Any]) -> Plan:
    """A plan with some of its method's fields set anew.

    Raises:
        UsageError: a name that is no field of the method.
    """
    fields = [one.name for one in dataclasses.fields(plan.method)]
    for name in settings:
        if name not in fields:
            raise unknown(f"setting of {name_of(plan.method)}", name, fields)
    method: Any = plan.method
    return dataclasses.replace(plan, method=dataclasses.replace(method, **settings))


def pick_device(name: str | None) -> torch.device:
    """The device of a run: the named one, else a GPU when there is one.

    Raises:
        UsageError: the named device is not there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise UsageError(
            f"there is no device {name!r} here: leave --device away, or take cpu"
        ) from None
    return device
