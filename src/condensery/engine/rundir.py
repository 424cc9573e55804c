"""The run directory: settings that must stay the same, events, previews, the sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from condensery.artefact import save
from condensery.artefact.files import write_json, write_whole
from condensery.core.synthetic import SyntheticSet
from condensery.errors import RunError, UsageError


@dataclass(frozen=True)
class RunDirectory:
    """Where a run keeps what it makes. ``open`` says whether it may; ``begin`` makes it.

    Layout: ``config.json``, ``events.jsonl``, ``checkpoints/``, ``start/``, ``synthetic/``,
    ``previews/``, ``records.jsonl``.
    """

    path: Path

    @classmethod
    def open(
        cls,
        path: Path,
        config: Mapping[str, Any],
        of_today: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    ) -> RunDirectory:
        """A place for a new run, or the run that is there if its settings are equal.

        Nothing is written: what cannot be is said before anything is changed.

        Args:
            path: the directory. config: see ``begin``.
            of_today: completes the method's fields that an older version wrote.

        Raises:
            UsageError: the directory holds something else, or a run of other settings.
        """
        config = json.loads(json.dumps(config))  # tuples become lists, as they are read back
        run = cls(path)
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; --out wants a directory")
        if not run.config_file.exists():
            if path.exists() and any(path.iterdir()):
                raise UsageError(f"{path} is not empty and holds no run: choose another --out")
            return run
        found = run.config()
        written = found.get("settings", {})
        fields = written.get("fields") if isinstance(written, dict) else None
        if of_today is not None and isinstance(fields, dict):
            written = written | {"fields": of_today(fields)}
        differing = differences(written, config["settings"])
        if differing:
            name, there, here = differing[0]
            raise UsageError(f"{path} holds another run ({name}: {there!r} there, {here!r} here): "
                             f"choose another --out, or use its settings to resume it")  # fmt: skip
        return run

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write down what this run is; of one that is resumed only what may change.

        What a kill left half written in an earlier session is removed.

        Args:
            config: ``settings`` (must be equal to resume), ``budget`` (may grow), ``source`` (where
                the data are) and ``circumstances`` (of the first session).
        """
        if self.config_file.exists():
            config = self.config() | {one: config.get(one) for one in ("budget", "source")}
        for folder in (self.path, self.checkpoints, self.path / "start", self.path / "synthetic"):
            for left in folder.glob(".*.tmp"):
                left.unlink(missing_ok=True)
        write_json(self.config_file, config)

    def moved(self, circumstances: Mapping[str, Any]) -> str | None:
        """What is not as it was when the run began, in one line; None when all is."""
        if not self.config_file.exists():
            return None
        here = json.loads(json.dumps(circumstances))
        found = differences(self.config().get("circumstances") or here, here)
        told = [f"{name} was {there}, is {now}" for name, there, now in found]
        if not told:
            return None
        return f"{self.path} goes on elsewhere ({'; '.join(told)}): its bits may differ"

    @property
    def config_file(self) -> Path:
        """``config.json``."""
        return self.path / "config.json"

    @property
    def events_file(self) -> Path:
        """``events.jsonl``."""
        return self.path / "events.jsonl"

    @property
    def records_file(self) -> Path:
        """``records.jsonl``."""
        return self.path / "records.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def config(self) -> dict[str, Any]:
        """What ``config.json`` says.

        Raises:
            RunError: it cannot be read.
        """
        try:
            found = json.loads(self.config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.config_file} cannot be read ({error}): put it back, or choose another "
                f"--out to condense into"
            ) from None
        return found if isinstance(found, dict) else {}

    def keep_start(self, synthetic: SyntheticSet) -> None:
        """Save the step-0 set, once: what the optimisation adds must always be visible."""
        if not (self.path / "start" / "card.json").exists():  # the last thing that is written
            save(synthetic, self.path / "start")
            self.preview(synthetic, 0)

    def keep(self, synthetic: SyntheticSet, step: int) -> None:
        """Save the set as it is now and a preview of it."""
        save(synthetic, self.path / "synthetic")
        self.preview(synthetic, step)

    def preview(self, synthetic: SyntheticSet, step: int) -> Path:
        """One picture (or sound, or text) of the stored samples, a row for each class at most."""
        samples = synthetic.quantised().as_stored()
        columns = max(1, round(synthetic.per_class))
        columns = columns if columns > 1 else min(10, synthetic.classes)
        path = self.path / "previews" / f"{step:06d}"
        return synthetic.modality.preview(samples[:200], path, columns)

    def cut_events(self, step: int) -> None:
        """Forget events of steps that will be done again."""
        if not self.events_file.exists():
            return
        kept = []
        for line in self.events_file.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # a line cut short by a kill: its step is done again
        text = "".join(f"{line}\n" for line in kept)
        write_whole(self.events_file, lambda aside: aside.write_text(text, encoding="utf-8"))

    def event(self, values: Mapping[str, Any]) -> None:
        """Add one line to ``events.jsonl``."""
        with self.events_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def differences(there: Any, here: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Leaves in which two nested settings differ: (dotted name, there, here)."""
    if isinstance(there, dict) and isinstance(here, dict):
        found = []
        for key in sorted(set(there) | set(here)):
            inner = f"{name}.{key}" if name else key
            found += differences(there.get(key), here.get(key), inner)
        return found
    return [] if there == here else [(name, there, here)]
