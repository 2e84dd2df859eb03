"""From the files of a public set, as they are published, to a layout that segkit reads."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from segkit.data.catalogue import PublicSet, Take
from segkit.data.csv_table import format_table
from segkit.data.image_io import read_image, read_mask, write_image
from segkit.data.unpacking import write_stream
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder, write_atomically


@dataclass(frozen=True)
class Source:
    """The files of a set as published, unpacked.

    Attributes:
        folder: holds them, at any depth.
        given: what they were unpacked from; the folder where None.
        looked_for: names of archives that were not found in the folder.
    """

    folder: Path
    given: Path | None = None
    looked_for: tuple[str, ...] = ()

    def lacks(self, what: str) -> DataError:
        """The error that says so."""
        names = f"; archives looked for in it: {', '.join(self.looked_for)}" if self.looked_for else ""
        return DataError(f"{self.given or self.folder} holds no {what}; give the set as it is published{names}")

    def find(self, *patterns: str) -> list[Path]:
        """The files whose last parts fit the first pattern that fits any; of several folders those of the topmost."""
        for pattern in patterns:
            by_folder: defaultdict[PurePosixPath, list[Path]] = defaultdict(list)
            for path in self._paths:
                if path.match(pattern):
                    by_folder[path.parent].append(self.folder / path)
            if by_folder:
                return by_folder[min(by_folder, key=lambda parent: (len(parent.parts), parent))]
        return []

    def folders_of_objects(self) -> list[Path]:
        """The folders that hold `masks/*.png` and `images/*.png`."""
        with_masks, with_images = (
            {path.parent.parent for path in self._paths if path.match(f"{kind}/*.png")} for kind in ("masks", "images")
        )
        return [self.folder / parent for parent in sorted(with_masks & with_images)]

    @cached_property
    def _paths(self) -> list[PurePosixPath]:
        """Every file below the folder; hidden ones and what macOS adds to archives are left out."""
        return sorted(
            PurePosixPath(Path(parent, name).relative_to(self.folder).as_posix())
            for parent, folders, names in os.walk(self.folder)
            if not any(part.startswith((".", "__MACOSX")) for part in Path(parent).relative_to(self.folder).parts)
            for name in names
            if not name.startswith(".")
        )


def lay_out(entry: PublicSet, source: Source, out: Path) -> None:
    """Write a set into a folder in its layout; raises `DataError` where the source lacks files of it."""
    for take in entry.take:
        _take(take, source, out)
    if entry.recipe is not None:
        RECIPES[entry.recipe](entry, source, out)
    _require_content(entry.content, source, out)
    if entry.write_classes:
        write_atomically(out / "classes.csv", _class_table(entry))


def _take(take: Take, source: Source, out: Path) -> None:
    files = source.find(*take.from_)
    if not files:
        raise source.lacks(take.from_[0])
    folder = make_folder(out / take.to)
    for file in files:
        if take.map:
            table = np.zeros(256, np.uint8)
            table[list(take.map)] = list(take.map.values())
            write_image(folder / f"{file.stem}.png", table[read_mask(file)])
        elif take.as_ == "binary":
            brightest = read_image(file).max(axis=2)
            write_image(folder / f"{file.stem}.png", np.where(brightest > 127, np.uint8(255), np.uint8(0)))
        else:
            _copy(file, folder / file.name)


def _copy(file: Path, target: Path) -> None:
    """Copy the bytes of a file; the error names the one of the two that fails."""
    try:
        with file.open("rb") as stream:
            write_stream(stream, target, sys.maxsize)
    except OSError as error:
        raise UnreadableFileError(file, error.strerror or str(error)) from None


def _require_content(content: Mapping[str, str], source: Source, out: Path) -> None:
    """Files that must be exactly these, gzipped or not."""
    for name, md5 in content.items():
        file = next((path for path in (out / name, out / f"{name}.gz") if path.is_file()), None)
        if file is None:
            raise source.lacks(name)
        try:
            with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
                found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except (OSError, EOFError, zlib.error):
            raise UnreadableFileError(file.name, "damaged or cut short; download or copy it again") from None
        if found != md5:
            raise DataError(
                f"{file.name}: the MD5 of its content is {found} and not {md5}; it is not the published one"
            )


def _class_table(entry: PublicSet) -> bytes:
    colored = all(one.color is not None for one in entry.classes)
    rows = [
        (position if one.id is None else one.id, one.name, int(one.void), *((one.color or ()) if colored else ()))
        for position, one in enumerate(entry.classes)
    ]
    return format_table(("id", "name", "void", *("rgb" if colored else "")), rows)


def _oxford_pet(_entry: PublicSet, source: Source, out: Path) -> None:
    """A table of image, mask, breed and part: other images than those of the two lists are not official."""
    rows = []
    for part, name in (("train", "trainval.txt"), ("test", "test.txt")):
        lists = source.find(f"annotations/{name}", name)
        if not lists:
            raise source.lacks(f"annotations/{name}")
        for line in lists[0].read_text(encoding="utf-8").splitlines():
            image = line.split()[0]
            rows.append((f"images/{image}.jpg", f"masks/{image}.png", image.rpartition("_")[0], part))
    write_atomically(out / "pets.csv", format_table(("image", "mask", "label", "split"), rows))


def _nuclei(entry: PublicSet, source: Source, out: Path) -> None:
    """One folder per image with one mask per nucleus, as published; or images/ and labels/ that number the nuclei.

    Some copies store gray images with one channel: all become RGB, as the coloured ones are.
    """
    numbered = source.find("labels/*.png")
    if numbered:
        for file in numbered:
            _copy(file, out / "instances" / file.name)
        for file in source.find("images/*.png"):
            _write_rgb(file, make_folder(out / "images") / file.name)
        write_atomically(out / "classes.csv", _class_table(entry))
        return
    folders = source.folders_of_objects()
    if not folders:
        raise source.lacks("folders with images/ and masks/")
    for folder in folders:
        for file in sorted((folder / "masks").glob("*.png")):
            _copy(file, out / folder.name / "masks" / file.name)
        for file in sorted((folder / "images").glob("*.png")):
            _write_rgb(file, make_folder(out / folder.name / "images") / file.name)


def _write_rgb(file: Path, target: Path) -> None:
    image = read_image(file)
    write_image(target, image[..., :3] if image.shape[2] > 2 else np.repeat(image[..., :1], 3, axis=2))


RECIPES: Mapping[str, Callable[[PublicSet, Source, Path], None]] = {
    "oxford-iiit-pet": _oxford_pet,
    "nuclei-dsb2018": _nuclei,
}
"""What a list of files to take cannot say."""
