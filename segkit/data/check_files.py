"""What is wrong with single images and masks: the scan's facts become findings; nothing is read here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segkit.data.about import about_images, about_targets, differing_sizes, target_file
from segkit.data.check_images import check_images
from segkit.data.check_objects import check_objects
from segkit.data.facts import ImageFacts, MaskFacts
from segkit.data.findings import Finding, shown
from segkit.data.rules import finding
from segkit.data.scan import SEGMENT, Facts
from segkit.ops.words import counted
from segkit.structures import MASKED, ClassMap, Record, TaskName

About = Callable[[str, str, Sequence[Record], Path], Finding]
"""Makes the finding of a code and a message about records, with their images or their masks."""


def check_files(
    records: Sequence[Record], facts: Facts, root: Path, tasks: Collection[TaskName] = SEGMENT
) -> list[Finding]:
    """Problems of single images and of the targets that tasks need, and of images that do not fit one another."""
    images = [(record, facts.images[record.id]) for record in records]
    masks = [(record, facts.masks[record.id]) for record in records if record.id in facts.masks]
    # What numbers objects has the problems of masks, in files of its own.
    as_masks = {record.id: replace(record, mask=record.instances) for record in records if record.id in facts.instances}
    numbers = [(record, facts.instances[id_]) for id_, record in as_masks.items()]
    readable = [(record, image) for record, image in images if image.error is None]
    return [
        *_unreadable("image", ((r, image.error) for r, image in images), lambda r: r.image, about_images, root),
        *_unreadable("mask", ((r, mask.error) for r, mask in (*masks, *numbers)), target_file, about_targets, root),
        *_mismatches(readable, facts.masks, root),
        *_mismatches([(as_masks.get(r.id, r), image) for r, image in readable], facts.instances, root),
        *check_images(readable, root),
        *check_objects(readable, root, are_drawn=not set(MASKED).isdisjoint(tasks)),
        *_per_mask(masks, root),
        *_per_mask([(record, mask) for record, mask in numbers if record.mask is not None], root),
    ]


def check_values(masks: Mapping[str, MaskFacts], classes: ClassMap) -> Iterator[Finding]:
    """Values in masks, by record id, that are no class of a model; with one file per class, names."""
    unknown = {id_: _unknown(mask, classes) for id_, mask in masks.items()}
    concerned = [id_ for id_, values in unknown.items() if values]
    if concerned:
        found = sorted(set.union(*unknown.values()), key=lambda value: (len(value), value))
        values = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
        known = ", ".join(f"{id_} {name}" for id_, name in zip(classes.ids, classes.names, strict=True))
        message = f"masks hold {values}, which the model does not know (its classes: {known})"
        yield finding("unknown-id", f"{message}; give '--map VALUE=CLASS' or '--ignore VALUE'", records=concerned)


def _unknown(mask: MaskFacts, classes: ClassMap) -> set[str]:
    values = {str(value) for value in mask.values if classes.other is None and value not in classes.values}
    return values | (mask.classes.keys() - set(classes.names))


def _unreadable(
    what: str, found: Iterable[tuple[Record, str | None]], file_of: Callable[[Record], Path], about: About, root: Path
) -> Iterator[Finding]:
    """A finding about the records of which a file has an error."""
    broken = [(record, error) for record, error in found if error]
    if broken:
        reasons = "; ".join(f"{shown(file_of(record), root)}: {error}" for record, error in broken[:3])
        message = f"{counted(len(broken), what)} cannot be read ({reasons}); replace or remove them"
        yield about(f"unreadable-{what}", message, [record for record, _ in broken], root)


def _mismatches(
    images: Sequence[tuple[Record, ImageFacts]], masks: Mapping[str, MaskFacts], root: Path
) -> Iterator[Finding]:
    """Images and mask files that do not lie on each other; people mark objects in upright images of a stated size."""
    pairs = [(r, image, masks[r.id]) for r, image in images if r.id in masks and masks[r.id].error is None]
    pairs = [(r, image, mask) for r, image, mask in pairs if mask.kind != "objects"]
    turned = [(r, image, mask) for r, image, mask in pairs if image.orientation != mask.orientation]
    if turned:
        record, image, mask = turned[0]
        message = (
            f"{counted(len(turned), 'image')} and masks state different EXIF orientations, for example "
            f"{shown(record.image, root)} {image.orientation} and its mask {mask.orientation}; "
            "save both upright without EXIF orientation"
        )
        yield about_images("orientation-mismatch", message, [record for record, _, _ in turned], root)
    differing = [(r, image.size, mask.size) for r, image, mask in pairs if image.size != mask.size]
    if differing:
        yield differing_sizes(differing, root)


def _per_mask(masks: Sequence[tuple[Record, MaskFacts]], root: Path) -> Iterator[Finding]:
    lossy = [record for record, mask in masks if mask.lossy]
    if lossy:
        message = f"{counted(len(lossy), 'mask')} stored as JPEG, which alters class ids; export them as PNG"
        yield about_targets("lossy-mask", message, lossy, root)
    overlapping = [(record, mask.overlap) for record, mask in masks if mask.overlap]
    if overlapping:
        pixels = counted(sum(overlap for _, overlap in overlapping), "pixel")
        message = (
            f"{counted(len(overlapping), 'mask')} with {pixels} claimed by several classes; the later class has them"
        )
        yield about_targets("class-overlap", message, [record for record, _ in overlapping], root)
