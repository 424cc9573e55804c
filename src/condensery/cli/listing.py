"""``condensery list WHAT``: the tables of contents of the house."""

from __future__ import annotations

from collections.abc import Sequence

from condensery.cli.common import DEBUG, Page
from condensery.cli.options import columns
from condensery.errors import UsageError, unknown

WHAT = ("methods", "models", "data", "presets", "recipes", "studies")
PAGE = Page(
    "condensery list",
    "|".join(WHAT),
    "Print the names that flags take, with a line on each.",
    (DEBUG,),
    ("condensery list methods", "condensery list models"),
)


def run(arguments: Sequence[str]) -> None:
    """Do what was typed after ``condensery list``.

    Raises:
        UsageError: nothing, or nothing that is there, was asked for.
    """
    given = PAGE.read(arguments)
    if given is None:
        return
    tables = {"methods": methods, "models": models, "data": data, "presets": presets,
              "recipes": recipes, "studies": studies}  # fmt: skip
    if len(given.words) != 1:
        raise UsageError(f"list wants one of {', '.join(WHAT)}: condensery list methods")
    what = given.words[0]
    if what not in tables:
        raise unknown("list", what, WHAT)
    print(tables[what]())


def methods() -> str:
    """Name, title, where it comes from, one line."""
    from condensery.methods import METHODS

    rows = [
        (name, kind.title, kind.paper, first_line(kind.__doc__).replace(f" ({kind.paper})", ""))
        for name, kind in METHODS.items()
    ]
    return table(("name", "title", "from", "what it is"), rows) + (
        "\n\ncondensery condense --method NAME --help lists the settings of one."
    )


def models() -> str:
    """Name, parameters, input, taps, one line."""
    from condensery.modality import Image, Modality, Sound, Text
    from condensery.models import MODELS, describe

    data: dict[str, Modality] = {
        "image": Image((3, 32, 32), (0.5,) * 3, (0.25,) * 3),
        "audio": Sound((1, 80_000), 16_000),
        "text": Text((64, 2, 1), 30_522, "bert-base-uncased", ""),
    }
    rows = []
    for name, entry in MODELS.items():
        try:
            told = describe(name, data[entry.reads])
        except UsageError as error:  # it wants a package that is not installed
            rows.append((name, "-", "-", "-", f"{entry.about}; {error}"))
            continue
        count = "by its weights" if told.parameters is None else f"{told.parameters:,}"
        size = "x".join(map(str, told.size)) if told.size else "any"
        taps = f"{len(told.taps)}: {told.tapped}" if told.taps else told.tapped
        rows.append((name, count, size, taps, told.about))
    return table(("name", "parameters", "input", "taps", "what it is"), rows) + (
        "\n\nParameters at 10 classes and 3 x 32 x 32, 5 s at 16 kHz, or 64 of 30,522 tokens; "
        "input in\npixels. Any network of timm goes by its timm name (mobilenetv3_small_100, "
        "convnext_atto, ...).\nWeights or another size:\n"
        """--models '[{"name": "vit_tiny", "weights": "pretrained"}]'"""
    )


def data() -> str:
    """Name, classes, shape, how to get it, one line."""
    from condensery.data import DATA

    rows = [
        (
            name,
            "/".join(str(count) for _, count in one.labels) or str(one.classes),
            "x".join(map(str, one.shape)),
            f"hub: {one.hub}" if one.hub else "local copy" if one.parts else "here already",
            one.description,
        )
        for name, one in DATA.items()
    ]
    return table(("name", "classes", "shape", "where", "what it is"), rows) + (
        "\n\nLocal copies (--data-dir DIR, CONDENSERY_DATA) and caches are looked into before the "
        "hub. Your own:\na hub id owner/name, a folder of class folders, parquet or csv files, an "
        ".npz."
    )


def presets() -> str:
    """Name, methods, one line."""
    from condensery.presets import PRESETS

    rows = [(name, ", ".join(one.methods), one.about) for name, one in PRESETS.items()]
    return table(("name", "methods", "what it is"), rows) + (
        "\n\nEach also fits the methods that only select. condensery show NAME says what one sets."
    )


def recipes() -> str:
    """Name and one line."""
    from condensery.evaluate import RECIPES

    return table(("name", "what it is"), [(name, one.summary) for name, one in RECIPES.items()]) + (
        "\n\nNAME-plain is NAME without any augmentation or mixing; --epochs and --updates shorten "
        "each.\ncondensery show NAME prints its values."
    )


def studies() -> str:
    """Name, sizes, cells, what it is."""
    from condensery import study

    rows = []
    for name in study.names():
        plans = {size: plan for size in study.SIZES if (plan := study.sized(name, size))}
        first = next(iter(plans.values()))
        count = " / ".join(str(len(list(study.cells(plan)))) for plan in plans.values())
        rows.append((name, ", ".join(plans), count, f"{first.title}. {first.about}"))
    return table(("name", "sizes", "runs", "what it is"), rows) + (
        "\n\ncondensery show NAME prints a plan; condensery study NAME --dry-run says how long."
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their heads."""
    return columns([heads, ["-" * len(head) for head in heads], *rows])


def first_line(docstring: str | None) -> str:
    """What a docstring says first."""
    return (docstring or "").strip().split("\n\n")[0].replace("\n", " ").replace("``", "")
