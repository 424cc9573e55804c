"""What data is and how it is altered: modalities, codecs, augmentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from condensery.modality.audio import LogMel, Sound, Wave
from condensery.modality.audio_augmentation import SoundAugmentation
from condensery.modality.base import Augmentation, Codec, Modality
from condensery.modality.image import Image, Pixels
from condensery.modality.image_augmentation import ImageAugmentation
from condensery.modality.text import DenseTokens, SoftTokens, Text
from condensery.modality.text_augmentation import TextAugmentation

MODALITIES: dict[str, type[Modality]] = {"image": Image, "audio": Sound, "text": Text}
CODECS: dict[str, type[Codec]] = {
    "pixels": Pixels,
    "wave": Wave,
    "logmel": LogMel,
    "soft_tokens": SoftTokens,
    "dense_tokens": DenseTokens,
}


def modality_from(values: Mapping[str, Any]) -> Modality:
    """The modality that ``Modality.to_dict`` described.

    Raises:
        ValueError: unknown kind, or fields that it does not have.
    """
    return _build(MODALITIES, values, "modality")


def codec_from(values: Mapping[str, Any]) -> Codec:
    """The codec that ``Codec.to_dict`` described.

    Raises:
        ValueError: unknown kind, or fields that it does not have.
    """
    return _build(CODECS, values, "codec")


def _build(table: Mapping[str, type], values: Mapping[str, Any], what: str) -> Any:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    kind = fields.pop("kind", None)
    if kind not in table:
        raise ValueError(f"unknown {what} {kind!r}; known: {', '.join(table)}")
    try:
        return table[kind](**fields)
    except TypeError as error:
        raise ValueError(f"this {what} is not as this version writes it: {error}") from None


__all__ = [
    "CODECS",
    "MODALITIES",
    "Augmentation",
    "Codec",
    "DenseTokens",
    "Image",
    "ImageAugmentation",
    "LogMel",
    "Modality",
    "Pixels",
    "SoftTokens",
    "Sound",
    "SoundAugmentation",
    "Text",
    "TextAugmentation",
    "Wave",
    "codec_from",
    "modality_from",
]
