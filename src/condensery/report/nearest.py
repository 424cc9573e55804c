"""Each synthetic sample beside its nearest real one: what it resembles, and whether it is one."""

from __future__ import annotations

import base64
import io
import statistics
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from condensery.report import style
from condensery.report.figures import slug
from condensery.report.gather import RunFiles, mapping, number
from condensery.report.pictures import cut, framed
from condensery.report.sections import Section
from condensery.report.tables import Cell, Grid

MOST = {"image": 40, "audio": 8, "text": 20}  # pairs on the page, the closest first
FAR = "0 is the same sample, and two unrelated ones lie near 1.4"
Shown = dict[int, Markup]  # of a side of all pairs, by the position of the synthetic sample


@dataclass(frozen=True)
class Pair:
    """A synthetic sample and how far its nearest real one is.

    Attributes:
        sample: position among the decoded samples. label: name of its class.
        position: of the real one in the training split. distance: root mean square.
        leaked: whether it is that real sample for any practical purpose.
    """

    sample: int
    label: str
    position: int
    distance: float
    leaked: bool


def nearest(run: RunFiles) -> Section | None:
    """What ``neighbours.json`` of a run tells, and its pairs; None where nobody measured it."""
    found = run.read("neighbours.json")
    pairs = _pairs(found, run.label_names)
    if not pairs:
        return None
    kind = str(mapping(run.card.get("modality")).get("kind", "image"))
    closest = sorted(pairs, key=lambda one: one.distance)[: MOST.get(kind, MOST["image"])]
    fragment = SIDES.get(kind, _pictures)(run, found, closest, len(pairs))
    left = len(pairs) - len(closest)
    note = str(found.get("note") or "whether one is a real sample was not noted")
    return Section(
        f"Nearest real samples: {run.name}",
        f"Of each synthetic sample the nearest training sample of its class: {note}.",
        (_distances(run, found, pairs),),
        legend=f"The closest first. {left} more stand in neighbours.json." if left else "",
        fragment=fragment, open=False, name=slug(f"nearest {run.name}"),
        notes=() if fragment else (f"{run.name}: no pictures of nearest real samples",),
    )  # fmt: skip


def _pairs(found: dict[str, Any], names: list[str]) -> list[Pair]:
    threshold = found.get("threshold")
    least = float(threshold) if number(threshold) else 0.0  # type: ignore[arg-type]
    pairs = []
    listed = found.get("nearest")
    for one in listed if isinstance(listed, list) else []:
        told: list[Any] = [mapping(one).get(name)
                           for name in ("sample", "label", "position", "distance")]  # fmt: skip
        if not all(number(value) for value in told):
            continue
        sample, label, position = (int(value) for value in told[:3])
        distance = float(told[3])
        name = names[label] if 0 <= label < len(names) else str(label)
        pairs.append(Pair(sample, name, position, distance, distance < least))
    return pairs


def _distances(run: RunFiles, found: dict[str, Any], pairs: list[Pair]) -> Grid:
    """How close they are, in a line."""
    told = [one.distance for one in pairs]
    heads = (Cell("samples"), Cell("real ones", f"closer than {found.get('threshold')}"),
             Cell("smallest"), Cell("median"), Cell("largest"))  # fmt: skip
    leaked = sum(one.leaked for one in pairs)
    ends = (min(told), statistics.median(told), max(told))
    cells = (Cell(style.count(len(pairs))), Cell(style.count(leaked), "", "below" * bool(leaked)),
             *(Cell(f"{value:.2f}") for value in ends))  # fmt: skip
    return Grid(f"Distance to the nearest real sample (root mean square; {FAR})", "set", heads,
                ((run.name, Cell(run.name), cells),))  # fmt: skip


def _pictures(run: RunFiles, found: dict[str, Any], pairs: list[Pair], whole: int) -> str:
    """Tiles: each synthetic image beside its nearest real one."""
    shape = mapping(run.card.get("modality")).get("shape")
    sides = [_tiles(file, lambda place: cut(place, shape, whole)) for file in _files(run, ".png")]
    return _side_by_side(pairs, sides, "album")


def _sounds(run: RunFiles, found: dict[str, Any], pairs: list[Pair], whole: int) -> str:
    """Spectrograms with players; a spectrogram alone where there is no sound."""
    columns = found.get("columns")
    pictures = [_tiles(file, lambda place: framed(place, columns, whole))
                for file in _files(run, ".png")]  # fmt: skip
    clips = [_clips(file, [one.sample for one in pairs], whole) for file in _files(run, ".wav")]
    sides = [{one: seen[one] + heard.get(one, Markup()) for one in seen}
             for seen, heard in zip(pictures, clips, strict=True)]  # fmt: skip
    return _side_by_side(pairs, sides, "beside")


def _texts(run: RunFiles, found: dict[str, Any], pairs: list[Pair], whole: int) -> str:
    """Both texts, side by side."""
    sides: list[Shown] = []
    for file in _files(run, ".txt"):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        sides.append({place: Markup("<blockquote>{}</blockquote>").format(line.partition("\t")[2])
                      for place, line in enumerate(lines)})  # fmt: skip
    return _side_by_side(pairs, sides, "beside")


SIDES: dict[str, Callable[[RunFiles, dict[str, Any], list[Pair], int], str]] = {
    "image": _pictures, "audio": _sounds, "text": _texts,
}  # fmt: skip


def _files(run: RunFiles, suffix: str) -> list[Path]:
    """Where both sides lie: the synthetic samples, then their nearest real ones."""
    return [run.path / "neighbours" / f"{name}{suffix}" for name in ("synthetic", "real")]


def _tiles(file: Path, read: Callable[[Path], list[str]]) -> Shown:
    """Pictures of all samples of a sheet; none where it cannot be read."""
    try:
        tiles = read(file)
    except (OSError, ValueError):
        return {}
    side = "nearest real sample of" if file.stem == "real" else "synthetic"
    return {place: Markup('<img alt="{} sample {}" src="{}" loading="lazy">').format(
                side, place + 1, tile) for place, tile in enumerate(tiles)}  # fmt: skip


def _clips(file: Path, wanted: list[int], whole: int) -> Shown:
    """Players of single clips, cut from the file in which all lie one after the other."""
    try:
        with wave.open(str(file), "rb") as opened:
            told, length = opened.getparams(), opened.getnframes() // whole
            heard = {}
            for place in wanted:
                opened.setpos(place * length)
                heard[place] = opened.readframes(length)
    except (OSError, EOFError, wave.Error):
        return {}
    side = "nearest real clip of" if file.stem == "real" else "synthetic"
    found = {}
    for place, frames in heard.items():
        written = io.BytesIO()
        with wave.open(written, "wb") as made:
            made.setparams(told)
            made.writeframes(frames)
        code = base64.b64encode(written.getvalue()).decode()
        found[place] = Markup('<audio controls aria-label="{} clip {}" '
                              'src="data:audio/wav;base64,{}"></audio>').format(
                                  side, place + 1, code)  # fmt: skip
    return found


def _side_by_side(pairs: list[Pair], sides: list[Shown], form: str) -> str:
    """The pairs that both sides have; empty where there is none."""
    ours, theirs = sides
    item = Markup('<li><b title="{0}">{0}</b><div class="pair"><div>{1}</div><div>{2}</div></div>'
                  '<small{3}>{4}</small></li>')  # fmt: skip
    shown = [
        item.format(
            one.label, ours[one.sample], theirs[one.sample],
            Markup(' class="leak"') if one.leaked else "",
            f"{one.distance:.2f} from training sample {one.position}"
            + (": a real one" if one.leaked else ""),
        )
        for one in pairs if one.sample in ours and one.sample in theirs
    ]  # fmt: skip
    if not shown:
        return ""
    legend = Markup('<p class="legend">Left: synthetic. Right: the nearest real one.</p>')
    return Markup('<ul class="{} pairs">{}</ul>').format(form, Markup("").join(shown)) + legend
