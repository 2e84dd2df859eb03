"""What is wrong with single images and masks: the scan's facts become findings; nothing is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from segkit.data.facts import ImageFacts, MaskFacts
from segkit.data.findings import Finding
from segkit.data.rules import finding
from segkit.data.scan import Facts
from segkit.structures import ClassMap, Record

MAX_CHANNELS = 16


def shown(path: Path, root: Path) -> str:
    """A path as the user sees it: relative to the data set's folder where it lies inside."""
    folder = root if root.is_dir() else root.parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def mask_path(record: Record) -> Path:
    """The mask's file; where every class has its own, the first of them."""
    assert record.mask is not None
    return record.mask if isinstance(record.mask, Path) else next(iter(record.mask.values()))


def check_files(records: Sequence[Record], facts: Facts, root: Path) -> list[Finding]:
    """Problems of single images and masks, and of images that do not fit one another."""
    images = [(record, facts.images[record.id]) for record in records]
    masks = [(record, facts.masks[record.id]) for record in records if record.id in facts.masks]
    readable = [(record, image) for record, image in images if image.error is None]
    found: list[Finding] = []
    found += _unreadable("unreadable-image", [(shown(r.image, root), f.error) for r, f in images if f.error])
    found += _unreadable("unreadable-mask", [(shown(mask_path(r), root), f.error) for r, f in masks if f.error])
    found += _mismatches(readable, facts.masks, root)
    found += _channels(readable, root)
    found += _per_image(readable, root)
    found += _per_mask(masks, root)
    return found


def check_values(masks: Mapping[str, MaskFacts], classes: ClassMap) -> Iterator[Finding]:
    """Values in masks that are no class of a model (with one file per class, names); `masks` by name in findings."""
    unknown = {name: sorted(_unknown(mask, classes)) for name, mask in masks.items()}
    files = [name for name, values in unknown.items() if values]
    if files:
        found = sorted({value for name in files for value in unknown[name]}, key=lambda value: (len(value), value))
        values = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
        known = ", ".join(f"{id_} {name}" for id_, name in zip(classes.ids, classes.names, strict=True))
        message = f"masks hold {values}, which the model does not know (its classes: {known})"
        yield finding("unknown-id", f"{message}; give '--map VALUE=CLASS' or '--ignore VALUE'", files)


def _unknown(mask: MaskFacts, classes: ClassMap) -> set[str]:
    values = {str(value) for value in mask.values if classes.other is None and value not in classes.values}
    return values | (mask.classes.keys() - set(classes.names))


def _unreadable(code: str, files: Sequence[tuple[str, str | None]]) -> Iterator[Finding]:
    if files:
        what = "image" if code == "unreadable-image" else "mask"
        reasons = "; ".join(f"{name}: {reason}" for name, reason in files[:3])
        yield finding(
            code,
            f"{count(files, what)} cannot be read ({reasons}); replace or remove them",
            [name for name, _ in files],
        )


def _mismatches(
    images: Sequence[tuple[Record, ImageFacts]], masks: Mapping[str, MaskFacts], root: Path
) -> Iterator[Finding]:
    """Images and masks that do not lie on each other."""
    pairs = [(r, image, masks[r.id]) for r, image in images if r.id in masks and masks[r.id].error is None]
    turned = [(r, image, mask) for r, image, mask in pairs if image.orientation != mask.orientation]
    if turned:
        record, image, mask = turned[0]
        yield finding(
            "orientation-mismatch",
            f"{count(turned, 'image')} and masks state different EXIF orientations, for example "
            f"{shown(record.image, root)} {image.orientation} and its mask {mask.orientation}; "
            "save both upright without EXIF orientation",
            [shown(r.image, root) for r, _, _ in turned],
        )
    differing = [(r, image, mask) for r, image, mask in pairs if image.size != mask.size]
    if differing:
        record, image, mask = differing[0]
        yield finding(
            "size-mismatch",
            f"{count(differing, 'mask')} of another size than the image, for example {shown(record.image, root)}: "
            f"image {_size(image)}, mask {_size(mask)}; export the masks at the size of the images",
            [shown(mask_path(r), root) for r, _, _ in differing],
        )


def _channels(images: Sequence[tuple[Record, ImageFacts]], root: Path) -> Iterator[Finding]:
    """One network takes one number of channels: counted after `--channels`, as the mean is."""
    counts = Counter(len(image.mean) for _, image in images)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        listed = ", ".join(f"{number} images of {channels}" for channels, number in sorted(counts.items()))
        cure = (
            "give '--channels rgb' or '--channels gray' to convert them all"
            if set(counts) <= {1, 3}
            else "save all images with one number of channels; only 1 and 3 can be converted with --channels"
        )
        odd = [shown(record.image, root) for record, image in images if len(image.mean) != usual]
        yield finding("channels-differ", f"images have different numbers of channels: {listed}; {cure}", odd)
    many = [shown(record.image, root) for record, image in images if len(image.mean) > MAX_CHANNELS]
    if many:
        yield finding(
            "too-many-channels",
            f"{count(many, 'image')} of more than {MAX_CHANNELS} channels; keep {MAX_CHANNELS} at most",
            many,
        )


def _per_image(images: Sequence[tuple[Record, ImageFacts]], root: Path) -> Iterator[Finding]:
    def those(test: Callable[[ImageFacts], bool]) -> list[str]:
        return [shown(record.image, root) for record, image in images if test(image)]

    broken = those(lambda image: not image.finite)
    if broken:
        yield finding(
            "not-finite", f"{count(broken, 'image')} with NaN or infinite values; replace those values", broken
        )
    types = Counter(image.dtype for _, image in images)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        listed = ", ".join(f"{number} {type_}" for type_, number in types.most_common())
        odd = those(lambda image: image.dtype != usual)
        yield finding(
            "dtype-differs",
            f"images are stored in different types: {listed}; equal values may mean different brightness",
            odd,
        )
    constant = those(lambda image: image.minimum == image.maximum)
    if constant:
        yield finding(
            "constant-image",
            f"{count(constant, 'image')} with one value everywhere; look whether they belong here",
            constant,
        )


def _per_mask(masks: Sequence[tuple[Record, MaskFacts]], root: Path) -> Iterator[Finding]:
    lossy = [shown(mask_path(record), root) for record, mask in masks if mask.lossy]
    if lossy:
        yield finding(
            "lossy-mask", f"{count(lossy, 'mask')} stored as JPEG, which alters class ids; export them as PNG", lossy
        )
    overlapping = [(shown(mask_path(record), root), mask.overlap) for record, mask in masks if mask.overlap]
    if overlapping:
        pixels = sum(overlap for _, overlap in overlapping)
        yield finding(
            "class-overlap",
            f"{count(overlapping, 'mask')} with {pixels} pixels claimed by several classes; the later class has them",
            [name for name, _ in overlapping],
        )


def _size(facts: ImageFacts | MaskFacts) -> str:
    return f"{facts.size[1]} x {facts.size[0]}"


def count(things: Iterable[object], what: str) -> str:
    """`"1 image"`, `"2 images"`."""
    number = len(list(things))
    return f"{number} {what}{'' if number == 1 else 's'}"
