"""What ``condensery condense`` says of what it made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cases import images, sounds, texts
from condensery.cli.condense import NEXT, SHOWN, stored_as
from condensery.data import Problem
from condensery.evaluate import RECIPES
from condensery.models import PeerSpec, build


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (images, "pictures"),
        (sounds, "sounds"),
        (lambda: sounds(form="logmel"), "pictures"),
        (texts, "texts"),
    ],
)
def test_previews_are_called_what_they_are(made: Callable[[], Problem], expected: str) -> None:
    assert SHOWN[stored_as(made().modality)] == expected


@pytest.mark.parametrize("made", [images, sounds, lambda: sounds(form="logmel"), texts])
def test_the_next_command_names_networks_that_read_the_set(made: Callable[[], Problem]) -> None:
    modality = made().modality
    flags = dict(zip(*[iter(NEXT[stored_as(modality)])] * 2, strict=True))
    codec = modality.codec()
    decoded = codec.decode(codec.encode(made().samples(range(codec.holds)), modality), modality)
    for name in flags["--models"].split(","):
        network = build(PeerSpec(name), modality, 3, torch.Generator()).eval()
        assert network(decoded).shape == (codec.multiplies, 3), name
    assert flags["--recipe"] in RECIPES
