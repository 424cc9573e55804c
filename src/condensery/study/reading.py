"""Reading a plan: strictly, and every mistake in it is said before anything is run."""

from __future__ import annotations

import json
import shlex
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from condensery.errors import UsageError, unknown
from condensery.methods import METHODS
from condensery.models import PeerSpec
from condensery.study.checks import check_peers, checked, said
from condensery.study.plan import SIZES, Arm, Study, names


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
    called = f"{shlex.quote(Path(name).name)} --size {size}"
    base = found.pop("base", None)
    sizes = found.pop("size", {})
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    if base is not None:
        some = _fields({**found, **sizes.get(size, {})}, where)
        return checked(replace(read(base, size), **some, called=called), where)
    if not isinstance(sizes, Mapping) or size not in sizes:
        there = ", ".join(sizes) or "none"
        raise UsageError(f"{where} has no size {size!r}; it has: {there}")
    study = replace(_structured({**found, **sizes[size]}, where), called=called)
    return _typed_arms(checked(study, where), where)


def restored(values: Mapping[str, Any], where: str) -> Study:
    """A study from its own values, as they are written to a file.

    Args:
        values: of all fields. where: how to call the file in a message.

    Raises:
        UsageError: they are none of a study.
    """
    called = str(values.get("called", ""))
    given = {name: value for name, value in values.items() if name != "called"}
    study = replace(_structured(given, where), called=called)
    return _typed_arms(checked(study, where), where)


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

    arms = values.get("arms", [])
    fields_of_plan = [name for name in _names(Study) if name != "called"]
    _known("field of a plan", values, [*fields_of_plan, "size", "base"], where)
    for arm in arms if isinstance(arms, list) else []:
        if isinstance(arm, Mapping):
            _known("field of an arm", arm, _names(Arm), where)
    try:
        return _converter().structure(values, Study)
    except BaseValidationError as error:
        told = transform_error(error, path="plan", format_exception=_told)[0]
        raise UsageError(f"{where}: {told}") from None


def _known(what: str, values: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for name in values:
        if name not in names:
            raise said(where, unknown(what, name, names))


def _names(kind: Any) -> list[str]:
    return [one.name for one in fields(kind)]


def _told(error: BaseException, kind: type | None) -> str:
    from cattrs.v import format_exception

    return str(error) if isinstance(error, ValueError) else format_exception(error, kind)


def _converter() -> Any:
    """Strict: an unknown key is an error, and no value is bent into another type."""
    from cattrs import Converter
    from cattrs.cols import homogenous_tuple_structure_factory as list_structure_factory

    made = Converter(forbid_extra_keys=True)
    for kind in (bool, int, str):
        made.register_structure_hook(kind, _exactly)
    made.register_structure_hook(float, _number)
    made.register_structure_hook_factory(
        lambda kind: "tuple" in str(typing.get_origin(kind)) and ... in typing.get_args(kind),
        lambda kind: partial(_list, list_structure_factory(kind, made)),
    )
    made.register_structure_hook(
        PeerSpec, lambda value, _: PeerSpec(value) if isinstance(value, str) else _peer(value)
    )
    return made


def _list(structure: Any, value: Any, kind: Any) -> Any:
    if not isinstance(value, list | tuple):  # a text would be taken for a list of letters
        raise ValueError(f"wants a list such as [{json.dumps(value, default=str)}], got {value!r}")
    return structure(value, kind)


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
        known = ", ".join(_names(PeerSpec))
        raise ValueError(f"wants a network's name, or a table of {known}; got {value!r}") from None


def _typed_arms(study: Study, where: str) -> Study:
    return replace(study, arms=tuple(replace(arm, settings=_typed(arm, where))
                                     for arm in study.arms))  # fmt: skip


def _typed(arm: Arm, where: str) -> dict[str, Any]:
    """Settings as the fields of the method take them."""
    hints, made = typing.get_type_hints(METHODS[arm.method]), _converter()
    typed = {}
    for name, value in arm.settings.items():
        known = [one.name for one in fields(METHODS[arm.method])]  # type: ignore[arg-type]
        if name not in known:
            raise said(where, unknown(f"setting of {arm.method}", name, known))
        try:
            typed[name] = None if value == "null" else made.structure(value, hints[name])
        except Exception as error:  # what cattrs raises depends on the type
            raise UsageError(f"{where}: {arm.name}.{name} cannot be {value!r} ({error})") from None
    try:
        check_peers(typed.values())
    except UsageError as error:
        raise said(where, error) from None
    return typed
