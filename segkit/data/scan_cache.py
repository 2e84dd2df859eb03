"""What earlier scans learnt, kept in the user's cache folder: a file is read again when its size or time changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segkit._version import __version__
from segkit.data.readers._base import file_on_disk
from segkit.errors import OutputError
from segkit.ops.files import make_folder, write_atomically

Stamp = list[list[int]]
"""Size in bytes and modification time in nanoseconds of each file that was read."""


def cache_folder() -> Path:
    """`$SEGKIT_CACHE`, else `$XDG_CACHE_HOME/segkit`, else `~/.cache/segkit`."""
    if os.environ.get("SEGKIT_CACHE"):
        return Path(os.environ["SEGKIT_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segkit"


class ScanCache:
    """Facts by the paths they came from.

    One JSON file per set of folders, replaced as a whole: other processes see the old one or the new one.
    A damaged file (its checksum does not fit) counts as empty.

    Args:
        paths: every file of the data set; their folders name the cache file.
        variant: what else the facts depend on.
    """

    def __init__(self, paths: Iterable[Path], variant: str) -> None:
        folders = sorted({str(path.parent) for path in paths})
        self._file = cache_folder() / "scan" / f"{_digest('|'.join((*folders, variant, __version__)))[:24]}.json"
        self._old = self._load()
        self._new: dict[str, list[Any]] = {}

    def get(self, kind: str, paths: tuple[Path, ...]) -> Any | None:
        """The plain facts kept for these files as they are now, None when there are none."""
        key = _key(kind, paths)
        entry = self._old.get(key)
        if entry is None or entry[0] != _stamp(paths):
            return None
        self._new[key] = entry
        return entry[1]

    def put(self, kind: str, paths: tuple[Path, ...], plain: Any) -> None:
        """Keep plain (JSON-ready) facts of these files."""
        self._new[_key(kind, paths)] = [_stamp(paths), plain]

    def save(self) -> str | None:
        """Write what `get` found and `put` kept; returns why that failed, which costs the next scan its time."""
        if self._new == self._old:
            return None
        body = json.dumps(self._new, separators=(",", ":"))
        try:
            make_folder(self._file.parent)
            write_atomically(self._file, f"{_digest(body)}\n{body}".encode())
        except OutputError as error:
            return f"the scan could not be kept for next time: {error} with $SEGKIT_CACHE"
        return None

    def _load(self) -> dict[str, list[Any]]:
        if not self._file.is_file():
            return {}
        digest, _, body = self._file.read_text(encoding="utf-8", errors="replace").partition("\n")
        return json.loads(body) if digest == _digest(body) else {}


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _key(kind: str, paths: tuple[Path, ...]) -> str:
    return "\n".join((kind, *map(str, paths)))


def _stamp(paths: tuple[Path, ...]) -> Stamp | None:
    """None where a file does not exist."""
    try:
        return [[state.st_size, state.st_mtime_ns] for state in map(os.stat, map(file_on_disk, paths))]
    except OSError:
        return None
