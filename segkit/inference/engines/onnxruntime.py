"""ONNX Runtime as the engine of exported networks; the image of a program that predicts needs no PyTorch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkit.errors import ModelFileError, SegkitError
from segkit.inference.engines._base import ExportedPrecision, reason_of, require_package


class OnnxRuntimeEngine:
    """Runs an ONNX file on the CPU.

    Args:
        model: the bytes of the file.
        precision: of the file, for people: its operators say what is computed.

    Raises:
        UsageError: onnxruntime is not installed.
        ModelFileError: it cannot load the file.
    """

    def __init__(self, model: bytes, precision: ExportedPrecision) -> None:
        onnxruntime = require_package("onnxruntime", "an ONNX file")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors are raised; its warnings are about its own optimizations
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no class in common
            raise ModelFileError(
                f"onnxruntime {onnxruntime.__version__} cannot load it, update onnxruntime: {reason_of(error)}"
            ) from None
        self._names = [output.name for output in self._session.get_outputs()]
        self.description = f"onnxruntime, cpu, {precision}"

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Images (N, C, H, W) float32 to outputs by name; raises `SegkitError` when it refuses them."""
        try:
            outputs = self._session.run(None, {"images": images})
        except Exception as error:
            count, channels, height, width = images.shape
            raise SegkitError(
                f"onnxruntime cannot compute {count} x {channels} x {height} x {width} values: {reason_of(error)}"
            ) from None
        return dict(zip(self._names, outputs, strict=True))
