"""The layout of the Data Science Bowl 2018: a folder per image, and in it one mask file per object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from segkit.data.findings import Finding, shown
from segkit.data.formats._base import FORMATS, OBJECT, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import (
    IMAGE_WORDS,
    MASK_WORDS,
    SPLITS,
    ImageFiles,
    find_class_file,
    finding_of_files,
    subfolders,
)
from segkit.data.formats._ids import unique_ids
from segkit.data.image_io import write_image
from segkit.data.rules import finding
from segkit.errors import DataError
from segkit.ops.files import make_folder
from segkit.structures import Annotation, MaskFile, ObjectAnnotation, Record, TaskName


@FORMATS.register("object-files")
class ObjectFiles:
    """`NAME/images/*.png` with `NAME/masks/*.png`, one mask file per object; classes are folders in `masks/`.

    `{train,val,test}/NAME/...` is read likewise. Everything but 0 in a mask file is the object.

    Source: J. Caicedo et al., Nucleus segmentation across imaging experiments, Nature Methods 16, 2019.
    """

    rank: ClassVar[int] = 1

    def recognises(self, root: Path) -> bool:
        """Whether a folder holds one image and several mask files."""
        return root.is_dir() and any(_is_one_image(images, masks) for images, masks, _ in _folders(root) if masks)

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records; raises `DataError` when no image has a folder of masks."""
        folders = list(_folders(root)) if root.is_dir() else []
        several = [images for images, _, _ in folders if len(ImageFiles.below(images).files) != 1]
        without = [images for images, masks, _ in folders if masks is None and images not in several]
        records = [_record(images, masks, split) for images, masks, split in folders if masks and images not in several]
        if not records:
            raise DataError(f"{root} has no folder with one image and its masks; expected NAME/images and NAME/masks")
        records, id_notes = unique_ids(records)
        assigned = apply_split_files(root, records, [images.parent.name for images in (*several, *without)])
        labels = sorted({label for record in records if record.annotation for label in record.annotation.labels})
        return Listing(
            root=root,
            layout="one mask file per object",
            task="detect" if task == "detect" else "segment",
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(root),
            notes=(
                f"each mask file is one object, all of it that is not 0: {', '.join(labels or [OBJECT])}",
                *id_notes,
                *assigned.notes,
            ),
            findings=(
                *finding_of_files("missing-mask", "images without a folder of masks ({n})", without, root),
                *_several(several, root),
                *assigned.findings,
            ),
        )

    def example(self, root: Path) -> None:
        """Write four images with two objects each."""
        for number, (image, numbers) in enumerate(scenes(4)):
            folder = root / f"nuclei_{number:03d}"
            write_image(make_folder(folder / "images") / f"{folder.name}.png", image)
            for one in (1, 2):
                write_image(
                    make_folder(folder / "masks") / f"{folder.name}_{one}.png",
                    np.where(numbers == one, np.uint8(255), np.uint8(0)),
                )


def _folders(root: Path) -> Iterator[tuple[Path, Path | None, str | None]]:
    """Folder of images, folder of masks and split of every folder that is one image."""
    for folder in subfolders(root):
        split = SPLITS.get(folder.name.lower())
        for image in subfolders(folder) if split else [folder]:
            images = _inside(image, IMAGE_WORDS)
            if images is not None:
                yield images, _inside(image, MASK_WORDS), split


def _inside(folder: Path, words: Sequence[str]) -> Path | None:
    """The folder called by one of the words; names are tried, as listing a folder of thousands of images takes long."""
    names = [name for word in words for name in (word, word.capitalize())]
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _is_one_image(images: Path, masks: Path) -> bool:
    """Whether the masks of one image are several files: one alone may name classes by its values."""
    return len(ImageFiles.below(images).files) == 1 and len(ImageFiles.below(masks).files) > 1


def _record(images: Path, masks: Path, split: str | None) -> Record:
    (image,) = ImageFiles.below(images).files.values()
    objects = tuple(
        ObjectAnnotation(name.rpartition("/")[0] or OBJECT, region=MaskFile(file))
        for name, file in ImageFiles.below(masks).files.items()
    )
    return Record(images.parent.name, image, split=split, annotation=Annotation(objects, masks))


def _several(folders: list[Path], root: Path) -> list[Finding]:
    if not folders:
        return []
    message = f"folders that hold no image or several ({len(folders)}): one image in each is expected"
    return [finding("unreadable-image", message, [shown(folder, root) for folder in folders])]
