"""A page shows the texts of runs on text, first and last, and nothing where there are none."""

from __future__ import annotations

from pathlib import Path

from condensery.report import reading
from condensery.report.gather import Gathered, RunFiles


def run(place: Path, texts: dict[str, str]) -> RunFiles:
    (place / "previews").mkdir(parents=True)
    for name, content in texts.items():
        (place / "previews" / name).write_text(content, encoding="utf-8")
    return RunFiles(place, place.name)


def gathered(*runs: RunFiles) -> Gathered:
    return Gathered(runs=runs, records=(), notes=())


def test_the_first_and_the_last_text_of_a_run_are_shown_and_escaped(tmp_path: Path) -> None:
    texts = {"000000.txt": "0\tbad <b>\n", "000010.txt": "0\tmiddle\n", "000020.txt": "0\tgood\n"}
    (section,) = reading.sections(gathered(run(tmp_path / "a<b", texts)), [])
    assert section.fragment.count("<blockquote>") == 2
    assert "bad &lt;b&gt;" in section.fragment and "good" in section.fragment
    assert "middle" not in section.fragment and "a<b" not in section.fragment


def test_runs_without_text_add_nothing(tmp_path: Path) -> None:
    assert reading.sections(gathered(run(tmp_path / "a", {"000000.png": ""})), []) == []


def test_a_page_stays_small(tmp_path: Path) -> None:
    many = "".join(f"{number}\tword\n" for number in range(reading.MOST_TEXTS + 3))
    runs = [run(tmp_path / str(number), {"000000.txt": many}) for number in range(6)]
    (section,) = reading.sections(gathered(*runs), [])
    assert section.fragment.count("<blockquote>") == reading.MOST_TEXTS * reading.MOST_RUNS
    assert "and 3 more" in section.fragment and "2 more runs" in section.legend
