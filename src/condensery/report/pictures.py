"""Pictures of the synthetic samples: cut from the previews, shown pixel by pixel."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.report.gather import RunFiles, mapping

if TYPE_CHECKING:
    from PIL import Image

PADDING = 2  # white pixels around each sample of a preview
ENLARGED = 64  # previews enlarge small samples to about this many pixels
MOST_CLASSES = 100  # a page of thousands of pictures is read by nobody


@dataclass(frozen=True)
class Sample:
    """One sample before and after: data addresses (``data:image/png;...``), None where missing."""

    label: str
    start: str | None
    final: str | None


@dataclass(frozen=True)
class Album:
    """The pictures of a run.

    Attributes:
        samples: the first stored sample of each class. left_out: classes that are not shown.
        sheets: whole previews, with the step of each: for sets of several samples per class, and
            where a preview cannot be cut.
        notes: what could not be shown.
    """

    samples: tuple[Sample, ...] = ()
    left_out: int = 0
    sheets: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()


def album(run: RunFiles, classes: int = MOST_CLASSES) -> Album:
    """First and last preview of a run, cut into samples where their layout is known.

    Args:
        run: of any modality that writes previews. classes: at most so many are shown; with fewer
            than ``MOST_CLASSES`` whole sheets are left away too.
    """
    if not run.previews:
        return Album()
    steps = sorted(run.previews)
    notes = [] if 0 in run.previews else [f"{run.name}: no picture of step 0"]
    ended = steps[-1] > 0 or run.selection
    notes += [] if ended else [f"{run.name}: no picture after step 0"]
    ends = [step for step in dict.fromkeys((0, steps[-1])) if step in run.previews]
    sheets = []
    for step in ends:
        try:
            sheets.append((step, encoded(_read(run.previews[step]))))
        except (OSError, ValueError) as error:
            notes.append(f"{run.name}: previews/{run.previews[step].name} cannot be read ({error})")
    tiles = {step: _cut(run, step) for step, _ in sheets}
    names, per_class = run.label_names, _per_class(run)
    if not names or not per_class or not any(tiles.values()):
        return Album((), 0, tuple(sheets), tuple(notes))
    first, last = tiles.get(0, []), tiles.get(steps[-1], []) if ended else []
    most = min(len(names), classes, max(len(first), len(last)) // per_class)
    samples = tuple(
        Sample(names[label], _at(first, label * per_class), _at(last, label * per_class))
        for label in range(most)
    )
    whole = tuple(sheets) if per_class > 1 and classes == MOST_CLASSES else ()
    return Album(samples, len(names) - most, whole, tuple(notes))


def encoded(content: bytes) -> str:
    """A picture as a data address."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _read(path: Path) -> bytes:
    """The file's bytes, once they are known to be a picture."""
    from PIL import Image

    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
    return content


def _per_class(run: RunFiles) -> int:
    """Stored samples per class when all classes have the same number, else 0."""
    stored, classes = run.card.get("stored_samples"), len(run.label_names)
    if not isinstance(stored, int) or not classes or stored % classes:
        return 0
    return stored // classes


def _cut(run: RunFiles, step: int) -> list[str]:
    """Samples of a preview in stored order, at their own size; empty if they cannot be cut."""
    stored = run.card.get("stored_samples")
    if not isinstance(stored, int):
        return []
    return cut(run.previews[step], mapping(run.card.get("modality")).get("shape"), stored)


def cut(file: Path, shape: Any, count: int) -> list[str]:
    """Samples of a sheet of images, row by row, at their own size; empty if they cannot be cut.

    Args:
        shape: of a sample, as its card tells it. count: samples; of very many a sheet shows some.

    Raises:
        OSError: there is no such file, or it is no picture.
    """
    from PIL import Image

    if not (isinstance(shape, list) and len(shape) == 3):
        return []
    if not all(isinstance(side, int) and side > 0 for side in shape):
        return []
    times = max(1, round(ENLARGED / max(shape[1:])))
    height, width = times * shape[1] + PADDING, times * shape[2] + PADDING
    with Image.open(file) as opened:
        sheet = opened.convert("RGB")
    columns, rows = (sheet.width - PADDING) // width, (sheet.height - PADDING) // height
    fits = sheet.size == (columns * width + PADDING, rows * height + PADDING)
    if not fits or columns * rows < min(count, 200):
        return []
    tiles = []
    for position in range(min(count, columns * rows)):
        left, top = PADDING + position % columns * width, PADDING + position // columns * height
        tile = sheet.crop((left, top, left + width - PADDING, top + height - PADDING))
        tiles.append(_png(tile.resize((shape[2], shape[1]), Image.Resampling.NEAREST)))
    return tiles


def framed(file: Path, columns: Any, count: int) -> list[str]:
    """Samples of a sheet of spectrograms, each in a frame of its own; empty if they cannot be cut.

    Args:
        columns: of the sheet. count: samples.

    Raises:
        OSError: there is no such file, or it is no picture.
    """
    from PIL import Image

    if not isinstance(columns, int) or not 0 < columns <= count:
        return []
    with Image.open(file) as opened:
        sheet = opened.convert("L")
    rows = -(-count // columns)
    if sheet.width % columns or sheet.height % rows:
        return []
    width, height = sheet.width // columns, sheet.height // rows
    corners = [(place % columns * width, place // columns * height) for place in range(count)]
    return [
        _png(sheet.crop((left + PADDING, top + PADDING, left + width - PADDING,
                         top + height - PADDING)))
        for left, top in corners
    ]  # fmt: skip


def _png(picture: Image.Image) -> str:
    """A picture as a data address."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return encoded(buffer.getvalue())


def _at(tiles: list[str], position: int) -> str | None:
    return tiles[position] if position < len(tiles) else None
