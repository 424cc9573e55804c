"""Presets: they resolve, the small ones run, and the papers' say what the papers say."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from cases import images, sounds, texts
from condensery.data.problem import Problem
from condensery.engine import Budget, Run, execute
from condensery.errors import UsageError
from condensery.methods import HMDC, METHODS, name_of
from condensery.methods.base import Method
from condensery.modality import Sound
from condensery.models import entry
from condensery.models.backbone import PeerSpec
from condensery.presets import PRESETS, Plan, Preset

KNOWN = [(preset, method) for preset, one in PRESETS.items() for method in one.methods]
known = pytest.mark.parametrize(("preset", "method"), KNOWN)


def like(classes: int, channels: int, side: int, mirror: bool = True) -> Problem:
    """Data of this form, two samples a class: a preset reads the form only."""
    problem = images(channels, (2,) * classes, side)
    modality = dataclasses.replace(problem.modality, mirror=mirror)  # type: ignore[type-var]
    return dataclasses.replace(problem, modality=modality)


CIFAR10, CIFAR100, TINY = like(10, 3, 32), like(100, 3, 32), like(200, 3, 64)
MNIST, FASHION, SVHN = like(10, 1, 28, mirror=False), like(10, 1, 28), like(10, 3, 32, mirror=False)
DATA = {"cifar10": CIFAR10, "cifar100": CIFAR100, "tiny": TINY, "mnist": MNIST,
        "fashion": FASHION, "svhn": SVHN}  # fmt: skip


def run(plan: Plan, problem: Problem, steps: int | None, out: Path) -> None:
    name, budget = name_of(plan.method), Budget(plan.steps if steps is None else steps, None)
    execute(Run(name, plan.method, problem, 1, budget), out, quiet=True)


@known
def test_a_preset_gives_a_method_with_its_settings_and_a_budget_for_any_data(
    preset: str, method: str
) -> None:
    for data, per_class in itertools.product(DATA.values(), (1, 10, 50)):
        plan = PRESETS[preset](method, data, per_class)
        assert type(plan.method) is METHODS[method]
        assert (plan.steps is None) != (plan.minutes is None)
        assert bool(plan.steps or plan.minutes) == bool(plan.method.default_steps)
        assert all(entry(name) for name in plan.method.peers_used())
        json.dumps(dataclasses.asdict(plan.method))  # type: ignore[call-overload]


@pytest.mark.parametrize("method", [one for one in METHODS if "image" in METHODS[one].modalities])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_method_can_be_tried_in_seconds(method: str, channels: int, tmp_path: Path) -> None:
    problem = images(channels)
    plan = PRESETS["smoke"](method, problem, 1)
    assert plan.steps == (2 if METHODS[method].default_steps else 0)
    run(plan, problem, None, tmp_path / "run")


KINDS = {
    "wave": sounds((8, 17, 11)),
    "logmel": sounds((8, 17, 11), "logmel"),
    "text": texts((8, 17, 11)),
}
OTHERS = [(method, kind) for kind, problem in KINDS.items() for method in METHODS
          if problem.modality.kind in METHODS[method].modalities]  # fmt: skip


@pytest.mark.parametrize(("method", "kind"), OTHERS)
def test_sound_and_text_can_be_tried_in_seconds(method: str, kind: str, tmp_path: Path) -> None:
    problem = KINDS[kind]
    run(PRESETS["smoke"](method, problem, 1), problem, None, tmp_path / "run")


@pytest.mark.parametrize(("method", "kind"), OTHERS)
def test_the_small_preset_has_networks_that_read_sound_or_text_and_a_set_that_can_move(
    method: str, kind: str
) -> None:
    problem = KINDS[kind]
    plan = PRESETS["small"](method, problem, 1)
    used = plan.method.peers_used()
    assert {entry(name).reads for name in used} <= {problem.modality.kind}
    assert bool(plan.steps) == bool(plan.method.default_steps) <= bool(used)
    assert plan.method.codec(problem).moves
    heard = [name for name in used if name.startswith("audio_cnn")]
    assert not heard or kind == "wave", "spectrograms are no waves"
    json.dumps(dataclasses.asdict(plan.method))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("preset", "method"),
    [one for one in KNOWN if one[0] in ("demo", "small") and METHODS[one[1]].default_steps],
)  # selections there learn long: test_smoke.py runs them
def test_what_is_for_small_machines_runs_on_small_images(
    preset: str, method: str, tmp_path: Path
) -> None:
    problem = images(1)
    run(PRESETS[preset](method, problem, 1), problem, 1, tmp_path / "run")


@known
def test_a_preset_says_what_it_is_where_it_runs_and_whether_that_was_verified(
    preset: str, method: str
) -> None:
    about = PRESETS[preset].about
    assert about and "\n" not in about and len(about) <= 80
    told = " ".join((PRESETS[preset].methods[method].__doc__ or "").split())
    assert told, "no docstring"
    verified = ("nverified", "REPRODUCIBILITY.md", "seconds", "see ``small``", "iterations",
                "updates")  # fmt: skip
    assert any(word in told for word in verified), told


# What a preset does not know.


def test_a_preset_refuses_a_method_that_it_does_not_know_and_names_those_it_does() -> None:
    with pytest.raises(UsageError, match=r"no settings for idc; it knows hmdc and the selections"):
        PRESETS["demo"]("idc", CIFAR10, 1)
    with pytest.raises(UsageError, match=r"unknown method 'hmcd'; .*known: .*dream"):
        PRESETS["demo"]("hmcd", CIFAR10, 1)


SELECTIONS = [name for name, kind in METHODS.items() if not kind.default_steps]


ODD = dataclasses.replace(KINDS["wave"], modality=Sound((1, 4803), 8000))
# Data, and how much a stored sample of HMDC's small preset holds: tiles a side, parts, tokens.
SMALL = {"image": (CIFAR10, 2), "wave": (KINDS["wave"], 5), "odd clips": (ODD, 3),
         "logmel": (KINDS["logmel"], 5), "text": (KINDS["text"], 15)}  # fmt: skip


@pytest.mark.parametrize("data", SMALL)
@pytest.mark.parametrize("method", SELECTIONS)
def test_a_selection_is_packed_like_the_set_that_it_stands_beside(method: str, data: str) -> None:
    problem, factor = SMALL[data]
    plan = PRESETS["small"](method, problem, 1)
    assert plan.steps == 0 and plan.method.factor == factor  # type: ignore[attr-defined]
    beside = PRESETS["small"]("hmdc", problem, 1).method.codec(problem)
    assert plan.method.codec(problem).holds == beside.holds


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("method", SELECTIONS)
def test_a_selection_is_packed_with_every_preset_as_hmdc_is_or_by_two(
    preset: str, method: str
) -> None:
    plan = PRESETS[preset](method, CIFAR10, 1)
    condensed = PRESETS[preset].methods.get("hmdc")
    expected = condensed(CIFAR10, 1).method.factor if condensed else 2  # type: ignore[attr-defined]
    assert plan.steps == 0 and plan.method.factor == expected  # type: ignore[attr-defined]


def test_a_preset_of_ones_own_is_a_dict_of_functions() -> None:
    mine = Preset("mine", {"hmdc": lambda problem, per_class: Plan(HMDC(lr=1.0), minutes=2.0)}, 3)
    assert mine("hmdc", CIFAR10, 1) == Plan(HMDC(lr=1.0), None, 2.0)
    assert mine("mean", CIFAR10, 1).method.factor == HMDC().factor == 2  # type: ignore[attr-defined]
    without = Preset("without", {}, 3)
    assert without("mean", CIFAR10, 1).method.factor == 3  # type: ignore[attr-defined]


# What the papers say. Written by hand, never read from the code.

SIX = {"color", "crop", "cutout", "flip", "scale", "rotate"}
HMDC_PAPER = {
    "factor": 2, "start_from": "kmeans",  # multi-formation; packed k-means
    "lr": 5e-3, "momentum": 0.5, "normalise_gradient": True,
    "balance": True, "align": True, "epsilon": 1e-6,
    "real_batch": 128, "synthetic_batch": 128, "candidates": None, "choose": "kmeans",
    "interval": 10, "restart_every": 100,  # 100 iterations of 100 steps
    "train_samples": 2000, "train_batch": 128, "align_samples": 2000,
    "alignment_lr": 1e-1,  # supplement, section D: all networks but ViT-Small
    "metric": "sum", "mixup": 0.5, "operations": SIX,
}  # fmt: skip
CONVNET, VIT = (
    PeerSpec("convnet3", size=32, lr=1e-2),
    PeerSpec("vit_tiny", weights="pretrained", lr=1e-3),
)
LEARNS = {"optimiser": "sgd", "lr": 1e-2, "momentum": 0.9, "weight_decay": 5e-4}
IDC_PAPER = {
    "factor": 2, "lr": 5e-3, "momentum": 0.5, "scale_lr": True, "metric": "mse",
    "biases": False, "head": False, "real_batch": 64, "synthetic_batch": 128, "train_batch": 64,
    "restart_every": 100, "train_samples": 2000, "early_epochs": 0, "pretrained": 0,
    "mixup": 0.5, "mixup_in_matching": 0.0, "clamp": "restart", "sweep": "classes",
    "operations": {"color", "crop", "cutout"},
}  # fmt: skip
DREAM_PAPER = IDC_PAPER | {
    "start_from": "kmeans", "real_batch": 128, "train_batch": 128, "interval": 10,
}  # fmt: skip
CAFE_PAPER = {
    "factor": 1, "start_from": "noise", "lr": 0.1, "momentum": 0.5,
    "halve_at": (1200, 1600, 1800), "layer_weights": (0.1, 0.1, 1.0, 1.0), "embedding_weight": 1.0,
    "discrimination": 0.01, "discrimination_over": "sum", "real_batch": 256, "train_batch": 256,
    "window": 10, "settled": 0.05, "moved": 0.05, "query": 1280, "operations": (), "clamp": False,
}  # fmt: skip
IDM_PAPER = {
    "factor": 2, "start_from": "random", "lr": 0.2, "momentum": 0.5, "capacity": 100, "first": 3,
    "learners": 2, "train_batch": 256, "real_batch": 256, "push_every": 30, "learn_steps": 10,
    "weight": 0.5, "forget_every": 100, "learn_operations": (), "mixup": 0.0, "clamp": False,
    "corners": False, "synthetic_batch": None, "operations": SIX,
}  # fmt: skip
DC_PAPER = {
    "factor": 1, "start_from": "noise", "lr": 0.1, "momentum": 0.5, "real_batch": 256,
    "train_batch": 256, "metric": "row", "operations": (), "clamp": False,
}  # fmt: skip
DM_PAPER = {"factor": 1, "start_from": "random", "lr": 1.0, "momentum": 0.5, "real_batch": 256,
            "clamp": False}  # fmt: skip

# (method, data, per class): steps, fields.
PAPER: list[tuple[str, str, int, int, dict[str, Any]]] = [
    ("hmdc", "cifar10", 1, 10_000, HMDC_PAPER),
    ("hmdc", "cifar100", 50, 10_000, HMDC_PAPER),
    ("hmdc", "tiny", 1, 2_500, HMDC_PAPER),  # a quarter (supplement, section D)
    ("idc", "cifar10", 1, 200_000, IDC_PAPER),
    ("idc", "cifar100", 10, 200_000, IDC_PAPER),
    ("idc", "svhn", 10, 200_000, IDC_PAPER | {"train_samples": 500}),
    ("idc", "fashion", 10, 200_000,
     IDC_PAPER | {"metric": "l1", "lr": 1e-4, "train_samples": 500, "reference_side": 28}),
    ("idc", "mnist", 10, 200_000,
     IDC_PAPER | {"metric": "l1", "lr": 1e-4, "train_samples": 500, "mixup": 0.0,
                  "operations": {"color", "crop"}}),
    ("dream", "cifar10", 10, 120_000, DREAM_PAPER),
    ("dream", "cifar100", 1, 120_000, DREAM_PAPER),
    ("dream", "tiny", 10, 120_000, DREAM_PAPER | {"real_batch": 64, "train_samples": 1000}),
    ("dream", "tiny", 50, 120_000,
     DREAM_PAPER | {"real_batch": 64, "train_samples": 1000, "lr": 1e-6}),
    ("cafe", "cifar10", 1, 20_000, CAFE_PAPER),
    ("cafe", "cifar100", 50, 20_000, CAFE_PAPER),
    ("idm", "cifar10", 1, 20_000, IDM_PAPER | {"real_batch": 5000, "push_every": 5}),
    ("idm", "cifar10", 10, 20_000, IDM_PAPER),
    ("idm", "cifar10", 50, 20_000, IDM_PAPER | {"weight": 0.1}),
    ("idm", "cifar100", 1, 20_000, IDM_PAPER | {"real_batch": 5000, "push_every": 5}),
    ("idm", "cifar100", 10, 20_000, IDM_PAPER | {"learn_steps": 50, "weight": 0.1}),
    ("idm", "cifar100", 50, 20_000, IDM_PAPER | {"learn_steps": 40, "weight": 0.1}),
    ("idm", "tiny", 1, 20_000, IDM_PAPER),
    ("idm", "tiny", 10, 20_000, IDM_PAPER),
    ("idm", "tiny", 50, 20_000, IDM_PAPER | {"learn_steps": 50, "weight": 0.8}),
    ("dc", "cifar10", 1, 1_000, DC_PAPER),
    ("dc", "cifar10", 10, 10_000, DC_PAPER),
    ("dc", "cifar100", 50, 50_000, DC_PAPER),
    ("dsa", "cifar10", 10, 10_000, DC_PAPER | {"start_from": "random", "operations": SIX}),
    ("dm", "cifar10", 50, 20_000, DM_PAPER | {"operations": SIX}),
    ("dm", "cifar10", 100, 20_000, DM_PAPER | {"lr": 10.0}),
    ("dm", "cifar100", 100, 20_000, DM_PAPER),
]  # fmt: skip


def fields(method: Method) -> dict[str, Any]:
    """The settings as the tables write them: operations have no order."""
    found = {one.name: getattr(method, one.name) for one in dataclasses.fields(method)}  # type: ignore[arg-type]
    kinds = [name for name in ("operations", "learn_operations") if found.get(name)]
    return found | {name: set(found[name]) for name in kinds}


@pytest.mark.parametrize(
    ("method", "data", "per_class", "steps", "expected"),
    PAPER,
    ids=[f"{method} {data} {per_class}" for method, data, per_class, _, _ in PAPER],
)
def test_the_preset_paper_has_the_constants_of_the_paper(
    method: str, data: str, per_class: int, steps: int, expected: dict[str, Any]
) -> None:
    plan = PRESETS["paper"](method, DATA[data], per_class)
    found = fields(plan.method)
    assert {name: found[name] for name in expected} == expected
    assert plan.steps == steps


def test_hmdc_of_the_paper_has_a_convnet_and_a_pretrained_vit() -> None:
    assert PRESETS["paper"]("hmdc", CIFAR10, 1).method.peers == (CONVNET, VIT)  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["idc", "dream", "idm"])
@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
def test_the_network_of_the_baselines_is_convnet_3_and_learns_with_momentum_and_decay(
    method: str, data: str
) -> None:
    peer = PRESETS["paper"](method, DATA[data], 10).method.peer  # type: ignore[attr-defined]
    assert peer.name == "convnet3" and peer.weights is None
    assert {name: getattr(peer, name) for name in LEARNS} == LEARNS


@pytest.mark.parametrize("method", ["cafe"])
def test_the_network_of_cafe_learns_plainly(method: str) -> None:
    peer = PRESETS["paper"](method, CIFAR10, 10).method.peer  # type: ignore[attr-defined]
    assert peer == PeerSpec("convnet3", lr=1e-2)


@pytest.mark.parametrize(
    ("method", "data", "name"),
    [("dream", "tiny", "convnet4"), ("dc", "cifar10", "convnet3"), ("dsa", "tiny", "convnet4"),
     ("dm", "cifar100", "convnet3"), ("dm", "tiny", "convnet4"), ("idm", "tiny", "convnet3")],
)  # fmt: skip
def test_larger_images_get_a_deeper_network_where_the_authors_took_one(
    method: str, data: str, name: str
) -> None:
    assert PRESETS["paper"](method, DATA[data], 10).method.peers_used() == (name,)


@pytest.mark.parametrize(
    ("per_class", "loops"), [(1, (1, 1)), (10, (10, 50)), (20, (20, 25)), (50, (50, 10))]
)
def test_dc_of_the_paper_has_the_loops_of_the_paper(per_class: int, loops: tuple[int, int]) -> None:
    plan = PRESETS["paper"]("dc", CIFAR10, per_class)
    assert plan.method.loops(per_class) == loops  # type: ignore[attr-defined]
    assert plan.steps == 1000 * loops[0]


# HMDC's released code: exactly these behaviours are not the default's.
RELEASED = {
    "alignment_optimiser": "adam", "alignment_lr": 1e-2,
    "brightness_only": True, "cutout_with_mixup": True, "mixup_in_matching": True,
    "two_corners": True, "through_first": True, "keep_head": True,
    "fold": "distribute", "seeding": "distance", "normalised_storage": True,
}  # fmt: skip


def test_the_released_code_of_hmdc_differs_from_the_paper_in_these_fields_only() -> None:
    paper, released = (fields(PRESETS[one]("hmdc", CIFAR10, 10).method)
                       for one in ("paper", "released"))  # fmt: skip
    differing = {name: released[name] for name in paper if released[name] != paper[name]}
    convnet, vit = differing.pop("peers")
    assert differing == RELEASED
    assert convnet == dataclasses.replace(CONVNET, taps=("pools",), learns="head")
    assert vit == dataclasses.replace(VIT, normalise="data")
    assert PRESETS["released"]("hmdc", CIFAR10, 10).steps == 10_000


# The same code for sound and text: exactly these settings are not HMDC's defaults.
SEQUENCES = {
    "factor": 1, "metric": "mean", "epsilon": 1e-12, "operations": (), "mixup": 0.0,
    "keep_head": True, "fold": "distribute", "seeding": "distance",
}  # fmt: skip
RELEASED_OTHERS: dict[str, dict[str, Any]] = {
    "wave": SEQUENCES | {
        "real_batch": 16, "synthetic_batch": 16, "train_batch": 16, "alignment_lr": 1e-2,
        "peers": (
            PeerSpec("audio_cnn_released", lr=1e-3),
            PeerSpec("hubert_released", weights="pretrained", lr=1e-5, learns="head"),
        ),
    },
    "text": SEQUENCES | {
        "real_batch": 64, "synthetic_batch": 64, "train_batch": 64, "alignment_lr": 1e-3,
        "temperature": 10.0, "keep": 0,
        "peers": (
            PeerSpec("lstm_released", lr=1e-3, learns="embedding"),
            PeerSpec("bert", weights="pretrained", lr=1e-5, learns="head"),
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", RELEASED_OTHERS)
def test_the_released_code_for_sound_and_text_differs_in_these_fields_only(kind: str) -> None:
    plan = PRESETS["released"]("hmdc", KINDS[kind], 1)
    usual, found = fields(HMDC()), fields(plan.method)
    assert {name: found[name] for name in usual if found[name] != usual[name]} == (
        RELEASED_OTHERS[kind]
    )
    settings: Any = plan.method
    assert settings.overrun and settings.alignment_optimiser == "sgd"
    assert plan.steps == 10_000


def test_the_defaults_of_hmdc_are_the_papers_but_for_the_networks() -> None:
    paper = PRESETS["paper"]("hmdc", CIFAR10, 10).method
    assert dataclasses.replace(paper, peers=HMDC().peers) == HMDC()  # type: ignore[type-var]


@pytest.mark.parametrize("method", ["dc", "dsa", "dm"])
def test_the_released_loops_of_dc_dsa_and_dm_run_one_more(method: str) -> None:
    paper, released = (PRESETS[one](method, CIFAR10, 10) for one in ("paper", "released"))
    per_network = 10 if method != "dm" else 1
    assert released.steps == (paper.steps or 0) + per_network


def test_table_4_gives_dream_a_vit_and_the_rate_at_which_it_converged() -> None:
    # Supplement, section D: from 5e-2 to 5e-5.
    method = PRESETS["table4"]("dream", CIFAR10, 10).method
    assert method.peer == VIT and method.lr == 5e-5  # type: ignore[attr-defined]


# How HMDC's authors ran the others (supplement, section D; specs of their code): for every number
# per class and every data set alike, but for what AUTHORS_AT says.
AUTHORS = {
    "idc": {"metric": "l1", "scale_lr": False, "sweep": "once", "clamp": "never",
            "train_samples": 500, "mixup": 0.5, "mixup_in_matching": 0.5, "keep_head": True,
            "biases": False, "head": False, "operations": SIX, "factor": 2, "lr": 5e-3,
            "momentum": 0.5, "real_batch": 128, "synthetic_batch": 128, "train_batch": 128,
            "restart_every": 100, "cutout_with_mixup": True, "brightness_only": True,
            "two_corners": True, "normalised_storage": True, "start_from": "random"},
    "dream": {"metric": "l1", "scale_lr": False, "sweep": "once", "clamp": "never",
              "train_samples": 2000, "mixup": 0.5, "mixup_in_matching": 0.5, "keep_head": True,
              "biases": True, "head": True, "operations": {"color", "crop"}, "factor": 2,
              "lr": 5e-3, "momentum": 0.5, "real_batch": 128, "synthetic_batch": 128,
              "train_batch": 128, "restart_every": 100, "interval": 10, "brightness_only": True,
              "two_corners": True, "normalised_storage": True, "start_from": "kmeans",
              "seeding": "distance"},
    "cafe": {"halve_at": (), "layer_weights": (1.0,) * 4, "embedding_weight": 0.0,
             "statistic": "all", "discrimination": 1.0, "discrimination_over": "mean",
             "settled": 0.05, "moved": 0.05, "most_updates": 100, "most_epochs": 1000,
             "window": 10, "mixup": 0.5, "mixup_in_matching": 0.5, "keep_head": True,
             "operations": SIX, "train_batch": 128, "factor": 1, "lr": 0.1, "momentum": 0.5},
    "idm": {"sweep": "once", "corners": True, "push_every": 30, "learn_steps": 10, "weight": 0.5,
            "forget_every": 100, "mixup": 0.5, "mixup_in_matching": 0.5, "operations": SIX,
            "learn_operations": SIX, "repeat_batch": True, "real_batch": 128, "train_batch": 128,
            "factor": 2, "lr": 0.2, "momentum": 0.5},
}  # fmt: skip
AUTHORS_PEER = {
    "idc": PeerSpec("convnet3", size=32, lr=1e-2, momentum=0.9, weight_decay=5e-4),
    "dream": PeerSpec("convnet3", size=32, lr=1e-2, momentum=0.9, weight_decay=5e-4),
    "cafe": PeerSpec("convnet3", size=32, lr=1e-2, taps=("pools",), learns="head"),
    "idm": PeerSpec("convnet3", size=32, lr=1e-2),
}
# CAFE's batch of 128 is shared out among the classes; IDM sees as many tiles as there are images.
AUTHORS_AT: list[tuple[str, str, int, dict[str, Any]]] = [
    ("cafe", "cifar10", 1, {"real_batch": 12, "query": 1280}),
    ("cafe", "cifar100", 10, {"real_batch": 1, "query": 12_800}),
    ("cafe", "tiny", 1, {"real_batch": 128, "query": 25_600}),
    ("idm", "cifar10", 1, {"synthetic_batch": 1}),
    ("idm", "cifar10", 10, {"synthetic_batch": 10}),
    ("idm", "cifar100", 50, {"synthetic_batch": 50}),
]
STEPS = {"idc": 200_000, "dream": 120_000, "cafe": 20_000, "idm": 20_000}


@pytest.mark.parametrize("method", AUTHORS)
@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
@pytest.mark.parametrize("per_class", [1, 10, 50])
def test_the_comparison_of_hmdcs_authors_is_run_as_they_ran_it(
    method: str, data: str, per_class: int
) -> None:
    plan = PRESETS["hmdc-authors"](method, DATA[data], per_class)
    found = fields(plan.method)
    assert {name: found[name] for name in AUTHORS[method]} == AUTHORS[method]
    assert found["peer"] == AUTHORS_PEER[method]
    assert plan.steps == STEPS[method]


@pytest.mark.parametrize(("method", "data", "per_class", "expected"), AUTHORS_AT)
def test_their_batches_depend_on_the_number_of_classes_and_of_samples(
    method: str, data: str, per_class: int, expected: dict[str, int]
) -> None:
    found = fields(PRESETS["hmdc-authors"](method, DATA[data], per_class).method)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(("method", "steps"), [("idc", 50_000), ("dream", 30_000)])
@pytest.mark.parametrize("per_class", [1, 10, 50])
def test_on_tiny_imagenet_their_runs_lasted_a_quarter(
    method: str, steps: int, per_class: int
) -> None:
    plan = PRESETS["hmdc-authors"](method, TINY, per_class)
    assert plan.steps == steps
    assert plan.method.peer == AUTHORS_PEER[method]  # type: ignore[attr-defined]
