"""Real data sets for the tests: found in `$SEGKIT_DATASETS`, unpacked once into the user's cache."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from pathlib import Path

VARIABLE = "SEGKIT_DATASETS"


class DatasetAbsentError(Exception):
    """A data set this machine does not have; the message says where it was looked for."""


def dataset(name: str) -> Path:
    """The folder of the data set `name`: `$SEGKIT_DATASETS/NAME`, else unpacked from `$SEGKIT_DATASETS/NAME.tar`.

    Safe for several processes at once: each unpacks into a folder of its own, the first to finish gives it its name.

    Raises:
        DatasetAbsentError: the variable is not set, or its folder holds neither `NAME` nor `NAME.tar`.
    """
    if not os.environ.get(VARIABLE):
        raise DatasetAbsentError(f"data set {name!r} is needed: set {VARIABLE} to the folder of its archive")
    source = Path(os.environ[VARIABLE])
    if (source / name).is_dir():
        return source / name
    archive = source / f"{name}.tar"
    if not archive.is_file():
        raise DatasetAbsentError(f"data set {name!r} is needed: {source} holds neither {name}/ nor {name}.tar")
    state = archive.stat()
    target = cache_folder() / f"{name}-{state.st_size:x}-{int(state.st_mtime):x}" / name
    if not target.is_dir():
        _unpack(archive, target)
    return target


def cache_folder() -> Path:
    """Where archives are unpacked: `$XDG_CACHE_HOME/segkit/datasets`, else `~/.cache/segkit/datasets`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segkit" / "datasets"


def _unpack(archive: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        try:
            (scratch / target.name).rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was first, with the same files
                raise
    finally:
        shutil.rmtree(scratch)
