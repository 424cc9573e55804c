"""Augmentation: one record, one transform; black is the data's mean; formulas by hand."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.modality import ImageAugmentation
from condensery.modality.image_augmentation import (
    GEOMETRIC,
    OPERATIONS,
    ImageDraw,
    cutmix,
    shift,
)
from condensery.types import Batch
from core.made import generator, normal, problem


def record(*applied: str, rows: int = 1, **values: Any) -> ImageDraw:
    """A record with these operations, each of which really does something."""
    given = {
        "flip": [True] * rows,
        "color": [[0.9, 0.2, 0.8]] * rows,
        "crop": [[0.95, 0.1]] * rows,
        "scale": [[1.2, 0.9]] * rows,
        "rotate": [0.2] * rows,
        "cutout": [[0.5, 0.4]] * rows,
    } | values
    return ImageDraw(applied, **{name: torch.tensor(value) for name, value in given.items()})


# One and the same transform.


@pytest.mark.parametrize("choose", ["geometric", "one"])
@pytest.mark.parametrize("seed", range(4))
def test_one_seed_is_one_transform_for_batches_of_three_and_of_five(choose: Any, seed: int) -> None:
    augmentation = ImageAugmentation(choose=choose)
    five = normal(5, 3, 9, 12)
    made = {
        count: augmentation.apply(
            augmentation.draw(generator(seed), count, shared=True), five[:count]
        )
        for count in (3, 5)
    }
    torch.testing.assert_close(made[5][:3], made[3], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_alters_its_input(name: str) -> None:
    x = normal(2, 3, 9, 12)
    altered = ImageAugmentation().apply(record(name), x)
    assert altered.shape == x.shape
    assert not torch.equal(altered[0], x[0]) and not torch.equal(altered[1], x[1])


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_shared_record_equals_the_same_parameters_for_each_sample(name: str) -> None:
    x, augmentation = normal(3, 2, 8, 10), ImageAugmentation()
    shared, each = augmentation.apply(record(name), x), augmentation.apply(record(name, rows=3), x)
    torch.testing.assert_close(shared, each, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_sample_does_not_depend_on_those_beside_it(name: str) -> None:
    augmentation = ImageAugmentation((name,), choose="one")
    x = normal(6, 3, 8, 8)
    draw = augmentation.draw(generator(3), 6)
    whole = augmentation.apply(draw, x)
    for row in range(6):
        one = ImageDraw(draw.applied, *(part[row : row + 1] for part in draw[1:]))
        alone = augmentation.apply(one, x[row : row + 1])
        torch.testing.assert_close(whole[row : row + 1], alone, atol=1e-6, rtol=0)


def test_without_sharing_every_sample_has_parameters_of_its_own() -> None:
    draw = ImageAugmentation().draw(generator(), 50)
    for part in (draw.color, draw.crop, draw.scale, draw.rotate, draw.cutout):
        assert len(torch.unique(part, dim=0)) == 50
    assert 10 < int(draw.flip.sum()) < 40


def test_drawing_applying_and_mixing_leave_the_global_generators_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    for choose in ("geometric", "one"):
        augmentation = ImageAugmentation(choose=choose)  # type: ignore[arg-type]
        for seed in range(10):
            x = augmentation.apply(augmentation.draw(generator(seed), 4), normal(4, 3, 8, 8))
            augmentation.mix(generator(seed), Batch(x, torch.arange(4)), 4)
    after = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


# Which operations act.


def test_of_crop_scale_and_rotate_exactly_one_acts_and_the_others_always_in_order() -> None:
    augmentation, seen = ImageAugmentation(), set()
    for seed in range(30):
        applied = augmentation.draw(generator(seed), 2).applied
        assert (*applied[:2], *applied[3:]) == ("flip", "color", "cutout")
        seen.add(applied[2])
    assert seen == set(GEOMETRIC)


def test_dsa_applies_exactly_one_of_all() -> None:
    augmentation = ImageAugmentation(choose="one")
    drawn = [augmentation.draw(generator(seed), 2).applied for seed in range(60)]
    assert {len(applied) for applied in drawn} == {1}
    assert {applied[0] for applied in drawn} == set(OPERATIONS)


def test_no_operation_alters_nothing() -> None:
    augmentation, x = ImageAugmentation(()), normal(2, 1, 4, 4)
    assert torch.equal(augmentation.apply(augmentation.draw(generator(), 2), x), x)


def test_flip_is_left_out_where_a_mirrored_image_is_of_another_class() -> None:
    digits, animals = problem(mirror=False).modality, problem(mirror=True).modality
    assert ImageAugmentation().fitted(digits) == ImageAugmentation(OPERATIONS[1:])
    assert ImageAugmentation().fitted(animals) == ImageAugmentation()
    left = ImageAugmentation(brightness=0.3).without("cutout", "flip")
    assert left == ImageAugmentation(("color", "crop", "scale", "rotate"), brightness=0.3)


def test_a_wrong_operation_or_a_record_of_other_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown operation 'blur'; known: flip, color"):
        ImageAugmentation(("flip", "blur"))
    with pytest.raises(ValueError, match="record of 3 samples cannot be applied to 2"):
        ImageAugmentation().apply(record("flip", rows=3), normal(2, 1, 4, 4))


def test_parameters_stay_in_their_ranges_and_use_them() -> None:
    augmentation = ImageAugmentation(scale_ratio=1.5, rotate_degrees=30)
    draw = augmentation.draw(generator(), 2000)
    assert 1 / 1.5 <= float(draw.scale.min()) < 0.68 and 1.49 < float(draw.scale.max()) <= 1.5
    assert -math.pi / 6 <= float(draw.rotate.min()) < -0.5 < 0.5 < float(draw.rotate.max())
    steps = [float(draw.crop.min()), float(draw.crop.max())]
    assert 0 <= steps[0] < 0.01 and 0.99 < steps[1] < 1


# Black is the mean.


@pytest.mark.parametrize("name", ["cutout", "crop", "scale", "rotate"])
def test_what_an_operation_fills_in_is_the_mean_colour_of_the_data(name: str) -> None:
    data = problem(counts=(4,), shape=(3, 16, 16))
    assert hasattr(data.modality, "from_pixels") and hasattr(data.modality, "to_pixels")
    white = data.modality.from_pixels(torch.ones(2, 3, 16, 16))
    altered = ImageAugmentation(crop_ratio=0.25, rotate_degrees=45).apply(
        record(name, scale=[[1.5, 1.5]], rotate=[math.pi / 4]), white
    )
    filled = (altered == 0).all(1)
    assert filled.any() and not filled.all()
    colours = data.modality.to_pixels(altered).permute(0, 2, 3, 1)[filled]
    mean = torch.tensor(data.train.samples / 255).mean((0, 2, 3)).float()
    torch.testing.assert_close(colours, mean.expand_as(colours), atol=1e-6, rtol=0)


# Operations by hand.


def test_flip_mirrors_the_columns_of_the_samples_that_drew_it() -> None:
    x = normal(3, 2, 3, 4)
    altered = ImageAugmentation().apply(record("flip", rows=3, flip=[True, False, True]), x)
    for row, flipped in enumerate([True, False, True]):
        assert torch.equal(altered[row], x[row].flip(-1) if flipped else x[row])


@pytest.mark.parametrize("only", [True, False])
def test_brightness_saturation_and_contrast_follow_their_formulas(only: bool) -> None:
    x, drawn = normal(3, 3, 4, 5), [[0.9, 0.2, 0.8], [0.1, 0.7, 0.3], [0.5, 0.5, 0.5]]
    augmentation = ImageAugmentation(brightness_only=only)
    altered = augmentation.apply(record("color", rows=3, color=drawn), x)
    for row, (brightness, saturation, contrast) in enumerate(drawn):
        one = x[row].double().numpy() + (brightness - 0.5)
        if not only:
            grey = one.mean(0, keepdims=True)
            one = (one - grey) * 2 * saturation + grey
            one = (one - one.mean()) * (contrast + 0.5) + one.mean()
        np.testing.assert_allclose(altered[row].numpy(), one, atol=1e-5)
    if not only:
        torch.testing.assert_close(altered[2], x[2], atol=1e-6, rtol=0)  # the neutral draw


@pytest.mark.parametrize("rows", [1, 3])
def test_crop_is_a_shift_with_zeros_at_the_border(rows: int) -> None:
    x = normal(3, 2, 5, 7)
    down, right = torch.tensor([2, -3, 0])[:rows], torch.tensor([-1, 4, 7])[:rows]
    moved = shift(x, down, right)
    for sample in range(3):
        a, b = int(down[sample % rows]), int(right[sample % rows])
        for i in range(5):
            for j in range(7):
                inside = 0 <= i + a < 5 and 0 <= j + b < 7
                wanted = x[sample, :, i + a, j + b] if inside else torch.zeros(2)
                assert torch.equal(moved[sample, :, i, j], wanted)


@pytest.mark.parametrize(("side", "most"), [(32, 4), (8, 1), (12, 2), (3, 0)])
def test_crop_shifts_by_every_step_up_to_an_eighth_of_the_side_equally_often(
    side: int, most: int
) -> None:
    x = torch.arange(1.0, side + 1).view(1, 1, 1, side).expand(1, 1, side, side)
    draws = 40 * (2 * most + 1)
    even = [[0.5, (k + 0.5) / draws] for k in range(draws)]
    altered = ImageAugmentation().apply(
        record("crop", rows=draws, crop=even), x.expand(draws, 1, side, side)
    )
    middle = altered[:, 0, side // 2, side // 2] - x[0, 0, 0, side // 2]
    found, times = middle.unique(return_counts=True)
    assert found.tolist() == list(range(-most, most + 1))
    assert set(times.tolist()) == {40}


@pytest.mark.parametrize("side", [16, 9])
def test_cutout_is_one_square_of_half_the_side_clipped_at_the_border(side: int) -> None:
    size = int(0.5 * side + 0.5)
    draw = ImageAugmentation().draw(generator(), 300)._replace(applied=("cutout",))
    holes = ImageAugmentation().apply(draw, torch.ones(300, 1, side, side))[:, 0] == 0
    sizes = set()
    for hole in holes:
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        for places in (rows, columns):
            assert torch.equal(places, torch.arange(int(places[0]), int(places[-1]) + 1))
            clipped = int(places[0]) == 0 or int(places[-1]) == side - 1
            assert len(places) == size or (clipped and len(places) < size)
            sizes.add(len(places))
        assert int(hole.sum()) == len(rows) * len(columns)
    assert max(sizes) == size and min(sizes) < size


def sample(x: np.ndarray, row: float, column: float) -> np.ndarray:
    """Bilinear with zeros outside, ``(channels,)``."""
    top, left = math.floor(row), math.floor(column)
    total = np.zeros(len(x))
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:
                total += x[:, i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


def by_hand(x: Tensor, map_: np.ndarray, grid_corners: bool, corners: bool) -> np.ndarray:
    """Sample at ``map_`` of each pixel's place, in the coordinates of an affine grid."""
    height, width = x.shape[-2:]

    def place(index: int, side: int) -> float:
        return 2 * index / (side - 1) - 1 if grid_corners else (2 * index + 1) / side - 1

    def pixel(value: float, side: int) -> float:
        return (value + 1) / 2 * (side - 1) if corners else ((value + 1) * side - 1) / 2

    out = np.zeros(x.shape)
    for i in range(height):
        for j in range(width):
            across, down = map_ @ np.array([place(j, width), place(i, height)])
            for n in range(len(x)):
                source = x[n].double().numpy()
                out[n, :, i, j] = sample(source, pixel(down, height), pixel(across, width))
    return out


RELEASED = {"corners": False, "corners_grid": True}


@pytest.mark.parametrize(
    "mode", [{}, {"corners": True}, RELEASED], ids=["house", "ends", "released"]
)
def test_scale_equals_an_affine_grid_by_hand(mode: dict[str, Any]) -> None:
    x = normal(1, 2, 5, 7)
    augmentation = ImageAugmentation(**mode)
    altered = augmentation.apply(record("scale", scale=[[1.15, 0.87]]), x)
    expected = by_hand(
        x,
        np.diag([1.15, 0.87]),
        mode.get("corners_grid", augmentation.corners),
        augmentation.corners,
    )
    np.testing.assert_allclose(altered.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "mode", [{}, {"corners": True}, RELEASED], ids=["house", "ends", "released"]
)
def test_rotate_equals_an_affine_grid_by_hand(mode: dict[str, Any]) -> None:
    x, angle = normal(1, 2, 6, 6), 0.25
    augmentation = ImageAugmentation(**mode)
    altered = augmentation.apply(record("rotate", rotate=[angle]), x)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners_grid = mode.get("corners_grid", augmentation.corners)
    expected = by_hand(x, turn, corners_grid, augmentation.corners)
    np.testing.assert_allclose(altered.numpy(), expected, atol=1e-5)


def test_a_wide_image_is_turned_about_its_middle_and_not_sheared() -> None:
    x, angle = normal(1, 2, 5, 11), 0.25
    altered = ImageAugmentation().apply(record("rotate", rotate=[angle]), x)
    cos, sin = math.cos(angle), math.sin(angle)
    source = x[0].double().numpy()
    for i in range(5):
        for j in range(11):
            down, right = i - 2, j - 5
            wanted = sample(source, 2 + sin * right + cos * down, 5 + cos * right - sin * down)
            np.testing.assert_allclose(altered[0, :, i, j].numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["scale", "rotate"])
def test_with_one_align_corners_the_identity_is_the_identity_and_as_released_it_is_not(
    name: str,
) -> None:
    x = normal(2, 1, 6, 8)
    still = record(name, scale=[[1.0, 1.0]], rotate=[0.0])
    torch.testing.assert_close(ImageAugmentation().apply(still, x), x, atol=1e-5, rtol=0)
    released = ImageAugmentation(corners=False, corners_grid=True).apply(still, x)
    assert float((released - x).abs().max()) > 0.1


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_exact_derivatives(name: str) -> None:
    x = normal(1, 2, 5, 4, dtype=torch.float64).requires_grad_()
    draw = record(name, color=[[0.9, 0.2, 0.8]])
    assert torch.autograd.gradcheck(lambda one: ImageAugmentation().apply(draw, one), x)


# CutMix.


def flat_images(labels: Tensor, side: tuple[int, int] = (9, 14)) -> Tensor:
    """Images whose every pixel says which class they are of."""
    return labels.float().view(-1, 1, 1, 1).expand(len(labels), 2, *side).clone()


@pytest.mark.parametrize("seed", range(12))
def test_cutmix_targets_sum_to_one_and_equal_the_area_that_was_pasted(seed: int) -> None:
    labels = torch.tensor([2, 0, 1, 3, 1])
    x = flat_images(labels)
    mixed = cutmix(generator(seed), Batch(x, labels), 4)
    assert torch.equal(x, flat_images(labels)), "the batch that was given stays as it is"
    area = F.one_hot(mixed.x[:, 0].long(), 4).float().mean((1, 2))
    torch.testing.assert_close(mixed.y, area, atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed.y.sum(1), torch.ones(5))


def test_cutmix_pastes_areas_of_every_size() -> None:
    labels = torch.arange(8)
    shares = []
    for seed in range(200):
        mixed = cutmix(generator(seed), Batch(flat_images(labels), labels), 8)
        shares.append(float(mixed.y.diagonal().min()))
    assert min(shares) < 0.5 and max(shares) > 0.95


@pytest.mark.parametrize("seed", range(5))
def test_within_one_class_cutmix_leaves_targets_one_hot(seed: int) -> None:
    batch = Batch(normal(6, 3, 8, 8), torch.full((6,), 2))
    mixed = ImageAugmentation().mix(generator(seed), batch, 5)
    assert isinstance(mixed.x, Tensor) and isinstance(batch.x, Tensor)
    torch.testing.assert_close(mixed.y, F.one_hot(batch.y, 5).float(), atol=1e-6, rtol=0)


def test_cutmix_takes_soft_targets_too() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    x, soft = flat_images(labels), F.one_hot(labels, 3).float()
    hard, same = (cutmix(generator(4), Batch(x, y), 3) for y in (labels, soft))
    assert torch.equal(hard.y, same.y) and torch.equal(hard.x, same.x)
