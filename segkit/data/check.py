"""What is wrong with a data set: the scan's facts become findings, all of them in one go.

`check_files` looks at images and masks one by one, `check_set` at the set as it will be trained on. Both only compare facts:
nothing is read here. What each code means stands in `segkit.data.rules`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from segkit.data.facts import ImageFacts, MaskFacts
from segkit.data.findings import Finding
from segkit.data.rules import finding
from segkit.data.scan import Facts
from segkit.data.split import PARTS
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


def check_set(records: Sequence[Record], facts: Facts, presence: Mapping[str, frozenset[int]], classes: ClassMap | None, root: Path) -> list[Finding]:
    """Problems of the set as a whole, its parts filled in.

    Args:
        records: the images to be used.
        facts: the scan's.
        presence: id -> indices of the classes the image shows.
        classes: None where the classes could not be decided; what depends on them is not checked then.
        root: the data set's folder.
    """
    if not records:
        return [finding("empty-set", "no usable image is left; see the other findings, or name another folder")]
    found = [*_parts(records), *_duplicates(records, facts.images, root), *_groups(records, root)]
    if classes is not None:
        found += _classes(records, presence, classes)
    return found


def _unreadable(code: str, files: Sequence[tuple[str, str | None]]) -> Iterator[Finding]:
    if files:
        what = "image" if code == "unreadable-image" else "mask"
        reasons = "; ".join(f"{name}: {reason}" for name, reason in files[:3])
        yield finding(code, f"{_count(files, what)} cannot be read ({reasons}); replace or remove them", [name for name, _ in files])


def _mismatches(images: Sequence[tuple[Record, ImageFacts]], masks: Mapping[str, MaskFacts], root: Path) -> Iterator[Finding]:
    """Images and masks that do not lie on each other."""
    pairs = [(r, image, masks[r.id]) for r, image in images if r.id in masks and masks[r.id].error is None]
    turned = [(r, image, mask) for r, image, mask in pairs if image.orientation != mask.orientation]
    if turned:
        record, image, mask = turned[0]
        yield finding(
            "orientation-mismatch",
            f"{_count(turned, 'image')} and masks state different EXIF orientations, for example {shown(record.image, root)} "
            f"{image.orientation} and its mask {mask.orientation}; save both upright without EXIF orientation",
            [shown(r.image, root) for r, _, _ in turned],
        )
    differing = [(r, image, mask) for r, image, mask in pairs if image.size != mask.size]
    if differing:
        record, image, mask = differing[0]
        yield finding(
            "size-mismatch",
            f"{_count(differing, 'mask')} of another size than the image, for example {shown(record.image, root)}: "
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
        yield finding("too-many-channels", f"{_count(many, 'image')} of more than {MAX_CHANNELS} channels; keep {MAX_CHANNELS} at most", many)


def _per_image(images: Sequence[tuple[Record, ImageFacts]], root: Path) -> Iterator[Finding]:
    def those(test: Callable[[ImageFacts], bool]) -> list[str]:
        return [shown(record.image, root) for record, image in images if test(image)]

    broken = those(lambda image: not image.finite)
    if broken:
        yield finding("not-finite", f"{_count(broken, 'image')} with NaN or infinite values; replace those values", broken)
    types = Counter(image.dtype for _, image in images)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        listed = ", ".join(f"{number} {type_}" for type_, number in types.most_common())
        odd = those(lambda image: image.dtype != usual)
        yield finding("dtype-differs", f"images are stored in different types: {listed}; equal values may mean different brightness", odd)
    constant = those(lambda image: image.minimum == image.maximum)
    if constant:
        yield finding("constant-image", f"{_count(constant, 'image')} with one value everywhere; look whether they belong here", constant)


def _per_mask(masks: Sequence[tuple[Record, MaskFacts]], root: Path) -> Iterator[Finding]:
    lossy = [shown(mask_path(record), root) for record, mask in masks if mask.lossy]
    if lossy:
        yield finding("lossy-mask", f"{_count(lossy, 'mask')} stored as JPEG, which alters class ids; export them as PNG", lossy)
    overlapping = [(shown(mask_path(record), root), mask.overlap) for record, mask in masks if mask.overlap]
    if overlapping:
        pixels = sum(overlap for _, overlap in overlapping)
        yield finding(
            "class-overlap",
            f"in {_count(overlapping, 'mask')} {pixels} pixels are claimed by more than one class; the later class keeps them",
            [name for name, _ in overlapping],
        )


def _parts(records: Sequence[Record]) -> Iterator[Finding]:
    filled = {record.split for record in records}
    if filled == {None}:
        return  # not cut at all, which the split itself reports
    for part in ("train", "val"):
        if part not in filled:
            yield finding("empty-part", f"no image is in {part}; cut the set anew with '--split 70/15/15', or name the parts with '--split FILE'")


def _duplicates(records: Sequence[Record], images: Mapping[str, ImageFacts], root: Path) -> Iterator[Finding]:
    """Images of equal pixels. Constant ones are left to their own finding: two black images are no copies of each other."""
    by_hash: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        image = images[record.id]
        if image.minimum != image.maximum:
            by_hash[image.pixel_hash].append(record)
    equal = [group for group in by_hash.values() if len(group) > 1]
    across = [group for group in equal if len({record.split for record in group}) > 1]
    inside = [group for group in equal if len({record.split for record in group}) == 1]
    if across:
        example = " = ".join(f"{shown(record.image, root)} ({record.split})" for record in across[0])
        message = f"{_count(across, 'image')} with equal pixels in different parts, for example {example}; keep one of each, or group them"
        yield finding("duplicate-across-splits", message, [shown(record.image, root) for group in across for record in group])
    if inside:
        example = " = ".join(shown(record.image, root) for record in inside[0])
        message = f"{_count(inside, 'image')} with equal pixels inside one part, for example {example}; keep one of each"
        yield finding("duplicate-image", message, [shown(record.image, root) for group in inside for record in group])


def _groups(records: Sequence[Record], root: Path) -> Iterator[Finding]:
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.group is not None and record.split is not None:
            parts[record.group].add(record.split)
    torn = {group: [part for part in PARTS if part in found] for group, found in parts.items() if len(found) > 1}
    if torn:
        listed = ", ".join(f"{group} ({'/'.join(found)})" for group, found in list(torn.items())[:5])
        yield finding(
            "group-across-splits",
            f"{_count(torn, 'group')} in more than one part: {listed}; cut the set anew with '--split 70/15/15'",
            [shown(record.image, root) for record in records if record.group in torn],
        )


def _classes(records: Sequence[Record], presence: Mapping[str, frozenset[int]], classes: ClassMap) -> Iterator[Finding]:
    """Classes that training, or validation, never sees."""
    seen: dict[str | None, Counter[int]] = {part: Counter() for part in (*PARTS, None)}
    for record in records:
        seen[record.split].update(presence.get(record.id, frozenset()))
    everywhere = sum(seen.values(), Counter[int]())
    if len(everywhere) < 2 <= classes.num_classes:
        only = ", ".join(classes.names[index] for index in everywhere) or "nothing that counts"
        yield finding("one-class-only", f"all {len(records)} images show {only} and no other class; look at the masks, or give --map")
        return
    if not seen["train"]:
        return  # no training part, reported by itself
    unlearnt = [index for index in range(classes.num_classes) if index not in seen["train"]]
    if unlearnt:
        names = ", ".join(f"{classes.names[index]} ({_where(index, seen)})" for index in unlearnt)
        message = f"no training image shows {names}; move images to train, or take the class out of the class file"
        yield finding("class-without-training-pixels", message)
    yield from _unseen("class-only-in-test", [i for i in unlearnt if i in seen["test"] and i not in seen["val"]], classes)
    yield from _unseen("class-without-validation-pixels", [i for i in seen["train"] if seen["val"] and i not in seen["val"]], classes)


def _unseen(code: str, indices: Iterable[int], classes: ClassMap) -> Iterator[Finding]:
    names = ", ".join(classes.names[index] for index in sorted(indices))
    if names:
        where = "only test images show" if code == "class-only-in-test" else "no validation image shows"
        yield finding(code, f"{where} {names}; its score there says little")


def _where(index: int, seen: Mapping[str | None, Counter[int]]) -> str:
    found = ", ".join(f"{counts[index]} in {part}" for part, counts in seen.items() if part is not None and counts[index])
    return found or "in no image at all"


def _size(facts: ImageFacts | MaskFacts) -> str:
    return f"{facts.size[1]} x {facts.size[0]}"


def _count(things: Iterable[object], what: str) -> str:
    number = len(list(things))
    return f"{number} {what}{'' if number == 1 else 's'}"
