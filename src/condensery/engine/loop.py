"""Run a method on a data set: steps, budget, checkpoints, resume."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from condensery.artefact import load
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.engine import checkpoint
from condensery.engine.progress import Progress
from condensery.engine.rundir import RunDirectory
from condensery.errors import RunError, UsageError
from condensery.methods.base import Context, Info, Method, Modules, State, of_today
from condensery.records import circumstances, peak_memory
from condensery.streams import Streams, borrow
from condensery.world import Solo, World

OnStep = Callable[[int, Info, SyntheticSet], object]


@dataclass(frozen=True)
class Budget:
    """When to stop: after so many steps, or after so many minutes of condensing."""

    steps: int | None
    minutes: float | None

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise UsageError("give --steps or --minutes, not both")
        if self.steps is not None and self.steps < 0:
            raise UsageError(f"--steps counts updates, from 0; got {self.steps}")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"--minutes must be positive; got {self.minutes}")

    def done(self, step: int, seconds: float) -> bool:
        """Whether the budget is used up."""
        if self.steps is not None:
            return step >= self.steps
        return seconds >= 60 * (self.minutes or 0)

    def part(self, step: int, seconds: float) -> float:
        """The part of the budget that is used up, in [0, 1]."""
        used = (
            step / max(1, self.steps)
            if self.steps is not None
            else seconds / 60 / (self.minutes or 1)
        )
        return min(1.0, used)


@dataclass(frozen=True)
class Spent:
    """Seconds and memory of a run, all its sessions together.

    Attributes:
        start: on the step-0 set and what belongs to it (a teacher, features, clusters; another
            run's set with all that it took). init: on the state around it. steps: on steps, which
            alone use up a budget of minutes.
        memory: bytes of main memory at most (``records.peak_memory``); 0 where nobody counts them.
    """

    start: float = 0.0
    init: float = 0.0
    steps: float = 0.0
    memory: int = 0

    def after(self, steps: float) -> Spent:
        """The same after steps of this session; what was spent on steps in all is told."""
        return dataclasses.replace(self, steps=steps, memory=max(self.memory, peak_memory() or 0))

    @property
    def all(self) -> float:
        """From the raw data to the stored set."""
        return self.start + self.init + self.steps


@dataclass(frozen=True)
class Run:
    """What one run is: a method on a problem.

    Attributes:
        name: of the method in the table of methods. seed: of all its random streams.
        init: None for the method's own start, or the folder of another run's set.
        modules: the user's networks. checkpoint_seconds: between checkpoints, at least.
        source: what was asked for to get the data, plain values, so that an evaluation finds the
            data again; None for data that lived in memory only.
    """

    name: str
    method: Method
    problem: Problem
    per_class: int
    budget: Budget
    seed: int = 0
    init: str | Path | None = None
    modules: Modules = dataclasses.field(default_factory=dict)
    device: torch.device = torch.device("cpu")
    world: World = dataclasses.field(default_factory=Solo)
    checkpoint_seconds: float = 60.0
    source: dict[str, Any] | None = None

    def context(self) -> Context:
        """Streams, workers, device and networks of this run."""
        return Context(Streams(self.seed), self.world, self.device, self.modules)

    def settings(self) -> dict[str, Any]:
        """What must be equal for a run to be resumed; plain values."""
        return {
            "method": self.name,
            "fields": dataclasses.asdict(self.method),
            "data": self.problem.name,
            "fingerprint": self.problem.fingerprint,
            "per_class": self.per_class,
            "seed": self.seed,
            "init": None if self.init is None else str(self.init),
            "modules": {name: _module_name(factory) for name, factory in self.modules.items()},
        }

    def config(self) -> dict[str, Any]:
        """What ``config.json`` holds."""
        return {
            "settings": self.settings(),
            "source": self.source,
            "budget": {"steps": self.budget.steps, "minutes": self.budget.minutes},
            "circumstances": circumstances(),
        }


def execute(
    run: Run, out: Path | None = None, on_step: OnStep | None = None, quiet: bool = False
) -> SyntheticSet:
    """Do a run to the end of its budget, or go on with the one that lies in ``out``.

    Args:
        run: what to do. out: the run directory; None keeps nothing on disk.
        on_step: called after every step with its number (from 1), what it told, and the set.
        quiet: no progress.

    Returns:
        The synthetic set, on the CPU, in the form that is exported.

    Raises:
        UsageError: ``out`` holds another run; the settings cannot be.
        RunError: a loss is not finite; the last checkpoint stays.
    """
    if run.problem.modality.kind not in run.method.modalities:
        raise UsageError(f"{run.name} does not work on {run.problem.modality.kind}; "
                         f"it works on {', '.join(run.method.modalities)}")  # fmt: skip
    if run.method.default_steps and not run.method.codec(run.problem).moves:
        raise UsageError(f"nothing can move in texts of one token a position: give {run.name} "
                         f"more of them, as in --method.factor 15")  # fmt: skip
    directory = None
    if out is not None:
        directory = RunDirectory.open(out, run.config(), partial(of_today, kind=type(run.method)))
    began = time.perf_counter()
    start = _start(run)
    started = time.perf_counter()
    state = run.method.init(run.problem, start, run.context())
    spent = Spent(started - began + _before(run, start), time.perf_counter() - started,
                  memory=peak_memory() or 0)  # fmt: skip
    spent = _resume(run, directory, state, spent)
    moved = None
    if directory is not None:
        moved = directory.moved(circumstances())
        directory.begin(run.config())
        directory.keep_start(_about(run, start, 0, spent, spent.start))
    with stop_signals(), Progress(run.name, run.budget.part, quiet) as progress:
        if moved is not None:
            progress.say(moved)
        spent = _steps(run, state, directory, on_step, progress, spent)
    final = _about(run, state.synthetic, state.step, spent, spent.all).to("cpu")
    return dataclasses.replace(final.quantised(), about=final.about)


def _steps(
    run: Run,
    state: State,
    directory: RunDirectory | None,
    on_step: OnStep | None,
    progress: Progress,
    spent: Spent,
) -> Spent:
    """The loop itself. Returns what was spent on this run so far, all sessions together."""
    context, began = run.context(), time.perf_counter()
    written, seconds = time.perf_counter(), spent.steps
    while not run.budget.done(state.step, seconds):
        with borrow(context.streams("globals", state.step)):
            info = run.method.step(state, run.problem, context)
        seconds = spent.steps + time.perf_counter() - began
        if directory is not None:
            directory.event({"step": state.step, "seconds": round(seconds, 3), **info.values})
        if on_step is not None:
            on_step(state.step, info, state.synthetic)
        progress.show(state.step, seconds)
        if directory is not None and time.perf_counter() - written > run.checkpoint_seconds:
            _checkpoint(run, state, directory, spent.after(seconds))
            written = time.perf_counter()
    spent = spent.after(seconds) if seconds > spent.steps else spent
    if directory is not None:
        _checkpoint(run, state, directory, spent)
    return spent


def _checkpoint(run: Run, state: State, directory: RunDirectory, spent: Spent) -> None:
    values = {"state": state.tensors(), "seconds": spent.steps,
              "start_seconds": spent.start, "init_seconds": spent.init,
              "peak_memory": spent.memory}  # fmt: skip
    checkpoint.write(directory.checkpoints, state.step, values)
    directory.keep(_about(run, state.synthetic, state.step, spent, spent.all), state.step)


def _resume(run: Run, directory: RunDirectory | None, state: State, spent: Spent) -> Spent:
    """Take over the newest checkpoint, if there is one. Returns what was spent before.

    The first session's start counts; that a resume makes it again is no cost of the set.
    """
    if directory is None:
        return spent
    found = checkpoint.newest(directory.checkpoints, run.device)
    if found is None:
        directory.cut_events(0)
        return spent
    try:
        state.load(found["state"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise RunError(f"the checkpoint in {directory.checkpoints} does not fit this run "
                       f"({error}): choose another --out") from None  # fmt: skip
    directory.cut_events(state.step)
    # Checkpoints of earlier versions do not tell of the start: what it took now stands for it.
    return Spent(float(found.get("start_seconds", spent.start)),
                 float(found.get("init_seconds", spent.init)), float(found["seconds"]),
                 int(found.get("peak_memory", spent.memory)))  # fmt: skip


def _before(run: Run, start: SyntheticSet) -> float:
    """What another run spent on the set that this one starts from; 0 for a start of its own."""
    return float(start.about.get("seconds") or 0.0) if run.init is not None else 0.0


def _start(run: Run) -> SyntheticSet:
    """The step-0 set: the method's own, or another run's set if it fits.

    Raises:
        UsageError: the other set is of other classes, samples, storage or number.
    """
    if run.init is None:
        return run.method.start(run.problem, run.per_class, run.context())
    found = load(run.init)
    own = run.method.codec(run.problem)
    expected = run.per_class * run.problem.classes
    wrong = None
    if not run.problem.modality.fits(found.modality) or found.classes != run.problem.classes:
        wrong = f"is of {found.classes} classes of shape {found.modality.shape}"
    elif len(found) != expected:
        wrong = f"stores {len(found)} samples where --per-class asks for {expected}"
    elif found.codec != own:
        wrong = f"is stored as {found.codec}, this method stores {own}"
    if wrong:
        raise UsageError(f"--init {run.init} {wrong}: choose a set that fits, or another start")
    return dataclasses.replace(found, modality=run.problem.modality)


def _about(
    run: Run, synthetic: SyntheticSet, step: int, spent: Spent, seconds: float
) -> SyntheticSet:
    """The set with what its card tells of this run."""
    about: dict[str, Any] = {
        "method": run.name,
        "paper": run.method.paper,
        "peers": list(run.method.peers_used()),
        "steps": step,
        "seconds": round(seconds, 2),
        "settings": run.settings(),
        "circumstances": circumstances(),
    }
    if spent.memory:
        about["peak_memory_bytes"] = spent.memory
    return dataclasses.replace(synthetic, about=about)


def _module_name(factory: Any) -> str:
    return f"{getattr(factory, '__module__', '')}.{getattr(factory, '__qualname__', type(factory))}"


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Let SIGTERM stop a run as Ctrl-C does: at once, the last checkpoint stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
