"""Networks that are taken when nobody names any read what they are given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cases import images, sounds, texts
from condensery.api import condense, evaluate
from condensery.data.problem import Problem
from condensery.evaluate.usual import NETWORKS, usual, usual_networks
from condensery.models import MODELS, PeerSpec, build

DATA = [images, sounds, lambda: sounds(form="logmel"), texts]


@pytest.mark.parametrize("made", DATA)
def test_usual_networks_read_sets_and_real_samples_of_their_kind(
    made: Callable[[], Problem],
) -> None:
    problem = made()
    modality, codec = problem.modality, problem.modality.codec()
    real = problem.samples(range(2))
    decoded = codec.decode(codec.encode(real, modality), modality)
    for name in (*usual_networks(modality), usual(modality)[0].name):
        assert MODELS[name].reads == modality.kind
        network = build(PeerSpec(name), modality, 3, torch.Generator()).eval()
        assert network(real).shape == network(decoded).shape == (2, 3), name


@pytest.mark.parametrize("made", DATA[1:])
def test_sets_that_nobody_names_networks_for_are_judged_by_those_of_their_kind(
    made: Callable[[], Problem],
) -> None:
    problem = made()
    told: list[tuple[int, int]] = []
    records = evaluate(condense(problem, "random", quiet=True), problem, rows=(), updates=1,
                       seeds=(0,), on_record=lambda _, *at: told.append(at))  # fmt: skip
    expected = usual_networks(problem.modality)
    assert [one.model for one in records] == list(expected)
    assert told == [(done, len(expected)) for done in range(1, len(expected) + 1)]


def test_images_keep_the_networks_that_they_had() -> None:
    assert NETWORKS["image"] == ("convnet3", "vit_mini")
