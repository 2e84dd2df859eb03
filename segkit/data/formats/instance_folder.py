"""Folders of images beside folders of masks that number objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import IMAGE_WORDS, INSTANCE_WORDS, SPLITS, holds_images, subfolders
from segkit.data.formats._layout import Part, find_layout
from segkit.data.formats._parts import list_parts
from segkit.data.image_io import write_image
from segkit.errors import DataError
from segkit.ops.files import make_folder
from segkit.structures import TaskName


@FORMATS.register("instance-folder")
class InstanceFolder:
    """`images/ + instances/`: 0 is background, 1, 2, 3, ... are the objects of an image, all of one class.

    With splits `{train,val,test}/{images,instances}`. Named on purpose (`--format instance-folder`), the format reads
    every mask folder so, such as `images/ + labels/` of nuclei.
    """

    rank: ClassVar[int] = 2

    def recognises(self, root: Path) -> bool:
        """Whether a folder called instances lies beside images, and no folder of masks does."""
        return root.is_dir() and bool(_parts(root))

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records; raises `DataError` when no image has a mask."""
        parts = _parts(root) if root.is_dir() else ()
        if not parts:
            layout = find_layout(root) if root.is_dir() else None
            if layout is None or not layout.parts:
                raise DataError(
                    f"{root} has no folder of numbered objects beside images; expected images/ + instances/"
                )
            parts = layout.parts
        return replace(list_parts(root, "instance folder", parts), numbered=True)

    def example(self, root: Path) -> None:
        """Write four images with two numbered objects each."""
        for number, (image, numbers) in enumerate(scenes(4)):
            write_image(make_folder(root / "images") / f"cells_{number:03d}.png", image)
            write_image(make_folder(root / "instances") / f"cells_{number:03d}.png", numbers)


def _parts(root: Path) -> tuple[Part, ...]:
    """The parts of images/ + instances/ in the folder, or in those of its splits."""
    inside = [(root, None), *((folder, SPLITS.get(folder.name.lower())) for folder in subfolders(root))]
    return tuple(
        part for folder, split in inside if folder == root or split is not None for part in _pair(folder, split)
    )


def _pair(folder: Path, split: str | None) -> list[Part]:
    by_name = {inner.name.lower(): inner for inner in subfolders(folder)}
    images = [by_name[word] for word in IMAGE_WORDS if word in by_name and holds_images(by_name[word])]
    masks = [by_name[word] for word in INSTANCE_WORDS if word in by_name and holds_images(by_name[word])]
    return [Part(images[0], masks[0], split)] if images and masks else []
