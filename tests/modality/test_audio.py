"""Sound: one loudness for each clip by itself, waves of 16 bits, spectrograms, parts of a clip."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from condensery.core.synthetic import SyntheticSet
from condensery.errors import UsageError
from condensery.modality import LogMel, Sound, Wave, codec_from, modality_from
from condensery.modality.audio import level
from condensery.modality.spectrum import FLOOR, log_mel

SOUND = Sound((1, 800), 8000)
CODECS = [Wave(), Wave(4), LogMel(mels=20), LogMel(2, mels=20)]
codecs = pytest.mark.parametrize("codec", CODECS, ids=str)


def clips(count: int, seed: int = 0, channels: int = 1, samples: int = 800) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return level(torch.randn(count, channels, samples, generator=generator))


def test_a_clip_is_normalised_by_itself_whatever_stands_beside_it() -> None:
    raw = torch.randint(-(2**12), 2**12, (5, 1, 800), dtype=torch.int16)
    together = SOUND.normalise(raw)
    for row in range(5):
        assert torch.equal(SOUND.normalise(raw[row : row + 1])[0], together[row])
    assert torch.allclose(together.mean(-1), torch.zeros(5, 1), atol=1e-6)
    assert torch.allclose(together.square().mean((1, 2)), torch.ones(5), atol=1e-5)


def test_one_clip_alone_is_not_mapped_to_zeros_and_its_loudness_does_not_matter() -> None:
    raw = torch.randint(-1000, 1000, (1, 1, 800), dtype=torch.int16)
    assert float(SOUND.normalise(raw).abs().max()) > 1
    torch.testing.assert_close(SOUND.normalise(raw * 4), SOUND.normalise(raw))


def test_silence_stays_silence() -> None:
    assert not SOUND.normalise(torch.full((2, 1, 800), 7, dtype=torch.int16)).any()


@pytest.mark.parametrize(("shape", "rate"), [((1, 8, 8), 8000), ((0, 8), 8000), ((1, 0), 8000)])
def test_a_shape_that_is_no_clip_is_refused(shape: tuple[int, ...], rate: int) -> None:
    with pytest.raises(ValueError, match="channels, samples"):
        Sound(shape, rate)


def test_a_rate_or_form_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="from 1000"):
        Sound((1, 80), 44)
    with pytest.raises(UsageError, match="known: wave, logmel"):
        Sound((1, 80), 8000, "mp3")  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_clips_of_one_pitch_lie_nearer_than_those_of_another_whatever_the_shift(rate: int) -> None:
    sound = Sound((1, rate), rate)
    time = torch.arange(2 * rate) / rate
    tones = {pitch: torch.sin(2 * torch.pi * pitch * time) * (time % 0.5 < 0.2)
             for pitch in (440.0, 660.0)}  # fmt: skip
    shifts = [0, 37, rate // 4, rate // 3, rate - 1]
    cut = torch.stack([tones[p][by : by + rate] for p in tones for by in shifts])[:, None]
    x = level(cut)
    features = sound.features(x)
    assert features.shape == (10, 160) and features.isfinite().all()
    apart = torch.cdist(features, features)
    own = torch.arange(10) // 5
    alike = own[:, None] == own[None]
    assert apart[alike].max() < 0.5 * apart[~alike].min()
    raw = torch.cdist(x.flatten(1), x.flatten(1))
    assert raw[alike].max() > raw[~alike].min(), "waveforms do not tell the pitches apart"


def test_spectrograms_have_the_features_of_their_clips_and_short_clips_their_own() -> None:
    x = clips(70)
    assert torch.equal(SOUND.features(log_mel(x, 8000)), SOUND.features(x))
    assert torch.equal(SOUND.features(x[64:]), SOUND.features(x)[64:])
    for samples in (1, 80, 100, 101, 120):
        short = clips(2, samples=samples)
        found = Sound((1, samples), 8000).features(short)
        assert found.isfinite().all() and (samples > 100 or torch.equal(found, short.flatten(1)))
    assert SOUND.compared(x).shape == (70, 800), "whether two clips are one, their samples say"


def test_spectrograms_and_the_clips_beside_them_are_altered_alike() -> None:
    every = SOUND.augmentation(("noise", "shift", "polarity", "gain", "flip"))
    assert every.operations == ("noise", "shift", "polarity", "gain")
    logmel = Sound((1, 800), 8000, "logmel").augmentation(every.operations, choose="one")
    assert logmel.operations == ("shift", "gain") and logmel.choose == "one"
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert logmel.draw(generator, 2, shared=True).applied[0] in ("shift", "gain")


def test_modality_and_codecs_survive_plain_values() -> None:
    assert modality_from(SOUND.to_dict()) == SOUND
    assert all(codec_from(codec.to_dict()) == codec for codec in CODECS)


def test_the_form_of_the_data_says_how_sets_are_stored() -> None:
    assert SOUND.codec() == Wave() and SOUND.codec(4, clamp=True) == Wave(4)
    assert Sound((1, 800), 8000, "logmel").codec(2) == LogMel(2)


def test_whole_clips_are_stored_as_they_are() -> None:
    x = clips(3)
    stored = Wave().encode(x, SOUND)
    assert torch.equal(stored["wave"], x) and stored["wave"] is not x
    assert torch.equal(Wave().decode(stored, SOUND), x)


def test_a_part_is_the_loudest_stretch_of_its_clip_repeated_to_full_length() -> None:
    x = 0.01 * clips(4)
    for row in range(4):
        x[row, 0, 100 * row + 200 : 100 * row + 400] *= 100
    codec = Wave(4)
    stored = codec.encode(level(x), SOUND)
    assert stored["wave"].shape == (1, 1, 800)
    decoded = codec.decode(stored, SOUND)
    assert decoded.shape == (4, 1, 800)
    for row in range(4):
        expected = level(x[row, :, 100 * row + 200 : 100 * row + 400][None])[0]
        for place in range(0, 800, 200):
            torch.testing.assert_close(decoded[row, :, place : place + 200], expected)


@codecs
def test_decoding_is_block_major_and_a_sample_depends_on_its_own_part_only(codec: Wave) -> None:
    real = clips(3 * codec.holds)
    stored = codec.encode(real, SOUND)
    (name, leaf), parts = next(iter(stored.items())), codec.parts
    leaf.requires_grad_()
    decoded = codec.decode(stored, SOUND)
    assert len(decoded) == 3 * codec.multiplies and len(leaf) == 3
    length = leaf.shape[-1] // parts
    for index in (0, len(decoded) - 1):
        (gradient,) = torch.autograd.grad(decoded[index].sum(), leaf, retain_graph=True)
        part, row = divmod(index, 3)
        expected = torch.zeros_like(leaf)
        expected[row, ..., part * length : (part + 1) * length] = parts
        assert torch.equal(gradient, expected), name


@codecs
def test_what_is_exported_is_a_fixed_point(codec: Wave) -> None:
    noise = codec.noise(2, SOUND, torch.Generator().manual_seed(1))
    once = codec.quantise(noise, SOUND)
    again = codec.quantise(once, SOUND)
    assert all(torch.equal(once[name], again[name]) for name in noise)
    for name, leaf in noise.items():
        assert torch.allclose(once[name], leaf, atol=codec_step(codec), rtol=1e-3)
    projected = {name: leaf.clone() for name, leaf in once.items()}
    codec.project_(projected, SOUND)
    assert all(torch.equal(projected[name], once[name]) for name in once)


def codec_step(codec: Wave) -> float:
    return codec.limit / 2**15 if isinstance(codec, Wave) else 1e-3


def test_a_wave_beyond_its_limit_comes_back_the_same_object() -> None:
    leaf = torch.tensor([[[-500.0, 3.0, 500.0]]])
    Wave().project_({"wave": leaf}, SOUND)
    assert leaf.tolist() == [[[-128.0, 3.0, 128.0]]]


@pytest.mark.parametrize(
    ("codec", "each"), [(Wave(), 160_000), (Wave(5), 160_000), (LogMel(), 80_000)], ids=str
)
def test_five_seconds_take_the_bytes_that_are_said(codec: Wave, each: int) -> None:
    sound = Sound((1, 80_000), 16_000)
    noise = codec.noise(2, sound, torch.Generator().manual_seed(0))
    assert codec.nbytes(noise, sound) == 2 * each
    labels = torch.arange(2)
    assert SyntheticSet(noise, labels, sound, codec, ("a", "b")).nbytes() == 2 * each + 2


def test_parts_that_do_not_fill_or_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="3 equal parts"):
        Wave(3).encode(clips(3), SOUND)
    with pytest.raises(ValueError, match="do not fill"):
        Wave(4).encode(clips(3), SOUND)
    with pytest.raises(UsageError, match="from 1"):
        Wave(0)


def test_a_spectrogram_set_is_the_analysis_of_its_clips() -> None:
    x = clips(2)
    codec = LogMel(mels=20)
    decoded = codec.decode(codec.encode(x, SOUND), SOUND)
    assert decoded.shape == (2, 1, 20, 10)
    assert torch.equal(decoded, log_mel(x, 8000, 20)) and float(decoded.min()) >= FLOOR


def test_a_preview_is_a_wav_of_all_clips_and_a_picture(tmp_path: Path) -> None:
    path = SOUND.preview(clips(3), tmp_path / "previews" / "000001", 2)
    assert path.suffix == ".wav"
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.getnframes() == 3 * (800 + 2000)  # a quarter of a second after each
        played = np.frombuffer(file.readframes(800), "<i2")
    assert 0.85 * 2**15 < abs(played.astype(int)).max() < 0.95 * 2**15
    with Image.open(path.with_suffix(".png")) as picture:
        assert picture.size == (2 * (10 + 4), 2 * (80 + 4))


def test_spectrograms_have_a_picture_and_no_sound(tmp_path: Path) -> None:
    path = SOUND.preview(torch.zeros(2, 1, 20, 10), tmp_path / "a", 2)
    assert path.suffix == ".png" and [one.name for one in tmp_path.iterdir()] == ["a.png"]


def test_a_notebook_plays_each_clip() -> None:
    told = SOUND.html(clips(3), 3)
    assert told.count("<audio controls") == 3 and "<img" in told
    assert "<audio" not in SOUND.html(torch.zeros(2, 1, 20, 10), 2)


def test_the_hub_gets_files_that_can_be_read() -> None:
    import soundfile

    name, values, feature = SOUND.hub_column(clips(2))
    assert name == "audio" and set(feature) == {"bytes", "path"}
    found, rate = soundfile.read(io.BytesIO(values[1]["bytes"]))
    assert rate == 8000 and found.shape == (800,)


def test_sets_of_sound_become_a_hugging_face_data_set() -> None:
    noise = Wave().noise(2, SOUND, torch.Generator().manual_seed(0))
    made = SyntheticSet(noise, torch.arange(2), SOUND, Wave(), ("a", "b"))
    table = made.as_hf_dataset()
    assert table.column_names == ["audio", "label"] and len(table) == 2
    assert len(made.as_dataset()) == 2 and "<audio" in made._repr_html_()


def test_a_clip_is_stored_in_the_same_bytes_by_any_number_of_threads() -> None:
    clips = torch.randn(40, 1, 80_000, generator=torch.Generator().manual_seed(0)) + 0.1
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append([level(one[None]) for one in clips])
    finally:
        torch.set_num_threads(before)
    for one, two, three in zip(*found, strict=True):
        assert torch.equal(one, two) and torch.equal(one, three)
