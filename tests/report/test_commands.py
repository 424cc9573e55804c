"""What the page tells to type is what was done."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from condensery.report.commands import (
    PRECISION,
    alike_commands,
    condense_command,
    evaluate_command,
    network,
    unknown_weights,
)
from condensery.report.gather import gather
from condensery.report.panels import Panel, panels
from report.runs import evaluated, record, run_directory


def typed(panel: Panel, runs: tuple = ()) -> tuple[list[str], dict[str, str]]:
    """Words and flags of the evaluation command, as a shell gives them to the program."""
    words = shlex.split(evaluate_command(panel, runs).replace("\\\n", " "))
    place = next(index for index, word in enumerate(words) if word.startswith("--"))
    return words[2:place], dict(zip(words[place::2], words[place + 1 :: 2], strict=True))


@pytest.mark.parametrize(("name", "spec"), [
    ("convnet3", {"name": "convnet3"}),
    ("mlp 4px", {"name": "mlp", "size": 4}),
    ("vit_tiny pretrained", {"name": "vit_tiny", "weights": "pretrained"}),
    ("vit_tiny pretrained 64px data statistics",
     {"name": "vit_tiny", "weights": "pretrained", "size": 64, "normalise": "data"}),
    ("resnet18 my weights.pt 32px", {"name": "resnet18", "weights": "my weights.pt", "size": 32}),
])  # fmt: skip
def test_a_network_is_read_back_from_its_name_in_records(name: str, spec: dict) -> None:
    assert network(name) == spec


def test_names_of_records_are_those_that_the_evaluator_gives() -> None:
    from condensery.evaluate.grid import name_of
    from condensery.models import PeerSpec

    for spec in (PeerSpec("mlp"), PeerSpec("vit_tiny", "pretrained", 64),
                 PeerSpec("vit_tiny", "pretrained", normalise="data"), PeerSpec("mlp", size=8)):
        assert PeerSpec(**network(name_of(spec))) == spec  # fmt: skip


def test_networks_that_are_more_than_a_name_are_given_as_json() -> None:
    (panel,) = panels([record(), record(model="vit_tiny pretrained 64px")])
    _, flags = typed(panel)
    assert json.loads(flags["--models"]) == [
        {"name": "convnet3"}, {"name": "vit_tiny", "weights": "pretrained", "size": 64}
    ]  # fmt: skip
    (plain,) = panels([record(), record(model="mlp")])
    assert typed(plain)[1]["--models"] == "convnet3,mlp"


def test_a_file_of_weights_is_said_to_want_its_folder() -> None:
    (panel,) = panels([record(model="resnet18 mine.pt"), record(model="vit_tiny pretrained")])
    assert unknown_weights(panel) == ["mine.pt"]


def test_rows_draws_and_checks_are_written_as_they_were() -> None:
    draws = [record(row=row, replicate=replicate) for row in ("random", "random packed")
             for replicate in (0, 1_000_000, 2_000_000)]  # fmt: skip
    ours = record(curve=[[25, 0.4], [50, 0.5]])
    (panel,) = panels([*draws, record(row="herding"), record(row="start"), ours])
    _, flags = typed(panel)
    assert flags["--rows"] == "random,herding"
    assert flags["--draws"] == "3" and flags["--check-every"] == "25"
    (alone,) = panels([record(), record(row="start")])
    _, flags = typed(alone)
    assert flags["--rows"] == "none"
    assert not {"--draws", "--check-every"} & set(flags)


def test_the_whole_data_are_a_row_of_the_command() -> None:
    (panel,) = panels([record(row="full"), record(row="random"), record()])
    assert typed(panel)[1]["--rows"] == "random,full"


def test_draws_are_written_out_whatever_the_command_line_draws_by_itself() -> None:
    (panel,) = panels([record(row="random"), record()])
    assert typed(panel)[1]["--draws"] == "1"


@pytest.mark.parametrize(("told", "flag"), [
    ({"bfloat16"}, "bfloat16"), ({"float32"}, None), ({"float32", "bfloat16"}, "auto"),
    ({None}, None), ({None, "bfloat16"}, "auto"),
])  # fmt: skip
def test_the_precision_of_testing_is_written_as_records_tell_it(
    told: set[str | None], flag: str | None
) -> None:
    (panel,) = panels([
        record(model=f"network{place}", circumstances={"tested in": one} if one else {})
        for place, one in enumerate(sorted(told, key=str))
    ])  # fmt: skip
    assert typed(panel)[1].get("--precision") == flag


def test_what_is_not_written_is_what_the_command_line_takes_by_itself() -> None:
    from condensery.cli.evaluate import PRECISION as OPTION

    assert OPTION.standard == PRECISION


def test_a_shortened_recipe_is_written_as_its_name_and_length() -> None:
    (panel,) = panels([record(recipe="quick (20 updates)")])
    _, flags = typed(panel)
    assert (flags["--recipe"], flags["--updates"]) == ("quick", "20")


def test_a_comparison_names_the_runs_whose_records_it_holds(tmp_path: Path) -> None:
    small = evaluated(run_directory(tmp_path / "small"), [record(fingerprint="a")])
    large = evaluated(run_directory(tmp_path / "large"), [record(fingerprint="b", per_class=10.0)])
    found = gather([small, large])
    words = [typed(panel, found.runs)[0] for panel in panels(found.records)]
    assert words == [["runs/small"], ["runs/large"]]


def test_further_seeds_are_told_by_what_is_different(tmp_path: Path) -> None:
    runs = gather([run_directory(tmp_path / str(seed), seed=seed) for seed in (3, 4)]).runs
    (line,) = alike_commands(runs)
    parent = tmp_path.name
    assert shlex.split(line) == ["--seed", "4", "--out", f"runs/{parent}/4"]


def test_a_selection_is_not_told_to_take_steps(tmp_path: Path) -> None:
    (run,) = gather(run_directory(tmp_path / "run", steps=0)).runs
    assert "--steps" not in condense_command(run)


def test_a_setting_of_none_is_written_as_null(tmp_path: Path) -> None:
    (run,) = gather(run_directory(tmp_path / "run", candidates=None)).runs
    assert "--method.candidates null" in condense_command(run)
