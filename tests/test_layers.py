"""The layer contract of pyproject.toml: the package keeps it, and every kind of planted violation is caught."""

import json
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import segkit

ROOT = Path(__file__).parents[1]
SLOW = ["albumentations", "gradio", "lightning", "matplotlib", "torch"]
PACKAGES = ["segkit", *(f"segkit.{module.name}" for module in pkgutil.iter_modules(segkit.__path__) if module.ispkg)]
NO_TORCH = [
    "segkit.config",
    "segkit.data.image_io",
    "segkit.data.readers",
    "segkit.errors",
    "segkit.inference.inputs",
    "segkit.inference.loading",
    "segkit.inference.predictor",
    "segkit.metrics",
    "segkit.modelfile",
    "segkit.pipeline",
    "segkit.registry",
    "segkit.structures",
    "segkit.visualization",
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = shutil.which("lint-imports", path=Path(sys.executable).parent)
    assert command, "import-linter is missing: pip install -e .[test]"
    return subprocess.run([command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "segkit", tmp_path / "segkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_package_keeps_every_contract(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "statement", "broken"),
    [
        ("data/__init__.py", "import segkit.training", "Layers"),
        ("losses/__init__.py", "import segkit.metrics", "Layers"),
        ("training/__init__.py", "import segkit.models", "Training is handed its model and data"),
        ("pipeline.py", "import torch", "No torch"),
        ("ops/__init__.py", "import torch.nn.functional", "No torch"),
        ("metrics/__init__.py", "import torch", "No torch"),
        ("inference/inputs.py", "import torch", "No torch"),
        ("inference/engines/onnxruntime.py", "import torch", "No torch"),
        ("inference/loading.py", "import segkit.models.factory", "No torch"),
        ("experiment/__init__.py", "import gradio", "Gradio only"),
        ("data/loader.py", "import albumentations", "Albumentations only"),
        ("visualization/__init__.py", "import matplotlib.pyplot", "Matplotlib only"),
        ("models/__init__.py", "import lightning", "Lightning only"),
        ("new_package/__init__.py", "", "Layers"),
    ],
)
def test_a_planted_violation_is_caught(copy: Path, module: str, statement: str, broken: str) -> None:
    file = copy / "segkit" / module
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as source:
        source.write(f"\n{statement}\n")
    result = lint(copy)
    assert result.returncode == 1
    assert re.search(rf"^{broken}.* BROKEN", result.stdout, re.MULTILINE), result.stdout


def loaded_by(statement: str) -> set[str]:
    """Top-level names of every module that a fresh interpreter holds after `statement`."""
    program = f"{statement}; import json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in ("segkit.tasks", "segkit.report")])
def test_packages_import_light(package: str) -> None:
    assert loaded_by(f"import {package}").isdisjoint(SLOW)


@pytest.mark.parametrize("module", ["segkit", "segkit.cli"])
def test_the_way_to_the_help_text_is_short(module: str) -> None:
    assert loaded_by(f"import {module}").isdisjoint([*SLOW, "cv2", "numpy", "pydantic", "scipy"])


@pytest.mark.parametrize("module", NO_TORCH)
def test_the_runtime_core_imports_where_torch_is_absent(module: str) -> None:
    assert "torch" in loaded_by(f"import sys; sys.modules['torch'] = None; import {module}")
