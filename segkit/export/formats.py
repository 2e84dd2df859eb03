"""Files that hold a network for other engines: ONNX, OpenVINO, and PyTorch's own programs.

A file is made once; `write` gives its bytes with the metadata that it is to carry, as often as that changes.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segkit.export.graph import OPSET, to_onnx, to_program
from segkit.export.quantize import quantize
from segkit.inference.engines._base import ExportedPrecision, require_package
from segkit.inference.exported import Format
from segkit.models.model import Model

Calibration = Sequence[NDArray[np.float32]]
"""Prepared images (N, C, H, W) from which the ranges of int8 are taken."""


class ExportedFile(Protocol):
    """A network in the form of a file."""

    opset: int | None
    """Of ONNX's operators, where it is made of them."""

    def write(self, metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
        """The bytes of the file with this metadata, and of its weights where they stand in a file of their own."""
        ...


class OnnxFile:
    """One file of ONNX."""

    opset: int | None = OPSET

    def __init__(self, network: Model, precision: ExportedPrecision, calibration: Calibration) -> None:
        onnx = require_package("onnx", "the export to ONNX")
        model = onnx.load_model_from_string(to_onnx(network))
        self._model = model if precision != "int8" else quantize(model, [{"images": images} for images in calibration])

    def write(self, metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
        """The file, which holds its weights."""
        import onnx

        onnx.helper.set_model_props(self._model, dict(metadata))
        return self._model.SerializeToString(deterministic=True), b""


class OpenVinoFile:
    """The two files of OpenVINO: operators in `.xml`, weights in `.bin`.

    In fp16 the weights are stored so; bf16 is arithmetic alone.
    """

    opset: int | None = None

    def __init__(self, network: Model, precision: ExportedPrecision, calibration: Calibration) -> None:
        openvino = require_package("openvino", "the export to OpenVINO")
        self._half = precision == "fp16"
        # Not convert_model, which tells a server of Intel's that it was called.
        model = openvino.Core().read_model(to_onnx(network))
        self._model = model if precision != "int8" else quantize(model, calibration)

    def write(self, metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
        """The operators with the metadata, and the weights."""
        import openvino

        for name, text in metadata.items():
            self._model.set_rt_info(text, name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.xml"
            openvino.save_model(self._model, path, compress_to_fp16=self._half)
            return path.read_bytes(), path.with_suffix(".bin").read_bytes()


class TorchFile:
    """A program of `torch.export`, for PyTorch alone: it holds no Python code."""

    opset: int | None = None

    def __init__(self, network: Model, precision: ExportedPrecision, calibration: Calibration) -> None:  # noqa: ARG002
        self.program = to_program(network)

    def write(self, metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
        """The file, which holds its weights."""
        import torch

        content = io.BytesIO()
        torch.export.save(self.program, content, extra_files=dict(metadata))
        return content.getvalue(), b""


FILES: Mapping[Format, type[Any]] = {"onnx": OnnxFile, "openvino": OpenVinoFile, "torch": TorchFile}
"""Makes the file of a network: `FILES[format](network, precision, calibration)`."""

PACKAGES: Mapping[Format, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
    "torch": (),
}
"""What writing and comparing a file needs; int8 needs nncf as well."""
