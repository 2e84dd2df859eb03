"""Operators of PyTorch that its exporter cannot write for images of any size, in those of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.onnx import register_custom_op_symbolic, unregister_custom_op_symbolic  # type: ignore[attr-defined]
from torch.onnx.symbolic_helper import parse_args

_INT64 = 7
_FLOAT = 1
"""ONNX's numbers of types."""


@contextmanager
def operators_known(opset: int) -> Iterator[None]:
    """Teach the exporter these operators meanwhile."""
    for name, write in _OPERATORS.items():
        register_custom_op_symbolic(name, write, opset)
    try:
        yield
    finally:
        for name in _OPERATORS:
            unregister_custom_op_symbolic(name, opset)


def _bicubic(graph: Any, x: Any, size: Any, align_corners: Any, scales: Any) -> Any:  # noqa: ARG001
    """Bicubic interpolation of a map (N, C, h, w) to a size (H, W), with antialiasing, as vision transformers do."""
    nothing = graph.op("Constant", value_t=torch.tensor([], dtype=torch.float32))
    batch = graph.op("Slice", graph.op("Shape", x), _numbers(graph, 0), _numbers(graph, 2))
    sizes = graph.op("Concat", batch, graph.op("Cast", size, to_i=_INT64), axis_i=0)
    return graph.op(
        "Resize", x, nothing, nothing, sizes,
        mode_s="cubic", cubic_coeff_a_f=-0.5, antialias_i=1, coordinate_transformation_mode_s="half_pixel",
        exclude_outside_i=1,
    )  # fmt: skip


@parse_args("v", "is")
def _cells(graph: Any, x: Any, size: list[int]) -> Any:
    """The means of a map (N, C, H, W) over a number of cells down and across, which overlap where it does not divide.

    Two products with matrices that hold, for every cell, the weights of rows and of columns.
    """
    if size == [1, 1]:
        return graph.op("GlobalAveragePool", x)
    down, across = (_weights_of_cells(graph, x, axis, count) for axis, count in zip((2, 3), size, strict=True))
    return graph.op("MatMul", graph.op("MatMul", down, x), graph.op("Transpose", across, perm_i=[1, 0]))


def _weights_of_cells(graph: Any, x: Any, axis: int, count: int) -> Any:
    """(count, length) the weights of the pixels along an axis: cell i from floor(i L / n) up to ceil((i + 1) L / n)."""
    length = graph.op("Gather", graph.op("Shape", x), _number(graph, axis))
    positions = graph.op("Range", _number(graph, 0), length, _number(graph, 1))
    cells = torch.arange(count)[:, None]
    first, after = (
        graph.op("Div", graph.op("Add", graph.op("Mul", _constant(graph, number), length), add), _number(graph, count))
        for number, add in ((cells, _number(graph, 0)), (cells + 1, _number(graph, count - 1)))
    )
    inside = graph.op("And", graph.op("GreaterOrEqual", positions, first), graph.op("Less", positions, after))
    weights = graph.op("Cast", inside, to_i=_FLOAT)
    return graph.op("Div", weights, graph.op("ReduceSum", weights, _numbers(graph, 1), keepdims_i=1))


def _constant(graph: Any, value: torch.Tensor) -> Any:
    return graph.op("Constant", value_t=value)


def _number(graph: Any, value: int) -> Any:
    return _constant(graph, torch.tensor(value))


def _numbers(graph: Any, value: int) -> Any:
    return _constant(graph, torch.tensor([value]))


_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "aten::_upsample_bicubic2d_aa": _bicubic,
    "aten::adaptive_avg_pool2d": _cells,
}
