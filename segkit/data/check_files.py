"""What is wrong with single images and masks: the scan's facts become findings; nothing is read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segkit.data.about import about_images, about_targets, differing_sizes, target_file
from segkit.data.check_images import check_images
from segkit.data.check_objects import check_objects
from segkit.data.facts import ImageFacts, MaskFacts
from segkit.data.findings import Finding, shown
from segkit.data.rules import finding
from segkit.data.scan import Facts
from segkit.ops.words import counted
from segkit.structures import ClassMap, Record


def check_files(records: Sequence[Record], facts: Facts, root: Path) -> list[Finding]:
    """Problems of single images and masks, and of images that do not fit one another."""
    images = [(record, facts.images[record.id]) for record in records]
    masks = [(record, facts.masks[record.id]) for record in records if record.id in facts.masks]
    readable = [(record, image) for record, image in images if image.error is None]
    return [
        *_unreadable(images, masks, root),
        *_mismatches(readable, facts.masks, root),
        *check_images(readable, root),
        *check_objects(readable, root),
        *_per_mask(masks, root),
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
    images: Sequence[tuple[Record, ImageFacts]], masks: Sequence[tuple[Record, MaskFacts]], root: Path
) -> Iterator[Finding]:
    broken_images = [(record, image.error) for record, image in images if image.error]
    if broken_images:
        reasons = "; ".join(f"{shown(record.image, root)}: {error}" for record, error in broken_images[:3])
        message = f"{counted(len(broken_images), 'image')} cannot be read ({reasons}); replace or remove them"
        yield about_images("unreadable-image", message, [record for record, _ in broken_images], root)
    broken_masks = [(record, mask.error) for record, mask in masks if mask.error]
    if broken_masks:
        reasons = "; ".join(f"{shown(target_file(record), root)}: {error}" for record, error in broken_masks[:3])
        message = f"{counted(len(broken_masks), 'mask')} cannot be read ({reasons}); replace or remove them"
        yield about_targets("unreadable-mask", message, [record for record, _ in broken_masks], root)


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
