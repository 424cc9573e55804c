"""HMDC's settings: the paper's, the released code's, and those for machines without a GPU."""

from __future__ import annotations

from dataclasses import replace

from condensery.data.problem import Problem
from condensery.methods.hmdc import HMDC
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan, logmel, parts, shorter
from condensery.presets.tiny import tiny_networks

STEPS = 10_000
PAPER_PEERS = (
    PeerSpec("convnet3", size=32, lr=1e-2),
    PeerSpec("vit_tiny", weights="pretrained", lr=1e-3),
)
VIT = PeerSpec("vit_mini", optimiser="adamw", lr=1e-3)
READERS = (
    PeerSpec("lstm", optimiser="adamw", lr=1e-3),
    PeerSpec("minilm", weights="pretrained", optimiser="adamw", lr=5e-5),
)
TOKENS = 15  # a position of a stored text
EARS = (
    PeerSpec("audio_cnn_w16", optimiser="adamw", lr=1e-3),
    PeerSpec("spectrogram_cnn_w4", optimiser="adamw", lr=1e-3),
)
SPECTRAL_EARS = (EARS[1], replace(EARS[1], name="spectrogram_cnn_w8"))


def ears(problem: Problem) -> tuple[PeerSpec, ...]:
    """Networks that read what a set of these sounds holds: waves, or spectrograms."""
    return SPECTRAL_EARS if logmel(problem) else EARS


def demo(problem: Problem, per_class: int) -> Plan:
    """One image per class of 8 x 8 digits in about a minute on 2 cores, from the class means.

    HMDC with a two-layer ConvNet and a small ViT, both from scratch; whole images, since a packed
    digit would be 4 x 4. Settings were chosen on a validation split with condensation seed 100.
    What it reaches stands in REPRODUCIBILITY.md.
    """
    settings = HMDC(
        peers=(PeerSpec("convnet2_w32", lr=1e-2, momentum=0.9), VIT),
        start_from="mean",
        factor=1,
        lr=1e-2,
        real_batch=16,
        restart_every=20,
        train_samples=128,
        train_batch=64,
        align_samples=64,
        overrun=False,
        operations=("color", "crop", "scale", "rotate"),
    )
    return Plan(settings, steps=120)


def small(problem: Problem, per_class: int) -> Plan:
    """Any images of about 32 x 32 on 2 cores in minutes: small peers, few real samples.

    HMDC with a ConvNet-3 of width 32 and a small ViT, both from scratch. Settings were chosen on a
    validation split of CIFAR-10 with condensation seed 100. What it reaches stands in
    REPRODUCIBILITY.md. Sound and text have settings of their own (``small_sound``, ``small_text``).
    """
    if problem.modality.kind == "audio":
        return small_sound(problem, per_class)
    if problem.modality.kind == "text":
        return small_text(problem, per_class)
    settings = HMDC(
        peers=(PeerSpec("convnet_mini", lr=1e-2, momentum=0.9), VIT),
        lr=5e-2,
        real_batch=16,
        candidates=256,
        restart_every=50,
        train_samples=128,
        train_batch=64,
        align_samples=64,
        overrun=False,
        operations=("flip", "color", "crop", "scale", "rotate"),
    )
    return Plan(settings, steps=240)


def small_sound(problem: Problem, per_class: int) -> Plan:
    """Clips of about 5 s at 16 kHz on 2 cores in less than 20 minutes.

    HMDC with a CNN on waveforms and one on spectrograms, both from scratch. A stored clip holds
    five stretches of a fifth of its length, each the loudest of a real clip at first and repeated
    when it is read. The number of steps was chosen on fold 1 of ESC-10 with seeds 100 to 102. Sets
    of spectrograms (``esc10:1:logmel``) have two CNNs that read them, of unlike width, and a rate
    that is smaller as their std is; they take up to 20 minutes. REPRODUCIBILITY.md has what both
    forms are worth to a CNN on spectrograms.
    """
    settings = HMDC(
        peers=ears(problem),
        start_from="random",
        factor=parts(problem),
        lr=0.025 if logmel(problem) else 0.1,
        real_batch=8,
        restart_every=20,
        train_samples=64,
        train_batch=32,
        align_samples=32,
        overrun=False,
        operations=("shift", "gain"),
    )
    return Plan(settings, steps=100)


def small_text(problem: Problem, per_class: int) -> Plan:
    """Texts of 64 tokens on 2 cores in minutes.

    HMDC with six LSTMs from scratch and a pretrained MiniLM, which stand still between restarts:
    what a set of two texts gains comes from many real ones (128 of a class, drawn anew every ten
    steps), since the means of the classes lie closer together than those of a few texts scatter. A
    stored text begins with the tokens whose odds tell its class best, 15 a position, and takes
    3,840 bytes. Chosen on a part of the training split with seed 100; REPRODUCIBILITY.md says what
    it reaches and what else was tried.
    """
    settings = HMDC(
        peers=READERS,
        start_from="odds",
        factor=TOKENS,
        lr=0.1,
        real_batch=128,
        choose="random",
        restart_every=10,
        train_samples=0,
        align_samples=0,
        overrun=False,
        metric="mean",
        operations=(),
    )
    return Plan(settings, steps=20)


def smoke(problem: Problem, per_class: int) -> Plan:
    """Two steps with tiny peers, to see in seconds that everything is connected."""
    settings = HMDC(
        peers=tuple(PeerSpec(name) for name in tiny_networks(problem)),
        start_from="random",
        factor=2 if problem.modality.kind == "text" else 1,
        real_batch=4,
        candidates=8,
        train_samples=8,
        train_batch=8,
        align_samples=8,
        overrun=False,
    )
    return Plan(settings, steps=2)


def paper(problem: Problem, per_class: int) -> Plan:
    """HMDC's Table 1 (Moon et al., ECCV 2024; supplement, section D).

    ConvNet-3 and pretrained ViT-Tiny, 10,000 steps in 100 iterations; a quarter of them for images
    beyond 48 x 48, as the supplement has it for Tiny ImageNet. For a GPU: about 1.5 to 5
    hours a run on one of 60 TFLOP/s, by a count of operations, not measured. The supplement's Table
    1 prints 48.87 for HMDC at one image per class, a figure in dispute, since caption and numbers
    name different data sets. Unverified at full length.
    """
    return Plan(HMDC(peers=PAPER_PEERS), steps=STEPS // shorter(problem))


def released(problem: Problem, per_class: int) -> Plan:
    """The authors' released code, with the behaviours that the defaults mend. Unverified.

    Of the ConvNet only the head learns there, since its optimiser holds layers that a reset has
    replaced. Sound and text have settings of their own (``released_sound``, ``released_text``).
    """
    if problem.modality.kind == "audio":
        return released_sound(problem, per_class)
    if problem.modality.kind == "text":
        return released_text(problem, per_class)
    convnet, other = PAPER_PEERS
    settings = HMDC(
        peers=(replace(convnet, taps=("pools",), learns="head"), replace(other, normalise="data")),
        alignment_optimiser="adam",
        alignment_lr=1e-2,
        brightness_only=True,
        cutout_with_mixup=True,
        mixup_in_matching=True,
        two_corners=True,
        through_first=True,
        keep_head=True,
        fold="distribute",
        seeding="distance",
        normalised_storage=True,
    )
    return Plan(settings, steps=STEPS // shorter(problem))


def released_sound(problem: Problem, per_class: int) -> Plan:
    """The authors' released code for ESC-10 (16 kHz, 5 s): their CNN and HuBERT-base. Unverified.

    Both rescale their input over the batch, so that one clip per class is matched as silence; with
    a HuBERT from scratch gradients then leave the range of float32, and the run stops. Of HuBERT
    only the head learns. Batch sizes and the rate of the set are not on record: 16, since a class
    has 32 clips, and that of images. Not as there: the CNN's head is kept, the alignment begins
    afresh with the peers, and a gradient is divided by the largest of its clip, where theirs keeps
    the sign of each value alone.
    """
    peers = (
        PeerSpec("audio_cnn_released", lr=1e-3),
        PeerSpec("hubert_released", weights="pretrained", lr=1e-5, learns="head"),
    )
    return Plan(_released_sequences(peers, batch=16, alignment_lr=1e-2), steps=STEPS)


def released_text(problem: Problem, per_class: int) -> Plan:
    """The authors' released code for IMDB, whose data are ``imdb:dense``: LSTM and BERT-base.

    What is stored is the whole vocabulary, read as softmax(S / 10) in matching (and raw by recipe
    ``hmdc-released``). Of the LSTM only word vectors learn, of BERT only the head. Batch sizes and
    the rate of the set are not on record: 64, and that of images. Not as there: the alignment
    begins afresh with the peers, its layer matrix learns at the rate of its maps (theirs at 1e-2),
    BERT reads with its positions and mask, and a gradient is divided by the largest of its position
    rather than of its token. Unverified.
    """
    peers = (
        PeerSpec("lstm_released", lr=1e-3, learns="embedding"),
        PeerSpec("bert", weights="pretrained", lr=1e-5, learns="head"),
    )
    settings = _released_sequences(peers, batch=64, alignment_lr=1e-3)
    return Plan(replace(settings, temperature=10.0, keep=0), steps=STEPS)


def _released_sequences(peers: tuple[PeerSpec, ...], batch: int, alignment_lr: float) -> HMDC:
    """What the released code has in common for sound and text."""
    return HMDC(
        peers=peers,
        factor=1,
        real_batch=batch,
        synthetic_batch=batch,
        train_batch=batch,
        alignment_lr=alignment_lr,
        metric="mean",
        epsilon=1e-12,
        operations=(),
        mixup=0.0,
        keep_head=True,
        fold="distribute",
        seeding="distance",
    )
