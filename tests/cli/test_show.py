"""What ``condensery show`` tells of a run and of a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from condensery.api import condense
from condensery.cli.show import directory, named
from condensery.errors import UsageError
from condensery.evaluate import RECIPES


def test_a_run_is_shown_with_the_memory_that_it_took(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="Windows counts none")
    condense("digits", "random", out=tmp_path, quiet=True)
    told = directory(tmp_path)
    (line,) = [line for line in told.splitlines() if line.startswith("peak memory")]
    card = tmp_path / "synthetic" / "card.json"
    found = json.loads(card.read_text())
    held = found["about"].pop("peak_memory_bytes")
    assert line.split()[2:] == [f"{held / 2**30:.2f}", "GiB"] and held > 2**26
    card.write_text(json.dumps(found))
    assert "peak memory" not in directory(tmp_path), "runs of earlier versions tell of none"


def rows(told: str) -> dict[str, str]:
    """First words of lines with what stands behind them."""
    lines = [line.split(maxsplit=1) for line in told.splitlines()]
    return {words[0]: words[1] for words in lines if len(words) == 2}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_shown_with_what_it_is_and_every_network_that_it_names(name: str) -> None:
    told = named(name)
    assert " ".join(told.split()).startswith(f"recipe {name}: {RECIPES[name].summary}")
    assert rows(told).keys() >= {one.network for one in RECIPES[name].overrides}


def test_a_recipe_is_shown_with_its_length_its_schedule_and_its_overrides() -> None:
    quick, idc = rows(named("quick")), rows(named("idc"))
    assert quick["updates"] == "300" and "epochs" not in quick
    assert quick["schedule"] == "cosine" and quick["operations"] == "color,crop,scale,rotate"
    assert quick["vit"] == "optimiser adamw, lr 0.003, weight_decay 0.05"
    assert idc["epochs"] == "1000" and "updates" not in idc
    assert idc["schedule"] == "multistep, times 0.2 at 0.667, 0.833 of the epochs"


def test_of_two_overrides_for_a_network_the_one_that_applies_is_shown() -> None:
    shown = rows(named("hmdc-released"))["rnn"]
    applied = RECIPES["hmdc-released"].for_network("lstm", "rnn")
    assert shown == f"lr {applied.lr}, train_part {applied.train_part}, mode {applied.mode}"


def test_a_recipe_without_augmentation_is_said_to_be_one() -> None:
    told = named("quick-plain")
    assert "without any augmentation" in told and rows(told)["operations"] == "none"


def test_a_recipe_that_takes_no_steps_is_shown_without_a_rate() -> None:
    told = rows(named("linear-probe"))
    assert told["ridge"] == "3.0" and not told.keys() & {"lr", "batch", "schedule", "updates"}


def test_a_name_that_is_nowhere_is_told_all_that_are() -> None:
    with pytest.raises(UsageError, match="did you mean quick") as told:
        named("quik")
    assert all(name in str(told.value) for name in ("small", "linear-probe", "ablation"))
