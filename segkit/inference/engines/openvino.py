"""OpenVINO as the engine of exported networks, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.errors import ModelFileError, SegkitError
from segkit.inference.engines._base import ExportedPrecision, reason_of, require_package

_ARITHMETIC = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
"""What OpenVINO is to compute in: the operators of int8 say so themselves, and the others stay exact."""

_NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}


class OpenVinoEngine:
    """Runs a file of OpenVINO, or an ONNX file, on the CPU.

    Left alone OpenVINO computes in the lowest precision that is fast here; this engine tells it which.

    Args:
        model: the bytes of the `.xml`, or of an ONNX file.
        weights: the bytes of the `.bin`; empty of an ONNX file.
        outputs: names of what it gives, in its order; OpenVINO's own may be those of operators before.
        precision: of the arithmetic; where this machine cannot, OpenVINO computes in fp32, and the description says so.

    Raises:
        UsageError: openvino is not installed.
        ModelFileError: it cannot load the file.
    """

    def __init__(self, model: bytes, weights: bytes, outputs: Sequence[str], precision: ExportedPrecision) -> None:
        openvino = require_package("openvino", "this file")
        settings = {"INFERENCE_PRECISION_HINT": _ARITHMETIC[precision], "PERFORMANCE_HINT": "LATENCY"}
        core = openvino.Core()
        try:
            network = core.read_model(model=model, weights=weights) if weights else core.read_model(model)
            self._network = core.compile_model(network, "CPU", settings)
        except Exception as error:  # OpenVINO raises RuntimeError, and whatever its parsers raise
            raise ModelFileError(
                f"openvino {openvino.__version__} cannot load it, update openvino: {reason_of(error)}"
            ) from None
        self._names = tuple(outputs)
        used = str(self._network.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self.description = f"openvino, cpu, {precision if precision == 'int8' else _NAMES.get(used, used)}"

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Images (N, C, H, W) float32 to outputs by name; raises `SegkitError` when it refuses them."""
        try:
            outputs = self._network([images])
        except Exception as error:
            count, channels, height, width = images.shape
            raise SegkitError(
                f"openvino cannot compute {count} x {channels} x {height} x {width} values: {reason_of(error)}"
            ) from None
        return {name: np.asarray(outputs[position], np.float32) for position, name in enumerate(self._names)}
