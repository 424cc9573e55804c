"""The synthetic set: a class's own slice, steps in normalised units, one way out."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from condensery.core.synthetic import SyntheticSet
from condensery.modality import Image, Pixels
from condensery.world import Solo, World
from core.made import generator, normal, problem
from worlds import together

MODALITY = Image((3, 4, 6), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
COUNTS = (2, 0, 3, 1)  # one class has none


def made(
    codec: Pixels | None = None,
    counts: tuple[int, ...] = COUNTS,
    low: float = 0.0,
    high: float = 1.0,
    modality: Image = MODALITY,
) -> SyntheticSet:
    """Noise pixels between ``low`` and ``high``, ``counts[label]`` stored samples of each class."""
    codec = codec or Pixels(2)
    pixels = low + (high - low) * torch.rand(sum(counts), *modality.shape, generator=generator())
    leaf = pixels if codec.space == "pixel" else modality.from_pixels(pixels)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    names = tuple(f"class {label}" for label in range(len(counts)))
    return SyntheticSet({"pixels": leaf}, labels, modality, codec, names, {"method": "test"})


def optimiser(synthetic: SyntheticSet, lr: float = 0.1, **more: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(list(synthetic.stored.values()), lr=lr, **more)


def gradient(synthetic: SyntheticSet, label: int, seed: int = 0) -> dict[str, Tensor]:
    part = synthetic.of(label)["pixels"]
    return {"pixels": normal(*part.shape, seed=seed + label)}


# Classes lie one after the other, as many samples in each as there are.


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any))
def test_each_class_has_its_own_slice_however_many_it_holds(counts: list[int]) -> None:
    synthetic = made(counts=tuple(counts))
    place = 0
    for label, count in enumerate(counts):
        assert synthetic.where(label) == slice(place, place + count)
        own = synthetic.of(label)["pixels"]
        assert torch.equal(own, synthetic.stored["pixels"][place : place + count])
        assert own.numel() == 0 or own.data_ptr() == synthetic.stored["pixels"][place].data_ptr()
        place += count
    assert len(synthetic) == sum(counts) and synthetic.classes == len(counts)
    assert synthetic.per_class == pytest.approx(sum(counts) / len(counts))


def test_labels_that_do_not_ascend_or_do_not_fit_are_refused() -> None:
    good = made()
    for labels, said in (
        (good.labels.flip(0), "labels must ascend"),
        (good.labels[:-1], "differ in length"),
    ):
        with pytest.raises(ValueError, match=said):
            SyntheticSet(good.stored, labels, MODALITY, good.codec, good.label_names)


def test_decoding_goes_class_by_class_and_labels_every_part() -> None:
    synthetic = made()
    batch = synthetic.decode()
    assert batch.y.tolist() == [0] * 8 + [2] * 12 + [3] * 4
    assert isinstance(batch.x, Tensor) and not batch.x.requires_grad
    expected = [synthetic.codec.decode(synthetic.of(label), MODALITY) for label in (0, 2, 3)]
    assert torch.equal(batch.x, torch.cat(expected))
    shown = synthetic.as_stored()
    torch.testing.assert_close(shown, MODALITY.from_pixels(synthetic.stored["pixels"]))


# Gradients.


def test_a_pull_touches_the_slice_of_its_class_only_and_adds_up() -> None:
    synthetic = made()
    for label in (2, 0):
        synthetic.pull(label, gradient(synthetic, label))
    synthetic.pull(2, gradient(synthetic, 2, seed=5))
    found = synthetic.stored["pixels"].grad
    assert found is not None
    assert torch.equal(found[synthetic.where(0)], gradient(synthetic, 0)["pixels"])
    both = gradient(synthetic, 2)["pixels"] + gradient(synthetic, 2, seed=5)["pixels"]
    torch.testing.assert_close(found[synthetic.where(2)], both)
    assert not found[synthetic.where(3)].any()


def test_the_leaves_of_a_class_are_copies_that_take_a_gradient() -> None:
    synthetic = made()
    leaves = synthetic.leaves(2)
    assert leaves["pixels"].requires_grad and leaves["pixels"].is_leaf
    synthetic.codec.decode(leaves, MODALITY).square().sum().backward()
    assert leaves["pixels"].grad is not None and synthetic.stored["pixels"].grad is None
    with torch.no_grad():
        leaves["pixels"].zero_()
    assert synthetic.of(2)["pixels"].any()


def test_normalising_divides_each_image_plane_by_its_largest_entry() -> None:
    synthetic = made(Pixels(2, space="normalised", clamp=False))
    before = synthetic.stored["pixels"].clone()
    pulled = {label: gradient(synthetic, label) for label in (0, 2)}
    pulled[0]["pixels"][1, 2] = 0
    for label, one in pulled.items():
        synthetic.pull(label, {"pixels": one["pixels"] * 10.0 ** (3 * label - 2)})
    synthetic.descend(optimiser(synthetic, lr=1.0), normalise=True)
    moved = (synthetic.stored["pixels"] - before).abs().amax((2, 3))
    still = torch.zeros_like(moved, dtype=torch.bool)
    still[1, 2] = still[synthetic.where(3)] = True
    assert not moved[still].any(), "a plane without a gradient stays as it is"
    assert bool(((moved[~still] > 1 - 1e-3) & (moved[~still] <= 1 + 1e-6)).all())
    assert synthetic.stored["pixels"].grad is None, "the gradient is cleared"


@pytest.mark.parametrize("space", ["pixel", "normalised"])
@pytest.mark.parametrize("factor", [1, 2])
def test_the_first_step_moves_no_pixel_by_more_than_the_rate_in_normalised_units(
    space: Any, factor: int
) -> None:
    synthetic = made(Pixels(factor, space=space), low=0.4, high=0.6)
    before = synthetic.as_stored()
    for label in (0, 2, 3):
        synthetic.pull(label, {"pixels": 1000 * gradient(synthetic, label)["pixels"]})
    synthetic.descend(optimiser(synthetic, lr=0.05, momentum=0.5), normalise=True)
    moved = (synthetic.as_stored() - before).abs().amax((2, 3))
    assert float(moved.max()) <= 0.05 + 1e-6
    assert float(moved.min()) > 0.05 * (1 - 1e-3), "and each image plane by just the rate"


def descended(codec: Pixels, normalise: bool, steps: int = 4) -> Tensor:
    """Where a loss on decoded samples leads, as pixels."""
    synthetic = made(codec, low=0.4, high=0.6)
    target = synthetic.decode().x
    assert isinstance(target, Tensor)
    moving = optimiser(synthetic, lr=0.02, momentum=0.5)
    for step in range(steps):
        for label in (0, 2, 3):
            leaves = synthetic.leaves(label)
            samples = codec.decode(leaves, MODALITY)
            loss = (samples * normal(*samples.shape, seed=step + label)).square().sum()
            synthetic.pull(label, {"pixels": torch.autograd.grad(loss, leaves["pixels"])[0]})
        synthetic.descend(moving, normalise)
    return MODALITY.to_pixels(synthetic.as_stored())


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("factor", [1, 2])
def test_a_step_means_the_same_whether_pixels_or_normalised_values_are_stored(
    normalise: bool, factor: int
) -> None:
    start = MODALITY.to_pixels(made(Pixels(factor), low=0.4, high=0.6).as_stored())
    pixel, normalised = (
        descended(Pixels(factor, space=space), normalise)  # type: ignore[arg-type]
        for space in ("pixel", "normalised")
    )
    assert float(pixel.min()) > 0 and float(pixel.max()) < 1, "away from the clamp"
    assert float((pixel - start).abs().max()) > 0.005
    torch.testing.assert_close(pixel, normalised, atol=1e-5, rtol=0)


@pytest.mark.parametrize("space", ["pixel", "normalised"])
def test_pixels_are_in_range_after_every_step_and_leaves_stay_the_optimisers_own(
    space: Any,
) -> None:
    synthetic = made(Pixels(2, space=space))
    moving, leaf = optimiser(synthetic, lr=3.0, momentum=0.9), synthetic.stored["pixels"]
    for step in range(5):
        for label in (0, 2, 3):
            synthetic.pull(label, gradient(synthetic, label, seed=10 * step))
        synthetic.descend(moving, normalise=True)
        pixels = MODALITY.to_pixels(synthetic.as_stored())
        assert float(pixels.min()) >= -1e-6 and float(pixels.max()) <= 1 + 1e-6
        assert synthetic.stored["pixels"] is leaf is moving.param_groups[0]["params"][0]
    assert float(pixels.min()) < 1e-6 and float(pixels.max()) > 1 - 1e-6, "the clamp was needed"


def test_a_set_without_a_gradient_stays_as_it_is() -> None:
    synthetic = made()
    before = synthetic.stored["pixels"].clone()
    synthetic.descend(optimiser(synthetic), normalise=True)
    assert torch.equal(synthetic.stored["pixels"], before)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_workers_that_share_classes_move_the_set_as_one_worker_does(size: int) -> None:
    def work(world: World) -> Tensor:
        synthetic = made(counts=(1, 2, 1, 1))
        moving = optimiser(synthetic, lr=0.05, momentum=0.5)
        for step in range(3):
            for label in world.share(range(4)):
                synthetic.pull(label, gradient(synthetic, label, seed=10 * step))
            synthetic.gather(world.sum)
            synthetic.descend(moving, normalise=True)
        return synthetic.stored["pixels"]

    alone = work(Solo())
    for one in together(size, work):  # with five workers one has nothing to do
        assert torch.equal(one, alone)


# Copies, and the way out.


@pytest.mark.parametrize("copy", [SyntheticSet.clone, SyntheticSet.quantised,
                                  lambda one: one.to("cpu")])  # fmt: skip
def test_a_copy_shares_no_memory(copy: Callable[[SyntheticSet], SyntheticSet]) -> None:
    synthetic = made()
    synthetic.stored["pixels"].requires_grad_()
    before = synthetic.stored["pixels"].detach().clone()
    other = copy(synthetic)
    assert not other.stored["pixels"].requires_grad
    with torch.no_grad():
        other.stored["pixels"].fill_(0.25)
        other.labels.zero_()
    other.about["method"] = "changed"
    assert torch.equal(synthetic.stored["pixels"], before)
    assert synthetic.labels.tolist() == [0, 0, 2, 2, 2, 3]
    assert synthetic.about == {"method": "test"}


@pytest.mark.parametrize("space", ["pixel", "normalised"])
def test_the_data_set_that_others_train_on_is_the_set_as_it_is_exported(space: Any) -> None:
    synthetic = made(Pixels(2, space=space))
    x, y = synthetic.as_dataset().tensors
    exported = synthetic.quantised().decode()
    assert torch.equal(x, exported.x) and torch.equal(y, exported.y)  # type: ignore[arg-type]
    assert not torch.equal(x, synthetic.decode().x)  # type: ignore[arg-type]
    pixels = MODALITY.to_pixels(synthetic.quantised().as_stored()) * 255
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    listed = list(synthetic)
    assert len(listed) == 4 * len(synthetic)
    assert torch.equal(listed[5][0], x[5]) and int(listed[5][1]) == int(y[5])


@pytest.mark.parametrize(("classes", "label"), [(4, 1), (256, 1), (257, 2)])
def test_bytes_are_those_of_uint8_pixels_and_labels(classes: int, label: int) -> None:
    synthetic = made(counts=(2,) * classes)
    assert synthetic.nbytes() == 2 * classes * (3 * 4 * 6 + label)


def test_a_set_says_what_it_is() -> None:
    told = repr(made())
    for part in ("test", "6 stored", "24 samples", "4 classes", "438 bytes"):
        assert part in told


def test_a_notebook_shows_the_stored_samples_themselves() -> None:
    synthetic = made(low=0.2, high=0.9)
    shown = synthetic._repr_html_()
    assert "6 stored" in shown and "<script" not in shown
    code = re.search(r"data:image/png;base64,([^\"]+)", shown)
    assert code is not None
    picture = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(code[1]))))
    height, width = (side * round(64 / 6) for side in (4, 6))  # small ones are enlarged
    first = picture[2 : 2 + height, 2 : 2 + width].astype(int)
    expected = (synthetic.stored["pixels"][0] * 255).round().int().permute(1, 2, 0)
    times = round(64 / 6)
    assert np.abs(first[::times, ::times] - expected.numpy()).max() <= 1


def test_names_of_classes_cannot_break_out_of_a_notebook() -> None:
    synthetic = made()
    synthetic.about["method"] = "<script>"
    assert "<script>" not in synthetic._repr_html_()


def test_the_hugging_face_data_set_holds_the_decoded_pictures_and_class_names() -> None:
    synthetic = made(low=0.2, high=0.9)
    found = synthetic.as_hf_dataset()
    plain = synthetic.as_dataset()
    assert len(found) == len(plain) == 24
    assert found.features["label"].names == list(synthetic.label_names)
    for row, (x, label) in zip(found, plain, strict=True):
        pixels = torch.from_numpy(np.array(row["image"])).permute(2, 0, 1) / 255
        assert row["label"] == int(label)
        torch.testing.assert_close(pixels, MODALITY.to_pixels(x[None])[0], atol=0.51 / 255, rtol=0)


def test_the_unnormalised_step_is_plain_gradient_descent_in_normalised_units() -> None:
    data = problem(counts=(2, 2))
    assert isinstance(data.modality, Image)
    synthetic = made(Pixels(1), counts=(1, 1), low=0.4, high=0.6, modality=data.modality)
    before, pulled = synthetic.as_stored(), gradient(synthetic, 0)["pixels"]
    synthetic.pull(0, {"pixels": pulled})
    synthetic.descend(optimiser(synthetic, lr=1e-3))
    # d loss / d normalised = d loss / d pixel * std
    expected = before[:1] - 1e-3 * pulled * data.modality.std[0]
    torch.testing.assert_close(synthetic.as_stored()[:1], expected, atol=1e-6, rtol=0)


def test_without_converting_the_rate_is_in_the_units_of_what_is_stored() -> None:
    synthetic = made(Pixels(1), low=0.4, high=0.6)
    before, pulled = synthetic.stored["pixels"].clone(), gradient(synthetic, 2)["pixels"]
    synthetic.pull(2, {"pixels": pulled})
    synthetic.descend(optimiser(synthetic, lr=1e-3), convert=False)
    expected = before[synthetic.where(2)] - 1e-3 * pulled
    torch.testing.assert_close(synthetic.of(2)["pixels"], expected)
