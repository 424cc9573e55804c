"""Every small network: it can be read, restarted, and differentiated twice."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from condensery.errors import UsageError
from condensery.modality import Image
from condensery.models import MODELS, Backbone, PeerSpec, build, describe, entry, family
from condensery.models.convnet import ConvNet
from condensery.models.timm_net import TimmNet
from condensery.types import Batch

DIGITS = Image((1, 8, 8), (0.3,), (0.4,), mirror=False)
PICTURES = Image((3, 32, 32), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))

SMALL = ("convnet3", "convnet_mini", "convnet2_w16", "lenet", "resnet_mini", "cifar_resnet20",
         "vit_mini", "mixer_mini", "mlp")  # fmt: skip
# timm's own miniatures of its networks.
LARGE = {"test_resnet": 32, "test_vit": 32, "test_efficientnet": 32}


def someone_elses() -> nn.Module:
    """A module as a user writes it."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10),
    )  # fmt: skip


def made(name: str, seed: int = 0, modality: Image = DIGITS, **settings: object) -> Backbone:
    settings = {"size": LARGE.get(name)} | settings
    spec = PeerSpec(name, **settings)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    return build(spec, modality, 10, generator, {"mine": someone_elses})


def noise(modality: Image = DIGITS, count: int = 4, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *modality.shape, generator=generator)
    return Batch(x, torch.arange(count) % 10)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("modality", [DIGITS, PICTURES], ids=["8x8 grey", "32x32 colour"])
@pytest.mark.parametrize("name", SMALL)
def test_a_small_network_reads_images_of_either_size(name: str, modality: Image) -> None:
    network, batch = made(name, modality=modality).eval(), noise(modality)
    reading = network.read(batch)
    assert reading.logits.shape == (4, 10)
    assert reading.embedding.shape[0] == 4 and reading.embedding.ndim == 2
    assert reading.taps
    for tap in reading.taps:
        assert tap.spatial.ndim == 4 and tap.spatial.shape[:2] == tap.semantic.shape
    assert torch.allclose(network(batch.x), reading.logits, atol=1e-5)
    assert torch.allclose(network.read(batch, taps=False).logits, reading.logits, atol=1e-5)
    assert network.read(batch, taps=False).taps == ()


@pytest.mark.parametrize("name", [*SMALL, *LARGE, "mine"])
def test_the_head_is_exactly_the_layer_between_embedding_and_logits(name: str) -> None:
    network, batch = made(name).eval(), noise()
    own = dict(network.named_parameters())
    assert len(network.head) == 2 and set(network.head) <= set(own)
    weight, bias = (own[n] for n in sorted(network.head, key=lambda n: n.endswith("bias")))
    reading = network.read(batch, taps=False)
    assert torch.allclose(F.linear(reading.embedding, weight, bias), reading.logits, atol=1e-5)


@pytest.mark.parametrize("name", [*SMALL, *LARGE, "mine"])
def test_after_a_restart_the_optimiser_still_moves_the_network(name: str) -> None:
    network, batch = made(name), noise()
    before, count = state(network), sum(p.numel() for p in network.parameters())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network.restart(torch.Generator().manual_seed(7))
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert held == {id(p) for p in network.parameters()}
    assert sum(p.numel() for p in network.parameters()) == count
    assert not same(state(network), before)

    fresh = state(network)
    F.cross_entropy(network(batch.x), batch.y).backward()
    optimiser.step()
    for key, parameter in network.named_parameters():
        if parameter.grad is not None and parameter.grad.abs().max() > 1e-6:
            assert not torch.equal(parameter, fresh[key]), f"{key} did not move"
    moved = sum(p.grad is not None and bool(p.grad.abs().max() > 1e-6)
                for p in network.parameters())  # fmt: skip
    assert moved >= len(list(network.parameters())) // 3, "hardly anything got a gradient"


@pytest.mark.parametrize("name", [*SMALL, *LARGE, "mine"])
def test_a_restart_gives_what_build_gives_with_the_same_stream(name: str) -> None:
    network, batch = made(name, seed=1), noise()
    network(batch.x)  # moves the buffers of a batch norm
    network.restart(torch.Generator().manual_seed(2))
    assert same(state(network), state(made(name, seed=2)))
    network.restart(torch.Generator().manual_seed(3))
    assert not same(state(network), state(made(name, seed=2)))


@pytest.mark.parametrize("name", [*SMALL, "test_vit", "mine"])
def test_building_and_restarting_leave_the_global_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    made(name).restart(torch.Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())


def test_a_restart_can_keep_the_head() -> None:
    network = made("vit_mini")
    before = state(network)
    network.restart(torch.Generator().manual_seed(5), keep_head=True)
    for name, tensor in state(network).items():
        fresh = not torch.equal(tensor, before[name])
        assert not (fresh and name in network.head)
    assert not torch.equal(network.state_dict()["network.pos_embed"], before["network.pos_embed"])


@pytest.mark.parametrize("name", [*SMALL, *LARGE, "mine"])
def test_second_derivatives_are_finite_and_not_zero(name: str) -> None:
    network, batch = made(name), noise()
    x = batch.x.clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        reading = network.read(Batch(x, batch.y))
        loss = F.cross_entropy(reading.logits, batch.y)
        loss = loss + sum(t.spatial.square().mean() + t.semantic.mean() for t in reading.taps)
        gradients = torch.autograd.grad(loss, list(network.parameters()), create_graph=True,
                                        allow_unused=True)  # fmt: skip
        match = torch.stack([g.square().sum() for g in gradients if g is not None]).sum()
        (second,) = torch.autograd.grad(match, x)
    assert second.isfinite().all() and second.abs().max() > 0


def test_convnet3_has_the_taps_and_the_parameters_of_the_literature() -> None:
    network = made("convnet3", modality=PICTURES)
    assert sum(p.numel() for p in network.parameters()) == 320_010
    reading = network.read(noise(PICTURES))
    sides = [tuple(tap.spatial.shape[1:]) for tap in reading.taps]
    assert sides == [(128, 32, 32), (128, 16, 16), (128, 8, 8), (128, 4, 4)]
    assert torch.equal(reading.embedding, reading.taps[-1].spatial.flatten(1))
    assert all(bool((tap.spatial >= 0).all()) for tap in reading.taps)


def test_released_taps_come_after_the_pools_with_the_last_twice() -> None:
    reading = made("convnet3", modality=PICTURES, taps=("pools",)).read(noise(PICTURES))
    assert [tap.spatial.shape[-1] for tap in reading.taps] == [16, 8, 4, 4]
    assert torch.equal(reading.taps[2].spatial, reading.taps[3].spatial)
    plain = made("convnet3", modality=PICTURES).read(noise(PICTURES))
    pooled = F.avg_pool2d(plain.taps[0].spatial, 2)
    assert torch.allclose(reading.taps[0].spatial, pooled)


def test_a_convnet_equals_its_layers_written_out() -> None:
    network, x = made("convnet2_w16"), noise().x
    own = dict(network.named_parameters())
    for block in (0, 1):
        x = F.conv2d(x, own[f"convs.{block}.weight"], own[f"convs.{block}.bias"], padding=1)
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        scale, shift = (own[f"norms.{block}.{n}"].view(1, -1, 1, 1) for n in ("weight", "bias"))
        x = F.avg_pool2d(((x - mean) / (var + 1e-5).sqrt() * scale + shift).relu(), 2)
    logits = x.flatten(1) @ own["classifier.weight"].T + own["classifier.bias"]
    assert torch.allclose(network(noise().x), logits, atol=1e-5)


@pytest.mark.parametrize("side", [(9, 13), (28, 28), (31, 8)])
@pytest.mark.parametrize("name", [n for n in SMALL if n != "cifar_resnet20"])
def test_odd_and_oblong_images_work(name: str, side: tuple[int, int]) -> None:
    modality = Image((3, *side), (0.5,) * 3, (0.25,) * 3)
    reading = made(name, modality=modality).read(noise(modality))
    assert reading.logits.isfinite().all() and reading.logits.shape == (4, 10)


def test_a_convnet_too_deep_for_the_images_is_refused_with_the_depth_that_fits() -> None:
    with pytest.raises(UsageError, match="at most convnet3"):
        made("convnet4")
    assert made("convnet3").read(noise()).taps[-1].spatial.shape[-2:] == (1, 1)


@pytest.mark.parametrize("name", ["convnet3", "resnet_mini"])
def test_the_semantics_of_an_even_map_are_each_of_its_places(name: str) -> None:
    network = made(name, modality=PICTURES).eval()
    with torch.no_grad():
        for conv in (m for m in network.modules() if isinstance(m, nn.Conv2d)):
            # Only the middle of each kernel: padding no longer makes the border unlike the rest.
            middle = torch.zeros_like(conv.weight)
            at = conv.kernel_size[0] // 2
            middle[:, :, at, at] = conv.weight[:, :, at, at]
            conv.weight.copy_(middle)
    even = torch.randn(2, 3, 1, 1).expand(2, 3, 32, 32)
    for tap in network.read(Batch(even, torch.zeros(2, dtype=torch.long))).taps:
        spread = (tap.spatial - tap.semantic[:, :, None, None]).abs().max()
        assert spread < 1e-5


@pytest.mark.parametrize("name", ["vit_mini", "test_vit"])
def test_token_one_plus_r_times_width_plus_q_lies_at_row_r_column_q(name: str) -> None:
    network = made(name, size=48 if name == "test_vit" else None, modality=PICTURES).eval()
    assert isinstance(network, TimmNet)
    raw: list[Tensor] = []
    inner = network.network
    handles = [block.register_forward_hook(lambda m, a, out: raw.append(out))
               for block in inner.blocks]  # type: ignore[union-attr] # fmt: skip
    taps = network.read(noise(PICTURES)).taps
    for handle in handles:
        handle.remove()
    assert len(taps) == len(raw)
    for tap, tokens in zip(taps, raw, strict=True):
        height, width = tap.spatial.shape[-2:]
        assert torch.equal(tap.semantic, tokens[:, 0])
        for r, q in itertools.product(range(height), range(width)):
            assert torch.equal(tap.spatial[:, :, r, q], tokens[:, 1 + r * width + q])


def test_changing_one_patch_changes_the_token_at_its_place_most() -> None:
    network, batch = made("vit_mini", modality=PICTURES).eval(), noise(PICTURES, 1)
    changed = batch.x.clone()
    changed[:, :, 8:12, 20:24] += 5
    one, other = (network.read(Batch(x, batch.y)).taps[0].spatial for x in (batch.x, changed))
    difference = (one - other).abs().sum(1)[0]
    assert divmod(int(difference.argmax()), 8) == (2, 5)


@pytest.mark.parametrize(("side", "grid"), [(32, (8, 8)), (8, (4, 4)), (64, (8, 8)), (28, (7, 7))])
def test_vit_mini_cuts_about_eight_by_eight_patches(side: int, grid: tuple[int, int]) -> None:
    modality = Image((3, side, side), (0.5,) * 3, (0.25,) * 3)
    taps = made("vit_mini", modality=modality).read(noise(modality)).taps
    assert [tap.spatial.shape[1:] for tap in taps] == [(64, *grid)] * 4


def test_a_network_of_another_size_resizes_its_own_input() -> None:
    network, batch = made("convnet3", size=16).eval(), noise()
    large = F.interpolate(batch.x, [16, 16], mode="bilinear")
    native = ConvNet(1, (16, 16), 10)
    native.load_state_dict(network.state_dict())
    assert torch.allclose(network(batch.x), native(large), atol=1e-6)
    shrunk = made("convnet2_w16", size=4)
    assert shrunk.read(batch).taps[0].spatial.shape[-2:] == (4, 4)


def test_a_networks_own_mean_and_std_equal_normalising_by_hand() -> None:
    network = made("convnet3", modality=PICTURES).eval()
    pixels = torch.rand(2, 3, 32, 32)
    by_hand = (pixels - 0.5) / torch.tensor([0.5, 0.25, 0.125]).view(1, 3, 1, 1)
    expected = network(by_hand)
    network.use_statistics(PICTURES, (0.5, 0.5, 0.5), (0.5, 0.25, 0.125))
    assert torch.allclose(network(PICTURES.from_pixels(pixels)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "name", [n for n, one in MODELS.items() if one.reads == "image" and n != "transformers"]
)
def test_a_description_says_what_the_network_has(name: str) -> None:
    told = describe(name, PICTURES)
    assert told.parameters and told.size and told.taps and told.family == family(name)
    if name in SMALL:
        network = made(name, modality=PICTURES)
        assert told.parameters == sum(p.numel() for p in network.parameters())
        taps = network.read(noise(PICTURES)).taps
        assert told.taps == tuple(tuple(tap.spatial.shape[1:]) for tap in taps)


def test_names_of_the_table_are_complete_and_lead_to_families() -> None:
    assert {entry.family for entry in MODELS.values()} == {
        "cnn", "vit", "mlp", "rnn", "transformer"
    }  # fmt: skip
    assert family("convnet5_w64") == family("regnety_002") == "cnn"
    assert family("deit_tiny_patch16_224") == family("swin_tiny_patch4_window7_224") == "vit"
    assert describe("transformers", PICTURES).parameters is None


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("convnet_min", "convnet_mini"), ("resnet_18", "resnet18"), ("vit_tinny", "vit_tiny")],
)
def test_an_unknown_name_is_answered_with_close_ones(wrong: str, meant: str) -> None:
    with pytest.raises(UsageError, match=meant) as caught:
        entry(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "mlp", "size": 0}, "from 1"),
        ({"name": "mlp", "taps": ("hidden1",)}, "own taps"),
        ({"name": "convnet3", "taps": ("relu",)}, "pools"),
        ({"name": "vit_mini", "weights": "pretrained"}, "no published weights"),
        ({"name": "mlp", "weights": "nowhere.pt"}, "no weights at"),
        ({"name": "mlp", "normalise": "model"}, "no mean and std"),
        ({"name": "vit_tiny", "size": 20}, "patches|divisible"),
        ({"name": "transformers"}, "weights=FOLDER"),
        ({"name": "convnet0"}, "from 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_line(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(**settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["test_convnext", "test_byobnet", "test_nfnet", "test_vit3", "test_vit_relpos", "ghostnet_050"],
)
def test_other_timm_networks_answer_as_timm_does(name: str) -> None:
    network, batch = made(name, size=32, modality=PICTURES).eval(), noise(PICTURES, 2)
    assert isinstance(network, TimmNet)
    with torch.no_grad():
        reading = network.read(batch)
        assert torch.allclose(reading.logits, network.network(batch.x), atol=1e-5)
    assert reading.taps and math.isfinite(float(reading.logits.sum()))


def test_a_timm_network_with_two_heads_is_refused() -> None:
    with pytest.raises(UsageError, match="no single linear"):
        made("deit_tiny_distilled_patch16_224", size=32)


def test_a_timm_network_without_intermediates_is_tapped_at_its_last_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, batch = made("test_resnet").eval(), noise()
    whole = network.read(batch)
    monkeypatch.delattr(type(network.network), "forward_intermediates")
    reading = network.read(batch)
    assert torch.allclose(reading.logits, whole.logits, atol=1e-6)
    assert len(reading.taps) == 1
    assert torch.allclose(reading.taps[0].spatial, whole.taps[-1].spatial, atol=1e-6)


def test_a_mistyped_network_is_told_which_names_are_close_each_once() -> None:
    with pytest.raises(UsageError, match="unknown model 'resnet81'; did you mean") as told:
        entry("resnet81")
    close = str(told.value).partition("did you mean ")[2].partition("?")[0].split(", ")
    assert "resnet18" in close and len(set(close)) == len(close)
