"""How numbers are printed, and that colours can be told from the page."""

from __future__ import annotations

import math

import pytest

from condensery.report import style
from condensery.statistics import Paired


def test_points_have_two_decimals_and_a_hole_is_a_dash() -> None:
    assert style.points(0.60433) == "60.43"
    assert style.points(None) == style.points(math.nan) == "–"


def test_differences_have_a_sign_and_there_is_no_negative_zero() -> None:
    assert style.signed(0.0147) == "+1.47"
    assert style.signed(-0.0016) == "\u22120.16"
    assert style.signed(-0.00001) == style.signed(0.0) == "0.00"


@pytest.mark.parametrize(
    ("crossed", "text"),
    [((None, None), "[+0.10, +2.83]"),
     ((-0.005, 0.04), "[+0.10, +2.83], trainings too [\u22120.50, +4.00]"),
     ((0.0009999, 0.0283001), "[+0.10, +2.83]")],
    ids=["not known", "wider", "wider by less than is printed"],
)  # fmt: skip
def test_an_interval_that_trainings_widen_is_told_beside_that_over_sets(
    crossed: tuple[float | None, float | None], text: str
) -> None:
    pair = Paired(0.015, 0.01, 0.01, 3.0, 0.001, 0.0283, 5, "sets", "above", False, 1, *crossed)
    assert style.ends(pair) == text


def test_one_value_has_no_interval() -> None:
    pair = Paired(0.015, None, None, None, None, None, 1, "evaluation seeds", None)
    assert style.ends(pair) == "" and pair.ends is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(61.234, "61.2"), (1234.0, "1,230"), (0.012345, "0.0123"), (0.0, "0"), (9.996, "10.0"),
     (None, "–"), (math.inf, "–")],
)  # fmt: skip
def test_seconds_have_three_significant_digits(value: float | None, text: str) -> None:
    assert style.seconds(value) == text


def test_bytes_are_exact() -> None:
    assert style.count(307200) == "307,200"
    assert style.plural(1, "byte") == "1 byte"
    assert style.plural(10, "class") == "10 classes"


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("paper", style.PAPER.values())
def test_every_colour_stands_out_from_the_light_and_the_dark_page(paper: str) -> None:
    colours = {look.colour for look in style.LOOKS.values()} | {*style.OTHERS, *style.TERMS}
    faint = {one: contrast(one, paper) for one in colours if contrast(one, paper) < 3}
    assert not faint


def test_no_two_rows_look_alike_in_black_and_white() -> None:
    hatches = [look.hatch for look in style.LOOKS.values()]
    assert len(set(hatches)) == len(hatches)


def test_an_unknown_method_keeps_its_name_and_always_has_the_same_colour() -> None:
    assert style.look("my method").label == "my method"
    assert style.look("my method") == style.look("my method")


def test_a_row_of_a_named_run_looks_like_its_method() -> None:
    assert style.look("hmdc [runs/b]").label == "HMDC [runs/b]"
    assert style.look("hmdc [runs/b]").colour == style.look("hmdc").colour
    assert style.is_baseline("start [idc]") and not style.is_baseline("idc [a]")
