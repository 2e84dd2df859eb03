"""Folders of images beside folders of masks, in every order of split and kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from segkit.data.class_file import BACKGROUND_NAMES
from segkit.data.csv_table import format_table
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._examples import scenes
from segkit.data.formats._parts import list_parts
from segkit.data.formats._targets_beside import find_parts, list_table, table_of, with_numbers
from segkit.data.formats._writing import (
    PLAIN_SUFFIXES,
    WRITERS,
    class_ids,
    copy_image,
    each,
    flat_names,
    not_kept,
    require_task,
    written_classes,
)
from segkit.data.image_io import write_image, write_mask
from segkit.errors import DataError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import ClassMap, Progress, TaskName

if TYPE_CHECKING:
    from segkit.data.opening import OpenDataset

_CLASSES = ClassMap(("background", "square", "disc"), ((0, 0, 0), (240, 150, 48), (64, 160, 224)))


@FORMATS.register("mask-folder")
class MaskFolder:
    """`images/ + masks/`, `train/{images,masks}`, `{images,masks}/train`, `train/ + trainannot/` and their like.

    Masks are one file per image, one folder per class (`masks/CLASS/NAME.png`), or one file per class
    (`NAME_CLASS.png`). Beside them may lie further targets: `boxes.csv` (`image,class,x_min,y_min,x_max,y_max`),
    `labels.csv` (`image,label`), and in `instances/` files whose values number the objects of the masks. Beside
    `boxes.csv` masks may be absent.
    """

    rank: ClassVar[int] = 1

    def recognises(self, root: Path) -> bool:
        """Whether a folder of images has a folder of masks, or a table of boxes, beside it."""
        return root.is_dir() and bool(find_parts(root).parts)

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records; raises `DataError` when no image has a mask."""
        layout = find_parts(root) if root.is_dir() else None
        if layout is None or not layout.parts:
            raise DataError(f"{root} has no folder of masks beside a folder of images; expected images/ and masks/")
        table = table_of(root, task, layout.parts)
        if table is not None:
            return list_table(root, layout.description, layout.parts, table)
        listing = list_parts(root, layout.description, layout.parts)
        return with_numbers(listing, layout.parts) if task == "instances" else listing

    def example(self, root: Path) -> None:
        """Write six images in one folder, their masks, classes, groups and parts."""
        images, masks = make_folder(root / "images"), make_folder(root / "masks")
        for index, (image, numbers) in enumerate(scenes(6)):
            write_image(images / f"{index}.png", image)
            write_mask(masks / f"{index}.png", numbers, _CLASSES)
        parts = ("train", "train", "train", "train", "val", "test")
        slides = ("slide1", "slide1", "slide2", "slide2", "slide3", "slide4")
        write_atomically(root / "classes.csv", _class_table(_CLASSES))
        write_atomically(root / "groups.csv", format_table(("id", "group"), enumerate(slides)))
        write_atomically(root / "split.csv", format_table(("id", "split"), enumerate(parts)))


@WRITERS.register("mask-folder")
def write_mask_folder(dataset: OpenDataset, out: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Write `images/`, `masks/` (palette PNG, 16-bit gray where ids go beyond 255) and the tables beside them.

    The tables are `classes.csv` and, where the data has parts or groups, `split.csv` and `groups.csv`. Pixels that are
    not counted have an id of their own, the class `void`. Raises what a `Writer` raises.
    """
    require_task(dataset, "mask-folder", ("segment",))
    classes, names = written_classes(dataset), flat_names(dataset.records)
    make_folder(out / "masks")
    for record in each(dataset.records, progress):
        copy_image(dataset, record, out / "images" / names[record.id], PLAIN_SUFFIXES)
        write_mask(out / "masks" / f"{names[record.id]}.png", class_ids(dataset, record, classes), classes)
    write_atomically(out / "classes.csv", _class_table(classes))
    splits = [(names[record.id], record.split) for record in dataset.records if record.split is not None]
    groups = [(names[record.id], record.group) for record in dataset.records if record.group is not None]
    if splits:
        write_atomically(out / "split.csv", format_table(("id", "split"), splits))
    if groups:
        write_atomically(out / "groups.csv", format_table(("id", "group"), groups))
    return (*not_kept(dataset, {"groups"}), *_background_not_kept(dataset.classes))


def _class_table(classes: ClassMap) -> bytes:
    rows = zip(classes.ids, classes.names, classes.colors, strict=True)
    return format_table(("id", "name", "r", "g", "b"), [(id_, name, *color) for id_, name, color in rows])


def _background_not_kept(classes: ClassMap) -> tuple[str, ...]:
    """A class file marks the background by its name."""
    if classes.background is None or classes.names[classes.background].lower() in BACKGROUND_NAMES:
        return ()
    name, id_ = classes.names[classes.background], classes.ids[classes.background]
    return (f"that {name} is the background is not kept: read it with --background {id_}",)
