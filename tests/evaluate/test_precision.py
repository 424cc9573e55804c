"""Lower precision where, and only where, it is asked for or measured to be faster."""

from __future__ import annotations

import pytest
import torch

from condensery.errors import UsageError
from condensery.evaluate import precision
from condensery.evaluate.precision import precision_from


@pytest.mark.parametrize(
    ("times", "chosen"), [(4.0, torch.bfloat16), (1.2, torch.float32), (0.05, torch.float32)]
)
def test_auto_takes_sixteen_bits_only_where_they_are_clearly_faster(
    times: float, chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "gain", lambda: times)
    assert precision_from("auto") == chosen
    assert precision_from("float32") == torch.float32
    assert precision_from("bfloat16") == torch.bfloat16


def test_the_gain_is_measured_and_leaves_the_threads_as_they_were() -> None:
    threads = torch.get_num_threads()
    assert precision.gain() > 0
    assert torch.get_num_threads() == threads


def test_an_unknown_precision_prints_the_known_ones() -> None:
    with pytest.raises(UsageError, match="float16.*float32, bfloat16, auto"):
        precision_from("float16")
