"""Images of any size, aspect and mode come out as uint8 of one size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from condensery.data.images import common_shape, cover, decode, decode_into, sides
from condensery.errors import UsageError
from data.made import noise, png

SIDES = st.integers(1, 40)


def where(position: int) -> str:
    return f"image {position}"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(SIDES, SIDES, st.booleans()), min_size=1, max_size=6))
def test_ragged_images_come_to_the_square_of_the_median_shorter_side(sizes: list) -> None:
    images = [noise(height, width) if grey else noise(height, width, 3)
              for height, width, grey in sizes]  # fmt: skip
    encoded = [png(image) for image in images]
    shape = common_shape([encoded], [where])
    shorter = sorted(min(height, width) for height, width, _ in sizes)
    middle = (shorter[(len(sizes) - 1) // 2] + shorter[len(sizes) // 2]) // 2
    alike = len({size[:2] for size in sizes}) == 1
    assert shape[0] == (1 if all(grey for *_, grey in sizes) else 3)
    assert shape[1:] == (sizes[0][:2] if alike else (middle, middle))
    out = np.empty((len(images), *shape), np.uint8)
    decode_into(out, encoded, where)
    for image, made in zip(images, out, strict=True):
        assert made.min() >= image.min() and made.max() <= image.max(), "averages stay in range"


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_an_image_covers_any_size_without_a_border(h: int, w: int, height: int, width: int) -> None:
    white = Image.fromarray(np.full((h, w), 255, np.uint8))
    made = np.asarray(cover(white, height, width))
    assert made.shape == (height, width) and made.min() == 255


def test_the_middle_is_cut_out() -> None:
    striped = np.repeat(np.array([[0, 0, 90, 90, 0, 0]], np.uint8), 2, 0)
    assert np.asarray(cover(Image.fromarray(striped), 2, 2)).tolist() == [[90, 90], [90, 90]]


def test_shrinking_averages_what_it_drops() -> None:
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    made = np.asarray(cover(Image.fromarray(checks), 8, 8)).astype(int)
    assert abs(made - 127.5).max() < 20, "without antialiasing all pixels would be 0 or 255"


def test_an_image_of_the_wanted_size_is_left_alone() -> None:
    image = noise(5, 7, 3)
    assert np.array_equal(decode(png(image), (3, 5, 7)), image.transpose(2, 0, 1))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_alpha_is_dropped_not_blended() -> None:
    pixels = noise(4, 4, 4)
    made = decode(encoded(Image.fromarray(pixels, "RGBA")), (3, 4, 4))
    assert np.array_equal(made, pixels[..., :3].transpose(2, 0, 1))
    grey = noise(4, 4, 2)
    item = encoded(Image.fromarray(grey, "LA"))
    assert common_shape([[item]], [where]) == (1, 4, 4)
    assert np.array_equal(decode(item, (1, 4, 4))[0], grey[..., 0])


def test_sixteen_bits_are_scaled_to_eight() -> None:
    eight = noise(6, 5)
    item = encoded(Image.fromarray(eight.astype(np.uint16) * 257))
    assert common_shape([[item]], [where]) == (1, 6, 5)
    assert np.array_equal(decode(item, (1, 6, 5))[0], eight)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "PA"])
def test_other_modes_are_converted(mode: str) -> None:
    image = Image.fromarray(noise(6, 6, 3)).convert("P" if mode == "PA" else mode)
    image = image.convert(mode)
    item = encoded(image, "TIFF") if mode in ("CMYK", "YCbCr") else image
    shape = common_shape([[item]], [where])
    assert shape == (1 if mode == "1" else 3, 6, 6)
    rgb = np.asarray(image.convert("RGBA" if mode in ("P", "PA") else "RGB").convert("RGB"))
    assert np.array_equal(decode(item, (3, 6, 6)), rgb.transpose(2, 0, 1))


def test_photographs_are_turned_upright() -> None:
    pixels = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    item = encoded(Image.fromarray(pixels), exif=exif)
    assert common_shape([[item]], [where]) == (3, 6, 4)
    assert np.array_equal(decode(item, (3, 6, 4)), np.rot90(pixels, -1).transpose(2, 0, 1))


def test_floating_pixels_are_refused_with_the_name_of_the_image() -> None:
    item = encoded(Image.fromarray(np.zeros((3, 3), np.float32)), "TIFF")
    out = np.empty((2, 1, 3, 3), np.uint8)
    with pytest.raises(UsageError, match="image 1 is no readable image .its pixels are floats"):
        decode_into(out, [png(noise(3, 3)), item], where)


def test_a_size_is_a_side_or_both_sides() -> None:
    assert sides(None) is None and sides(4) == sides([4, 4]) == (4, 4) and sides((3, 5)) == (3, 5)
    for wrong in (0, -1, 2.5, (1, 2, 3), "32", (4, 0)):
        with pytest.raises(UsageError, match="size is a side"):
            sides(wrong)
