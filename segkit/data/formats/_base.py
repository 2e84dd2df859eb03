"""What a data format is: a way to recognise a layout on disk and to list its records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from segkit.data.class_file import ClassFile, read_class_file
from segkit.data.findings import Finding, shown
from segkit.data.rules import finding
from segkit.data.unpacking import is_archive
from segkit.data.volumes import expand_volumes
from segkit.errors import UsageError
from segkit.registry import Registry
from segkit.structures import Record, TaskName

OBJECT = "object"
"""What objects are called whose class nothing names."""


@dataclass(frozen=True)
class Listing:
    """What lies in a data folder, nothing opened but names and tables.

    Attributes:
        root: the folder (or table file) the user named.
        layout: what it was read as, said aloud, for example `"mask folder, split first"`.
        task: the task the targets fit.
        records: every image that has what the task needs, sorted by id.
        class_file: the class file found beside the data; it comes before what the data itself declares.
        declared: the classes that the data itself declares, the categories of a COCO file for example.
        numbered: the layout says that masks number objects, so that all numbers but 0 are one class.
        channel_names: what the channels of the images show, where the data says so.
        notes: rules found while reading that the user should know, for example the pairing of names.
        findings: problems of names and pairs: missing masks, orphan masks, duplicate ids.
    """

    root: Path
    layout: str
    task: TaskName
    records: tuple[Record, ...]
    class_file: Path | None = None
    declared: ClassFile | None = None
    numbered: bool = False
    channel_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def declared_classes(self) -> ClassFile | None:
        """The classes of the class file, else those that the data itself declares; raises `UsageError` for the file."""
        return self.declared if self.class_file is None else read_class_file(self.class_file)


class Format(Protocol):
    """One layout of data sets on disk.

    Attributes:
        rank: formats are asked in ascending order, those of one rank by name; the more a layout says about itself, the
            lower its rank.
    """

    rank: ClassVar[int]

    def recognises(self, root: Path) -> bool:
        """Whether `root` has this layout, judged by names alone and without reading images."""
        ...

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records; raises `DataError` when nothing usable is there.

        Where the data has targets for several tasks, `task` chooses among them.
        """
        ...

    def example(self, root: Path) -> None:
        """Write a small data set of this layout, 2 to 6 images without any problem, into a folder that may be new."""
        ...


FORMATS: Registry[type[Format]] = Registry("data format", "segkit.data.formats")


def list_records(
    root: Path, format_name: str | None = None, task: TaskName | None = None, axis: int | None = None
) -> Listing:
    """List a data folder in the format named, else the first that fits; raises `UsageError` when none does.

    Where the data has targets for several tasks, `task` chooses among them; the others are not looked at. Volumes are
    listed slice by slice along `axis`, None: along that of the largest spacing, else the last.
    """
    if not root.exists():
        raise UsageError(
            f"{root} does not exist; name a folder of images and masks, or a table with columns image,mask"
        )
    if root.is_file() and is_archive(root):
        raise UsageError(f"{root} is an archive; unpack it first and name the folder that comes out of it")
    listing = _format_of(root, format_name).list(root, task)
    if task == "instances":
        listing = told_apart(listing)
    expanded = expand_volumes(listing.records, axis, root)
    return replace(
        listing,
        records=expanded.records,
        notes=(*listing.notes, *expanded.notes),
        findings=(*listing.findings, *expanded.findings),
    )


def told_apart(listing: Listing) -> Listing:
    """A listing of masks as one of objects, which are outlines, or the numbers in `instances` or in the masks.

    Where some images have outlines or files of numbers, the others have no target, which is a finding; where none has,
    the values of the masks are the numbers. Raises `UsageError` where nothing tells the objects of a mask apart.
    """
    told = [record for record in listing.records if record.instances is not None or record.annotation is not None]
    if listing.task == "segment" and any(record.instances is not None or _is_outlined(record) for record in told):
        kept = {record.id for record in told}
        without = [shown(record.image, listing.root) for record in listing.records if record.id not in kept]
        message = f"images of which no file tells the objects apart ({len(without)}): add them, or take the images out"
        missing = (finding("missing-mask", message, without),) if without else ()
        return replace(listing, task="instances", records=tuple(told), findings=(*listing.findings, *missing))
    if listing.task != "segment" or not all(isinstance(record.mask, Path) for record in listing.records):
        raise UsageError(
            f"{listing.root} was read as {listing.layout}, which does not tell objects apart; --task instances takes "
            "outlines of objects, or files whose values number them: as masks, or in instances/ beside the masks"
        )
    if listing.numbered:
        return replace(listing, task="instances")
    declared = listing.declared_classes()
    if declared is not None and len(set(declared.ids) - set(declared.ignored)) > 2:
        raise UsageError(
            f"the masks of {listing.root} name the classes of {Path(declared.source).name} and do not tell objects "
            "apart; put files whose values number the objects into instances/ beside them"
        )
    note = "objects: every value but 0 in a mask is one of them, as --task instances takes it"
    one_class = ClassFile.from_names(("background", OBJECT), "--task instances")
    return replace(
        listing, task="instances", numbered=True, declared=declared or one_class, notes=(*listing.notes, note)
    )


def _is_outlined(record: Record) -> bool:
    return record.annotation is not None and any(one.region is not None for one in record.annotation.objects)


def _format_of(root: Path, name: str | None) -> Format:
    if name is not None:
        return FORMATS.get(name)()
    for format_class in sorted(map(FORMATS.get, sorted(FORMATS)), key=lambda format_class: format_class.rank):
        if format_class().recognises(root):
            return format_class()
    raise UsageError(
        f"{root} has no layout segkit knows; expected images/ + masks/, train/ + trainannot/, "
        "{train,val,test}/{images,masks}, a CSV with columns image,mask, "
        "one folder of images per class, or the files by which a format is known; "
        f"--format takes {', '.join(sorted(FORMATS))}"
    )
