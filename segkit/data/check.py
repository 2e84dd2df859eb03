"""What is wrong with a set as a whole, its parts filled in: leaks between parts, classes that are never seen.

`segkit.data.check_files` looks at the files one by one before; what each code means stands in `segkit.data.rules`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segkit.data.about import about_images
from segkit.data.facts import ImageFacts
from segkit.data.findings import Finding, Severity, shown
from segkit.data.heads import Head, Presence
from segkit.data.near_duplicates import look_alikes
from segkit.data.rules import finding
from segkit.ops.words import counted
from segkit.structures import PARTS, Record


def check_set(records: Sequence[Record], images: Mapping[str, ImageFacts], root: Path) -> list[Finding]:
    """Problems of the set as a whole, its parts filled in.

    Args:
        records: the images to be used.
        images: what the scan knows of them.
        root: the data set's folder.
    """
    assigned = [record for record in records if record.split is not None] or records  # others are never used
    return [
        *check_not_empty(records),
        *_parts(records),
        *_duplicates(assigned, images, root),
        *_near_duplicates(assigned, images, root),
        *_groups(records, root),
    ]


def check_classes(
    head: Head, records: Sequence[Record], presence: Presence, root: Path, incomplete: bool = False
) -> list[Finding]:
    """Classes of a head that training, or validation, never sees.

    Args:
        head: what the targets are for, and mean; a set to find objects in may have one class only.
        records: the images to be used; those that the head does not list have no target of it.
        presence: id -> indices of the classes the image shows.
        root: the data set's folder.
        incomplete: errors found before leave images out, so that a class may lack because of them.
    """
    found = list(_classes([record for record in records if record.id in presence], presence, head, root))
    return list(map(_after_errors, found)) if incomplete else found


def _after_errors(found: Finding) -> Finding:
    """Of images that were left out nobody knows what they show, so a class they lack is no error of its own."""
    if found.code != "class-without-training-pixels":
        return found
    doubt = "images that are left out because of errors may show it: correct those first"
    return replace(found, severity=Severity.WARNING, message=f"{found.message}; {doubt}")


def check_not_empty(records: Sequence[Record]) -> Iterator[Finding]:
    """A set of which nothing can be used."""
    if not records:
        yield finding("empty-set", "no usable image is left; see the other findings, or name another folder")


def _parts(records: Sequence[Record]) -> Iterator[Finding]:
    filled = {record.split for record in records}
    if filled <= {None}:
        return  # not cut at all, which the split itself reports
    empty = [part for part in ("train", "val") if part not in filled]
    if empty:
        message = f"no image is in {' and none in '.join(empty)}"
        yield finding(
            "empty-part", f"{message}; cut the set anew with '--split 70/15/15', or name parts in a split file"
        )


def _duplicates(records: Sequence[Record], images: Mapping[str, ImageFacts], root: Path) -> Iterator[Finding]:
    """Images of equal pixels. Constant ones are left to their own finding: two black images are no copies."""
    by_hash: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        image = images[record.id]
        if image.minimum != image.maximum:
            by_hash[image.pixel_hash].append(record)
    equal = [group for group in by_hash.values() if len(group) > 1]
    across = [group for group in equal if len({record.split for record in group}) > 1]
    inside = [group for group in equal if len({record.split for record in group}) == 1]
    if across:
        copies = [record for group in across for record in group]
        example = " = ".join(f"{shown(record.image, root)} ({record.split})" for record in across[0])
        message = f"{counted(len(copies), 'image')} with equal pixels in different parts, for example {example}"
        yield about_images("duplicate-across-splits", f"{message}; keep one of each", copies, root)
    if inside:
        copies = [record for group in inside for record in group]
        example = " = ".join(shown(record.image, root) for record in inside[0])
        message = f"{counted(len(copies), 'image')} with equal pixels inside one part, for example {example}"
        yield about_images("duplicate-image", f"{message}; keep one of each", copies, root)


def _near_duplicates(records: Sequence[Record], images: Mapping[str, ImageFacts], root: Path) -> Iterator[Finding]:
    """Images in different parts that look alike; those of equal pixels or of one group have findings of their own."""
    thumbnails = [images[record.id].thumbnail for record in records]
    found = look_alikes(thumbnails, [record.split for record in records])
    pairs = [(records[i], records[j]) for i, j in found]
    pairs = [
        (one, other)
        for one, other in pairs
        if images[one.id].pixel_hash != images[other.id].pixel_hash and (one.group is None or one.group != other.group)
    ]
    if pairs:
        concerned = list({record.id: record for pair in pairs for record in pair}.values())
        example = " ~ ".join(f"{shown(record.image, root)} ({record.split})" for record in pairs[0])
        message = (
            f"{counted(len(concerned), 'image')} in different parts look alike, for example {example}; "
            "scores will be too good: keep copies out, and what was taken together in one part with '--group-by'"
        )
        yield about_images("near-duplicate-across-splits", message, concerned, root)


def _groups(records: Sequence[Record], root: Path) -> Iterator[Finding]:
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.group is not None and record.split is not None:
            parts[record.group].add(record.split)
    torn = {group: [part for part in PARTS if part in found] for group, found in parts.items() if len(found) > 1}
    if torn:
        listed = ", ".join(f"{group} ({'/'.join(found)})" for group, found in list(torn.items())[:5])
        message = (
            f"{counted(len(torn), 'group')} in more than one part: {listed}; cut the set anew with '--split 70/15/15'"
        )
        yield about_images("group-across-splits", message, [r for r in records if r.group in torn], root)


def _classes(records: Sequence[Record], presence: Presence, head: Head, root: Path) -> Iterator[Finding]:
    """Classes that training, or validation, never sees."""
    classes = head.classes

    def showing(indices: Collection[int]) -> list[Record]:
        return [record for record in records if not presence[record.id].isdisjoint(indices)]

    seen: dict[str | None, Counter[int]] = {part: Counter() for part in (*PARTS, None)}
    for record in records:
        seen[record.split].update(presence[record.id])
    everywhere = sum(seen.values(), Counter[int]())
    if len(everywhere) < (1 if head.task == "detect" else 2):
        only = ", ".join(classes.names[index] for index in everywhere) or "nothing that counts"
        empty = "every mask is empty: " if set(everywhere) <= {classes.background} else ""
        message = f"{empty}none of {counted(len(records), 'image')} shows a class besides {only}"
        yield finding("one-class-only", f"{message}; look at the masks, or give --map")
        return
    if not seen["train"]:
        return  # no training part, reported by itself
    unlearnt = [index for index in range(classes.num_classes) if index not in seen["train"]]
    unused = [index for index in unlearnt if head.unused_classes and index not in everywhere]
    if unused:
        more = f" and {len(unused) - 10} more" if len(unused) > 10 else ""
        names = ", ".join(classes.names[index] for index in unused[:10])
        yield finding(
            "unused-class", f"the data declares {names}{more}, which no image shows; they are never predicted"
        )
    unlearnt = [index for index in unlearnt if index not in unused]
    if unlearnt:
        names = ", ".join(f"{classes.names[index]} ({_where(index, seen)})" for index in unlearnt)
        other_way = f", or take the class out of {head.class_list}" if head.class_list is not None else ""
        message = f"no training image shows {names}; move images to train{other_way}"
        yield about_images("class-without-training-pixels", message, showing(unlearnt), root)
    only_tested = [index for index in unlearnt if index in seen["test"] and index not in seen["val"]]
    if only_tested:
        names = ", ".join(classes.names[index] for index in only_tested)
        message = f"only test images show {names}; its score there says little"
        yield about_images("class-only-in-test", message, showing(only_tested), root)
    unseen = sorted(index for index in seen["train"] if seen["val"] and index not in seen["val"])
    if unseen:
        names = ", ".join(classes.names[index] for index in unseen)
        yield finding(
            "class-without-validation-pixels", f"no validation image shows {names}; its score there says little"
        )


def _where(index: int, seen: Mapping[str | None, Counter[int]]) -> str:
    found = ", ".join(
        f"{counts[index]} in {part}" for part, counts in seen.items() if part is not None and counts[index]
    )
    return found or "in no image at all"
