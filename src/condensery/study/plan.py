"""A study as one file: what is condensed, on what it is judged, what is drawn. Plain values."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from condensery.errors import UsageError, unknown
from condensery.evaluate import recipes_from
from condensery.evaluate.runs import enough_draws
from condensery.methods import METHODS
from condensery.models import PeerSpec
from condensery.presets import PRESETS

Size = Literal["paper", "mini", "smoke", "released"]
SIZES = typing.get_args(Size)


@dataclass(frozen=True)
class Arm:
    """One row that is condensed.

    Attributes:
        method: a name of the table of methods. name: of the row; the method's unless given.
        preset, settings: see ``condensery.condense``; networks in settings are names or tables.
        steps: updates of the set; None: the preset's.
        proportion: of those steps, from above 0; 0.25 is a quarter of them.
        note: what a reader should know of this row.
    """

    method: str
    name: str = ""
    preset: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    proportion: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Study:
    """A table or a figure as a list of cells.

    Attributes:
        arms: what is condensed.
        data: names or paths. label: the column of labels. side: to which images are brought.
        per_class: stored samples per class. seeds: of condensing.
        models: networks that judge; none of them: nothing is evaluated.
        recipe, epochs, updates: how they are trained; several recipes with commas between them.
        evaluation_seeds: of that. check_every: tests every so many epochs too, for learning curves.
        rows: baselines beside the first arm, of equal bytes.
        draws: of the random rows beside each run; None: as many as make ten over all seeds.
        draw: parts of the page besides the ordinary report; see ``condensery.study.drawing.PARTS``.
        title, about, source: for people.
    """

    arms: tuple[Arm, ...]
    data: tuple[str, ...] = ("cifar10",)
    label: str | None = None
    side: int | None = None
    per_class: tuple[int, ...] = (1,)
    seeds: tuple[int, ...] = (0, 1, 2)
    models: tuple[PeerSpec, ...] = ()
    recipe: str = "hmdc"
    epochs: int | None = None
    updates: int | None = None
    check_every: int | None = None
    evaluation_seeds: tuple[int, ...] = (0,)
    rows: tuple[str, ...] = ("random",)
    draws: int | None = None
    draw: tuple[str, ...] = ()
    title: str = ""
    about: str = ""
    source: str = ""

    @property
    def random_draws(self) -> int:
        """Of the random rows beside each run."""
        return enough_draws(len(self.seeds)) if self.draws is None else self.draws


@dataclass(frozen=True)
class Cell:
    """One run: condensed first, then judged.

    Attributes:
        arm, data, per_class, seed: which. first: whether the baselines stand beside it.
    """

    arm: Arm
    data: str
    per_class: int
    seed: int
    first: bool

    @property
    def name(self) -> str:
        """``cifar10/hmdc-ipc10/2``: also where it lies in the study's directory."""
        return f"{Path(self.data).name}/{self.arm.name}-ipc{self.per_class}/{self.seed}"


def cells(study: Study) -> Iterator[Cell]:
    """All runs: seed by seed, so that rows that are compared stand side by side from early on."""
    for data in study.data:
        for per_class in study.per_class:
            for seed in study.seeds:
                for number, arm in enumerate(study.arms):
                    yield Cell(arm, data, per_class, seed, number == 0)


def names() -> tuple[str, ...]:
    """The studies that come along."""
    found = (one.name for one in files("condensery.study").joinpath("plans").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def read(name: str | Path, size: str = "paper") -> Study:
    """A study by name, or from a file like those that come along.

    Raises:
        UsageError: an unknown name or size, a file that is no study; says what is wrong in it.
    """
    text, where = _text(str(name))
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is no TOML: {error}") from None
    base = found.pop("base", None)
    sizes = found.pop("size", {})
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    if base is not None:
        return replace(read(base, size), **_fields({**found, **sizes.get(size, {})}, where))
    if not isinstance(sizes, Mapping) or size not in sizes:
        there = ", ".join(sizes) or "none"
        raise UsageError(f"{where} has no size {size!r}; it has: {there}")
    study = _structured({**found, **sizes[size]}, where)
    return _checked(study, where)


def restored(values: Mapping[str, Any], where: str) -> Study:
    """A study from its own values, as they are written to a file.

    Args:
        values: of all fields. where: how to call the file in a message.

    Raises:
        UsageError: they are none of a study.
    """
    return _checked(_structured(values, where), where)


def sized(name: str, size: str) -> Study | None:
    """A study that comes along, in one of its sizes; None where it has no such size."""
    try:
        return read(name, size)
    except UsageError:
        return None


def text(name: str | Path) -> str:
    """The plan itself, as it is written.

    Raises:
        UsageError: an unknown name, or no such file.
    """
    return _text(str(name))[0]


def _text(name: str) -> tuple[str, str]:
    """A plan's text, and how to call it in a message."""
    if name in names():
        return files("condensery.study").joinpath(f"plans/{name}.toml").read_text("utf-8"), name
    path = Path(name).expanduser()
    if path.is_file():
        return path.read_text(encoding="utf-8"), str(path)
    if path.suffix == ".toml" or "/" in name:
        raise UsageError(f"there is no file {path}: give the path of a plan, or one of "
                         f"{', '.join(names())}")  # fmt: skip
    raise unknown("study", name, names())


def _fields(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Values that take the place of those of the study that a plan is based on."""
    some = _structured({"arms": [], **found}, where)
    return {name: getattr(some, name) for name in found}


def _structured(values: Mapping[str, Any], where: str) -> Study:
    from cattrs import BaseValidationError, transform_error

    try:
        return _converter().structure(values, Study)
    except BaseValidationError as error:
        told = transform_error(error, path="plan", format_exception=_told)[0]
        raise UsageError(f"{where}: {told}; fields of a plan: {_listed(Study)}; of an arm: "
                         f"{_listed(Arm)}") from None  # fmt: skip


def _told(error: BaseException, kind: type | None) -> str:
    from cattrs import ForbiddenExtraKeysError
    from cattrs.v import format_exception

    return (
        str(error)
        if isinstance(error, ValueError) and not isinstance(error, ForbiddenExtraKeysError)
        else format_exception(error, kind)
    )


def _converter() -> Any:
    """Strict: an unknown key is an error, and no value is bent into another type."""
    from cattrs import Converter

    made = Converter(forbid_extra_keys=True)
    for kind in (bool, int, str):
        made.register_structure_hook(kind, _exactly)
    made.register_structure_hook(float, _number)
    made.register_structure_hook(
        PeerSpec, lambda value, _: PeerSpec(value) if isinstance(value, str) else _peer(value)
    )
    return made


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"wants {kind.__name__}, got {value!r}")
    return value


def _number(value: Any, _: type) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"wants a number, got {value!r}")
    return float(value)


def _peer(value: Any) -> PeerSpec:
    try:
        taps = value.get("taps", "auto")
        return PeerSpec(**{**value, "taps": taps if isinstance(taps, str) else tuple(taps)})
    except (TypeError, AttributeError):
        raise ValueError(f"wants a network's name, or a table of {_listed(PeerSpec)}; got "
                         f"{value!r}") from None  # fmt: skip


def _listed(kind: Any) -> str:
    return ", ".join(kind.__dataclass_fields__)


def _checked(study: Study, where: str) -> Study:
    """The study with its arms named and their settings typed."""
    named = tuple(replace(arm, name=arm.name or arm.method) for arm in study.arms)
    if not named:
        raise UsageError(f"{where} condenses nothing: give it at least one [[size.NAME.arms]]")
    twice = next((one.name for one in named if sum(x.name == one.name for x in named) > 1), None)
    if twice is not None:
        raise UsageError(f"{where}: two arms are called {twice!r}; give each a name of its own")
    folders = [Path(data).name for data in study.data]
    if len(set(folders)) < len(folders):
        raise UsageError(f"{where}: two data sets end in one name ({', '.join(study.data)}), and "
                         f"runs lie in a folder of that name: rename one")  # fmt: skip
    for arm in named:
        if arm.method not in METHODS:
            raise unknown("method", arm.method, METHODS)
        if arm.preset is not None and arm.preset not in PRESETS:
            raise unknown("preset", arm.preset, PRESETS)
        if arm.proportion <= 0:
            raise UsageError(f"{where}: proportion of {arm.name} lies above 0")
    recipes_from(study.recipe)
    if study.draws is not None and study.draws < 1:
        raise UsageError(f"{where}: draws of the random rows count from 1; got {study.draws}")
    return replace(study, arms=tuple(replace(arm, settings=_typed(arm, where)) for arm in named))


def _typed(arm: Arm, where: str) -> dict[str, Any]:
    """Settings as the fields of the method take them."""
    hints, made = typing.get_type_hints(METHODS[arm.method]), _converter()
    typed = {}
    for name, value in arm.settings.items():
        if name not in METHODS[arm.method].__dataclass_fields__:  # type: ignore[attr-defined]
            raise unknown(f"setting of {arm.method}", name,
                          METHODS[arm.method].__dataclass_fields__)  # type: ignore[attr-defined] # fmt: skip
        try:
            typed[name] = None if value == "null" else made.structure(value, hints[name])
        except Exception as error:  # what cattrs raises depends on the type
            raise UsageError(f"{where}: {arm.name}.{name} cannot be {value!r} ({error})") from None
    return typed
