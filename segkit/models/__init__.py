"""Networks: backbones, decoders and heads, put together by name.

The names below are imported on first use (PEP 562), so that importing this package brings in no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkit.models.catalogue import list_models
    from segkit.models.factory import build_model, create_model
    from segkit.models.weights import load_weights

__all__ = ["build_model", "create_model", "list_models", "load_weights"]

_HOMES = {
    "build_model": "segkit.models.factory",
    "create_model": "segkit.models.factory",
    "list_models": "segkit.models.catalogue",
    "load_weights": "segkit.models.weights",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
