"""Scores against values computed by hand; holes where a record is missing."""

from __future__ import annotations

import math

import pytest

from condensery.errors import UsageError
from condensery.records import Record
from condensery.scores import (
    BreakEven,
    augmentation_robust,
    augmentation_robust_of,
    break_even,
    break_even_over,
    held_out_worst,
    label_robust,
    label_robust_of,
    model_dependency,
    squashed,
)


def record(row: str, accuracy: float, replicate: int = 0, model: str = "mlp", **more: object):
    values = {
        "row": row, "model": model, "seen": False, "replicate": replicate, "seed": 0,
        "recipe": "quick", "split": "test", "accuracy": accuracy, "best": None, "data": "digits",
        "classes": 10, "per_class": 1, "samples": 10, "stored_bytes": 650, "epochs": 1,
        "updates": 1, "seconds": 1.0,
    }  # fmt: skip
    return Record(**{**values, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "expected"), [(-1, 0.0), (0, 1 / (1 + math.e)), (1, 1.0)])
def test_the_scale_goes_from_nought_to_one(value: float, expected: float) -> None:
    assert squashed(value) == pytest.approx(expected)


# (real, set, set with any labels, random with any labels) and the score, each computed by hand.
LABELS = [
    ((0.80, 0.40, 0.50, 0.30), 0.2285),
    ((0.848, 0.489, 0.489, 0.260), 0.2422),
    ((0.848, 0.260, 0.260, 0.260), 0.1606),
    ((0.848, 0.300, 0.320, 0.300), 0.1702),
    ((0.630, 0.500, 0.758, 0.300), 0.3448),
]


@pytest.mark.parametrize(("given", "expected"), LABELS)
def test_label_robust_scores_are_those_of_the_formula(
    given: tuple[float, float, float, float], expected: float
) -> None:
    assert label_robust(*given) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("plain", "expected"), [(0.20, 0.3631), (0.0, 0.3137), (-0.20, 0.2689)])
def test_augmentation_robust_scores_are_those_of_the_formula(plain: float, expected: float) -> None:
    assert augmentation_robust(0.6, 0.4, 0.3 + plain, 0.3) == pytest.approx(expected, abs=1e-4)


def test_random_against_itself_scores_as_derived() -> None:
    assert augmentation_robust(0.3, 0.3, 0.2, 0.2) == pytest.approx(1 / (1 + math.e))
    assert label_robust(0.8, 0.3, 0.3, 0.3) == pytest.approx(squashed(-0.5 * 0.5))


def test_scores_rise_with_the_gain_and_fall_with_the_gap() -> None:
    grid = [step / 20 for step in range(21)]
    by_gain = [label_robust(0.8, 0.4, gain, 0.3) for gain in grid]
    by_gap = [label_robust(real, 0.4, 0.5, 0.3) for real in grid]
    assert by_gain == sorted(by_gain) and by_gap == sorted(by_gap, reverse=True)
    assert all(0 <= one <= 1 for one in by_gain + by_gap)


@pytest.mark.parametrize("syn", [0.2, 0.5, 0.7])
def test_for_hard_labels_the_score_is_a_map_of_the_sets_accuracy(syn: float) -> None:
    real, random = 0.8, 0.3
    gap, gain = real - syn, syn - random
    assert gap + gain == pytest.approx(real - random)
    above = label_robust(real, syn, syn, random) > label_robust(0.5, 0.5, 0.5, 0.5)
    assert above == (syn > (random + real) / 2)


@pytest.mark.parametrize("given", [(80.0, 0.4, 0.5, 0.3), (0.8, -0.1, 0.5, 0.3)])
def test_percent_are_refused(given: tuple[float, float, float, float]) -> None:
    with pytest.raises(UsageError, match="looks like percent"):
        label_robust(*given)
    with pytest.raises(UsageError, match="looks like percent"):
        augmentation_robust(*given)


def test_scores_of_records_are_taken_set_by_set_and_then_averaged() -> None:
    records = [record("full", 0.8)]
    for replicate, (own, random) in enumerate([(0.5, 0.3), (0.6, 0.2)]):
        records += [record("hmdc", own, replicate), record("random", random, replicate)]
    (score,) = label_robust_of(records, "hmdc")
    each = [label_robust(0.8, 0.5, 0.5, 0.3), label_robust(0.8, 0.6, 0.6, 0.2)]
    assert score.interval is not None and score.interval.n == 2
    assert score.interval.mean == pytest.approx(sum(each) / 2)


def test_soft_labels_are_what_a_method_that_has_them_wants() -> None:
    records = [record("full", 0.8), record("hmdc", 0.4), record("random", 0.3),
               record("hmdc", 0.7, labels="static of t"),
               record("random", 0.35, labels="static of t")]  # fmt: skip
    (score,) = label_robust_of(records, "hmdc")
    assert score.interval is not None
    assert score.interval.mean == pytest.approx(0.2584, abs=1e-4)
    with pytest.raises(UsageError, match="several kinds of soft labels"):
        label_robust_of([*records, record("hmdc", 0.5, labels="live of t")], "hmdc")


def test_a_single_set_is_scored_beside_the_mean_of_all_random_draws() -> None:
    records = [record("full", 0.8), record("hmdc", 0.5)]
    records += [record("random", value, 1000 * draw) for draw, value in enumerate((0.1, 0.2, 0.6))]
    (score,) = label_robust_of(records, "hmdc")
    assert score.interval is not None and score.interval.n == 1
    assert score.interval.mean == pytest.approx(label_robust(0.8, 0.5, 0.5, 0.3))
    (score,) = augmentation_robust_of(records, records, "hmdc")
    assert score.interval is not None
    assert score.interval.mean == pytest.approx(augmentation_robust(0.5, 0.3, 0.5, 0.3))


def test_a_missing_record_is_a_hole() -> None:
    (score,) = label_robust_of([record("hmdc", 0.4), record("random", 0.3)], "hmdc")
    assert score.interval is None and score.missing == ("real",)
    (score,) = augmentation_robust_of([record("hmdc", 0.4), record("random", 0.3)], [], "hmdc")
    assert score.interval is None and score.missing == ("set, plain", "random, plain")


def test_augmentation_scores_pair_the_two_recipes() -> None:
    one = [record("hmdc", 0.6), record("random", 0.4)]
    other = [record("hmdc", 0.5, recipe="plain"), record("random", 0.3, recipe="plain")]
    (score,) = augmentation_robust_of(one, other, "hmdc")
    assert score.interval is not None
    assert score.interval.mean == pytest.approx(augmentation_robust(0.6, 0.4, 0.5, 0.3))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((3600, 20, 30, 60), BreakEven("after", 90)),
        ((3600, 20, 0, 150), BreakEven("after", 28)),
        ((5, 20, 30, 25), BreakEven("at once", 0)),
        ((5, 25, 30, 20), BreakEven("first", 5)),
        ((3600, 20, 30, 15), BreakEven("never", None)),
        ((30, 20, 30, 20), BreakEven("at once", 0)),
        ((29, 25, 30, 20), BreakEven("never", None)),
    ],
)
def test_condensing_pays_off_after_so_many_trainings(
    given: tuple[float, float, float, float], expected: BreakEven
) -> None:
    assert break_even(*given) == expected


def test_break_even_comes_sooner_where_the_other_is_slower_and_later_where_a_set_is_dear() -> None:
    by_slow = [break_even(3600, 20, 30, slow).trainings or 0 for slow in (30, 60, 120)]
    by_dear = [break_even(dear, 20, 30, 60).trainings or 0 for dear in (100, 1000, 10_000)]
    assert by_slow == sorted(by_slow, reverse=True) and by_dear == sorted(by_dear)
    with pytest.raises(UsageError, match="from 0"):
        break_even(-1, 1, 1, 1)


def test_model_dependency_of_a_single_set_goes_by_the_mean_of_all_draws() -> None:
    records = []
    for model, draws in {"a": (0.1, 0.3), "b": (0.2, 0.6)}.items():
        records.append(record("hmdc", 0.5, 0, model))
        records += [record("random", one, 1000 * place, model) for place, one in enumerate(draws)]
    (found,) = model_dependency(records, "hmdc")
    assert found.gaps == {"a": pytest.approx(0.3), "b": pytest.approx(0.1)}


def test_model_dependency_is_the_spread_of_the_gap_over_networks() -> None:
    records = []
    for model, gaps in {"a": (0.1, 0.3), "b": (0.0, 0.0), "c": (-0.1, 0.1)}.items():
        for replicate, gap in enumerate(gaps):
            records += [record("hmdc", 0.5 + gap, replicate, model),
                        record("random", 0.5, replicate, model)]  # fmt: skip
    records += [record(row, accuracy, 0, "a", per_class=10)
                for row, accuracy in (("hmdc", 0.5), ("random", 0.4))]  # fmt: skip
    one, ten = model_dependency(records, "hmdc")
    assert dict(one.gaps) == pytest.approx({"a": 0.2, "b": 0.0, "c": 0.0})
    assert one.sd == pytest.approx((2 * (0.2 / 3) ** 2 / 2 + (0.4 / 3) ** 2 / 2) ** 0.5)
    assert one.spread == pytest.approx(0.2)
    assert (ten.per_class, ten.sd, ten.spread) == (10, None, None)


def test_the_worst_network_is_picked_by_the_other_sets() -> None:
    gaps = {"a": (0.1, 0.3, 0.2), "b": (0.3, 0.0, 0.3)}
    records = [one for model, own in gaps.items() for replicate, gap in enumerate(own)
               for one in (record("hmdc", 0.5 + gap, replicate, model),
                           record("random", 0.5, replicate, model))]  # fmt: skip
    # Without set 0 b is worst (0.15 against 0.25): 0.3; without 1 a (0.15 against 0.3): 0.3;
    # without 2 b (0.15 against 0.2): 0.3.
    assert held_out_worst(records, "hmdc") == pytest.approx(0.3)
    assert held_out_worst(records[:2], "hmdc") is None


def test_break_even_over_sets_is_that_of_the_means_with_its_range():
    each = [(3600, 30, 20, 60), (1800, 30, 20, 60), (5400, 30, 20, 60)]
    each = [(made, trained, own, other) for made, own, trained, other in each]
    assert [break_even(*one).trainings for one in each] == [90, 45, 135]
    found = break_even_over(each)
    assert [one.trainings for one in (found.mean, found.smallest, found.largest)] == [90, 45, 135]
    told = "after 90 trainings (smallest: after 45 trainings; largest: after 135 trainings)"
    assert found.text == told
    more = break_even_over([*each, (3600, 20, 30, 15), (5, 20, 30, 25)])
    assert (more.smallest.kind, more.largest.kind) == ("at once", "never")
    assert break_even_over(each[:1]).text == "after 90 trainings"
    with pytest.raises(UsageError, match="no set"):
        break_even_over([])
