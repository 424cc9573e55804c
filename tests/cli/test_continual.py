"""What ``condensery continual`` takes, keeps and prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from condensery.__main__ import main
from condensery.cli.continual import EXAMPLES, options
from condensery.cli.options import parse
from condensery.models import PeerSpec
from condensery.study import continual

SMOKE = ["continual", "digits", "--preset", "smoke", "--rows", "random"]


def test_the_smoke_run_goes_from_digits_to_the_table_and_is_not_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMOKE, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert [f"order 0, stage {stage} of 5: random " in said for stage in range(1, 6)] == [True] * 5
    assert "digits, 5 stages, 1 stored per class, mlp fresh at each stage" in said
    assert "chance 10.00" in said and "| DM |" in said and "| Random |" in said
    lines = continual.read(tmp_path / continual.FILE)
    assert sorted({one["stage"] for one in lines}) == [1, 2, 3, 4, 5] and len(lines) == 10
    assert [one["stored_bytes"] for one in lines if one["row"] == "dm"] == [
        classes * (64 + 1) for classes in (2, 4, 6, 8, 10)]  # fmt: skip
    assert sum(one["updates"] for one in lines) == 30
    report = tmp_path / "report" / "continual.md"
    assert str(report) in said and report.is_file()
    assert main([*SMOKE, "--out", str(tmp_path)]) == 0
    assert continual.read(tmp_path / continual.FILE) == lines


def test_flags_reach_what_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[continual.Continual] = []

    def seen(problem: object, what: continual.Continual, *rest: object) -> None:
        asked.append(what)
        raise KeyboardInterrupt

    monkeypatch.setattr(continual, "run", seen)
    flags = ["--seeds", "0,1", "--network", "convnet2_w8", "--recipe", "dsa", "--epochs", "7",
             "--rows", "random,kmeans", "--warm", "--budget", "total", "--ceiling", "last",
             "--orders", "3", "--method", "kmeans", "--stages", "2"]  # fmt: skip
    assert main(["continual", "digits", "--preset", "smoke", *flags]) == 130
    (what,) = asked
    assert what == continual.Continual(
        stages=2, per_class=1, method="kmeans", preset="smoke", orders=(3,), seeds=(0, 1),
        network=PeerSpec("convnet2_w8"), recipe="dsa", epochs=7, updates=None,
        rows=("random", "kmeans"), warm=True, budget="total", ceiling="last",
    )  # fmt: skip
    assert main(["continual", "digits", "--rows", "none", "--updates", "5"]) == 130
    assert asked[1].rows == () and (asked[1].epochs, asked[1].updates) == (None, 5)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--preset", "smal"], "unknown preset of continual learning 'smal'; did you mean small"),
        (["--epoch", "3"], "unknown flag '--epoch'; did you mean --epochs"),
        (["--epochs", "3", "--updates", "3"], "give --epochs or --updates, not both"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--seeds", "a"], "--seeds wants whole numbers a,b; got 'a'"),
        (["--network", "convnt3"], "unknown model 'convnt3'; did you mean"),
        (["--recipe", "qick"], "unknown recipe 'qick'; did you mean quick"),
        (["--rows", "randm"], "unknown row 'randm'; did you mean random"),
        (["--budget", "totl"], "--budget wants one of class, total; got 'totl'"),
        (["--budget", "total"], "a memory of dm cannot shrink"),
        (["--ceiling", "lst"], "--ceiling wants one of every, last, none; got 'lst'"),
        (["--warm=yes"], "--warm is a switch"),
        (["--method", "hering"], "unknown method 'hering'; did you mean herding"),
        (["--method", "random", "--steps", "3"], "random only selects, it makes no steps"),
        (["more"], "continual wants one data set"),
    ],
)
def test_a_typing_error_is_one_line_and_nothing_is_made(
    typed: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["continual", "digits", *typed, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and not told.out
    assert not (tmp_path / "out").exists()


def test_help_names_every_flag_and_its_examples_can_be_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["continual", "--help"]) == 0
    page = capsys.readouterr().out
    assert [one.flag for one in options() if f"  {one.flag}" not in page] == []
    for example in EXAMPLES:
        assert example in page
        assert parse(example.split()[2:], options(), "condensery continual").words
