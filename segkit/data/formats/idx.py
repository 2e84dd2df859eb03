"""MNIST's layout: one idx file of images and one of labels per part."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import SPLITS, find_class_file
from segkit.data.readers.idx import idx_files, idx_images, open_idx
from segkit.errors import DataError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import Record, TaskName

PARTS = {**SPLITS, "t10k": "test"}

MNIST_TRAIN, MNIST_VAL = 60_000, 10_000
"""Training images of MNIST and the sets made in its likeness, and how many of them, the last, usually validate."""


@FORMATS.register("idx")
class Idx:
    """`train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two of `t10k`, gzipped or not.

    The files are opened when they are listed: one that is cut short is one mistake and not 60,000.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether a file called like MNIST's lies in the folder."""
        return root.is_dir() and bool(idx_files(root)[0])

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records.

        Raises:
            DataError: no idx files, a part without labels, or with more or fewer of them than images.
            UnreadableFileError: a file that is not what its header says.
        """
        images, labels = idx_files(root) if root.is_dir() else ({}, {})
        if not images:
            raise DataError(f"{root} has no idx files; expected train-images-idx3-ubyte and train-labels-idx1-ubyte")
        listed = [_list_part(part, file, labels.get(part)) for part, file in sorted(images.items())]
        records, notes = _with_validation([record for records in listed for record in records])
        assigned = apply_split_files(root, records)
        return Listing(
            root=root,
            layout="idx files",
            task="classify",
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(root),
            notes=(*notes, *assigned.notes),
            findings=assigned.findings,
        )

    def example(self, root: Path) -> None:
        """Write four images that train and two that test, with the labels 1 and 2."""
        pictures = [np.where(numbers == 1 + i % 2, image, np.uint8(0)) for i, (image, numbers) in enumerate(scenes(6))]
        make_folder(root)
        for part, chosen in (("train", range(4)), ("t10k", range(4, 6))):
            images = np.stack([pictures[index] for index in chosen])
            labels = np.array([1 + index % 2 for index in chosen], np.uint8)
            write_atomically(root / f"{part}-images-idx3-ubyte.gz", _packed(images))
            write_atomically(root / f"{part}-labels-idx1-ubyte.gz", _packed(labels))


def _packed(values: NDArray[np.uint8]) -> bytes:
    """An idx file, gzipped, of equal bytes for equal values."""
    head = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    return gzip.compress(head + values.tobytes(), mtime=0)


def _list_part(part: str, file: Path, label_file: Path | None) -> list[Record]:
    if label_file is None:
        raise DataError(f"{file} has no labels beside it; expected {part}-labels-idx1-ubyte, gzipped or not")
    count, labels = len(open_idx(file, 3)), open_idx(label_file, 1)
    if count != len(labels):
        raise DataError(
            f"{file} holds {count:,} images and {label_file.name} {len(labels):,} labels; "
            "both must come from one data set"
        )
    split = PARTS[part]
    return [
        Record(f"{part}/{image.stem}", image, label=str(label), split=split)
        for image, label in zip(idx_images(file), labels.tolist(), strict=True)
    ]


def _with_validation(records: list[Record]) -> tuple[list[Record], list[str]]:
    """The records, and what to say: MNIST has no validation part, and its last training images usually stand in."""
    train = [record for record in records if record.split == "train"]
    if len(train) != MNIST_TRAIN or any(record.split == "val" for record in records):
        return records, []
    last = {record.id for record in train[-MNIST_VAL:]}
    validating = [replace(record, split="val") if record.id in last else record for record in records]
    last_ones = f"the last {MNIST_VAL:,} of the {MNIST_TRAIN:,} training images"
    return validating, [f"in the data's own parts {last_ones} validate, as is usual for MNIST"]
