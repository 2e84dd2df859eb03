"""The registry finds the modules of a package by itself and refuses what it does not know."""

import importlib
import sys
from pathlib import Path

import pytest

from segkit.errors import UsageError
from segkit.registry import Registry


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[int]:
    """A registry over a package of two parts and one private module that must not be imported."""
    package = tmp_path / "shape_parts"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from segkit.registry import Registry\nSHAPES: Registry[int] = Registry('shape', 'shape_parts')\n"
    )
    (package / "square.py").write_text("from shape_parts import SHAPES\nSHAPES.register('square')(4)\n")
    (package / "triangle.py").write_text("from shape_parts import SHAPES\nSHAPES.register('triangle')(3)\n")
    (package / "_draft.py").write_text("raise AssertionError('a private module was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("shape_parts")]:
        monkeypatch.delitem(sys.modules, name)
    registry: Registry[int] = importlib.import_module("shape_parts").SHAPES
    return registry


def test_parts_are_found_without_a_list(shapes: Registry[int]) -> None:
    assert shapes.names() == list(shapes) == ["square", "triangle"]
    assert shapes.get("triangle") == 3
    assert "square" in shapes
    assert "circle" not in shapes


def test_unknown_name_is_answered_with_the_nearest(shapes: Registry[int]) -> None:
    with pytest.raises(UsageError, match=r"unknown shape 'sqare'\. Did you mean 'square'\?"):
        shapes.get("sqare")


def test_unknown_name_far_from_all_is_answered_with_the_list(shapes: Registry[int]) -> None:
    with pytest.raises(UsageError, match=r"unknown shape 'zzz'\. Allowed: square, triangle\."):
        shapes.get("zzz")


def test_a_name_is_taken_once(shapes: Registry[int]) -> None:
    shapes.register("circle")(0)
    with pytest.raises(ValueError, match="shape 'circle' is registered twice"):
        shapes.register("circle")(1)
    assert shapes.get("circle") == 0
