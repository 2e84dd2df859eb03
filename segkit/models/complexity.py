"""What a network is made of, layer by layer: sizes, parameters, multiply-adds, receptive fields, memory.

The network runs once on PyTorch's meta device, which computes shapes and nothing else, so that this takes neither
memory nor much time.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segkit.models.operations import LISTED, MOVING, WHOLE_POOLS, Seen, Window, cost_of, field_behind, window_of
from segkit.models.receptive_field import ReceptiveField

BYTES = 4
"""Of a float32."""

_NOTHING = nn.Identity | nn.Sequential | nn.ModuleList
"""Modules without children that hand on what they are given."""


@dataclass(frozen=True)
class Layer:
    """One layer in the order of computation, for one image.

    Attributes:
        name: path of the module in the network.
        kind: class of the module, or the operation where no module of its own holds it.
        output: channels, height and width; of a vector its length.
        kernel: height and width of the window a convolution or pool moves.
        stride: its steps.
        padding: its padding.
        parameters: numbers learned; 0 where the same module ran before.
        connections: inputs that reach an output, biases included, over all outputs (LeCun et al. 1998, section II-B).
        multiply_adds: products that are added up; pools have none.
        field: height and width in pixels of the theoretical receptive field; None: the whole image, or not known.
        sees_whole_image: whether every unit sees the whole image.
        jump: pixels of the image from one unit to the next.
        centre: pixel (row, column) in the middle of the first unit's field; the centre of the first pixel is 0.
        memory: bytes of its output as float32; 0 where it is written over its input.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    kernel: tuple[int, int] | None
    stride: tuple[int, int] | None
    padding: tuple[int, int] | None
    parameters: int
    connections: int
    multiply_adds: int
    field: tuple[int, int] | None
    sees_whole_image: bool
    jump: tuple[float, float] | None
    centre: tuple[float, float] | None
    memory: int


@dataclass(frozen=True)
class Complexity:
    """The layers of a network and their sums.

    Attributes:
        size: height and width of the image.
        layers: in the order of computation.
        parameters: numbers learned, those of layers that did not run included.
        not_run: parameters that no operation took, such as those of side classifiers, which only training runs.
    """

    size: tuple[int, int]
    layers: tuple[Layer, ...]
    parameters: int
    not_run: int

    @property
    def multiply_adds(self) -> int:
        """Of one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def connections(self) -> int:
        """Of one image."""
        return sum(layer.connections for layer in self.layers)

    @property
    def memory(self) -> int:
        """Bytes of all outputs of one image as float32, which training keeps."""
        return sum(layer.memory for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        totals = {
            "parameters": self.parameters,
            "not_run": self.not_run,
            "connections": self.connections,
            "multiply_adds": self.multiply_adds,
            "memory": self.memory,
        }
        return {"size": list(self.size), "layers": [asdict(layer) for layer in self.layers], "totals": totals}


def measure_complexity(network: nn.Module, in_channels: int, size: tuple[int, int]) -> Complexity:
    """Describe a network in evaluation mode.

    Args:
        network: takes images (1, in_channels, H, W); it is left as it is.
        in_channels: channels of the image.
        size: height and width of the image.
    """
    traced = network if all(p.is_meta for p in network.parameters()) else copy.deepcopy(network).to("meta")
    modes = {module: module.training for module in traced.modules()}
    traced.eval()
    image = torch.zeros(1, in_channels, *size, device="meta")
    trace = _Trace(traced, image)
    try:
        with torch.no_grad(), trace.hooks(), trace:
            traced(image)
    finally:
        # One by one: a frozen part stays in evaluation mode inside a network that trains.
        for module, is_training in modes.items():
            module.training = is_training
    parameters = list(traced.parameters())
    idle = sum(parameter.numel() for parameter in parameters if parameter not in trace.used)
    return Complexity(size, tuple(trace.layers), sum(parameter.numel() for parameter in parameters), idle)


@dataclass
class _Open:
    """A module that is running, and what its operations cost so far."""

    name: str
    module: nn.Module
    is_layer: bool
    window: Window | None = None
    multiply_adds: int = 0
    taps: int = 0
    has_moved: bool = False


def _is_minor(operation: str, inputs: int, seen: Seen) -> bool:
    """Whether an operation adds a number to a map, or reduces its channels alone: no line of its own."""
    if operation in WHOLE_POOLS:
        return not seen.field.is_whole
    return operation.startswith("add") and inputs < 2


class _Trace(TorchDispatchMode):
    """Follows every operation of one pass, and writes down a line for every layer."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.used: set[Tensor] = set()
        self._names = {module: name for name, module in network.named_modules()}
        self._running: list[_Open] = []
        self._counted: set[Tensor] = set()
        # By id, with the tensors themselves, so that no id is given twice: on the meta device they weigh nothing.
        self._seen: dict[int, tuple[Tensor, Seen]] = {}
        self._storages: dict[int, Any] = {}
        self._remember(image, Seen(ReceptiveField(), (image.shape[-2], image.shape[-1])))

    def hooks(self) -> ExitStack:
        """Follow which module runs, until the stack is closed."""
        stack = ExitStack()
        for module in self._names:
            for handle in (
                module.register_forward_pre_hook(self._enter),
                module.register_forward_hook(self._leave),
            ):
                stack.callback(handle.remove)
        return stack

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        # Those of no layer among them, which stand in no line: the position embedding of a transformer.
        self.used.update(leaf for leaf in tree_leaves(args) if isinstance(leaf, nn.Parameter))
        known = [self._seen[id(leaf)][1] for leaf in tree_leaves(args) if id(leaf) in self._seen]
        output = next((leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)), None)
        if not known or output is None:
            return result
        operation = function.overloadpacket.__name__
        seen = field_behind(operation, args, output, known)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._seen[id(leaf)] = leaf, seen
        if self._running:
            self._count(operation, args, output, len(known))
        return result

    def _count(self, operation: str, arguments: tuple[Any, ...], output: Tensor, inputs: int) -> None:
        running = self._running[-1]
        weight = getattr(running.module, "weight", None)
        own = weight.numel() if running.is_layer and isinstance(weight, Tensor) else None
        cost, window = cost_of(operation, arguments, output, own), window_of(operation, arguments)
        if running.is_layer:
            running.multiply_adds += cost.multiply_adds
            running.taps += cost.taps
            running.has_moved |= operation in MOVING
            running.window = running.window or window
        elif operation in LISTED and not _is_minor(operation, inputs, self._seen[id(output)][1]):
            self._write(running.name, LISTED[operation], output, window, cost.multiply_adds, cost.taps, 0)

    def _enter(self, module: nn.Module, _inputs: tuple[Any, ...]) -> None:
        is_layer = all(isinstance(child, nn.Identity) for child in module.children())
        self._running.append(_Open(self._names[module], module, is_layer))

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        running = self._running.pop()
        output = next((leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)), None)
        if output is None:
            return
        if running.is_layer and not running.has_moved:
            self._spread(inputs, output)
        if not running.is_layer or isinstance(module, _NOTHING) or id(output) not in self._seen:
            return
        new = [parameter for parameter in module.parameters() if parameter not in self._counted]
        self._counted.update(new)
        bias = isinstance(getattr(module, "bias", None), Tensor) and running.taps > 0
        self._write(
            running.name,
            type(module).__name__,
            output,
            running.window,
            running.multiply_adds,
            running.taps + bias * output.numel(),
            sum(parameter.numel() for parameter in new),
        )

    def _spread(self, inputs: tuple[Any, ...], output: Tensor) -> None:
        """A module that enlarged a map by copies and views alone set its units apart: a bed of nails."""
        given = next((leaf for leaf in tree_leaves(inputs) if id(leaf) in self._seen), None)
        if given is None or not given.ndim == output.ndim == 4:
            return
        factors = [round(after / before) for after, before in zip(output.shape[2:], given.shape[2:], strict=True)]
        if max(factors) > 1:
            spread = self._seen[id(given)][1].field.along(lambda axis, i: axis.transpose(1, max(factors[i], 1)))
            self._seen[id(output)] = output, Seen(spread, (output.shape[2], output.shape[3]))

    def _remember(self, tensor: Tensor, seen: Seen) -> None:
        self._seen[id(tensor)] = tensor, seen
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = storage

    def _write(
        self, name: str, kind: str, output: Tensor, window: Window | None, products: int, taps: int, parameters: int
    ) -> None:
        seen = self._seen[id(output)][1]
        axes = seen.field.axes
        storage = output.untyped_storage()
        is_new = storage._cdata not in self._storages
        self._remember(output, seen)
        self.layers.append(
            Layer(
                name=name,
                kind=kind,
                output=tuple(output.shape[1:]),
                kernel=window.kernel if window else None,
                stride=window.stride if window else None,
                padding=window.padding if window else None,
                parameters=parameters,
                connections=taps,
                multiply_adds=products,
                field=axes and (axes[0].field, axes[1].field),
                sees_whole_image=seen.field.is_whole,
                jump=axes and (float(axes[0].jump), float(axes[1].jump)),
                centre=axes and (axes[0].centre, axes[1].centre),
                memory=output.numel() * BYTES if is_new else 0,
            )
        )
