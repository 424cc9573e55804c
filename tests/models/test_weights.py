"""Weights from files and folders: strict except for the head, and never a silent random network."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from condensery.errors import RunError, UsageError
from condensery.modality import Image
from condensery.models import Backbone, PeerSpec, build
from condensery.models.weights import read_state
from condensery.types import Batch

DIGITS = Image((1, 8, 8), (0.3,), (0.4,), mirror=False)
CIFAR = Image((3, 32, 32), (0.4913, 0.4822, 0.4464), (0.2471, 0.2436, 0.2617))


def made(
    name: str, modality: Image = DIGITS, seed: int = 0, keep_head: bool = False,
    classes: int = 10, **settings: object,
) -> Backbone:  # fmt: skip
    spec = PeerSpec(name, **settings)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    return build(spec, modality, classes, generator, keep_head=keep_head)


def saved(network: nn.Module, path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file({name: t.contiguous() for name, t in network.state_dict().items()}, path)
    else:
        torch.save({"state_dict": network.state_dict()}, path)
    return str(path)


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth"])
@pytest.mark.parametrize("name", ["convnet_mini", "resnet_mini", "vit_mini"])
def test_a_file_brings_back_all_but_the_head_and_so_does_a_restart(
    name: str, ending: str, tmp_path: Path
) -> None:
    teacher = made(name, seed=1).eval()
    network = made(name, seed=2, weights=saved(teacher, tmp_path / f"w{ending}"))
    x = torch.randn(4, 1, 8, 8)
    network.train()(x)
    for seed in (3, 4):
        network.restart(torch.Generator().manual_seed(seed))
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, teacher.state_dict()[key]) == (key not in network.head)
    whole = made(name, seed=2, weights=str(tmp_path / f"w{ending}"), keep_head=True).eval()
    assert torch.allclose(whole(x), teacher(x), atol=1e-6)


def test_a_head_of_other_classes_is_left_out_and_cannot_be_kept(tmp_path: Path) -> None:
    path = saved(made("convnet_mini", classes=7), tmp_path / "w.pt")
    assert made("convnet_mini", weights=path).read(
        Batch(torch.randn(2, 1, 8, 8), torch.zeros(2))).logits.shape == (2, 10)  # fmt: skip
    with pytest.raises(UsageError, match="no head for these classes"):
        made("convnet_mini", weights=path, keep_head=True)
    with pytest.raises(UsageError, match="no trained head"):
        made("convnet_mini", keep_head=True)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = saved(made("lenet"), tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="missing convs.0.bias.*unexpected conv1.bias"):
        made("convnet_mini", weights=path)
    narrow = saved(made("convnet3_w16"), tmp_path / "narrow.safetensors")
    with pytest.raises(UsageError, match=r"convs.0.bias is \(16,\), not \(32,\)"):
        made("convnet_mini", weights=narrow)
    with pytest.raises(UsageError, match="does not hold the weights of resnet18"):
        made("resnet18", size=32, weights=path)


class Evil:
    """Pickled code: reading it would run it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def test_a_file_with_code_or_without_tensors_is_refused_unexecuted(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": Evil()}, path)
    with pytest.raises(UsageError, match="more than tensors"):
        read_state(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UsageError):
        read_state(path)
    buffer = io.BytesIO()
    torch.save({"a": 1}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(UsageError, match="no tensors by name"):
        read_state(path)
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="damaged"):
        read_state(tmp_path / "w.safetensors")
    (tmp_path / "w.txt").write_text("")
    with pytest.raises(UsageError, match="are read from"):
        read_state(tmp_path / "w.txt")
    with pytest.raises(UsageError, match="is a folder"):
        read_state(tmp_path)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    network = made("convnet_mini").half()
    state = read_state(saved(network, tmp_path / "w.safetensors"))
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def test_pretrained_weights_out_of_reach_are_an_error_that_says_how_to_give_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RunError, match="weights=FILE") as caught:
        made("vit_tiny", weights="pretrained")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no pretrained weights"):
        made("convnext_atto_rms", size=32, weights="pretrained")
    with pytest.raises(UsageError, match="Invalid pretrained tag"):
        made("resnet18.nonesuch", weights="pretrained")


def test_pretrained_weights_in_the_local_cache_are_found_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import timm

    source = timm.create_model("resnet10t", num_classes=1000)
    config = timm.get_pretrained_cfg("resnet10t")
    repository = tmp_path / f"models--{config.hf_hub_id.replace('/', '--')}"
    place = repository / "snapshots" / "abc"
    place.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    saved(source, place / "model.safetensors")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    network = made("resnet10t", CIFAR, size=32, weights="pretrained")
    kept = source.state_dict()["layer1.0.conv1.weight"]
    assert torch.equal(network.state_dict()["network.layer1.0.conv1.weight"], kept)
    network.restart(torch.Generator().manual_seed(4))
    assert torch.equal(network.state_dict()["network.layer1.0.conv1.weight"], kept)


def test_a_timm_vit_resamples_its_positions_and_takes_grey_images(tmp_path: Path) -> None:
    import timm

    source = timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=64)
    path = saved(source, tmp_path / "w.safetensors")
    network = made("vit_tiny", size=32, weights=path)
    own = network.state_dict()
    assert own["network.pos_embed"].shape == (1, 1 + 2 * 2, 192)
    colour = source.state_dict()["patch_embed.proj.weight"]
    assert torch.allclose(own["network.patch_embed.proj.weight"], colour.sum(1, keepdim=True),
                          atol=1e-6)  # fmt: skip
    assert torch.equal(own["network.blocks.3.mlp.fc1.weight"],
                       source.state_dict()["blocks.3.mlp.fc1.weight"])  # fmt: skip
    assert network.affine is not None
    assert made("vit_tiny", size=32, weights=path, normalise="data").affine is None


def small_folder(folder: Path, kind: str) -> str:
    import transformers

    common = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=2, patch_size=4,
                  image_size=16, hidden_dropout_prob=0.0)  # fmt: skip
    if kind == "vit":
        config = transformers.ViTConfig(**common, intermediate_size=48)
        network: nn.Module = transformers.ViTModel(config)
    else:
        config = transformers.Dinov2Config(**common, mlp_ratio=2)
        network = transformers.Dinov2Model(config)
    network.half().save_pretrained(folder)  # type: ignore[operator]
    return str(folder)


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_a_transformers_folder_is_read_as_a_vit(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = small_folder(tmp_path / kind, kind)
    network = made("transformers", CIFAR, weights=folder, size=32)
    batch = Batch(torch.randn(2, 3, 32, 32), torch.tensor([0, 1]))
    with sdpa_kernel(SDPBackend.MATH):
        reading = network.read(batch)
        loss = F.cross_entropy(reading.logits, batch.y)
        first = torch.autograd.grad(loss, list(network.parameters()), create_graph=True,
                                    allow_unused=True)  # fmt: skip
        total = torch.stack([g.square().sum() for g in first if g is not None]).sum()
        total.backward()
    assert [tap.spatial.shape for tap in reading.taps] == [(2, 24, 8, 8)] * 3
    norm = network.get_submodule("encoder.layernorm")
    assert torch.allclose(norm(reading.taps[-1].semantic), reading.embedding, atol=1e-5)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert network.affine is not None

    stored = load_file(Path(folder) / "model.safetensors")
    network.restart(torch.Generator().manual_seed(9))
    position = network.state_dict()["encoder.embeddings.position_embeddings"]
    assert torch.equal(position, stored["embeddings.position_embeddings"].float())
    again = made("transformers", CIFAR, weights=folder, size=32, seed=9)
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in network.state_dict().items())


def test_a_transformers_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = small_folder(tmp_path / "vit", "vit")
    with pytest.raises(UsageError, match="do not divide"):
        made("transformers", CIFAR, weights=folder, size=30)
    weights = Path(folder) / "model.safetensors"
    state = load_file(weights)
    state.pop("embeddings.position_embeddings")
    save_file(state, weights, {"format": "pt"})
    with pytest.raises(UsageError, match="missing keys embeddings.position_embeddings"):
        made("transformers", CIFAR, weights=folder)


@pytest.mark.realdata
def test_resnet20_reads_cifar10(real_data: Path) -> None:
    import numpy as np
    import pyarrow.parquet
    from PIL import Image as Picture

    found = sorted((real_data / "cifar10").rglob("*test*.parquet"))
    rows = next(pyarrow.parquet.ParquetFile(found[0]).iter_batches(500)).to_pylist()
    pictures = [Picture.open(io.BytesIO(row["img"]["bytes"])).convert("RGB") for row in rows]
    raw = torch.from_numpy(np.stack([np.asarray(each) for each in pictures])).permute(0, 3, 1, 2)
    labels = torch.tensor([row["label"] for row in rows])
    path = real_data / "weights" / "cifar10_resnet" / "resnet20.safetensors"
    teacher = made("cifar_resnet20", CIFAR, weights=str(path), keep_head=True).eval()
    with torch.no_grad():
        answers = teacher(CIFAR.normalise(raw)).argmax(1)
    assert float((answers == labels).float().mean()) >= 0.90


@pytest.mark.realdata
def test_a_local_timm_file_loads_whole_with_its_own_mean_and_std(real_data: Path) -> None:
    path = real_data / "weights" / "efficientnet_lite0" / "timm_tf_efficientnet_lite0.safetensors"
    network = made("tf_efficientnet_lite0", CIFAR, weights=str(path), size=64)
    stored = load_file(path)
    own = network.state_dict()
    shared = [name for name in stored if f"network.{name}" not in network.head]
    assert all(torch.equal(own[f"network.{name}"], stored[name]) for name in shared)
    grey = CIFAR.from_pixels(torch.full((1, 3, 64, 64), 0.5))
    assert network.prepare(grey).abs().max() < 1e-5


@pytest.mark.realdata
def test_the_local_dinov2_folder_is_read_at_a_small_size(real_data: Path) -> None:
    folder = str(real_data / "weights" / "vit_small_14_saliency")
    network = made("transformers", CIFAR, weights=folder, size=28).eval()
    with torch.no_grad():
        reading = network.read(Batch(torch.randn(2, 3, 32, 32), torch.zeros(2)))
    assert [tap.spatial.shape for tap in reading.taps] == [(2, 384, 2, 2)] * 12
    assert reading.logits.isfinite().all()
