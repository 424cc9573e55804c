"""Flags: what there is, what was given, and one line when the two do not meet."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import textwrap
import types
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from condensery.errors import UsageError, unknown

PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}
PLAIN_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "names"}


@dataclass(frozen=True)
class Option:
    """One flag.

    Attributes:
        flag: as it is typed, dashes included. meaning: for the help page.
        shown: what stands for its value on the help page.
        kind: the type of its value; None: a switch, which takes none.
        standard: value that it has when it is not given, in words; empty says nothing.
        default: that value. A small dataclass in it is meant where only its name is given.
    """

    flag: str
    meaning: str
    shown: str = ""
    kind: Any = str
    standard: str = ""
    default: Any = None

    @property
    def name(self) -> str:
        """As a Python argument: ``--per-class`` is ``per_class``."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def spec(self) -> Any:
        """The small dataclass that its values are made of, or None."""
        parts = [self.kind, *get_args(self.kind)]
        return next((part for part in parts if is_dataclass(part)), None)


class Given(typing.NamedTuple):
    """What stands on a command line: words, and values by the name of their option."""

    words: list[str]
    values: dict[str, Any]


def parse(arguments: Sequence[str], options: Sequence[Option], command: str) -> Given:
    """Read words and flags. The last of a repeated flag holds.

    Args:
        arguments: what was typed. options: what is known. command: whose help to point to.

    Raises:
        UsageError: an unknown flag, one without its value, or a value of another type.
    """
    known = {option.flag: option for option in options}
    words: list[str] = []
    texts: dict[str, str] = {}
    switches: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        flag, equals, text = word.partition("=")
        if not word.startswith("-") or word == "-":
            words.append(word)
        elif flag not in known:
            raise UsageError(f"{unknown('flag', flag, known, listed=False)} ({command} --help)")
        elif known[flag].kind is None:
            if equals:
                raise UsageError(f"{flag} is a switch and takes no value: write {flag} alone")
            switches[known[flag].name] = True
        elif equals or (rest and not rest[0].startswith("--")):
            texts[flag] = text if equals else rest.pop(0)
        else:
            raise UsageError(f"{flag} wants {wanted(known[flag].kind)} after it")
    # Texts need no reading, and --method beside --method.lr would be two values of one name.
    plain = {known[flag].name: text for flag, text in texts.items() if known[flag].kind is str}
    typed = [known[flag] for flag in texts if known[flag].kind is not str]
    return Given(words, switches | plain | _typed(typed, texts))


def _typed(options: Sequence[Option], texts: dict[str, str]) -> dict[str, Any]:
    """Values of their types, by the names of their options."""
    if not options:
        return {}
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False, add_help=False, default_env=False)
    for option in options:
        # One of a small dataclass is read as a list of one: else each of its fields was a flag.
        kind: Any = option.kind
        if is_dataclass(kind):
            kind = tuple[kind, ...]  # type: ignore[valid-type]
        parser.add_argument(option.flag, type=kind, default=argparse.SUPPRESS)
    try:
        found = parser.parse_args(
            [f"{option.flag}={_as_json(option, texts[option.flag])}" for option in options]
        )
    except ArgumentError as error:
        raise _wrong(str(error), options, texts) from None
    return {option.name: _made(option, found[option.name]) for option in options}


def _as_json(option: Option, text: str) -> str:
    """Lists may be written short: ``a,b`` for ``["a", "b"]``, a name for what has a name."""
    if option.spec is not None:
        usual: Any = option.default if isinstance(option.default, tuple) else (option.default,)
        known = {one.name: asdict(one) for one in usual if type(one) is option.spec}
        try:
            items = _listed(text.strip())
        except ValueError:
            return text  # jsonargparse refuses what is no JSON
        return json.dumps(
            [known.get(one, {"name": one}) if isinstance(one, str) else one for one in items]
        )
    if text.strip().startswith("["):
        return text
    kinds = [option.kind, *get_args(option.kind)]
    listed = next((kind for kind in kinds if get_origin(kind) is tuple), None)
    if listed is None or (listed is not option.kind and "," not in text):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return json.dumps(parts) if str in get_args(listed) else f"[{','.join(parts)}]"


def _listed(text: str) -> list[Any]:
    """What is in a list of JSON, an object of it, or names with commas between them."""
    if not text.startswith(("[", "{")):
        return [name.strip() for name in text.split(",")]
    found = json.loads(text)
    return found if isinstance(found, list) else [found]


def _made(option: Option, value: Any) -> Any:
    """Small dataclasses from what jsonargparse gives for them."""
    if option.spec is None:
        return value
    made = tuple(option.spec(**vars(one)) for one in value)
    return made[0] if is_dataclass(option.kind) else made


def _wrong(message: str, options: Sequence[Option], texts: dict[str, str]) -> UsageError:
    """jsonargparse's several lines as one that says what the flag wants."""
    key = re.search(r'key "([^"]+)"', message)
    option = next((one for one in options if key and one.name == key[1]), options[0])
    said = f"{option.flag} wants {wanted(option.kind)}; got {texts[option.flag]!r}"
    if option.spec is None:
        return UsageError(said)
    names = [one.name for one in fields(option.spec)]
    extra = re.search(r"Option '([^']+)' is not accepted", message)
    if extra:
        return UsageError(f"{option.flag}: {unknown('field', extra[1], names)}")
    inner = re.findall(r'key "([^"]+)":\s*Expected [^.]*\. Got value: (\S+)', message)
    detail = f" ({inner[-1][0]} cannot be {inner[-1][1]})" if inner else ""
    return UsageError(f"{said}{detail}; fields: {', '.join(names)}")


def wanted(kind: Any) -> str:
    """A type in words."""
    if kind in PLAIN:
        return PLAIN[kind]
    if is_dataclass(kind):
        return 'a name, or JSON such as \'{"name": "convnet3", "lr": 0.01}\''
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if get_origin(kind) is tuple:
        if is_dataclass(parts[0]):
            return 'names a,b or a JSON list such as \'[{"name": "convnet3", "lr": 0.01}]\''
        what = PLAIN_MANY[parts[0]]
        return f"{what} a,b" if parts[-1] is Ellipsis else f"{len(parts)} {what} a,b"
    if get_origin(kind) in (Union, types.UnionType):
        names = ["null" if part is type(None) else wanted(part) for part in parts]
        return " or ".join(names)
    return str(kind)


def short(kind: Any) -> str:
    """What stands for a value of this type on a help page."""
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return "|".join(map(str, parts))
    if get_origin(kind) in (Union, types.UnionType):
        return "|".join("null" if part is type(None) else short(part) for part in parts)
    if get_origin(kind) is tuple:
        return "A,B,..." if parts[-1] is Ellipsis else ",".join(map(short, parts))
    return {int: "N", float: "X", bool: "true|false"}.get(kind, "NAME")


def help_lines(options: Sequence[Option]) -> str:
    """Options as a help page lists them."""
    rows = []
    for option in options:
        standard = f" [{option.standard}]" if option.standard else ""
        rows.append((f"{option.flag} {option.shown}".rstrip(), option.meaning + standard))
    return columns(rows, indent=2, widest=30)


def columns(rows: Sequence[Sequence[str]], indent: int = 0, widest: int = 40) -> str:
    """Rows of texts below one another; the last column is broken into lines as wide as fits."""
    last = len(rows[0]) - 1
    widths = [min(widest, max(len(row[place]) for row in rows)) for place in range(last)]
    before = indent + sum(width + 2 for width in widths)
    room = max(40, page_width() - before)
    out = []
    for row in rows:
        head = " " * indent + "".join(
            f"{text:<{width}}  " for text, width in zip(row, widths, strict=False)
        )
        lines = textwrap.wrap(row[last], room, break_long_words=False, break_on_hyphens=False)
        lines = lines or [""]
        if len(head) > before:  # a long flag has a line of its own
            out.append(head.rstrip())
            head = " " * before
        out.append((head + lines[0]).rstrip())
        out += [" " * before + line for line in lines[1:]]
    return "\n".join(out)


def page_width() -> int:
    """Columns of the terminal, as far as a line stays easy to read."""
    return min(110, shutil.get_terminal_size((100, 24)).columns)
