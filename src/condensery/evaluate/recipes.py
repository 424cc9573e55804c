"""Recipes: how a network is trained on a set when the set is judged. Plain values, one dict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from torch import Tensor

from condensery.errors import UsageError, unknown
from condensery.modality import Augmentation, Modality
from condensery.models.backbone import Part

OVERRIDDEN = ("optimiser", "lr", "momentum", "weight_decay", "train_part", "mode")
LATER = ("mode", "train_part", "check_every", "reported", "brightness_only", "corners_grid",
         "cutout_beside_mix", "solver", "ridge", "searched", "text")  # fmt: skip


Mode = Literal["train", "eval", "dropout"]
PLAIN = "-plain"  # behind the name of a recipe: without augmentation
WHOLE_EPOCHS, WHOLE_UPDATES = 3, 2000  # on the whole training data, at least


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes.

    Attributes:
        kind: ``constant``; ``multistep``, times ``factor`` from each of ``at`` on, epoch by epoch;
            ``cosine``, from the full rate to 0, update by update.
        at: parts of the epochs in (0, 1), so that a shortened recipe keeps its shape.
        factor: what the rate is multiplied by at each of them.
    """

    kind: Literal["constant", "multistep", "cosine"] = "constant"
    at: tuple[float, ...] = ()
    factor: float = 1.0

    def rate(self, update: int, updates: int, per_epoch: int) -> float:
        """What the rate is multiplied by at an update, counted from 0.

        Args:
            update: updates made so far. updates: in all. per_epoch: in one epoch.
        """
        if self.kind == "cosine":
            return 0.5 * (1 + math.cos(math.pi * update / updates))
        if self.kind == "multistep":
            epoch, epochs = update // per_epoch, math.ceil(updates / per_epoch)
            # The small number keeps 2/3 of 3 epochs at 2, whatever the rounding of 2/3.
            passed = sum(epoch >= math.floor(part * epochs + 1e-9) for part in self.at)
            return self.factor**passed
        return 1.0


@dataclass(frozen=True)
class Override:
    """What a recipe does differently for one network, or for one family of networks.

    Attributes:
        network: a network's exact name, a pattern (``convnet*``: of any depth and width), or a
            family (``cnn``, ``vit``, ...; see ``condensery.models.family``). They are asked in
            this order; a pattern never means one of the user's own networks.
        optimiser, lr, momentum, weight_decay, train_part, mode: None leaves the recipe's value.
        longer: epochs and updates are multiplied by this.
    """

    network: str
    optimiser: Literal["sgd", "adamw"] | None = None
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    longer: float = 1.0
    train_part: Part | None = None
    mode: Mode | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is trained on a set. The last epoch is what counts.

    Attributes:
        name: for records and the command line. summary: one line for people.
        epochs: passes over the decoded samples, in shuffled batches; the last may be smaller.
        updates: when given, this many optimiser steps instead of ``epochs``.
        batch: samples in a step.
        optimiser: ``sgd`` or ``adamw``. lr, momentum (``sgd`` only), weight_decay: its values; all
            parameters decay.
        schedule: of the rate.
        operations: of the kind of data (those of other kinds are left out). Each sample has its
            own parameters. ``flip`` is left out where a mirrored image changes its class.
        choose: see ``ImageAugmentation``.
        mix: probability of CutMix for a batch. mix_vit: whether ViTs get it too.
        batch_norm: ``eval`` leaves the batch-norm statistics of *pretrained* networks as they came;
            networks from scratch always learn theirs.
        overrides: what is different for some networks.
        mode: ``eval`` trains the whole network in evaluation mode: no dropout, and batch norm at
            the statistics it came with, of fresh networks too. ``dropout`` is ``train`` with the
            dropout of transformers' encoders, which learn without it otherwise.
        train_part: ``head`` leaves all but the layer that decides between the classes at its
            initial weights: a linear probe, on random features where the network is a fresh one.
            ``embedding`` leaves all but the table of word vectors there.
        check_every: test every so many epochs too; None: after the last epoch only.
        reported: ``best``: the recipe's authors report the best check. Records and tables show the
            last epoch all the same, and the best apart under the words "best of test".
        brightness_only, corners_grid: see ``ImageAugmentation``.
        cutout_beside_mix: cutout is not left out where there is CutMix.
        solver: ``descent``, or ``ridge``: nothing is trained by steps; ridge regression from the
            frozen network's embeddings to the labels (``condensery.evaluate.probe``). Its first
            epoch is the samples as they are, each further one a view of them by ``operations``.
        ridge: weight of its penalty, relative to the scale of the embeddings. 3 is among the best
            on random sets of 1, 10 and 100 images per class of CIFAR-10 (validation split,
            EfficientNet-Lite0 at 112 pixels: 0.37, 0.67, 0.79 right).
        searched: ``(rate, validation accuracy)`` of each trial, where ``lr`` was found by a search.
        text: ``raw``: networks learn from the stored values of a text, which are no weights then
            but whatever they are; matching has seen them ``decoded``. For sets that are stored and
            exported over the whole vocabulary.

    Raises:
        UsageError: values that contradict each other.
    """

    name: str
    summary: str = ""
    epochs: int = 1000
    updates: int | None = None
    batch: int = 128
    optimiser: Literal["sgd", "adamw"] = "sgd"
    lr: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = Schedule()
    operations: tuple[str, ...] = ("color", "crop")
    choose: Literal["geometric", "one"] = "geometric"
    mix: float = 0.5
    mix_vit: bool = True
    batch_norm: Literal["train", "eval"] = "train"
    overrides: tuple[Override, ...] = ()
    mode: Mode = "train"
    train_part: Part = "all"
    check_every: int | None = None
    reported: Literal["last", "best"] = "last"
    brightness_only: bool = False
    corners_grid: bool | None = None
    cutout_beside_mix: bool = False
    solver: Literal["descent", "ridge"] = "descent"
    ridge: float = 3.0
    searched: tuple[tuple[float, float], ...] = ()
    text: Literal["decoded", "raw"] = "decoded"

    def __post_init__(self) -> None:
        if self.reported == "best" and self.check_every is None:
            raise UsageError(f"recipe {self.name!r} reports the best of no checks: give it "
                             f"check_every, or reported='last'")  # fmt: skip
        if self.solver == "ridge" and (self.updates is not None or self.check_every is not None):
            raise UsageError(f"{self.name} solves for its weights at once, without updates or "
                             f"checks: give --epochs, the views of each sample")  # fmt: skip
        if not self.ridge > 0:
            raise UsageError(f"the penalty of a ridge regression lies above 0, got {self.ridge}")

    def for_network(self, name: str, family: str) -> Recipe:
        """The recipe as it applies to one network: its override worked in, none left.

        Args:
            name: of the network. family: what kind it is; ViTs are ``vit``.
        """
        named = {one.network: one for one in reversed(self.overrides)}
        chosen = named.get(name) or self._by_pattern(name, family) or named.get(family)
        chosen = chosen or Override(name)
        given = {key: value for key in OVERRIDDEN
                 if (value := getattr(chosen, key)) is not None}  # fmt: skip
        if self.updates is not None:
            given["updates"] = max(1, round(self.updates * chosen.longer))
        mix = self.mix if self.mix_vit or family != "vit" else 0.0
        epochs = max(1, round(self.epochs * chosen.longer))
        return replace(self, overrides=(), epochs=epochs, mix=mix, **given)

    def _by_pattern(self, name: str, family: str) -> Override | None:
        """The first override whose pattern a name of the table of models fits."""
        if family == "module":
            return None
        return next((one for one in self.overrides if fnmatchcase(name, one.network)), None)

    def at_rate(self, rate: float) -> Recipe:
        """The recipe with this rate for every network, whatever its overrides say."""
        overrides = tuple(replace(one, lr=None) for one in self.overrides)
        return replace(self, lr=rate, overrides=overrides)

    def on_whole_data(self, samples: int, condensed: int) -> Recipe:
        """The recipe for the whole training data, which a thousand epochs would take days on.

        As many updates as on the condensed set, or ``WHOLE_EPOCHS`` passes, or ``WHOLE_UPDATES``,
        whichever are most: a ceiling wants to be near to where training ends.

        Args:
            samples: of the whole data. condensed: decoded ones of the set beside it.
        """
        passes = WHOLE_EPOCHS * self.per_epoch(samples)
        most = max(passes, WHOLE_UPDATES, self.length(condensed)[1])
        return replace(self, updates=most)

    def length(self, samples: int) -> tuple[int, int]:
        """Epochs (the last may be cut short) and updates on a set of so many decoded samples.

        What is solved at once takes no updates.
        """
        if self.solver == "ridge":
            return self.epochs, 0
        per_epoch = self.per_epoch(samples)
        if self.updates is not None:
            return math.ceil(self.updates / per_epoch), self.updates
        return self.epochs, self.epochs * per_epoch

    def per_epoch(self, samples: int) -> int:
        """Updates in one epoch over so many samples.

        None is dropped. A last one that would be alone joins the batch before it: batch norm has no
        statistics of one.
        """
        return max(1, math.ceil((samples - 1) / self.batch))

    def batches(self, order: Tensor) -> list[Tensor]:
        """Shuffled positions ``(samples,)``, cut into the batches of one epoch."""
        steps = self.per_epoch(len(order))
        first = order[: (steps - 1) * self.batch].split(self.batch) if steps > 1 else ()
        return [*first, order[(steps - 1) * self.batch :]]

    def augmentation(self, modality: Modality) -> Augmentation | None:
        """How training samples are altered; None where the recipe names nothing for this kind.

        No cutout beside CutMix (both hide a part of an image) unless the recipe says so, no flip
        where a mirrored image is another class (digits).
        """
        hidden_twice = bool(self.mix) and not self.cutout_beside_mix
        made = modality.augmentation(
            self.operations,
            choose=self.choose,
            brightness_only=self.brightness_only,
            corners_grid=self.corners_grid,
        )
        if modality.kind != "image" and not made.operations:
            return None
        return made.without("cutout") if hidden_twice else made

    def values(self) -> dict[str, Any]:
        """Plain values for a record: what applied, without name and summary."""
        usual = {one.name: one.default for one in fields(self)}
        # Fields that came later are told where they differ from what was done before there was a
        # choice, so that older records still hold for the same training.
        silent = {name for name in LATER if getattr(self, name) == usual[name]}
        kept = {
            name: value for name, value in asdict(self).items()
            if name not in silent | {"name", "summary", "overrides"}
        }  # fmt: skip
        # As they come back from a file, so that a record can be compared with the recipe.
        kept["operations"] = list(self.operations)
        kept["schedule"]["at"] = list(self.schedule.at)
        if self.searched:
            tried = [rate for rate, _ in self.searched]
            kept["searched"] = [list(trial) for trial in self.searched]
            kept["rate_at_edge"] = self.lr in (min(tried), max(tried))
        return kept


# Moon et al. name the rates of seven networks of images, two of sound and two of text; others of
# images take the ConvNet's. A ViT-Base goes by two names here.
HMDC_RATES = (
    Override("resnet18", lr=1e-3),
    Override("resnet50", lr=1e-3),
    Override("resnet101", lr=1e-4),
    Override("vit_base", lr=1e-4),
    Override("vit_base_patch16_224", lr=1e-4),
    Override("vit", lr=1e-3),
    Override("audio_cnn*", lr=1e-3),
    Override("rnn", lr=1e-3),
    Override("transformer", lr=1e-5),
)
# In the released code the layers of some networks that learn are not those that answer: of its
# ConvNet, HuBERT and BERT only the head is both, of its LSTM only the table of word vectors. The
# same for all of their sizes here. Text learns in training mode.
HMDC_FROZEN = (
    Override("convnet*", train_part="head"),
    Override("rnn", lr=1e-3, train_part="embedding", mode="dropout"),
    *(Override(name, lr=1e-5, train_part="head", mode="dropout") for name in ("bert*", "minilm")),
    Override("transformer", lr=1e-5, train_part="head"),
)

DSA_VALUES: dict[str, Any] = {
    "epochs": 1001,
    "batch": 256,
    "schedule": Schedule("multistep", at=(502 / 1001,), factor=0.1),
    "operations": ("color", "crop", "cutout", "flip", "scale", "rotate"),
    "choose": "one",
    "mix": 0.0,
}

RECIPES: dict[str, Recipe] = {
    "hmdc": Recipe(
        name="hmdc",
        summary="1,000 epochs, a constant rate per model, colour + crop + CutMix (HMDC, section D)",
        batch_norm="eval",
        overrides=HMDC_RATES,
    ),
    "hmdc-released": Recipe(
        name="hmdc-released",
        summary="as HMDC's code does it: 2,000 epochs, networks in evaluation mode, the bodies of "
        "ConvNet, HuBERT and BERT frozen, cutout beside CutMix, none for ViTs, text undecoded; "
        "reports the best of test, which stands apart from the last epoch here",
        epochs=2000,
        operations=("flip", "color", "crop", "scale", "rotate", "cutout"),
        mix_vit=False,
        mode="eval",
        check_every=10,
        reported="best",
        brightness_only=True,
        corners_grid=True,
        cutout_beside_mix=True,
        text="raw",
        overrides=(*HMDC_FROZEN, *HMDC_RATES),
    ),
    "idc": Recipe(
        name="idc",
        summary="1,000 epochs, rate x 0.2 at 2/3 and 5/6, IDC's augmentation + CutMix (IDC, DREAM)",
        batch=64,
        schedule=Schedule("multistep", at=(2 / 3, 5 / 6), factor=0.2),
        operations=("flip", "color", "crop", "scale", "rotate"),
    ),
    "quick": Recipe(
        name="quick",
        summary="300 updates with a cosine, SGD for CNNs and AdamW for ViTs: seconds on a CPU",
        # With a handful of images a ViT from scratch barely learns with SGD.
        updates=300,
        batch=64,
        lr=2e-2,
        schedule=Schedule("cosine"),
        operations=("color", "crop", "scale", "rotate"),
        overrides=(
            Override("vit", optimiser="adamw", lr=3e-3, weight_decay=0.05),
            Override("mixer_mini", optimiser="adamw", lr=1e-3, weight_decay=0.05),
        ),
    ),
    # The authors' code rebuilds the optimiser where the rate drops; here its momentum goes on.
    "dc": Recipe(
        name="dc",
        summary="301 epochs, rate x 0.1 after 152, nothing altered (DC)",
        epochs=301,
        batch=256,
        schedule=Schedule("multistep", at=(152 / 301,), factor=0.1),
        operations=(),
        mix=0.0,
    ),
    "dsa": Recipe(
        name="dsa",
        summary="1,001 epochs, rate x 0.1 after 502, one of DSA's six operations a batch (DSA)",
        **DSA_VALUES,
    ),
    "dm": Recipe(
        name="dm",
        summary="the training of recipe dsa, which is DM's too (DM)",
        **DSA_VALUES,
    ),
    # On one real clip per class of ESC-10 (fold 1) SGD at 1e-2 gives the six-layer CNN half of what
    # AdamW does.
    "sound": Recipe(
        name="sound",
        summary="150 epochs of AdamW at 1e-3, clips shifted in time and louder or softer: sound",
        epochs=150,
        batch=64,
        optimiser="adamw",
        lr=1e-3,
        weight_decay=1e-2,
        operations=("shift", "gain"),
        mix=0.0,
        overrides=(Override("transformer", lr=1e-4),),
    ),
    # On one real text per class, and on naive Bayes' tokens, of IMDB (validation split).
    "text": Recipe(
        name="text",
        summary="150 epochs of AdamW at 1e-3 (transformers 5e-5), texts turned round: text",
        epochs=150,
        batch=64,
        optimiser="adamw",
        lr=1e-3,
        weight_decay=1e-2,
        operations=("token_shift",),
        mix=0.0,
        overrides=(Override("transformer", lr=5e-5),),
    ),
    "linear-probe": Recipe(
        name="linear-probe",
        summary="ridge regression on the frozen network's embeddings, in closed form: seconds, no "
        "seeds' noise; for pretrained networks",
        epochs=1,
        operations=("flip", "color", "crop", "scale", "rotate"),
        mix=0.0,
        solver="ridge",
    ),
}


def recipe_from(recipe: str | Recipe, known: Mapping[str, Recipe] = RECIPES) -> Recipe:
    """A recipe by name, or the one that is given.

    ``quick-plain`` is ``quick`` without any augmentation or mixing: samples are decoded, resized
    and normalised only, as the augmentation-robust score wants it beside the recipe itself.

    Raises:
        UsageError: an unknown name; prints the known ones.
    """
    if isinstance(recipe, Recipe):
        return recipe
    name = recipe.removesuffix(PLAIN)
    if name not in known:
        raise unknown("recipe", recipe, known)
    if name == recipe:
        return known[name]
    return replace(known[name], name=recipe, operations=(), mix=0.0)


def recipes_from(given: str | Recipe | Sequence[str | Recipe]) -> list[Recipe]:
    """One recipe or several: a name, names with commas between them, recipes, or a list.

    Raises:
        UsageError: none, an unknown name, or one name twice.
    """
    if isinstance(given, str):
        given = given.split(",")
    listed = [given] if isinstance(given, Recipe) else list(given)
    found = [recipe_from(one.strip() if isinstance(one, str) else one) for one in listed]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not found or twice is not None:
        raise UsageError("no recipe is named: give at least one" if twice is None
                         else f"recipe {twice} is named twice; name each once")  # fmt: skip
    return found


def shorten(recipe: Recipe, epochs: int | None = None, updates: int | None = None) -> Recipe:
    """The recipe with another length; its schedule keeps its shape, its name says the length.

    Args:
        epochs: passes over the decoded samples. updates: or optimiser steps.

    Raises:
        UsageError: both are given, or one is below 1.
    """
    if epochs is not None and updates is not None:
        raise UsageError("give --epochs or --updates, not both: each sets the length of training")
    for what, value in (("--epochs", epochs), ("--updates", updates)):
        if value is not None and value < 1:
            raise UsageError(f"{what} must be at least 1, got {value}")
    if updates is not None and updates != recipe.updates:
        return replace(recipe, updates=updates, name=f"{recipe.name} ({updates} updates)")
    if epochs is not None and (recipe.updates is not None or epochs != recipe.epochs):
        return replace(recipe, epochs=epochs, updates=None, name=f"{recipe.name} ({epochs} epochs)")
    return recipe
