"""Statistics against worked examples, and what must not matter to them."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from condensery.errors import UsageError
from condensery.records import Record
from condensery.statistics import (
    compare,
    crossed,
    interval,
    members,
    paired,
    quantile,
    summarise,
    verdict,
)

SETS = [(60.2, 60.8, 59.9), (61.5, 62.1, 61.2), (59.0, 59.8, 59.4)]
OURS, PACKED, START = (46.1, 47.3, 45.8), (44.9, 45.2, 44.7), (45.5, 46.6, 45.6)


def by_seed(replicates):
    """One value a replicate, or several evaluation seeds."""
    return {i: dict(enumerate(one if isinstance(one, tuple) else (one,)))
            for i, one in enumerate(replicates)}  # fmt: skip


def record(row="ours", model="a", seen=False, replicate=0, seed=0, accuracy=0.5, **other):
    values = dict(recipe="hmdc", split="test", best=None, data="digits", classes=10, per_class=1.0,
                  samples=10, stored_bytes=650, epochs=10, updates=10, seconds=1.0)  # fmt: skip
    return Record(row=row, model=model, seen=seen, replicate=replicate, seed=seed,
                  accuracy=accuracy, **{**values, **other})  # fmt: skip


def records(values, **circumstances):
    return [record(replicate=i, seed=j, accuracy=value, **circumstances)
            for i, one in by_seed(values).items() for j, value in one.items()]  # fmt: skip


def line(lines, row, model):
    return next(one for one in lines if (one.row, one.model) == (row, model))


@pytest.mark.parametrize(
    ("n", "t"), [(2, 12.706), (3, 4.303), (4, 3.182), (5, 2.776), (10, 2.262), (20, 2.093)]
)
def test_the_quantiles_are_those_of_the_t_table(n, t):
    assert quantile(n - 1) == pytest.approx(t, abs=6e-4)


def test_evaluation_seeds_are_averaged_before_sets_are_compared():
    found = line(summarise(records(SETS)), "ours", "a")
    assert found.interval.mean == pytest.approx(60.43, abs=5e-3)
    assert found.interval.sd == pytest.approx(1.11, abs=5e-3)
    assert found.interval.high - found.interval.mean == pytest.approx(2.75, abs=1e-2)
    assert (found.replicates, found.seeds) == (3, 3)


def test_paired_differences_are_those_worked_by_hand():
    found = paired(by_seed(OURS), by_seed(PACKED))
    assert found.difference == pytest.approx(1.47, abs=5e-3)
    assert found.error == pytest.approx(0.318, abs=5e-4)
    assert found.t == pytest.approx(4.61, abs=5e-3)
    assert (found.low, found.high) == (pytest.approx(0.10, abs=5e-3), pytest.approx(2.83, abs=5e-3))
    assert (found.n, found.unit, found.verdict) == (3, "sets", "suggests above")
    found = paired(by_seed(OURS), by_seed(START))
    assert (found.difference, found.error) == (pytest.approx(0.5), pytest.approx(0.153, abs=5e-4))
    assert found.low == pytest.approx(-0.16, abs=5e-3)
    assert found.high == pytest.approx(1.16, abs=5e-3)
    assert (round(found.t, 2), found.verdict) == (3.27, "no difference")


def test_the_interval_over_sets_and_trainings_is_that_worked_by_hand():
    """Mean squares 3 (sets), 12 (seeds) and 0 (rest): the mean's variance is (3 + 12) / 9."""
    low, high = crossed([[0.0, 2.0, 4.0], [1.0, 3.0, 5.0], [2.0, 4.0, 6.0]])
    half = quantile(15**2 / (3**2 / 2 + 12**2 / 2)) * math.sqrt(15 / 9)
    assert (low, high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    # Seeds that scatter no more than the rest add nothing: the interval over sets stays.
    table = [[1.0, 2.0], [2.0, 1.0], [4.0, 5.0], [5.0, 4.0]]
    alone = interval([1.5, 1.5, 4.5, 4.5])
    assert crossed(table) == (pytest.approx(alone.low), pytest.approx(alone.high))


@pytest.mark.parametrize("table", [[[1.0, 2.0]], [[1.0], [2.0]]])
def test_one_set_or_one_training_has_no_interval_over_both(table):
    assert crossed(table) is None


def test_first_weights_that_all_sets_share_are_not_mistaken_for_a_gain():
    """Without any gain, 5 sets by 3 seeds: 95 of 100 intervals must hold 0, whatever scatters."""
    random, tables = np.random.default_rng(0), 400
    for of_sets, of_seeds in [(1.0, 0.0), (0.3, 1.0), (1.0, 1.0)]:
        alone = both = 0
        for _ in range(tables):
            table = (of_sets * random.normal(size=(5, 1)) + of_seeds * random.normal(size=(1, 3))
                     + random.normal(size=(5, 3)))  # fmt: skip
            over_sets = interval(table.mean(1).tolist())
            low, high = crossed(table.tolist())
            alone += over_sets.low <= 0 <= over_sets.high
            both += low <= 0 <= high
        assert both / tables >= 0.93
        assert alone / tables >= 0.93 or of_seeds > 0
        if of_seeds > of_sets:
            assert alone / tables < 0.75


def test_a_gain_that_hangs_on_the_first_weights_is_no_gain():
    """Five sets gain 3 points by one training's weights and nothing by the four others."""
    other = [(0.5, 0.5, 0.5, 0.5, 0.5)] * 5
    ours = [(0.53 + i / 1e4, *(0.5 + i / 1e4,) * 4) for i in range(5)]
    found = paired(by_seed(ours), by_seed(other))
    assert found.low > 0
    assert (found.crossed_low < 0, found.verdict) == (True, "no difference")
    assert found.ends == (found.crossed_low, found.crossed_high)
    by_one = paired(by_seed([one[:1] for one in ours]), by_seed([one[:1] for one in other]))
    assert (by_one.crossed_low, by_one.verdict) == (None, "above")
    assert by_one.ends == (by_one.low, by_one.high)
    # Sets with different seeds make no table; the verdict then rests on the sets.
    ours[0], other[0] = ours[0][:4], other[0][:4]
    found = paired(by_seed(ours), by_seed(other))
    assert (found.crossed_low, found.verdict) == (None, "above")


def test_the_difference_turned_round_is_below():
    assert paired(by_seed(PACKED), by_seed(OURS)).verdict == "suggests below"


@pytest.mark.parametrize(
    ("n", "low", "high", "said"),
    [(5, 0.1, 1, "above"), (5, -1, -0.1, "below"), (5, -0.1, 1, "no difference"),
     (4, 0.1, 1, "suggests above"), (3, -1, -0.1, "suggests below"), (3, -1, 1, "no difference"),
     (2, 0.1, 1, None), (1, 0.1, 1, None)],
)  # fmt: skip
def test_a_claim_needs_five_sets_and_a_hint_three(n, low, high, said):
    assert verdict((low + high) / 2, low, high, n) == said


def test_equal_differences_are_judged_by_their_sign_and_marked():
    found = paired(by_seed([0.6, 0.7, 0.8, 0.9, 1.0]), by_seed([0.5, 0.6, 0.7, 0.8, 0.9]))
    assert found.tied and found.t is None and found.verdict == "above"
    found = paired(by_seed([0.5] * 5), by_seed([0.5] * 5))
    assert found.tied and found.verdict == "no difference"
    assert (found.difference, found.sd) == (0, 0)


def test_one_set_is_paired_over_evaluation_seeds_and_nothing_is_concluded():
    found = paired({0: {0: 0.6, 1: 0.7, 2: 0.8}}, {0: {2: 0.7, 0: 0.5, 1: 0.5}})
    assert (found.n, found.unit, found.verdict) == (3, "evaluation seeds", None)
    assert found.difference == pytest.approx((0.1 + 0.2 + 0.1) / 3)
    single = paired({0: {0: 0.6}}, {0: {0: 0.5}})
    assert (single.n, single.sd, single.low, single.verdict) == (1, None, None, None)


def test_replicates_that_both_rows_have_make_the_pairs():
    draws = by_seed(PACKED + (10.0, 90.0))
    assert paired(by_seed(OURS), draws) == paired(by_seed(OURS), by_seed(PACKED))


def test_one_set_is_compared_with_the_mean_of_all_random_draws_and_says_of_how_many():
    lucky, usual = {0: {0: 0.2, 1: 0.4}}, {10**6: {0: 0.4, 1: 0.4}, 2 * 10**6: {0: 0.6, 1: 0.7}}
    ours = {0: {0: 0.6, 1: 0.7}}
    alone = paired(ours, lucky, draws=True)
    assert (alone.difference, alone.draws) == (pytest.approx((0.4 + 0.3) / 2), 1)
    found = paired(ours, lucky | usual, draws=True)
    assert found.difference == pytest.approx((0.6 - 0.4 + 0.7 - 0.5) / 2)
    assert (found.draws, found.n, found.unit, found.verdict) == (3, 2, "evaluation seeds", None)
    # A draw that lacks a training has no place in the mean.
    assert paired(ours, lucky | usual | {3 * 10**6: {0: 0.1}}, draws=True) == found
    # Sets of a method are no draws: its pair has the same seed.
    assert paired(ours, lucky | usual) == alone


def test_random_rows_alone_are_draws():
    made = records([0.7]) + records([0.5, 0.3], row="random packed")
    made += records([0.6, 0.2], row="start")
    (first, *_) = compare(made, "ours", "random packed")
    assert (first.paired.difference, first.paired.draws) == (pytest.approx(0.3), 2)
    made += records([0.4, 0.6], row="random, all bytes")
    (first, *_) = compare(made, "ours", "random, all bytes")
    assert (first.paired.difference, first.paired.draws) == (pytest.approx(0.2), 2)
    (first, *_) = compare(made, "ours", "start")
    assert (first.paired.difference, first.paired.draws) == (pytest.approx(0.1), 1)


def test_what_does_not_pair_is_refused():
    with pytest.raises(UsageError, match="evaluation seeds differ in replicate 0"):
        paired({0: {0: 0.5, 1: 0.5}}, {0: {0: 0.5, 2: 0.5}})
    with pytest.raises(UsageError, match="no replicate in common"):
        paired({0: {0: 0.5}}, {1: {0: 0.5}})


def test_the_order_of_records_does_not_matter():
    made = records(SETS) + records([OURS] * 3, row="random")
    expected = compare(made, "ours", "random")[0].paired
    for turned in (made[::-1], made[5:] + made[:5]):
        found = compare(turned, "ours", "random")[0].paired
        assert found.difference == pytest.approx(expected.difference)
        assert found.low == pytest.approx(expected.low)
        assert found.high == pytest.approx(expected.high)


def test_a_constant_shift_moves_means_only():
    plain = line(summarise(records(SETS)), "ours", "a").interval
    moved = [tuple(value + 7 for value in one) for one in SETS]
    shifted = line(summarise(records(moved)), "ours", "a").interval
    assert shifted.mean - plain.mean == pytest.approx(7)
    assert shifted.sd == pytest.approx(plain.sd)


def test_duplicating_every_evaluation_seed_leaves_the_interval():
    plain = line(summarise(records(SETS)), "ours", "a").interval
    doubled = line(summarise(records([one + one for one in SETS])), "ours", "a").interval
    assert doubled == plain


def test_equal_values_have_no_deviation_and_one_has_none_to_tell():
    assert interval([0.1] * 3).sd == 0
    assert interval([0.1]).sd is None
    with pytest.raises(UsageError, match="no value"):
        interval([])


def test_means_over_networks_are_taken_within_each_replicate():
    made = records([0.5, 0.7], model="a", seen=True) + records([0.9, 0.7], model="b")
    lines = summarise(made)
    assert [one.model for one in lines] == ["a", "b", "mean of seen", "mean of unseen",
                                            "mean of all", "worst"]  # fmt: skip
    both = line(lines, "ours", "mean of all")
    assert (both.interval.mean, both.interval.sd, both.seen) == (pytest.approx(0.7), 0, None)
    assert line(lines, "ours", "mean of unseen").interval.mean == pytest.approx(0.8)
    assert line(lines, "ours", "worst").network == "a"


def test_one_set_gives_the_deviation_over_its_trainings_and_says_so():
    found = line(summarise(records([(0.5, 0.6, 0.7)])), "ours", "a")
    assert (found.unit, found.replicates, found.seeds) == ("evaluation seeds", 1, 3)
    assert found.interval.sd == pytest.approx(0.1)


def test_a_missing_cell_makes_the_mean_a_hole_and_leaves_the_networks():
    made = records(SETS, model="a") + records(SETS, model="b")
    broken = [one for one in made if (one.model, one.replicate, one.seed) != ("b", 2, 1)]
    lines = summarise(broken)
    assert line(lines, "ours", "mean of all").interval is None
    assert line(lines, "ours", "a").interval is not None
    no_b = [one for one in made if one.model != "b"] + records(SETS, row="random", model="b")
    assert line(summarise(no_b), "ours", "mean of all").interval is None


def test_the_worst_network_is_the_one_of_the_least_difference():
    made = []
    for model, ours in (("a", 0.9), ("b", 0.4), ("c", 0.6)):
        made += records([ours] * 3, model=model)
        made += records([0.2 if model != "a" else 0.8] * 3, row="random", model=model)
    found = compare(made, "ours", "random")
    worst = found[-1]
    assert (worst.model, worst.network) == ("worst", "a")
    assert worst.paired.difference == pytest.approx(0.1)
    means = next(one for one in found if one.model == "mean of all")
    assert means.paired.difference == pytest.approx((0.1 + 0.2 + 0.4) / 3)


def test_a_cell_that_was_measured_again_counts_once_with_its_last_value():
    made = [record(accuracy=0.1), record(accuracy=0.6)]
    assert summarise(made)[0].interval.mean == 0.6


@pytest.mark.parametrize("change", [{"data": "other"}, {"recipe": "idc"}, {"split": "val"}])
def test_records_of_several_comparisons_are_not_mixed(change):
    with pytest.raises(UsageError, match="several comparisons"):
        summarise([record(), dataclasses.replace(record(), **change)])


def test_two_lengths_of_one_cell_are_not_mixed_and_a_missing_row_is_named():
    with pytest.raises(UsageError, match="differ in length"):
        summarise([record(), record(epochs=20)])
    with pytest.raises(UsageError, match="no record of row 'start'"):
        compare([record()], "ours", "start")
    with pytest.raises(UsageError, match="no records"):
        summarise([])


def test_every_order_of_three_sets_gives_the_same_interval():
    found = {
        tuple(round(x, 9) for x in (one.mean, one.sd, one.low, one.high))
        for one in (interval(list(turn)) for turn in itertools.permutations(OURS))
    }
    assert len(found) == 1


def test_means_over_families_give_each_network_one_vote_and_unknown_kinds_none():
    kinds = {"a": "cnn", "b": "cnn", "c": "vit", "d": ""}
    rows = [one for place, (name, family) in enumerate(kinds.items())
            for one in records([0.1 * place, 0.1 * place + 0.2], model=name, family=family)]
    assert members(rows)["mean of CNNs"] == ["a", "b"]
    assert members(rows)["mean of ViTs"] == ["c"] and members(rows)["mean of all"] == [*"abcd"]
    found = line(summarise(rows), "ours", "mean of CNNs")
    assert found.interval.mean == pytest.approx(0.15) and found.seen is None


def test_records_without_families_have_no_means_over_them():
    assert [one.model for one in summarise(records([0.5]))] == ["a", "mean of unseen",
                                                                "mean of all", "worst"]  # fmt: skip


def test_a_set_that_is_one_for_all_seeds_counts_once():
    same = [record("mean", replicate=i, seed=j, accuracy=0.8 + 0.01 * j, fingerprint="f")
            for i in range(5) for j in range(3)]  # fmt: skip
    found = line(summarise(same), "mean", "a")
    assert (found.unit, found.replicates, found.seeds) == ("evaluation seeds", 1, 3)
    assert found.interval.sd == pytest.approx(0.01)
    ours = [record("ours", replicate=i, seed=j, accuracy=0.9 + 0.01 * i, fingerprint=f"o{i}")
            for i in range(5) for j in range(3)]  # fmt: skip
    lines = summarise([*ours, *same])
    assert line(lines, "ours", "a").replicates == 5
    pair = compare([*ours, *same], "ours", "mean")[0].paired
    assert (pair.n, pair.unit) == (5, "sets"), "each set is still compared with it"
