"""Any module can be a peer: from a factory, or as a live module."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Image
from condensery.models import Backbone, PeerSpec, build, fingerprint
from condensery.models.convnet import ConvNet
from condensery.types import Batch

DIGITS = Image((1, 8, 8), (0.3,), (0.4,), mirror=False)


class Deep(nn.Module):
    """Five resolutions, and a pooled vector."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [1, 4, 4, 4, 4, 4]
        self.convs = nn.ModuleList(
            [nn.Conv2d(i, o, 3, padding=1) for i, o in zip(sizes[:-1], sizes[1:], strict=True)]
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.max_pool2d(conv(x).relu(), 2)
        return self.fc(self.pool(x).flatten(1))


class Attention(nn.Module):
    """A transformer with a class token: 16 patches of 8 x 8 images, six blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.blocks = nn.ModuleList(
            [nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True) for _ in range(6)]
        )
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), patches], 1)
        for block in self.blocks:
            x = block(x)
        return self.fc(x[:, 0])


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
                         nn.Linear(6 * 64, 10))  # fmt: skip


def made(
    given: Callable[[], nn.Module] | nn.Module,
    modality: Image = DIGITS,
    seed: int = 0,
    keep_head: bool = False,
    **settings: object,
) -> Backbone:
    spec = PeerSpec("mine", **settings)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    return build(spec, modality, 10, generator, {"mine": given}, keep_head)


def noise(count: int = 3, side: int = 8) -> Batch:
    return Batch(torch.randn(count, 1, side, side), torch.arange(count))


def test_automatic_taps_are_the_last_maps_of_the_four_deepest_resolutions() -> None:
    large = Image((1, 32, 32), (0.3,), (0.4,))
    taps = made(Deep, large).read(noise(side=32)).taps
    assert [tap.spatial.shape[-1] for tap in taps] == [16, 8, 4, 2]


def test_automatic_taps_of_a_transformer_are_four_of_its_blocks_with_the_last() -> None:
    network, batch = made(Attention).eval(), noise()
    taps = network.read(batch).taps
    assert [tap.spatial.shape for tap in taps] == [(3, 16, 4, 4)] * 4
    named = made(Attention, taps=("blocks.5",)).eval().read(batch).taps
    assert torch.allclose(taps[-1].spatial, named[0].spatial, atol=1e-6)
    assert torch.allclose(network.read(batch).embedding, taps[-1].semantic, atol=1e-6)


def test_named_layers_are_tapped_in_the_order_given() -> None:
    network, batch = made(plain, taps=("2", "4")).eval(), noise()
    first, second = network.read(batch).taps
    assert isinstance(network.module, nn.Sequential)
    assert torch.equal(first.spatial, network.module[:3](batch.x))
    assert torch.equal(second.spatial.flatten(1), network(batch.x))
    assert torch.equal(network.read(batch).embedding, network.module[:4](batch.x))


def test_reading_leaves_no_hooks_behind() -> None:
    network = made(plain)
    network.read(noise())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


@pytest.mark.parametrize(
    ("given", "settings", "said"),
    [
        (plain, {"taps": ("conv7",)}, "no layer 'conv7'"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), {}, "give it 10 outputs"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(60, 10)), {}, "cannot read images"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Softmax(1)), {}, "10 outputs"),
        (Attention(), {}, "hand over a factory"),
        (lambda: nn.LSTM(8, 10), {}, "cannot read images|must answer"),
    ],
    ids=["layer", "classes", "size", "softmax", "no reset", "not images"],
)
def test_a_module_that_cannot_serve_is_refused_in_one_line(
    given: Callable[[], nn.Module], settings: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(given, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_factory_that_answers_with_the_same_network_each_time_is_refused() -> None:
    only = plain()
    with pytest.raises(UsageError, match="must make a new one"):
        made(lambda: only)


def test_a_live_module_is_an_architecture_that_is_drawn_afresh_and_stays_untouched() -> None:
    live = plain()
    before = {name: tensor.clone() for name, tensor in live.state_dict().items()}
    network = made(live)
    network.restart(torch.Generator().manual_seed(1))
    assert not torch.equal(network.state_dict()["module.0.weight"], before["0.weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in live.state_dict().items())
    again = made(live, seed=1)
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in network.state_dict().items())


@pytest.mark.parametrize("fixed", [True, False], ids=["live", "factory"])
def test_pretrained_keeps_the_weights_that_came_with_it_and_draws_the_head(fixed: bool) -> None:
    live = plain()

    def factory() -> nn.Module:
        copy = plain()
        copy.load_state_dict(live.state_dict())
        return copy

    network = made(live if fixed else factory, weights="pretrained")
    heads = [network.state_dict()["module.4.weight"].clone()]
    for seed in (1, 2):
        network.restart(torch.Generator().manual_seed(seed))
        assert torch.equal(network.state_dict()["module.0.weight"], live[0].weight)
        heads.append(network.state_dict()["module.4.weight"].clone())
    assert not torch.equal(heads[0], heads[1]) and not torch.equal(heads[1], heads[2])
    whole = made(live if fixed else factory, weights="pretrained", keep_head=True).eval()
    batch = noise()
    assert torch.allclose(whole(batch.x), live.eval()(batch.x), atol=1e-6)


def test_a_factory_of_a_backbone_is_taken_as_it_is() -> None:
    network = made(lambda: ConvNet(1, (8, 8), 10, 2, 8))
    assert isinstance(network, ConvNet) and len(network.read(noise()).taps) == 3
    with pytest.raises(UsageError, match="Backbone already"):
        made(lambda: ConvNet(1, (8, 8), 10, 2, 8), size=4)


def test_the_fingerprint_tells_structures_apart_and_not_weights() -> None:
    assert fingerprint(plain()) == fingerprint(plain())
    assert fingerprint(plain()) != fingerprint(Deep())
    assert len(fingerprint(plain())) == 16
