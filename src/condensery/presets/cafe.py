"""CAFE's settings: the authors', HMDC's authors', and those for machines without a GPU."""

from __future__ import annotations

from condensery.data.problem import Problem
from condensery.methods.cafe import CAFE
from condensery.modality.image_augmentation import OPERATIONS
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan

# 2,000 networks in the paper; each has ten image updates or more.
STEPS = 20_000


def small(problem: Problem, per_class: int) -> Plan:
    """Any images of about 32 x 32 on 2 cores in minutes: a narrow ConvNet, short windows.

    Not the paper's form: CAFE+DSA that begins from whole real samples, since noise would need far
    more updates. Settings were chosen on a validation split of CIFAR-10 with condensation seed 100.
    What it reaches stands in REPRODUCIBILITY.md.
    """
    settings = CAFE(
        peer=PeerSpec("convnet_mini", lr=1e-2),
        start_from="random",
        real_batch=32,
        query=100,
        window=4,
        most_updates=10,
        most_epochs=10,
        operations=OPERATIONS,
        clamp=True,
    )
    return Plan(settings, steps=500)


def smoke(problem: Problem, per_class: int) -> Plan:
    """Two steps with a tiny network, to see in seconds that everything is connected."""
    settings = CAFE(
        peer=PeerSpec("convnet2_w8"), real_batch=4, query=8, window=2, most_updates=2, most_epochs=2
    )
    return Plan(settings, steps=2)


def paper(problem: Problem, per_class: int) -> Plan:
    """CAFE without augmentation (Wang et al., CVPR 2022), as the authors' code runs it.

    2,000 networks for every number per class, which is at least 20,000 image updates. For a GPU:
    days by a count of operations (256 million samples or more for the queries alone at 10 classes),
    not measured. Published with ConvNet-3: CIFAR-10 30.3, 46.3, 55.5 at 1, 10 and 50 per class;
    CIFAR-100 12.9, 27.8, 37.9. Unverified at full length.
    """
    return Plan(CAFE(), steps=STEPS)


def hmdc_authors(problem: Problem, per_class: int) -> Plan:
    """CAFE as HMDC's authors re-implemented it for their comparison (Moon et al., ECCV 2024).

    The alignment then knows no classes, and of the network only the head learns, since its
    optimiser holds layers that a reset has replaced. Their threads share what an augmentation
    draws; that race is not reproduced. Unverified.
    """
    batch = 128
    settings = CAFE(
        peer=PeerSpec("convnet3", size=32, lr=1e-2, taps=("pools",), learns="head"),
        halve_at=(),
        layer_weights=(1.0, 1.0, 1.0, 1.0),
        embedding_weight=0.0,
        statistic="all",
        discrimination=1.0,
        discrimination_over="mean",
        real_batch=max(1, batch // problem.classes) if problem.classes <= batch else batch,
        query=batch * problem.classes,
        train_batch=batch,
        most_epochs=1000,
        operations=OPERATIONS,
        mixup=0.5,
        mixup_in_matching=0.5,
        keep_head=True,
    )
    return Plan(settings, steps=STEPS)
