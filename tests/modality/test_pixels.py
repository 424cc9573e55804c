"""Packing: what goes into a stored image comes out of it, tile by tile."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from condensery.modality import Image, Pixels, codec_from, modality_from

STATISTICS = ((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
SPACES = ["pixel", "normalised"]


def image(channels: int, height: int, width: int) -> Image:
    mean, std = STATISTICS
    return Image((channels, height, width), mean[:channels], std[:channels])


def reals(modality: Image, count: int, seed: int = 0) -> Tensor:
    """Data-normalised images whose pixels lie in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return modality.from_pixels(torch.rand(count, *modality.shape, generator=generator))


def tile(codec: Pixels, modality: Image, part: int) -> tuple[slice, slice]:
    """Rows and columns of the part that is decoded as number ``part``."""
    height, width = modality.shape[1] // codec.factor, modality.shape[2] // codec.factor
    row, column = divmod(part, codec.factor)
    if codec.order == "column":
        row, column = column, row
    return (slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width))


def naive_decode(codec: Pixels, modality: Image, leaf: Tensor) -> Tensor:
    """One tile after the other, cut out and enlarged."""
    parts = []
    for part in range(codec.factor**2):
        rows, columns = tile(codec, modality, part)
        for stored in leaf:
            cut = stored[None, :, rows, columns]
            large = F.interpolate(
                cut, modality.shape[1:], mode="bilinear", align_corners=codec.corners
            )
            parts.append(modality.from_pixels(large) if codec.space == "pixel" else large)
    return torch.cat(parts)


def naive_shrink(codec: Pixels, x: Tensor) -> Tensor:
    factor = codec.factor
    if codec.shrink == "nearest":
        return x[..., ::factor, ::factor]
    if codec.shrink == "area":
        places = [(a, b) for a in range(factor) for b in range(factor)]
        return sum(x[..., a::factor, b::factor] for a, b in places) / factor**2
    size = (x.shape[-2] // factor, x.shape[-1] // factor)
    return F.interpolate(x, size, mode="bilinear", align_corners=codec.corners)


CODECS = st.builds(
    Pixels,
    factor=st.integers(1, 3),
    corners=st.booleans(),
    shrink=st.sampled_from(["bilinear", "nearest", "area"]),
    space=st.sampled_from(SPACES),
    order=st.sampled_from(["row", "column"]),
)
SIZES = st.tuples(st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 5))


@settings(max_examples=60, deadline=None)
@given(codec=CODECS, size=SIZES, count=st.integers(1, 3))
def test_packing_and_unpacking_equal_cutting_tiles_by_hand(
    codec: Pixels, size: tuple[int, int, int], count: int
) -> None:
    modality = image(size[0], size[1] * codec.factor, size[2] * codec.factor)
    real = reals(modality, count * codec.multiplies)
    stored = codec.encode(real, modality)
    leaf = stored["pixels"]
    assert leaf.shape == (count, *modality.shape)
    assert codec.multiplies == codec.factor**2

    by_row = Pixels(codec.factor)
    small = real if codec.factor == 1 else naive_shrink(codec, real)
    for number, one in enumerate(small):
        part, place = divmod(number, count)
        rows, columns = tile(by_row, modality, part)
        inside = leaf[place, :, rows, columns]
        if codec.space == "pixel":
            inside = modality.from_pixels(inside)[0]
        torch.testing.assert_close(inside, one, atol=1e-5, rtol=0)

    decoded = codec.decode(stored, modality)
    assert decoded.shape == (count * codec.multiplies, *modality.shape)
    torch.testing.assert_close(decoded, naive_decode(codec, modality, leaf), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        codec.plain().decode(stored, modality),
        modality.from_pixels(leaf) if codec.space == "pixel" else leaf,
    )


@pytest.mark.parametrize(("factor", "expected"), [(1, 1), (2, 5), (3, 14)])
def test_multi_formation_reads_the_whole_image_and_then_every_finer_cut(
    factor: int, expected: int
) -> None:
    single, multi = Pixels(factor), Pixels(factor, formation="multi")
    modality, count = image(3, 6, 12), 2
    assert (multi.multiplies, multi.holds, single.holds) == (expected, factor**2, factor**2)

    real = reals(modality, count * multi.holds)
    stored = multi.encode(real, modality)
    assert torch.equal(stored["pixels"], single.encode(real, modality)["pixels"])
    decoded = multi.decode(stored, modality)
    by_hand = [Pixels(one).decode(stored, modality) for one in range(1, factor + 1)]
    assert torch.equal(decoded, torch.cat(by_hand))
    torch.testing.assert_close(decoded[:count], modality.from_pixels(stored["pixels"]))

    labels = multi.labels(torch.tensor([4, 7]))
    assert labels.tolist() == [4, 7] * expected


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_tiles_of_one_colour_survive_exactly_and_come_back_row_by_row(
    factor: int, space: Any
) -> None:
    codec, modality, count = Pixels(factor, space=space), image(3, 6, 12), 2
    levels = torch.arange(factor**2 * count * 3).view(-1, 3, 1, 1) * 2
    raw = levels.expand(-1, *modality.shape).to(torch.uint8)
    stored = codec.encode(modality.normalise(raw), modality)
    packed = codec.pack(stored, modality)["pixels"]
    for number, colour in enumerate(raw):
        part, place = divmod(number, count)
        rows, columns = tile(codec, modality, part)
        assert torch.equal(packed[place, :, rows, columns], colour[:, rows, columns])
    back = modality.to_pixels(codec.decode(stored, modality)) * 255
    assert torch.equal(back.round().to(torch.uint8), raw)


@pytest.mark.parametrize(("order", "expected"), [("row", "TL TR BL BR"), ("column", "TL BL TR BR")])
def test_tiles_are_decoded_row_by_row_or_as_released_column_by_column(
    order: Any, expected: str
) -> None:
    modality = image(1, 4, 4)
    leaf = torch.zeros(1, 1, 4, 4)
    names = {"TL": 0.1, "TR": 0.2, "BL": 0.3, "BR": 0.4}
    leaf[..., :2, :2], leaf[..., :2, 2:] = names["TL"], names["TR"]
    leaf[..., 2:, :2], leaf[..., 2:, 2:] = names["BL"], names["BR"]
    decoded = modality.to_pixels(Pixels(2, order=order).decode({"pixels": leaf}, modality))
    wanted = torch.tensor([names[name] for name in expected.split()])
    torch.testing.assert_close(decoded, wanted.view(4, 1, 1, 1).expand_as(decoded))


def test_labels_follow_the_order_of_the_decoded_samples() -> None:
    codec, labels = Pixels(2), torch.tensor([0, 0, 3])
    assert codec.labels(labels).tolist() == [0, 0, 3] * 4
    assert codec.labels(torch.eye(3)).shape == (12, 3)


@settings(max_examples=30, deadline=None)
@given(codec=CODECS, size=SIZES, data=st.data())
def test_the_gradient_of_one_decoded_sample_touches_its_own_tile_only(
    codec: Pixels, size: tuple[int, int, int], data: st.DataObject
) -> None:
    modality = image(size[0], size[1] * codec.factor, size[2] * codec.factor)
    leaf = torch.rand(2, *modality.shape, requires_grad=True)
    number = data.draw(st.integers(0, 2 * codec.multiplies - 1))
    decoded = codec.decode({"pixels": leaf}, modality)
    (gradient,) = torch.autograd.grad(decoded[number].sum(), leaf)
    part, place = divmod(number, 2)
    touched = torch.zeros_like(gradient, dtype=torch.bool)
    rows, columns = tile(codec, modality, part)
    touched[place, :, rows, columns] = True
    assert torch.equal(gradient != 0, touched)


@pytest.mark.parametrize("space", SPACES)
def test_decoding_has_exact_derivatives(space: Any) -> None:
    codec, modality = Pixels(2, space=space), image(1, 2, 4)
    leaf = torch.rand(2, 1, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: codec.decode({"pixels": x}, modality), leaf)


@settings(max_examples=30, deadline=None)
@given(codec=CODECS, size=SIZES)
def test_the_exported_set_is_within_half_a_level_and_exporting_it_again_changes_nothing(
    codec: Pixels, size: tuple[int, int, int]
) -> None:
    modality = image(size[0], size[1] * codec.factor, size[2] * codec.factor)
    stored = codec.encode(reals(modality, codec.multiplies), modality)
    once = codec.quantise(stored, modality)
    assert torch.equal(codec.quantise(once, modality)["pixels"], once["pixels"])
    packed = codec.pack(stored, modality)
    assert packed["pixels"].dtype == torch.uint8
    assert torch.equal(codec.unpack(packed, modality)["pixels"], once["pixels"])
    pixels = [modality.to_pixels(codec.decode(one, modality)) for one in (stored, once)]
    assert float((pixels[0] - pixels[1]).abs().max()) <= 0.5 / 255 + 1e-6
    assert codec.nbytes(stored, modality) == stored["pixels"].numel()


@pytest.mark.parametrize("space", SPACES)
def test_values_are_brought_back_to_pixels_between_0_and_1_in_place(space: Any) -> None:
    codec, modality = Pixels(2, space=space), image(3, 4, 6)
    wild = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0)) * 2
    leaf = wild.clone() if space == "pixel" else modality.from_pixels(wild)
    stored = {"pixels": leaf}
    codec.project_(stored, modality)
    assert stored["pixels"] is leaf
    pixels = leaf if space == "pixel" else modality.to_pixels(leaf)
    torch.testing.assert_close(pixels, wild.clamp(0, 1), atol=1e-6, rtol=0)
    Pixels(2, space=space, clamp=False).project_({"pixels": wild}, modality)
    assert float(wild.max()) > 1 and float(wild.min()) < 0, "clamp=False leaves values alone"


@pytest.mark.parametrize("space", SPACES)
def test_noise_is_standard_normal_in_normalised_values_and_clamped_to_pixels(space: Any) -> None:
    modality = image(3, 16, 16)
    draw = [
        Pixels(2, space=space, clamp=clamp).noise(40, modality, torch.Generator().manual_seed(0))
        for clamp in (False, True)
    ]
    free, held = (Pixels(1, space=space).decode(one, modality) for one in draw)
    assert abs(float(free.mean())) < 0.02 and abs(float(free.std()) - 1) < 0.02
    expected = modality.from_pixels(modality.to_pixels(free).clamp(0, 1))
    torch.testing.assert_close(held, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("space", SPACES)
def test_units_are_what_one_normalised_unit_is_worth_in_stored_values(space: Any) -> None:
    codec, modality = Pixels(2, space=space), image(3, 4, 4)
    leaf = {"pixels": torch.full((1, 3, 4, 4), 0.4)}
    units = codec.units("pixels", modality)
    moved = {"pixels": leaf["pixels"] + 0.1 * units}
    change = codec.decode(moved, modality) - codec.decode(leaf, modality)
    torch.testing.assert_close(change, torch.full_like(change, 0.1))


def test_images_that_do_not_fit_are_refused_in_one_line() -> None:
    modality = image(1, 4, 6)
    with pytest.raises(ValueError, match="3 images do not fill whole 2 x 2 mosaics"):
        Pixels(2).encode(reals(modality, 3), modality)
    with pytest.raises(ValueError, match="4 x 6 cannot be packed 3 x 3: choose a factor"):
        Pixels(3).encode(reals(modality, 9), modality)
    with pytest.raises(ValueError, match="from 1; got 0"):
        Pixels(0)


@settings(max_examples=20, deadline=None)
@given(codec=CODECS)
def test_a_codec_comes_back_from_what_a_card_says_of_it(codec: Pixels) -> None:
    assert codec_from(json.loads(json.dumps(codec.to_dict()))) == codec


def test_a_modality_comes_back_from_what_a_card_says_of_it() -> None:
    modality = image(3, 5, 7)
    assert modality_from(json.loads(json.dumps(modality.to_dict()))) == modality


@pytest.mark.parametrize("read", [codec_from, modality_from])
def test_a_card_of_something_unknown_is_refused(read: Any) -> None:
    with pytest.raises(ValueError, match="unknown .* 'os.system'; known: "):
        read({"kind": "os.system", "factor": 1})
    known = "pixels" if read is codec_from else "image"
    with pytest.raises(ValueError, match="not as this version writes it.*surprise"):
        read({"kind": known, "surprise": 1})
    with pytest.raises(ValueError, match="unknown"):
        read({"factor": 1})
