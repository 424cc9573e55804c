"""Networks on sound: sizes and taps that are published, what they refuse, and their derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from condensery.core.alignment import Alignment
from condensery.core.matching import distance, double_backward, parameter_gradients
from condensery.errors import UsageError
from condensery.modality import Image, Sound
from condensery.modality.audio import level
from condensery.modality.spectrum import log_mel
from condensery.models import Backbone, PeerSpec, audio_transformers, build, describe, family
from condensery.models.audio_cnn import over_batch, shortest
from condensery.types import Batch

ESC = Sound((1, 80_000), 16_000)
SHORT = Sound((1, 8000), 16_000)
NAMES = ["audio_cnn_w4", "spectrogram_cnn_w4", "hubert_mini", "whisper_mini"]
names = pytest.mark.parametrize("name", NAMES)


def made(name: str, modality: Any = SHORT, seed: int = 0, **settings: Any) -> Backbone:
    spec = PeerSpec(name, **settings)
    return build(spec, modality, 10, torch.Generator().manual_seed(seed))


def clips(count: int = 4, modality: Sound = SHORT, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = level(torch.randn(count, *modality.shape, generator=generator))
    return Batch(x, torch.arange(count))


def test_the_six_layer_cnn_has_the_published_size_and_taps() -> None:
    told = describe("audio_cnn", ESC)
    assert told.parameters == 187_754 and family("audio_cnn") == "cnn"
    assert [tap[1] for tap in told.taps] == [3999, 3999, 285, 285, 27, 27]
    assert [tap[0] for tap in told.taps] == [32, 32, 64, 64, 128, 128]


def test_hubert_base_has_twelve_taps_of_249_frames() -> None:
    pytest.importorskip("transformers")
    told = describe("hubert", ESC)
    assert told.taps == ((768, 249),) * 12 and family("hubert") == "transformer"
    assert told.parameters is not None and 94e6 < told.parameters < 95e6


@pytest.mark.parametrize("name", [*NAMES, "wav2vec2", "wavlm", "whisper"])
def test_what_is_said_of_a_clip_does_not_depend_on_the_others(name: str, tmp_path: Path) -> None:
    network, batch = any_of(name, tmp_path).eval(), clips()
    with torch.no_grad():
        together, alone = network(batch.x), [network(batch.x[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=1e-4)
    assert float((together[0] - together[1]).abs().max()) > 1e-5


@pytest.mark.parametrize("name", ["audio_cnn_w4_released", "hubert_mini_released"])
def test_the_released_rescaling_maps_one_clip_to_silence(name: str) -> None:
    network, batch = made(name).eval(), clips(3)
    with torch.no_grad():
        alone = [network(batch.x[i : i + 1]) for i in range(3)]
        silence = network(torch.zeros(1, 1, 8000))
        together = network(batch.x)
    assert all(torch.equal(one, silence) for one in alone)
    assert not torch.allclose(together[:1], silence)


def test_the_released_rescaling_is_of_each_time_index_over_the_batch() -> None:
    x = clips(3).x
    found = over_batch(x)
    for index in (0, 17, 7999):
        column = x[:, 0, index]
        spread = float(column.max() - column.min())
        expected = (column - column.min()) / (spread + 1e-6)
        torch.testing.assert_close(found[:, 0, index], expected)
    leaf = x.clone().requires_grad_()
    over_batch(leaf).sum().backward()  # the ends are constants: each slope is one over the spread
    slope = 1 / (x[:, 0, 17].max() - x[:, 0, 17].min() + 1e-6)
    torch.testing.assert_close(leaf.grad[:, 0, 17], slope.expand(3))  # type: ignore[index]


def test_the_released_hubert_calls_its_layers_without_positions_and_first_norm() -> None:
    pytest.importorskip("transformers")
    network, batch = made("hubert_mini_released").eval(), clips(3)
    assert family("hubert_mini_released") == family("hubert_released") == "transformer"
    whole = network.encoder
    states = whole.feature_extractor(over_batch(batch.x)[:, 0]).transpose(1, 2)  # type: ignore
    states = whole.feature_projection(states)  # type: ignore[operator]
    reading, outputs = network.read(batch), []
    for layer in whole.encoder.layers:  # type: ignore[union-attr]
        states = layer(states)
        outputs.append(states)
    assert len(reading.taps) == len(outputs) == 4
    for tap, one in zip(reading.taps, outputs, strict=True):
        torch.testing.assert_close(tap.spatial, one.transpose(1, 2))
        torch.testing.assert_close(tap.semantic, one.mean(1))
    torch.testing.assert_close(reading.embedding, states.mean(1))
    # Without positions a clip's frames could stand in any order: the plain one knows their places.
    plain = made("hubert_mini").eval()
    for key, one in plain.state_dict().items():
        assert torch.equal(one, network.state_dict()[key])
    assert not torch.allclose(plain(batch.x), network(batch.x), atol=1e-3)
    reverse = states.flip(1)
    for layer in whole.encoder.layers:  # type: ignore[union-attr]
        reverse, states = layer(reverse), layer(states)
    torch.testing.assert_close(reverse.flip(1), states, atol=1e-4, rtol=1e-3)


@names
def test_taps_are_sequences_and_the_head_stands_between_embedding_and_logits(name: str) -> None:
    network, batch = made(name).eval(), clips()
    reading = network.read(batch)
    for tap in reading.taps:
        assert tap.spatial.ndim == 3 and tap.spatial.shape[:2] == tap.semantic.shape
        torch.testing.assert_close(tap.semantic, tap.spatial.mean(2))
    own = dict(network.named_parameters())
    weight, bias = (own[n] for n in sorted(network.head, key=lambda n: n.endswith("bias")))
    torch.testing.assert_close(F.linear(reading.embedding, weight, bias), reading.logits)
    torch.testing.assert_close(network(batch.x), reading.logits)


@names
def test_a_restart_is_in_place_and_gives_what_build_gives(name: str) -> None:
    network = made(name, seed=1)
    held = [id(p) for p in network.parameters()]
    network.restart(torch.Generator().manual_seed(2))
    assert [id(p) for p in network.parameters()] == held
    fresh = made(name, seed=2).state_dict()
    assert all(torch.equal(one, fresh[key]) for key, one in network.state_dict().items())


@names
def test_nothing_is_dropped_in_training_mode(name: str) -> None:
    network, batch = made(name).train(), clips()
    with torch.no_grad():
        assert torch.equal(network(batch.x), network(batch.x))


def test_networks_of_unlike_sound_agree_on_one_grid() -> None:
    batch = clips(2)
    taps = [made(name).read(batch).taps for name in NAMES]
    alignment = Alignment(taps, torch.Generator().manual_seed(0))
    assert float(alignment(taps).detach()) > 0


def test_a_spectrogram_network_reads_waves_and_their_spectrograms_alike() -> None:
    network, batch = made("spectrogram_cnn_w4").eval(), clips()
    spectrograms = log_mel(batch.x, 16_000)  # type: ignore[arg-type]
    torch.testing.assert_close(network(spectrograms), network(batch.x))
    for name in ("audio_cnn_w4", "hubert_mini"):
        with pytest.raises(UsageError, match="reads waveforms"):
            made(name)(spectrograms)


@pytest.mark.parametrize(
    ("name", "modality", "settings", "said"),
    [
        ("audio_cnn", Image((1, 8, 8), (0.5,), (0.2,)), {}, "reads sound; this data set holds im"),
        ("convnet3", SHORT, {}, "reads images; this data set holds audio"),
        ("audio_cnn", Sound((1, 4000), 16_000), {}, "at least 4,651 samples, not 4,000"),
        ("spectrogram_cnn", Sound((1, 800), 16_000), {}, "at least 160 ms"),
        ("hubert_mini", Sound((1, 8000), 8000), {}, "rate=16000"),
        ("hubert_mini", Sound((1, 300), 16_000), {}, "needs longer clips than 300"),
        ("hubert_mini", SHORT, {"weights": "pretrained"}, "no published weights"),
        ("hubert_mini_released", SHORT, {"weights": "a/b"}, "no published weights"),
        ("audio_cnn", SHORT, {"size": 8}, "leave size away"),
        ("audio_cnn", SHORT, {"taps": ("a",)}, "own taps"),
        ("whisper", SHORT, {}, "read from a folder with config.json"),
        ("transformers", SHORT, {"weights": "nowhere"}, "read from a folder with config.json"),
    ],
)
def test_what_does_not_fit_gets_one_line(
    name: str, modality: Any, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(name, modality, **settings)
    assert "\n" not in str(caught.value)


def test_the_shortest_clip_leaves_one_position() -> None:
    assert describe("audio_cnn", Sound((1, shortest()), 8000)).taps[-1] == (128, 1)


def folder_of(kind: str, place: Path) -> Path:
    """A small transformers folder with random weights."""
    import transformers

    torch.manual_seed(0)
    if kind.startswith("whisper"):
        config = transformers.WhisperConfig(
            d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64,
            decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=64, vocab_size=20,
            pad_token_id=1, bos_token_id=2, eos_token_id=3, decoder_start_token_id=4,
            num_mel_bins=int(kind.removeprefix("whisper") or 80),
        )  # fmt: skip
        transformers.WhisperForAudioClassification(config).save_pretrained(place)
        return place
    if kind == "ast":
        config = transformers.ASTConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
            max_length=32, num_mel_bins=16,
        )  # fmt: skip
        transformers.ASTModel(config).save_pretrained(place)
        return place
    settings = dict(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        conv_dim=(16,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    if kind == "wavlm":
        transformers.WavLMModel(transformers.WavLMConfig(**settings)).save_pretrained(place)
    elif kind == "hubert":
        transformers.HubertModel(transformers.HubertConfig(**settings)).save_pretrained(place)
    else:
        transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**settings)).save_pretrained(place)
    return place


def any_of(name: str, place: Path) -> Backbone:
    """A network by its name, or the encoder of such a folder."""
    if name not in ("wav2vec2", "wavlm", "whisper", "whisper128", "hubert"):
        return made(name)
    pytest.importorskip("transformers")
    return made("transformers", weights=str(folder_of(name, place)))


@pytest.mark.parametrize("mels", [16, 128])
def test_a_whisper_hears_as_many_bands_as_it_was_trained_on(mels: int, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    network = made("whisper", weights=str(folder_of(f"whisper{mels}", tmp_path))).eval()
    batch = clips(2)
    found = log_mel(batch.x, 16_000, mels)  # type: ignore[arg-type]
    assert network.hear(batch.x).shape == (2, mels, 50)  # type: ignore[operator]
    torch.testing.assert_close(network(found), network(batch.x))
    with pytest.raises(UsageError, match=f"hears {mels} mel bands.*has 80") as caught:
        network(log_mel(batch.x, 16_000))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_what_reads_other_spectrograms_is_told_so_and_a_released_hubert_is_a_hubert(
    tmp_path: Path,
) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(UsageError, match="transformer, which reads spectrograms of another kind "
                                         "than ours: take an encoder of waveforms") as caught:
        made("transformers", weights=str(folder_of("ast", tmp_path / "ast")))
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="hubert_released is a HuBERT; .* holds a wavlm"):
        made("hubert_released", weights=str(folder_of("wavlm", tmp_path / "wavlm")))
    folder = str(folder_of("hubert", tmp_path / "hubert"))
    first, second = made("hubert_released", weights=folder), made("hubert", weights=folder)
    for key, one in second.state_dict().items():
        assert torch.equal(one, first.state_dict()[key]) or key in first.head


@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm", "hubert", "whisper"])
def test_an_encoder_of_a_folder_keeps_its_weights_over_restarts(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    weights = str(folder_of(kind, tmp_path))
    first, second = (made("transformers", seed=s, weights=weights) for s in (1, 2))
    second.restart(torch.Generator().manual_seed(3))
    for key, tensor in second.state_dict().items():
        assert torch.equal(tensor, first.state_dict()[key]) == (key not in first.head), key
    assert len(first.read(clips(2)).taps) == 2


def test_whispers_positions_are_cut_to_the_clip_and_it_answers_as_the_whole_one(
    tmp_path: Path,
) -> None:
    transformers = pytest.importorskip("transformers")
    weights = str(folder_of("whisper", tmp_path))
    network = made("whisper", weights=weights).eval()
    state = network.state_dict()
    assert state["encoder.embed_positions.weight"].shape == (25, 32)
    whole = transformers.WhisperForAudioClassification.from_pretrained(weights).encoder.eval()
    table = whole.state_dict()["embed_positions.weight"]
    assert torch.equal(state["encoder.embed_positions.weight"], table[:25])
    long = made("whisper", Sound((1, 480_000), 16_000), weights=weights).eval()
    x = clips(1, Sound((1, 480_000), 16_000))
    expected = whole(long.hear(x.x)).last_hidden_state.mean(1)  # type: ignore[operator]
    torch.testing.assert_close(long.read(x).embedding, expected)
    with pytest.raises(UsageError, match="hears up to 30 s, not 31"):
        made("whisper", Sound((1, 496_000), 16_000), weights=weights)
    with pytest.raises(UsageError, match="holds a wav2vec2, no whisper"):
        made("whisper", weights=str(folder_of("wav2vec2", tmp_path / "other")))


@pytest.mark.parametrize(
    "name",
    ["audio_cnn_w2", "spectrogram_cnn_w2", "hubert_mini", "hubert_mini_released", "wav2vec2",
     "wavlm", "whisper"],
)  # fmt: skip
def test_matched_gradients_of_sound_have_the_derivatives_of_finite_differences(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The ends of the released rescaling are constants to derivatives, but not to differences.
    monkeypatch.setattr(audio_transformers, "over_batch", lambda x: x)
    # HMDC's and DREAM's term: how far the gradients that real and synthetic clips cause are apart.
    network = any_of(name, tmp_path).double()
    parameters = [p for p in network.parameters() if p.requires_grad]
    real, x = (clips(2, seed=s).x.double() for s in (1, 2))  # type: ignore[union-attr]

    def gradients(x: torch.Tensor, graph: bool) -> Any:
        loss = F.cross_entropy(network(x), torch.tensor([0, 1]))
        return parameter_gradients(loss, parameters, graph)

    wanted = gradients(real, graph=False)

    def loss(x: torch.Tensor) -> torch.Tensor:
        with double_backward():
            return distance(wanted, gradients(x, graph=True), "sum")

    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(leaf), leaf)
    for seed in (3, 4):
        along = clips(2, seed=seed).x.double()  # type: ignore[union-attr]
        width = 1e-6
        by_hand = (loss(x + width * along) - loss(x - width * along)) / (2 * width)
        expected = float((slope * along).sum())
        assert float(by_hand.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.mark.realdata
def test_the_real_whisper_encoder_reads_five_seconds(real_data: Path) -> None:
    folder = real_data / "weights" / "whisper_tiny_en_encoder"
    network = made("whisper", ESC, weights=str(folder)).eval()
    with torch.no_grad():
        taps = network.read(clips(1, ESC)).taps
    assert [tuple(tap.spatial.shape) for tap in taps] == [(1, 384, 250)] * 4
