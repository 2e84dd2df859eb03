"""One small model, exported once for all tests of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.experiment.export import export_model
from tests.export.models import save_small


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model.safetensors`, and `model.onnx` and `model.xml` made of it: a network to segment."""
    folder = tmp_path_factory.mktemp("exported")
    model = save_small(folder / "model.safetensors")
    for suffix in (".onnx", ".xml"):
        export_model(model, model.with_suffix(suffix), quiet=True)
    return folder
