"""Folders of images beside folders of masks, in every order of split and kind."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._layout import find_layout
from segkit.data.formats._parts import list_parts
from segkit.errors import DataError
from segkit.structures import TaskName


@FORMATS.register("mask-folder")
class MaskFolder:
    """`images/ + masks/`, `train/{images,masks}`, `{images,masks}/train`, `train/ + trainannot/` and their like.

    Masks are one file per image, one folder per class (`masks/CLASS/NAME.png`), or one file per class
    (`NAME_CLASS.png`).
    """

    rank: ClassVar[int] = 1

    def recognises(self, root: Path) -> bool:
        """Whether a folder of images has a folder of masks beside it."""
        return root.is_dir() and bool(find_layout(root).parts)

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records; raises `DataError` when no image has a mask."""
        layout = find_layout(root) if root.is_dir() else None
        if layout is None or not layout.parts:
            raise DataError(f"{root} has no folder of masks beside a folder of images; expected images/ and masks/")
        return list_parts(root, layout.description, layout.parts)
