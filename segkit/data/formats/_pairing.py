"""Which mask belongs to which image, judged by names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_SEPARATORS = "_-. "


@dataclass(frozen=True)
class NameRule:
    """How the name of a mask follows from that of its image: one constant piece at the start or at the end differs.

    Attributes:
        image_part: the piece in image names, may be empty.
        mask_part: the piece in mask names, may be empty.
        at_start: the piece is a prefix of the file name, else a suffix.
    """

    image_part: str = ""
    mask_part: str = ""
    at_start: bool = False

    def mask_name(self, image: str) -> str | None:
        """The mask's name for an image's ("folder/name"), None where the image lacks the piece."""
        folder, name = _split_folder(image)
        if self.at_start:
            return folder + self.mask_part + name[len(self.image_part) :] if name.startswith(self.image_part) else None
        return folder + name.removesuffix(self.image_part) + self.mask_part if name.endswith(self.image_part) else None

    def pairs(self, images: Collection[str], masks: Collection[str]) -> dict[str, str]:
        """Image name -> mask name, for the images whose mask is there."""
        return {image: mask for image in images if (mask := self.mask_name(image)) is not None and mask in masks}

    def __str__(self) -> str:
        place = "prefix" if self.at_start else "suffix"
        if not self.mask_part:
            return f"masks pair by names without the images' {place} {self.image_part!r}"
        instead = f" in place of {self.image_part!r}" if self.image_part else ""
        return f"masks pair by the {place} {self.mask_part!r}{instead}"


EQUAL_NAMES = NameRule()


def find_rule(images: Collection[str], masks: Collection[str]) -> NameRule:
    """The rule that pairs images and masks.

    Equal names, unless they leave files unpaired on both sides and one constant prefix or suffix does not; where no
    name is equal, the piece that pairs at least half of the files, so that the others can be named as missing.
    """
    possible = min(len(images), len(masks))
    equal = len(EQUAL_NAMES.pairs(images, masks))
    if equal == possible:
        return EQUAL_NAMES
    scored = {rule: len(rule.pairs(images, masks)) for rule in _likely_rules(images, masks)}
    best = max(scored, key=lambda rule: (scored[rule], -len(rule.image_part + rule.mask_part)), default=EQUAL_NAMES)
    needed = possible if equal else possible / 2
    return best if scored.get(best, 0) >= needed else EQUAL_NAMES


def find_class_files(images: Collection[str], masks: Collection[str]) -> dict[str, dict[str, str]] | None:
    """Image name -> class name -> mask name, where every mask is called like its image, a separator and a class.

    None where a mask does not fit, where there are fewer than two classes, or where the names are numbers: those count
    objects, not classes.
    """
    names = set(images)
    found: dict[str, dict[str, str]] = {}
    for mask in masks:
        cuts = [i for i in range(len(mask) - 1, 0, -1) if mask[i] in _SEPARATORS and mask[:i] in names]
        if not cuts:
            return None
        found.setdefault(mask[: cuts[0]], {})[mask[cuts[0] + 1 :]] = mask
    classes = {name for files in found.values() for name in files}
    return found if len(classes) > 1 and not any(name.isdigit() for name in classes) else None


def _likely_rules(images: Collection[str], masks: Collection[str]) -> list[NameRule]:
    """The rules that most often turn one of a few sample images into some mask."""
    ordered = sorted(images)
    samples = {ordered[i * (len(ordered) - 1) // 4] for i in range(5)} if ordered else set()
    by_folder: dict[str, list[str]] = {}
    for mask in masks:
        folder, name = _split_folder(mask)
        by_folder.setdefault(folder, []).append(name)
    votes = Counter(rule for sample in sorted(samples) for rule in _rules_for(sample, by_folder))
    return [rule for rule, _ in votes.most_common(32)]


def _rules_for(image: str, masks_by_folder: Mapping[str, list[str]]) -> Iterator[NameRule]:
    folder, name = _split_folder(image)
    for mask in masks_by_folder.get(folder, []):
        shared = _shared_start(name, mask)
        if shared and not _starts_with_digit(name[shared:], mask[shared:]):
            yield NameRule(name[shared:], mask[shared:], at_start=False)
        shared = _shared_start(name[::-1], mask[::-1])
        start, mask_start = name[: len(name) - shared], mask[: len(mask) - shared]
        if shared and not _starts_with_digit(start[::-1], mask_start[::-1]):
            yield NameRule(start, mask_start, at_start=True)


def _shared_start(first: str, second: str) -> int:
    """Number of characters that two names have in common at the start."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def _starts_with_digit(*pieces: str) -> bool:
    """A piece that continues a number would pair 'frame1' with 'frame10'."""
    return any(piece[:1].isdigit() for piece in pieces)


def _split_folder(name: str) -> tuple[str, str]:
    folder, slash, last = name.rpartition("/")
    return folder + slash, last
