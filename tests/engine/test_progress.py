"""The line of progress: alive on a terminal, plain in a file, silent when asked."""

from __future__ import annotations

import sys
import time

import pytest

from condensery.engine import Budget
from condensery.engine.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (0.6, "0:01"), (9, "0:09"), (95, "1:35"), (600, "10:00"), (3599.4, "59:59"),
     (3599.6, "1:00:00"), (4000, "1:06:40"), (360000, "100:00:00"), (-3, "0:00")],
)  # fmt: skip
def test_seconds_are_told_as_a_clock_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_time_left_is_the_rest_at_the_speed_of_this_session() -> None:
    progress = Progress("hmdc", Budget(100, None).part)
    assert progress.left(40, 1000.0) == "measuring"  # resumed at step 40
    assert progress.left(50, 1020.0) == "1:40 left"  # 10 steps in 20 s, 50 more
    assert progress.left(100, 1120.0) == "0:00 left"


def test_of_minutes_the_time_left_is_what_remains_of_them() -> None:
    progress = Progress("hmdc", Budget(None, 2.0).part)
    progress.left(0, 0.0)
    assert progress.left(7, 30.0) == "1:30 left"


def test_in_a_file_it_is_a_plain_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("hmdc", Budget(10, None).part, every=0.02) as progress:
        progress.show(1, 1.0)
        assert capsys.readouterr().err == ""
        time.sleep(0.03)
        progress.show(2, 2.0)
        progress.show(3, 3.0)
    told = capsys.readouterr().err
    assert told == "hmdc: step 2, 2 s, 0:08 left\n"


def test_quiet_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("hmdc", Budget(10, None).part, quiet=True, every=0.0) as progress:
        progress.show(1, 1.0)
        progress.show(2, 2.0)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_on_a_terminal_one_line_lives_and_disappears(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Progress("hmdc", Budget(10, None).part) as progress:
        progress.show(1, 1.0)
        progress.show(2, 2.0)
        assert progress.bar is not None
        progress.bar.refresh()
    told = capsys.readouterr().err
    assert "step 2, 0:08 left" in told
    assert "\n" not in told.rstrip("\n") or "\x1b[" in told
