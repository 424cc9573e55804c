"""A study's page drawn again from its directory alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from condensery import study
from condensery.cli import main
from condensery.report.gather import PLAN, RunFiles
from condensery.study.drawing import figure5, heading
from condensery.study.reading import restored


@pytest.mark.parametrize("name", study.names())
def test_a_kept_plan_is_the_plan_that_was_read(name: str, tmp_path: Path) -> None:
    for size in study.SIZES:
        plan = study.sized(name, size)
        if plan is not None:
            study.keep(plan, tmp_path)
            assert study.kept(tmp_path) == plan


def test_a_setting_that_is_null_is_kept_so(tmp_path: Path) -> None:
    values = {"arms": [{"method": "hmdc", "settings": {"candidates": "null"}}]}
    plan = restored(values, "mine")
    study.keep(plan, tmp_path)
    assert study.kept(tmp_path) == plan and plan.arms[0].settings == {"candidates": None}


def test_a_studys_directory_alone_gives_its_page_again(
    short_plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = short_plan.read_text().replace("draws = 1", 'draws = 1\ndraw = ["ablation"]')
    short_plan.write_text(text)
    out, page = tmp_path / "out", tmp_path / "out" / "report" / "report.html"
    assert main(["study", str(short_plan), "--size", "mini", "--out", str(out),
                 "--patience", "0"]) == 0  # fmt: skip
    first = page.read_text()
    assert "Paired differences to none" in first and "<h1>Mine</h1>" in first
    shutil.rmtree(out / "report")
    short_plan.unlink()
    assert main(["report", str(out)]) == 0
    assert str(page) in capsys.readouterr().out and page.read_text() == first


def test_cells_that_are_not_finished_are_left_out_and_other_runs_are_not(
    short_plan: Path, tmp_path: Path
) -> None:
    mine, out = study.read(short_plan, "mini"), tmp_path / "out"
    study.keep(mine, out)
    study.run(mine, out, only="/0", tell=lambda line: None)
    for name in ("digits/both-ipc1/1", "mine"):
        shutil.copytree(out / "digits/none-ipc1/0", out / name)
        (out / name / "study.json").unlink()
    page = study.redraw(out, tmp_path / "page").read_text()
    assert "both-ipc1/0" in page and "both-ipc1/1" not in page and "out/mine" in page
    for name in ("digits", "mine"):
        shutil.rmtree(out / name)
    with pytest.raises(ValueError, match="neither config.json nor records.jsonl"):
        study.redraw(out, tmp_path / "page")


def test_a_dry_run_keeps_no_plan_and_a_damaged_one_is_told_in_one_line(
    short_plan: Path, tmp_path: Path, quickly: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["study", str(short_plan), "--size", "mini", "--dry-run", "--out", str(out)]) == 0
    assert not out.exists()
    out.mkdir()
    for text in ("{", json.dumps({"arms": [], "sedes": [0]})):
        (out / PLAN).write_text(text)
        capsys.readouterr()
        assert main(["report", str(out)]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "plan.json cannot be read" in line and "run the study again" in line


def test_a_page_names_its_study_and_the_command_that_runs_it_again(tmp_path: Path) -> None:
    figure = heading(study.read("figure5", "mini"), tmp_path / "five six")
    assert figure.title == "Figure 5" and figure.subtitle[-1] == "size mini"
    assert "Moon" in figure.subtitle[0] and not figure.evaluated
    assert figure.command == "condensery study figure5 --size mini --out 'runs/five six'"
    table = heading(study.read("table1", "smoke"), tmp_path / "t")
    assert table.evaluated and table.command.startswith("condensery study table1 --size smoke")


def test_the_command_of_a_plan_of_ones_own_names_its_file_without_its_folder(
    short_plan: Path, tmp_path: Path
) -> None:
    mine = heading(study.read(short_plan, "mini"), tmp_path / "out")
    assert mine.title == "Mine" and mine.subtitle == ("size mini",)
    assert mine.command == f"condensery study {short_plan.name} --size mini --out runs/out"
    study.keep(study.read(short_plan, "mini"), tmp_path)
    assert heading(study.kept(tmp_path), tmp_path / "out") == mine
    built = study.Study((study.Arm("random"),))
    command = heading(built, tmp_path / "out").command
    assert command == "condensery study PLAN.toml --size SIZE --out runs/out"


def test_figure5_with_one_side_names_what_is_finished_instead_of_a_figure(tmp_path: Path) -> None:
    plan = study.read("figure5", "smoke")
    one_side = [RunFiles(tmp_path, "digits/with-ipc1/0", study={"arm": "with"})]
    for runs, there in (([], "none"), (one_side, "digits/with-ipc1/0")):
        (hole,) = figure5(plan, runs)
        assert "Not drawn yet" in hole.lead and hole.lead.endswith(f"Finished so far: {there}.")
        assert not hole.drawings and not hole.grids
