"""nnU-Net's raw data, version 2: channel files in `imagesTr`, labels in `labelsTr`, and a `dataset.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segkit.data.csv_table import format_table
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import Assigned, apply_split_files
from segkit.data.formats._dataset_json import DATASET_FILE, objects_under, peek, read_dataset_json
from segkit.data.formats._examples import scenes, write_json
from segkit.data.formats._folders import find_class_file
from segkit.data.formats._ids import unique_ids
from segkit.data.formats._json import kind_of, read_json
from segkit.data.formats._nnunet_cases import (
    FOLDERS,
    Case,
    cases_in,
    check_cases,
    named_cases,
    nothing_usable,
    orphans,
    other_endings,
)
from segkit.data.formats._nnunet_labels import read_labels
from segkit.data.formats._writing import (
    WRITERS,
    each,
    flat_names,
    is_counted,
    not_kept,
    require_task,
    write_lossless,
)
from segkit.data.image_io import IMAGE_SUFFIXES, read_channels, write_image
from segkit.data.samples import load_sample
from segkit.data.split_files import Named, assign_parts
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder, write_atomically
from segkit.ops.words import counted
from segkit.structures import Progress, Record, TaskName, palette

if TYPE_CHECKING:
    from segkit.data.opening import OpenDataset

SPLITS_FILE = "splits_final.json"

_BACKGROUND, _IGNORE = "background", "ignore"


@FORMATS.register("nnunet")
class NnUNet:
    """`imagesTr/NAME_0000.nii.gz` with `labelsTr/NAME.nii.gz` and a `dataset.json`; PNG and TIFF likewise.

    Channel files `_0000`, `_0001`, ... are the channels of one image; a colour file is one `_0000`. `imagesTs` is the
    test part where `labelsTs` lies beside it. `splits_final.json` holds folds: its first one is taken.

    Source: F. Isensee et al., nnU-Net, Nature Methods 18, 2021; dataset format of nnU-Net version 2.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether a `dataset.json` names channels and labels, or `imagesTr` and `labelsTr` lie there without one."""
        content = peek(root)
        if content:
            return "channel_names" in content and "labels" in content
        return all((root / folder).is_dir() for folder in FOLDERS["train"])

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records.

        Raises:
            DataError: no `dataset.json`, no readable file ending, or no image with all channels and a label.
            UnreadableFileError: a `dataset.json` or `splits_final.json` that is not what it should be.
        """
        path, content = read_dataset_json(root)
        names = _channel_names(path, content)
        classes, label_notes = read_labels(path, content)
        ending = _file_ending(path, content)
        listed = named_cases(path, content) if "dataset" in content else cases_in(root, "train", ending)
        cases = [*listed, *cases_in(root, "test", ending)]
        findings, usable = check_cases(cases, len(names), root)
        if not usable:
            raise DataError(nothing_usable(root, ending, cases))
        records, id_notes = unique_ids(_records(usable))
        assigned = _assign(root, records, [case.id for case in cases])
        return Listing(
            root=root,
            layout="nnU-Net raw",
            task="segment",
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(root),
            declared=classes,
            channel_names=tuple(names),
            notes=(*label_notes, *_unlabelled(root), *other_endings(root, ending), *id_notes, *assigned.notes),
            findings=(*findings, *orphans(root, cases, ending), *assigned.findings),
        )

    def example(self, root: Path) -> None:
        """Write four images of two channels with two objects each, as PNG."""
        for number, (image, mask) in enumerate(scenes(4)):
            for channel, pixels in enumerate((image, 255 - image)):
                write_image(make_folder(root / "imagesTr") / f"objects_{number:03d}_{channel:04d}.png", pixels)
            write_image(make_folder(root / "labelsTr") / f"objects_{number:03d}.png", mask)
        content = {
            "channel_names": {"0": "bright field", "1": "inverted"},
            "labels": {"background": 0, "bright": 1, "dark": 2},
            "numTraining": 4,
            "file_ending": ".png",
        }
        write_json(root / DATASET_FILE, content)


def _channel_names(path: Path, content: dict[str, Any]) -> list[str]:
    """The names of the channels in their order."""
    names = objects_under(path, content, "channel_names")
    expected = [str(number) for number in range(len(names))]
    if sorted(names, key=lambda key: (len(key), key)) != expected:
        found = ", ".join(map(repr, list(names)[:12]))
        raise UnreadableFileError(path, f"'channel_names' has the keys {found}; expected are '0', '1', ... in a row")
    return [str(names[key]) for key in expected]


def _file_ending(path: Path, content: Mapping[str, Any]) -> str:
    ending = content.get("file_ending")
    if not isinstance(ending, str):
        found = "missing" if "file_ending" not in content else kind_of(ending)
        raise UnreadableFileError(path, f"'file_ending' is {found}; expected is a suffix such as '.nii.gz'")
    if ending.lower() not in IMAGE_SUFFIXES:
        allowed = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{path}: segkit cannot read files that end in {ending!r}; convert them to one of {allowed}")
    return ending


def _records(cases: Sequence[Case]) -> list[Record]:
    """The records, with parts where there is a test part."""
    has_test = any(case.split == "test" for case in cases)
    return [
        Record(
            id=case.id,
            image=case.channels[0],
            mask=case.label,
            split=case.split if has_test else None,
            channel_files=tuple(case.channels[number] for number in sorted(case.channels)[1:]),
        )
        for case in cases
    ]


def _assign(root: Path, records: list[Record], ids: Sequence[str]) -> Assigned:
    """The parts of the split files beside the data, else of the first fold; a test part stays."""
    folds = root / SPLITS_FILE
    if not folds.is_file() or (root / "split.csv").is_file():
        return apply_split_files(root, records, ids)
    named, count = _first_fold(folds)
    training = [record for record in records if record.split != "test"]
    assigned = assign_parts(training, named, ids)
    others = tuple(record for record in records if record.split == "test")
    beside = apply_split_files(root, (*assigned.records, *others), ids)
    note = f"train and val are fold 0 of {count} in {SPLITS_FILE}"
    findings = (*assigned.findings(SPLITS_FILE, records), *beside.findings)
    return Assigned(beside.records, (note, *beside.notes), findings)


def _first_fold(path: Path) -> tuple[list[Named], int]:
    """Ids with their parts in the first fold, and how many folds there are."""
    folds = read_json(path)
    fold = folds[0] if isinstance(folds, list) and folds else None
    named: list[Named] = []
    for part in ("train", "val"):
        ids = fold.get(part) if isinstance(fold, dict) else None
        if not isinstance(ids, list) or not all(isinstance(id_, str) for id_ in ids):
            raise UnreadableFileError(path, "expected is a list of folds, each with a list of names 'train' and 'val'")
        named += [(id_, part) for id_ in ids]
    return named, len(folds)


def _unlabelled(root: Path) -> Iterator[str]:
    images, labels = FOLDERS["test"]
    if (root / images).is_dir() and not (root / labels).is_dir():
        yield f"left out: {images}, which has no {labels} beside it"


@WRITERS.register("nnunet")
def write_nnunet(dataset: OpenDataset, out: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Write `imagesTr`, `labelsTr`, where there is a test part `imagesTs` and `labelsTs`, and `dataset.json`.

    Images are PNG, or TIFF where one holds fractions: one file of all channels for gray and colour, else a file per
    channel. Ids become 0 for the background, 1, 2, ... for the other classes, and the next one for pixels that are not
    counted, as nnU-Net wants them. A validation part becomes the one fold of `splits_final.json`, and groups a
    `groups.csv`, which nnU-Net does not look at. Raises what a `Writer` raises.
    """
    require_task(dataset, "nnU-Net", ("segment",))
    channels, records = _most_common_channels(dataset)
    facts = [dataset.facts.images[record.id] for record in records]
    ending = ".png" if {one.dtype for one in facts} <= {"uint8", "uint16"} else ".tif"
    in_one_file = channels == 1 or (channels == 3 and ending == ".png")
    names, labels = flat_names(records), _label_ids(dataset)
    parts: dict[str | None, list[str]] = {}
    for record in each(records, progress):
        images, masks = (make_folder(out / folder) for folder in FOLDERS["test" if record.split == "test" else "train"])
        image, name = read_channels(record.image_files).image(), names[record.id]
        for number, pixels in enumerate([image] if in_one_file else np.split(image, channels, axis=2)):
            write_lossless(images / f"{name}_{number:04d}{ending}", pixels)
        write_lossless(masks / f"{name}{ending}", _numbered_labels(dataset, record, labels)[..., None])
        parts.setdefault(record.split, []).append(name)
    content = {
        "channel_names": dict(enumerate(_names_of_channels(dataset, channels))),
        "labels": labels,
        "numTraining": len(records) - len(parts.get("test", ())),
        "file_ending": ending,
    }
    write_json(out / DATASET_FILE, content)
    if "val" in parts:
        write_json(out / SPLITS_FILE, [{part: parts.get(part, []) for part in ("train", "val")}])
    groups = [(names[record.id], record.group) for record in records if record.group is not None]
    if groups:
        write_atomically(out / "groups.csv", format_table(("id", "group"), groups))
    return (*_losses(dataset, records, channels, labels), *not_kept(dataset, {"groups"}))


def _most_common_channels(dataset: OpenDataset) -> tuple[int, list[Record]]:
    """The number of channels that most images have, and those images: nnU-Net takes one number."""
    numbers = Counter(dataset.facts.images[record.id].channels for record in dataset.records)
    channels = numbers.most_common(1)[0][0]
    return channels, [record for record in dataset.records if dataset.facts.images[record.id].channels == channels]


def _label_ids(dataset: OpenDataset) -> dict[str, int]:
    """Class name -> id in the labels, background and what is not counted called as nnU-Net wants it."""
    classes = dataset.classes
    foreground = [name for index in classes.foreground if (name := classes.names[index]) != _BACKGROUND]
    ids = {_BACKGROUND: 0, **{name: id_ for id_, name in enumerate(foreground, start=1)}}
    return ids if is_counted(dataset) else {**ids, _IGNORE: len(ids)}


def _numbered_labels(dataset: OpenDataset, record: Record, labels: Mapping[str, int]) -> NDArray[np.uint8 | np.uint16]:
    """The mask of a record (H, W) as ids of nnU-Net."""
    classes = dataset.classes
    mask = load_sample(record, classes).mask
    assert mask is not None
    table = [0 if index == classes.background else labels[name] for index, name in enumerate(classes.names)]
    dtype = np.uint8 if len(labels) <= 256 else np.uint16
    ids: NDArray[np.uint8 | np.uint16] = np.array([*table, labels.get(_IGNORE, 0)], dtype)
    return ids[mask]  # what is not counted is -1, the last entry


def _names_of_channels(dataset: OpenDataset, channels: int) -> tuple[str, ...]:
    known = dataset.listing.channel_names
    if len(known) == channels:
        return known
    return ("R", "G", "B") if channels == 3 else tuple(f"channel {number}" for number in range(channels))


def _losses(dataset: OpenDataset, records: Sequence[Record], channels: int, labels: Mapping[str, int]) -> Iterator[str]:
    classes = dataset.classes
    if len(records) < len(dataset.records):
        left_out = counted(len(dataset.records) - len(records), "image")
        yield f"{left_out} left out that do not have {channels} channels as most have"
    if classes.background is None:
        yield "nnU-Net wants a background: it has the id 0, and no pixel shows it"
    elif classes.names[classes.background] != _BACKGROUND:
        yield f"the background is called {_BACKGROUND}, not {classes.names[classes.background]}"
    if any(labels[classes.names[index]] != classes.ids[index] for index in classes.foreground):
        yield "classes are numbered 1, 2, 3, ... anew"
    if classes.colors != palette(classes.num_classes):
        yield "colours of classes are not kept"
