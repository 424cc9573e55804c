"""A network that cannot read the data is refused with those that can."""

from __future__ import annotations

import pytest
import torch

from cases import images, sounds, texts
from condensery.data import Problem
from condensery.errors import UsageError
from condensery.models import MODELS, PeerSpec, build
from condensery.presets import PRESETS

DATA = {"image": images, "audio": sounds, "text": texts}
NETWORKS = ("convnet3", "mlp", "resnet_mini", "vit_mini", "vit_tiny", "audio_cnn",
            "spectrogram_cnn", "hubert_mini", "lstm", "bert_mini")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in NETWORKS for kind in DATA
                       if MODELS[name].reads != kind]
)  # fmt: skip
def test_data_of_another_kind_are_refused_with_networks_and_presets_of_theirs(
    name: str, kind: str
) -> None:
    problem: Problem = DATA[kind]()
    with pytest.raises(UsageError, match=f"{name} reads .*; this data set holds {kind}") as caught:
        build(PeerSpec(name), problem.modality, 3, torch.Generator())
    told = str(caught.value)
    listed = told.partition("(")[2].partition(", ...")[0].split(", ")
    assert listed and all(MODELS[one].reads == kind for one in listed)
    assert "--preset small or smoke" in told and "\n" not in told
    for preset in ("small", "smoke"):
        peers = PRESETS[preset]("hmdc", problem, 1).method.peers  # type: ignore[attr-defined]
        assert all(MODELS[one.name.partition("_w")[0]].reads == kind for one in peers
                   if one.name.partition("_w")[0] in MODELS)  # fmt: skip
