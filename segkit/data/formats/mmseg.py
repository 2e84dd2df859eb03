"""MMSegmentation's layout: `img_dir` and `ann_dir` with a folder per split in each."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import SPLITS, subfolders
from segkit.data.formats._layout import Part
from segkit.data.formats._parts import list_parts
from segkit.data.image_io import write_image
from segkit.errors import DataError
from segkit.ops.files import make_folder
from segkit.structures import PARTS, TaskName

IMAGES, MASKS = "img_dir", "ann_dir"


@FORMATS.register("mmseg")
class MMSegmentation:
    """`img_dir/{train,val,test}` and `ann_dir/{train,val,test}`; suffixes as in Cityscapes pair too.

    255 is not counted, as there. The names of classes stand in MMSegmentation's code, not in the data: give them with
    `--classes`, or in a `classes.txt` beside the folders.

    Source: MMSegmentation, "Prepare datasets" and "Add new datasets".
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether `img_dir` and `ann_dir` lie in the folder."""
        return (root / IMAGES).is_dir() and (root / MASKS).is_dir()

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records; raises `DataError` when no image has a mask."""
        if not self.recognises(root):
            raise DataError(f"{root} lacks {IMAGES}/ or {MASKS}/; expected {IMAGES}/train and {MASKS}/train")
        return list_parts(root, "MMSegmentation", _parts(root))

    def example(self, root: Path) -> None:
        """Write four images to train and two to validate."""
        for number, (image, mask) in enumerate(scenes(6)):
            split = "train" if number < 4 else "val"
            write_image(make_folder(root / IMAGES / split) / f"street_{number:03d}.png", image)
            write_image(make_folder(root / MASKS / split) / f"street_{number:03d}.png", mask)
        make_folder(root).joinpath("classes.txt").write_text("background\nbright\ndark\n", encoding="utf-8")


def _parts(root: Path) -> list[Part]:
    """One part per split; a single one where the folders are not split."""
    images, masks = (
        {SPLITS[folder.name.lower()]: folder for folder in subfolders(root / kind) if folder.name.lower() in SPLITS}
        for kind in (IMAGES, MASKS)
    )
    if not images:
        return [Part(root / IMAGES, root / MASKS)]
    return [Part(images[split], masks.get(split), split) for split in PARTS if split in images]
