"""Where the files of Pascal VOC's layout lie, and what one of its annotation files says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from segkit.data.formats._folders import FolderName, ImageFiles, files_below, subfolders
from segkit.data.formats._image_search import ImageSearch
from segkit.data.formats._shapes import image_size, number
from segkit.data.formats._xml import begins_with, read_xml
from segkit.data.split_files import Named
from segkit.errors import DataError
from segkit.structures import Box

IMAGES, ANNOTATIONS, SETS = "JPEGImages", "Annotations", "ImageSets"
CLASS_MASKS = ("SegmentationClass", "SegmentationClassPNG")
OBJECT_MASKS = ("SegmentationObject", "SegmentationObjectPNG")

_LOOKED_AT = 20


@dataclass(frozen=True)
class VocFiles:
    """The files of a data set by the id of their image.

    Attributes:
        base: the folder that holds them, `VOCdevkit/VOC2012` for example.
        layout: said aloud.
        images: those that are there.
        annotations: XML files with boxes.
        masks: of classes.
        object_masks: of numbered objects.
        folder_splits: the parts that names of folders state.
        repeated: ids for which there are several annotation files.
    """

    base: Path
    layout: str
    images: Mapping[str, Path]
    annotations: Mapping[str, Path]
    masks: Mapping[str, Path] = field(default_factory=dict)
    object_masks: Mapping[str, Path] = field(default_factory=dict)
    folder_splits: Mapping[str, str] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()


def find_base(root: Path) -> Path | None:
    """The folder with `JPEGImages` and its like: `root`, or the only one in folders called VOC...; None without any.

    Raises `DataError` where there are several, as VOC2007 beside VOC2012.
    """
    if not root.is_dir():
        return None
    if _is_base(root):
        return root
    named = [folder for folder in subfolders(root) if folder.name.lower().startswith("voc")]
    below = [inner for folder in named for inner in (folder, *subfolders(folder)) if _is_base(inner)]
    if len(below) > 1:
        names = " and ".join(str(folder.relative_to(root)) for folder in below)
        raise DataError(f"{root} holds several data sets of Pascal VOC's layout, {names}; name one of them")
    return below[0] if below else None


def has_annotations(root: Path) -> bool:
    """Whether XML files with boxes lie below a folder, judged by a few of them."""
    if not root.is_dir():
        return False
    found = (file for file, _ in zip(files_below(root, ".xml"), range(_LOOKED_AT), strict=False))
    return any(begins_with(file, "annotation") for file in found)


def devkit_files(base: Path) -> VocFiles:
    """The files of VOC's own folders."""
    annotations = files_below(base / ANNOTATIONS, ".xml") if (base / ANNOTATIONS).is_dir() else ()
    return VocFiles(
        base=base,
        layout="Pascal VOC",
        images=_images(base, (IMAGES,)),
        annotations={file.relative_to(base / ANNOTATIONS).with_suffix("").as_posix(): file for file in annotations},
        masks=_images(base, CLASS_MASKS),
        object_masks=_images(base, OBJECT_MASKS),
    )


def loose_files(root: Path) -> VocFiles:
    """XML files beside the images or in a folder of their own; folders called like a part are one."""
    search = ImageSearch(root)
    images = {search.id_of(image): image for image in search.files}
    annotations: dict[str, Path] = {}
    repeated = set()
    for file in sorted(files_below(root, ".xml")):
        if begins_with(file, "annotation") or search.find(file.with_suffix("").name, file.parent):
            image = search.find(file.with_suffix("").name, file.parent, file.relative_to(root).parts)
            id_ = search.id_of(image or file)
            repeated |= {id_} & annotations.keys()
            annotations[id_] = file
    splits = {id_: part for id_, file in annotations.items() if (part := _part(file.relative_to(root)))}
    return VocFiles(
        root, "Pascal VOC annotations", images, annotations, folder_splits=splits, repeated=frozenset(repeated)
    )


@dataclass(frozen=True)
class VocObject:
    """One object of an annotation file, its edges as they stand there."""

    label: str
    edges: Box
    difficult: bool = False


@dataclass(frozen=True)
class VocAnnotation:
    """What one annotation file says.

    Attributes:
        objects: in their order.
        size: (H, W) of the image, None where it is not stated.
        filename: of the image.
    """

    objects: tuple[VocObject, ...]
    size: tuple[int, int] | None
    filename: str


def read_annotation(path: Path) -> VocAnnotation:
    """Read one annotation file.

    Raises:
        UnreadableFileError: missing, no XML, or XML of something else.
        DataError: an object without name or box, or numbers that are none.
    """
    tree = read_xml(path, "annotation")
    return VocAnnotation(
        objects=tuple(_objects(tree)), size=_size(tree), filename=(tree.findtext("filename") or "").strip()
    )


def _objects(tree: Element) -> Iterator[VocObject]:
    for position, element in enumerate(tree.iterfind("object"), start=1):
        label = (element.findtext("name") or "").strip()
        if not label:
            raise DataError(f"object {position} has no name")
        box = element.find("bndbox")
        if box is None:
            raise DataError(f"object {position} ({label}) has no bndbox")
        left, top, right, bottom = (
            number((box.findtext(key) or "").strip(), f"{key} of object {position} ({label})")
            for key in ("xmin", "ymin", "xmax", "ymax")
        )
        difficult = (element.findtext("difficult") or "").strip().lower() in ("1", "true")
        yield VocObject(label, (left, top, right, bottom), difficult)


def _size(tree: Element) -> tuple[int, int] | None:
    height, width = ((tree.findtext(f"size/{side}") or "0").strip() for side in ("height", "width"))
    return None if height == "0" and width == "0" else image_size(height, width)


def read_sets(base: Path, kind: str, known: Collection[str]) -> tuple[str, list[Named]]:
    """The folder of lists that is used, and names of images with their parts; the lists of `kind` come before others.

    `trainval.txt` trains where `test.txt` alone is beside it; without any other it says nothing. A line is a name, or
    begins with one, if it is not among the `known` names.
    """
    for folder in (base / SETS / name for name in dict.fromkeys((kind, "Segmentation", "Main"))):
        lists = {part: _lines(folder / f"{part}.txt", known) for part in ("train", "val", "test")}
        if lists["test"] and not lists["train"] and not lists["val"]:
            lists["train"] = [name for name in _lines(folder / "trainval.txt", known) if name not in set(lists["test"])]
        named = [(name, part) for part, names in lists.items() for name in names]
        if named:
            return f"{SETS}/{folder.name}", named
    return "", []


def _lines(path: Path, known: Collection[str]) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return []
    return [line.strip() if line.strip() in known else line.split()[0] for line in lines if line.strip()]


def _is_base(folder: Path) -> bool:
    """Whether a folder has VOC's masks, or its images with its annotations."""
    with_masks = any((folder / name).is_dir() for name in (*CLASS_MASKS, *OBJECT_MASKS))
    return with_masks or ((folder / IMAGES).is_dir() and (folder / ANNOTATIONS).is_dir())


def _images(base: Path, names: tuple[str, ...]) -> dict[str, Path]:
    folder = next((base / name for name in names if (base / name).is_dir()), None)
    return {} if folder is None else ImageFiles.below(folder).files


def _part(inside: Path) -> str | None:
    names = (FolderName.parse(part) for part in inside.parent.parts)
    return next((name.split for name in names if name and name.split), None)
