"""Which file beside the annotations is the image that an annotation tool names, wherever it lay when it was marked."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from segkit.data.formats._folders import IMAGE_WORDS, ImageFiles
from segkit.data.image_io import IMAGE_SUFFIXES
from segkit.errors import DataError
from segkit.ops.words import counted


class ImageSearch:
    """The images below a folder, looked up by the paths of other machines.

    Args:
        root: the folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, name: str, near: Path, hints: Sequence[str] = ()) -> Path | None:
        """The image called `name`, or None where none is there, or several are and nothing tells which.

        Args:
            name: a path, of which the last parts count.
            near: the folder from which relative paths start.
            hints: names of folders, one of which leads to the image where several have its name.
        """
        plain = PurePosixPath(name.replace("\\", "/").replace("\0", ""))
        beside = Path(os.path.normpath(near / plain))  # ids are paths, and ../ must not be in them
        if beside.suffix.lower() in IMAGE_SUFFIXES and is_file(beside):
            return beside
        return self._only(self._by_name[plain.name], plain, hints) or self._only(
            self._by_stem[plain.stem], plain, hints
        )

    def id_of(self, image: Path) -> str:
        """The path below the data set's folder without suffix; a folder called images in front of it does not count."""
        inside = image.relative_to(self.root) if image.is_relative_to(self.root) else Path(image.name)
        parts = inside.with_suffix("").parts
        return "/".join(parts[1:] if len(parts) > 1 and parts[0].lower() in IMAGE_WORDS else parts)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every image below the folder."""
        found = ImageFiles.below(self.root)
        return tuple(dict.fromkeys((*found.files.values(), *found.repeated)))

    @cached_property
    def _by_name(self) -> defaultdict[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for file in self.files:
            found[file.name].append(file)
        return found

    @cached_property
    def _by_stem(self) -> defaultdict[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for file in self.files:
            found[file.stem].append(file)
        return found

    def _only(self, found: Sequence[Path], name: PurePosixPath, hints: Sequence[str]) -> Path | None:
        """The only one, else the only one whose folders end as the name's, or in a folder that a hint names."""
        parents = name.parent.parts
        for kept in (
            found,
            [file for file in found if parents and file.parent.parts[-len(parents) :] == parents],
            [file for file in found if not set(hints).isdisjoint(file.relative_to(self.root).parts)],
        ):
            if len(kept) == 1:
                return kept[0]
        return None


def where_to_put(folder: Path) -> str:
    """What to do about images that are not there, in the words of a message."""
    return f"put them into {folder}, or a folder in it, in any format of images"


def none_there(source: Path, names: Sequence[str], folder: Path) -> DataError:
    """The error that a set has none of the images that its annotations name."""
    return DataError(
        f"the annotations of {source} name {counted(len(names), 'image')}, and none is there, "
        f"for example {names[0]!r}; "
        f"{where_to_put(folder)}"
    )


def is_file(path: Path) -> bool:
    """Whether a file is there; not, where no file system takes its name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
