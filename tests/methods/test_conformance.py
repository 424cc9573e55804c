"""What every method keeps, whoever wrote it: the table of ``cases.py`` against these claims."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases import CASES, FURTHER, PROBLEMS, Case
from condensery.core.synthetic import SyntheticSet
from condensery.data.problem import Problem
from condensery.engine import Budget, Run, execute
from condensery.methods import METHODS, Context, Method, State, name_of
from condensery.models import entry
from condensery.streams import Streams, borrow
from condensery.world import Solo, World
from worlds import together

WORKS = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name, case in CASES.items()
    for kind in PROBLEMS
    if getattr(case, kind) is not None
]
EVERY = [
    pytest.param(name, kind, variant, id=f"{name}-{kind}-{variant}")
    for name, case in CASES.items()
    for kind, variants in PROBLEMS.items()
    if getattr(case, kind) is not None
    for variant in variants
]
MORE = [
    pytest.param(name, kind, variant, id=name.replace(" ", "-"))
    for name, (case, variant) in FURTHER.items()
    for kind in PROBLEMS
    if getattr(case, kind) is not None
]
works = pytest.mark.parametrize(("name", "kind"), WORKS)
# Also sets that are stored in another form, with one peer and three; test_hmdc.py goes on with
# three peers of HMDC.
works_and_more = pytest.mark.parametrize(
    ("name", "kind", "variant"),
    [pytest.param(*one.values, next(iter(PROBLEMS[one.values[1]])), id=one.id) for one in WORKS]
    + [one for one in MORE if not one.values[0].startswith("hmdc of three")],
)


def case_of(name: str) -> Case:
    return CASES[name] if name in CASES else FURTHER[name][0]


def first_problem(kind: str) -> Problem:
    return next(iter(PROBLEMS[kind].values()))()


def run_of(case: Case, problem: Problem, steps: int, seed: int = 0) -> Run:
    method = case.method(problem.modality.kind, getattr(problem.modality, "form", ""))
    budget = Budget(steps, None)
    return Run(name_of(method), method, problem, case.per_class, budget, seed)


def context(seed: int = 0, world: World | None = None) -> Context:
    return Context(Streams(seed), world or Solo())


def stepped(method: Method, problem: Problem, start: SyntheticSet, about: Context, steps: int,
            ) -> State:  # fmt: skip
    """A state after so many steps, without the engine."""
    state = method.init(problem, start, about)
    for step in range(steps):
        with borrow(about.streams("globals", step)):
            method.step(state, problem, about)
    return state


def leaves(synthetic: SyntheticSet) -> dict[str, torch.Tensor]:
    return {name: leaf.detach().clone() for name, leaf in synthetic.stored.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two nests of dicts, lists, tensors and plain values are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def last_checkpoint(out: Path) -> Any:
    newest = max((out / "checkpoints").glob("*.pt"))
    return torch.load(newest, weights_only=True)["state"]


def numbers(values: Any) -> list[float]:
    """All numbers of a nest of plain values."""
    if isinstance(values, dict):
        return [number for value in values.values() for number in numbers(value)]
    if isinstance(values, list):
        return [number for value in values for number in numbers(value)]
    return [] if values is None or isinstance(values, str) else [float(values)]


def test_every_method_of_the_house_has_a_row() -> None:
    assert set(CASES) == set(METHODS)
    for name, case in CASES.items():
        kinds = [kind for kind in PROBLEMS if getattr(case, kind) is not None]
        assert all(name_of(case.method(kind)) == name for kind in kinds)


@pytest.mark.parametrize("name", CASES)
def test_a_row_has_an_instance_for_each_modality_that_the_method_claims(name: str) -> None:
    claimed = set(METHODS[name].modalities) & set(PROBLEMS)
    assert {kind for kind in PROBLEMS if getattr(CASES[name], kind) is not None} == claimed


@pytest.mark.parametrize(("name", "kind", "variant"), EVERY + MORE)
def test_a_set_moves_and_stays_in_range_and_its_losses_are_finite(
    name: str, kind: str, variant: str, tmp_path: Path
) -> None:
    case, problem = case_of(name), PROBLEMS[kind][variant]()
    seen: list[SyntheticSet] = []
    run = run_of(case, problem, steps=3)
    final = execute(run, tmp_path, lambda step, info, made: seen.append(made.clone()), quiet=True)
    start = run.method.start(problem, case.per_class, run.context())
    assert final.classes == problem.classes
    assert torch.bincount(final.labels).tolist() == [case.per_class] * problem.classes
    final.codec.check(final.decode().x, problem.modality)
    for made in seen:
        before = leaves(made)
        made.codec.project_(made.stored, made.modality)
        for leaf, was in zip(made.stored.values(), before.values(), strict=True):
            assert bool(leaf.isfinite().all())
            torch.testing.assert_close(leaf, was, atol=1e-6, rtol=0)
    assert same(leaves(seen[-1]), leaves(start)) != case.moves
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").open()]
    assert all(np.isfinite(numbers(event)).all() for event in events)
    assert not case.moves or len(numbers(events[0])) > 2, "a step tells nothing but its number"


@pytest.mark.parametrize(("name", "kind"), [work for work in WORKS if CASES[work.values[0]].moves])
def test_every_class_moves(name: str, kind: str) -> None:
    problem, method = first_problem(kind), CASES[name].method(kind)
    start = method.start(problem, 2, context())
    moved = stepped(method, problem, start, context(), 3).synthetic
    for label in problem.labels:
        assert not same(leaves_of(moved, label), leaves_of(start, label))


def leaves_of(synthetic: SyntheticSet, label: int) -> dict[str, torch.Tensor]:
    return {name: leaf.detach() for name, leaf in synthetic.of(label).items()}


@works_and_more
def test_four_steps_are_two_steps_and_a_resume_and_two_steps_bit_for_bit(
    name: str, kind: str, variant: str, tmp_path: Path
) -> None:
    case, problem = case_of(name), PROBLEMS[kind][variant]()
    whole = execute(run_of(case, problem, steps=4), tmp_path / "whole", quiet=True)
    execute(run_of(case, problem, steps=2), tmp_path / "parts", quiet=True)
    parts = execute(run_of(case, problem, steps=4), tmp_path / "parts", quiet=True)
    assert same(leaves(whole), leaves(parts))
    assert last_checkpoint(tmp_path / "whole")["step"] == 4
    assert same(last_checkpoint(tmp_path / "whole"), last_checkpoint(tmp_path / "parts"))


@works
def test_the_same_seed_gives_the_same_set_and_another_seed_another(name: str, kind: str) -> None:
    case, problem = CASES[name], first_problem(kind)
    torch.manual_seed(1)
    first = execute(run_of(case, problem, steps=1), quiet=True)
    torch.manual_seed(2)  # a method that draws from the global generator is found out
    again = execute(run_of(case, problem, steps=1), quiet=True)
    other = execute(run_of(case, problem, steps=1, seed=2), quiet=True)
    assert same(leaves(first), leaves(again))
    assert same(leaves(first), leaves(other)) != case.draws


def global_state() -> list[Any]:
    """What belongs to the process, not to a method."""
    position = np.random.get_state()
    return [
        torch.get_rng_state(), list(map(str, position)), str(random.getstate()),
        torch.is_grad_enabled(), str(torch.get_default_dtype()), torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
        torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled(),
    ]  # fmt: skip


@works
def test_a_method_touches_nothing_but_its_own_state(name: str, kind: str) -> None:
    case, problem = CASES[name], first_problem(kind)
    method, before = case.method(kind), global_state()
    held, settings = problem.train.samples.copy(), dataclasses.asdict(method)
    start = method.start(problem, case.per_class, context())
    kept = leaves(start)
    stepped(method, problem, start, context(), 3)
    assert same(leaves(start), kept), "the start is not a copy"
    assert all(leaf.grad is None for leaf in start.stored.values())
    assert np.array_equal(problem.train.samples, held)
    assert dataclasses.asdict(method) == settings
    assert same(global_state(), before)


# Two share three classes unequally, or two: how many there are is no matter of what a sample is.
@pytest.mark.parametrize(
    ("size", "name", "kind"),
    [pytest.param(size, *work.values, id=f"{size}-{work.id}") for work in WORKS
     for size in ((2, 3) if work.values[1] == "image" else (2,))],
)  # fmt: skip
def test_workers_that_share_the_classes_make_the_set_of_one(
    size: int, name: str, kind: str
) -> None:
    case, problem = CASES[name], first_problem(kind)
    method = case.method(kind)
    start = method.start(problem, case.per_class, context())
    alone = stepped(method, problem, start, context(), 4).synthetic
    shared = together(
        size,
        lambda world: stepped(method, problem, start, context(world=world), 4).synthetic,
    )
    for synthetic in shared:
        assert same(leaves(synthetic), leaves(shared[0])), "workers hold different sets"
        for leaf, expected in zip(synthetic.stored.values(), alone.stored.values(), strict=True):
            torch.testing.assert_close(leaf, expected, atol=case.workers_differ, rtol=0)


@works
def test_a_run_can_begin_from_another_runs_set(name: str, kind: str, tmp_path: Path) -> None:
    case, problem = CASES[name], first_problem(kind)
    made = execute(run_of(case, problem, steps=1), tmp_path / "first", quiet=True)
    run = dataclasses.replace(run_of(case, problem, steps=0), init=tmp_path / "first")
    assert same(leaves(execute(run, quiet=True)), leaves(made))


@works
def test_the_networks_that_judge_are_named_and_real(name: str, kind: str) -> None:
    used = CASES[name].method(kind).peers_used()
    assert all(entry(one) for one in used)
    assert used or not CASES[name].moves, "a selection may ask no network, an optimisation does"


def plain(value: Any) -> Any:
    """A nest of settings as JSON gives it back; anything that is no plain value is an error."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [plain(inner) for inner in value]
    assert value is None or type(value) in (bool, int, float, str), f"no plain value: {value!r}"
    return value


@works
def test_settings_are_plain_values_that_survive_json(name: str, kind: str) -> None:
    method = CASES[name].method(kind)
    for instance in (method, METHODS[name]()):
        settings = dataclasses.asdict(instance)
        assert json.loads(json.dumps(settings)) == plain(settings)
    hash(method)


@pytest.mark.parametrize("name", CASES)
def test_settings_cannot_be_changed(name: str) -> None:
    method = METHODS[name]()
    for field in dataclasses.fields(method):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, field.name, None)


@pytest.mark.parametrize("name", CASES)
def test_the_docstring_says_what_every_setting_is(name: str) -> None:
    told = "\n".join(kind.__doc__ or "" for kind in METHODS[name].__mro__)
    for field in dataclasses.fields(METHODS[name]):
        assert re.search(rf"\b{field.name}\b(, \w+)*:", told), f"{field.name} is not documented"


@pytest.mark.parametrize("name", CASES)
def test_a_method_says_what_it_is_called_and_where_it_comes_from(name: str) -> None:
    kind = METHODS[name]
    assert kind.title and kind.paper
    assert (kind.default_steps > 0) == CASES[name].moves
