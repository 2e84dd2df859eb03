"""An exported file predicts where PyTorch and everything built on it is absent."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segkit.data.image_io import read_mask, write_image
from segkit.inference.loading import load
from tests.export.models import photo

TRAINING = ("albumentations", "gradio", "lightning", "matplotlib", "segmentation_models_pytorch", "timm", "torch",
            "torchvision")  # fmt: skip

PROGRAM = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import numpy
import segkit

result = segkit.load(sys.argv[1], engine=sys.argv[2]).predict(sys.argv[3])
numpy.save(sys.argv[4], result.mask)
from segkit.cli import main
main(["predict", sys.argv[1], sys.argv[3], "--engine", sys.argv[2], "-o", sys.argv[5]])
"""


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_predicts_where_torch_cannot_be_imported(exported: Path, tmp_path: Path, engine: str) -> None:
    write_image(tmp_path / "image.png", photo(45, 50))
    expected = load(exported / "model.safetensors", "cpu").segment(tmp_path / "image.png").mask
    paths = [exported / "model.onnx", engine, tmp_path / "image.png", tmp_path / "mask.npy", tmp_path / "out"]
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(absent=set(TRAINING)), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert f"computed by {engine}, cpu, fp32" in run.stdout
    assert np.array_equal(np.load(tmp_path / "mask.npy"), expected)
    assert np.array_equal(read_mask(tmp_path / "out" / "masks" / "image.png"), expected)
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert sum(int(row["pixels"]) for row in rows) == 45 * 50
