"""``condensery evaluate DIR...``: what a synthetic set is worth to fresh networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from condensery.cli.common import (
    DATA_DIR,
    DEBUG,
    DEVICE,
    PRECISION,
    THREADS,
    Page,
    next_command,
    use_threads,
)
from condensery.cli.options import Option

if TYPE_CHECKING:
    from condensery.models import PeerSpec
    from condensery.records import Record

ABOUT = """\
Train fresh networks on the set of each run, on its step-0 set, and on real samples of equal bytes;
test them on real samples. One line a training is added to DIR/records.jsonl, and what stands there
already is not measured again.

A set of images that was made elsewhere, arrays x and y in an .npz, is made a run directory first;
it needs --data, what it stands for."""
EXAMPLES = (
    "condensery evaluate runs/digits --models convnet3,vit_mini,mlp --recipe quick",
    'condensery evaluate runs/c10 --models \'[{"name": "vit_tiny", "weights": "pretrained"}]\'',
    "condensery evaluate runs/digits --labels static --temperature 4 --teacher convnet3",
    "condensery evaluate theirs.npz --data cifar10 --recipe quick",
)


OUT = Option("--out", "the run directory made of a set in an .npz", "DIR", standard="runs/FILE")
CHECK_EVERY = Option(
    "--check-every",
    "also log the best of every N epochs, apart: it is chosen on the evaluated split",
    "N",
    int,
)
BY_CLASS = Option(
    "--by-class", "print accuracy per class and which classes are taken for which, too", kind=None
)
LABELS = Option(
    "--labels",
    "what networks learn from: the class, a teacher's answers to each sample, or to each altered "
    "batch",
    "hard|static|live",
    Literal["hard", "static", "live"],
    "hard",
)
RATE = Option(
    "--rate",
    "search: each set gets the best of five learning rates for each network, by the validation "
    "split",
    "recipe|search",
    Literal["recipe", "search"],
    "recipe",
)
MEASURE = Option(
    "--measure",
    "further things for the report: neighbours (the nearest real sample of each), embeddings (real "
    "and synthetic in a plane), cost (when condensing pays off)",
    "A,B,...",
    tuple[str, ...],
)


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery evaluate``.

    Raises:
        UsageError, RunError: see ``condensery.api.evaluate``.
    """
    page = Page("condensery evaluate", "DIR|FILE.npz...", ABOUT, options(), EXAMPLES)
    given = page.read(arguments)
    if given is None:
        return
    from condensery.api import evaluate
    from condensery.engine.progress import Counted

    values = dict(given.values)
    use_threads(values.pop("threads", None))
    directories = _adopted(page.directories(given.words), values)
    values.pop("debug", None)
    if values.get("rows") == ("none",):
        values["rows"] = ()
    by_class, wanted = values.pop("by_class", False), values.pop("measure", ())
    network = values.pop("measure_network", None)
    values |= _labels(values)
    _check_measures(directories, wanted, network)
    with Counted("evaluate", "training") as shown:
        records = evaluate(directories, **values,
                           on_record=lambda _, done, of: shown.count(done, of))  # fmt: skip
    _print(directories, records, by_class)
    _measure(directories, wanted, network, values)
    common = Path("runs/report") if len(directories) > 1 else directories[0] / "report"
    next_command("condensery", "report", *directories, "--out", common)


def _adopted(paths: Sequence[Path], values: dict[str, Any]) -> list[Path]:
    """Run directories, those of sets in an ``.npz`` made now; ``out`` is taken out of the values.

    Raises:
        UsageError: nothing says of what data such a set is, or where it shall lie.
    """
    from condensery.api import adopt
    from condensery.errors import UsageError

    files, out = [path for path in paths if path.suffix == ".npz"], values.pop("out", None)
    if out is not None and len(files) != 1:
        raise UsageError("--out is for one set in an .npz; records of a run go into its directory: "
                         "leave --out away")  # fmt: skip
    if files and values.get("data") is None:
        raise UsageError(f"{files[0]} does not say what it was made from: give --data")
    made = {path: adopt(path, values["data"], out, data_dir=values.get("data_dir"))
            for path in files}  # fmt: skip
    return [made.get(path, path) for path in paths]


def _check_measures(
    directories: Sequence[Path], wanted: Sequence[str], network: PeerSpec | None
) -> None:
    """Say what cannot be measured before any network is trained.

    Raises:
        UsageError: that, or a network that no measure asks.
    """
    from condensery.artefact import load
    from condensery.errors import UsageError, unknown
    from condensery.evaluate.measures import MEASURES, check

    for name in wanted:
        if name not in MEASURES:
            raise unknown("measure", name, MEASURES)
    asking = [name for name, one in MEASURES.items() if one.network]
    if network is not None and not set(asking) & set(wanted):
        raise UsageError(f"no measure asks a network: give --measure {' or '.join(asking)}, or "
                         f"leave --measure-network away")  # fmt: skip
    for directory in directories if wanted else ():
        modality = load(directory).modality
        for name in wanted:
            check(name, modality, network)


def _measure(
    directories: Sequence[Path],
    wanted: Sequence[str],
    network: PeerSpec | None,
    values: Mapping[str, Any],
) -> None:
    """What was asked for besides accuracies; each is said, also where it was there already."""
    if not wanted:
        return
    from condensery.api import measure

    for directory in directories:
        for name in wanted:
            path = measure(directory, name, values.get("data"), values.get("data_dir"), network)
            print(f"{name}: {path or 'was measured before'}")
    _over_seeds(directories, wanted)


def _over_seeds(directories: Sequence[Path], wanted: Sequence[str]) -> None:
    """When condensing pays off, over runs that differ in their seeds alone."""
    from condensery.evaluate.measures import alike, cost_over

    for own in alike(directories) if "cost" in wanted and len(directories) > 1 else ():
        if len(own) > 1:
            print(f"cost, {own[0]} and {len(own) - 1} of other seeds: {cost_over(own)}")


def options() -> tuple[Option, ...]:
    """The flags of this verb."""
    from condensery.core.teacher import TEACHER
    from condensery.models import PeerSpec

    return (
        Option("--models", "networks to train (condensery list models)", "A,B,...",
               tuple[PeerSpec, ...], "by kind of data: convnet3,vit_mini for images"),
        Option("--data", "the data that test them", "DATA", standard="what the run was made from"),
        DATA_DIR,
        OUT,
        Option("--split", "val for what is chosen by results, test for the last number",
               "test|val", Literal["test", "val"], "test"),
        Option("--seeds", "of the trainings", "N,N,...", tuple[int, ...], "0,1,2"),
        Option("--recipe", "how to train (condensery list recipes); several one after another",
               "A,B,...", standard="hmdc"),
        Option("--epochs", "shorten the recipe", "N", int),
        Option("--updates", "shorten it in optimiser steps instead", "N", int),
        Option("--rows", "sets of real samples beside it: random, kmeans, mean, herding, full (the "
               "whole training data), or none",
               "A,B,...", tuple[str, ...], "random,kmeans,mean"),
        Option("--draws", "of the random rows beside each run", "N", int,
               "as many as make ten in all"),
        DEVICE,
        THREADS,
        Option("--workers", "processes that share the trainings, one thread each", "N", int, "1"),
        CHECK_EVERY,
        RATE,
        LABELS,
        Option("--teacher", "of soft labels: with weights as it comes, else trained on the real "
               "data first", "NAME", PeerSpec, TEACHER.name, TEACHER),
        Option("--temperature", "of soft labels", "X", float, "1"),
        Option("--teacher-updates", "batches of 128 that it learns from", "N", int, "1000"),
        Option("--teacher-seed", "of such a teacher", "N", int, "0"),
        PRECISION,
        MEASURE,
        Option("--measure-network", "that looks at the samples for embeddings (from scratch it "
               "learns from the real data first) and is trained for cost", "NAME", PeerSpec,
               "a small one for their kind"),
        BY_CLASS,
        DEBUG,
    )  # fmt: skip


def _labels(values: dict[str, Any]) -> dict[str, Any]:
    """The flags about labels, taken out of the others, as one value.

    Raises:
        UsageError: a teacher is described that nobody asks.
    """
    from condensery.errors import UsageError
    from condensery.evaluate import Labels

    flags = {"teacher": "teacher", "temperature": "temperature", "teacher_updates": "updates",
             "teacher_seed": "seed"}  # fmt: skip
    given = {flags[flag]: values.pop(flag) for flag in flags if flag in values}
    regime = values.pop("labels", "hard")
    if given and regime == "hard":
        raise UsageError("a teacher has no say in hard labels: give --labels static or live too")
    return {"labels": Labels(regime, **given)}


def _print(directories: Sequence[Path], records: Sequence[Record], by_class: bool) -> None:
    """The table of what was asked for; unlike runs of one method are told apart."""
    from rich.console import Console

    from condensery.cli.further import best_tables, class_tables, edges
    from condensery.report import style, terminal_table
    from condensery.report.gather import gather

    def cell(one: Record) -> tuple[Any, ...]:
        return one.key()[3:], one.fingerprint

    asked = {cell(one) for one in records}
    found = gather(directories)
    shown = [one for one in found.records if cell(one) in asked]
    printed: list[Any] = [terminal_table(shown), *best_tables(shown), *edges(shown)]
    printed += class_tables(shown, found.runs[0].label_names) if by_class else []
    printed += [f"{style.FAILED} {one.model} on {one.row} (replicate {one.replicate}, evaluation "
                f"seed {one.seed}): {one.failed}" for one in shown if one.failed]  # fmt: skip
    console = Console()
    if console.is_terminal:
        console.print(*printed, sep="\n")
        return
    wide = Console(width=140)  # a file has no edge at which to fold
    with wide.capture() as captured:
        wide.print(*printed, sep="\n")
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
