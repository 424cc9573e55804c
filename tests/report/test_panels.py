"""Which numbers stand together, and what may be said of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from condensery.report.commands import evaluate_command
from condensery.report.comparison import gap_bars
from condensery.report.panels import DRAWS, panels
from condensery.report.tables import beside, differences, markdown
from report.runs import grid, record

SET = [[46.1], [47.3], [45.8]]
RANDOM = [[44.9], [45.2], [44.7]]
START = [[45.5], [46.6], [45.6]]


def unseen(**rows: list[list[float]]) -> dict[tuple[str, str], list[list[float]]]:
    return {(row, "mlp"): values for row, values in rows.items()}


def the_panel(cells: dict[tuple[str, str], list[list[float]]], **values: object):
    (panel,) = panels(grid(cells, **{"seen": False} | values))
    return panel


def test_the_condensed_set_stands_first_and_networks_that_took_part_too() -> None:
    records = [
        record(row="random", model="mlp", seen=False),
        record(row="kmeans", model="mlp", seen=False),
        record(row="hmdc", model="convnet3", seen=True),
        record(row="start", model="convnet3", seen=True),
    ]
    (panel,) = panels(records)
    assert panel.rows == ["hmdc", "start", "random", "kmeans"]
    assert list(panel.seen) == ["convnet3", "mlp"]
    assert panel.means == ["mean of seen", "mean of unseen", "mean of all"]


def test_means_over_families_are_shown_where_they_are_more_than_one_network_and_not_all() -> None:
    kinds = {"a": "cnn", "b": "cnn", "c": "vit", "d": "mlp"}
    records = [record(model=name, family=kind, seen=name == "a", accuracy=0.1 * place)
               for place, (name, kind) in enumerate(kinds.items(), start=1)]  # fmt: skip
    (panel,) = panels(records)
    assert panel.means == ["mean of seen", "mean of unseen", "mean of CNNs", "mean of all"]
    found = panel.lines["hmdc", "mean of CNNs"].interval
    assert found is not None and found.mean == pytest.approx(0.15)
    (alike,) = panels([one for one in records if one.family == "cnn"])
    assert alike.means == ["mean of seen", "mean of unseen", "mean of all"]


def test_records_of_two_splits_are_two_comparisons() -> None:
    assert [one.split for one in panels([record(), record(split="val")])] == ["test", "val"]


def test_hard_and_soft_labels_are_two_comparisons() -> None:
    hard, soft = panels([record(), record(labels="live of convnet3, temperature 4")])
    assert "labels" not in hard.title
    assert soft.title.endswith("labels live of convnet3, temperature 4")


@pytest.mark.parametrize(("draws", "few"), [(3, True), (9, True), (10, False), (12, False)])
def test_random_of_fewer_than_ten_draws_is_said_to_be_luck(draws: int, few: bool) -> None:
    rows = {"random": [[44.9]] * draws, "random packed": [[45.0]] * 10, "hmdc": SET}
    panel = the_panel(unseen(**rows))
    assert panel.few == (f"Fewer than 10 draws: Random {draws}; a mean of so few is the luck of "
                         f"the draw." if few else "")  # fmt: skip
    assert not the_panel(unseen(hmdc=SET)).few
    (noted,) = [panel.few] if few else [""]
    assert noted in markdown([panel]) and ("Fewer than" in markdown([panel])) == few


def test_both_random_rows_are_counted_on_the_network_that_has_fewest() -> None:
    cells = {("random", "a"): [[1.0]] * 10, ("random", "b"): [[1.0]] * 4,
             ("random packed", "a"): [[1.0]] * 2, ("hmdc", "a"): [[2.0]]}  # fmt: skip
    assert "draws: Random 4 and packed Random 2;" in the_panel(cells).few


SOFT = "static of convnet3, temperature 4"


def soft_rows(labels: str = SOFT, whole: int = 690) -> list:
    """A set with soft labels that take 50 bytes, and real samples with hard ones in all bytes."""
    rows = {"hmdc": (labels, 700, 0.5), "random": (labels, 700, 0.3),
            "random, all bytes": ("hard", whole, 0.42)}  # fmt: skip
    return [record(row=row, labels=kind, stored_bytes=stored, accuracy=accuracy, samples=stored)
            for row, (kind, stored, accuracy) in rows.items()]  # fmt: skip


def test_hard_labels_in_all_bytes_stand_beside_soft_ones_and_in_no_table_with_them() -> None:
    hard = [record(row=row, accuracy=0.4) for row in ("hmdc", "random")]
    shown = panels([*hard, *soft_rows()])
    assert [one.rows for one in shown] == [["hmdc", "random"], ["hmdc", "random"]]
    assert shown[0].beside is None
    assert shown[1].labels == SOFT and shown[1].beside is not None
    (grid,) = beside(shown[1])
    assert "with hard labels" in grid.caption
    ((row, name, cells),) = grid.rows
    told = dict(zip([one.text for one in grid.heads], cells, strict=True))
    assert (row, name.text) == ("random, all bytes", "Random, all bytes")
    assert told["● convnet3"].text == "42.00" and told["stored"].text == "690"
    text = markdown(shown)
    assert text.count("Random, all bytes") == 1 and "Beside it, with hard labels" in text


def test_soft_labels_of_baselines_alone_have_their_row_in_all_bytes_beside_them_too() -> None:
    (shown,) = panels([one for one in soft_rows() if one.row != "hmdc"])
    assert shown.rows == ["random"] and shown.beside is not None


def test_of_several_rows_in_all_bytes_the_largest_that_fits_is_beside_the_set() -> None:
    live = [record(row="random, all bytes", stored_bytes=1_000_000, epochs=7)]
    (panel,) = panels([*soft_rows(), *live])
    assert panel.beside is not None
    assert [one.stored_bytes for one in panel.beside.records] == [690]


def test_without_soft_labels_it_is_a_baseline_like_others() -> None:
    (panel,) = panels([record(), *soft_rows()[-1:]])
    assert panel.rows == ["hmdc", "random, all bytes"] and panel.condensed == ["hmdc"]


def test_a_set_that_is_compared_with_the_mean_of_draws_says_so() -> None:
    cells = unseen(hmdc=[[50.0, 52.0]], random=[[40.0, 41.0], [44.0, 43.0]], start=[[49.0, 50.0]])
    panel = the_panel(cells)
    (claim,) = panel.claims
    assert "+9.00 against the mean of 2 draws of Random [" in claim.numbers
    assert "+1.50 against its own step-0 set" in claim.numbers
    rows = {key: dict(zip(("random", "start"), row, strict=True))
            for key, _, row in differences(panel, "hmdc").rows}  # fmt: skip
    assert "mean of 2 draws" in rows["mlp"]["random"].detail
    assert "draws" not in rows["mlp"]["start"].detail


def test_ten_draws_are_what_evaluation_makes_by_itself() -> None:
    from condensery.evaluate.runs import DRAWS as MADE

    assert DRAWS == MADE


def test_comparisons_are_told_apart_by_what_they_differ_in() -> None:
    one, other = panels([record(recipe="quick"), record(recipe="quick-plain", per_class=10.0)])
    assert [shown.apart([one, other]) for shown in (one, other)] == ["quick", "quick-plain"]
    assert one.apart([one]) == ""
    test, val = panels([record(), record(split="val")])
    assert (test.apart([test, val]), val.apart([test, val])) == ("test", "val")
    (elsewhere,) = panels([record(data="cifar10", recipe="dsa")])
    assert test.apart([test, elsewhere]) == ""


def test_the_command_names_the_teacher_and_the_search() -> None:
    told = {"regime": "static", "teacher": {"name": "mlp"}, "temperature": 4.0, "updates": 9}
    made = record(labels="static of mlp, temperature 4", settings={"labels": told},
                  recipe="quick (20 updates), rate searched")  # fmt: skip
    (panel,) = panels([made])
    command = evaluate_command(panel, [])
    for flag in ("--recipe quick ", "--updates 20", "--rate search", "--labels static",
                 """--teacher '{"name": "mlp"}'""", "--temperature 4.0"):  # fmt: skip
        assert flag in command.replace("\\\n", " ")


def test_what_only_suggests_a_gain_over_random_and_none_over_its_start_is_not_above() -> None:
    # The worked example: d = +1.47 [.10, 2.83] over Random, +.50 [-.16, 1.16] over step 0.
    (claim,) = the_panel(unseen(hmdc=SET, random=RANDOM, start=START)).claims
    assert claim.state == "not"
    assert "+1.47 against Random [+0.10, +2.83]" in claim.numbers
    assert "+0.50 against its own step-0 set [\u22120.16, +1.16]" in claim.numbers
    assert "no difference shown from its own step-0 set" in claim.verdict
    assert "suggests above Random" in claim.verdict


def test_five_sets_above_random_and_their_own_start_are_a_claim() -> None:
    high, low = [[60 + i] for i in range(5)], [[50 + i + 0.1 * (i % 2)] for i in range(5)]
    (claim,) = the_panel(unseen(hmdc=high, random=low, start=low)).claims
    assert claim.state == "above"
    assert claim.verdict == "Above Random and its own step-0 set (paired 95 % intervals, n = 5)."


def test_a_gain_over_the_start_by_the_first_weights_alone_is_no_claim() -> None:
    """Each of five sets gains 3 points by one training's weights, and nothing by four others."""
    high = [[63 + i / 100, *(60 + i / 100,) * 4] for i in range(5)]
    start, low = [[60.0] * 5] * 5, [[50.0] * 5] * 5
    panel = the_panel(unseen(hmdc=high, random=low, start=start))
    (claim,) = panel.claims
    assert claim.state == "not"
    assert "no difference shown from its own step-0 set" in claim.verdict
    told = "+0.62 against its own step-0 set [+0.60, +0.64], trainings too [−1.05, +2.29]"
    assert told in claim.numbers
    # The interval over Random is wider too, and far above 0.
    assert panel.paired("hmdc", "random", "mlp").verdict == "above"
    cells = [cell for _, _, row in differences(panel, "hmdc").rows for cell in row]
    assert any("trainings too [\u22121.05, +2.29], SE 0.01" in cell.detail for cell in cells)


def test_three_sets_suggest_at_most() -> None:
    high, low = [[60], [61], [62]], [[50], [51.1], [52]]
    (claim,) = the_panel(unseen(hmdc=high, random=low, start=low)).claims
    assert claim.state == "suggests"
    assert "suggests" in claim.verdict


@pytest.mark.parametrize("sets", [1, 2])
def test_fewer_than_three_sets_say_nothing_however_large_the_gap(sets: int) -> None:
    high, low = [[90, 91, 92]] * sets, [[10, 11, 12]] * sets
    (claim,) = the_panel(unseen(hmdc=high, random=low, start=low)).claims
    assert claim.state == "open"


def test_a_packed_set_must_beat_packed_random_too() -> None:
    high, low = [[60], [61], [62]], [[50], [51.1], [52]]
    cells = unseen(hmdc=high, random=low, start=low)
    (claim,) = the_panel(cells, samples=40).claims
    assert claim.state == "hole"
    assert "packed Random was not measured" in claim.verdict
    (claim,) = the_panel(cells | {("random packed", "mlp"): low}, samples=40).claims
    assert claim.state == "suggests"


def test_the_headline_is_about_networks_that_never_took_part() -> None:
    high, low = [[60], [61], [62]], [[50], [51.1], [52]]
    cells = {(row, model): low for row in ("hmdc", "random", "start") for model in ("a", "b")}
    cells["hmdc", "a"] = high  # far above on the peer, equal on the other
    records = [record(**vars(one) | {"seen": one.model == "a"}) for one in grid(cells)]
    (panel,) = panels(records)
    (claim,) = panel.claims
    assert panel.scope == "mean of unseen"
    assert claim.state == "not"
    assert "0.00 against Random" in claim.numbers


def test_the_strongest_other_row_is_named() -> None:
    cells = unseen(hmdc=[[50], [51]], mean=[[55], [56]], random=[[40], [41]], start=[[45], [46]])
    (claim,) = the_panel(cells).claims
    assert claim.numbers.endswith("The best other row is class means with 55.50 %.")


def test_unlike_evaluation_seeds_are_a_hole_and_a_note() -> None:
    records = [record(row="hmdc", seed=0), record(row="random", seed=1)]
    (panel,) = panels(records)
    assert panel.paired("hmdc", "random", "convnet3") is None
    assert any("do not pair" in note for note in panel.notes)


def test_shorter_trainings_measured_before_are_left_out_with_a_note() -> None:
    records = [record(epochs=10, accuracy=0.2), record(epochs=100, accuracy=0.6)]
    (panel,) = panels(records)
    assert [one.accuracy for one in panel.records] == [0.6]
    assert "another length" in panel.notes[0]


def test_a_network_that_never_left_chance_and_its_means_carry_a_star() -> None:
    cells = {
        ("hmdc", "a"): [[10.0], [10.05], [10.0]],
        ("hmdc", "b"): [[60], [61], [62]],
        ("random", "a"): [[12.08], [11.0], [13.0]],
        ("random", "b"): [[50], [51], [52]],
    }
    (panel,) = panels(grid(cells, seen=False))
    assert ("hmdc", "a") in panel.stars and ("hmdc", "mean of unseen") in panel.stars
    assert ("hmdc", "b") not in panel.stars and ("random", "a") not in panel.stars


def test_one_set_at_chance_has_no_star() -> None:
    (panel,) = panels(grid({("hmdc", "a"): [[10.0, 10.0, 10.0]]}))
    assert not panel.stars


ONE_CLASS = [[0, 0, 5, *(0,) * 7] for _ in range(10)]
MIXED = [[0, 1, 4, *(0,) * 7] for _ in range(10)]


@pytest.mark.parametrize("sets", [1, 2, 3])
def test_one_class_predicted_throughout_is_a_star_for_any_number_of_sets(sets: int) -> None:
    told = [record(replicate=one, accuracy=0.13, confusion=ONE_CLASS) for one in range(sets)]
    (panel,) = panels(told)
    assert ("hmdc", "convnet3") in panel.stars
    for other in (MIXED, None):  # of one further training two classes, or nothing is known
        (panel,) = panels([*told, record(seed=1, accuracy=0.13, confusion=other),
                           *(record(replicate=one, seed=1, accuracy=0.13, confusion=ONE_CLASS)
                             for one in range(1, sets))])  # fmt: skip
        assert not panel.stars


@pytest.mark.parametrize(
    ("samples", "error"), [(8, "5.59"), (99, "1.59"), (100, None), (1000, None)]
)
def test_a_small_test_split_is_said_to_make_numbers_unsure(samples: int, error: str | None) -> None:
    """80 clips at 50 %: 5.59 points; ten classes of so many samples."""
    told = [[samples, *(0,) * 9] for _ in range(10)]
    (panel,) = panels([record(accuracy=0.5, confusion=told),
                       record(row="random", accuracy=0.2, confusion=told)])  # fmt: skip
    text = markdown([panel])
    if error is None:
        assert panel.finite == ""
    else:
        assert f"50.00 % unsure by {error} points" in panel.finite and panel.finite in text
        assert f"{10 * samples} samples of the test split" in text
    assert panels([record()])[0].finite == ""  # no confusion, so it is not known


def test_a_training_whose_loss_was_not_finite_marks_its_cell_and_every_mean_that_holds_it() -> None:
    why = "the loss is not finite in epoch 2 of 4: lower its rate in the recipe"
    cells = {("hmdc", "mlp"): SET, ("hmdc", "lenet"): SET, ("random", "mlp"): RANDOM}
    whole = grid(cells, seen=False)
    assert not panels(whole)[0].ended and "†" not in markdown(panels(whole))
    spoilt = [replace(one, failed=why) if (one.row, one.model, one.replicate) ==
              ("hmdc", "lenet", 1) else one for one in whole]  # fmt: skip
    (panel,) = panels(spoilt)
    means = ("mean of unseen", "mean of all")
    assert panel.failed == {("hmdc", name): 1 for name in ("lenet", *means)}
    assert [panel.mark("hmdc", name) for name in ("mlp", "lenet")] == ["", "†"]
    said = markdown([panel])
    assert "46.40 ± 0.79† (n = 3, m = 1)" in said
    assert "† holds a training whose loss was not finite" in said


def test_a_selection_is_its_own_step_zero_and_no_row_beside_itself() -> None:
    """Its start, and another arm's start that is the class means, name no other set."""
    rows = {"random (run) [r]": (SET, "r"), "start [r]": (SET, "r"), "start [m]": (SET, "m"),
            "mean": (SET, "m"), "random": (RANDOM, "b")}  # fmt: skip
    records = [replace(one, fingerprint=mark) for row, (values, mark) in rows.items()
               for one in grid({(row, "mlp"): values})]  # fmt: skip
    (panel,) = panels(records)
    (claim,) = panel.claims
    assert "own step 0, as a selection's is" in claim.numbers and claim.state != "hole"
    assert "best other row is class means" in claim.numbers
    assert [one.text for one in differences(panel, "random (run) [r]").heads] == ["against Random"]
    assert {against for _, against, _ in panel.gaps} == {"random"}
    drawn = gap_bars(panel, "random (run) [r]", "gap")
    assert drawn is not None and drawn.title == "random (run) [r]: gap to Random"
    assert "draws: Random 3;" in panel.few


@pytest.mark.parametrize(("random", "why"), [
    ({}, "Random was not measured."),
    ({("random", "mlp"): [[40.0]]}, "Random was not measured on a_vit and a_cnn."),
    ({("random", name): [[40.0, 41.0]] for name in ("mlp", "a_vit", "a_cnn")},
     "Random was not measured with the same seeds."),
])  # fmt: skip
def test_a_claim_that_is_not_made_says_what_of_random_is_missing(random: dict, why: str) -> None:
    rows = {(row, name): [[50.0]] for row in ("hmdc", "start")
            for name in ("mlp", "a_vit", "a_cnn")}  # fmt: skip
    (claim,) = the_panel(rows | random).claims
    assert claim.state == "hole" and claim.verdict == f"No claim is made: {why}"


def test_networks_that_took_part_in_some_sets_only_are_not_said_to_have_made_each() -> None:
    own = grid({("hmdc", "convnet3"): SET, ("hmdc", "vit_mini"): SET}, seen=True)
    other = [replace(one, row="dream", seen=one.model == "convnet3") for one in own]
    (panel,) = panels([*own, *other])
    assert panel.mixed == ("vit_mini",)
    assert "● holds of some of these sets only for vit_mini" in markdown([panel])
    words = "the mean of the 2 networks that took part in condensing any of these sets"
    assert all(words in one.numbers for one in panel.claims)
    (panel,) = panels(own)
    assert "that took part in condensing (" in panel.claims[0].numbers


def test_a_set_that_is_its_own_step_0_is_not_said_to_be_above_random() -> None:
    five = [[60.0], [61.0], [62.0], [60.5], [61.5]]
    cells = {("hmdc", "mlp"): five, ("start", "mlp"): five, ("random", "mlp"): [[20.0]] * 5}
    same = [replace(one, fingerprint=f"{one.row.replace('start', 'hmdc')} {one.replicate}")
            for one in grid(cells, seen=False)]  # fmt: skip
    (told,) = panels(same)[0].claims
    assert told.state == "not" and "own step 0" in told.verdict
