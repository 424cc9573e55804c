"""Figures, drawn with matplotlib without a window: ``.png``, ``.svg``, and markup for the page.

What is drawn stands in ``comparison``, ``classes`` and ``curves``; here is what all figures share.
On the page, figures take the page's ink and show its background.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from condensery.report.panels import Panel

WIDTH = 4.8  # inches: at 400 px of page the letters are still 11 px high
EDGE = (style.INK, 0.55)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with what belongs to it.

    Attributes:
        name: of its files. title, caption: for the page. alt: what it shows, in words.
        figure: of matplotlib.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """The whole file as text: without a background, and the same for the same figure."""
        buffer = io.StringIO()
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with dressed():
            self.figure.savefig(buffer, format="svg", facecolor="none", metadata=metadata)
        # The layout is found; to find it again for every format would double the time.
        self.figure.set_layout_engine("none")
        return buffer.getvalue()


@contextlib.contextmanager
def dressed() -> Iterator[None]:
    """Matplotlib's settings for all figures; those of the process come back afterwards."""
    import matplotlib

    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[str, Any] = dict.fromkeys(ink, style.INK) | {
        "font.family": "sans-serif",
        "font.size": 11,
        "axes.titlesize": 11,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": style.INK,
        "grid.alpha": 0.15,
        "hatch.linewidth": 0.6,
        "svg.fonttype": "none",
        "svg.hashsalt": "condensery",
        "text.parse_math": False,  # a name may hold a dollar sign
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(settings):  # type: ignore[arg-type]
        yield


def save(drawing: Drawing, out: Path) -> list[Path]:
    """Write ``.png`` (white background) and ``.svg`` (none)."""
    paths = [out / f"{drawing.name}.png", out / f"{drawing.name}.svg"]
    paths[1].write_text(drawing.svg, encoding="utf-8")
    with dressed():
        drawing.figure.savefig(paths[0], dpi=180, facecolor="white")
    return paths


def inline(drawing: Drawing) -> str:
    """SVG markup for the page: its ink, no background, names of its own, no address of anything."""
    text = drawing.svg
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\sid="|xlink:href="#|url\(#)', rf"\g<1>{drawing.name}-", text)
    text = text.replace("xlink:href", "href").replace(style.INK, "currentColor")
    width = float(re.search(r'width="([\d.]+)pt"', text).group(1))  # type: ignore[union-attr]
    text = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", text, count=1)
    # Names are in the figure's text as they are: only the label is ours to escape.
    label = drawing.alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    limits = f"min-width:{1.04 * width:.0f}px;max-width:{1.6 * width:.0f}px"
    opening = f'<svg role="img" aria-label="{label}" style="{limits}"'
    return text.replace("<svg", opening, 1)


def slug(text: str) -> str:
    """A name for a file or an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "run"


def panes(number: int, each: float = 1.9) -> tuple[Figure, list[Axes]]:
    """Axes below one another that share their scales, ``each`` inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 1.3 + each * number), layout="constrained")
    found = figure.subplots(number, 1, sharex=True, sharey=True, squeeze=False)[:, 0].tolist()
    for axes in found:
        axes.set_facecolor("none")
    return figure, found


def legend_above(figure: Figure, axes: Axes, given: Mapping[str, Any] | None = None) -> None:
    """Above the axes, where no bar can lie under it; of what is in them, or of what is given."""
    handles, labels = axes.get_legend_handles_labels()
    if given is not None:
        handles, labels = list(given.values()), list(given)
    if "chance" in labels:  # matplotlib puts lines before bars
        handles, labels = [*handles[1:], handles[0]], [*labels[1:], labels[0]]
    # Longest label decides how many columns fit into the width.
    columns = max(1, min(len(labels), int(52 / (max(map(len, labels), default=1) + 7))))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, columnspacing=1.2,
                  handlelength=2.0)  # fmt: skip


def listed(rows: Sequence[str]) -> str:
    """Names of rows in words, for what a figure shows."""
    return ", ".join(style.look(row).label for row in rows)


def network_title(panel: Panel, model: str) -> str:
    """A network's name beside an axis, shortened in the middle, with the mark of those seen."""
    short = model if len(model) <= 26 else f"{model[:12]}…{model[-12:]}"
    return f"{style.SEEN} {short}" if panel.seen.get(model) else short


def seconds_label(value: float, _: Any = None) -> str:
    """A tick of an axis of seconds: ``0.1``, ``20``, ``3,000``."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
