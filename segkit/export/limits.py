"""What a format cannot hold, and why: the one table that the command, the documentation and the tests read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, get_args

from segkit.errors import UsageError
from segkit.inference.engines._base import ExportedPrecision
from segkit.inference.exported import Format
from segkit.models.config import ModelConfig

NOT_IN_FORMAT: Mapping[tuple[Format, ExportedPrecision], str] = {
    ("onnx", "bf16"): "onnxruntime has no convolution of bf16 for the CPU; take '--format openvino'",
    ("onnx", "fp16"): "onnxruntime computes fp16 on the CPU by way of fp32; take '--format openvino'",
    ("torch", "bf16"): "run the program of fp32 under torch.autocast",
    ("torch", "fp16"): "run the program of fp32 under torch.autocast",
    ("torch", "int8"): "NNCF brings ONNX and OpenVINO to int8; take '--format onnx' or '--format openvino'",
}
"""Precisions that a format does not come in, and why."""


class Limit(NamedTuple):
    """Networks that formats cannot hold.

    Attributes:
        networks: which they are, for people.
        concerns: whether a network is one of them.
        formats: that cannot hold them.
        reason: why, and what to do.
    """

    networks: str
    concerns: Callable[[ModelConfig], bool]
    formats: tuple[Format, ...]
    reason: str


LIMITS = (
    Limit(
        "decoders that find objects one by one (maskrcnn)",
        lambda network: network.finds_objects,
        get_args(Format),
        "it chooses regions while it computes, which exported networks cannot; predict with the model file itself",
    ),
    Limit(
        "vision transformers (backbones smp/tu-vit...)",
        lambda network: network.backbone.startswith("smp/tu-vit"),
        ("openvino",),
        "OpenVINO brings the positions to an image's size without the antialiasing of PyTorch; take '--format onnx'",
    ),
    Limit(
        "networks that only classify",
        lambda network: network.only_classifies,
        ("torch",),
        "a program is one graph, and that of a classifier changes with the size of its images; take '--format onnx'",
    ),
)
"""All other networks of segkit are held by every format."""


def refuse_unsupported(network: ModelConfig, kind: Format, precision: ExportedPrecision) -> None:
    """Raise `UsageError` where a format cannot hold a network, or does not come in a precision."""
    if (kind, precision) in NOT_IN_FORMAT:
        raise UsageError(f"'--format {kind}' does not come in {precision}: {NOT_IN_FORMAT[kind, precision]}")
    for limit in LIMITS:
        if kind in limit.formats and limit.concerns(network):
            named = f"backbone {network.backbone}" + (f" with decoder {network.decoder}" if network.decoder else "")
            raise UsageError(f"'--format {kind}' cannot hold {named}: {limit.reason}")
