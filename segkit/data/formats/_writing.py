"""Writing data sets: what every writer is, and the parts of a record in the form that files take."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Protocol

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from segkit.data.class_file import IGNORED_NAMES
from segkit.data.formats._objects import VOID, mask_objects, void_objects, with_boxes
from segkit.data.image_io import read_channels
from segkit.data.readers._base import STEPS_INSIDE, suffix_of
from segkit.data.samples import load_sample
from segkit.errors import DataError, OutputError, UsageError
from segkit.ops.files import make_folder, write_atomically
from segkit.ops.words import counted
from segkit.registry import Registry
from segkit.structures import IGNORE_INDEX, MASKED, ClassMap, ObjectAnnotation, Progress, Record, TaskName

if TYPE_CHECKING:  # it imports the formats, and they import this module
    from segkit.data.opening import OpenDataset

__all__ = [
    "PLAIN_SUFFIXES",
    "VOID",
    "WRITERS",
    "Writer",
    "class_ids",
    "copy_image",
    "each",
    "flat_names",
    "holdable",
    "is_counted",
    "not_kept",
    "objects_of",
    "require_task",
    "write_lossless",
    "written_classes",
]

Size = tuple[int, int]
Facet = Literal["groups", "spacing", "boxes", "objects", "overlaps"]
"""What a data set may have beside its images and the classes of its pixels, or its boxes."""

PLAIN_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
"""Files that hold one image and no more: those of medicine name the patient."""

_VOID_COLOR = (224, 224, 192)  # of Pascal VOC's borders
_PNG_TYPES = {"uint8", "uint16"}
_PNG_CHANNELS = {1, 3}  # two or four would be read as gray or colour with opacity
_TIFF = {".tif", ".tiff"}


class Writer(Protocol):
    """Writes a data set in one layout."""

    def __call__(self, dataset: OpenDataset, out: Path, progress: Progress | None = None) -> tuple[str, ...]:
        """Write every record.

        Args:
            dataset: its records have a split only where the data or the options state one.
            out: an empty folder. It is renamed when all is written, so no file may name it.
            progress: told the number of images written and their total.

        Returns:
            One sentence for everything the layout cannot hold, see `not_kept` and `holdable`.

        Raises:
            UsageError: the layout holds targets of other tasks.
            DataError: it can hold none of the images.
            OutputError: a file cannot be written.
        """
        ...


WRITERS: Registry[Writer] = Registry("layout to write", "segkit.data.formats")


def each(records: Sequence[Record], progress: Progress | None) -> Iterator[Record]:
    """The records one by one, progress told after each."""
    for done, record in enumerate(records, start=1):
        yield record
        if progress is not None:
            progress(done, len(records))


def require_task(dataset: OpenDataset, layout: str, tasks: Sequence[TaskName]) -> None:
    """Raise `UsageError` where a layout has no place for the targets of a data set."""
    wanted = "segment" if dataset.task == "instances" else dataset.task
    if wanted not in tasks:
        has = {"segment": "masks", "classify": "labels of whole images", "detect": "boxes"}
        holds = " and ".join(has[task] for task in tasks)
        raise UsageError(f"{dataset.root} has {has[wanted]}, and {layout} holds {holds}; choose another --to")


def holdable(dataset: OpenDataset, suffixes: Collection[str]) -> tuple[list[Record], tuple[str, ...]]:
    """The records whose images fit losslessly into files of these suffixes, and what to say about the others.

    Raises `DataError` when none fits.
    """
    kept = [record for record in dataset.records if _target_suffix(dataset, record, suffixes) is not None]
    left_out = [record for record in dataset.records if _target_suffix(dataset, record, suffixes) is None]
    if not left_out:
        return kept, ()
    facts = dataset.facts.images[left_out[0].id]
    allowed = ", ".join(sorted(suffixes))
    what = f"{facts.dtype} images of {counted(facts.channels, 'channel')} fit none of {allowed}"
    if not kept:
        raise DataError(f"{dataset.root}: {what}; choose another --to, mask-folder holds every image")
    return kept, (f"{counted(len(left_out), 'image')} left out, as {left_out[0].id}: {what}",)


def copy_image(dataset: OpenDataset, record: Record, target: Path, suffixes: Collection[str]) -> Path:
    """Write a record's image losslessly; what the file is decides its suffix.

    The bytes are copied where the record is one upright file of such a suffix. Slices, images of idx files, images in
    several files and turned ones become PNG (8 or 16 bits, 1 or 3 channels) or TIFF with the values that training sees.

    Args:
        dataset: what the record belongs to.
        record: one of those that `holdable` gives for these suffixes.
        target: the file to write without its suffix; folders on the way are made.
        suffixes: those the layout allows, lower case with the dot.

    Returns:
        The file that was written.
    """
    suffix = _target_suffix(dataset, record, suffixes)
    if suffix is None:
        raise DataError(f"{record.id}: its values fit none of {', '.join(sorted(suffixes))}; leave it out")
    file = target.with_name(target.name + suffix)
    make_folder(file.parent)
    if _is_copied(dataset, record, suffixes):
        try:
            shutil.copyfile(record.image, file)
        except OSError as error:
            raise OutputError(f"cannot write {file}: {error.strerror or error}") from None
    else:
        write_lossless(file, read_channels(record.image_files).image())
    return file


def write_lossless(file: Path, image: NDArray[Any]) -> None:
    """Write an image (H, W, C) as PNG or TIFF so that the reader gives back equal values."""
    if file.suffix == ".png":
        pixels = image[..., 0] if image.shape[2] == 1 else image
        write_atomically(file, bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels))))
        return
    rgb = image.shape[2] == 3 and image.dtype != np.float32
    pixels = image[..., 0] if image.shape[2] == 1 else image if rgb else np.moveaxis(image, -1, 0)
    try:
        tifffile.imwrite(
            file,
            np.ascontiguousarray(pixels),
            photometric="rgb" if rgb else "minisblack",
            planarconfig=None if rgb or pixels.ndim == 2 else "separate",
            compression="zlib",
            metadata=None,
        )
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from None


def flat_names(records: Sequence[Record]) -> dict[str, str]:
    """Id of each record -> its name in a flat folder: `patient1/001` becomes `patient1_001`.

    Steps upwards are dropped, and names that would be equal, on some disks but for their case, get a number.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for record in records:
        parts = [part for part in PurePosixPath(record.id).parts if part not in ("/", "..")]
        wanted = name = "_".join(parts) or "image"
        number = 2
        while name.casefold() in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name.casefold())
        names[record.id] = name
    return names


def is_counted(dataset: OpenDataset) -> bool:
    """Whether every pixel of every mask counts; else the masks have pixels of `VOID`."""
    return not any(_has_void(dataset, record) for record in dataset.records)


def written_classes(dataset: OpenDataset) -> ClassMap:
    """The classes of the masks that `class_ids` gives: those of the data, and `VOID` where pixels are not counted.

    `VOID` has the id 255, or the next one that is free above all others; where a class is called so, another name.
    """
    classes = dataset.classes
    if is_counted(dataset):
        return ClassMap(classes.names, classes.colors, classes.ids, background=classes.background)
    void = 255 if max(classes.ids) < 255 else max(classes.ids) + 1
    name = next(name for name in (VOID, *sorted(IGNORED_NAMES)) if name not in classes.names)
    return ClassMap(
        (*classes.names, name), (*classes.colors, _VOID_COLOR), (*classes.ids, void), background=classes.background
    )


def class_ids(dataset: OpenDataset, record: Record, classes: ClassMap) -> NDArray[np.uint8 | np.uint16]:
    """The mask of a record (H, W) as ids of the `written_classes`."""
    mask = load_sample(record, dataset.classes).mask
    if mask is None:
        raise DataError(f"{record.id} has no mask; 'segkit check' lists all such images")
    return classes.indices_to_ids(np.where(mask == IGNORE_INDEX, classes.num_classes - 1, mask))


def objects_of(dataset: OpenDataset, record: Record) -> tuple[ObjectAnnotation, ...]:
    """The objects of a record in pixels, each with its box; regions are polygons or run lengths.

    They are the marked ones where the task is to detect, where they have regions, or where there is no mask; else
    those of the mask: of masks that number objects one per number, of others one per class and connected region (8
    neighbours). Pixels of a mask that are not counted are one ignored object called `VOID`, the last one.
    """
    size = dataset.facts.images[record.id].size
    if record.annotation is None:
        return mask_objects(record, dataset.classes)
    marked = with_boxes(record.annotation.in_pixels(size), size)
    if dataset.task == "detect" or record.mask is None:
        return marked
    if not _has_outlines(record):
        return mask_objects(record, dataset.classes)
    return (*marked, *void_objects(record, dataset.classes))


def not_kept(dataset: OpenDataset, keeps: Collection[Facet] = ()) -> tuple[str, ...]:
    """A sentence for everything the data set has that a layout does not keep.

    Args:
        dataset: what is written.
        keeps: what the layout has a place for. `boxes` are those of objects marked beside masks; `objects` are marked
            or numbered, where masks alone would join those of one class that touch, and with outlines they are kept
            beside masks too, see `objects_of`; `overlaps` are pixels that objects or masks of several classes claim.
    """
    records, facts = dataset.records, dataset.facts
    beside = [record for record in records if record.mask is not None and record.annotation is not None]
    has: dict[Facet, bool] = {
        "groups": any(record.group is not None for record in records),
        "spacing": any(facts.images[record.id].spacing is not None for record in records),
        "boxes": any(not ("objects" in keeps and _has_outlines(record)) for record in beside),
        "objects": dataset.task in MASKED
        and (dataset.classes.other is not None or any(record.annotation and not record.mask for record in records)),
        "overlaps": any(record.id in facts.masks and facts.masks[record.id].overlap > 0 for record in records),
    }
    sentences: dict[Facet, str] = {
        "groups": "groups are not kept: name them again with --group-by, or images of one unit may part",
        "spacing": "the distance between pixels in mm is not kept",
        "boxes": "objects marked beside the masks are not kept",
        "objects": "single objects are not kept: masks tell the class of each pixel only",
        "overlaps": "where classes overlap the last one stays",
    }
    return tuple(sentence for facet, sentence in sentences.items() if has[facet] and facet not in keeps)


def _has_outlines(record: Record) -> bool:
    """Whether objects are marked by more than boxes."""
    return record.annotation is not None and any(one.region is not None for one in record.annotation.objects)


def _target_suffix(dataset: OpenDataset, record: Record, suffixes: Collection[str]) -> str | None:
    """The suffix under which an image is written, None where its values fit none."""
    if _is_copied(dataset, record, suffixes):
        return suffix_of(record.image)
    facts = dataset.facts.images[record.id]
    if ".png" in suffixes and facts.dtype in _PNG_TYPES and facts.channels in _PNG_CHANNELS:
        return ".png"
    return next(iter(sorted(_TIFF.intersection(suffixes))), None)


def _is_copied(dataset: OpenDataset, record: Record, suffixes: Collection[str]) -> bool:
    """A turned image is not: many programs overlook its EXIF orientation, and its mask is written upright."""
    suffix = suffix_of(record.image)
    upright = dataset.facts.images[record.id].orientation == 1
    return suffix in suffixes and suffix not in STEPS_INSIDE and not record.channel_files and upright


def _has_void(dataset: OpenDataset, record: Record) -> bool:
    facts, classes = dataset.facts.masks.get(record.id), dataset.classes
    if facts is None:
        return False
    if facts.is_named:
        claimed = sum(facts.classes.values()) - facts.overlap + facts.ignored
        return facts.ignored > 0 or (classes.background is None and claimed < facts.size[0] * facts.size[1])
    return any(classes.values.get(value) == IGNORE_INDEX for value in facts.values)
