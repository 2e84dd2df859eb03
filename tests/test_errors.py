"""The user's errors: exit codes, the nearest name, the way through worker processes."""

import pickle
from pathlib import Path

import pytest

from segkit import errors
from segkit.errors import SegkitError, UnreadableFileError, nearest


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.ConfigError, 2),
        (errors.ModelFileError, 2),
        (errors.DataError, 1),
        (errors.OutputError, 1),
        (errors.UnreadableFileError, 1),
    ],
)
def test_exit_code(kind: type[SegkitError], code: int) -> None:
    assert issubclass(kind, SegkitError)
    assert kind.exit_code == code


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet43", " Did you mean 'resnet34'?"),
        ("UNET", " Did you mean 'Unet'?"),
        ("transformer", ""),
    ],
)
def test_nearest(name: str, hint: str) -> None:
    assert nearest(name, ["Unet", "resnet34", "segnet"]) == hint


def test_unreadable_file_survives_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(UnreadableFileError("a.png", "0 bytes")))
    assert (error.path, error.reason) == (Path("a.png"), "0 bytes")
    assert str(error) == "cannot read a.png: 0 bytes"
