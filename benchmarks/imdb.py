"""HMDC and DREAM at preset small on IMDB, one text of 64 tokens per class, beside real reviews.

    CONDENSERY_DATA=/folder/that/holds/imdb python benchmarks/imdb.py develop   # seed 100
    CONDENSERY_DATA=/folder/that/holds/imdb python benchmarks/imdb.py official  # seeds 1 to 3

``develop`` is what settings are looked at on: a tenth of the training split that condensing does
not see. ``official`` judges on a seeded balanced 5,000 of the 25,000 test reviews; with ``whole``
after it on all of them. DREAM gets the minutes that HMDC took. Rows: a random review per class
(``random as many``), as many as fit into the bytes of the set (``random``), the naive Bayes tokens
that both methods begin with (``start``: the same for every seed, hence one set). The recipe is
``text``; chance is 50. Runs resume, and finished cells are not run again.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from seeds import HERE, PROCESSES

from condensery import condense, load_problem
from condensery.artefact import load
from condensery.data.problem import Problem, stratified, take
from condensery.evaluate import baselines, grid
from condensery.models import PeerSpec

SEEDS = {"develop": (100,), "official": (1, 2, 3)}
MODELS = (PeerSpec("lstm"), PeerSpec("minilm", weights="pretrained"))
TESTS = {"develop": 1000, "official": 5000}
ROWS = ("random as many", "random", "start", "hmdc", "dream")


def judged(way: str, whole: bool) -> Problem:
    """IMDB with the part that this way looks at as its test split."""
    problem = load_problem("imdb", validation=0.1 if way == "develop" else 0.0)
    split = problem.val if way == "develop" else problem.test
    if not whole:
        split = take(split, stratified(split.labels, TESTS[way] / len(split), seed=0))
    return replace(problem, test=split, val=take(split, slice(0)))  # type: ignore[arg-type]


def sets(problem: Problem, seed: int, out: Path) -> dict[str, Path]:
    """Run directories of both methods, the second with the seconds that the first took."""
    places = {"hmdc": out / f"hmdc-{seed}", "dream": out / f"dream-{seed}"}
    condense(problem, "hmdc", preset="small", seed=seed, out=places["hmdc"], quiet=True)
    minutes = float(load(places["hmdc"]).about["seconds"]) / 60
    if not (places["dream"] / "synthetic").is_dir():
        condense(problem, "dream", preset="small", seed=seed, out=places["dream"],
                 minutes=minutes, quiet=True)  # fmt: skip
    return places


def main(way: str, whole: bool) -> None:
    """Condense, judge, and say each row's mean over condensation seeds, network by network."""
    problem = judged(way, whole)
    found: dict[tuple[str, str], list[float]] = {}
    for seed in SEEDS[way]:
        places = sets(problem, seed, Path("runs/bench/imdb") / way)
        own = {name: [(seed, load(place))] for name, place in places.items()}
        made = baselines(problem, own["hmdc"], name="hmdc", which=("random",))
        start = [(SEEDS[way][0], load(places["hmdc"] / "start"))]
        rows = {name: {**made, **own, "start": start}[name] for name in ROWS}
        for model in MODELS:
            records = grid.evaluate(
                rows, problem, (model,), recipe="text", seeds=(0,), per_class=1,
                out=HERE / "records" / f"imdb_{way}{'_whole' if whole else ''}.jsonl",
                workers=PROCESSES, precision="auto",
            )  # fmt: skip
            for one in records:
                found.setdefault((model.name, one.row), []).append(100 * one.accuracy)
    for (model, row), each in found.items():
        kept = each if row != "start" else each[:1]
        spread = f" +- {stdev(kept):.1f}" if len(kept) > 1 else ""
        print(f"{model:8} {row:16} {mean(kept):5.1f}{spread}  {[round(one, 1) for one in kept]}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "develop", "whole" in sys.argv)
