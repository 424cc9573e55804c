"""Players for sets of sound: the clips of a run before and after, to be listened to."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from condensery.report.gather import Gathered, RunFiles
from condensery.report.panels import Panel
from condensery.report.sections import Section

MOST_RUNS = 4
MOST_BYTES = 4_000_000  # of a sound inside the page


def sections(gathered: Gathered, shown: Sequence[Panel]) -> list[Section]:
    """One part with the sounds of the first runs that have some; none where no run has."""
    sounding = [(run, files) for run in gathered.runs if (files := _files(run))]
    if not sounding:
        return []
    parts, notes = [], []
    for run, files in sounding[:MOST_RUNS]:
        for step, file in files.items():
            content = file.read_bytes()
            if len(content) > MOST_BYTES:
                notes.append(f"{run.name}: previews/{file.name} is too large for the page")
                continue
            parts.append(_player(run, step, content))
    left = len(sounding) - MOST_RUNS
    lead = "All stored clips of a set, class by class, one after the other."
    legend = f"The sounds of {left} more runs lie in their previews/." if left > 0 else ""
    fragment = f'<div class="beside">{"".join(parts)}</div>'
    return [Section("Sounds", lead, legend=legend, fragment=fragment, notes=tuple(notes))]


def _files(run: RunFiles) -> dict[int, Path]:
    """The sounds of the first and the last preview, by step."""
    found = {int(file.stem): file for file in (run.path / "previews").glob("*.wav")
             if file.stem.isdecimal()}  # fmt: skip
    return {step: found[step] for step in dict.fromkeys((min(found), max(found)))} if found else {}


def _player(run: RunFiles, step: int, content: bytes) -> str:
    name = html.escape(f"{run.name}, step {step}")
    code = base64.b64encode(content).decode()
    return (f'<figure><figcaption>{name}</figcaption><audio controls aria-label="{name}" '
            f'src="data:audio/wav;base64,{code}"></audio></figure>')  # fmt: skip
