"""The files of nnU-Net's cases: channels by their number, the label, and what lacks either."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.data.findings import Finding
from segkit.data.formats._dataset_json import DATASET_FILE, is_there, named_file, objects_under
from segkit.data.formats._folders import finding_of_files
from segkit.errors import UnreadableFileError
from segkit.ops.words import counted

FOLDERS = {"train": ("imagesTr", "labelsTr"), "test": ("imagesTs", "labelsTs")}
"""Split -> its folder of images and its folder of labels."""

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """The files of one image, channels by their number, and of its label."""

    id: str
    channels: Mapping[int, Path]
    label: Path
    split: str


def cases_in(root: Path, split: str, ending: str) -> list[Case]:
    """The cases of a folder of images that has one of labels."""
    images, labels = (root / folder for folder in FOLDERS[split])
    if not labels.is_dir():
        return []
    channels: dict[str, dict[int, Path]] = {}
    for name in _names(images, ending):
        match = _CHANNEL.fullmatch(name)
        case, channel = (match["case"], int(match["channel"])) if match else (name, -1)
        channels.setdefault(case, {})[channel] = images / f"{name}{ending}"
    return [Case(case, files, labels / f"{case}{ending}", split) for case, files in channels.items()]


def named_cases(path: Path, content: dict[str, Any]) -> list[Case]:
    """The cases that `dataset` lists, with paths relative to the folder."""
    cases = []
    for id_, entry in objects_under(path, content, "dataset").items():
        where = f"dataset.{id_}"
        images = entry.get("images") if isinstance(entry, dict) else None
        if not isinstance(images, list) or not images:
            raise UnreadableFileError(path, f"{where!r} lacks 'images', a list of the files of its channels")
        files = {number: named_file(path, image, f"{where}.images[{number}]") for number, image in enumerate(images)}
        cases.append(Case(id_, files, named_file(path, entry.get("label"), f"{where}.label"), "train"))
    return cases


def check_cases(cases: Sequence[Case], channels: int, root: Path) -> tuple[list[Finding], list[Case]]:
    """What is wrong with single cases, and the others."""
    # Colour images have one file for all three channels.
    count = 1 if all(case.channels.keys() == {0} for case in cases) else channels
    expected = "_0000" if count == 1 else f"_0000 to _{count - 1:04d}"
    messages = {
        "unreadable-image": f"channel files of images that lack some or have others ({{n}}): expected are {expected}",
        "missing-image": f"images that {DATASET_FILE} names and that are not there ({{n}})",
        "missing-mask": "images without a label ({n}): add the labels, or take the images out",
    }
    by_code: dict[str | None, list[Case]] = {}
    for case in cases:
        by_code.setdefault(_problem(case, set(range(count))), []).append(case)
    findings = [
        found
        for code, message in messages.items()
        for found in finding_of_files(
            code, message, [file for case in by_code.get(code, ()) for file in case.channels.values()], root
        )
    ]
    return findings, by_code.get(None, [])


def other_endings(root: Path, ending: str) -> Iterator[str]:
    """A sentence about the files that do not end as the others, for each folder; TIFF has JSON files beside."""
    for folder in (name for names in FOLDERS.values() for name in names if (root / name).is_dir()):
        others = [file for file in (root / folder).iterdir() if not file.name.endswith((ending, ".json"))]
        count = sum(not file.name.startswith(".") for file in others)
        if count:
            yield f"left out in {folder}: {counted(count, 'file')} without the ending {ending}"


def orphans(root: Path, cases: Sequence[Case], ending: str) -> list[Finding]:
    """The finding about labels without an image, or none."""
    known = {case.label for case in cases}
    labels = [
        root / folder / f"{name}{ending}" for _, folder in FOLDERS.values() for name in _names(root / folder, ending)
    ]
    found = [file for file in labels if file not in known]
    return finding_of_files("orphan-mask", "labels without an image ({n}) are left out", found, root)


def nothing_usable(root: Path, ending: str, cases: Sequence[Case]) -> str:
    """Why there are no records."""
    if cases:
        image, label = next(iter(cases[0].channels.values())).name, cases[0].label.name
        return f"{root} has no image with all its channels and a label; {image} for example belongs to {label}"
    images, labels = FOLDERS["train"]
    return f"{root} has no images with labels; expected are {images}/NAME_0000{ending} and {labels}/NAME{ending}"


def _problem(case: Case, channels: set[int]) -> str | None:
    """The code of what makes a case unusable, or None."""
    if case.channels.keys() != channels:
        return "unreadable-image"
    if not all(map(is_there, case.channels.values())):
        return "missing-image"
    return None if is_there(case.label) else "missing-mask"


def _names(folder: Path, ending: str) -> list[str]:
    """The names without ending of the files of a folder that have it; none where there is no such folder."""
    names = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    return [name.removesuffix(ending) for name in names if name.endswith(ending) and not name.startswith(".")]
