"""A network as a graph of operators, for batches and images of any size that the pipeline gives it.

ONNX is written by tracing (`dynamo=False`): what the networks need of sizes it follows, it bounds no side of an image,
and it takes a tenth of the time of PyTorch's other exporter. Programs are what that other one starts from.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor, nn

from segkit.errors import SegkitError
from segkit.export.operators import operators_known
from segkit.export.quiet import quiet
from segkit.inference.engines._base import reason_of
from segkit.models.model import Model

OPSET = 18
"""Of ONNX's operators, the first that interpolates as vision transformers do; ONNX Runtime reads it since 1.14."""

LEAST = 3
"""Sides of the traced image in multiples of the stride, the second one more: a map of one pixel is another graph."""

MOST = 4096
"""Sides that a program of PyTorch takes, in multiples of the stride."""


class _Outputs(nn.Module):
    """A network that gives its outputs in a row, as tracing wants them."""

    def __init__(self, network: Model) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) to the outputs."""
        return tuple(self.network(images).values())


def output_names(network: Model) -> tuple[str, ...]:
    """What the network gives in evaluation, in its order."""
    with torch.no_grad():
        return tuple(network.eval()(sample(network)))


def to_onnx(network: Model) -> bytes:
    """The network as a file of ONNX with the input `images` and the names of its outputs; raises `SegkitError`."""
    network, images, content = network.eval(), sample(network), io.BytesIO()
    with torch.no_grad():
        outputs = network(images)
    try:
        with quiet(), operators_known(OPSET):
            torch.onnx.export(
                _Outputs(network).eval(),
                (images,),
                content,  # type: ignore[arg-type]  # a file in memory, which its documentation allows
                dynamo=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=list(outputs),
                dynamic_axes={"images": _free_axes("images", images)}
                | {name: _free_axes(name, output) for name, output in outputs.items()},
            )
    except Exception as error:  # the exporter raises whatever it stumbles over
        raise SegkitError(f"PyTorch cannot write this network as ONNX: {reason_of(error)}") from None
    return content.getvalue()


def to_program(network: Model) -> torch.export.ExportedProgram:
    """The network as a program of `torch.export`, from images to outputs by name; raises `SegkitError`."""
    network = network.eval()
    multiple, beyond = network.stride_multiple, network.stride_remainder + 2 * network.margin
    count = torch.export.Dim("images", min=1, max=MOST)
    least = _least_multiples(network)
    rows, columns = (torch.export.Dim(name, min=least, max=MOST) for name in ("rows", "columns"))
    sides = {2: multiple * rows + beyond, 3: multiple * columns + beyond}
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(network, (sample(network),), dynamic_shapes=({0: count, **sides},))
    except Exception as error:  # it raises whatever it stumbles over
        raise SegkitError(f"PyTorch cannot write this network as a program: {reason_of(error)}") from None


def sample(network: Model) -> Tensor:
    """Two images of noise (2, C, H, W) of a size that needs no padding, and that no side shares with another."""
    least = _least_multiples(network)
    beyond = network.stride_remainder + 2 * network.margin
    height, width = (network.stride_multiple * count + beyond for count in (least, least + 1))
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, network.config.in_channels, height, width, generator=generator)


def _least_multiples(network: Model) -> int:
    """Sides in multiples of the stride below which an image is another graph, or is mirrored to the paper's size."""
    return max(LEAST, -(-(network.smallest_image - network.stride_remainder) // network.stride_multiple))


def _free_axes(name: str, tensor: Tensor) -> dict[int, str]:
    """The axes of an input or output whose length is the caller's."""
    if tensor.dim() == 4:
        return {0: "images", 2: f"{name} rows", 3: f"{name} columns"}
    return {0: "images", 1: "places"} if name.startswith("detect") else {0: "images"}
