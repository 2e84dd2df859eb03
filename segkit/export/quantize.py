"""Post-training quantization to int8 by NNCF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

from segkit.errors import SegkitError
from segkit.export.quiet import quiet
from segkit.inference.engines._base import reason_of, require_package

_Graph = TypeVar("_Graph")


def quantize(model: _Graph, items: Sequence[Any]) -> _Graph:
    """A model of ONNX or OpenVINO with weights and activations of convolutions and products in int8.

    Args:
        model: in fp32.
        items: inputs of the model, from which the ranges of activations are taken; at least one.

    Raises:
        UsageError: nncf is not installed.
        SegkitError: it cannot quantize the network.
    """
    os.environ.setdefault("NNCF_CI", "1")  # read at its import: it tells a server of Intel's what is done, else
    with quiet():
        nncf = require_package("nncf", "int8")
        try:
            return nncf.quantize(model, nncf.Dataset(items), subset_size=len(items))
        except Exception as error:  # NNCF raises whatever its backends do
            raise SegkitError(
                f"nncf {nncf.__version__} cannot bring this network to int8: {reason_of(error)}"
            ) from None
