"""IDC's settings: the authors', HMDC's authors', and those for machines without a GPU."""

from __future__ import annotations

from dataclasses import replace

from condensery.data.problem import Problem
from condensery.methods.idc import IDC
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan, parts, shorter
from condensery.presets.hmdc import READERS, TOKENS, ears
from condensery.presets.tiny import tiny_networks

ITERATIONS, INNER = 2000, 100


def small(problem: Problem, per_class: int) -> Plan:
    """Any images of about 32 x 32 on 2 cores in minutes: a narrow ConvNet, few real samples.

    Settings were chosen on a validation split of CIFAR-10 with condensation seed 100. What it
    reaches stands in REPRODUCIBILITY.md. Sound and text have settings of their own
    (``small_sound``, ``small_text``).
    """
    if problem.modality.kind == "audio":
        return small_sound(problem, per_class)
    if problem.modality.kind == "text":
        return small_text(problem, per_class)
    settings = IDC(
        peer=PeerSpec("convnet_mini", lr=1e-2, momentum=0.9, weight_decay=5e-4),
        lr=0.2,
        real_batch=16,
        restart_every=50,
        train_samples=128,
    )
    return Plan(settings, steps=400)


def small_sound(problem: Problem, per_class: int) -> Plan:
    """Clips of about 5 s at 16 kHz on 2 cores: DREAM's preset with samples that are drawn.

    Not run.
    """
    settings = IDC(
        peer=ears(problem)[0],
        factor=parts(problem),
        lr=1.0,
        scale_lr=False,
        sweep="once",
        real_batch=8,
        restart_every=20,
        train_samples=64,
        train_batch=32,
        operations=("shift", "gain"),
    )
    return Plan(settings, steps=100)


def small_text(problem: Problem, per_class: int) -> Plan:
    """Texts of 64 tokens on 2 cores: DREAM's preset with samples that are drawn. Not run."""
    settings = IDC(
        peer=READERS[0],
        start_from="odds",
        factor=TOKENS,
        lr=20.0,
        scale_lr=False,
        sweep="once",
        real_batch=8,
        restart_every=20,
        train_samples=64,
        train_batch=16,
    )
    return Plan(settings, steps=120)


def smoke(problem: Problem, per_class: int) -> Plan:
    """Two steps with a tiny network, to see in seconds that everything is connected."""
    settings = IDC(
        peer=PeerSpec(tiny_networks(problem)[0], momentum=0.9),
        factor=2 if problem.modality.kind == "text" else 1,
        real_batch=4,
        train_samples=8,
        train_batch=8,
    )
    return Plan(settings, steps=2)


def paper(problem: Problem, per_class: int) -> Plan:
    """The authors' settings for CIFAR-10 and CIFAR-100, SVHN, MNIST and FashionMNIST.

    Kim et al., ICML 2022, as in their list of commands: 2000 networks of 100 steps each. For a GPU
    and about a day by our guess, not measured. Published with ConvNet-3: CIFAR-10 50.6, 67.5 and
    74.5 at 1, 10 and 50 images per class; CIFAR-100 45.1 at 10. Unverified at full length.

    Data are told apart by what they are: grey 28 x 28 as MNIST, colour digits (which a mirror
    changes) as SVHN. For images beyond 48 x 48 the authors have no settings of this kind; these are
    then DREAM's for Tiny ImageNet with random samples.
    """
    return Plan(by_data(IDC(), problem), steps=ITERATIONS * INNER)


def by_data(settings: IDC, problem: Problem) -> IDC:
    """The settings as the authors change them for these data."""
    channels, *sides = problem.modality.shape
    mirrors = getattr(problem.modality, "mirror", True)
    if channels == 1 and max(sides) == 28:
        settings = replace(settings, metric="l1", lr=1e-4, reference_side=28, train_samples=500)
        if not mirrors:  # packed digits are too small to hide a part of them
            settings = replace(settings, operations=("color", "crop"), mixup=0.0)
        return settings
    if max(sides) > 48:
        peer = replace(settings.peer, name="convnet4")
        return replace(settings, peer=peer, train_samples=1000)
    return settings if mirrors else replace(settings, train_samples=500)


def hmdc_authors(problem: Problem, per_class: int) -> Plan:
    """IDC as HMDC's authors re-implemented it for their comparison (Moon et al., ECCV 2024).

    Behaviours of their code: normalised values that are never clamped, sums of absolute
    differences, one step for all classes at an unscaled rate, CutMix and all operations in
    matching, a head that is never drawn anew. On images beyond 48 x 48 a quarter of the steps
    (supplement, section D), at 32 x 32. Unverified.
    """
    settings = replace(
        released(IDC()),
        operations=("flip", "color", "crop", "scale", "rotate", "cutout"),
        cutout_with_mixup=True,
        train_samples=500,
        train_batch=128,
        real_batch=128,
    )
    return Plan(settings, steps=ITERATIONS * INNER // shorter(problem))


def released(settings: IDC) -> IDC:
    """What HMDC's authors changed of IDC and DREAM alike."""
    return replace(
        settings,
        peer=replace(settings.peer, name="convnet3", size=32),
        scale_lr=False,
        sweep="once",
        clamp="never",
        metric="l1",
        keep_head=True,
        mixup_in_matching=settings.mixup,
        brightness_only=True,
        two_corners=True,
        normalised_storage=True,
        seeding="distance",
    )
