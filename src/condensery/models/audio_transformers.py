"""Encoders of sound of transformers (Wolf et al., EMNLP 2020): HuBERT and its kin, and Whisper."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality, Sound
from condensery.models.audio_cnn import over_batch, sound_of, waveform
from condensery.models.backbone import Backbone, PeerSpec, as_map
from condensery.models.plan import Plan, head_names
from condensery.models.spectrogram import heard
from condensery.models.transformers_net import fetch, local_folder, read_config
from condensery.models.weights import read_state
from condensery.types import Reading, Tap

NAME = re.compile(r"hubert(?P<mini>_mini)?(?P<released>_released)?")
RATE = 16_000  # of the sound that all of these were trained on
HUBERT = "facebook/hubert-base-ls960"
LEVELS = 2.0  # how far below its loudest frame Whisper hears: 8 powers of ten, each a quarter


class SoundTransformer(Backbone):
    """An encoder of sound with a linear head on the mean over time of its last states.

    The encoder learns in evaluation mode: real and synthetic samples must meet the same network,
    and transformers drops out by functions that nobody can switch off from outside.

    Taps: the outputs of its layers, sequences over time. The embedding is what the head reads.

    Args:
        encoder: gives ``last_hidden_state`` and ``hidden_states`` of what it is handed.
        width: of its states. classes: outputs.
    """

    def __init__(self, encoder: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder.eval()
        self.classifier = nn.Linear(width, classes)
        self.head = head_names(self, "classifier")

    def train(self, mode: bool = True) -> SoundTransformer:
        """Training mode for all but the encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def hear(self, x: Tensor) -> Tensor:
        """What the encoder is handed of waveforms ``(n, channels, samples)``."""
        return waveform(x, type(self.encoder).__name__).mean(1)

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read waveforms ``(n, channels, samples)``; channels are averaged."""
        answer = self.encoder(self.hear(x), output_hidden_states=taps)
        embedding = answer.last_hidden_state.mean(1)
        read: tuple[Tap, ...] = ()
        if taps:
            read = tuple(as_map(each.transpose(1, 2)) for each in answer.hidden_states[1:])
        return Reading(self.classifier(embedding), embedding, read)


class ReleasedHubert(SoundTransformer):
    """HuBERT as HMDC's authors' code runs it.

    Each time index is rescaled over the batch, and the layers are called one after the other on the
    projected features: without positions, and without the norm before the first layer. What it
    answers to a clip depends on the others, and one clip alone becomes silence.
    """

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read waveforms ``(n, channels, samples)``; the first channel is what counts."""
        whole: Any = self.encoder
        heard = over_batch(waveform(x, "hubert_released"))[:, 0]
        states = whole.feature_projection(whole.feature_extractor(heard).transpose(1, 2))
        outputs = []
        for layer in whole.encoder.layers:
            states = layer(states)
            outputs.append(states)
        embedding = states.mean(1)
        read = tuple(as_map(each.transpose(1, 2)) for each in outputs) if taps else ()
        return Reading(self.classifier(embedding), embedding, read)


class WhisperNet(SoundTransformer):
    """The encoder of Whisper (Radford et al., 2022), which reads log-mel spectrograms.

    It was made for 30 s. Here its table of positions is cut to the clip, so that 5 s cost a ninth.
    """

    def hear(self, x: Tensor) -> Tensor:
        """Spectrograms ``(n, mels, frames)``, cut at the loudest frame as Whisper's are."""
        config: Any = self.encoder.config
        found = heard(x, RATE, config.num_mel_bins)[:, 0]
        found = found[..., : 2 * config.max_source_positions]
        return torch.maximum(found, found.amax((1, 2), keepdim=True) - LEVELS)


def of_folder(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """The encoder of sound in the folder ``spec.weights``, or in that repository of the hub.

    Raises:
        UsageError: no such folder, or no encoder of sound at 16 kHz.
        RunError: a repository that cannot be fetched.
    """
    folder = local_folder(spec, None)
    config = read_config(folder)
    if config.model_type == "whisper":
        return _whisper_plan(spec, folder, config, modality, classes)
    return _wave_plan(spec, folder, config, modality, classes)


def hubert(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """HuBERT (Hsu et al., 2021): base or a small one from scratch, or with weights.

    ``weights`` is a folder, a repository of the hub, or ``pretrained`` (hubert-base-ls960): HuBERT
    or any other encoder of waveforms (wav2vec 2.0, WavLM, ...); ``hubert_released`` is a HuBERT.

    Raises:
        UsageError: no such folder, or no encoder of waveforms. RunError: it cannot be fetched.
    """
    small = "mini" in spec.name
    if spec.weights is not None and not small:
        folder = local_folder(spec, HUBERT)
        return _wave_plan(spec, folder, read_config(folder), modality, classes)
    if spec.weights is not None:
        raise UsageError(f"{spec.name} has no published weights: name the model 'hubert', or leave "
                         f"weights away")  # fmt: skip
    return _wave_plan(spec, None, _hubert_config(small), modality, classes)


def parse(name: str) -> str | None:
    """The line of the table that a HuBERT's name belongs to: with ``_released`` or without."""
    return name.removesuffix("_released") if NAME.fullmatch(name) else None


def whisper(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """The encoder of a Whisper in the folder ``spec.weights``, or in that repository of the hub.

    ``whisper_mini`` is one of width 64 and depth 4 from scratch: the transformer on sound that a
    small machine bears, since spectrograms are a hundredth as long as waveforms.

    Raises:
        UsageError: no such folder, no Whisper. RunError: it cannot be fetched.
    """
    if spec.name == "whisper_mini":
        if spec.weights is not None:
            raise UsageError("whisper_mini has no published weights: name the model 'whisper', or "
                             "leave weights away")  # fmt: skip
        return _whisper_plan(spec, None, _small_whisper(), modality, classes)
    folder = local_folder(spec, "openai/whisper-tiny.en")
    config = read_config(folder)
    if config.model_type != "whisper":
        raise UsageError(f"{folder} holds a {config.model_type}, no whisper: name the model "
                         f"'transformers'")  # fmt: skip
    return _whisper_plan(spec, folder, config, modality, classes)


def _hubert_config(small: bool) -> Any:
    try:
        from transformers import HubertConfig
    except ImportError as error:
        raise UsageError("hubert needs transformers: pip install 'condensery[text]'") from error
    if not small:
        return HubertConfig()
    return HubertConfig(
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )


def _small_whisper() -> Any:
    try:
        from transformers import WhisperConfig
    except ImportError as error:
        raise UsageError("whisper needs transformers: pip install 'condensery[text]'") from error
    return WhisperConfig(
        d_model=64, encoder_layers=4, encoder_attention_heads=4, encoder_ffn_dim=128
    )


def _sound(spec: PeerSpec, modality: Modality) -> Sound:
    sound = sound_of(spec, modality)
    if sound.rate != RATE:
        raise UsageError(f"{spec.name} reads sound of {RATE:,} samples a second, not "
                         f"{sound.rate:,}: load the data with rate={RATE}")  # fmt: skip
    return sound


def _wave_plan(
    spec: PeerSpec, folder: Path | None, config: Any, modality: Modality, classes: int
) -> Plan:
    sound = _sound(spec, modality)
    if not hasattr(config, "conv_stride"):
        spectrograms = hasattr(config, "num_mel_bins")
        told = "reads spectrograms of another kind than ours" if spectrograms else \
            "is no encoder of sound"
        raise UsageError(f"{folder} holds a {config.model_type}, which {told}: take an encoder of "
                         f"waveforms (hubert, wav2vec2, wavlm, ...) or a whisper")  # fmt: skip
    released = spec.name.endswith("_released")
    if released and config.model_type != "hubert":
        raise UsageError(f"{spec.name} is a HuBERT; {folder} holds a {config.model_type}: name the "
                         f"model 'hubert'")  # fmt: skip
    length = sound.shape[1]
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        length = (length - kernel) // stride + 1
    if length < 1:
        raise UsageError(f"{spec.name} needs longer clips than {sound.shape[1]} samples: load the "
                         f"data with more seconds")  # fmt: skip

    def make() -> Backbone:
        from transformers import AutoModel

        encoder = AutoModel.from_config(config).float()
        made = ReleasedHubert if released else SoundTransformer
        return made(encoder, config.hidden_size, classes)

    return Plan(make, None if folder is None else lambda: fetch(folder, config))


def _whisper_plan(
    spec: PeerSpec, folder: Path | None, config: Any, modality: Modality, classes: int
) -> Plan:
    sound = _sound(spec, modality)
    frames = sound.shape[1] // (RATE // 100)
    if not 2 <= frames <= 2 * config.max_source_positions:
        raise UsageError(f"{spec.name} hears up to {config.max_source_positions / 50:g} s, not "
                         f"{sound.seconds:g}: load the data with other seconds")  # fmt: skip
    config.max_source_positions = frames // 2

    def make() -> Backbone:
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        encoder = WhisperEncoder._from_config(config).float()
        return WhisperNet(encoder, config.d_model, classes)

    return Plan(make, None if folder is None else lambda: _whisper_weights(folder, frames // 2))


def _whisper_weights(folder: Path, positions: int) -> dict[str, Tensor]:
    """Those of the encoder, whatever stood around it, with as many positions as are used."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise UsageError(f"{folder} holds no weights: neither .safetensors nor .bin files")
    state = {name: tensor for file in files for name, tensor in read_state(file).items()}
    own = {
        "encoder." + name.partition("encoder.")[2]: tensor
        for name, tensor in state.items()
        if name.startswith(("encoder.", "model.encoder."))
    }
    table = "encoder.embed_positions.weight"
    if table in own:
        own[table] = own[table][:positions]
    return own
