"""The distribution without PyTorch: what it asks for, what it holds, and that it predicts where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from segkit.data.image_io import read_mask, write_image
from segkit.inference.loading import load
from tests.export.conftest import exported
from tests.export.models import photo

__all__ = ["exported"]

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "packaging" / "runtime"


def project(folder: Path) -> dict[str, list[str]]:
    """What a distribution needs: its own, and by the names of its extras."""
    content = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return {"": content["dependencies"], **content["optional-dependencies"]}


def test_it_wants_the_versions_that_the_toolkit_wants() -> None:
    toolkit, runtime = project(ROOT), project(RUNTIME)
    assert {*runtime[""], *runtime["openvino"]} <= {*toolkit[""], *toolkit["export"]}
    assert runtime["medical"] == toolkit["medical"]
    assert not any(name.startswith(("torch", "lightning", "segmentation")) for name in runtime[""])


def test_the_container_is_built_of_what_exists() -> None:
    """Every file that is copied is there, but for the model, which is an argument."""
    lines = (RUNTIME / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY ")]
    assert copied.pop() == "${MODEL}"
    assert all((ROOT / path).exists() for path in copied)
    assert any("packaging/runtime" in line for line in lines if line.startswith("RUN pip wheel"))


@pytest.mark.slow
def test_it_predicts_where_nothing_else_is_installed(exported: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "dist", RUNTIME], check=True
    )
    (wheel,) = (tmp_path / "dist").glob("segkit_runtime-*.whl")
    held = {name.split("/")[1] for name in zipfile.ZipFile(wheel).namelist() if name.startswith("segkit/")}
    assert held.isdisjoint({"models", "training", "losses", "tasks", "report", "app", "explanation", "export"})
    venv.create(tmp_path / "bare", with_pip=True)
    binaries = tmp_path / "bare" / "bin"
    installed = subprocess.run(
        [binaries / "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel], capture_output=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"pip cannot install here: {installed.stderr.decode()[-300:]}")
    write_image(tmp_path / "image.png", photo(45, 50))
    words: list[str | Path] = [exported / "model.onnx", tmp_path / "image.png", "-o", tmp_path / "out"]
    said = subprocess.run([binaries / "segkit", "predict", *words], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "computed by onnxruntime, cpu, fp32" in said.stdout
    expected = load(exported / "model.safetensors", "cpu").segment(tmp_path / "image.png").mask
    assert np.array_equal(read_mask(tmp_path / "out" / "masks" / "image.png"), expected)
    refusals: tuple[tuple[list[str | Path], str], ...] = (
        (["predict", exported / "model.safetensors", *words[1:]], "needs torch, which is not installed"),
        (["train", tmp_path], "which is not installed here: pip install segkit-toolkit"),
    )
    for arguments, message in refusals:
        refused = subprocess.run([binaries / "segkit", *arguments], capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert message in refused.stderr
        assert refused.stderr.count("\n") == 1
