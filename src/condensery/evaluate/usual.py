"""Networks and recipe that are taken for a kind of data when nobody names any."""

from __future__ import annotations

from condensery.core.teacher import TEACHER
from condensery.errors import UsageError
from condensery.evaluate.recipes import RECIPES, Recipe
from condensery.modality import Modality, Sound
from condensery.models.backbone import PeerSpec

USUAL: dict[str, tuple[PeerSpec, Recipe]] = {
    "image": (TEACHER, RECIPES["quick"]),
    # Of waveforms and of spectrograms; with AdamW, see recipe ``sound``.
    "audio": (
        PeerSpec("spectrogram_cnn", optimiser="adamw", lr=1e-3, weight_decay=1e-2),
        RECIPES["sound"],
    ),
    "text": (
        PeerSpec("lstm", optimiser="adamw", lr=1e-3, weight_decay=1e-2),
        RECIPES["text"],
    ),
}

NETWORKS: dict[str, tuple[str, ...]] = {
    "image": ("convnet3", "vit_mini"),
    "audio": ("audio_cnn", "spectrogram_cnn"),
    "text": ("lstm", "bert_mini"),
}


def usual_networks(modality: Modality) -> tuple[str, ...]:
    """Networks that a set is judged by: two unlike ones of its kind; of spectrograms the one."""
    if isinstance(modality, Sound) and modality.form == "logmel":
        return ("spectrogram_cnn",)
    return NETWORKS[modality.kind]


def usual(modality: Modality) -> tuple[PeerSpec, Recipe]:
    """A small network that reads samples of this kind, and the recipe that suits it.

    Raises:
        UsageError: there is none for this kind; says what to do instead.
    """
    if modality.kind not in USUAL:
        raise UsageError(f"no network is chosen yet to look at {modality.kind}, only at "
                         f"{' and '.join(USUAL)}: leave embeddings and cost out of --measure, or "
                         f"name one by --measure-network")  # fmt: skip
    return USUAL[modality.kind]
