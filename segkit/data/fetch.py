"""Public data sets on disk: downloaded or from a local copy, unpacked, and laid out so that segkit reads them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from segkit.data.catalogue import PublicSet, public_set
from segkit.data.convert import new_folder, refuse_other_content
from segkit.data.download import download, require_checksum
from segkit.data.formats._base import list_records
from segkit.data.recipes import Source, lay_out
from segkit.data.scan_cache import cache_folder
from segkit.data.unpacking import archive_stem, is_archive, unpack
from segkit.errors import UsageError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import PARTS, Progress

Say = Callable[[str], None]
Bar = Callable[[str], AbstractContextManager[Progress]]
"""Opens a progress bar with a text."""


def fetch(name: str, out: str | Path, source: str | Path | None = None, *, say: Say, bar: Bar) -> None:
    """Get a public data set and write it into a folder, which appears when all is there.

    The licence is said before anything is downloaded. Downloads stand in the cache folder until the set is written, so
    that a call after an interruption goes on.

    Args:
        name: of the catalogue.
        out: a folder that does not exist or is empty.
        source: a local copy, then nothing is downloaded: an archive, a folder of the archives, or one they were
            unpacked into. An archive may have its published name or that of the set.
        say: told line by line what happens.
        bar: shows the progress of a download.

    Raises:
        UsageError: an unknown name, a folder that is not empty, or a source that does not exist.
        DataError: the download broke off, or what arrived or was given is not the published set.
        UnreadableFileError: a damaged archive.
        OutputError: a file cannot be written.
    """
    entry, out = public_set(name), Path(out)
    refuse_other_content(out)
    for line in entry.describe():
        say(line)
    if source is not None and not Path(source).exists():
        raise UsageError(f"--from {source}: there is no such file or folder")
    downloads = cache_folder() / "downloads" / name
    with new_folder(out) as folder:
        scratch = make_folder(folder / ".unpacked")
        given = _download(entry, downloads, say, bar) if source is None else Path(source)
        lay_out(entry, _unpacked(entry, name, given, scratch), folder)
        shutil.rmtree(scratch)
        write_atomically(
            folder / "SOURCE.txt", ("\n".join((f"{name}, written by segkit", *entry.describe())) + "\n").encode()
        )
        found = _found(entry, folder)
    shutil.rmtree(downloads, ignore_errors=True)
    say(f"{found} in {out}; try: segkit check {out}")


def _download(entry: PublicSet, folder: Path, say: Say, bar: Bar) -> Path:
    for file in entry.files:
        say(f"downloading {file.url}")
        with bar(file.name) as progress:
            download(file.url, folder / file.name, file.checksum, progress)
    return folder


def _unpacked(entry: PublicSet, name: str, given: Path, scratch: Path) -> Source:
    """The files of the set: in the folder given, or unpacked from its archives."""
    if given.is_file() and not is_archive(given):
        raise UsageError(f"--from {given}: it is no archive (zip, tar, tar.gz); give one, or a folder")
    checksums = {file.name: file.checksum for file in entry.files}
    archives = [given] if given.is_file() else _archives_in(given, list(checksums), name)
    for archive in archives:
        require_checksum(archive, checksums.get(archive.name), str(archive))
        unpack(archive, make_folder(scratch / archive.name))
    if archives:
        return Source(scratch, given)
    published = [file for file in checksums if is_archive(Path(file))]
    return Source(given, looked_for=tuple(dict.fromkeys([*published, f"{name}.zip", f"{name}.tar", f"{name}.tar.gz"])))


def _archives_in(folder: Path, published: Sequence[str], name: str) -> list[Path]:
    """The archives of a set in a folder: those of their published names, else the one that is called like the set."""
    found = [folder / file for file in published if (folder / file).is_file()]
    if found:
        return [file for file in found if is_archive(file)]
    archives = (file for file in sorted(folder.iterdir()) if is_archive(file) and file.is_file())
    return [file for file in archives if _plain(archive_stem(file)) == _plain(name)][:1]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _found(entry: PublicSet, folder: Path) -> str:
    """How many images there are, of how many there should be."""
    records = list_records(folder, task=entry.task).records
    counts = Counter(record.split for record in records)
    parts = "/".join(str(counts[part]) for part in PARTS if counts[part])
    found = f"{parts} images" if parts and None not in counts else f"{len(records):,} images"
    expected = sum(entry.images.values())
    return found if len(records) == expected else f"{found} (the whole set has {expected:,})"
