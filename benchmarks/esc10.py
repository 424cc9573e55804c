"""HMDC and DREAM at preset small on ESC-10, one clip per class, beside Random at equal bytes.

    CONDENSERY_DATA=/folder/that/holds/esc10 python benchmarks/esc10.py develop   # fold 1, 3 seeds
    CONDENSERY_DATA=/folder/that/holds/esc10 python benchmarks/esc10.py official  # 5 folds, once

``develop`` is what settings are looked at on: fold 1, condensation seeds 100 to 102. ``official``
condenses once for each fold (seed: its number) and pools the 400 test clips; the folds' records are
means of 80 clips each, so the mean over folds is the pooled accuracy. DREAM gets the minutes that
HMDC took; names of methods after the way ask for those alone. The judge is the six-layer CNN on
waveforms under the recipe ``sound``. Runs resume, and finished cells are not run again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from seeds import HERE, PROCESSES

from condensery import condense, load_problem
from condensery.artefact import load
from condensery.evaluate import baselines, grid

WAYS = {
    "develop": [("esc10:1", seed) for seed in (100, 101, 102)],
    "official": [(f"esc10:{fold}", fold) for fold in range(1, 6)],
}
SEEDS, DRAWS = (0, 1), 2


def sets(data: str, seed: int, out: Path, methods: Sequence[str]) -> dict[str, Path]:
    """Run directories of the methods, the second with the seconds that the first took."""
    places = {method: out / f"{method}-{seed}" for method in methods}
    condense(data, "hmdc", preset="small", seed=seed, out=places["hmdc"], quiet=True)
    minutes = float(load(places["hmdc"]).about["seconds"]) / 60
    if "dream" in places and not (places["dream"] / "synthetic").is_dir():
        condense(data, "dream", preset="small", seed=seed, out=places["dream"],
                 minutes=minutes, quiet=True)  # fmt: skip
    return places


def main(way: str, methods: Sequence[str]) -> None:
    """Condense, judge, and say each row's mean over the folds or seeds."""
    found: dict[str, list[float]] = {}
    for data, seed in WAYS[way]:
        problem = load_problem(data)
        out = Path("runs/bench/esc10") / way / data.replace(":", "-")
        places = sets(data, seed, out, methods)
        for method, place in places.items():
            own, start = [(seed, load(place))], [(seed, load(place / "start"))]
            made = baselines(problem, own, name=method, start=start, which=("random",), draws=DRAWS)
            rows = {row if row in ("random", "random packed", method) else f"{method}: {row}": one
                    for row, one in made.items()}  # fmt: skip
            records = grid.evaluate(
                rows, problem, ("audio_cnn",), recipe="sound", seeds=SEEDS, per_class=1,
                out=HERE / "records" / f"esc10_{way}.jsonl", workers=PROCESSES,
            )  # fmt: skip
            for row in rows if method == "hmdc" else (method,):
                mine = [one.accuracy for one in records if one.row == row]
                found.setdefault(row, []).append(100 * mean(mine))
    for row, each in found.items():
        spread = f" +- {stdev(each):.1f}" if len(each) > 1 else ""
        print(f"{row:20} {mean(each):5.1f}{spread}  {[round(one, 1) for one in each]}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "develop", sys.argv[2:] or ("hmdc", "dream"))
