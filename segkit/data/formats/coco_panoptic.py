"""COCO's panoptic segmentation: a JSON file per part, and a PNG per image whose colours are the ids of segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._coco_files import CocoFile, find_coco_files, image_of, read_coco_file, split_in
from segkit.data.formats._coco_listing import ReadObjects, list_images, listing_of
from segkit.data.formats._coco_objects import parse_box, parse_label, stated_size
from segkit.data.formats._dataset_json import is_there
from segkit.data.formats._examples import SIZE, scenes, write_json
from segkit.data.formats._folders import subfolders
from segkit.data.formats._json import is_whole
from segkit.data.image_io import read_mask, write_image
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder
from segkit.structures import Annotation, MaskFile, ObjectAnnotation, TaskName


@FORMATS.register("coco-panoptic")
class CocoPanoptic:
    """`annotations/panoptic_{train,val}*.json` with folders of PNG of the same names, and the images.

    Every segment is an object, crowds are ignored, and pixels of no segment are background. COCO's instances come
    first where both lie in one folder.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether a JSON file with images and their segments is there, judged by its keys."""
        return bool(find_coco_files(root, "panoptic"))

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the images with their segments.

        Raises:
            UnreadableFileError: a JSON file that is not of COCO's form, or a PNG that holds none of its segments.
            DataError: no image is there, or files contradict one another.
        """
        files = [read_coco_file(path, root) for path in find_coco_files(root, "panoptic")]
        if not files:
            raise DataError(f"{root} has no JSON file with COCO's lists images and annotations of segments_info")
        listed = [list_images(file, root, _reader(file, root)) for file in files]
        for one in listed:
            _require_segments([record.annotation for record in one.records.values() if record.annotation])
        listing = listing_of(root, "COCO panoptic", listed, "segment")
        said = "pixels of no segment are background; --background none leaves them uncounted"
        return replace(listing, notes=(*listing.notes, said))

    def example(self, root: Path) -> None:
        """Write four images in two parts, and their segments."""
        images = list(scenes(4))
        categories = [{"id": 1, "name": "square"}, {"id": 3, "name": "disc"}]
        for split, numbers in (("train", range(3)), ("val", range(3, 4))):
            annotations = []
            for number in numbers:
                image, regions = images[number]
                write_image(make_folder(root / split) / f"{number}.png", image)
                folder = make_folder(root / "annotations" / f"panoptic_{split}")
                write_image(folder / f"{number}.png", _EXAMPLE_COLORS[regions])
                segments = [_example_segment(regions == value, value) for value in (1, 2)]
                annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
            listed = [{"id": n, "file_name": f"{n}.png", "height": SIZE, "width": SIZE} for n in numbers]
            write_json(
                root / "annotations" / f"panoptic_{split}.json",
                {"images": listed, "annotations": annotations, "categories": categories},
            )


_EXAMPLE_COLORS = np.array([(0, 0, 0), (1, 0, 0), (3, 2, 1)], np.uint8)
"""Of no segment, the square and the disc."""


def _example_segment(pixels: NDArray[np.bool_], number: int) -> dict[str, Any]:
    """An entry of `segments_info`, whose category is the red of its colour."""
    red, green, blue = _EXAMPLE_COLORS[number].tolist()
    rows, columns = np.nonzero(pixels)
    left, top = int(columns.min()), int(rows.min())
    return {
        "id": red + 256 * green + 65536 * blue,
        "category_id": red,
        "iscrowd": 0,
        "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
        "area": int(pixels.sum()),
    }


def _reader(file: CocoFile, root: Path) -> ReadObjects:
    """What reads the segments of one image of a file."""
    by_image = {image_of(entry): entry for entry in file.annotations}
    folders = list(_png_folders(file, root if root.is_dir() else root.parent))

    def read(image: Mapping[str, Any]) -> Annotation:
        entry = by_image.get(image["id"])
        if entry is None:
            raise DataError("no entry of 'annotations' is about it")
        name, segments = entry.get("file_name"), entry.get("segments_info")
        if not isinstance(name, str) or not isinstance(segments, list):
            raise DataError("its annotation lacks a file_name or segments_info")
        png = next((folder / name for folder in folders if is_there(folder / name)), None)
        if png is None:
            raise DataError(f"there is no {name} in a folder called {file.path.stem}/ beside {file.path.name}")
        objects = tuple(_segment(segment, file.categories, png) for segment in segments)
        return Annotation(objects, file.path, stated_size(image))

    return read


def _segment(segment: object, categories: Mapping[int, str], png: Path) -> ObjectAnnotation:
    """One entry of `segments_info`; its id is R + 256 G + 65536 B of its pixels."""
    if not isinstance(segment, dict):
        raise DataError("its segments_info is no list of objects")
    label, ignored = parse_label(segment, categories)
    id_ = segment.get("id")
    if not is_whole(id_) or not 0 < id_ < 2**24:
        raise DataError(f"a {label} with the id {id_!r:.20}, which no colour has")
    red, green, blue = int(id_) & 255, int(id_) >> 8 & 255, int(id_) >> 16
    region = MaskFile(png, red << 16 | green << 8 | blue)
    return ObjectAnnotation(label, parse_box(segment.get("bbox")), region, ignored)


def _png_folders(file: CocoFile, root: Path) -> Iterator[Path]:
    """Folders called like the file first, `panoptic_val/` or `panoptic/val/`, then others called panoptic."""
    yield file.path.parent
    below = [file.path.parent, root]
    folders = [inner for folder in dict.fromkeys(below) for outer in subfolders(folder) for inner in _with_inner(outer)]
    exact = [each for each in folders if file.path.stem in (each.name, f"{each.parent.name}_{each.name}")]
    called = [each for each in folders if "panoptic" in f"{each.parent.name}/{each.name}".lower()]
    yield from exact
    yield from (each for each in called if file.split is None or split_in(each.name) in (None, file.split))


def _with_inner(folder: Path) -> list[Path]:
    return [folder, *subfolders(folder)]


def _require_segments(annotations: Sequence[Annotation]) -> None:
    """Refuse PNG of another encoding, such as ids in one or two channels, by the first that has segments."""
    first = next((annotation for annotation in annotations if annotation.objects), None)
    if first is None:
        return
    regions = [one.region for one in first.objects if isinstance(one.region, MaskFile)]
    values = [region.value for region in regions if region.value is not None]
    try:
        held = np.isin(values, read_mask(regions[0].path)).any()
    except UnreadableFileError:
        return  # the check names it, with all others
    if not held:
        raise UnreadableFileError(
            regions[0].path,
            f"it holds none of the segments of {first.source.name}, whose ids are R + 256 G + 65536 B of 8-bit RGB",
        )
