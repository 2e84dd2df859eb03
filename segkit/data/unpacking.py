"""Archives from outside, unpacked so that nothing lands elsewhere and no small file fills the disk."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from segkit.errors import DataError, OutputError, UnreadableFileError
from segkit.ops.files import make_folder

MAX_RATIO = 100
"""Most bytes that come out of one byte of an archive; images are packed already and come out as large as they went in.
"""

FREE_BYTES = 2**28
"""What any archive may hold, however small it is."""

MAX_FILES = 1_000_000

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CHUNK = 2**20


def is_archive(path: Path) -> bool:
    """Whether a file is called like an archive of many files."""
    return path.name.lower().endswith(_SUFFIXES)


def archive_stem(path: Path) -> str:
    """The name of an archive without the suffix that says how it is packed."""
    return path.name[: -max(len(suffix) for suffix in _SUFFIXES if path.name.lower().endswith(suffix))]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the plain files of a zip or tar archive into a folder; links and devices are left out.

    Raises:
        UnreadableFileError: damaged, cut short, encrypted, or no archive.
        DataError: a name that leads out of the folder, or more content than such an archive can have.
        OutputError: a file cannot be written.
    """
    left = max(FREE_BYTES, MAX_RATIO * archive.stat().st_size)
    with _translated(archive):
        for number, (name, stream) in enumerate(_members(archive)):
            if number >= MAX_FILES:
                raise DataError(f"{archive}: more than {MAX_FILES:,} files; unpack it yourself and give the folder")
            left -= write_stream(stream, folder / _inside(archive, name), left)
            if left < 0:
                raise DataError(
                    f"{archive}: more than {MAX_RATIO} times its size comes out of it; if you trust it, unpack it "
                    "yourself and give the folder"
                )


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if not entry.is_dir() and not stat.S_ISLNK(entry.external_attr >> 16):
                    with packed.open(entry) as stream:
                        yield entry.filename, stream
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            stream_or_none = tar.extractfile(member) if member.isreg() else None
            if stream_or_none is not None:
                with stream_or_none as stream:
                    yield member.name, stream


def _inside(archive: Path, name: str) -> Path:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or not path.parts:
        raise DataError(
            f"{archive}: {name!r} leads out of the folder it is unpacked into; the archive is not to be trusted"
        )
    return Path(*path.parts)


def write_stream(stream: IO[bytes], target: Path, most: int) -> int:
    """Write what a stream gives into a file, at most one chunk more than `most` bytes; returns the bytes written.

    Raises `OutputError` when the file cannot be written; what the stream raises passes unchanged.
    """
    make_folder(target.parent)
    written = 0
    try:
        file = target.open("wb")
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from None
    with file:
        while written <= most and (chunk := stream.read(_CHUNK)):
            try:
                file.write(chunk)
            except OSError as error:
                raise OutputError(f"cannot write {target}: {error.strerror or error}; free space") from None
            written += len(chunk)
    return written


@contextmanager
def _translated(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        # Python's words are about its own streams; those of the system tell what to do.
        reason = getattr(error, "strerror", None) or "no archive, damaged or cut short"
        raise UnreadableFileError(archive, f"{reason}; download or copy it again") from None
    except RuntimeError:
        reason = "encrypted, or packed in a way that is not known here"
        raise UnreadableFileError(archive, f"{reason}; unpack it yourself and give the folder") from None
