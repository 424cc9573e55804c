"""DC's and DSA's settings: the papers', the released code's, and those for machines without GPU."""

from __future__ import annotations

from typing import Any

from condensery.data.problem import Problem
from condensery.methods.dc import DC, DSA
from condensery.models.backbone import PeerSpec
from condensery.presets.base import Plan, parts
from condensery.presets.hmdc import READERS, TOKENS, ears
from condensery.presets.tiny import tiny_networks

ITERATIONS = 1000
NARROW = (PeerSpec("convnet_mini", lr=1e-2),)
SMOKE = {
    "real_batch": 4,
    "statistics_samples": 2,
    "outer": 2,
    "inner": 1,
    "train_batch": 8,
}


def paper(problem: Problem, per_class: int) -> Plan:
    """DC's Table 1 (Zhao et al., ICLR 2021): 1000 fresh ConvNet-3, each with its outer loop.

    For a GPU and hours. The authors report 28.3, 44.9 and 53.9 on CIFAR-10 at 1, 10 and 50 images
    per class, after 300 epochs of training without augmentation. Their constants of normalisation
    (std .2023 for CIFAR-10) are not the data's; here rates count in the data's own std. Unverified.
    """
    return _at_length(DC(peers=_convnet(problem)), per_class, ITERATIONS)


def paper_dsa(problem: Problem, per_class: int) -> Plan:
    """DSA's Table 1 (Zhao & Bilen, ICML 2021): DC's settings with all six operations.

    For a GPU and hours. The authors report 28.8, 52.1 and 60.6 on CIFAR-10 at 1, 10 and 50 images
    per class, after 1000 epochs of training with the operations. Unverified.
    """
    return _at_length(DSA(peers=_convnet(problem)), per_class, ITERATIONS)


def released(problem: Problem, per_class: int) -> Plan:
    """DC as the authors' code runs it: 1001 iterations, a tenth of the batch statistics."""
    settings = DC(peers=_convnet(problem), statistics_momentum=0.1)
    return _at_length(settings, per_class, ITERATIONS + 1)


def released_dsa(problem: Problem, per_class: int) -> Plan:
    """DSA as the authors' code runs it: 1001 iterations, a tenth of the batch statistics."""
    settings = DSA(peers=_convnet(problem), statistics_momentum=0.1)
    return _at_length(settings, per_class, ITERATIONS + 1)


def small(problem: Problem, per_class: int) -> Plan:
    """DC for any images of about 32 x 32 on 2 cores in minutes: a narrow ConvNet, few real samples.

    Fewer updates than the paper's, therefore a larger rate. Settings were chosen on a validation
    split of CIFAR-10 with condensation seed 100. What it reaches stands in REPRODUCIBILITY.md.
    Sound and text have settings of their own (``small_other``).
    """
    if problem.modality.kind != "image":
        return small_other(DC, problem)
    return Plan(DC(peers=NARROW, lr=0.2, real_batch=32), steps=450)


def small_dsa(problem: Problem, per_class: int) -> Plan:
    """DSA on 2 cores in minutes; see ``small``."""
    if problem.modality.kind != "image":
        return small_other(DSA, problem)
    return Plan(DSA(peers=NARROW, lr=0.3, real_batch=32), steps=450)


def smoke(problem: Problem, per_class: int) -> Plan:
    """Two steps with tiny peers, to see in seconds that everything is connected."""
    return Plan(DC(**_tiny(problem)), steps=2)


def smoke_dsa(problem: Problem, per_class: int) -> Plan:
    """Two steps with tiny peers, to see in seconds that everything is connected."""
    return Plan(DSA(**_tiny(problem)), steps=2)


def small_other(kind: type[DC], problem: Problem) -> Plan:
    """Clips of about 5 s at 16 kHz, or texts of 64 tokens, on 2 cores.

    The first network of HMDC's preset for them, whose parts, tokens and start these are: noise
    would need far more updates. DSA shifts both, and changes the loudness of sound. With these
    rates a step moves the set by a few hundredths of its units; accuracies: not run.
    """
    settings: dict[str, Any] = {"real_batch": 8, "train_batch": 32}
    operations: tuple[str, ...]
    if problem.modality.kind == "audio":
        settings |= {"peers": ears(problem)[:1], "start_from": "random", "lr": 1.0}
        settings["factor"], operations = parts(problem), ("shift", "gain")
    else:
        settings |= {"peers": READERS[:1], "start_from": "odds", "lr": 0.02}
        settings["factor"], operations = TOKENS, ("token_shift",)
    if kind is DSA:
        settings["operations"] = operations
    return Plan(kind(**settings), steps=100)


def _tiny(problem: Problem) -> dict[str, Any]:
    """Settings of two tiny peers; of text those that let something move."""
    peers = tuple(PeerSpec(name) for name in tiny_networks(problem))
    text = {"factor": 2, "start_from": "random"} if problem.modality.kind == "text" else {}
    return SMOKE | {"peers": peers} | text


def _convnet(problem: Problem) -> tuple[PeerSpec, ...]:
    """ConvNet-3, and ConvNet-4 for images of 64 x 64 and more."""
    large = min(problem.modality.shape[-2:]) >= 64
    return (PeerSpec("convnet4" if large else "convnet3", lr=1e-2),)


def _at_length(method: DC, per_class: int, iterations: int) -> Plan:
    return Plan(method, steps=iterations * method.loops(per_class)[0])
