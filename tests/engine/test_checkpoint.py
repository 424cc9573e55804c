"""Checkpoints: the newest two, whole or not at all, and nothing in them is executed."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from condensery.engine import checkpoint, execute
from condensery.errors import RunError
from engine.made import content, hmdc_run, random_run
from methods.test_conformance import last_checkpoint, leaves, same

CPU = torch.device("cpu")


def values(step: int) -> dict[str, Any]:
    pixels = torch.full((2, 3), float(step))
    return {"state": {"step": step, "stored": {"pixels": pixels}}, "seconds": 0.5 * step}


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (0, 5, 10, 123456789):
        checkpoint.write(tmp_path / "checkpoints", step, values(step))
        found = checkpoint.newest(tmp_path / "checkpoints", CPU)
        assert found is not None and same(found, values(step))
    names = [path.name for path in checkpoint.listed(tmp_path / "checkpoints")]
    assert names == ["00000010.pt", "123456789.pt"]


def test_where_nothing_was_written_there_is_nothing(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "checkpoints", CPU) is None
    assert checkpoint.listed(tmp_path / "checkpoints") == []


def test_a_run_keeps_two_and_no_file_beside_them(tmp_path: Path) -> None:
    execute(hmdc_run(4, checkpoint_seconds=0.0), tmp_path, quiet=True)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["00000003.pt", "00000004.pt"]


def test_a_checkpoint_holds_tensors_and_plain_values_only(tmp_path: Path) -> None:
    execute(hmdc_run(2), tmp_path, quiet=True)

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner)
        else:
            plain = (torch.Tensor, int, float, str, bool, type(None))
            assert isinstance(value, plain), type(value)

    walk(last_checkpoint(tmp_path))  # reads with weights_only=True


def spoilt(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "noise":
        path.write_bytes(random.Random(0).randbytes(len(content)))
    elif how == "a bit flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "text":
        path.write_text("this is no checkpoint")
    elif how == "another list":
        torch.save([1, 2, 3], path)
    elif how == "another dict":
        torch.save({"model": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    "how",
    ["cut short", "empty", "noise", "a bit flipped", "text", "another list", "another dict"],
)
def test_a_damaged_checkpoint_is_refused_kept_and_named_with_the_way_out(
    how: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    whole = execute(hmdc_run(4), tmp_path / "whole", quiet=True)
    execute(hmdc_run(2, checkpoint_seconds=0.0), out, quiet=True)
    broken = out / "checkpoints" / "00000002.pt"
    spoilt(broken, how)
    before = content(out / "checkpoints")
    said = r"00000002.pt is damaged or foreign: delete it to go on from 00000001.pt"
    for _ in range(2):
        with pytest.raises(RunError, match=said) as caught:
            execute(hmdc_run(4), out, quiet=True)
        assert "\n" not in str(caught.value)
        assert content(out / "checkpoints") == before
    broken.unlink()
    assert same(leaves(execute(hmdc_run(4), out, quiet=True)), leaves(whole))


def test_with_one_checkpoint_only_the_way_out_is_to_start_again(tmp_path: Path) -> None:
    whole = execute(hmdc_run(2), tmp_path / "whole", quiet=True)
    execute(hmdc_run(1), tmp_path / "run", quiet=True)
    only = tmp_path / "run" / "checkpoints" / "00000001.pt"
    spoilt(only, "cut short")
    with pytest.raises(RunError, match="delete it to start again, or choose another --out"):
        execute(hmdc_run(2), tmp_path / "run", quiet=True)
    only.unlink()
    assert same(leaves(execute(hmdc_run(2), tmp_path / "run", quiet=True)), leaves(whole))


def test_every_single_flipped_byte_is_either_refused_or_harmless(tmp_path: Path) -> None:
    # What is read after a flip is the same, or it is refused: a run never goes on with other bits.
    checkpoint.write(tmp_path, 1, values(1))
    path = tmp_path / "00000001.pt"
    whole, generator = path.read_bytes(), random.Random(1)
    refused = 0
    for _ in range(150):
        place = generator.randrange(len(whole))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = checkpoint.newest(tmp_path, CPU)
        except RunError:
            refused += 1
        else:
            assert same(found, values(1)), f"byte {place}"
    assert refused > 20


class Bomb:
    """Something that does harm when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_nothing_in_a_checkpoint_is_executed(how: str, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    content = {"state": {"step": 1, "stored": {}}, "seconds": Bomb(mark)}
    path = tmp_path / "checkpoints" / "00000001.pt"
    path.parent.mkdir()
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(RunError, match="damaged or foreign"):
        checkpoint.newest(tmp_path / "checkpoints", CPU)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "the bomb is a dud: this test shows nothing"


@pytest.mark.parametrize("other", ["another size", "another method"])
def test_the_checkpoint_of_another_run_does_not_fit(other: str, tmp_path: Path) -> None:
    run = hmdc_run(2, per_class=2) if other == "another size" else random_run()
    execute(run, tmp_path / "other", quiet=True)
    execute(hmdc_run(1), tmp_path / "run", quiet=True)
    foreign = max((tmp_path / "other" / "checkpoints").iterdir())
    target = tmp_path / "run" / "checkpoints" / "00000002.pt"
    target.write_bytes(foreign.read_bytes())
    before = content(tmp_path / "run")
    with pytest.raises(RunError, match="does not fit this run .* choose another --out"):
        execute(hmdc_run(3), tmp_path / "run", quiet=True)
    assert content(tmp_path / "run") == before


def test_a_write_that_fails_leaves_the_checkpoints_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write(tmp_path, 1, values(1))
    before = content(tmp_path)

    def full(values: Any, path: Path) -> None:
        path.write_bytes(b"half of")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.write(tmp_path, 2, values(2))
    assert content(tmp_path) == before
