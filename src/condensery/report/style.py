"""How things look and are called: a colour, hatch and marker per method; how numbers are printed.

Colours have at least 3:1 contrast against the light and the dark page; hatches and markers tell
rows apart in black and white.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from condensery.records import ALL_BYTES
from condensery.statistics import Paired

HOLE = "–"
MINUS = "\u2212"
SEEN = "●"
STAR = "*"
FAILED = "†"
INK = "#1c2126"  # figures on the page replace it by the page's own ink
PAPER = {"light": "#ffffff", "dark": "#14171a"}


@dataclass(frozen=True)
class Look:
    """How a row is drawn.

    Attributes:
        label: its name in tables. colour: ``#rrggbb``. hatch: of matplotlib, for black and white.
        marker: of matplotlib.
    """

    label: str
    colour: str
    hatch: str
    marker: str


LOOKS = {
    "hmdc": Look("HMDC", "#d6406a", "", "o"),
    "dream": Look("DREAM", "#b8622a", "oo", "s"),
    "idc": Look("IDC", "#a8741a", "xx", "D"),
    "idm": Look("IDM", "#7c8a1e", "++", "v"),
    "cafe": Look("CAFE", "#3f9150", "**", "^"),
    "dm": Look("DM", "#1f9288", "O", "<"),
    "dc": Look("DC", "#2f86b8", "OO", ">"),
    "dsa": Look("DSA", "#4d6fc4", "OOO", "1"),
    "mosaic": Look("mosaic", "#8a5a9e", "-.", "2"),
    "start": Look("step 0", "#9067d6", "..", "P"),
    "random": Look("Random", "#8a95a0", "//", "X"),
    "random packed": Look("packed Random", "#5d6d7e", "////", "x"),
    "random as many": Look("Random, as many", "#a3734e", "///", "D"),
    ALL_BYTES: Look("Random, all bytes", "#6f7f4a", "//o", "$a$"),
    "kmeans": Look("k-means", "#2e86ab", "\\\\", "h"),
    "kmeans packed": Look("packed k-means", "#2e86ab", "\\\\\\\\", "H"),
    "mean": Look("class means", "#b57a14", "--", "d"),
    "mean packed": Look("packed class means", "#b57a14", "----", "p"),
    "herding": Look("herding", "#4f8a6d", "+", "3"),
    "herding packed": Look("packed herding", "#4f8a6d", "+++", "4"),
    "naive_bayes": Look("naive Bayes tokens", "#a3653f", "-\\", "8"),
    "naive_bayes packed": Look("packed naive Bayes tokens", "#a3653f", "--\\", "$b$"),
    "full": Look("full data", "#4f9a4a", "||", "*"),
}
OTHERS = ("#c2548f", "#5b7fd1", "#2f9277", "#b0683c", "#8c6fc0", "#7d8a2a")
TERMS = ("#d6406a", "#2e86ab", "#b57a14", "#4f9a4a", "#9067d6", "#7b8794")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))

# Rows of a comparison that are no condensed sets, in the order in which tables show them.
BASELINES = (
    "start",
    "random",
    "random packed",
    "random as many",
    ALL_BYTES,
    "kmeans",
    "kmeans packed",
    "mean",
    "mean packed",
    "herding",
    "herding packed",
    "naive_bayes",
    "naive_bayes packed",
    "full",
)


def base(row: str) -> str:
    """A row's name without the run that tells it from another: ``idc [runs/a]`` is ``idc``."""
    return row.split(" [", 1)[0] if row.endswith("]") else row


def is_baseline(row: str) -> bool:
    """Whether a row stands for comparison only."""
    return base(row) in BASELINES


def look(row: str) -> Look:
    """How a row is drawn; a method that is not in the table gets a colour by its name."""
    name = base(row)
    suffix = row[len(name) :]
    if name in LOOKS:
        known = LOOKS[name]
        return Look(known.label + suffix, known.colour, known.hatch, known.marker)
    digest = hashlib.blake2b(name.encode(), digest_size=2).digest()
    return Look(row, OTHERS[digest[0] % len(OTHERS)], ("", "xx", "++")[digest[1] % 3], "o")


def spoken(row: str) -> str:
    """A row's name in a sentence about a condensed set."""
    return "its own step-0 set" if base(row) == "start" else look(row).label


def points(part: float | None) -> str:
    """A part of 1 in points, two decimals: ``0.5`` is ``50.00``. A hole for None and NaN."""
    return HOLE if part is None else decimal(100 * part)


def signed(part: float | None) -> str:
    """A difference in points with its sign: ``+1.47``; zero has none."""
    return HOLE if part is None else decimal(100 * part, sign=True)


def ends(pair: Paired) -> str:
    """``[+0.10, +2.83]``, and behind it the wider interval that trainings ask for, if they do."""
    if pair.low is None or pair.high is None or pair.ends is None:
        return ""
    told, wider = (f"[{signed(low)}, {signed(high)}]"
                   for low, high in ((pair.low, pair.high), pair.ends))  # fmt: skip
    return told if wider == told else f"{told}, trainings too {wider}"


def decimal(value: float, places: int = 2, sign: bool = False) -> str:
    """A number with so many decimals, a true minus and no ``-0.00``."""
    if not math.isfinite(value):
        return HOLE
    text = f"{value:+.{places}f}" if sign else f"{value:.{places}f}"
    if float(text) == 0:
        return text.lstrip("+-")
    return text.replace("-", MINUS)


def seconds(value: float | None) -> str:
    """Three significant digits, never in powers of ten: ``61.2``, ``1,230``."""
    if value is None or not math.isfinite(value):
        return HOLE
    if value == 0:
        return "0"
    rounded = float(f"{value:.2e}")
    places = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def count(value: float | None) -> str:
    """An exact number with thousands apart; a fraction keeps two decimals."""
    if value is None or not math.isfinite(value):
        return HOLE
    return f"{round(value):,}" if float(value).is_integer() else f"{value:,.2f}"


def plural(number: float, one: str) -> str:
    """``1 image``, ``10 images``, ``2 classes``."""
    many = one + ("es" if one.endswith("s") else "s")
    return f"{count(number)} {one if number == 1 else many}"


def span(values: list[int]) -> str:
    """Whole numbers in few words: ``0``, ``0 to 4``, ``1, 3, 7``."""
    held = sorted(set(values))
    if len(held) > 2 and held == list(range(held[0], held[-1] + 1)):
        return f"{held[0]} to {held[-1]}"
    return ", ".join(map(str, held)) if held else HOLE
