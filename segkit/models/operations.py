"""What the operations of PyTorch cost, and what their results see of the image: rules by operation (`aten`).

Rules for operations rather than for modules hold for every network, those of other libraries included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import Any

from torch import Tensor

from segkit.models.receptive_field import UNKNOWN, WHOLE_IMAGE, ReceptiveField

Arguments = Sequence[Any]

POOLS = {"max_pool2d_with_indices", "avg_pool2d", "avg_pool3d"}
WHOLE_POOLS = {"mean", "amax", "sum"}
ADAPTIVE_POOLS = {"_adaptive_avg_pool2d", "adaptive_max_pool2d"}
ENLARGED = {"upsample_nearest2d", "_upsample_nearest_exact2d", "max_unpool2d", "pixel_shuffle"}
INTERPOLATED = {"upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_bicubic2d"}
PADDINGS = {"constant_pad_nd", "replication_pad2d", "reflection_pad2d"}
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}
ATTENTION = {"bmm", "baddbmm"}

MOVING = {"convolution", "pixel_unshuffle", "scatter"} | POOLS | ADAPTIVE_POOLS | ENLARGED | INTERPOLATED | WHOLE_POOLS
"""Operations that change the step from one unit to the next."""

LISTED = {
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d"), "pool"),
    **dict.fromkeys(ADAPTIVE_POOLS, "adaptive pool"),
    **dict.fromkeys(WHOLE_POOLS, "pool"),
    **dict.fromkeys(ENLARGED | INTERPOLATED, "upsample"),
    **dict.fromkeys(PRODUCTS, "matrix product"),
    **dict.fromkeys(("relu", "relu_"), "relu"),
    "max_unpool2d": "max unpool",
    "pixel_shuffle": "pixel shuffle",
    "convolution": "convolution",
    "cat": "concatenate",
    "add": "add",
    "add_": "add",
}
"""Operations that are a line of their own where no layer module holds them, and what that line calls them."""


@dataclass(frozen=True)
class Seen:
    """What is known of a tensor: what its units see, and how many there are along height and width."""

    field: ReceptiveField
    positions: tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Kernel, stride, padding and dilation of a convolution or pool, each along height and width."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    is_transposed: bool = False


@dataclass(frozen=True)
class Cost:
    """What one operation costs.

    Attributes:
        multiply_adds: products of two numbers that are added up.
        taps: inputs that reach each output, over all outputs; for products the multiply-adds.
    """

    multiply_adds: int = 0
    taps: int = 0


def window_of(operation: str, arguments: Arguments) -> Window | None:
    """The window that an operation moves over the map, if it does."""
    if operation == "convolution":
        _, weight, _, stride, padding, dilation, transposed = arguments[:7]
        if weight.ndim != 4:
            return None
        kernel = (weight.shape[2], weight.shape[3])
        return Window(kernel, _pair(stride), _pair(padding), _pair(dilation), transposed)
    if operation in POOLS:
        kernel = _pair(arguments[1])
        stride = _pair(arguments[2]) if len(arguments) > 2 and arguments[2] else kernel
        padding = _pair(arguments[3]) if len(arguments) > 3 else (0, 0)
        return Window(kernel, stride, padding)
    return None


def cost_of(operation: str, arguments: Arguments, output: Tensor, own_weights: int | None) -> Cost:
    """What an operation costs.

    Args:
        operation: its name.
        arguments: what it is given.
        output: what it gives.
        own_weights: weights of the module it runs in; a convolution by a table fills up with zeros, which are no cost.
    """
    if operation == "convolution":
        source, weight, *_, transposed = arguments[:7]
        weights = min(weight.numel(), own_weights or weight.numel())
        places = source if transposed else output
        products = weights * places.shape[0] * places.shape[2:].numel()
        return Cost(products, products)
    if operation in PRODUCTS:
        products = output.numel() * arguments[-2 if operation in {"mm", "bmm"} else 1].shape[-1]
        return Cost(products, products)
    if (window := window_of(operation, arguments)) is not None:
        return Cost(taps=output.numel() * window.kernel[0] * window.kernel[1])
    if operation in ADAPTIVE_POOLS or (operation == "mean" and arguments[0].numel() > output.numel()):
        return Cost(taps=arguments[0].numel())
    return Cost()


def field_behind(operation: str, arguments: Arguments, output: Tensor, inputs: Sequence[Seen]) -> Seen:
    """What the units of an operation's result see, given what those of its inputs see.

    Not counted are the statistics that normalization takes over a map. All attention counts as global, windows or not.
    """
    # Where an unpooling puts a value is no news to its units: the index came from inside the value's own field.
    inputs = {"max_unpool2d": inputs[:1], "scatter": inputs[-1:]}.get(operation, inputs)
    first = inputs[0]
    field = first.field
    for other in inputs[1:]:
        field = field.join(other.field)
    positions = max((seen.positions for seen in inputs), key=lambda sides: sides[0] * sides[1])
    if operation in ATTENTION:
        return Seen(WHOLE_IMAGE, positions)
    if operation in PRODUCTS:
        return _behind_product(output, Seen(field, positions))
    if operation in WHOLE_POOLS:
        return _behind_reduction(arguments, Seen(field, positions))
    if operation == "scatter":
        return _behind_scatter(arguments, output, first)
    if operation in PADDINGS or operation == "slice":
        return _behind_crop(operation, arguments, output, first)
    if operation in {"convolution", "pixel_unshuffle"} | POOLS | ADAPTIVE_POOLS | ENLARGED | INTERPOLATED:
        return Seen(_moved(operation, arguments, output, first), _sides(output))
    return Seen(field, positions)


def _moved(operation: str, arguments: Arguments, output: Tensor, seen: Seen) -> ReceptiveField:
    field = seen.field
    window = window_of(operation, arguments)
    if window is not None and window.is_transposed:
        return field.along(
            lambda axis, i: axis.transpose(window.kernel[i], window.stride[i], window.padding[i], window.dilation[i])
        )
    if window is not None:
        return field.along(
            lambda axis, i: axis.slide(window.kernel[i], window.stride[i], window.padding[i], window.dilation[i])
        )
    if operation == "pixel_unshuffle":
        return field.along(lambda axis, _: axis.slide(arguments[1], arguments[1]))
    ratios = [Fraction(after, before) for after, before in zip(_sides(output), seen.positions, strict=True)]
    if operation in ADAPTIVE_POOLS:
        whole = [1 / ratio for ratio in ratios]
        is_even = all(step.denominator == 1 for step in whole) and max(_sides(output)) > 1
        return field.along(lambda axis, i: axis.slide(int(whole[i]), int(whole[i]))) if is_even else WHOLE_IMAGE
    factors = [max(round(ratio), 1) for ratio in ratios]
    if operation in INTERPOLATED:
        return field.along(lambda axis, i: axis.interpolate(factors[i]))
    return field.along(lambda axis, i: axis.repeat(factors[i]))


def _behind_scatter(arguments: Arguments, output: Tensor, seen: Seen) -> Seen:
    """Max unpooling of maps that are flattened: (N, C, h w) values into (N, C, H W) places."""
    height, width = seen.positions
    if output.ndim != 3 or arguments[-1].shape[-1] != height * width:
        return Seen(UNKNOWN, seen.positions)
    factor = max(round(sqrt(output.shape[-1] / (height * width))), 1)
    return Seen(seen.field.along(lambda axis, _: axis.repeat(factor)), (height * factor, width * factor))


def _behind_product(output: Tensor, seen: Seen) -> Seen:
    """A product with a matrix: of every position by itself, or of a whole flattened map."""
    count = seen.positions[0] * seen.positions[1]
    is_by_position = output.shape[0] % count == 0
    return seen if is_by_position else Seen(WHOLE_IMAGE, (1, 1))


def _behind_reduction(arguments: Arguments, seen: Seen) -> Seen:
    source = arguments[0]
    given = arguments[1] if len(arguments) > 1 and arguments[1] is not None else range(source.ndim)
    dimensions = {dimension % source.ndim for dimension in ([given] if isinstance(given, int) else given)}
    spatial = {1} if source.ndim == 3 else {source.ndim - 2, source.ndim - 1} if source.ndim > 3 else set()
    return Seen(WHOLE_IMAGE, (1, 1)) if dimensions & spatial else seen


def _behind_crop(operation: str, arguments: Arguments, output: Tensor, seen: Seen) -> Seen:
    if output.ndim < 4 or seen.field.axes is None:
        return seen
    before, step = [0, 0], [1, 1]
    if operation == "slice":
        axis = (arguments[1] if len(arguments) > 1 else 0) % output.ndim - output.ndim + 2
        if axis < 0:
            return seen
        start = arguments[2] if len(arguments) > 2 and arguments[2] is not None else 0
        before[axis] = start if start >= 0 else arguments[0].shape[axis - 2] + start
        step[axis] = arguments[4] if len(arguments) > 4 else 1
    else:
        around = [*arguments[1], 0, 0]
        before = [-around[2], -around[0]]
    field = seen.field.along(lambda axis, i: axis.slide(1, step[i], -before[i]))
    return Seen(field, _sides(output))


def _sides(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[-2], tensor.shape[-1]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    """Values along height and width: of the last two axes, or one for both."""
    if isinstance(value, int):
        return value, value
    return value[-1] if len(value) == 1 else value[-2], value[-1]
