"""One row per method: whatever stands in this table has to pass all conformance tests.

A new method adds one line to ``CASES`` with an instance that runs in a fraction of a second on the
tiny data below. A new modality adds one line to ``PROBLEMS`` and a field to ``Case``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from condensery.data.problem import Problem, Split
from condensery.methods import (
    CAFE,
    DC,
    DM,
    DREAM,
    DSA,
    HMDC,
    IDC,
    IDM,
    Herding,
    KMeans,
    Mean,
    Method,
    Mosaic,
    NaiveBayes,
    Random,
)
from condensery.modality import Image, Sound, Text
from condensery.models.backbone import PeerSpec

PEERS = (PeerSpec("mlp"), PeerSpec("convnet2_w8"))
EARS = (PeerSpec("audio_cnn_w2"), PeerSpec("spectrogram_cnn_w2"))


@dataclass(frozen=True)
class Case:
    """How a method is put to the test.

    Attributes:
        image: a small instance for 8 x 8 images of three classes with eight or more samples.
        audio: the same for sounds of 0.6 s. text: the same for texts, if the method claims them.
        moves: False for a selection, whose set stays as it was chosen.
        draws: False when the set is the same for every seed.
        per_class: stored samples per class.
        workers_differ: largest difference of stored values between one worker and two; 0: none.
    """

    image: Method | None = None
    audio: Method | None = None
    text: Method | None = None
    moves: bool = True
    draws: bool = True
    per_class: int = 1
    workers_differ: float = 0.0

    def method(self, kind: str, form: str = "") -> Method:
        """The instance for a modality; of spectrograms (form ``logmel``) with networks for them."""
        found: Method | None = getattr(self, kind)
        assert found is not None, f"this row has no instance for {kind}"
        return spectral(found) if form == "logmel" else found


def spectral(method: Method) -> Method:
    """The method with a network that reads spectrograms in the place of each that does not."""

    def swapped(spec: PeerSpec) -> PeerSpec:
        return dataclasses.replace(spec, name=spec.name.replace("audio_cnn", "spectrogram_cnn"))

    changed: dict[str, Any] = {}
    for field in dataclasses.fields(method):  # type: ignore[arg-type]
        value = getattr(method, field.name)
        if isinstance(value, PeerSpec):
            changed[field.name] = swapped(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], PeerSpec):
            changed[field.name] = tuple(map(swapped, value))
    return dataclasses.replace(method, **changed)  # type: ignore[type-var]


# Two steps of each interval, one restart between them: four steps meet all that a step can do.
HMDC_SETTINGS = {
    "peers": PEERS,
    "start_from": "random",
    "real_batch": 4,
    "interval": 2,
    "restart_every": 3,
    "train_samples": 8,
    "train_batch": 4,
    "align_samples": 8,
}

# A push, an eviction and a change of accuracies; a network that is settled and one that is capped.
IDM_SETTINGS = {
    "peer": PeerSpec("convnet2_w8", momentum=0.9),
    "real_batch": 4,
    "first": 2,
    "capacity": 3,
    "push_every": 2,
    "learn_steps": 1,
    "train_batch": 8,
    "forget_every": 3,
}
CAFE_SETTINGS = {
    "peer": PeerSpec("convnet2_w8"),
    "real_batch": 4,
    "query": 12,
    "window": 2,
    "most_updates": 2,
    "most_epochs": 2,
    "operations": ("flip", "color", "crop"),
}

# A restart, a network that was trained before and early epochs, and samples chosen anew.
IDC_SETTINGS = {
    "peer": PeerSpec("convnet2_w8", momentum=0.9),
    "lr": 1.0,
    "real_batch": 4,
    "restart_every": 3,
    "train_samples": 8,
    "train_batch": 8,
    "pretrained": 2,
    "pretrained_epochs": 1,
    "early_epochs": 1,
}

# Two updates of each network, which learns between them; then a fresh one.
DC_SETTINGS = {"peers": PEERS, "real_batch": 4, "outer": 2, "inner": 2, "train_batch": 2}
TEACHER = PeerSpec("convnet2_w8", momentum=0.9)

# The same for sound: what a method asks of its data is the only difference.
EAR = PeerSpec("audio_cnn_w2", momentum=0.9)
HMDC_SOUND = HMDC_SETTINGS | {"peers": EARS, "operations": ("shift", "gain"), "lr": 0.1}
IDM_SOUND = IDM_SETTINGS | {"peer": EAR, "operations": ("shift", "noise", "time_mask")}
IDC_SOUND = IDC_SETTINGS | {"peer": EAR, "operations": ("shift", "frequency_mask")}
# And for text: two tokens a position, so that a weight can move.
READERS = (PeerSpec("lstm2_w8"), PeerSpec("bert_mini"))
READER = PeerSpec("lstm2_w8", momentum=0.9)
FEW: dict[str, Any] = {"factor": 2, "operations": ("token_shift",)}
HMDC_TEXT = HMDC_SETTINGS | FEW | {"peers": READERS, "lr": 0.1}
IDM_TEXT = IDM_SETTINGS | FEW | {"peer": READER}
IDC_TEXT = IDC_SETTINGS | FEW | {"peer": READER}
DC_TEXT = DC_SETTINGS | FEW | {"peers": (READER, PeerSpec("lstm1_w4")), "start_from": "random"}
DC_SOUND = DC_SETTINGS | {"peers": EARS, "operations": ("gain", "polarity")}

CASES: dict[str, Case] = {
    "cafe": Case(CAFE(**CAFE_SETTINGS)),
    "idm": Case(IDM(**IDM_SETTINGS), IDM(**IDM_SOUND), IDM(**IDM_TEXT)),
    "idc": Case(IDC(**IDC_SETTINGS), IDC(**IDC_SOUND), IDC(**IDC_TEXT)),
    "dream": Case(
        DREAM(**IDC_SETTINGS, interval=2),
        DREAM(**IDC_SOUND, interval=2),
        DREAM(**IDC_TEXT, interval=2),
    ),
    "hmdc": Case(HMDC(**HMDC_SETTINGS), HMDC(**HMDC_SOUND), HMDC(**HMDC_TEXT)),
    "dc": Case(DC(**DC_SETTINGS), DC(**DC_SOUND), DC(**DC_TEXT)),
    "dsa": Case(DSA(**DC_SETTINGS), DSA(**DC_SOUND), DSA(**DC_TEXT)),
    "dm": Case(
        DM(peers=PEERS, factor=2, real_batch=4),
        DM(peers=EARS, factor=2, real_batch=4),
        DM(peers=READERS, factor=2, real_batch=4),
    ),
    "random": Case(Random(), Random(), Random(), moves=False),
    "kmeans": Case(KMeans(), KMeans(), KMeans(), moves=False, draws=False),
    "mean": Case(Mean(), Mean(), moves=False, draws=False),
    "herding": Case(
        Herding(network=TEACHER, updates=4),
        Herding(network=EAR, updates=4),
        Herding(network=READER, updates=4),
        moves=False,
    ),
    "naive_bayes": Case(text=NaiveBayes(factor=3), moves=False, draws=False),
    "mosaic": Case(Mosaic(network=TEACHER, updates=4, pool=8), moves=False),
}

# One peer has nobody to agree with, and of three each pair agrees.
THREE_EARS = (*EARS, PeerSpec("audio_cnn_w4", momentum=0.9))
THREE_READERS = (*READERS, PeerSpec("lstm1_w4", momentum=0.9))
ALIKE: dict[str, Any] = {"factor": 2, "real_batch": 4}
# More of the same for sound and text, by the form in which sets are stored.
FURTHER: dict[str, tuple[Case, str]] = {
    "hmdc of one, wave": (Case(audio=HMDC(**HMDC_SOUND | {"peers": EARS[:1]})), "tones"),
    "hmdc of three, logmel": (Case(audio=HMDC(**HMDC_SOUND | {"peers": THREE_EARS})), "logmel"),
    "hmdc of one, dense": (Case(text=HMDC(**HMDC_TEXT | {"peers": READERS[:1]})), "dense"),
    "hmdc of three, sparse": (Case(text=HMDC(**HMDC_TEXT | {"peers": THREE_READERS})), "topics"),
    "dm of one, logmel": (Case(audio=DM(peers=EARS[:1], **ALIKE)), "logmel"),
    "dm of three, wave": (Case(audio=DM(peers=THREE_EARS, **ALIKE)), "tones"),
    "dm of one, sparse": (Case(text=DM(peers=READERS[:1], **ALIKE)), "topics"),
    "dm of three, dense": (Case(text=DM(peers=THREE_READERS, **ALIKE)), "dense"),
}


def images(
    channels: int = 1, counts: Sequence[int] = (12, 12, 12), side: int = 8, seed: int = 0
) -> Problem:
    """Images with a bright band at the top, the middle or the bottom: easy to tell apart.

    Args:
        channels: 1 or 3. counts: training samples per class (at most side / 2 classes).
        side: height and width. seed: of the noise.
    """
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    generator.shuffle(labels)
    samples = generator.integers(0, 60, (len(labels), channels, side, side), dtype=np.uint8)
    for label in range(len(counts)):
        samples[labels == label, :, 2 * label : 2 * label + 2] += 180
    samples.setflags(write=False)  # what belongs to the problem is nobody's to change
    labels.setflags(write=False)
    pixels = samples / 255
    mean, std = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).tolist()
    modality = Image((channels, side, side), tuple(mean), tuple(std))
    split = Split(samples, labels)
    names = tuple(f"band {label}" for label in range(len(counts)))
    return Problem("bands", modality, names, split, Split(samples[:0], labels[:0]), split)


def sounds(
    counts: Sequence[int] = (12, 12, 12), form: Literal["wave", "logmel"] = "wave", seed: int = 0
) -> Problem:
    """Tones of 0.6 s in noise, each class an octave above the one before.

    Args:
        counts: training samples per class. form: how sets are stored. seed: of noise and phases.
    """
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    generator.shuffle(labels)
    rate, length = 8000, 4800
    time = np.arange(length) / rate
    pitch = 250.0 * 2 ** labels[:, None]
    phase = generator.uniform(0, 2 * np.pi, (len(labels), 1))
    waves = 0.3 * np.sin(2 * np.pi * pitch * time + phase)
    waves += 0.1 * generator.standard_normal(waves.shape)
    samples = np.round(waves * 2**14).astype(np.int16)[:, None]
    samples.setflags(write=False)
    labels.setflags(write=False)
    split, none = Split(samples, labels), Split(samples[:0], labels[:0])
    names = tuple(f"tone {label}" for label in range(len(counts)))
    return Problem("tones", Sound((1, length), rate, form), names, split, none, split)


def texts(
    counts: Sequence[int] = (12, 12, 12), form: Literal["sparse", "dense"] = "sparse", seed: int = 0
) -> Problem:
    """Texts of up to seven words after a first token, most of them the class's own.

    Args:
        counts: training samples per class. form: how sets are stored. seed: of the words.
    """
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    generator.shuffle(labels)
    words, length, special = 10, 8, 5
    own = special + words * labels[:, None] + generator.integers(words, size=(len(labels), length))
    common = special + words * len(counts) + generator.integers(words, size=own.shape)
    samples = np.where(generator.random(own.shape) < 0.7, own, common).astype(np.int32)
    samples[:, 0] = 2
    samples[np.arange(length) > generator.integers(4, length, len(labels))[:, None]] = 0
    samples.setflags(write=False)
    labels.setflags(write=False)
    split, none = Split(samples, labels), Split(samples[:0], labels[:0])
    vocabulary = special + words * (len(counts) + 1)
    modality = Text((length, 2, 1), vocabulary, "./made-up", "0" * 16, 0, (0, 1, 2, 3, 4), form)
    names = tuple(f"topic {label}" for label in range(len(counts)))
    return Problem("topics", modality, names, split, none, split)


PROBLEMS: dict[str, dict[str, Callable[[], Problem]]] = {
    "image": {
        "grey": lambda: images(1),
        "colour": lambda: images(3),
        "unequal": lambda: images(1, (8, 17, 11)),
    },
    # Two classes, for the time that networks of sequences take; three where they are unequal.
    "audio": {
        "tones": lambda: sounds((12, 12)),
        "unequal": lambda: sounds((8, 17, 11)),
        "logmel": lambda: sounds((12, 12), "logmel"),
    },
    "text": {
        "topics": lambda: texts((12, 12)),
        "unequal": lambda: texts((8, 17, 11)),
        "dense": lambda: texts((12, 12), "dense"),
    },
}
