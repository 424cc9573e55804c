"""Text: rows of tokens of one length, and sets of soft tokens that every network reads its own way.

A synthetic text is no sequence of words: each position is a weighted few of the vocabulary
(``condensery.types.Tokens``). Networks embed it with their own tables, so that one set serves
networks of any width. It is decoded the same way for matching, training and evaluation; what is
exported are the few tokens themselves, a kilobyte or four a text, not the whole vocabulary.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from condensery.errors import UsageError
from condensery.modality.base import Augmentation, Codec, Modality, own_operations
from condensery.modality.text_augmentation import TextAugmentation
from condensery.modality.tokenizer import tokenizer_here
from condensery.types import Tokens

KEEP = 15  # tokens a position: with 64 positions of 4 bytes a token a text takes 3,840 bytes
LOWEST = -30.0  # logit of a token that is as good as absent, and of padding
LARGEST_VOCABULARY = 2**24  # beyond it a 32-bit float skips whole numbers
BINS = 1024  # of a hashed bag of words
SMOOTH = 0.8  # weight of the real token in a softened one-hot over the vocabulary


@dataclass(frozen=True)
class Text(Modality):
    """Texts of one length, cut or padded, in the tokens of one tokenizer.

    Attributes:
        shape: ``(length, 2, 1)``: each position one token, its id and its weight.
        vocabulary: token ids run from 0 to ``vocabulary - 1``; below 2 ** 24.
        tokenizer: what it is found by: a name, a repository of the hub or a folder; the whole path
            of a folder that only ``data_dir`` leads to.
        fingerprint: of its vocabulary, 16 hexadecimal digits.
        pad: id of padding. special: ids that are no words: padding, beginning, end, unknown.
        form: how a condensed set is stored: a ``sparse`` few tokens a position, or ``dense``
            logits over the whole vocabulary (HMDC's code), of which the largest are exported.
    """

    kind: ClassVar[str] = "text"
    shape: tuple[int, ...]
    vocabulary: int
    tokenizer: str
    fingerprint: str
    pad: int = 0
    special: tuple[int, ...] = ()
    form: Literal["sparse", "dense"] = "sparse"

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or self.shape[0] < 1 or tuple(self.shape[1:]) != (2, 1):
            raise ValueError(f"texts are (length, 2, 1); got {self.shape}")
        if not 1 < self.vocabulary < LARGEST_VOCABULARY:
            raise ValueError(f"a vocabulary has 2 to {LARGEST_VOCABULARY - 1:,} tokens, not "
                             f"{self.vocabulary:,}")  # fmt: skip
        if self.form not in ("sparse", "dense"):
            raise UsageError(f"unknown form of stored text {self.form!r}; known: sparse, dense")

    @property
    def length(self) -> int:
        """Positions of a text."""
        return self.shape[0]

    def fits(self, other: Modality) -> bool:
        """Whether samples are of one length and one vocabulary: the same ids may be other words."""
        same = isinstance(other, Text) and self.fingerprint == other.fingerprint
        return same and super().fits(other)

    def normalise(self, raw: Tensor) -> Tensor:
        """Token ids ``(n, length)`` to ``(n, length, 2, 1)`` float32; padding has weight 0."""
        ids = raw.long()
        return Tokens(ids.unsqueeze(2), (ids != self.pad).float().unsqueeze(2)).packed()

    def codec(self, factor: int = 1, **asked: Any) -> Codec:
        """Soft tokens: ``factor`` real texts, one over the other, begin a stored one.

        Of what is asked ``keep`` and ``temperature`` are theirs; wishes for pixels do not apply.
        """
        own = {name: asked[name] for name in ("keep", "temperature") if name in asked}
        return (DenseTokens if self.form == "dense" else SoftTokens)(factor, **own)

    def features(self, x: Tensor) -> Tensor:
        """Hashed bags of words ``(n, 1024)``, specials left out; of root mean square 1.

        Roots of counts keep frequent words from deciding (Hellinger's distance); hashing with
        signs (Weinberger et al., ICML 2009) keeps inner products, and 25,000 texts in 100 MB.
        """
        tokens = Tokens.of(x)
        if tokens.ids is None:
            every = torch.arange(self.vocabulary, device=x.device).expand(len(x), -1)
            ids, weights = every, tokens.weights.sum(1)
        else:
            ids, weights = tokens.ids.flatten(1), tokens.weights.flatten(1)
        special = torch.isin(ids, torch.tensor(self.special, dtype=ids.dtype, device=x.device))
        mixed = (ids * 2654435761) % 2**32
        signs = torch.where(mixed % 2 > 0, 1.0, -1.0)
        bags = torch.zeros(len(x), BINS, device=x.device)
        bags.scatter_add_(1, (mixed // 2) % BINS, signs * weights.masked_fill(special, 0))
        return BINS**0.5 * torch.nn.functional.normalize(bags.sign() * bags.abs().sqrt(), dim=1)

    def compared(self, x: Tensor) -> Tensor:
        """Bags of words, since ids and weights have no difference that means anything."""
        return self.features(x)

    def augmentation(self, operations: tuple[str, ...], **asked: Any) -> Augmentation:
        """The operations of text."""
        return TextAugmentation(own_operations(operations, self.kind))

    def preview(self, samples: Tensor, path: Path, columns: int) -> Path:
        """A ``.txt``: of each text a line of the heaviest token of each position."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path.with_suffix(".txt")
        lines = [f"{number}\t{text}" for number, text in enumerate(self.readable(samples))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def html(self, samples: Tensor, columns: int) -> str:
        """Texts of words, each as dark as its position is sure of it; the others on hovering."""
        return "".join(self._paragraph(one) for one in samples[:20].detach().cpu())

    def hub_column(self, samples: Tensor) -> tuple[str, list[Any], Any]:
        """The nearest readable texts, as ``text``; the weights do not survive in words."""
        from datasets import Value

        return "text", self.readable(samples), Value("string")

    def readable(self, samples: Tensor) -> list[str]:
        """The heaviest token of each position, specials left out, as words."""
        texts = []
        for one in samples.detach().cpu():
            ids, _ = heaviest(one.unsqueeze(0), 1)
            kept = Tokens.of(one.unsqueeze(0)).present[0]
            chosen = [i for i in ids[0, kept, 0].tolist() if i not in self.special]
            texts.append(self._joined(chosen))
        return texts

    def _joined(self, ids: list[int]) -> str:
        """Tokens as one readable text; ``#id`` where the tokenizer is not on this machine."""
        here = tokenizer_here(self.tokenizer, self.fingerprint)
        return " ".join(self.words(ids)) if here is None else here.text(ids)

    def words(self, ids: list[int]) -> list[str]:
        """What these tokens read as; ``#id`` where the tokenizer is not on this machine."""
        here = tokenizer_here(self.tokenizer, self.fingerprint)
        return [f"#{i}" for i in ids] if here is None else here.words(ids)

    def _paragraph(self, one: Tensor) -> str:
        ids, weights = heaviest(one.unsqueeze(0), 5)
        spans = []
        for tokens, shares in zip(ids[0].tolist(), weights[0].tolist(), strict=True):
            if tokens[0] in self.special or shares[0] <= 0:
                continue
            words = self.words(tokens)
            hint = ", ".join(f"{w} {share:.2f}" for w, share in zip(words, shares, strict=True))
            title, word = html.escape(hint, quote=True), html.escape(words[0])
            dark = 0.45 + 0.55 * min(1.0, shares[0])
            spans.append(f'<span style="opacity:{dark:.2f}" title="{title}">{word}</span>')
        return f'<p class="text">{" ".join(spans)}</p>'


def heaviest(x: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Ids and weights ``(n, length, <= most)`` of the heaviest tokens of each position.

    A token that a position names twice counts with the sum of its weights. Of equal weights the one
    that is named first goes first, so that what was kept is kept again.
    """
    tokens = Tokens.of(x.detach())
    if tokens.ids is None:
        found = tokens.weights.sort(dim=2, descending=True, stable=True)
        return found.indices[..., :most], found.values[..., :most]
    same = tokens.ids.unsqueeze(3) == tokens.ids.unsqueeze(2)
    earlier = same.tril(-1).any(3)  # counted where it is first named
    summed = (same * tokens.weights.unsqueeze(2)).sum(3).masked_fill(earlier, -1)
    found = summed.sort(dim=2, descending=True, stable=True)
    places, values = found.indices[..., :most], found.values[..., :most]
    return tokens.ids.gather(2, places), values.clamp(min=0)


@dataclass(frozen=True)
class SoftTokens(Codec):
    """A few tokens a position: leaf ``tokens`` ``(n, length, 2, candidates)``, ids and logits.

    Weights are the softmax of the logits over a position's candidates, and sum to 1. Which tokens
    are candidates is decided at the start; the ids never move, since no gradient reaches them.

    Attributes:
        factor: real texts that begin a stored one: position ``i`` holds their ``i``-th tokens.
        keep: tokens a position that are exported and evaluated, 2 bytes of id (4 beyond 65,536
            tokens) and 2 of weight each. A set of one real token a position costs its ids alone.
        temperature: of the softmax, above 0.
    """

    kind: ClassVar[str] = "soft_tokens"
    gradient_dims: ClassVar[tuple[int, ...]] = (-2, -1)
    factor: int = 1
    keep: int = KEEP
    temperature: float = 1.0
    _least: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.factor < 1 or self.keep < self._least:
            raise UsageError(f"a stored text begins with a text or more and keeps a token or more "
                             f"a position (0, all of them, is for data of form dense); got factor "
                             f"{self.factor}, keep {self.keep}")  # fmt: skip
        if not self.temperature > 0:
            raise UsageError(f"the temperature of soft tokens is above 0; got {self.temperature}")

    @property
    def holds(self) -> int:
        """Real texts, one over the other, that begin a stored one."""
        return self.factor

    @property
    def moves(self) -> bool:
        """Of one token a position the weight is 1 whatever its logit."""
        return self.factor > 1

    def check(self, decoded: Tensor, modality: Modality) -> None:
        """Refuse texts of another length, and ids beyond the vocabulary."""
        assert isinstance(modality, Text)
        tokens = Tokens.of(decoded)
        if decoded.shape[1] != modality.length:
            raise ValueError(f"texts of {decoded.shape[1]} positions, not {modality.length}")
        largest = decoded.shape[2] - 1 if tokens.ids is None else int(tokens.ids.max())
        if largest >= modality.vocabulary:
            raise ValueError(f"token {largest} of a vocabulary of {modality.vocabulary:,}")

    def encode(self, real: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Real texts ``(factor * n, length, 2, 1)``: text ``k * n + m`` is candidate k of ``m``.

        Each begins with the same weight; padding is as good as absent.
        """
        if len(real) % self.factor:
            raise ValueError(f"{len(real)} texts do not fill stored texts of {self.factor}")
        tokens = Tokens.of(real)
        if tokens.ids is None or tokens.ids.shape[2] != 1:
            raise ValueError("soft tokens are made of real texts, one token a position")
        apart = real[..., 0].unflatten(0, (self.factor, -1)).movedim(0, -1)
        return self.hold(Tokens.of(apart), modality)

    def hold(self, tokens: Tokens, modality: Modality) -> dict[str, Tensor]:
        """Stored leaves that decode to these tokens; their weights are made to sum to 1."""
        assert tokens.ids is not None
        logits = self.temperature * tokens.weights.clamp(min=1e-30).log()
        logits = logits - logits.amax(2, keepdim=True)
        lowest = self.temperature * LOWEST
        logits = torch.where(tokens.weights > 0, logits, lowest).clamp(min=lowest)
        return {"tokens": torch.stack([tokens.ids.to(logits), logits], 2)}

    def noise(
        self, count: int, modality: Modality, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Words drawn from the vocabulary with equal chance, with normal logits times T."""
        assert isinstance(modality, Text)
        shape = (count, modality.length, self.factor)
        ids = torch.randint(modality.vocabulary, shape, generator=generator)
        logits = self.temperature * torch.randn(shape, generator=generator)
        return {"tokens": torch.stack([ids.float(), logits], 2)}

    def decode(self, stored: Mapping[str, Tensor], modality: Modality) -> Tensor:
        """Texts ``(n, length, 2, candidates)`` with weights; differentiable in the logits."""
        leaf = stored["tokens"]
        ids, logits = leaf[:, :, 0].detach(), leaf[:, :, 1]
        weights = torch.softmax(logits / self.temperature, 2)
        return torch.stack([ids, weights * self._there(logits)], 2)

    def _there(self, logits: Tensor) -> Tensor:
        """Where a position holds more than padding, ``(n, length, 1)``."""
        return logits.detach().amax(2, keepdim=True) > self.temperature * (LOWEST + 1)

    def units(self, name: str, modality: Modality) -> Tensor:
        """A step is in logits: 1."""
        return torch.ones(1, 1, 1, 1)

    def project_(self, stored: Mapping[str, Tensor], modality: Modality) -> None:
        """Logits stay within plus and minus 30 times the temperature; ids stay whole numbers."""
        with torch.no_grad():
            most = -LOWEST * self.temperature
            stored["tokens"][:, :, 1].clamp_(-most, most)

    def quantise(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """The heaviest ``keep`` tokens a position, their weights in 16 bits."""
        return self.unpack(self.pack(stored, modality), modality)

    def pack(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """``ids`` as integers of 16 bits (32 for large vocabularies) and ``logits`` as float16."""
        assert isinstance(modality, Text)
        return packed_tokens(*heaviest(self.decode(stored, modality), self.keep), modality)

    def unpack(self, packed: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """The leaf ``tokens``: ids and logits as they were packed."""
        ids, logits = unpacked_tokens(packed, modality)
        return {"tokens": torch.stack([ids.float(), self.temperature * logits], 2)}


@dataclass(frozen=True)
class DenseTokens(SoftTokens):
    """Logits over the whole vocabulary: leaf ``logits`` ``(n, length, vocabulary)``.

    HMDC's code for text stores such a leaf, begins it with 0.8 at the real token and 0.2 spread
    over the vocabulary, and reads it as softmax(S / 10) in matching but raw in evaluation. Here the
    logits are those weights' logarithms, and one temperature serves both.

    Attributes:
        keep: 0 is what their code stores: 0.8 at the real token (padding too) and 0.2 at *every*
            entry to begin with, exported as they are in 16 bits, 4 MB a text of BERT's tokens.
    """

    kind: ClassVar[str] = "dense_tokens"
    gradient_dims: ClassVar[tuple[int, ...]] = (-1,)
    _least: ClassVar[int] = 0

    @property
    def whole(self) -> bool:
        """Whether all that is stored is exported."""
        return self.keep == 0

    @property
    def moves(self) -> bool:
        """The whole vocabulary stands at each position."""
        return True

    def hold(self, tokens: Tokens, modality: Modality) -> dict[str, Tensor]:
        """Softened one-hots; several tokens share the weight of a position, padding has none."""
        assert isinstance(modality, Text) and tokens.ids is not None
        if self.whole:
            each = torch.full(tokens.ids.shape, SMOOTH / tokens.ids.shape[2])
            leaf = torch.full((*tokens.ids.shape[:2], modality.vocabulary), 1 - SMOOTH)
            return {"logits": leaf.scatter_add_(2, tokens.ids, each).to(tokens.weights)}
        total = tokens.weights.sum(2, keepdim=True)
        weights = tokens.weights / total.clamp(min=1e-30)
        spread = (1 - SMOOTH) / modality.vocabulary
        shares = torch.full((*weights.shape[:2], modality.vocabulary), spread).to(weights)
        shares.scatter_add_(2, tokens.ids, SMOOTH * weights)
        return {"logits": self.temperature * torch.where(total > 0, shares.log(), LOWEST)}

    def noise(
        self, count: int, modality: Modality, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Normal logits."""
        assert isinstance(modality, Text)
        shape = (count, modality.length, modality.vocabulary)
        return {"logits": torch.randn(shape, generator=generator)}

    def decode(self, stored: Mapping[str, Tensor], modality: Modality) -> Tensor:
        """Weights over the vocabulary ``(n, length, vocabulary)``; differentiable."""
        logits = stored["logits"]
        return torch.softmax(logits / self.temperature, 2) * self._there(logits)

    def units(self, name: str, modality: Modality) -> Tensor:
        """A step is in logits: 1."""
        return torch.ones(1, 1, 1)

    def project_(self, stored: Mapping[str, Tensor], modality: Modality) -> None:
        """Logits may be anything."""

    def pack(self, stored: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """As of few tokens; with ``keep`` 0 the leaf itself as float16."""
        return {"logits": stored["logits"].half()} if self.whole else super().pack(stored, modality)

    def unpack(self, packed: Mapping[str, Tensor], modality: Modality) -> dict[str, Tensor]:
        """Logits of the tokens that were packed, and as good as nothing for all others."""
        assert isinstance(modality, Text)
        if self.whole:
            return {"logits": packed["logits"].float()}
        ids, logits = unpacked_tokens(packed, modality)
        # Nothing may weigh more than the thousands of tokens that are left out; where nothing is at
        # all, logits are finite, since a softmax of -inf alone is no number.
        there = (logits > LOWEST + 1).any(2, keepdim=True)
        left = torch.where(there, float("-inf"), self.temperature * LOWEST)
        kept = torch.where(logits > LOWEST + 1, self.temperature * logits, float("-inf"))
        leaf = left.repeat(1, 1, modality.vocabulary)
        return {"logits": leaf.scatter_reduce(2, ids, kept, "amax")}


def packed_tokens(ids: Tensor, weights: Tensor, modality: Text) -> dict[str, Tensor]:
    """Ids and weights ``(n, length, k)`` as they are exported: the logit of the heaviest is 0.

    A position where nothing is holds padding. With one token a position (real text) the ids say
    all, and logits are left out. Packing what was unpacked changes nothing.
    """
    most = weights.amax(2, keepdim=True)
    there = weights > most * 1e-9
    small = modality.vocabulary <= 2**16
    whole = torch.where(there, ids, modality.pad).to(torch.uint16 if small else torch.int32)
    if ids.shape[2] == 1:
        return {"ids": whole}
    logits = torch.where(there, (weights / most.clamp(min=1e-30)).clamp(min=1e-30).log(), LOWEST)
    return {"ids": whole, "logits": logits.half()}


def unpacked_tokens(packed: Mapping[str, Tensor], modality: Modality) -> tuple[Tensor, Tensor]:
    """Ids (int64) and logits (float32) ``(n, length, k)`` of what ``packed_tokens`` gave."""
    assert isinstance(modality, Text)
    ids = packed["ids"].long()
    if "logits" in packed:
        return ids, packed["logits"].float()
    return ids, torch.where(ids == modality.pad, LOWEST, 0.0)
