"""What a run directory gives to evaluation."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from condensery.artefact import save
from condensery.errors import UsageError
from condensery.evaluate import Recipe, evaluate, rows_of
from condensery.records import read


@pytest.fixture
def directory(tmp_path, drawn):
    about = {"method": "hmdc", "peers": ["mlp"], "seconds": 7.5, "settings": {"seed": 3}}
    save(dataclasses.replace(drawn(0), about=about), tmp_path / "synthetic")
    save(drawn(1), tmp_path / "start")
    return tmp_path


def test_a_run_stands_beside_its_start_and_draws_of_its_own_seed(directory, problem, drawn):
    found = rows_of(directory, problem)
    assert list(found.rows) == ["random", "kmeans", "mean", "start", "hmdc"]
    assert {replicate for sets in found.rows.values() for replicate, _ in sets} == {3}
    assert (found.name, found.replicate, found.seen) == ("hmdc", 3, ("mlp",))
    stored = found.rows["start"][0][1].stored["pixels"]
    assert torch.allclose(stored, drawn(1).quantised().stored["pixels"])


def test_its_records_are_kept_with_the_run_and_say_what_condensing_took(directory, problem):
    run = rows_of(directory, problem, which=("random",))
    recipe = Recipe("short", updates=2)
    made = evaluate(run.rows, problem, ["mlp"], recipe=recipe, seeds=(0,), seen=run.seen,
                    out=run.records_file)  # fmt: skip
    assert read(directory / "records.jsonl") == made
    assert [(one.row, one.seen) for one in made] == [
        ("random", True), ("start", True), ("hmdc", True)]  # fmt: skip
    assert [one.condense_seconds for one in made] == [None, None, 7.5]


def test_a_directory_without_a_set_is_refused(tmp_path, problem):
    with pytest.raises(UsageError, match="no synthetic set"):
        rows_of(tmp_path, problem)


def test_a_selection_that_was_run_as_a_method_keeps_its_own_row(tmp_path, problem, drawn):
    about = {"method": "random", "settings": {"seed": 3}}
    save(dataclasses.replace(drawn(0), about=about), tmp_path / "synthetic")
    found = rows_of(tmp_path, problem)
    assert list(found.rows) == ["random", "kmeans", "mean", "random (run)"]
