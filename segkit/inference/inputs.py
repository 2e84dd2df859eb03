"""From what a user names (files, folders, patterns, lists) to image files."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from segkit.data.image_io import IMAGE_SUFFIXES
from segkit.data.readers._base import PACKED_SUFFIX, file_on_disk, reader_name
from segkit.data.readers.idx import idx_files, idx_images, is_idx_images
from segkit.errors import UnreadableFileError, UsageError, nearest

LIST_SUFFIX = ".txt"


def expand_inputs(inputs: Sequence[str | Path]) -> list[Path]:
    """The image files that inputs name, in order and each once.

    An input is a file, a folder (the images directly in it), a pattern (`scans/*.tif`, `scans/**/*.tif` through all
    sub-folders) or a `.txt` list of files, one per line, relative to the list. MNIST's idx files stand for all their
    images; a damaged one gives its first, which cannot be read either, so that it is one error among the results.
    Raises `UsageError` when an input names nothing.
    """
    files = [file for given in inputs for file in _expand(str(given))]
    return list({file.resolve(): file for file in reversed(files)}.values())[::-1]


def _expand(given: str) -> list[Path]:
    if not given:
        raise UsageError("an input is empty, as a shell variable that was not set; name an image, folder or pattern")
    path = Path(given)
    if path.is_dir():
        return _images_in(path)
    if _is_there(path):
        return _files_listed_in(path) if path.suffix.lower() == LIST_SUFFIX else _images_of(path)
    if glob.has_magic(given):
        return _matches(given)
    raise UsageError(f"{given} does not exist; name an image, folder, pattern or {LIST_SUFFIX} list.{_similar(path)}")


def _images_in(folder: Path) -> list[Path]:
    images = _only_images(folder.iterdir())
    images += [image for file in sorted(idx_files(folder)[0].values()) for image in _images_of(file)]
    if images:
        return images
    if _only_images(folder.rglob("*")):
        raise UsageError(f"{folder} has images only in sub-folders; name them by a pattern: '{folder}/**/*.png'")
    raise UsageError(f"{folder} holds no images; read are {', '.join(sorted(IMAGE_SUFFIXES))}")


def _is_there(path: Path) -> bool:
    """Whether a path is a file, or leads into one of many images."""
    return path.is_file() or file_on_disk(path).is_file()


def _images_of(file: Path) -> list[Path]:
    """The images of an idx file, or the file itself where it is another one."""
    if not is_idx_images(file):
        return [file]
    try:
        return idx_images(file)
    except UnreadableFileError:
        return [file / f"00000{PACKED_SUFFIX}"]


def _matches(pattern: str) -> list[Path]:
    matches = _only_images(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207, Path.glob takes no absolute pattern
    if not matches:
        raise UsageError(f"the pattern {pattern!r} matches no image; read are {', '.join(sorted(IMAGE_SUFFIXES))}")
    return matches


def _files_listed_in(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the list {path}: {error}; expected text, one image per line") from None
    files = [path.parent / line.strip() for line in lines if line.strip()]
    missing = [file for file in files if not _is_there(file)]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"{path} lists {missing[0]}{more}, not to be found; lines are relative to the list's folder")
    if not files:
        raise UsageError(f"the list {path} names no image; expected one per line")
    return [image for file in files for image in _images_of(file)]


def _only_images(paths: Iterable[Path]) -> list[Path]:
    """Image files by suffix, or by DICOM's mark where they have none, sorted.

    Hidden files, such as the `._name` copies of macOS, are left out, and so is the index of a DICOM disk.
    """
    visible = (path for path in paths if not path.name.startswith(".") and path.name.upper() != "DICOMDIR")
    return sorted(path for path in visible if path.is_file() and reader_name(path) in IMAGE_SUFFIXES)


def _similar(path: Path) -> str:
    """A hint at a file of like name in the same folder."""
    return nearest(path.name, [other.name for other in path.parent.iterdir()]) if path.parent.is_dir() else ""
