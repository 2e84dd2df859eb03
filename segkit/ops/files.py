"""Writing files so that a crash, a full disk or a kill never leaves half of one under its final name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segkit.errors import OutputError


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary neighbour is written, flushed to the disk and renamed.

    Raises `OutputError` with the system's reason (disk full, no permission, no such folder); what stood under the name
    before stays.
    """
    path = Path(path)
    with replacing(path, path.with_name(f".{path.name}.{os.getpid()}.part")) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, temporary: Path) -> Iterator[Path]:
    """Have a temporary file written in the block, which afterwards is flushed to the disk and becomes `path`.

    Raises `OutputError` as `write_atomically` does; the temporary file is removed then, and whatever else is raised.
    """
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}; free space or name another place") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents where they do not exist; raises `OutputError` when that is not possible."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}; name another place") from None
    return Path(path)
