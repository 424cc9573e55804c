"""HMDC and DREAM at preset small on ESC-10, one clip per class, beside Random at equal bytes.

    CONDENSERY_DATA=/folder/that/holds/esc10 python benchmarks/esc10.py develop   # fold 1, 3 seeds
    CONDENSERY_DATA=/folder/that/holds/esc10 python benchmarks/esc10.py official  # 5 folds, once

``develop`` is what settings are looked at on: fold 1, condensation seeds 100 to 102. ``official``
condenses once for each fold (seed: its number) and pools the 400 test clips; the folds' records are
means of 80 clips each, so the mean over folds is the pooled accuracy. Both methods make 100
updates. Names of arms after the way ask for those alone; ``hmdc-whisper`` is HMDC with a small
transformer in the place of its second network, with batches that two cores bear. ``hmdc-encoder``
has the pretrained encoder of Whisper tiny there, matched in its head alone; both peers stand still
and all real clips of a class are matched, by one of a stored clip's five parts at a time.

``hmdc-logmel`` is stored as log-mel spectrograms, which networks on spectrograms alone can read:
the small spectrogram CNN judges it, and ``hmdc`` beside it.

Judge is the six-layer CNN on waveforms under the recipe ``sound``, two trainings a set; of
``hmdc-whisper`` also, one training a set and one draw of each random row, the small transformer
from scratch under the same recipe and, where ``weights/whisper_tiny_en_encoder`` lies beside the
data, the encoder of Whisper tiny under ``linear-probe``; of ``hmdc-encoder`` this probe and the
CNN, four trainings a set and one draw of each random row. Runs resume, and finished cells are not
run again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from seeds import HERE, PROCESSES, say

from condensery import HMDC, condense, load_problem
from condensery.artefact import load
from condensery.data.problem import Problem
from condensery.evaluate import RECIPES, Recipe, baselines, grid
from condensery.methods.base import Method
from condensery.models import PeerSpec
from condensery.presets import PRESETS
from condensery.records import Record
from condensery.report import terminal_table

WAYS = {
    "develop": [("esc10:1", seed) for seed in (100, 101, 102)],
    "official": [(f"esc10:{fold}", fold) for fold in range(1, 6)],
}
ARMS = ("hmdc", "dream", "hmdc-whisper", "hmdc-encoder", "hmdc-logmel")
DRAWS = 2
WHISPER = Path(os.environ.get("CONDENSERY_DATA", "")) / "weights" / "whisper_tiny_en_encoder"


def settings(arm: str, problem: Problem) -> tuple[Method, int]:
    """The method of an arm and its number of updates."""
    plan = PRESETS["small"](arm.split("-")[0], problem, 1)
    method = plan.method
    if arm == "hmdc-whisper":
        assert isinstance(method, HMDC)
        peers = (method.peers[0], PeerSpec("whisper_mini", optimiser="adamw", lr=1e-3))
        method = replace(method, peers=peers, real_batch=4, synthetic_batch=2)
    if arm == "hmdc-encoder":
        assert isinstance(method, HMDC)
        encoder = PeerSpec("whisper", weights=str(WHISPER), matches="head")
        method = replace(
            method, peers=(method.peers[0], encoder), lr=0.05, align=False, choose="random",
            real_batch=32, synthetic_batch=1, train_samples=0, align_samples=0, operations=(),
            restart_every=100, interval=100,
        )  # fmt: skip
    return method, plan.steps or 100


def judges(arm: str) -> list[tuple[PeerSpec, Recipe, Sequence[int], int]]:
    """Networks, the recipes that they are trained by, evaluation seeds, and draws a fold."""
    spectrogram = (PeerSpec("spectrogram_cnn"), RECIPES["sound"], (0, 1), DRAWS)
    if arm == "hmdc-logmel":
        return [spectrogram]
    # Four trainings of what a claim is made of: first weights, which folds share, favour rows.
    seeds, draws = ((0, 1, 2, 3), 1) if arm == "hmdc-encoder" else ((0, 1), DRAWS)
    found = [(PeerSpec("audio_cnn"), RECIPES["sound"], seeds, draws)]
    if arm == "hmdc":
        found.append(spectrogram)
    if arm == "hmdc-whisper":
        found.append((PeerSpec("whisper_mini"), RECIPES["sound"], (0,), 1))
    if arm in ("hmdc-whisper", "hmdc-encoder") and WHISPER.is_dir():
        pretrained = PeerSpec("whisper", weights=str(WHISPER))
        found.insert(0, (pretrained, RECIPES["linear-probe"], (0,), DRAWS))
    return found


def judged(way: str, data: str, seed: int, arm: str) -> list[Record]:
    """Condense one arm on one fold, and train every judge on it and on its baselines."""
    logmel = arm == "hmdc-logmel"
    data = f"{data}:logmel" if logmel else data
    problem = load_problem(data)
    method, steps = settings(arm, problem)
    place = Path("runs/bench/esc10") / way / data.replace(":", "-") / f"{arm}-{seed}"
    made = condense(data, method, steps=steps, seed=seed, out=place, quiet=True)
    print(f"{arm}, {data}, seed {seed}: {float(made.about['seconds']):.0f} s", flush=True)
    own, start = [(seed, load(place))], [(seed, load(place / "start"))]
    rows = baselines(problem, own, name=arm, start=start, which=("random",), draws=DRAWS)
    # Of another form are the random rows too: they are not those of the other arms.
    own_rows = set(rows) - {arm} if logmel else {"start"}
    rows = {f"{arm}: {row}" if row in own_rows else row: sets for row, sets in rows.items()}
    records = []
    for network, recipe, seeds, draws in judges(arm):
        fewer = {row: sets[:draws] for row, sets in rows.items()}
        records += grid.evaluate(
            fewer, problem, (network,), recipe=recipe, seeds=seeds, per_class=1,
            out=HERE / "records" / f"esc10_{way}.jsonl", workers=PROCESSES,
            seen=method.peers_used(),
        )  # fmt: skip
    return records


def main(way: str, arms: Sequence[str]) -> None:
    """Condense, judge, and say each row's mean over the folds or seeds, and what it gains."""
    torch.set_num_threads(1)
    found: dict[tuple[object, ...], Record] = {}
    for data, seed in WAYS[way]:
        for arm in arms:
            for one in judged(way, data, seed, arm):
                # One data set to the eyes of the comparison: its folds are its replicates.
                found[one.data, *one.key()] = replace(one, data="esc10")
    records = list(found.values())
    Console(width=140).print(terminal_table(records))
    for recipe in sorted({one.recipe for one in records}):
        here = [one for one in records if one.recipe == recipe]
        for arm in arms:
            say(here, arm, sorted({one.row for one in here} - {arm}))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "develop", sys.argv[2:] or ARMS)
