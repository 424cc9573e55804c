"""The published table and what does not fit in it: found by computing, never written down."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from condensery.errors import UsageError
from condensery.report.published import (
    Block,
    Printed,
    Published,
    audit,
    literature,
    published,
    read_cell,
)

TABLE = published("table1")
CNN, VIT = slice(0, 4), slice(5, 8)


def kinds(table: Published, kind: str) -> list[tuple[str, str]]:
    return [(one.where, one.text) for one in audit(table) if one.kind == kind]


def test_the_table_has_three_blocks_of_six_methods_on_seven_networks() -> None:
    assert [block.per_class for block in TABLE.blocks] == [1, 10, 50]
    for block in TABLE.blocks:
        assert list(block.rows) == ["random", "cafe", "idm", "idc", "dream", "hmdc"]
        assert {len(row) for row in block.rows.values()} == {10}
    assert TABLE.cell("hmdc", "convnet3", 1) == Printed(38.74, 0.37, bold=True)
    assert TABLE.cell("hmdc", "convnet3", 2) is None


def test_all_rows_but_two_agree_with_their_averages_within_rounding() -> None:
    odd = set()
    for block in TABLE.blocks:
        for method, row in block.rows.items():
            values = [cell.mean for cell in row]
            cnn, vit = sum(values[CNN]) / 4, sum(values[VIT]) / 3
            whole = (sum(values[CNN]) + sum(values[VIT])) / 7
            apart = [abs(cnn - values[4]), abs(vit - values[8]), abs(whole - values[9])]
            if max(apart) > 0.0101:
                odd.add((block.per_class, method))
    assert odd == {(1, "idc"), (50, "dream")}
    found = [one for one in audit(TABLE) if one.kind in ("exchanged", "repeated", "sum")]
    assert len(found) == 2


def test_two_cells_of_dream_stand_in_each_others_place() -> None:
    ((where, text),) = kinds(TABLE, "exchanged")
    assert where == "50 per class, dream"
    assert "vit_small (79.75 ± 1.92) and average (93.17 ± 0.84)" in text


def test_idc_repeats_a_cell_and_its_averages_imply_another() -> None:
    ((where, text),) = kinds(TABLE, "repeated")
    assert where == "1 per class, idc"
    assert "vit_tiny and vit_small are the same cell (10.82 ± 1.81)" in text
    assert "implies 12.41" in text and "an average of 17.49" in text
    assert "ViT average 12.72 is printed, the columns give 12.19" in text


def test_deviations_of_averages_are_means_of_deviations_with_exceptions() -> None:
    ((_, text),) = kinds(TABLE, "rule")
    assert "the mean of the columns' deviations" in text and "CNN average 18 of 18" in text
    naive = set()
    for block in TABLE.blocks:
        for method, row in block.rows.items():
            sds = [cell.sd or 0.0 for cell in row]
            if (block.per_class, method) == (50, "dream"):
                sds[6], sds[9] = sds[9], sds[6]
            for name, own, printed in (
                ("CNN average", sds[CNN], sds[4]), ("ViT average", sds[VIT], sds[8]),
                ("average", [*sds[CNN], *sds[VIT]], sds[9]),
            ):  # fmt: skip
                if abs(sum(own) / len(own) - printed) > 0.0201:
                    naive.add((f"{block.per_class} per class, {method}", name))
    told = {(where, text.split(":")[0]) for where, text in kinds(TABLE, "deviation")}
    assert told == naive and ("1 per class, hmdc", "ViT average") in told


def test_bold_cells_that_are_not_the_best_are_listed() -> None:
    told = {(where, text.split()[0]) for where, text in kinds(TABLE, "bold")}
    assert {("10 per class, idm", "resnet18"), ("1 per class, hmdc", "vit_small")} <= told
    for where, column in told:
        count, method = where.split(" per class, ")
        if " " in column or column in ("CNN", "ViT"):
            continue
        block = next(one for one in TABLE.blocks if one.per_class == int(count))
        place = TABLE.columns.index(column)
        assert block.rows[method][place].mean < max(row[place].mean for row in block.rows.values())


def test_a_second_block_of_one_heading_and_a_wrong_number_of_parameters_are_told() -> None:
    assert kinds(TABLE, "heading")[0][0] == "50 per class"
    real = {"resnet50": 23_528_522, "resnet18": 11_181_642, "convnet3": 320_010}
    found = [one for one in audit(TABLE, real) if one.kind == "parameters"]
    assert [(one.where, "23.5 million" in one.text) for one in found] == [("resnet50", True)]


PLACES = [pair for pair in itertools.combinations(range(10), 2)]


SOUND = [(place, method) for place, block in enumerate(TABLE.blocks) for method in block.rows
         if (block.per_class, method) not in {(1, "idc"), (50, "dream")}]  # fmt: skip


@pytest.mark.parametrize(("place", "method"), SOUND)
def test_any_exchange_that_shows_in_the_averages_is_named(place: int, method: str) -> None:
    block = TABLE.blocks[place]
    for one, other in PLACES:
        row = list(block.rows[method])
        row[one], row[other] = row[other], row[one]
        doctored = replace(TABLE, blocks=(replace(block, rows={method: tuple(row)}),))
        found = [x.text for x in audit(doctored) if x.kind in ("exchanged", "sum", "repeated")]
        values = [cell.mean for cell in row]
        naive = [sum(values[CNN]) / 4, sum(values[VIT]) / 3,
                 (sum(values[CNN]) + sum(values[VIT])) / 7]  # fmt: skip
        shows = any(abs(a - b) > 0.0101 for a, b in zip(naive, values[4::4] + values[9:],
                                                        strict=True))  # fmt: skip
        wanted = (f"{TABLE.columns[one]} ({row[one].text}) and "
                  f"{TABLE.columns[other]} ({row[other].text})")  # fmt: skip
        assert (len(found) == 1 and wanted in found[0]) if shows else not found


def test_a_cell_that_is_wrong_in_itself_is_told_as_a_sum_that_does_not_fit() -> None:
    block = TABLE.blocks[1]
    row = list(block.rows["hmdc"])
    row[0] = replace(row[0], mean=row[0].mean + 9)
    doctored = replace(TABLE, blocks=(Block(10, "10", {"hmdc": tuple(row)}),))
    ((_, text),) = kinds(doctored, "sum")
    assert "CNN average 69.34 is printed, the columns give 71.59" in text


@pytest.mark.parametrize(
    ("text", "cell"),
    [("38.74±0.37", Printed(38.74, 0.37)), ("bold 49.43±10.9", Printed(49.43, 10.9, bold=True)),
     ("10.00±0.00*", Printed(10.0, 0.0, star=True)), ("14.4", Printed(14.4))],
)  # fmt: skip
def test_cells_are_read(text: str, cell: Printed) -> None:
    assert read_cell(text) == cell


def test_what_is_no_cell_or_no_table_is_told() -> None:
    with pytest.raises(ValueError, match="no cell"):
        read_cell("about 40")
    with pytest.raises(UsageError, match="table1, table2, table3"):
        published("table4")


def test_tables_of_sound_and_text_have_their_stars() -> None:
    assert published("table2").cell("dream", "audio_cnn", 1) == Printed(10.0, 0.0, star=True)
    assert published("table3").cell("hmdc", "lstm", 1) == Printed(50.0, 0.0, True, True)
    assert published("table3").cell("hmdc", "bert", 1) == Printed(51.12, 0.02, bold=True)


def test_the_literature_is_asked_by_data_method_size_and_recipe() -> None:
    assert literature("cifar10", "idc", 10, "idc") == (67.5, "authors' repository")
    assert literature("cifar10", "idc", 10, "dsa") is None
    assert literature("cifar10", "random", 10, "dc") is None
    assert literature("cifar10", "random", 10, "dsa") == (26.0, "NCFM (2025), Table 1")
    assert literature("cifar10", "ncfm", 10, "dsa") is None  # by a recipe that we do not have
    assert literature("cifar100", "idc", 1, "idc") is None
    assert literature("cifar10", "idc", 2, "idc") is None
    assert literature("digits", "idc", 1, "idc") is None
