"""The `dataset.json` of the Medical Segmentation Decathlon and of nnU-Net: what both have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkit.data.class_file import MAX_ID
from segkit.data.formats._json import is_whole, kind_of, read_json_object
from segkit.errors import DataError, UnreadableFileError

DATASET_FILE = "dataset.json"

_HEAD_BYTES = 2**25
"""A larger `dataset.json` is not opened only to recognise it: theirs take some hundred bytes per image."""


def peek(root: Path) -> dict[str, Any]:
    """The content of `root/dataset.json` to recognise it by; empty where there is none or it cannot be read."""
    path = root / DATASET_FILE
    try:
        return read_json_object(path) if path.is_file() and path.stat().st_size <= _HEAD_BYTES else {}
    except UnreadableFileError:
        return {}


def read_dataset_json(root: Path) -> tuple[Path, dict[str, Any]]:
    """Path and content of `root/dataset.json`; raises `DataError` where there is none, else as `read_json_object`."""
    path = root / DATASET_FILE
    if not path.is_file():
        raise DataError(f"{root} has no {DATASET_FILE}, which says what the labels are; put it beside the images")
    return path, read_json_object(path)


def objects_under(path: Path, content: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under a key, not empty; raises `UnreadableFileError` where it is missing or something else."""
    value = content.get(key)
    if not isinstance(value, dict) or not value:
        found = "missing" if key not in content else "empty" if value == {} else kind_of(value)
        raise UnreadableFileError(path, f"{key!r} is {found}, and an object {{...}} with an entry for each is expected")
    return value


def named_file(path: Path, value: object, key: str) -> Path:
    """The file that `path` names under a key, relative to its folder; raises `UnreadableFileError` for no name."""
    if not isinstance(value, str) or not value or "\0" in value:
        found = kind_of(value) if not isinstance(value, str) else "no name of a file"
        raise UnreadableFileError(path, f"{key!r} is {found}, and the path of a file is expected")
    return path.parent / value


def class_id(path: Path, value: object, name: str) -> int:
    """The id of a class; raises `UnreadableFileError` where it is none."""
    if not is_whole(value) or not 0 <= int(value) <= MAX_ID:  # type: ignore[call-overload]
        raise UnreadableFileError(path, f"the id of the label {name!r} is no whole number from 0 to {MAX_ID}")
    return int(value)  # type: ignore[call-overload]


def is_there(path: Path) -> bool:
    """Whether a file of that name exists; no for names that no file can have."""
    try:
        return path.is_file()
    except OSError:  # longer than the file system allows
        return False
