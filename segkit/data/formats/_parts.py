"""Records of folders of images that have folders of masks: paired by name, with what found no partner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.data.findings import Finding
from segkit.data.formats._base import Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._folders import ImageFiles, find_class_file, finding_of_files, holds_images, subfolders
from segkit.data.formats._ids import duplicate_ids, unique_ids
from segkit.data.formats._layout import Part
from segkit.data.formats._pairing import EQUAL_NAMES, find_class_files, find_rule
from segkit.errors import DataError
from segkit.structures import Record

Mask = Path | Mapping[str, Path]


def list_parts(root: Path, layout: str, parts: Sequence[Part]) -> Listing:
    """The listing of a data set that is laid out in these parts; raises `DataError` when no image has a mask."""
    listed = [_list_part(part, root) for part in parts]
    if not any(part.records for part in listed):
        raise DataError(_nothing_paired(listed))
    records, id_notes = unique_ids([record for part in listed for record in part.records])
    assigned = apply_split_files(root, records, [id_ for part in listed for id_ in part.missing])
    repeated = [file for part in listed for file in part.repeated]
    notes = [*(note for part in listed for note in part.notes), *id_notes, *assigned.notes]
    return Listing(
        root=root,
        layout=layout,
        task="segment",
        records=tuple(sorted(assigned.records, key=lambda record: record.id)),
        class_file=find_class_file(root),
        notes=tuple(dict.fromkeys(notes)),
        findings=(*_findings(listed, root), *duplicate_ids(repeated, assigned.records, root), *assigned.findings),
    )


@dataclass(frozen=True)
class _ListedPart:
    """The records of one part, and what found no partner.

    Attributes:
        part: the folders.
        records: images with a mask.
        missing: id -> image without a mask.
        orphans: masks without an image.
        repeated: files that have the name without suffix of another one of the folder.
        notes: what to say about the part.
    """

    part: Part
    records: tuple[Record, ...]
    missing: Mapping[str, Path]
    orphans: tuple[Path, ...] = ()
    repeated: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def _list_part(part: Part, root: Path) -> _ListedPart:
    images = ImageFiles.below(part.images)
    if part.masks is None:
        return _ListedPart(part, (), images.files, repeated=images.repeated, notes=tuple(images.notes(root)))
    masks = ImageFiles.below(part.masks)
    found, orphans, notes = _match(images, masks)
    return _ListedPart(
        part=part,
        records=tuple(
            Record(id_, file, found[id_], split=part.split) for id_, file in images.files.items() if id_ in found
        ),
        missing={id_: file for id_, file in images.files.items() if id_ not in found},
        orphans=orphans,
        repeated=(*images.repeated, *masks.repeated),
        notes=(*notes, *images.notes(root), *masks.notes(root)),
    )


def _match(images: ImageFiles, masks: ImageFiles) -> tuple[dict[str, Mask], tuple[Path, ...], tuple[str, ...]]:
    """Id -> mask, the masks left over, and how it was done."""
    class_folders = _class_folders(images, masks)
    if class_folders:
        return _match_class_folders(images, class_folders)
    by_class = find_class_files(images.files, masks.files) if len(masks.files) > len(images.files) else None
    if by_class:
        per_class = {
            id_: {name: masks.files[mask] for name, mask in sorted(files.items())} for id_, files in by_class.items()
        }
        return dict(per_class), (), (_class_note((name for files in per_class.values() for name in files), "file"),)
    rule = find_rule(images.files, masks.files)
    pairs = rule.pairs(images.files, masks.files)
    orphans = masks.files.keys() - set(pairs.values())
    note = () if rule == EQUAL_NAMES else (str(rule),)
    return (
        {id_: masks.files[mask] for id_, mask in pairs.items()},
        tuple(masks.files[mask] for mask in sorted(orphans)),
        note,
    )


def _class_folders(images: ImageFiles, masks: ImageFiles) -> list[ImageFiles]:
    """The folders of one class each; none where masks lie beside them or a folder is called like an image."""
    if any("/" not in name for name in masks.files):
        return []
    taken = {name.split("/")[0] for name in images.files}
    folders = [ImageFiles.below(folder) for folder in subfolders(masks.folder) if holds_images(folder)]
    return [] if any(files.folder.name in taken for files in folders) else folders


def _match_class_folders(
    images: ImageFiles, class_folders: list[ImageFiles]
) -> tuple[dict[str, Mask], tuple[Path, ...], tuple[str, ...]]:
    found: dict[str, dict[str, Path]] = {}
    orphans: list[Path] = []
    for masks in class_folders:
        pairs = find_rule(images.files, masks.files).pairs(images.files, masks.files)
        for id_, mask in pairs.items():
            found.setdefault(id_, {})[masks.folder.name] = masks.files[mask]
        orphans += [masks.files[mask] for mask in sorted(masks.files.keys() - set(pairs.values()))]
    return dict(found), tuple(orphans), (_class_note((masks.folder.name for masks in class_folders), "folder"),)


def _class_note(names: Iterable[str], kind: str) -> str:
    listed = ", ".join(sorted(set(names)))
    return f"one mask {kind} per class: {listed}; an image without a file for a class holds none of it"


def _findings(parts: list[_ListedPart], root: Path) -> list[Finding]:
    unlabelled = [part.part.images for part in parts if part.part.masks is None]
    without = [file for part in parts if part.part.masks is not None for file in part.missing.values()]
    broken = [file for file in without if file.is_symlink() and not file.exists()]
    missing = [file for file in without if file not in broken]
    orphans = [file for part in parts for file in part.orphans]
    listed = {
        "unlabelled-split": ("folders of images without a folder of masks ({n}) are left out", unlabelled),
        "unreadable-image": ("links ({n}) that lead nowhere: bring the images back, or take the links out", broken),
        "missing-mask": ("images without a mask ({n}): add the masks, or take the images out", missing),
        "orphan-mask": ("masks without an image ({n}): add the images, or take the masks out", orphans),
    }
    return [
        found for code, (message, files) in listed.items() for found in finding_of_files(code, message, files, root)
    ]


def _nothing_paired(parts: list[_ListedPart]) -> str:
    """Why there are no records, with a name of each side."""
    part = next(part for part in parts if part.part.masks)
    assert part.part.masks is not None
    folders = f"{part.part.images} and {part.part.masks}"
    if not part.missing:
        return f"{part.part.images} holds no images segkit can read; put PNG, JPEG, BMP, WebP or TIFF files there"
    if not part.orphans:
        return f"{part.part.masks} holds no masks segkit can read; put PNG, BMP or TIFF files there"
    image, mask = next(iter(part.missing.values())).name, part.orphans[0].name
    return (
        f"no image pairs with a mask in {folders}, for example {image!r} and {mask!r}; "
        "names must be equal, or differ by one constant prefix or suffix"
    )
