"""One folder of images per class, for classification."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import (
    FolderName,
    ImageFiles,
    find_class_file,
    holds_images,
    subfolders,
)
from segkit.data.formats._ids import duplicate_ids, unique_ids
from segkit.data.image_io import write_image
from segkit.errors import DataError
from segkit.ops.files import make_folder
from segkit.ops.words import counted
from segkit.structures import Record, TaskName


@FORMATS.register("image-folder")
class ImageFolder:
    """`CLASS/*.png`, or `train/CLASS/*.png` with splits first."""

    rank: ClassVar[int] = 2

    def recognises(self, root: Path) -> bool:
        """Whether at least two folders hold images and none is called like a split, a folder of images or of masks."""
        return root.is_dir() and len({folder.name for folder, _ in _class_folders(root)}) > 1

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records; raises `DataError` when there are fewer than two classes."""
        folders = _class_folders(root) if root.is_dir() else []
        names = sorted({folder.name for folder, _ in folders})
        if len(names) < 2:
            raise DataError(
                f"{root} holds {counted(len(names), 'folder')} of images; expected at least two, one per class"
            )
        listed = [(ImageFiles.below(folder), split) for folder, split in folders]
        records = [
            Record(f"{files.folder.name}/{name}", image, label=files.folder.name, split=split)
            for files, split in listed
            for name, image in files.files.items()
        ]
        records, id_notes = unique_ids(records)
        assigned = apply_split_files(root, records)
        repeated = [file for files, _ in listed for file in files.repeated]
        return Listing(
            root=root,
            layout="one folder per class" + (", split first" if folders[0][1] else ""),
            task="classify",
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(root),
            notes=(*(note for files, _ in listed for note in files.notes(root)), *id_notes, *assigned.notes),
            findings=(*duplicate_ids(repeated, assigned.records, root), *assigned.findings),
        )

    def example(self, root: Path) -> None:
        """Write two classes of three images each."""
        for index, (image, numbers) in enumerate(scenes(3)):
            for name, number in (("square", 1), ("disc", 2)):
                folder = make_folder(root / name)
                write_image(folder / f"{index}.png", np.where(numbers == 3 - number, np.uint8(128), image))


def _class_folders(root: Path) -> list[tuple[Path, str | None]]:
    """The folders of one class each with their split; none where a name says that the folder is something else."""
    folders = subfolders(root)
    splits = [(folder, name) for folder in folders if (name := FolderName.parse(folder.name))]
    if splits and all(name.split and not name.images and not name.masks for _, name in splits):
        classes = [(inner, name.split) for folder, name in splits for inner in subfolders(folder)]
    elif splits:
        return []
    else:
        classes = [(folder, None) for folder in folders]
    if any(FolderName.parse(folder.name) for folder, _ in classes):
        return []
    return [(folder, split) for folder, split in classes if holds_images(folder)]
