"""Jobs that share a directory: each cell is run once, whoever dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from condensery.evaluate import share
from condensery.evaluate.share import Claims, Here, each, keep_memory
from condensery.records import read

JOB = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import torch
    torch.set_num_threads(1)
    from evaluate.conftest import banded
    from condensery.core.starts import random_start
    from condensery.data.problem import Problem
    from condensery.evaluate import Recipe, evaluate
    from condensery.modality import Image, Pixels
    from condensery.streams import Streams

    modality = Image((1, 8, 8), (0.3,), (0.3,), mirror=False)
    names = ("a", "b", "c")
    problem = Problem("bands", modality, names, banded(60, 0), banded(30, 1), banded(9, 2))
    sets = [(seed, random_start(problem, 1, Pixels(), Streams(seed))) for seed in range(4)]
    evaluate({{"random": sets}}, problem, ["mlp"], recipe=Recipe("short", updates=60),
             seeds=(0, 1, 2), out=Path({out!r}), workers={workers},
             on_record=lambda one, *told: print(one.replicate, one.seed, flush=True))
"""


def job(out: Path, workers: int = 1) -> subprocess.Popen[str]:
    """One job of twelve cells, as its user would start it."""
    tests = str(Path(__file__).parents[1])
    text = textwrap.dedent(JOB.format(tests=tests, out=str(out), workers=workers))
    command = [sys.executable, "-c", text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def cells(out: Path) -> list[tuple[int, int]]:
    return sorted((one.replicate, one.seed) for one in read(out))


ALL = [(replicate, seed) for replicate in range(4) for seed in range(3)]


def test_two_jobs_on_one_file_run_each_cell_once_and_both_end(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    told = [one.communicate(timeout=120)[0] for one in (job(out), job(out))]
    assert cells(out) == ALL
    # Both tell of all cells: of those that they ran, and of those that the other did.
    assert {len(one.splitlines()) for one in told if one} == {12}
    assert not list(tmp_path.glob(".records.jsonl.claims/*"))


def test_records_survive_a_kill_at_any_moment(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    for after in (1, 2, 4):
        killed = job(out)
        assert killed.stdout is not None
        for _ in range(after):
            killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(set(cells(out))) == len(cells(out)) >= after
    before = cells(out)
    job(out).communicate(timeout=120)
    assert cells(out) == ALL
    assert set(before) <= set(cells(out))


def descendants(process: int) -> list[int]:
    """All processes below one, as Linux lists them."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [one for child in map(int, listed) for one in (child, *descendants(child))]


def running(process: int) -> bool:
    """Whether it is there and no mere exit status that nobody has fetched."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed in /proc")
def test_workers_end_with_the_job_that_is_killed_and_its_records_go_on(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    killed = job(out, workers=2)
    assert killed.stdout is not None
    killed.stdout.readline()
    below = descendants(killed.pid)
    assert len([one for one in below if running(one)]) >= 3, "no workers and their clean process"
    killed.send_signal(signal.SIGKILL)  # nobody fetches its exit status yet
    deadline = time.monotonic() + 20
    while any(map(running, below)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [one for one in below if running(one)]
    for one in left:
        os.kill(one, signal.SIGKILL)
    assert not left, "orphans"
    killed.wait()
    before = read(out)
    assert 1 <= len(before) == len(set(cells(out))) < len(ALL)
    told = job(out, workers=2).communicate(timeout=120)[0]
    assert cells(out) == ALL and read(out)[: len(before)] == before
    assert len(told.splitlines()) == len(ALL) - len(before), "a finished cell was run again"
    assert not list(tmp_path.glob(".records.jsonl.claims/*"))


def test_what_a_killed_job_left_of_finished_cells_is_cleared_away_and_what_others_hold_is_not(
    tmp_path: Path,
) -> None:
    place = tmp_path / "claims"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    place.mkdir()
    (place / "finished.json").write_text(
        json.dumps({"host": socket.gethostname(), "process": dead.pid})
    )
    with Claims(place) as theirs:
        assert theirs.take("b")
        with Claims(place) as ours:
            assert ours.take("a")
        assert len(list(place.glob("*.json"))) == 1 and not (place / "finished.json").exists()
    assert not place.exists()


def test_a_claim_is_one_jobs_until_it_is_released(tmp_path: Path) -> None:
    with Claims(tmp_path / "claims") as ours, Claims(tmp_path / "claims") as theirs:
        assert ours.take("a")
        assert not theirs.take("a") and theirs.take("b")
        ours.release("a")
        assert theirs.take("a")
    assert not (tmp_path / "claims").exists()


def test_the_claim_of_a_dead_process_is_anybodys(tmp_path: Path) -> None:
    done = multiprocessing.get_context("spawn").Process(target=os.getpid)
    done.start()
    done.join()
    with Claims(tmp_path / "claims") as ours:
        assert ours.take("a")
        path = next((tmp_path / "claims").glob("*.json"))
        owner = json.loads(path.read_text())
        path.write_text(json.dumps(owner | {"process": done.pid}))
        with Claims(tmp_path / "claims") as theirs:
            assert theirs.take("a")


@pytest.mark.parametrize("content", ['{"host": "elsewhere", "process": 1}', '{"host": "els', ""])
def test_the_claim_of_another_machine_ends_with_its_silence(tmp_path: Path, content: str) -> None:
    with Claims(tmp_path / "claims") as ours:
        assert ours.take("a")
        path = next((tmp_path / "claims").glob("*.json"))
        path.write_text(content)
        with Claims(tmp_path / "claims") as theirs:
            assert not theirs.take("a")
            old = time.time() - share.SILENCE - 5
            os.utime(path, (old, old))
            assert theirs.take("a")


def test_a_job_at_work_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "BEAT", 0.02)
    with Claims(tmp_path / "claims") as ours:
        assert ours.take("a")
        path = next((tmp_path / "claims").glob("*.json"))
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_what_another_job_finished_meanwhile_is_taken_over(tmp_path: Path) -> None:
    finished = {"b": 20}
    ran = []

    def run(item: str) -> int:
        ran.append(item)
        return ord(item)

    with Claims(tmp_path / "claims") as claims:
        found = list(each(Here(), run, "abc", str, claims, finished.get, 1))
    assert found == [(0, ord("a"), True), (1, 20, False), (2, ord("c"), True)]
    assert ran == ["a", "c"]


def test_items_begin_in_their_order_but_the_longest_of_the_last_first() -> None:
    seconds = {"a": 1.0, "b": 3.0, "c": 2.0}
    ran: list[str] = []
    given = "cb" + "ababacbu"  # nobody knows how long u takes

    def length(item: str) -> float:
        return seconds.get(item, float("inf"))

    list(each(Here(), ran.append, given, str, Claims(None), lambda _: None, 2, length))
    assert "".join(ran) == "cb" + "ubbbcaaa"
    assert len("ababacbu") == 2 * share.LAST
    ran.clear()
    list(each(Here(), ran.append, given, str, Claims(None), lambda _: None, 1, length))
    assert "".join(ran) == given  # one worker ends when it ends


def test_without_known_lengths_the_order_stays() -> None:
    ran: list[int] = []
    list(each(Here(), ran.append, range(9), str, Claims(None), lambda _: None, 2))
    assert ran == list(range(9))


MEMORY = """
    import resource, sys, torch
    from condensery.evaluate.share import keep_memory
    torch.set_num_threads(1)
    if sys.argv[1] == "kept":
        keep_memory()
    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):  # until the heap has the place: where it lies differs from run to run
        torch.ones(2**22)
    before = faults()
    for _ in range(20):
        torch.ones(2**22)
    print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted on Linux")
def test_kept_memory_is_not_asked_for_again() -> None:
    command = [sys.executable, "-c", textwrap.dedent(MEMORY)]
    faults = subprocess.run([*command, "kept"], capture_output=True, text=True, check=True)
    assert int(faults.stdout) < 20 * 2**24 / 4096 / 10  # a tenth of the pages


def test_memory_is_left_alone_where_the_c_library_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(share.ctypes, "CDLL", lambda name: object())
    keep_memory()
