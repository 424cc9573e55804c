"""Read run directories. What is odd or missing becomes a note and a hole, never a crash."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from condensery.errors import UsageError
from condensery.records import Record, newest, read
from condensery.report.style import is_baseline

Sources = str | Path | Sequence[str | Path] | Sequence[Record]
RUN = ("config.json", "records.jsonl")  # a directory that holds one of them is a run directory
PLAN = "plan.json"  # what a study keeps of its plan, in the folder that holds its runs


@dataclass(frozen=True)
class RunFiles:
    """What one run directory holds, as far as it can be read.

    Attributes:
        path: the directory. name: short, and unlike the other runs' names.
        config, card, start_card: ``config.json`` and the cards of the set and of its start; empty
            where missing.
        events: one per step, oldest first. previews: pictures by step.
        records: evaluations that lie there. notes: what is missing or damaged, a line each.
        study: what a study wrote about a run of its own: ``arm``, its row's name, and ``note``.
    """

    path: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    start_card: dict[str, Any] = field(default_factory=dict)
    events: tuple[dict[str, Any], ...] = ()
    previews: dict[int, Path] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    notes: tuple[str, ...] = ()
    study: dict[str, Any] = field(default_factory=dict)

    @property
    def arm(self) -> str:
        """Name of its row in a study; empty where it belongs to none."""
        return str(self.study.get("arm", ""))

    @property
    def selection(self) -> bool:
        """Whether it only chose samples: without steps its set is its step-0 set."""
        return selection(self.config)

    @property
    def row(self) -> str:
        """Row of its own set in its records: its method, ``random (run)`` beside such a baseline.

        A method that is a baseline too has the bare name where no baselines stand beside it.
        """
        method = str(self.settings.get("method"))
        beside = f"{method} (run)"
        return beside if any(one.row == beside for one in self.records) else method

    @property
    def settings(self) -> dict[str, Any]:
        """``settings`` of the config."""
        return mapping(self.config.get("settings"))

    @property
    def about(self) -> dict[str, Any]:
        """``about`` of the set's card."""
        return mapping(self.card.get("about"))

    @property
    def circumstances(self) -> dict[str, Any]:
        """Hardware and versions of the run."""
        return mapping(self.config.get("circumstances"))

    @property
    def label_names(self) -> list[str]:
        """Names of the classes; empty where no card says."""
        found = self.card.get("label_names") or self.start_card.get("label_names")
        return [str(name) for name in found] if isinstance(found, list) else []

    def read(self, name: str) -> dict[str, Any]:
        """A further file of the run, of plain values; empty where it is missing or damaged."""
        try:
            return mapping(json.loads((self.path / name).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def term_names(self, terms: int) -> list[str]:
        """Names of the matched terms: as told, else the peers and their agreement, else numbers."""
        first = self.events[0] if self.events else {}
        for told in (first.get("term_names"), self.config.get("term_names")):
            if isinstance(told, list) and len(told) == terms:
                return [str(name) for name in told]
        peers = mapping(self.settings.get("fields")).get("peers")
        listed = peers if isinstance(peers, list) else []
        names = [str(mapping(peer).get("name", peer)) for peer in listed]
        for guess in (names, [*names, "agreement"]):
            if len(guess) == terms:
                return guess
        return [f"term {number}" for number in range(1, terms + 1)]

    def series(self, name: str) -> tuple[list[int], list[list[float]]]:
        """Steps and values of a list that events tell, e.g. ``terms``; odd rows left out."""
        steps: list[int] = []
        rows: list[list[float]] = []
        for event in self.events:
            row = numbers(event.get(name))
            if row and (not rows or len(row) == len(rows[0])):
                steps.append(event["step"])
                rows.append(row)
        return steps, rows


@dataclass(frozen=True)
class Gathered:
    """Everything a report is drawn from."""

    records: tuple[Record, ...]
    runs: tuple[RunFiles, ...]
    notes: tuple[str, ...]


def gather(sources: Sources, evaluated: bool = True) -> Gathered:
    """Read run directories, or take records as they are.

    Args:
        sources: of a folder that is no run directory, those below it are read.
        evaluated: whether runs were meant to be; where not, to lack records is nothing to note.

    Raises:
        UsageError: nothing was given, or a folder that neither is a run directory nor holds one.
    """
    given: list[Any] = [sources] if isinstance(sources, str | Path) else list(sources)
    if not given:
        raise UsageError("nothing to report: give a run directory, or records")
    if isinstance(given[0], Record):
        kept, notes = sound(given, "records")
        return Gathered(tuple(kept), (), tuple(notes))
    paths = [path for one in given for path in run_directories(Path(one))]
    runs = [read_run(path, name, evaluated)
            for path, name in zip(paths, short_names(paths), strict=True)]  # fmt: skip
    records = [record for run in tell_apart(runs) for record in run]
    return Gathered(tuple(records), tuple(runs), tuple(note for run in runs for note in run.notes))


def run_directories(path: Path) -> list[Path]:
    """The folder itself, where it is a run directory, else those below it; seeds by their number.

    What lies inside a run directory belongs to it; hidden folders are passed over.

    Raises:
        UsageError: it is none, and none lies below it.
    """
    if _is_run(path):
        return [path]
    found: list[Path] = []
    for place, folders, _ in os.walk(path):
        below = [Path(place, name) for name in folders if not name.startswith(".")]
        found += [one for one in below if _is_run(one)]
        folders[:] = [one.name for one in below if not _is_run(one)]
    if not found:
        raise _no_run(path)
    return sorted(found, key=lambda one: [(int(part) if part.isdecimal() else 0, part)
                                          for part in one.parts])  # fmt: skip


def _is_run(path: Path) -> bool:
    return any((path / file).is_file() for file in RUN)


def _no_run(path: Path) -> UsageError:
    return UsageError(f"{path} is no run directory (neither {' nor '.join(RUN)} is there), and "
                      f"none lies below it: give one that `condensery condense --out` made, or a "
                      f"folder of such")  # fmt: skip


def read_run(path: Path, name: str | None = None, evaluated: bool = True) -> RunFiles:
    """One run directory.

    Args:
        name: as the page calls it. evaluated: see ``gather``.

    Raises:
        UsageError: it is none.
    """
    if not _is_run(path):
        raise _no_run(path)
    notes: list[str] = []
    short = name or path.resolve().name
    previews = {
        int(file.stem): file for file in (path / "previews").glob("*.png") if file.stem.isdecimal()
    }
    if not previews and not any((path / "previews").glob("*.txt")):
        notes.append(f"{short}: no pictures (previews/*.png)")
    config = _json(path / "config.json", short, notes)
    return RunFiles(
        path,
        short,
        config=config,
        card=_json(path / "synthetic" / "card.json", short, notes),
        start_card=_json(path / "start" / "card.json", short, notes),
        events=_events(path / "events.jsonl", short, notes, selection(config)),
        previews=dict(sorted(previews.items())),
        records=_records(path / "records.jsonl", short, notes, evaluated),
        notes=tuple(notes),
        study=_json(path / "study.json", short, []) if (path / "study.json").is_file() else {},
    )


def selection(config: Mapping[str, Any]) -> bool:
    """Whether a run only chose samples: it takes no steps, so it has no events."""
    return mapping(config.get("budget")).get("steps") == 0


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, with as many parts before it as tell it from the others."""
    whole = [path.resolve() for path in paths]
    doubled = next((path for path in whole if whole.count(path) > 1), None)
    if doubled is not None:
        raise UsageError(f"{doubled} is given twice; give each run once")
    # A folder that is only a seed says nothing: take the one above it too.
    depth = 2 if any(path.name.isdecimal() for path in whole) else 1
    most = max(len(path.parts) for path in whole)
    while depth < most and len({path.parts[-depth:] for path in whole}) < len(whole):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in whole]


def tell_apart(runs: Sequence[RunFiles]) -> list[list[Record]]:
    """Records of each run; a row that names unlike sets in two runs gets a name in brackets.

    Runs that differ in nothing but their seed are replicates of one row. A method with other
    settings or steps is another row (``hmdc [runs/b]``), the step-0 sets of two methods are two
    rows (``start [idc]``), and a baseline is one row as long as all runs drew the very same sets.
    """
    kinds, newest_of = _kinds(runs), _apart_from_baselines(runs)
    owners: dict[tuple[Any, ...], set[str]] = {}
    sets: dict[tuple[Any, ...], set[Any]] = {}
    for kind, held in zip(kinds, newest_of, strict=True):
        for one in held:
            owners.setdefault(_row(one), set()).add(kind)
            sets.setdefault(one.key(), set()).add(one.fingerprint or one.accuracy)
    unlike = {(key[0], key[1], key[2]) for key, marks in sets.items() if len(marks) > 1}

    def named(one: Record, kind: str) -> Record:
        own = one.row == "start" or not is_baseline(one.row)
        shared = len(owners[_row(one)]) > 1 and (own or _row(one) in unlike)
        # A set is found beside its start by its name: of several starts that has brackets.
        starts = owners.get((one.data, "start", one.per_class), set())
        followed = not is_baseline(one.row) and one.row != kind and len(starts - {kind}) > 0
        if not shared and not (followed and kind in starts):
            return one
        return dataclasses.replace(one, row=f"{one.row} [{kind}]")

    return [[named(one, kind) for one in held] for kind, held in zip(kinds, newest_of, strict=True)]


def _apart_from_baselines(runs: Sequence[RunFiles]) -> list[list[Record]]:
    """Newest records of each run; a selection's own row is no other run's baseline of its name."""
    beside = {one.row for run in runs for one in run.records if one.row != run.row}
    return [
        [dataclasses.replace(one, row=f"{one.row} (run)")
         if one.row == run.row and one.row in beside else one for one in newest(run.records)]
        for run in runs
    ]  # fmt: skip


def _row(one: Record) -> tuple[Any, ...]:
    return one.data, one.row, one.per_class


def by_kind(runs: Sequence[RunFiles]) -> dict[str, list[RunFiles]]:
    """Runs by what they are replicates of, in the order in which they were given.

    An arm of a study may stand for several data sets and sizes: each is a kind of its own, and its
    name tells what the others do not share, ``hmdc [cifar10, 10 per class]``.
    """
    found: dict[tuple[str, str, str], list[RunFiles]] = {}
    for run, kind in zip(runs, _kinds(runs), strict=True):
        data, size = (str(run.settings.get(name, "")) for name in ("data", "per_class"))
        found.setdefault((kind, data, size), []).append(run)
    return {_of_several(key, list(found)): held for key, held in found.items()}


def _of_several(key: tuple[str, str, str], keys: Sequence[tuple[str, str, str]]) -> str:
    """A kind's name, with data set and size where kinds of this name differ in them."""
    kind, data, size = key
    alike = [one for one in keys if one[0] == kind]
    told = [data] if len({one[1] for one in alike}) > 1 else []
    told += [f"{size} per class"] if len({one[2] for one in alike}) > 1 else []
    return f"{kind} [{', '.join(told)}]" if told else kind


def _kinds(runs: Sequence[RunFiles]) -> list[str]:
    """For each run what it is a replicate of: its method, or the first such run's name."""
    keys = [_apart_from_seed(run) for run in runs]
    first = {key: run for key, run in reversed(list(zip(keys, runs, strict=True)))}
    methods = [str(run.settings.get("method")) for run in first.values()]

    def name(key: str) -> str:
        if first[key].arm:
            return first[key].arm
        method = first[key].settings.get("method")
        return str(method) if method and methods.count(str(method)) == 1 else first[key].name

    return [name(key) for key in keys]


def _apart_from_seed(run: RunFiles) -> str:
    kept = {name: run.settings[name] for name in run.settings if name not in ("seed", "init")}
    kept["init"] = run.settings.get("init") is not None
    return json.dumps([kept, run.config.get("budget")], sort_keys=True, default=str)


def sound(records: Iterable[Record], where: str) -> tuple[list[Record], list[str]]:
    """Records whose numbers are numbers; a note for each of the others."""
    kept, notes = [], []
    for position, one in enumerate(records, start=1):
        if number(one.accuracy) and 0 <= one.accuracy <= 1 and number(one.classes):
            kept.append(one)
        else:
            notes.append(f"{where}: record {position} ({one.row} on {one.model}) has no accuracy "
                         f"between 0 and 1 (it says {one.accuracy!r}); left out")  # fmt: skip
    return kept, notes


def number(value: object) -> bool:
    """Whether a value is a finite number."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(float(value))  # type: ignore[arg-type]


def numbers(value: object) -> list[float]:
    """A list of finite numbers (a hole in it is NaN), or nothing."""
    if not isinstance(value, list):
        return []
    return [float(one) if number(one) else math.nan for one in value]


def mapping(value: object) -> dict[str, Any]:
    """A dict, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def _json(path: Path, name: str, notes: list[str]) -> dict[str, Any]:
    file = f"{path.parent.name}/{path.name}" if path.name == "card.json" else path.name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        notes.append(f"{name}: {file} is missing")
        return {}
    except (OSError, ValueError) as error:
        notes.append(f"{name}: {file} cannot be read ({error})")
        return {}
    if not isinstance(found, dict):
        notes.append(f"{name}: {file} holds no table of values")
    return mapping(found)


def _events(
    path: Path, name: str, notes: list[str], selected: bool
) -> tuple[dict[str, Any], ...]:
    if not path.is_file():
        notes += [] if selected else [f"{name}: no {path.name}, so no curves"]
        return ()
    found, odd = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = mapping(json.loads(line))
        except ValueError:
            event = {}
        if number(event.get("step")):
            found.append(event)
        else:
            odd += 1
    if odd:
        notes.append(f"{name}: {odd} damaged line(s) of {path.name} left out")
    return tuple(found)


def _records(path: Path, name: str, notes: list[str], evaluated: bool) -> tuple[Record, ...]:
    if not path.is_file():
        notes += [f"{name}: no {path.name}: run `condensery evaluate` on it"] if evaluated else []
        return ()
    try:
        found = read(path)
        lines = path.read_bytes().splitlines(keepends=True)
    except (OSError, ValueError) as error:
        notes.append(f"{name}: its records are left out: {error}")
        return ()
    kept, odd = sound(found, name)
    notes.extend(odd)
    if len(found) < len(lines) and not lines[-1].endswith(b"\n"):  # as a kill leaves it
        notes.append(f"the last line of {name}/{path.name} is cut short: the same `condensery "
                     f"evaluate` measures it again")  # fmt: skip
    elif not found:
        notes.append(f"{name}: {path.name} is empty: run `condensery evaluate` on it")
    return tuple(kept)
