"""HMDC and DREAM at preset small on IMDB, one text of 64 tokens per class, beside real reviews.

    CONDENSERY_DATA=/folder/that/holds/imdb python benchmarks/imdb.py develop   # seed 100
    CONDENSERY_DATA=/folder/that/holds/imdb python benchmarks/imdb.py official  # seeds 1 to 5

``develop`` is what settings are looked at on: a tenth of the training split that condensing does
not see. ``official`` judges on a seeded balanced 5,000 of the 25,000 test reviews; with ``whole``
after it on all of them, one training a set. DREAM gets the minutes that HMDC took. Rows: a random
review per class (``random as many``, two draws a seed, of which MiniLM is trained on one), as many
as fit into the bytes of the set (``random``, a draw a seed), the naive Bayes tokens that both
methods begin with (``start``: the same for every seed, hence trained on in the name of each). The
recipe is ``text``; MiniLM is cut to 60 updates; chance is 50. Tested in 16 bits where this CPU is
faster so. Runs resume, and finished cells are not run again.

The LSTM is trained ten times a set and MiniLM twenty: by its first weights MiniLM differs by three
points from training to training, the LSTM by one, and the start is one set for all seeds. Against
DREAM the first ten are compared, against a random review per class five, against reviews of equal
bytes, dozens a batch, only the first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from seeds import HERE, PROCESSES, say

from condensery import condense, load_problem
from condensery.artefact import load
from condensery.data.problem import Problem, stratified, take
from condensery.evaluate import RECIPES, Recipe, baselines, grid, shorten
from condensery.models import PeerSpec
from condensery.records import Record
from condensery.report import terminal_table

SEEDS = {"develop": (100,), "official": (1, 2, 3, 4, 5)}
TEXT = RECIPES["text"]
# Networks, recipes, evaluation seeds, draws of a random review per class for each condensed set.
JUDGES: tuple[tuple[PeerSpec, Recipe, Sequence[int], int], ...] = (
    (PeerSpec("lstm"), TEXT, tuple(range(10)), 2),
    (PeerSpec("minilm", weights="pretrained"), shorten(TEXT, updates=60), tuple(range(20)), 1),
)
# Trainings that rows are compared by, where these are not all.
FEW = {"dream": 10, "random as many": 5, "random": 1}
TESTS = {"develop": 1000, "official": 5000}


def judged(way: str, whole: bool) -> Problem:
    """IMDB with the part that this way looks at as its test split."""
    if way == "official":
        return load_problem("imdb" if whole else f"imdb:{TESTS[way]}")
    problem = load_problem("imdb", validation=0.1)
    split = problem.val
    if not whole:
        split = take(split, stratified(split.labels, TESTS[way] / len(split), seed=0))
    return replace(problem, test=split, val=take(split, slice(0)))  # type: ignore[arg-type]


def sets(problem: Problem, seed: int, out: Path) -> dict[str, Path]:
    """Run directories of both methods, the second with the seconds that the first took."""
    places = {"hmdc": out / f"hmdc-{seed}", "dream": out / f"dream-{seed}"}
    condense(problem, "hmdc", preset="small", seed=seed, out=places["hmdc"], quiet=True)
    about = load(places["hmdc"]).about
    print(f"hmdc, seed {seed}: {about['seconds']:.0f} s, {about['peak_memory_bytes'] / 2**30:.1f} "
          "GiB", flush=True)  # fmt: skip
    if not (places["dream"] / "synthetic").is_dir():
        condense(problem, "dream", preset="small", seed=seed, out=places["dream"],
                 minutes=float(about["seconds"]) / 60, quiet=True)  # fmt: skip
    return places


def main(way: str, whole: bool) -> None:
    """Condense, judge, and say each row's mean over condensation seeds, and what HMDC gains."""
    torch.set_num_threads(1)
    problem, seeds = judged(way, whole), SEEDS[way]
    # Of one name, whatever is judged on: a run resumes on the data that it began on.
    made_from, out = judged(way, whole=False), Path("runs/bench/imdb") / way
    places = {seed: sets(made_from, seed, out) for seed in seeds}
    own = {name: [(seed, load(places[seed][name])) for seed in seeds] for name in ("hmdc", "dream")}
    made = baselines(problem, own["hmdc"], name="hmdc", which=("random",), draws=2)
    start = [(seeds[0], load(places[seeds[0]]["hmdc"] / "start"))]
    # A draw for each seed; of those that cost little, one text per class, two.
    equal = [(seed, synthetic) for seed, synthetic in made["random"] if seed in seeds]
    rows = {"start": start, **own, "random as many": made["random as many"], "random": equal}
    for network, recipe, evaluation, draws in JUDGES:
        evaluation = evaluation[:1] if whole and way == "official" else evaluation
        records: list[Record] = []
        for row, those in rows.items():
            if row == "random as many":
                those = those[: draws * len(seeds)]
            found = grid.evaluate(
                {row: those}, problem, (network,), recipe=recipe, precision="auto", per_class=1,
                seeds=evaluation[: FEW.get(row)],
                out=HERE / "records" / f"imdb_{way}{'_whole' if whole else ''}.jsonl",
                workers=PROCESSES, seen=("lstm", "minilm"),
            )  # fmt: skip
            # The same set for every seed: its numbers are those of each.
            records += found if row != "start" else [
                replace(one, replicate=seed) for seed in seeds for one in found]  # fmt: skip
        for other in ("start", *FEW):
            trained = evaluation[: FEW.get(other)]
            held = [one for one in records if one.seed in trained and one.row in ("hmdc", other)]
            Console(width=140).print(terminal_table(held))
            say(held, "hmdc", (other,))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "develop", "whole" in sys.argv)
