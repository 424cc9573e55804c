"""Mosaics: which crops are drawn, which are kept, where they are put."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import images
from condensery.core.crops import Crop, best_crops, cut, draw_crops
from condensery.core.starts import STARTS, mosaic_start, mosaic_view
from condensery.core.synthetic import SyntheticSet
from condensery.core.teacher import teacher
from condensery.data.problem import Problem
from condensery.errors import UsageError
from condensery.methods import Context, Mosaic
from condensery.modality import Pixels
from condensery.models.backbone import PeerSpec
from condensery.streams import Streams
from condensery.world import Solo

TEACHER = PeerSpec("convnet2_w8", momentum=0.9)


class Indifferent(nn.Module):
    """Recognises nothing, always as badly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 3)


class LikesLight(nn.Module):
    """The brighter an image, the surer it is of any class that it is asked about."""

    def forward(self, x: Tensor) -> Tensor:
        light = x.flatten(1).mean(1)
        return torch.stack([light, light, light, torch.zeros_like(light)], 1)


def context(seed: int = 0) -> Context:
    return Context(Streams(seed), Solo())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 24, side: int = 8) -> Problem:
    """Three classes of noise of different brightness, ``count`` images in each."""
    problem, draws = images(1), np.random.default_rng(0)
    level = draws.integers(0, 200, (3 * count, 1, 1, 1))
    samples = (level + draws.integers(0, 50, (3 * count, 1, side, side))).astype(np.uint8)
    train = dataclasses.replace(problem.train, samples=samples, labels=np.arange(3 * count) % 3)
    return dataclasses.replace(problem, train=train)


def stored(made: SyntheticSet, label: int) -> Tensor:
    """Stored pixels of a class as whole numbers up to 255."""
    return (made.of(label)["pixels"] * 255).round().to(torch.uint8)


# Crops.


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (24, 48)])
def test_crops_keep_the_proportions_lie_inside_and_have_areas_in_bounds(
    size: tuple[int, int],
) -> None:
    found = draw_crops(500, size, (0.25, 0.75), generator())
    for crop in found:
        assert crop.width == pytest.approx(crop.height * size[1] / size[0], abs=1)
        assert crop.top >= 0 and crop.top + crop.height <= size[0]
        assert crop.left >= 0 and crop.left + crop.width <= size[1]
    shares = torch.tensor([one.height * one.width / (size[0] * size[1]) for one in found])
    slack = 1.2 / min(size)  # sides are whole pixels
    assert float(shares.min()) > 0.25 - slack and float(shares.max()) < 0.75 + slack
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    corners = {(crop.top == 0, crop.top + crop.height == size[0]) for crop in found}
    assert {(True, False), (False, True)} <= corners


def test_a_crop_of_everything_is_the_image_itself_and_another_is_enlarged() -> None:
    image = torch.randn(3, 8, 8, generator=generator())
    assert torch.equal(cut(image, Crop(0, 0, 8, 8)), image)
    part = cut(image, Crop(2, 4, 4, 4))
    assert torch.allclose(part, F.interpolate(image[None, :, 2:6, 4:8], [8, 8], mode="bilinear")[0])


def test_of_each_image_the_best_crop_is_kept_by_hand_and_ties_go_to_the_first() -> None:
    pictures = torch.randn(5, 1, 8, 8, generator=generator())
    crops = draw_crops(15, (8, 8), (0.1, 0.5), generator(1))
    kept, losses = best_crops(pictures, crops, 0, LikesLight(), lambda x: x)
    for place, picture in enumerate(pictures):
        own = crops[3 * place : 3 * place + 3]
        light = [float(cut(picture, one).mean()) for one in own]
        assert kept[place] == own[light.index(max(light))]
    assert losses.argsort().tolist() == [
        place for _, place in
        sorted((-float(cut(pictures[p], kept[p]).mean()), p) for p in range(5))
    ]  # fmt: skip
    first, _ = best_crops(pictures, crops, 0, Indifferent(), lambda x: x)
    assert first == crops[::3]


def test_scores_do_not_hang_on_how_many_images_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = noise()
    judge = teacher(TEACHER, problem, Streams(0), torch.device("cpu"), updates=3)
    pictures, crops = problem.samples(problem.of(0)), draw_crops(48, (8, 8), (0.2, 1), generator())
    kept, losses = best_crops(pictures, crops, 0, judge, lambda x: x)
    monkeypatch.setattr("condensery.core.crops.IMAGES_AT_ONCE", 5)
    again, others = best_crops(pictures, crops, 0, judge, lambda x: x)
    assert kept == again
    torch.testing.assert_close(losses, others)


def test_the_network_is_read_in_evaluation_mode_and_left_as_it_was() -> None:
    class Watches(nn.Module):
        modes: list[bool] = []

        def forward(self, x: Tensor) -> Tensor:
            self.modes.append(self.training)
            return torch.zeros(len(x), 3)

    network = Watches().train()
    best_crops(torch.zeros(2, 1, 8, 8), [Crop(0, 0, 8, 8)] * 2, 0, network, lambda x: x)
    assert network.modes == [False] and network.training


# The set.


def test_whole_crops_and_a_network_that_does_not_care_give_the_first_of_the_pool() -> None:
    problem = noise()
    made = mosaic_start(problem, 3, Pixels(), Streams(0), Indifferent(), 24, 1, (1.0, 1.0))
    for label in problem.labels:
        expected = torch.from_numpy(problem.train.samples[problem.of(label)[:3]])
        assert torch.equal(stored(made, label), expected)


def test_tiles_come_sorted_and_the_rank_says_which_mosaic_and_which_tile() -> None:
    problem, per_class = noise(), 2
    made = mosaic_start(problem, per_class, Pixels(2), Streams(0), LikesLight(), crops=3)
    for label in problem.labels:
        decoded = made.codec.decode(made.of(label), problem.modality).flatten(1).mean(1)
        # Decoding is block-major: tile k of mosaic m is sample k * per_class + m, its rank.
        assert bool((decoded.diff() < 1e-2).all())
        pixels = made.of(label)["pixels"]
        for rank in range(8):
            tile, image = divmod(rank, per_class)
            row, column = divmod(tile, 2)
            part = pixels[image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            light = problem.modality.from_pixels(part[None]).mean()  # type: ignore[attr-defined]
            assert float(light) == pytest.approx(float(decoded[rank]), abs=0.05)


def test_a_pool_of_just_enough_images_uses_each_once_and_only_its_class() -> None:
    problem = noise(8)
    made = mosaic_start(problem, 2, Pixels(2), Streams(0), LikesLight(), 8, 1, (1.0, 1.0))
    for label in problem.labels:
        real = problem.samples(problem.of(label))
        small = Pixels(2).encode(real.repeat(4, 1, 1, 1), problem.modality)
        tiles = small["pixels"][:, :, :4, :4].flatten(1)
        pixels = made.of(label)["pixels"]
        found = torch.stack([
            pixels[m, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4].flatten()
            for m in range(2) for r in range(2) for c in range(2)
        ])  # fmt: skip
        distances = torch.cdist(found, tiles)
        assert float(distances.amin(1).max()) < 1e-4
        assert sorted(distances.argmin(1).tolist()) == list(range(8))


def test_the_views_are_the_crop_its_decoded_tile_and_a_small_tile_on_the_mean_colour() -> None:
    problem, codec = images(3), Pixels(2)
    x = torch.randn(5, 3, 8, 8, generator=generator())
    assert mosaic_view("source", codec, problem.modality)(x) is x
    decoded = mosaic_view("decoded", codec, problem.modality)(x)
    encoded = codec.quantise(codec.encode(x[2:3].repeat(4, 1, 1, 1), problem.modality),
                             problem.modality)  # fmt: skip
    torch.testing.assert_close(decoded[2:3], codec.decode(encoded, problem.modality)[:1])
    padded = mosaic_view("padded", codec, problem.modality)(x)
    assert padded.shape == x.shape
    assert float(padded[:, :, 2:6, 2:6].abs().min()) > 0
    padded[:, :, 2:6, 2:6] = 0
    assert float(padded.abs().max()) == 0


def test_views_choose_differently_and_unscored_asks_nobody() -> None:
    problem = noise()

    class Forbidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError("nobody is to be asked")

    made = [
        mosaic_start(problem, 1, Pixels(2), Streams(0), LikesLight(), view=view)  # type: ignore[arg-type]
        for view in ("source", "padded")
    ]
    made.append(mosaic_start(problem, 1, Pixels(2), Streams(0), Forbidden(), view="unscored"))
    decoded = [float(one.decode().x.mean()) for one in made]  # type: ignore[union-attr]
    assert decoded[0] > decoded[2], "what likes light got no more of it than chance"
    assert Mosaic(view="unscored").peers_used() == () and Mosaic().peers_used() == ("convnet_mini",)


def test_the_same_seed_gives_the_same_bytes_and_the_global_generators_stay() -> None:
    problem = noise()
    method = Mosaic(network=TEACHER, updates=3, pool=12)
    before = torch.get_rng_state()
    first, again, other = (
        method.start(problem, 1, context(seed)).quantised().stored["pixels"] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_a_start_that_makes_its_own_judge() -> None:
    made = STARTS["mosaic"](images(1), 1, Pixels(2), Streams(0), view="unscored")
    assert len(made) == 3 and made.codec.multiplies == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"pool": 3}, "raise pool"), ({"area": (0.0, 1.0)}, "area lies in"),
     ({"area": (0.5, 1.5)}, "area lies in"), ({"crops": 0}, "crops count from 1")],
)  # fmt: skip
def test_settings_that_cannot_be_say_what_to_do(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        mosaic_start(noise(), 1, Pixels(2), Streams(0), Indifferent(), **wrong)  # type: ignore[arg-type]


# The network that judges.


def test_a_teacher_has_learned_and_an_untrained_one_has_not() -> None:
    problem = images(3, (40, 40, 40))
    batch = problem.batch(np.arange(len(problem.train)))
    right = []
    for updates in (0, 30):
        judge = teacher(TEACHER, problem, Streams(0), torch.device("cpu"), updates=updates)
        assert not judge.training
        right.append(float((judge(batch.x).argmax(1) == batch.y).float().mean()))
    assert right[1] > 0.9 > right[0]


def test_a_teacher_from_a_file_is_taken_as_it_is(tmp_path) -> None:
    problem = images(3)
    trained = teacher(TEACHER, problem, Streams(0), torch.device("cpu"), updates=2)
    torch.save(trained.state_dict(), tmp_path / "teacher.pt")
    spec = dataclasses.replace(TEACHER, weights=str(tmp_path / "teacher.pt"))
    taken = teacher(spec, problem, Streams(1), torch.device("cpu"), updates=50)
    for name, tensor in taken.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name]), name
