"""Sets of text, to be read: the texts of a run before and after."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from condensery.report.gather import Gathered, RunFiles
from condensery.report.panels import Panel
from condensery.report.sections import Section

MOST_RUNS = 4
MOST_TEXTS = 20  # of a run at one step


def sections(gathered: Gathered, shown: Sequence[Panel]) -> list[Section]:
    """One part with the texts of the first runs that have some; none where no run has."""
    readable = [(run, files) for run in gathered.runs if (files := _files(run))]
    if not readable:
        return []
    parts = [
        _shown(run, step, file) for run, files in readable[:MOST_RUNS]
        for step, file in files.items()
    ]  # fmt: skip
    lead = ("Of each stored text the heaviest token of each position, in words of its tokenizer. "
            "A position holds several tokens, which words cannot show.")  # fmt: skip
    left = len(readable) - MOST_RUNS
    legend = f"The texts of {left} more runs lie in their previews/." if left > 0 else ""
    fragment = f'<div class="beside">{"".join(parts)}</div>'
    return [Section("Texts", lead, legend=legend, fragment=fragment)]


def _files(run: RunFiles) -> dict[int, Path]:
    """The texts of the first and the last preview, by step."""
    found = {int(file.stem): file for file in (run.path / "previews").glob("*.txt")
             if file.stem.isdecimal()}  # fmt: skip
    return {step: found[step] for step in dict.fromkeys((min(found), max(found)))} if found else {}


def _shown(run: RunFiles, step: int, file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    texts = [line.partition("\t")[2] for line in lines[:MOST_TEXTS]]
    more = f"<p>and {len(lines) - MOST_TEXTS} more</p>" if len(lines) > MOST_TEXTS else ""
    body = "".join(f"<blockquote>{html.escape(text)}</blockquote>" for text in texts)
    name = html.escape(f"{run.name}, step {step}")
    return f"<figure><figcaption>{name}</figcaption>{body}{more}</figure>"
