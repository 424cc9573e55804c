"""A run from its first step to its last: budget, events, sets, going on, refusing."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from cases import images
from condensery.artefact import load
from condensery.core.synthetic import SyntheticSet
from condensery.core.teacher import teacher
from condensery.engine import Budget, Run, RunDirectory, execute, loop
from condensery.engine.loop import stop_signals
from condensery.errors import RunError, UsageError
from condensery.methods import Info, mosaic
from condensery.methods.selection import Random
from condensery.models.backbone import PeerSpec
from engine.made import content, events, hmdc_run, random_run
from methods.test_conformance import last_checkpoint, leaves, same


def execute_quietly(run: Run, out: Path | None = None, on_step: Any = None) -> SyntheticSet:
    return execute(run, out, on_step, quiet=True)


# Budgets.


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_budget_of_steps_makes_exactly_so_many(steps: int, tmp_path: Path) -> None:
    run = hmdc_run(steps)
    made = execute_quietly(run, tmp_path / "run")
    assert last_checkpoint(tmp_path / "run")["step"] == steps
    assert made.about["steps"] == steps
    if steps == 0:
        start = run.method.start(run.problem, 1, run.context())
        assert same(leaves(made), leaves(start.quantised()))


def test_a_budget_of_minutes_stops_after_the_step_that_uses_it_up(tmp_path: Path) -> None:
    seconds = 0.3
    execute_quietly(hmdc_run(0, budget=Budget(None, seconds / 60)), tmp_path / "run")
    told = [event["seconds"] for event in events(tmp_path / "run")]
    assert told[-1] >= seconds - 0.001 and all(one < seconds for one in told[:-1])


def test_minutes_count_all_sessions_together(tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute_quietly(hmdc_run(3), out)
    spent = events(out)[-1]["seconds"]
    execute_quietly(hmdc_run(0, budget=Budget(None, spent / 60 / 2)), out)
    assert len(events(out)) == 3, "steps beyond the budget were made"
    execute_quietly(hmdc_run(0, budget=Budget(None, (spent + 0.2) / 60)), out)
    told = [event["seconds"] for event in events(out)]
    assert len(told) > 3 and told == sorted(told) and told[-1] >= spent + 0.199


@dataclasses.dataclass(frozen=True)
class Slow(Random):
    """A method whose start takes a while, and the state around it another."""

    def start(self, *given: Any) -> SyntheticSet:
        time.sleep(0.3)
        return super().start(*given)

    def init(self, *given: Any) -> Any:
        time.sleep(0.2)
        return super().init(*given)


def test_the_seconds_of_a_set_hold_its_start_once_and_the_budget_does_not(tmp_path: Path) -> None:
    out = tmp_path / "run"
    slow = dataclasses.replace(random_run(), method=Slow(), budget=Budget(1, None))
    first = execute_quietly(slow, out)
    told = events(out)[-1]["seconds"]
    assert told < 0.2, "steps alone are what a budget of minutes counts"
    assert load(out / "start").about["seconds"] >= 0.3
    spent = first.about["seconds"]
    assert spent >= 0.5 + told - 0.01 and load(out).about["seconds"] == spent
    assert execute_quietly(slow, out).about["seconds"] == spent, "a second call made it dearer"
    more = execute_quietly(dataclasses.replace(slow, budget=Budget(2, None)), out)
    steps = events(out)[-1]["seconds"]
    assert more.about["seconds"] == pytest.approx(spent + steps - told, abs=0.02)
    half_a_second = dataclasses.replace(slow, budget=Budget(None, 0.5 / 60))
    execute_quietly(half_a_second, tmp_path / "timed")
    assert events(tmp_path / "timed")[-1]["seconds"] >= 0.499


def test_a_checkpoint_of_an_earlier_version_gets_the_seconds_of_its_start(tmp_path: Path) -> None:
    out = tmp_path / "run"
    slow = dataclasses.replace(random_run(), method=Slow(), budget=Budget(1, None))
    execute_quietly(slow, out)
    (path,) = (out / "checkpoints").glob("*.pt")
    values = torch.load(path, weights_only=True)
    torch.save({name: values[name] for name in ("state", "seconds")}, path)
    assert execute_quietly(slow, out).about["seconds"] >= 0.5


def test_a_set_tells_the_most_memory_of_all_its_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = iter([100, 300, 200, 250, 250])
    monkeypatch.setattr(loop, "peak_memory", lambda: next(held))
    out = tmp_path / "run"
    first = execute_quietly(hmdc_run(1), out)
    assert load(out / "start").about["peak_memory_bytes"] == 100
    assert first.about["peak_memory_bytes"] == load(out).about["peak_memory_bytes"] == 300
    assert execute_quietly(hmdc_run(2), out).about["peak_memory_bytes"] == 300
    finished = execute_quietly(hmdc_run(2), out)
    assert finished.about["peak_memory_bytes"] == 300, "a session without a step holds nothing"
    card = json.loads((out / "synthetic" / "card.json").read_text())
    assert card["about"]["peak_memory_bytes"] == 300


def test_where_nobody_counts_memory_a_set_tells_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "peak_memory", lambda: None)
    assert "peak_memory_bytes" not in execute_quietly(random_run()).about


def test_a_set_made_from_another_runs_set_took_the_time_of_both(tmp_path: Path) -> None:
    slow = dataclasses.replace(random_run(), method=Slow())
    first = execute_quietly(slow, tmp_path / "first")
    second = execute_quietly(random_run(init=tmp_path / "first"), tmp_path / "second")
    assert second.about["seconds"] >= first.about["seconds"] >= 0.5


def test_the_seconds_of_a_mosaic_hold_its_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_teacher(*given: Any) -> Any:
        time.sleep(0.4)
        return teacher(*given)

    monkeypatch.setattr(mosaic, "teacher", slow_teacher)
    method = mosaic.Mosaic(network=PeerSpec("mlp"), updates=1, pool=4)
    run = dataclasses.replace(random_run(), name="mosaic", method=method)
    assert execute_quietly(run, tmp_path / "run").about["seconds"] >= 0.4


@pytest.mark.parametrize(
    ("steps", "minutes", "said"),
    [(3, 1.0, "not both"), (-1, None, "from 0; got -1"), (None, 0.0, "positive; got 0.0"),
     (None, -2.0, "positive"), (None, math.nan, "positive")],
)  # fmt: skip
def test_a_budget_that_cannot_be_is_said_in_one_line(
    steps: int | None, minutes: float | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Budget(steps, minutes)


def test_the_used_part_of_a_budget_grows_from_0_to_1() -> None:
    assert [Budget(4, None).part(step, 0.0) for step in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    assert [Budget(None, 2.0).part(0, s) for s in (0.0, 30.0, 120.0, 999.0)] == [0, 0.25, 1, 1]
    assert Budget(0, None).part(0, 0.0) in (0, 1)


# What a run tells and keeps.


def test_the_callback_sees_every_step_with_what_it_told_and_the_set(tmp_path: Path) -> None:
    seen: list[tuple[int, Info, torch.Tensor]] = []

    def on_step(step: int, info: Info, made: SyntheticSet) -> None:
        seen.append((step, info, made.stored["pixels"].detach().clone()))

    execute_quietly(hmdc_run(3), tmp_path / "run", on_step)
    assert [step for step, _, _ in seen] == [1, 2, 3]
    assert all(len(info.values["terms"]) == 3 for _, info, _ in seen)
    assert not torch.equal(seen[0][2], seen[1][2])


def test_a_run_without_a_directory_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = execute_quietly(hmdc_run(1))
    assert made.classes == 3 and not list(tmp_path.iterdir())


def test_a_directory_does_not_change_the_set(tmp_path: Path) -> None:
    run = hmdc_run(3, checkpoint_seconds=0.0)
    assert same(leaves(execute_quietly(run)), leaves(execute_quietly(run, tmp_path / "run")))


def test_events_are_one_line_a_step_of_plain_numbers(tmp_path: Path) -> None:
    execute_quietly(hmdc_run(3), tmp_path / "run")
    told = events(tmp_path / "run")
    assert [event["step"] for event in told] == [1, 2, 3]
    for event in told:
        assert {"seconds", "terms", "weights", "learning", "alignment"} <= set(event)
        values = [v for value in event.values() for v in (value if isinstance(value, list)
                                                          else [value])]  # fmt: skip
        assert all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    assert ["largest" in event for event in told] == [True, False, True]


def test_the_config_is_a_snapshot_of_what_was_asked_for(tmp_path: Path) -> None:
    run = hmdc_run(2, seed=7, source={"data": "bands"})
    execute_quietly(run, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    settings = config["settings"]
    assert (settings["method"], settings["data"], settings["seed"]) == ("hmdc", "bands", 7)
    assert settings["fingerprint"] == run.problem.fingerprint and settings["per_class"] == 1
    assert settings["fields"] == json.loads(json.dumps(dataclasses.asdict(run.method)))
    assert config["budget"] == {"steps": 2, "minutes": None}
    assert config["source"] == {"data": "bands"}
    assert config["circumstances"]["torch"] == torch.__version__


def test_the_step_0_set_is_kept_as_it_was(tmp_path: Path) -> None:
    run = hmdc_run(2)
    execute_quietly(run, tmp_path / "run")
    start = run.method.start(run.problem, 1, run.context())
    kept = load(tmp_path / "run" / "start")
    assert same(leaves(kept), leaves(start.quantised())) and kept.about["steps"] == 0
    before = content(tmp_path / "run" / "start")
    execute_quietly(hmdc_run(3), tmp_path / "run")
    assert content(tmp_path / "run" / "start") == before


def test_a_run_of_an_older_version_that_lacks_a_setting_is_resumed_and_one_of_another_is_not(
    tmp_path: Path,
) -> None:
    out, whole = tmp_path / "run", tmp_path / "whole"
    execute_quietly(hmdc_run(3), whole)
    execute_quietly(hmdc_run(2), out)
    config = json.loads((out / "config.json").read_text())
    fields = config["settings"]["fields"]
    for peer in fields["peers"]:
        del peer["matches"], peer["learns"]
    del fields["temperature"], fields["keep"]
    (out / "config.json").write_text(json.dumps(config))
    execute_quietly(hmdc_run(3), out)
    assert same(leaves(load(out)), leaves(load(whole)))
    # What was added stood at its default then, whatever it is asked to be now.
    with pytest.raises(UsageError, match=r"fields.temperature: 1.0 there, 2.0 here"):
        execute_quietly(hmdc_run(3, temperature=2.0), out)


def test_a_step_0_set_that_a_kill_left_half_written_is_written_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = hmdc_run(2, lr=0.1)
    RunDirectory.open(out, run.config()).begin(run.config())
    (out / "start").mkdir()
    execute_quietly(run, out)
    expected = leaves(load(out / "start"))
    (out / "start" / "card.json").unlink()
    execute_quietly(hmdc_run(3, lr=0.1), out)
    assert load(out / "start").about["steps"] == 0
    assert (out / "start" / "card.json").exists()
    assert same(leaves(load(out / "start")), expected)


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute_quietly(hmdc_run(1), out)
    left = [out / ".config.json.7.tmp", out / "checkpoints" / ".00000002.pt.7.tmp",
            out / "synthetic" / ".synthetic.safetensors.7.tmp"]  # fmt: skip
    for file in left:
        file.write_bytes(b"half of")
    execute_quietly(hmdc_run(2), out)
    assert not any(file.exists() for file in left)


def test_what_is_returned_is_what_lies_on_disk(tmp_path: Path) -> None:
    made = execute_quietly(hmdc_run(2, problem=images(3)), tmp_path / "run")
    there = load(tmp_path / "run")
    assert same(leaves(made), leaves(there)) and torch.equal(made.labels, there.labels)
    assert made.about["method"] == there.about["method"] == "hmdc"
    assert there.about["peers"] == ["mlp", "convnet2_w8"] and there.about["seconds"] > 0
    pixels = made.stored["pixels"] * 255
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    assert not made.stored["pixels"].requires_grad and made.device.type == "cpu"


@pytest.mark.parametrize(("per_class", "columns", "rows"), [(1, 3, 1), (2, 2, 3)])
def test_previews_can_be_opened_and_show_all_stored_samples(
    per_class: int, columns: int, rows: int, tmp_path: Path
) -> None:
    execute_quietly(hmdc_run(2, per_class=per_class), tmp_path / "run")
    files = sorted((tmp_path / "run" / "previews").iterdir())
    assert [file.name for file in files] == ["000000.png", "000002.png"]
    for file in files:
        with Picture.open(file) as picture:
            picture.load()
            assert picture.size == (columns * 66 + 2, rows * 66 + 2)  # 8 x 8, times 8, 2 between


def test_at_every_checkpoint_there_is_a_usable_set(tmp_path: Path) -> None:
    out, states = tmp_path / "run", {}

    def on_step(step: int, info: Info, made: SyntheticSet) -> None:
        states[step] = leaves(made.quantised())
        if step > 1:
            there = load(out)
            assert there.about["steps"] == step - 1
            assert same(leaves(there), states[step - 1])
            assert len(there.as_dataset()) == 12

    execute_quietly(hmdc_run(4, checkpoint_seconds=0.0), out, on_step)
    assert load(out).about["steps"] == 4


def test_checkpoints_are_no_more_frequent_than_asked_for(tmp_path: Path) -> None:
    written = []

    def on_step(step: int, info: Info, made: SyntheticSet) -> None:
        written.extend((tmp_path / "run").rglob("*.pt"))

    execute_quietly(hmdc_run(4, checkpoint_seconds=1000.0), tmp_path / "run", on_step)
    assert written == []


# Going on.


def test_more_steps_extend_a_run_to_the_bits_of_a_longer_one(tmp_path: Path) -> None:
    long = execute_quietly(hmdc_run(5), tmp_path / "long")
    for steps in (1, 2, 5):
        short = execute_quietly(hmdc_run(steps), tmp_path / "short")
    assert same(leaves(short), leaves(long))
    assert same(last_checkpoint(tmp_path / "short"), last_checkpoint(tmp_path / "long"))
    without_time = [[{**event, "seconds": 0} for event in events(tmp_path / name)]
                    for name in ("short", "long")]  # fmt: skip
    assert without_time[0] == without_time[1]
    assert json.loads((tmp_path / "short" / "config.json").read_text())["budget"]["steps"] == 5


def test_going_on_elsewhere_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    execute(hmdc_run(1), out)
    assert "goes on elsewhere" not in capsys.readouterr().err
    config = json.loads((out / "config.json").read_text())
    here, config["circumstances"]["torch"] = config["circumstances"]["torch"], "1.0.0"
    (out / "config.json").write_text(json.dumps(config))
    execute(hmdc_run(2), out)
    told = capsys.readouterr().err
    assert f"torch was 1.0.0, is {here}" in told and "bits may differ" in told
    execute(hmdc_run(3), out, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = execute_quietly(hmdc_run(3), out)
    told, state = events(out), last_checkpoint(out)
    for steps in (3, 1):
        assert same(leaves(execute_quietly(hmdc_run(steps), out)), leaves(first))
        assert events(out) == told and same(last_checkpoint(out), state)


def test_an_interrupted_step_is_done_again_from_the_last_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "run"
    whole = execute_quietly(hmdc_run(4), tmp_path / "whole")

    def interrupt(step: int, info: Info, made: SyntheticSet) -> None:
        if step == 3:
            raise KeyboardInterrupt

    execute_quietly(hmdc_run(2), out)
    with pytest.raises(KeyboardInterrupt):
        execute_quietly(hmdc_run(4), out, interrupt)
    assert last_checkpoint(out)["step"] == 2
    assert same(leaves(execute_quietly(hmdc_run(4), out)), leaves(whole))
    assert [event["step"] for event in events(out)] == [1, 2, 3, 4]


def test_a_line_of_events_that_a_kill_cut_short_is_written_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute_quietly(hmdc_run(2), out)
    with (out / "events.jsonl").open("a") as file:
        file.write('{"step": 3, "sec')
    execute_quietly(hmdc_run(3), out)
    assert [event["step"] for event in events(out)] == [1, 2, 3]


OTHERS = [
    ({"seed": 1}, "seed: 0 there, 1 here"),
    ({"per_class": 2}, "per_class: 1 there, 2 here"),
    ({"lr": 0.5}, r"fields.lr: 0.005 there, 0.5 here"),
    ({"align": False}, r"fields.align: True there, False here"),
    ({"problem": images(1, seed=5)}, "fingerprint: '[0-9a-f]{16}' there, '[0-9a-f]{16}' here"),
    ({"modules": {"mine": Random}}, "modules.mine: None there, 'condensery.+Random' here"),
]


@pytest.mark.parametrize(("change", "said"), OTHERS, ids=[said[:14] for _, said in OTHERS])
def test_a_run_of_other_settings_is_refused_by_the_name_of_the_setting_and_nothing_is_lost(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    execute_quietly(hmdc_run(1), out)
    before = content(out)
    with pytest.raises(UsageError, match=f"holds another run .*{said}.* choose another --out"):
        execute_quietly(hmdc_run(2, **change), out)
    assert content(out) == before


def test_another_method_is_refused(tmp_path: Path) -> None:
    execute_quietly(random_run(), tmp_path / "run")
    before = content(tmp_path / "run")
    with pytest.raises(UsageError, match="holds another run"):
        execute_quietly(hmdc_run(1), tmp_path / "run")
    assert content(tmp_path / "run") == before


def test_a_run_refused_for_its_settings_leaves_no_directory_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="training samples"):
        execute_quietly(hmdc_run(1, problem=images(1, (9, 2, 9))), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_that_does_not_exist_can_be_mended_in_the_same_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown model"):
        execute_quietly(hmdc_run(1, peers=(PeerSpec("convnet2_w8x"),)), tmp_path / "run")
    execute_quietly(hmdc_run(1), tmp_path / "run")


def test_a_method_that_does_not_work_on_such_data_says_on_which_it_does() -> None:
    class OnlySound(Random):
        modalities: ClassVar[tuple[str, ...]] = ("audio",)

    run = dataclasses.replace(random_run(), method=OnlySound())
    with pytest.raises(UsageError, match="does not work on image; it works on audio"):
        execute_quietly(run)


@dataclasses.dataclass(frozen=True)
class Careless(Random):
    """A method that draws from the global generators, as dropout and the code of others do."""

    def step(self, state: Any, problem: Any, context: Any) -> Info:
        drawn = torch.rand(()) + np.random.rand() + random.random()
        state.synthetic.stored["pixels"].copy_(drawn / 3 * torch.ones(3, 1, 8, 8))
        return super().step(state, problem, context)


def test_what_is_drawn_from_global_generators_belongs_to_the_run_too(tmp_path: Path) -> None:
    def run(steps: int, out: str) -> SyntheticSet:
        asked = dataclasses.replace(random_run(), method=Careless(), budget=Budget(steps, None))
        torch.manual_seed(steps)
        np.random.seed(steps)
        random.seed(steps)
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
        made = execute_quietly(asked, tmp_path / out)
        after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
        assert same(before, after)
        return made

    run(2, "parts")
    assert same(leaves(run(4, "parts")), leaves(run(4, "whole")))
    assert not same(leaves(load(tmp_path / "whole")), leaves(run(3, "shorter")))


# Another run's set as the start.


def test_a_run_starts_from_another_runs_set(tmp_path: Path) -> None:
    first = execute_quietly(hmdc_run(2), tmp_path / "first")
    run = hmdc_run(1, seed=3, init=tmp_path / "first", lr=0.05)
    execute_quietly(run, tmp_path / "second")
    assert same(leaves(load(tmp_path / "second" / "start")), leaves(first))
    moved = load(tmp_path / "second").stored["pixels"] - first.stored["pixels"]
    assert 0.5 / 255 < float(moved.abs().max()) < 0.05 * 0.35 + 1 / 255


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"problem": images(1, (12, 12))}, "is of 3 classes"),
        ({"problem": images(3)}, r"of shape \(1, 8, 8\)"),
        ({"per_class": 2}, "stores 3 samples where --per-class asks for 6"),
        ({"factor": 1}, "is stored as .*factor=2.* stores .*factor=1"),
        ({"init": "no/such/run"}, "no synthetic set at no/such/run"),
    ],
    ids=["classes", "shape", "number", "storage", "missing"],
)
def test_a_start_that_does_not_fit_says_why(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    execute_quietly(hmdc_run(0), tmp_path / "first")
    run = hmdc_run(1, **{"init": tmp_path / "first", **change})
    with pytest.raises(UsageError, match=said):
        execute_quietly(run, tmp_path / "second")
    assert not (tmp_path / "second").exists()


# Directories that are something else.


def test_a_directory_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(UsageError, match="not empty and holds no run: choose another --out"):
        execute_quietly(hmdc_run(1), tmp_path)
    assert content(tmp_path) == {"letters.txt": b"dear"}


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(UsageError, match="is a file; --out wants a directory"):
        execute_quietly(hmdc_run(1), tmp_path / "file")


def test_an_empty_directory_and_one_that_is_not_there_are_both_fine(tmp_path: Path) -> None:
    execute_quietly(random_run(), tmp_path)
    execute_quietly(random_run(), tmp_path / "a" / "b")
    assert load(tmp_path / "a" / "b").about["method"] == "random"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"settings": 3}'])
def test_a_damaged_config_is_refused_and_left_alone(text: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    execute_quietly(hmdc_run(1), out)
    (out / "config.json").write_text(text)
    before = content(out)
    with pytest.raises((RunError, UsageError), match="choose another --out"):
        execute_quietly(hmdc_run(2), out)
    assert content(out) == before


# Signals.


def test_sigterm_stops_as_ctrl_c_does_and_the_handler_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stop_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_in_a_thread_of_its_own_needs_no_signals() -> None:
    made: list[SyntheticSet] = []
    thread = threading.Thread(target=lambda: made.append(execute_quietly(hmdc_run(1))))
    thread.start()
    thread.join(60)
    assert same(leaves(made[0]), leaves(execute_quietly(hmdc_run(1))))
