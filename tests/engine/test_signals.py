"""A process that is killed, or asked to stop, and its run that goes on to the same bits."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from condensery.artefact import load
from engine.made import digits_run
from methods.test_conformance import last_checkpoint, leaves, same

STEPS = 16

Begin = Callable[[Path], ForkServerProcess]


@pytest.fixture(scope="module")
def begin() -> Begin:
    """Starts a process of its own; what takes seconds to import is imported once for all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["engine.made", "sklearn.cluster", "torchvision.utils"])

    def start(out: Path) -> ForkServerProcess:
        process = context.Process(target=digits_run, args=(out, STEPS))
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, uninterrupted."""
    out = tmp_path_factory.mktemp("signals") / "whole"
    digits_run(out, STEPS, checkpoint_seconds=1000.0)
    return out


def steps_told(out: Path) -> int:
    file = out / "events.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def wait_for(process: ForkServerProcess, out: Path, steps: int) -> None:
    """Until so many steps were told, whatever the machine does meanwhile."""
    for _ in range(12000):
        if steps_told(out) >= steps:
            return
        assert process.is_alive(), "it ended by itself"
        time.sleep(0.005)
    raise AssertionError("too few steps in a minute")


def test_a_run_that_is_killed_twice_ends_with_the_bits_of_one_that_is_not(
    begin: Begin, whole: Path, tmp_path: Path
) -> None:
    # A checkpoint after every step: a kill meets each of its writes sooner or later.
    out, moments, reached = tmp_path / "run", random.Random(), 0
    for _ in range(2):
        process = begin(out)
        wait_for(process, out, steps_told(out) + 3)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.join(10)
        assert process.exitcode == -signal.SIGKILL, "the kill came too late to interrupt anything"
        told, before = steps_told(out), reached
        assert len(load(out)) == 10, "no usable set after a kill"
        reached = last_checkpoint(out)["step"]
        assert before < reached and told - 2 <= reached <= told < STEPS
    process = begin(out)
    process.join(120)
    assert process.exitcode == 0
    assert same(last_checkpoint(out), last_checkpoint(whole))
    assert same(leaves(load(out)), leaves(load(whole)))
    assert same(leaves(load(out / "start")), leaves(load(whole / "start")))
    assert steps_told(out) == STEPS
    assert not list(out.rglob("*.tmp")), "what a kill left aside stays for ever"


def test_a_run_that_is_asked_to_stop_leaves_within_ten_seconds_and_goes_on_later(
    begin: Begin, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = begin(out)
    wait_for(process, out, 2)
    process.terminate()
    process.join(10)
    assert process.exitcode not in (None, 0), "it went on, or had already ended"
    assert steps_told(out) < STEPS
    digits_run(out, STEPS)
    assert same(last_checkpoint(out), last_checkpoint(whole))
