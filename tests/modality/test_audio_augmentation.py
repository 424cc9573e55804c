"""What each alteration of sound does, to waves and to spectrograms, and that draws repeat."""

from __future__ import annotations

import math

import pytest
import torch

from condensery.errors import UsageError
from condensery.modality import Image, Sound, SoundAugmentation
from condensery.modality.audio_augmentation import SOUND, SoundDraw
from condensery.modality.spectrum import log_mel

WAVES = torch.randn(3, 1, 400, generator=torch.Generator().manual_seed(0))
SPECTROGRAMS = torch.randn(3, 1, 20, 40, generator=torch.Generator().manual_seed(1))
both = pytest.mark.parametrize("x", [WAVES, SPECTROGRAMS], ids=["waves", "spectrograms"])


def drawn(made: SoundAugmentation, count: int, seed: int = 0, shared: bool = False) -> SoundDraw:
    return made.draw(torch.Generator().manual_seed(seed), count, shared)


@both
@pytest.mark.parametrize("name", SOUND)
def test_one_shared_draw_alters_batches_of_any_size_alike(name: str, x: torch.Tensor) -> None:
    made = SoundAugmentation((name,))
    draw = drawn(made, 1, shared=True)
    altered = made.apply(draw, x)
    torch.testing.assert_close(made.apply(draw, x[:2]), altered[:2])
    torch.testing.assert_close(made.apply(draw, x[1:2]), altered[1:2])


@pytest.mark.parametrize("name", SOUND)
def test_every_operation_alters_and_leaves_shape_and_generators_alone(name: str) -> None:
    before, made = torch.get_rng_state(), SoundAugmentation((name,))
    altered = made.apply(drawn(made, 3, seed=1), WAVES)
    assert altered.shape == WAVES.shape and not torch.equal(altered, WAVES)
    assert torch.equal(torch.get_rng_state(), before)
    again = made.apply(drawn(made, 3, seed=1), WAVES)
    assert torch.equal(altered, again)


def test_samples_have_draws_of_their_own_unless_shared() -> None:
    x, made = WAVES[:1].repeat(3, 1, 1), SoundAugmentation(("gain",))
    altered = made.apply(drawn(made, 3), x)
    assert not torch.allclose(altered[0], altered[1])
    shared = made.apply(drawn(made, 3, shared=True), x)
    assert torch.equal(shared[0], shared[1])


def test_a_shift_goes_round_and_loses_nothing() -> None:
    made = SoundAugmentation(("shift",))
    draw = drawn(made, 3)
    for row, altered in enumerate(made.apply(draw, WAVES)):
        by = int(draw.shift[row] * 400)
        assert torch.equal(altered, torch.cat([WAVES[row, :, -by:], WAVES[row, :, :-by]], 1))


def test_a_gain_keeps_its_decibels_and_means_the_same_to_waves_and_spectrograms() -> None:
    made = SoundAugmentation(("gain",), decibels=6.0)
    draw = drawn(made, 200)
    decibels = 20 * draw.gain.log10()
    assert float(decibels.abs().max()) <= 6 and float(decibels.max()) > 5 > -5 > decibels.min()
    waves = torch.randn(200, 1, 800, generator=torch.Generator().manual_seed(0))
    by_wave = log_mel(made.apply(draw, waves), 8000, 10)
    torch.testing.assert_close(made.apply(draw, log_mel(waves, 8000, 10)), by_wave)


def test_noise_is_as_loud_as_it_is_drawn() -> None:
    made = SoundAugmentation(("noise",), loudest_noise=0.5)
    draw = drawn(made, 3)
    added = made.apply(draw, torch.zeros(3, 1, 20_000))
    torch.testing.assert_close(added.square().mean((1, 2)).sqrt(), draw.noise, rtol=0.05, atol=0)
    assert float(draw.noise.max()) <= 0.5


def test_a_time_mask_is_one_silent_stretch_no_wider_than_is_said() -> None:
    made = SoundAugmentation(("time_mask",), mask=0.25)
    draw = drawn(made, 3)
    silent = made.apply(draw, torch.ones(3, 1, 400))[:, 0] == 0
    for row in silent:
        places = row.nonzero()[:, 0]
        assert len(places) <= 101
        assert not len(places) or int(places[-1] - places[0]) == len(places) - 1


def test_a_frequency_mask_takes_a_band_and_nothing_else() -> None:
    made = SoundAugmentation(("frequency_mask",), mask=0.5)
    draw = drawn(made, 3)
    before, after = torch.fft.rfft(WAVES), torch.fft.rfft(made.apply(draw, WAVES))
    gone = after.abs() < 1e-3 * before.abs().mean()
    assert 0 < int(gone.sum()) <= 0.5 * gone.numel() + 3
    torch.testing.assert_close(after[~gone], before[~gone], atol=1e-3, rtol=1e-3)


def test_spectrograms_are_masked_with_their_mean() -> None:
    made = SoundAugmentation(("time_mask", "frequency_mask"), mask=0.5)
    altered = made.apply(drawn(made, 3), SPECTROGRAMS)
    changed = altered != SPECTROGRAMS
    means = SPECTROGRAMS.mean((1, 2, 3))
    assert bool(changed.any())
    for row in range(3):
        frames = changed[row, 0].all(0)
        torch.testing.assert_close(
            altered[row, 0][:, frames], means[row].expand(20, int(frames.sum())), atol=0.5, rtol=0
        )


@both
def test_spectrograms_know_neither_polarity_nor_noise(x: torch.Tensor) -> None:
    made = SoundAugmentation(("polarity", "noise"))
    assert torch.equal(made.apply(drawn(made, 3), x), x) == (x.ndim == 4)


def test_polarity_turns_about_half_of_the_clips() -> None:
    made = SoundAugmentation(("polarity",))
    turned = made.apply(drawn(made, 1000), torch.ones(1000, 1, 2)).mean((1, 2))
    assert set(turned.tolist()) == {-1.0, 1.0} and abs(float(turned.mean())) < 0.1


def test_one_of_the_named_acts_at_a_time_where_that_is_asked_for() -> None:
    made = Sound((1, 400), 8000).augmentation(("shift", "gain", "crop"), choose="one")
    applied = [drawn(made, 1, seed).applied for seed in range(30)]
    assert set(applied) == {("shift",), ("gain",)}
    assert drawn(SoundAugmentation(("gain", "shift")), 1).applied == ("shift", "gain")


def test_operations_of_other_kinds_of_data_are_left_out_and_unknown_ones_refused() -> None:
    sound = Sound((1, 400), 8000)
    picture = Image((1, 4, 4), (0.5,), (0.2,))
    everything = ("flip", "shift", "crop", "gain")
    assert sound.augmentation(everything).operations == ("shift", "gain")
    assert picture.augmentation(everything).operations == ("flip", "crop")
    for modality in (sound, picture):
        with pytest.raises(UsageError, match="unknown operation 'blur'; known: "):
            modality.augmentation(("blur",))


@both
def test_alterations_are_differentiable(x: torch.Tensor) -> None:
    x = x.double().requires_grad_()
    made = SoundAugmentation(("shift", "gain", "noise", "frequency_mask"))
    altered = made.apply(drawn(made, 3), x)
    (gradient,) = torch.autograd.grad(altered.square().sum(), x)
    assert math.isfinite(float(gradient.sum())) and bool(gradient.any())


def test_a_record_of_another_batch_is_refused() -> None:
    made = SoundAugmentation(("gain",))
    with pytest.raises(ValueError, match="cannot be applied to 3"):
        made.apply(drawn(made, 2), WAVES)
