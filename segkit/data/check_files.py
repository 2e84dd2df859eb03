"""What is wrong with single images and masks: the scan's facts become findings; nothing is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from segkit.data.facts import ImageFacts, MaskFacts
from segkit.data.findings import Finding, shown
from segkit.data.readers._base import MAX_CHANNELS
from segkit.data.rules import finding
from segkit.data.scan import Facts
from segkit.ops.words import counted
from segkit.structures import ClassMap, Record


def about_images(code: str, message: str, records: Sequence[Record], root: Path) -> Finding:
    """A finding about the images of these records."""
    return finding(code, message, [shown(record.image, root) for record in records], [record.id for record in records])


def about_masks(code: str, message: str, records: Sequence[Record], root: Path) -> Finding:
    """A finding about the masks of these records, of which each has one; of one file per class the first is named."""
    files = [shown(record.mask_files[0], root) for record in records]
    return finding(code, message, files, [record.id for record in records])


def check_files(records: Sequence[Record], facts: Facts, root: Path) -> list[Finding]:
    """Problems of single images and masks, and of images that do not fit one another."""
    images = [(record, facts.images[record.id]) for record in records]
    masks = [(record, facts.masks[record.id]) for record in records if record.id in facts.masks]
    readable = [(record, image) for record, image in images if image.error is None]
    return [
        *_unreadable(images, masks, root),
        *_mismatches(readable, facts.masks, root),
        *_channels(readable, root),
        *_per_image(readable, root),
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
        reasons = "; ".join(f"{shown(record.mask_files[0], root)}: {error}" for record, error in broken_masks[:3])
        message = f"{counted(len(broken_masks), 'mask')} cannot be read ({reasons}); replace or remove them"
        yield about_masks("unreadable-mask", message, [record for record, _ in broken_masks], root)


def _mismatches(
    images: Sequence[tuple[Record, ImageFacts]], masks: Mapping[str, MaskFacts], root: Path
) -> Iterator[Finding]:
    """Images and masks that do not lie on each other."""
    pairs = [(r, image, masks[r.id]) for r, image in images if r.id in masks and masks[r.id].error is None]
    turned = [
        (r, image, mask)
        for r, image, mask in pairs
        if image.orientation != mask.orientation and mask.kind != "objects"  # people mark objects in upright images
    ]
    if turned:
        record, image, mask = turned[0]
        message = (
            f"{counted(len(turned), 'image')} and masks state different EXIF orientations, for example "
            f"{shown(record.image, root)} {image.orientation} and its mask {mask.orientation}; "
            "save both upright without EXIF orientation"
        )
        yield about_images("orientation-mismatch", message, [record for record, _, _ in turned], root)
    differing = [(r, image, mask) for r, image, mask in pairs if image.size != mask.size]
    if differing:
        record, image, mask = differing[0]
        message = (
            f"{counted(len(differing), 'mask')} of another size than the image, for example "
            f"{shown(record.image, root)}: image {_size(image)}, mask {_size(mask)}; "
            "export the masks at the size of the images"
        )
        yield about_masks("size-mismatch", message, [record for record, _, _ in differing], root)


def _channels(images: Sequence[tuple[Record, ImageFacts]], root: Path) -> Iterator[Finding]:
    """One network takes one number of channels: counted after `--channels`, as the mean is."""
    counts = Counter(len(image.mean) for _, image in images)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        listed = ", ".join(f"{counted(number, 'image')} of {channels}" for channels, number in sorted(counts.items()))
        cure = (
            "give '--channels rgb' or '--channels gray' to convert them all"
            if set(counts) <= {1, 3}
            else "save all images with one number of channels; only 1 and 3 can be converted with --channels"
        )
        odd = [record for record, image in images if len(image.mean) != usual]
        message = f"images have different numbers of channels: {listed}; {cure}"
        yield about_images("channels-differ", message, odd, root)
    many = [record for record, image in images if len(image.mean) > MAX_CHANNELS]
    if many:
        message = f"{counted(len(many), 'image')} of more than {MAX_CHANNELS} channels; keep {MAX_CHANNELS} at most"
        yield about_images("too-many-channels", message, many, root)


def _per_image(images: Sequence[tuple[Record, ImageFacts]], root: Path) -> Iterator[Finding]:
    def those(test: Callable[[ImageFacts], bool]) -> list[Record]:
        return [record for record, image in images if test(image)]

    broken = those(lambda image: not image.finite)
    if broken:
        message = f"{counted(len(broken), 'image')} with NaN or infinite values; replace those values"
        yield about_images("not-finite", message, broken, root)
    types = Counter(image.dtype for _, image in images)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        listed = ", ".join(f"{number} {type_}" for type_, number in types.most_common())
        message = f"images are stored in different types: {listed}; equal values may mean different brightness"
        yield about_images("dtype-differs", message, those(lambda image: image.dtype != usual), root)
    constant = those(lambda image: image.minimum == image.maximum)
    if constant:
        message = f"{counted(len(constant), 'image')} with one value everywhere; look whether they belong here"
        yield about_images("constant-image", message, constant, root)


def _per_mask(masks: Sequence[tuple[Record, MaskFacts]], root: Path) -> Iterator[Finding]:
    lossy = [record for record, mask in masks if mask.lossy]
    if lossy:
        message = f"{counted(len(lossy), 'mask')} stored as JPEG, which alters class ids; export them as PNG"
        yield about_masks("lossy-mask", message, lossy, root)
    overlapping = [(record, mask.overlap) for record, mask in masks if mask.overlap]
    if overlapping:
        pixels = counted(sum(overlap for _, overlap in overlapping), "pixel")
        message = (
            f"{counted(len(overlapping), 'mask')} with {pixels} claimed by several classes; the later class has them"
        )
        yield about_masks("class-overlap", message, [record for record, _ in overlapping], root)


def _size(facts: ImageFacts | MaskFacts) -> str:
    return f"{facts.size[1]} x {facts.size[0]}"
