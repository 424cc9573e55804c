"""Image encoders of transformers (Wolf et al., EMNLP 2020) from a local folder."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from condensery import hub
from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec, as_map, as_tokens
from condensery.models.plan import Plan, Statistics, head_names, input_size, refuse_taps
from condensery.models.resnet import IMAGENET
from condensery.streams import borrow
from condensery.types import Reading, Tap


class TransformersNet(Backbone):
    """An image encoder of transformers with a linear head.

    Taps: the raw outputs of its layers, the class token (or the mean, where there is none) apart
    from the patches; maps of a CNN as they are. The embedding is the class token after the final
    norm. Grey images are given to all the channels that it takes.

    Args:
        encoder: answers ``pixel_values`` with ``last_hidden_state`` and ``hidden_states``.
        size: (height, width) of its input. patch: side of its patches; None for a CNN.
        classes: outputs.
    """

    def __init__(
        self, encoder: nn.Module, size: tuple[int, int], patch: int | None, classes: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.size = size
        self.grid = (size[0] // patch, size[1] // patch) if patch else None
        config: Any = encoder.config
        self.channels = int(config.num_channels)
        # A ViT of another size than it was trained with resamples its positions when told to.
        resamples = "interpolate_pos_encoding" in inspect.signature(encoder.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if resamples else {}
        width = getattr(config, "hidden_size", None) or config.hidden_sizes[-1]
        self.classifier = nn.Linear(width, classes)
        self.head = head_names(self, "classifier")

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read images ``(n, channels, height, width)`` of this network's size."""
        if x.shape[1] == 1 and self.channels > 1:
            x = x.expand(-1, self.channels, -1, -1)
        answer = self.encoder(pixel_values=x, output_hidden_states=taps, **self.options)
        embedding = self._tap(answer.last_hidden_state).semantic
        read: tuple[Tap, ...] = ()
        if taps:
            read = tuple(self._tap(each) for each in answer.hidden_states[1:])
        return Reading(self.classifier(embedding), embedding, read)

    def _tap(self, hidden: Tensor) -> Tap:
        if self.grid is None or hidden.ndim == 4:
            return as_map(hidden)
        return as_tokens(hidden, self.grid, hidden.shape[1] - self.grid[0] * self.grid[1])


def transformers_plan(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """The encoder in the folder ``spec.weights``, pretrained; nothing is fetched or executed.

    Where the data are sound or text, the folder holds an encoder of such; see
    ``audio_transformers`` and ``text_transformers``.

    Raises:
        UsageError: no such folder, no image encoder, or a size that its patches do not divide.
    """
    if modality.kind == "audio":
        from condensery.models import audio_transformers

        return audio_transformers.of_folder(spec, modality, classes)
    if modality.kind == "text":
        from condensery.models import text_transformers

        return text_transformers.of_folder(spec, modality, classes)
    refuse_taps(spec)
    folder = Path(spec.weights or "").expanduser()
    if spec.weights is None or not (folder / "config.json").is_file():
        raise UsageError(f"the model 'transformers' is read from a folder with config.json: give "
                         f"weights=FOLDER, not {spec.weights}")  # fmt: skip
    config = read_config(folder)
    if not hasattr(config, "num_channels"):
        raise UsageError(f"{folder} holds a {config.model_type}, which is no image encoder")
    patch = getattr(config, "patch_size", None)
    made_for = getattr(config, "image_size", None) or 224
    sides = (made_for, made_for) if isinstance(made_for, int) else (made_for[0], made_for[1])
    size = sides if spec.size is None else input_size(spec, modality)
    if patch and (size[0] % patch or size[1] % patch):
        raise UsageError(f"{folder.name} cuts patches of {patch} x {patch}, which do not divide "
                         f"{size[0]} x {size[1]}: choose a multiple as size")  # fmt: skip
    if modality.shape[0] not in (1, config.num_channels):
        raise UsageError(f"{folder.name} takes {config.num_channels} channels; the data have "
                         f"{modality.shape[0]}")  # fmt: skip

    def make() -> Backbone:
        from transformers import AutoModel

        encoder = AutoModel.from_config(config, attn_implementation="sdpa").float()
        return TransformersNet(encoder, size, patch, classes)

    return Plan(make, lambda: fetch(folder, config), _statistics(folder))


def local_folder(
    spec: PeerSpec, usual: str | None, how: str = "give a local folder: weights=FOLDER"
) -> Path:
    """Where configuration and weights lie; a repository of the hub is fetched where it is not here.

    Args:
        spec: ``weights`` is a folder, a repository, or ``pretrained``.
        usual: what ``pretrained`` means; None: nothing. how: what to do where nothing is fetched.

    Raises:
        UsageError: neither a folder nor a repository. RunError: it cannot be fetched.
    """
    refuse_taps(spec)
    given = usual if spec.weights == "pretrained" else spec.weights
    folder = Path(given or "").expanduser()
    if given is not None and (folder / "config.json").is_file():
        return folder
    if given is None or not hub.is_repository(given):
        raise UsageError(f"{spec.name} is read from a folder with config.json: give weights=FOLDER "
                         f"or a hub id owner/name, not {spec.weights}")  # fmt: skip
    found = hub.snapshot(given)
    if found is not None and has_weights(found):
        return found
    hub.require(given, f"the weights of {spec.name}", how)
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.safetensors", "*.bin"]
    return Path(snapshot_download(given, allow_patterns=patterns))


def has_weights(folder: Path) -> bool:
    """Whether a transformers folder is whole; that of a mere tokenizer holds no weights."""
    stored = any(any(folder.glob(f"*{ending}")) for ending in (".safetensors", ".bin"))
    return stored and (folder / "config.json").is_file()


def read_config(folder: Path) -> Any:
    """The configuration in a transformers folder, of any kind of network.

    Raises:
        UsageError: transformers is not installed, or cannot read it.
    """
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise UsageError("a transformers folder needs transformers: pip install "
                         "'condensery[text]'") from error  # fmt: skip
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{folder} is not a folder that transformers can read: {reason}") from None
    return config


def fetch(folder: Path, config: Any, unused: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """All weights of the encoder that a configuration describes, as float32.

    Args:
        folder: with the weights. config: of the encoder.
        unused: beginnings of names that may be missing, and are not answered.

    Raises:
        UsageError: some are missing, unknown, or of another shape.
    """
    from transformers import AutoModel

    with borrow(torch.Generator().manual_seed(0)), quiet():
        try:
            encoder, found = AutoModel.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"{folder} holds no weights that fit its config: {reason}") from error
    for kind in ("missing_keys", "mismatched_keys"):
        faults = sorted(str(name) for name in found[kind] if not str(name).startswith(unused))
        if faults:
            names = ", ".join(faults[:3])
            raise UsageError(f"{folder} does not hold the weights of its config.json: "
                             f"{kind.replace('_', ' ')} {names}")  # fmt: skip
    return {
        f"encoder.{name}": tensor.float()
        for name, tensor in encoder.state_dict().items()
        if not name.startswith(unused)
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, transformers draws no bars of progress into what the command line writes."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _statistics(folder: Path) -> Statistics:
    """Mean and std of ``preprocessor_config.json``, else ImageNet's."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return IMAGENET
    values = json.loads(path.read_text(encoding="utf-8"))
    if "image_mean" not in values or "image_std" not in values:
        return IMAGENET
    return Statistics(tuple(values["image_mean"]), tuple(values["image_std"]))
