"""Text as one tensor, and sets of soft tokens: what they hold, cost and decode to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cases import images, sounds, texts
from condensery.artefact import load, save
from condensery.core.starts import odds_start, random_start
from condensery.errors import UsageError
from condensery.modality import (
    Codec,
    DenseTokens,
    Pixels,
    SoftTokens,
    Text,
    Wave,
    codec_from,
    modality_from,
)
from condensery.modality.text import LOWEST, heaviest
from condensery.modality.text_augmentation import TextAugmentation
from condensery.streams import Streams
from condensery.types import Tokens

TOPICS = texts()
TEXT = TOPICS.modality
assert isinstance(TEXT, Text)
CODECS = (SoftTokens(2), SoftTokens(4, keep=2), SoftTokens(1), DenseTokens(2), DenseTokens(1),
          DenseTokens(2, keep=0))  # fmt: skip


def real(count: int = 4) -> Tensor:
    return TOPICS.samples(range(count))


def test_words_are_read_from_a_table_as_a_naive_loop_does() -> None:
    table, x = torch.randn(TEXT.vocabulary, 3), SoftTokens(4).encode(real(), TEXT)
    found = SoftTokens(4).decode(x, TEXT)
    tokens = Tokens.of(found)
    assert tokens.ids is not None
    for position in range(TEXT.length):
        expected = torch.zeros(3)
        for k in range(4):
            expected += tokens.weights[0, position, k] * table[tokens.ids[0, position, k]]
        torch.testing.assert_close(tokens.embedded(table)[0, position], expected)


def test_ids_and_one_hot_tokens_few_or_all_read_alike() -> None:
    x, table = real(), torch.randn(TEXT.vocabulary, 5)
    tokens = Tokens.of(x)
    assert tokens.ids is not None
    whole = F.one_hot(tokens.ids[..., 0], TEXT.vocabulary).float() * tokens.weights
    rows = table[tokens.ids[..., 0]] * tokens.weights
    torch.testing.assert_close(tokens.embedded(table), rows)
    torch.testing.assert_close(Tokens.of(whole).embedded(table), rows)
    assert torch.equal(Tokens.of(whole).present, tokens.present)
    assert torch.equal(tokens.packed(), x)


def test_what_is_no_text_is_no_view_of_tokens() -> None:
    with pytest.raises(ValueError, match="not \\(2, 8, 3, 1\\)"):
        Tokens.of(torch.zeros(2, 8, 3, 1))


def test_padding_is_not_there() -> None:
    raw = torch.from_numpy(TOPICS.train.samples[:6].copy())
    assert torch.equal(Tokens.of(TEXT.normalise(raw)).present, raw != TEXT.pad)


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_what_is_exported_is_what_is_evaluated_and_stays_so(codec: Codec) -> None:
    stored = codec.encode(real(), TEXT)
    once = codec.quantise(stored, TEXT)
    packed = codec.pack(stored, TEXT)
    for name, leaf in codec.unpack(packed, TEXT).items():
        assert torch.equal(leaf, once[name])
    for name, leaf in codec.pack(once, TEXT).items():
        assert torch.equal(leaf, packed[name]), f"{name} changes when it is packed again"
    assert codec_from(codec.to_dict()) == codec


def test_a_text_of_real_tokens_survives_to_the_last() -> None:
    codec = SoftTokens(1)
    assert torch.equal(codec.decode(codec.quantise(codec.encode(real(), TEXT), TEXT), TEXT), real())


def test_bytes_are_those_of_the_tokens_that_are_kept() -> None:
    long = replace(TEXT, shape=(64, 2, 1), vocabulary=30_522)
    ids = torch.randint(5, 30_522, (15, 64, 1, 1)).float()
    x = torch.cat([ids, torch.ones_like(ids)], 2)
    assert SoftTokens(15).nbytes(SoftTokens(15).encode(x, long), long) == 3840
    assert SoftTokens(15, keep=5).nbytes(SoftTokens(15).encode(x, long), long) == 64 * 5 * 4
    assert SoftTokens(1).nbytes(SoftTokens(1).encode(x[:1], long), long) == 128
    large = replace(long, vocabulary=70_000)
    assert SoftTokens(1).nbytes(SoftTokens(1).encode(x[:1], large), large) == 256


def test_real_texts_begin_with_equal_weights_one_over_the_other() -> None:
    x = real(4)
    decoded = SoftTokens(2).decode(SoftTokens(2).encode(x, TEXT), TEXT)
    assert torch.equal(decoded[1, :, 0], torch.stack([x[1, :, 0, 0], x[3, :, 0, 0]], 1))
    both = (x[1, :, 1, 0] > 0) & (x[3, :, 1, 0] > 0)
    assert both.any() and (decoded[1, both, 1] == 0.5).all()


def test_the_heaviest_tokens_are_kept_and_share_the_weight() -> None:
    weights = torch.tensor([0.5, 0.3, 0.2]).repeat(1, TEXT.length, 1)
    ids = torch.tensor([6, 7, 8]).repeat(1, TEXT.length, 1)
    codec = SoftTokens(3, keep=2)
    kept = codec.decode(codec.quantise(codec.hold(Tokens(ids, weights), TEXT), TEXT), TEXT)
    assert kept[0, 0, 0].tolist() == [6, 7]
    torch.testing.assert_close(kept[0, 0, 1], torch.tensor([0.625, 0.375]), atol=1e-3, rtol=0)


def test_a_token_named_twice_counts_with_both_weights() -> None:
    x = torch.tensor([[[[5.0, 6.0, 5.0], [0.3, 0.4, 0.3]]]])
    ids, weights = heaviest(x, 2)
    assert ids[0, 0].tolist() == [5, 6]
    torch.testing.assert_close(weights[0, 0], torch.tensor([0.6, 0.4]))


@pytest.mark.parametrize("codec", [SoftTokens(2), SoftTokens(2, temperature=3.0), DenseTokens(2)])
def test_gradients_reach_logits_and_are_those_of_finite_differences(codec: SoftTokens) -> None:
    stored = {name: leaf.double() for name, leaf in codec.encode(real(), TEXT).items()}
    ((name, leaf),) = stored.items()
    leaf = leaf.clamp(min=-9).requires_grad_()
    table = torch.randn(TEXT.vocabulary, 2, dtype=torch.float64)

    def loss(values: Tensor) -> Tensor:
        return Tokens.of(codec.decode({name: values}, TEXT)).embedded(table).square().sum()

    (slope,) = torch.autograd.grad(loss(leaf), leaf)
    place = (0, 1, 1, 0) if leaf.ndim == 4 else (0, 1, 7)
    step = torch.zeros_like(leaf)
    step[place] = 1e-5
    expected = (loss(leaf + step) - loss(leaf - step)).item() / 2e-5
    assert slope[place].item() == pytest.approx(expected, rel=1e-5, abs=1e-9)
    if leaf.ndim == 4:
        assert not slope[:, :, 0].any(), "ids do not move"


def test_a_step_moves_weights_and_no_id() -> None:
    made = random_start(TOPICS, 1, SoftTokens(3), Streams(0))
    before = made.stored["tokens"].clone()
    optimiser = torch.optim.SGD(list(made.stored.values()), lr=100.0)
    for label in TOPICS.labels:
        made.pull(label, {"tokens": torch.randn_like(made.of(label)["tokens"])})
    made.stored["tokens"].grad[:, :, 0] = 0  # type: ignore[index]
    made.descend(optimiser, normalise=True)
    after = made.stored["tokens"]
    assert torch.equal(after[:, :, 0], before[:, :, 0])
    assert not torch.equal(after[:, :, 1], before[:, :, 1])
    assert after[:, :, 1].abs().max() <= -LOWEST


def test_a_dense_text_begins_with_softened_tokens() -> None:
    shares = DenseTokens(1).decode(DenseTokens(1).encode(real(1), TEXT), TEXT)
    token = int(real(1)[0, 0, 0, 0])
    assert shares[0, 0, token].item() == pytest.approx(0.8 + 0.2 / TEXT.vocabulary, rel=1e-4)
    torch.testing.assert_close(shares.sum(2), Tokens.of(real(1)).present.float())


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_a_short_dense_text_keeps_its_padding_through_export_and_a_step(temperature: float) -> None:
    codec, x = DenseTokens(1, keep=3, temperature=temperature), real(1)
    x[0, 6:, 0], x[0, 6:, 1] = TEXT.pad, 0
    expected = torch.tensor([[True] * 6 + [False] * 2]) & Tokens.of(x).present
    stored = codec.encode(x, TEXT)
    packed = codec.pack(stored, TEXT)
    assert (packed["ids"][~expected].long() == TEXT.pad).all()
    for leaves in (stored, codec.quantise(stored, TEXT)):
        leaf = leaves["logits"].requires_grad_()
        shares = codec.decode({"logits": leaf}, TEXT)
        assert torch.equal(Tokens.of(shares).present, expected) and not shares[~expected].any()
        (slope,) = torch.autograd.grad(shares.square().sum(), leaf)
        assert slope.isfinite().all() and not slope[~expected].any()
        moved = codec.decode({"logits": leaf.detach() - 100 * slope}, TEXT)
        assert torch.equal(Tokens.of(moved).present, expected)


@pytest.mark.parametrize("temperature", [0.1, 3.0, 10.0])
def test_padding_weighs_nothing_at_any_temperature(temperature: float) -> None:
    x = real(2)
    x[1, 3:, 0], x[1, 3:, 1] = TEXT.pad, 0
    x[:, 7:, 0], x[:, 7:, 1] = TEXT.pad, 0
    codec = SoftTokens(2, temperature=temperature)
    stored = codec.encode(x, TEXT)
    codec.project_(stored, TEXT)
    for leaves in (stored, codec.quantise(stored, TEXT)):
        weights = codec.decode(leaves, TEXT)[0, :, 1]
        assert weights.min(1).values[3:].max() < 1e-9 and not weights[7:].any()
        torch.testing.assert_close(weights[1], torch.tensor([0.5, 0.5]))
    drawn = codec.decode(codec.noise(50, TEXT, torch.Generator().manual_seed(0)), TEXT)
    assert Tokens.of(drawn).present.all(), "noise is no padding"


def test_logits_stay_within_thirty_times_the_temperature() -> None:
    leaf = torch.full((1, 8, 2, 2), 500.0)
    SoftTokens(2, temperature=4.0).project_({"tokens": leaf}, TEXT)
    assert (leaf[:, :, 1] == 120).all() and (leaf[:, :, 0] == 500).all()


def test_a_whole_dense_text_is_stored_as_the_released_code_has_it() -> None:
    codec, x = DenseTokens(keep=0), real(3)
    leaf = codec.encode(x, TEXT)["logits"]
    expected = torch.full_like(leaf, 0.2)
    for n, position in torch.cartesian_prod(torch.arange(3), torch.arange(TEXT.length)):
        expected[n, position, x[n, position, 0, 0].long()] += 0.8
    torch.testing.assert_close(leaf, expected)  # padding is a token like any other
    assert codec.nbytes({"logits": leaf}, TEXT) == 2 * leaf.numel()
    assert torch.equal(codec.quantise({"logits": leaf}, TEXT)["logits"], leaf.half().float())
    two = DenseTokens(2, keep=0).encode(real(4), TEXT)["logits"]
    torch.testing.assert_close(two.sum(2), torch.full(two.shape[:2], 0.8 + 0.2 * TEXT.vocabulary))


def test_a_method_s_temperature_and_tokens_reach_the_codec_of_texts_alone() -> None:
    asked = {"temperature": 10.0, "keep": 3, "corners": True}
    assert TEXT.codec(2, **asked) == SoftTokens(2, keep=3, temperature=10.0)
    dense = replace(TEXT, form="dense")
    assert dense.codec(1, **asked) == DenseTokens(1, keep=3, temperature=10.0)
    assert dense.codec(1) == DenseTokens(1) and TEXT.codec(1) == SoftTokens(1)
    assert images(1).modality.codec(1, **asked) == Pixels(1, corners=True)
    assert sounds().modality.codec(1, **asked) == Wave(1)
    with pytest.raises(UsageError, match="data of form dense"):
        TEXT.codec(1, keep=0)
    with pytest.raises(UsageError, match="keep -1"):
        dense.codec(1, keep=-1)


def test_sets_of_text_come_back_from_disk_bit_for_bit(tmp_path: Path) -> None:
    for number, codec in enumerate(CODECS):
        made = random_start(TOPICS, 1, codec, Streams(0)).quantised()
        save(made, tmp_path / str(number))
        again = load(tmp_path / str(number))
        assert torch.equal(again.decode().x, made.decode().x) and again.codec == codec
        assert again.modality == TEXT


def test_a_set_that_does_not_fit_its_card_is_refused() -> None:
    codec = SoftTokens(2)
    decoded = codec.decode(codec.encode(real(), TEXT), TEXT)
    with pytest.raises(ValueError, match="texts of 7 positions, not 8"):
        codec.check(decoded[:, 1:], TEXT)
    with pytest.raises(ValueError, match="token .* of a vocabulary of 6"):
        codec.check(decoded, replace(TEXT, vocabulary=6))


def test_odds_are_those_of_a_naive_count() -> None:
    made = odds_start(TOPICS, 1, SoftTokens(2), Streams(0))
    counts = torch.ones(3, TEXT.vocabulary, dtype=torch.float64)
    for row, label in zip(TOPICS.train.samples.tolist(), TOPICS.train.labels.tolist(), strict=True):
        for token in row:
            counts[label, token] += token not in TEXT.special
    shares = counts / counts.sum(1, keepdim=True)
    for label in range(3):
        others = (shares.sum(0) - shares[label]) / 2
        odds = shares[label] * (shares[label] / others).log()
        expected = odds.topk(2 * (TEXT.length - 1)).indices.tolist()
        tokens = made.of(label)["tokens"][0]
        assert tokens[0, 0, 0] == 2, "the first token stays where it is"
        assert tokens[1:, 0, 0].long().tolist() + tokens[1:, 0, 1].long().tolist() == expected
    with pytest.raises(UsageError, match="odds of tokens are of text"):
        from cases import images

        odds_start(images(), 1, images().modality.codec(), Streams(0))


def test_texts_of_the_same_words_lie_close_in_any_order() -> None:
    x = real(8)
    order = torch.randperm(TEXT.length)
    torch.testing.assert_close(TEXT.features(x), TEXT.features(x[:, order]))
    torch.testing.assert_close(TEXT.features(x).square().mean(1), torch.ones(8))
    whole = DenseTokens(1).decode({"logits": torch.zeros(1, TEXT.length, TEXT.vocabulary)}, TEXT)
    assert TEXT.features(whole).shape == (1, 1024)


def test_the_same_ids_of_another_vocabulary_are_other_texts() -> None:
    assert TEXT.fits(replace(TEXT, form="dense"))
    assert not TEXT.fits(replace(TEXT, fingerprint="1" * 16))
    assert not TEXT.fits(replace(TEXT, shape=(9, 2, 1)))


def test_a_shared_draw_alters_three_texts_as_it_does_five() -> None:
    augmentation = TextAugmentation()
    state = torch.random.get_rng_state()
    draw = augmentation.draw(torch.Generator().manual_seed(1), 5, shared=True)
    three, five = augmentation.apply(draw, real(3)), augmentation.apply(draw, real(5))
    assert torch.equal(three, five[:3]) and not torch.equal(five, real(5))
    assert torch.equal(five[:, 0], real(5)[:, 0]), "the first position stays"
    assert torch.equal(torch.random.get_rng_state(), state)


def test_dropped_positions_are_gone_and_shifted_ones_are_all_there() -> None:
    x = real(6)
    generator = torch.Generator().manual_seed(0)
    drop = TextAugmentation(("token_drop",), chance=0.5)
    left = drop.apply(drop.draw(generator, 6), x)
    fewer = Tokens.of(left).present.sum()
    assert 0 < fewer < Tokens.of(x).present.sum()
    shift = TextAugmentation(("token_shift",))
    turned = shift.apply(shift.draw(generator, 6), x)
    assert torch.equal(turned.sort(1).values, x.sort(1).values)
    for wrong in ({"operations": ("flip",)}, {"chance": 1.0}):
        with pytest.raises(UsageError):
            TextAugmentation(**wrong)  # type: ignore[arg-type]


def test_previews_can_be_read_without_the_tokenizer_and_hold_no_markup(tmp_path: Path) -> None:
    written = TEXT.preview(real(2), tmp_path / "texts", 1)
    lines = written.read_text(encoding="utf-8").splitlines()
    assert written.suffix == ".txt" and len(lines) == 2 and "#" in lines[0]
    assert TEXT.html(real(2), 1).count('<p class="text">') == 2
    assert modality_from(TEXT.to_dict()) == TEXT


@pytest.mark.parametrize(
    "wrong",
    [{"shape": (8, 3, 1)}, {"vocabulary": 1}, {"vocabulary": 2**24}, {"form": "wave"}],
)
def test_a_text_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((UsageError, ValueError)):
        replace(TEXT, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"factor": 0}, {"keep": 0}, {"temperature": 0.0}])
def test_a_codec_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SoftTokens(**wrong)  # type: ignore[arg-type]
