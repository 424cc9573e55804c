"""Any ``nn.Module`` as a backbone: its layers are read through hooks."""

from __future__ import annotations

import contextlib
import copy
import difflib
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from condensery.errors import UsageError
from condensery.modality import Modality
from condensery.models.backbone import Backbone, PeerSpec, as_map, as_tokens
from condensery.models.plan import Plan, head_names, input_size
from condensery.models.weights import read_state
from condensery.streams import borrow
from condensery.types import Reading, Tap

AUTO_TAPS = 4


class Foreign(Backbone):
    """A module of someone else, from images to logits ``(n, classes)``.

    Args:
        module: the network.
        layers: names of the layers to tap, shallow to deep. A layer may answer with a map
            ``(n, channels, height, width)``, with tokens ``(n, tokens, channels)`` (a square number
            of them, or one more with the class token first; any other number is a sequence), or
            with one vector for each sample. Of a tuple the first part is read; of a layer that runs
            several times, the last.
        classifier: name of the layer that makes the logits; its input is the embedding.
        size: (height, width) to resize to.
    """

    def __init__(
        self, module: nn.Module, layers: tuple[str, ...], classifier: str, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.module = module
        self.layers = layers
        self.classifier = classifier
        self.size = size
        self.head = tuple(f"module.{name}" for name in head_names(module, classifier))

    def look(self, x: Tensor, mask: Tensor | None, taps: bool) -> Reading:
        """Read images ``(n, channels, height, width)`` of this network's size."""
        names = self.layers if taps else ()
        with _listen(self.module, names, self.classifier) as (inputs, outputs):
            logits = self.module(x)
        read = tuple(_tap(outputs[name]) for name in names)
        return Reading(logits, inputs[self.classifier].flatten(1), read)


@contextlib.contextmanager
def _listen(
    module: nn.Module, names: tuple[str, ...], classifier: str
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Collect what the classifier is given and what the named layers answer, in this context."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def given(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs[classifier] = arguments[0]

    def answered(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            output = output[0] if isinstance(output, tuple) else output
            if isinstance(output, Tensor):
                outputs.pop(name, None)
                outputs[name] = output

        return hook

    handles = [module.get_submodule(name).register_forward_hook(answered(name)) for name in names]
    if classifier:
        handles.append(module.get_submodule(classifier).register_forward_pre_hook(given))
    try:
        yield inputs, outputs
    finally:
        for handle in handles:
            handle.remove()


def _tap(output: Tensor) -> Tap:
    if output.ndim == 4:
        return as_map(output)
    if output.ndim == 2:
        return as_map(output[:, :, None, None])
    count = output.shape[1]
    for prefix in (0, 1):
        side = math.isqrt(count - prefix)
        if side > 0 and side * side == count - prefix:
            return as_tokens(output, (side, side), prefix)
    return as_map(output.transpose(1, 2))


def foreign_plan(
    spec: PeerSpec, modality: Modality, classes: int, modules: Mapping[str, Callable[[], nn.Module]]
) -> Plan:
    """A network that was handed over: a factory, a live module, or a factory of a ``Backbone``.

    A live module is taken as an architecture: each network is a copy of it that is drawn afresh by
    the ``reset_parameters`` of its layers. With ``weights="pretrained"`` the weights that it (or
    what the factory makes) came with are kept, and only the head is fresh.

    Raises:
        UsageError: it cannot be drawn afresh, does not answer with logits of these classes, or has
            no layer of a name in ``spec.taps``.
    """
    given = modules[spec.name]
    size = input_size(spec, modality)
    maker = _redrawn(given, spec.name) if isinstance(given, nn.Module) else given
    with borrow(torch.Generator().manual_seed(0)):
        sample, other = maker(), maker()
        if sample is other:
            raise UsageError(f"the factory of {spec.name!r} answers with the same network each "
                             f"time: it must make a new one")  # fmt: skip
        if isinstance(sample, Backbone):
            return _ready(spec, maker)
        names = _probe(sample, (2, modality.shape[0], *size), classes, spec)

    def make() -> Backbone:
        backbone = Foreign(maker(), *names, size)
        if spec.weights is not None:
            head = backbone.module.get_submodule(backbone.classifier)
            head.reset_parameters()  # type: ignore[operator]
        return backbone

    if spec.weights is None:
        return Plan(make)
    origin = given if isinstance(given, nn.Module) else sample
    return Plan(make, lambda: _state(spec, origin))


def _ready(spec: PeerSpec, maker: Callable[[], nn.Module]) -> Plan:
    if spec.weights is not None or spec.taps != "auto" or spec.size is not None:
        raise UsageError(f"{spec.name!r} is a Backbone already: set weights, taps and size in its "
                         f"factory")  # fmt: skip
    return Plan(maker)  # type: ignore[arg-type]


def _state(spec: PeerSpec, origin: nn.Module) -> dict[str, Tensor]:
    assert spec.weights is not None
    state = origin.state_dict() if spec.weights == "pretrained" else read_state(spec.weights)
    return {f"module.{name}": tensor.detach().cpu().clone() for name, tensor in state.items()}


def _redrawn(live: nn.Module, name: str) -> Callable[[], nn.Module]:
    """A factory of fresh copies of a live module.

    Raises:
        UsageError: some of its parameters belong to layers that cannot draw them afresh.
    """
    for path, layer in live.named_modules():
        if list(layer.parameters(recurse=False)) and not hasattr(layer, "reset_parameters"):
            raise UsageError(
                f"{name!r} is a live module whose layer {path or type(layer).__name__!r} has no "
                f"reset_parameters(): hand over a factory, modules={{{name!r}: function}}"
            )

    def make() -> nn.Module:
        fresh = copy.deepcopy(live).cpu().train()
        for layer in fresh.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()  # type: ignore[operator]
        return fresh

    return make


@torch.no_grad()
def _probe(
    module: nn.Module, shape: tuple[int, ...], classes: int, spec: PeerSpec
) -> tuple[tuple[str, ...], str]:
    """Names of the layers to tap, and of the classifier: found by reading two blank samples."""
    names = tuple(name for name, _ in module.named_modules() if name)
    module.eval()
    with _listen(module, names, "") as (_, outputs):
        try:
            logits = module(torch.zeros(shape))
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise UsageError(f"{spec.name!r} cannot read images of shape {shape[1:]} (set size to "
                             f"resize them): {str(error).splitlines()[0]}") from error  # fmt: skip
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if found != (shape[0], classes):
        raise UsageError(f"{spec.name!r} must answer with logits of shape (batch, {classes}), not "
                         f"{found}: give it {classes} outputs")  # fmt: skip
    return _choose(outputs, spec, names), _classifier(module, outputs, spec)


def _classifier(module: nn.Module, outputs: dict[str, Tensor], spec: PeerSpec) -> str:
    for name in reversed(outputs):
        if isinstance(module.get_submodule(name), nn.Linear | nn.Conv2d):
            return name
    raise UsageError(f"{spec.name!r} has no linear or convolutional layer to be its head; make a "
                     f"Backbone of it")  # fmt: skip


def _choose(
    outputs: Mapping[str, Tensor], spec: PeerSpec, names: tuple[str, ...]
) -> tuple[str, ...]:
    if spec.taps == "auto":
        return _auto(outputs)
    for name in spec.taps:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=3, cutoff=0.3) or names[:5]
            raise UsageError(f"{spec.name!r} has no layer {name!r}; close: {', '.join(close)}")
        if name not in outputs or outputs[name].ndim not in (2, 3, 4):
            raise UsageError(f"layer {name!r} of {spec.name!r} answers with no map, tokens or "
                             f"vector that could be tapped")  # fmt: skip
    return spec.taps


def _auto(outputs: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The last map of each resolution, the four deepest; else up to four layers of tokens."""
    maps: dict[tuple[int, ...], str] = {}
    for name, output in outputs.items():
        if output.ndim == 4 and output.shape[-2:].numel() > 1:
            maps.pop(tuple(output.shape[-2:]), None)
            maps[tuple(output.shape[-2:])] = name
    shapes = [tuple(output.shape) for output in outputs.values() if output.ndim == 3]
    if len(maps) > 1 or not shapes:
        return tuple(maps.values())[-AUTO_TAPS:]
    # A transformer: its blocks answer with tokens of the shape that most layers have.
    common = max(shapes, key=shapes.count)
    tokens = [name for name, output in outputs.items() if tuple(output.shape) == common]
    numbered = [name for name in tokens if name.rsplit(".", 1)[-1].isdigit()]
    outer = min((name.count(".") for name in numbered), default=0)
    blocks = [name for name in numbered if name.count(".") == outer] or tokens
    count = min(AUTO_TAPS, len(blocks))
    return tuple(blocks[(step + 1) * len(blocks) // count - 1] for step in range(count))


def fingerprint(module: nn.Module) -> str:
    """What a module is made of, in 16 hexadecimal digits: names, shapes and types of its tensors.

    A run's config keeps it, so that a resume with another network is noticed. The weights do not
    count.
    """
    parts = [
        f"{name} {tuple(tensor.shape)} {tensor.dtype}"
        for name, tensor in sorted(module.state_dict().items())
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
