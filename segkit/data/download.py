"""Downloads that go on where they stopped, and are checked before anybody uses them."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Literal

from segkit._version import __version__
from segkit.errors import DataError, OutputError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import Progress

ATTEMPTS = 4
"""How often a broken connection is taken up again before the user has to."""

TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as broken."""

PAUSE = 1.0
"""Seconds before the second attempt; twice as long before each further one."""

_CHUNK = 2**20

Checksum = tuple[Literal["sha256", "md5"], str]


def download(url: str, target: Path, checksum: Checksum | None = None, progress: Progress | None = None) -> None:
    """Download a file.

    What has arrived stands in `TARGET.part` until all has. A later call asks for the rest only, and starts anew where
    the server cannot say that its file is still the same.

    Args:
        url: http or https.
        target: the file to write; one that is there and fits the checksum, or has none, is kept.
        checksum: kind and hexadecimal digits.
        progress: told the bytes that arrived and their total, 0 where the server does not state it.

    Raises:
        DataError: the server has no such file, the connection broke, or the checksum differs.
        OutputError: the file cannot be written.
    """
    if target.is_file() and (checksum is None or hexdigest(target, checksum[0]) == checksum[1]):
        return
    make_folder(target.parent)
    part = target.with_name(f"{target.name}.part")
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        reason = _attempt(url, part, progress)
        if reason is None:
            break
    else:
        arrived = part.stat().st_size if part.is_file() else 0
        raise DataError(
            f"{url}: the download stopped after {arrived:,} bytes ({reason}); run it again to go on from there"
        )
    require_checksum(part, checksum, url)
    part.replace(target)
    _mark(part).unlink(missing_ok=True)


def require_checksum(file: Path, checksum: Checksum | None, source: str) -> None:
    """Raise `DataError` for a file of another checksum; a download is deleted, so that it starts anew."""
    if checksum is None:
        return
    found = hexdigest(file, checksum[0])
    if found != checksum[1]:
        if file.suffix == ".part":
            file.unlink()
        raise DataError(
            f"{source}: its {checksum[0].upper()} is {found} and not {checksum[1]}; "
            "it is damaged, or not the published one"
        )


def hexdigest(file: Path, kind: Literal["sha256", "md5"]) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _attempt(url: str, part: Path, progress: Progress | None) -> str | None:
    """Fetch what is missing of a file; why that broke off, or None when all has arrived."""
    arrived = part.stat().st_size if part.is_file() else 0
    mark = _mark(part)
    headers = {"User-Agent": f"segkit/{__version__}", "Accept-Encoding": "identity"}
    if arrived and mark.is_file():
        headers |= {"Range": f"bytes={arrived}-", "If-Range": mark.read_text(encoding="utf-8")}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            goes_on = answer.status == http.client.PARTIAL_CONTENT
            return _receive(answer, part, arrived if goes_on else 0, progress)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") == f"bytes */{arrived}":
                return None  # everything had arrived
            part.unlink()
            return "the server's file has changed"
        if error.code < 500 and error.code not in (408, 429):
            raise DataError(
                f"{url}: the server answers {error.code} {error.reason}; see the set's page for a new address"
            ) from None
        return f"the server answers {error.code} {error.reason}"
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        return str(getattr(error, "reason", None) or error or type(error).__name__)


def _receive(answer: Any, part: Path, start: int, progress: Progress | None) -> str | None:
    """Append the body of an answer to what has arrived."""
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length else 0
    stamp = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    if stamp and not stamp.startswith("W/"):  # a weak one does not promise equal bytes
        write_atomically(_mark(part), stamp.encode())
    else:
        _mark(part).unlink(missing_ok=True)
    arrived = start
    try:
        file = part.open("ab" if start else "wb")
    except OSError as error:
        raise OutputError(f"cannot write {part}: {error.strerror or error}") from None
    with file:
        while chunk := answer.read(_CHUNK):
            try:
                file.write(chunk)
            except OSError as error:
                raise OutputError(
                    f"cannot write {part}: {error.strerror or error}; free space and run it again"
                ) from None
            arrived += len(chunk)
            if progress is not None:
                progress(arrived, total)
    return None if not total or arrived == total else f"{total - arrived:,} bytes are missing"


def _mark(part: Path) -> Path:
    """Where the server's stamp of the file stands, which tells whether it is still the same one."""
    return part.with_name(f"{part.name}.stamp")
