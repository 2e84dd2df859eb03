"""YOLO's label files without a `data.yaml`: a `classes.txt` names their classes, as labelImg writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from segkit.data.formats._layout import Part, find_images
from segkit.data.formats._yolo_files import MAX_BYTES, YoloFile, names_in
from segkit.errors import UnreadableFileError

CLASSES = "classes.txt"

_LABELS = "labels"
_LOOKED_AT = 20
"""Text files among which label files are looked for."""

_FEWEST_CELLS = 5


def find_yolo_classes(root: Path) -> Path | None:
    """The `classes.txt` of label files: in the folder, beside the labels, or beside the images; None: no such set."""
    parts = find_images(root).parts if root.is_dir() else ()
    folders = dict.fromkeys((root, *(folder for part in parts for folder in _label_folders(root, part))))
    if not any(_holds_labels(folder) for folder in folders):
        return None
    return next((folder / CLASSES for folder in folders if (folder / CLASSES).is_file()), None)


def read_yolo_classes(root: Path, path: Path) -> YoloFile:
    """What a `data.yaml` would say of the data set in `root`; raises `UnreadableFileError` for a `classes.txt` that is
    no text, or names a class twice or none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableFileError(path, f"more than {MAX_BYTES:,} bytes, and it has the name of one class per line")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise UnreadableFileError(path, "it is no text; it has the name of one class per line") from None
    names = {str(id_): line for id_, line in enumerate(lines) if line.strip()}
    parts = {part.split: (part.images.relative_to(root).as_posix(),) for part in find_images(root).parts}
    return YoloFile(path, names_in(path, {"names": names}), (root,), parts, None, has_keypoints=False)


def _label_folders(root: Path, part: Part) -> Iterator[Path]:
    """Where the labels of a part may lie: in `labels` in the place of `images`, below which parts may be, and beside
    the images.
    """
    inside = part.images.relative_to(root).parts
    if "images" in inside:
        at = len(inside) - 1 - inside[::-1].index("images")
        base = root.joinpath(*inside[:at], _LABELS)
        yield base.joinpath(*inside[at + 1 :])
        yield base
    yield part.images


def _holds_labels(folder: Path) -> bool:
    """Whether one of the first text files in a folder has lines of a class and four shares or more."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".txt") and entry.name != CLASSES]
    except OSError:
        return False
    return any(_is_label(folder / name) for name in islice(sorted(names), _LOOKED_AT))


def _is_label(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            cells = file.readline(MAX_BYTES).split()
        return len(cells) >= _FEWEST_CELLS and all(0 <= float(cell) <= 1 for cell in cells[1:]) and cells[0].isdecimal()
    except (OSError, ValueError):
        return False
