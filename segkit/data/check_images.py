"""What is wrong with single images, and what makes them differ from one another; nothing is read here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from segkit.data.about import about_images
from segkit.data.facts import ImageFacts
from segkit.data.findings import Finding, shown
from segkit.data.readers._base import MAX_CHANNELS
from segkit.ops.words import counted
from segkit.structures import Record

SMALLEST_SIDE = 16
"""Pixels below which there is nothing to segment: usually a thumbnail, or a file of something else."""

FAR = 8
"""How many times longer or shorter than usual the longer side of an image is that does not belong with the others."""

SPACING_TOLERANCE = 0.01
"""Share by which spacings may differ: scanners round."""

Images = Sequence[tuple[Record, ImageFacts]]


def check_images(images: Images, root: Path) -> list[Finding]:
    """Problems of images that can be read; `root` is the data set's folder."""
    return [
        *_channels(images, root),
        *_values(images, root),
        *_types(images, root),
        *_spacings(images, root),
        *_sizes(images, root),
        *_names([record for record, _ in images], root),
    ]


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


def _values(images: Images, root: Path) -> Iterator[Finding]:
    def those(test: Callable[[ImageFacts], bool]) -> list[Record]:
        return [record for record, image in images if test(image)]

    broken = those(lambda image: image.not_finite > 0)
    if broken:
        worst, image = max(images, key=lambda pair: pair[1].not_finite)
        example = f"{shown(worst.image, root)} {_share(image.not_finite)}"
        message = f"{counted(len(broken), 'image')} with NaN or infinite values (at most {example}); replace them"
        yield about_images("not-finite", message, broken, root)
    constant = those(lambda image: image.minimum == image.maximum)
    if constant:
        message = f"{counted(len(constant), 'image')} with one value everywhere; look whether they belong here"
        yield about_images("constant-image", message, constant, root)
    moving = those(lambda image: image.frames > 1)
    if moving:
        message = (
            f"{counted(len(moving), 'animation')}, of which only the first frame is read; "
            "save each frame that matters as its own file"
        )
        yield about_images("animated-image", message, moving, root)
    hiding = those(lambda image: image.hidden > 0)
    if hiding:
        worst, image = max(images, key=lambda pair: pair[1].hidden)
        message = (
            f"{counted(len(hiding), 'image')} with colours beneath transparent pixels, which viewers hide and networks "
            f"see, at most {shown(worst.image, root)} {_share(image.hidden)}; save them without transparency"
        )
        yield about_images("hidden-by-alpha", message, hiding, root)


def _types(images: Images, root: Path) -> Iterator[Finding]:
    types = Counter(image.dtype for _, image in images)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        listed = ", ".join(f"{number} {type_}" for type_, number in types.most_common())
        message = f"images are stored in different types: {listed}; equal values may mean different brightness"
        yield about_images("dtype-differs", message, [r for r, image in images if image.dtype != usual], root)


def _spacings(images: Images, root: Path) -> Iterator[Finding]:
    stated = [(record, image.spacing) for record, image in images if image.spacing is not None]
    if not stated:
        return
    (rows, columns), _ = Counter(spacing for _, spacing in stated).most_common(1)[0]
    odd = [
        (record, spacing)
        for record, spacing in stated
        if abs(spacing[0] - rows) > SPACING_TOLERANCE * rows or abs(spacing[1] - columns) > SPACING_TOLERANCE * columns
    ]
    if odd:
        record, spacing = odd[0]
        message = (
            f"{counted(len(odd), 'image')} of another spacing than the usual {rows:g} x {columns:g} mm, for example "
            f"{shown(record.image, root)} {spacing[0]:g} x {spacing[1]:g}; objects of one size look different there"
        )
        yield about_images("spacing-differs", message, [record for record, _ in odd], root)


def _sizes(images: Images, root: Path) -> Iterator[Finding]:
    if not images:
        return
    usual = median(max(image.size) for _, image in images)
    odd = [
        (record, image.size)
        for record, image in images
        if min(image.size) < SMALLEST_SIDE or not usual / FAR <= max(image.size) <= usual * FAR
    ]
    if odd:
        record, (height, width) = odd[0]
        message = (
            f"{counted(len(odd), 'image')} below {SMALLEST_SIDE} pixels, or {FAR} times as long or short as usual "
            f"({usual:g} pixels), for example {shown(record.image, root)} {width} x {height}; "
            "look whether they belong here"
        )
        yield about_images("absurd-size", message, [record for record, _ in odd], root)


def _names(records: Sequence[Record], root: Path) -> Iterator[Finding]:
    by_name: defaultdict[str, set[Path]] = defaultdict(set)
    for record in records:
        by_name[str(record.image).casefold()].add(record.image)
    alike = {name for name, files in by_name.items() if len(files) > 1}
    if alike:
        concerned = sorted(
            (r for r in records if str(r.image).casefold() in alike), key=lambda r: str(r.image).casefold()
        )
        first, second = concerned[:2]
        message = (
            f"{counted(len(concerned), 'image')} whose names differ by upper and lower case alone, for example "
            f"{shown(first.image, root)} and {shown(second.image, root)}; "
            "Windows and macOS take them for one file, rename them"
        )
        yield about_images("names-differ-by-case", message, concerned, root)


def _share(share: float) -> str:
    """A share for people, never 0 where there is some."""
    return f"{share:.1%}" if share >= 0.001 else "below 0.1%"
