"""What a format cannot hold, and why: the one table that the command, the documentation and the tests read."""

from __future__ import annotations

from collections.abc import Mapping

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


def refuse_network(config: ModelConfig) -> None:
    """Raise `UsageError` for a network that no format holds."""
    if config.finds_objects:
        raise UsageError(
            f"decoder {config.decoder} chooses regions while it computes, which exported networks cannot; predict with "
            "the model file itself"
        )


def refuse_unsupported(kind: Format, precision: ExportedPrecision) -> None:
    """Raise `UsageError` where a format does not come in a precision."""
    if (kind, precision) in NOT_IN_FORMAT:
        raise UsageError(f"'--format {kind}' does not come in {precision}: {NOT_IN_FORMAT[kind, precision]}")
