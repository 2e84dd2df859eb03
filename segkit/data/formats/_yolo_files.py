"""YOLO's `data.yaml`, and the images, labels and masks it leads to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from segkit.data.class_file import MAX_ID
from segkit.data.formats._dataset_json import is_there
from segkit.data.formats._folders import SPLITS, ImageFiles
from segkit.data.image_io import IMAGE_SUFFIXES
from segkit.data.readers._base import cut_suffix
from segkit.errors import UnreadableFileError

YAML_SUFFIXES = (".yaml", ".yml")
MASK_SUFFIXES = (".png", ".PNG", ".bmp", ".tif", ".tiff")
MAX_BYTES = 2**18
"""Largest `data.yaml` that is read: a thousand names take some 20,000 bytes."""

_MAX_CANDIDATES = 20
_UPWARDS = "../"


@dataclass(frozen=True)
class YoloFile:
    """A `data.yaml`, or what stands in its place, read.

    Attributes:
        path: the file.
        names: class id -> name, in ascending order.
        folders: where relative paths start, the likeliest first; the last is that of the data set.
        parts: split -> what the file names for it, folders or lists of images; None: no split is named.
        masks_dir: the folder of masks that stands in place of `images`, None: the set has labels.
        has_keypoints: boxes are followed by keypoints, not by corners.
    """

    path: Path
    names: Mapping[int, str]
    folders: tuple[Path, ...]
    parts: Mapping[str | None, tuple[str, ...]]
    masks_dir: str | None
    has_keypoints: bool


def find_yolo_file(root: Path) -> Path | None:
    """The `data.yaml`: `root` itself, the file of that name, else the only YAML in the folder with its keys."""
    if root.is_file():
        return root if root.suffix.lower() in YAML_SUFFIXES and _has_keys(root) else None
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.name.lower().endswith(YAML_SUFFIXES))
    found = [root / name for name in names[:_MAX_CANDIDATES] if _has_keys(root / name)]
    named = [path for path in found if path.stem == "data"]
    return named[0] if named else found[0] if len(found) == 1 else None


def _has_keys(path: Path) -> bool:
    """Whether lines begin with the keys of a `data.yaml`, judged without parsing: a broken file is one too."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            keys = {line.partition(":")[0].strip() for line in file.read(MAX_BYTES).splitlines() if line[:1].isalpha()}
    except OSError:
        return False
    return bool(keys & {"names", "nc"}) and bool(keys & SPLITS.keys())


def read_yolo_file(path: Path) -> YoloFile:
    """Read a `data.yaml`; raises `UnreadableFileError` for one that is no YAML, or lacks classes or images."""
    content = _read_yaml(path)
    parts: dict[str | None, tuple[str, ...]] = {
        split: _entries(path, content[key], key) for key, split in SPLITS.items() if content.get(key)
    }
    if not parts:
        raise UnreadableFileError(path, "it names no images; it needs train, val or test, each a folder or a list")
    masks_dir = content.get("masks_dir")
    if masks_dir is not None and (not isinstance(masks_dir, str) or not masks_dir.strip("./")):
        raise UnreadableFileError(path, "masks_dir is the name of a folder that stands in place of images")
    return YoloFile(path, names_in(path, content), _folders(path, content), parts, masks_dir, "kpt_shape" in content)


class _Loader(yaml.SafeLoader):
    """Plain values alone, without merge keys: nested ones take time that doubles with every line."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave `<<` in place, which is then refused."""


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableFileError(path, f"more than {MAX_BYTES:,} bytes, and a data.yaml takes some thousand")
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or str(error)) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError, TypeError, AttributeError) as error:
        reason = str(error).splitlines() or ["nested too deep"]
        raise UnreadableFileError(path, f"it is no YAML ({reason[0][:80]})") from None
    if not isinstance(content, dict):
        raise UnreadableFileError(path, "it is no table of keys and values, as a data.yaml is")
    return content


def _entries(path: Path, value: object, key: str) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) and entry.strip() and "\0" not in entry for entry in entries):
        raise UnreadableFileError(path, f"{key} is neither a folder, nor a list of images, nor several of these")
    return tuple(entries)


def names_in(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Names from a list or a table of id and name; without any, the ids up to `nc` are names.

    Raises `UnreadableFileError` where there is none, or something else than ids and their own names.
    """
    given = content.get("names")
    count = content.get("nc")
    if given is None and isinstance(count, int) and 0 < count <= MAX_ID:
        given = list(map(str, range(count)))
    pairs = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
    names: dict[int, str] = {}
    for key, name in pairs:
        id_ = int(key) if isinstance(key, int | str) and str(key).isdecimal() and len(str(key)) < 9 else -1
        if not 0 <= id_ <= MAX_ID or not isinstance(name, str | int | float) or not str(name).strip():
            raise UnreadableFileError(path, f"names holds something else than ids from 0 to {MAX_ID} and their names")
        names[id_] = str(name).strip()
    if not names:
        raise UnreadableFileError(path, "it names no class; it needs names, a list or a table of id and name")
    if len(set(names.values())) < len(names):
        raise UnreadableFileError(path, "a name of a class occurs twice; names are unique")
    return dict(sorted(names.items()))


def _folders(path: Path, content: Mapping[str, Any]) -> tuple[Path, ...]:
    """`path` where it leads somewhere on this machine, and the file's own folder."""
    stated = content.get("path")
    usable = isinstance(stated, str) and bool(stated.strip()) and "\0" not in stated
    folders = [path.parent / str(stated), path.parent] if usable else [path.parent]
    return tuple(folder for folder in dict.fromkeys(folders) if is_folder(folder))


def is_folder(path: Path) -> bool:
    """Whether a folder of that name exists; no for names that no folder can have."""
    try:
        return path.is_dir()
    except OSError:
        return False


@dataclass(frozen=True)
class FoundImages:
    """The images of one part.

    Attributes:
        files: name without suffix -> image.
        repeated: images that have the name of another one without suffix.
        missing: what the file names and is not there.
        moved: path that leads nowhere -> its end, which lies beside the file.
    """

    files: Mapping[str, Path]
    repeated: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    moved: Mapping[str, str] = field(default_factory=dict)


def images_of(file: YoloFile, split: str | None) -> FoundImages:
    """The images of a part, from its folders and lists; raises `UnreadableFileError` for a list that is no text."""
    files: dict[str, Path] = {}
    repeated: list[Path] = []
    missing: list[str] = []
    moved: dict[str, str] = {}
    for entry in file.parts[split]:
        place = _place(file, entry)
        if place is None:
            end, place = next(((end, place) for end in _ends(entry) if (place := _place(file, end))), ("", None))
            moved |= {entry: end} if place else {}
        if place is None:
            missing.append(entry)
        elif place.is_dir():
            found = ImageFiles.below(place)
            new = {name: image for name, image in found.files.items() if name not in files}
            repeated += [*found.repeated, *(found.files[name] for name in found.files.keys() - new.keys())]
            files |= new
        else:
            for line in _lines(place):
                ways = ((end, path) for end in (line, *_ends(line)) for path in _listed(file, place, end))
                end, image = next(((end, path) for end, path in ways if is_there(path)), (line, None))
                if image is None:
                    missing.append(line)
                    continue
                moved |= {line: end} if end != line else {}
                known = files.setdefault(_name(end), image)
                if known != image:
                    repeated += [known, image]
    return FoundImages(files, tuple(repeated), tuple(missing), moved)


def _ends(path: str) -> Iterator[str]:
    """What a path of another machine may be here: with other slashes, and without its first folders if absolute."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    is_absolute = path.startswith("/") or PureWindowsPath(path).is_absolute()
    return ("/".join(parts[start:]) for start in range(len(parts) if is_absolute else min(len(parts), 1)))


def _place(file: YoloFile, entry: str) -> Path | None:
    """The folder or list; steps upwards that lead nowhere are left out, as Roboflow's `../train/images` needs it."""
    entries = [entry, entry.removeprefix(_UPWARDS)] if entry.startswith(_UPWARDS) else [entry]
    places = [folder / one for one in entries for folder in file.folders]
    return next((place for place in places if is_folder(place) or _is_list(place)), None)


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and is_there(path)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UnreadableFileError(path, "it is no text; a list of images has one path per line") from None
    return [line.strip() for line in lines if line.strip() and "\0" not in line]


def _listed(file: YoloFile, place: Path, line: str) -> Iterator[Path]:
    """Where the image of a line may lie: beside the list, or below a folder where paths start."""
    if cut_suffix(line)[1].lower() in IMAGE_SUFFIXES:
        yield from (folder / line.replace("\\", "/") for folder in (place.parent, *file.folders))


def _name(line: str) -> str:
    """The path without suffix behind the folder called images, where there is one."""
    parts = [part for part in cut_suffix(line.replace("\\", "/"))[0].split("/") if part not in ("", ".", "..")]
    behind = len(parts) - parts[::-1].index("images") if "images" in parts else 0
    return "/".join(parts[behind:])


def beside_images(image: Path, folder: str, suffixes: Sequence[str]) -> Path | None:
    """The file of an image where `folder` stands in place of the last folder called images, else beside the image."""
    parts = list(image.parent.parts)
    places = [image.parent]
    if "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        places.insert(0, Path(*parts[:at], folder, *parts[at + 1 :]))
    candidates = (place / f"{image.stem}{suffix}" for place in places for suffix in suffixes)
    return next((path for path in candidates if path != image and is_there(path)), None)
