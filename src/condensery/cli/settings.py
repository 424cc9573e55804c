"""The settings of a method as flags: its dataclass's fields, with their meaning and defaults."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from typing import Any

from condensery.cli.options import Option, short
from condensery.methods import METHODS, Method

PREFIX = "method."


def options_of(name: str) -> list[Option]:
    """One ``--method.FIELD`` for each field of a method of the table."""
    kind = METHODS[name]
    hints, told = typing.get_type_hints(kind), meanings(kind)
    return [
        Option(
            f"--{PREFIX}{one.name}",
            told.get(one.name, ""),
            short(hints[one.name]),
            hints[one.name],
            shown(one.default),
            one.default,
        )
        for one in dataclasses.fields(kind)
    ]


def starts_of(name: str) -> tuple[str, ...]:
    """Names of the step-0 sets that a method can be told to take; none where it has its own."""
    kind = METHODS[name]
    if "start_from" not in {one.name for one in dataclasses.fields(kind)}:
        return ()
    return typing.get_args(typing.get_type_hints(kind)["start_from"])


def meanings(kind: type[Method]) -> dict[str, str]:
    """What each field means, from "Attributes:" in the docstrings of a class and its parents."""
    names = [one.name for one in dataclasses.fields(kind)]
    found: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        found |= attributes(parent.__doc__ or "", names)
    return found


def attributes(docstring: str, names: list[str]) -> dict[str, str]:
    """Meanings by name. Several may stand on one line: ``lr: a rate. momentum: of its SGD.``"""
    _, _, section = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    block = re.split(r"\n(?=\S)", section)[0]
    text = " ".join(block.split()).replace("``", "")
    one = "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)"
    begins = rf"(?:^|(?<=[.;] ))((?:{one})(?:, (?:{one}))*): "
    parts = re.split(begins, text)
    return {
        name: meaning.strip().rstrip(".;")
        for together, meaning in zip(parts[1::2], parts[2::2], strict=True)
        for name in together.split(", ")
    }


def shown(value: Any) -> str:
    """A setting as a person writes it: ``null``, ``true``, ``a,b``, names of networks."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return ",".join(map(shown, value)) or "''"
    if dataclasses.is_dataclass(value):
        return str(getattr(value, "name", value))
    return str(value)
