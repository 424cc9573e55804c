"""The page: whole, honest, self-contained, and never broken by what it shows."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from condensery.errors import UsageError
from condensery.records import Record
from condensery.report import MAKERS, Heading, Section, report
from condensery.report.gather import gather
from condensery.report.panels import panels
from report.runs import demo_records, evaluated, grid, record, run_directory, write

VOID = {"meta", "link", "img", "br", "hr", "input"}
HOSTILE = "<script>alert('x')</script>"


class Strict(HTMLParser):
    """Collects elements, and complains of tags that do not close what was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def parsed(html: str) -> Strict:
    parser = Strict()
    parser.feed(html)
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("demo")
    networks = {"convnet3": True, "vit_mini": True, "mlp": False}
    rows = {"random": 0.5, "random packed": 0.55, "mean": 0.6, "start": 0.58, "hmdc": 0.66}
    records = demo_records(0, networks, rows)
    run = evaluated(run_directory(base / "run"), records)
    report(run, base / "out")
    return base / "out"


def test_all_promised_files_are_written(demo: Path) -> None:
    names = {path.name for path in demo.iterdir()}
    assert {"report.html", "table.md", "table.csv", "differences.csv", "records.csv"} <= names
    for figure in ("accuracy", "gap-hmdc", "heatmap", "seconds", "balance-hmdc", "terms-hmdc"):
        assert {f"{figure}.png", f"{figure}.svg"} <= names


def test_the_page_is_sound_html_and_asks_nobody_for_anything(demo: Path) -> None:
    html = (demo / "report.html").read_text(encoding="utf-8")
    page = parsed(html)
    assert "http://" not in html and "https://" not in html and "@import" not in html
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object")
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:", "#")), address


def test_every_picture_has_words_and_every_name_is_used_once(demo: Path) -> None:
    page = parsed((demo / "report.html").read_text(encoding="utf-8"))
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 20 and all(one.get("alt") for one in pictures)
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == 6 and all(one.get("aria-label") for one in drawings)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_says_what_was_made_what_it_shows_and_how_to_do_it_again(demo: Path) -> None:
    html = (demo / "report.html").read_text(encoding="utf-8")
    assert "<h1>HMDC on digits</h1>" in html
    assert "One condensed set (n = 1)" in html
    assert "condensery condense digits" in html and "--method.lr 0.005" in html
    assert "condensery evaluate runs/run" in html and "--models convnet3,vit_mini,mlp" in html
    assert "A processor" in html and "2.14.1" in html


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", names=(HOSTILE, 'a"b', "c & d"), note=HOSTILE)
    evaluated(run, [record(model=HOSTILE, row=HOSTILE, data=HOSTILE, recipe=HOSTILE)])
    html = report([run], tmp_path / "out").read_text(encoding="utf-8")
    page = parsed(html)
    assert "<script" not in html
    titles = [attributes.get("title") for _, attributes in page.tags]
    assert HOSTILE in titles and 'a"b' in titles and "c & d" in titles


def of_many_kinds(recipes: tuple[str, ...], splits: tuple[str, ...] = ("test",),
                  labels: tuple[str, ...] = ("hard",)) -> list[Record]:  # fmt: skip
    return [
        record(row=row, model=model, recipe=recipe, per_class=size, split=split, labels=label,
               replicate=one, accuracy=0.4 + 0.01 * one, data="cifar10", family="cnn")
        for row in ("hmdc", "idc", "random", "full") for model in ("convnet3", "mlp")
        for recipe in recipes for size in (1.0, 10.0) for split in splits for label in labels
        for one in (0, 1)
    ]  # fmt: skip


def test_no_two_figures_or_tables_of_several_comparisons_share_a_file() -> None:
    gathered = gather(of_many_kinds(("quick", "quick-plain", "hmdc", "hmdc-released"),
                                    ("test", "val"), ("hard", "static of t")))  # fmt: skip
    shown = panels(gathered.records)
    found = [one for maker in MAKERS for one in maker(gathered, shown)]
    assert len(shown) == 32 and sum(len(one.drawings) for one in found) > 40
    for names in ([one.name for section in found for one in section.drawings],
                  [one.name for one in found if one.name], [one.title for one in found]):
        assert len(names) == len(set(names))


def test_two_recipes_on_one_data_set_keep_their_own_figures(tmp_path: Path) -> None:
    html = report(of_many_kinds(("quick", "quick-plain")), tmp_path).read_text(encoding="utf-8")
    page = parsed(html)
    drawn = sum(tag == "svg" for tag, _ in page.tags)
    for suffix in ("svg", "png"):
        assert len(list(tmp_path.glob(f"*.{suffix}"))) == drawn
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for recipe in ("quick", "quick-plain"):
        assert (tmp_path / f"gap-to-random-cifar10-10-{recipe}.png").is_file()


def test_a_hole_is_seen_on_the_page(tmp_path: Path) -> None:
    cells = {("hmdc", "a"): [[60.0]], ("hmdc", "b"): [[61.0]], ("random", "a"): [[50.0]]}
    html = report(grid(cells), tmp_path).read_text(encoding="utf-8")
    assert re.search(r'<td class="hole">–<small>not measured</small></td>', html)
    assert "No claim is made" in html


def test_a_run_without_records_still_has_its_pictures_and_curves(tmp_path: Path) -> None:
    html = report(run_directory(tmp_path / "run"), tmp_path / "out").read_text(encoding="utf-8")
    assert "HMDC on digits" in html and html.count("<img") == 20
    assert "No condensed set was evaluated" in html
    assert "run `condensery evaluate` on it" in html


def test_a_page_that_evaluates_nothing_by_plan_raises_no_alarm(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run")
    drawn = Heading("Figure 5", ("a paper",), "condensery study figure5", evaluated=False)
    html = report(run, tmp_path / "out", [Section("Terms")], drawn).read_text(encoding="utf-8")
    parsed(html)
    for alarm in ("not measured", "no records", "condensery evaluate", "#results", "#headline"):
        assert alarm not in html
    assert "Nothing is missing." in html and "Terms" in html
    evaluated(run, [record(), record(row="random")])
    html = report(run, tmp_path / "out", [Section("Terms")], drawn).read_text(encoding="utf-8")
    assert "HMDC reaches" in html and 'id="results"' in html


def test_a_page_says_first_what_it_is_of_and_how_to_make_all_of_it(tmp_path: Path) -> None:
    run = evaluated(run_directory(tmp_path / "run"), [record()])
    heading = Heading("Table <1>", ("a paper", "size mini"), "condensery study table1")
    html = report(run, tmp_path / "out", heading=heading).read_text(encoding="utf-8")
    assert "<h1>Table &lt;1&gt;</h1>" in html
    assert '<p class="sub">a paper · size mini · HMDC on digits · 1 stored sample' in html
    assert 0 < html.index("condensery study table1") < html.index("condensery condense digits")


def test_a_selection_is_not_blamed_for_the_steps_that_it_never_takes(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", steps=0)
    (run / "events.jsonl").unlink()
    evaluated(run, [record()])
    html = report(run, tmp_path / "out").read_text(encoding="utf-8")
    assert "Nothing is missing." in html and "A selection takes no steps" in html
    assert 'aria-label="condensed sample of class' not in html  # no hole in the second picture


def test_the_list_of_contents_has_short_names_and_each_but_once(tmp_path: Path) -> None:
    parts = [Section("Score: digits, recipe quick"), Section("Other"), Section("Score: cifar10")]
    html = report([record(model=name) for name in "ab"], tmp_path, parts).read_text("utf-8")
    contents = html[html.index("<nav") : html.index("</nav>")]
    assert '<a href="#section-1">Score (2)</a>' in contents and "digits" not in contents
    assert contents.count("Score") == 1 and '<a href="#section-2">Other</a>' in contents


@pytest.mark.parametrize(("sets", "folded"), [(2, False), (3, True)])
def test_boxes_of_which_none_makes_a_claim_fold_from_three_on(
    sets: int, folded: bool, tmp_path: Path
) -> None:
    rows = [*("hmdc", "idc", "dream")[:sets], "random", "start"]
    html = report([record(row=row) for row in rows], tmp_path).read_text("utf-8")
    assert (f"{sets} sets in words ({sets} no claim yet)" in html) == folded
    assert html.count('class="claim open"') == sets


def test_a_run_of_nothing_but_an_empty_config_is_a_page_of_holes(tmp_path: Path) -> None:
    write(tmp_path / "run" / "config.json", {})
    html = report(tmp_path / "run", tmp_path / "out").read_text(encoding="utf-8")
    parsed(html)
    assert "no pictures in this run" in html and "does not say how it was made" in html


@pytest.mark.parametrize("odd", [
    {"settings": [1], "budget": "x", "circumstances": 3},
    {"settings": {"method": 5, "data": {"a": 1}, "per_class": "many", "fields": []}},
    {"settings": {"fields": {"peers": "convnet3"}, "method": None}, "budget": {"steps": None}},
])  # fmt: skip
def test_odd_values_in_a_config_do_not_stop_the_report(tmp_path: Path, odd: dict) -> None:
    run = evaluated(run_directory(tmp_path / "run", steps=3), [record()])
    write(run / "config.json", odd)
    card = {"codec": 1, "label_names": "abc", "stored_samples": "x", "bytes": None, "about": []}
    write(run / "synthetic" / "card.json", card)
    parsed(report(run, tmp_path / "out").read_text(encoding="utf-8"))


def test_five_runs_are_one_row_of_five_sets(tmp_path: Path) -> None:
    rows = {"random": 0.5, "random packed": 0.55, "start": 0.58, "hmdc": 0.66}
    runs = []
    for seed in range(5):
        records = demo_records(seed, {"convnet3": True, "mlp": False}, rows)
        runs.append(evaluated(run_directory(tmp_path / str(seed), seed=seed, steps=3), records))
    html = report(runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "n = 5, m = 3" in html and "5 runs" in html
    assert 'class="claim above"' in html


def test_an_output_that_is_a_file_is_refused_and_kept(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        report([record()], taken)
    assert taken.read_text() == "mine"


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    report([record()], tmp_path)
    report([record()], tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_thirty_runs_are_one_page_within_seconds_and_not_a_heavy_one(tmp_path: Path) -> None:
    rows = {"random": 0.5, "random packed": 0.55, "start": 0.58, "hmdc": 0.66}
    runs = []
    for method in ("hmdc", "dream", "idc", "idm", "cafe", "dm"):
        for seed in range(5):
            run = run_directory(tmp_path / method / str(seed), seed=seed, steps=500)
            config = json.loads((run / "config.json").read_text())
            write(run / "config.json",
                  config | {"settings": config["settings"] | {"method": method}})  # fmt: skip
            records = [record(**vars(one) | {"row": method if one.row == "hmdc" else one.row})
                       for one in demo_records(seed, {"convnet3": True, "mlp": False}, rows)]
            runs.append(evaluated(run, records))
    began = time.process_time()  # not of the clock: others may be at work here
    page = report(runs, tmp_path / "out")
    assert time.process_time() - began < 30
    assert page.stat().st_size < 15_000_000
    html = page.read_text(encoding="utf-8")
    parsed(html)
    assert html.count("4 more of") == 6 and "6 sets in words" in html and "30 runs" in html
