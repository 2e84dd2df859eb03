"""Damaged tables and lists, 500 variants of each with fixed seeds: an error that names the file, or sound records."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isnan
from pathlib import Path

import pytest

from segkit.data.formats._base import Listing, list_records
from segkit.data.formats.mask_folder import MaskFolder
from segkit.data.formats.table import Table
from segkit.data.formats.yolo import Yolo
from segkit.data.split_files import Named, assign_parts, read_split_file
from segkit.errors import SegkitError
from segkit.structures import PARTS, TaskName
from tests.data.formats.mutations import damaged_texts

MUTATIONS = 500

STRANGE = (
    b"-1", b"1e400", b"nan", b"inf", b"\0", b"\xff", b"", b" ", b"\n", b"\r", b",", b";", b"\t", b'"', b"#",
    b"\xc2\xb2", b"9" * 30, b"9" * 5000, b"a" * 200_000, b"../../x", b"\\", b"id", b"train", b"void",
    b"\xef\xbb\xbf", b"\xe2\x80\xa8",
)  # fmt: skip

BOXES = "image,class,x_min,y_min,x_max,y_max\n" + "".join(f"{i}.png,square,{i},2,{i + 9}.5,12\n" for i in range(6))
LABELS = "image,label\n" + "".join(f"images/{i}.png,{'ab'[i % 2]}\n" for i in range(6))
COLOURS = "0 0 0 background\n240 150 48 square\n64 160 224 disc\n"


def labelimg(root: Path) -> None:
    Yolo().example(root)
    (root / "data.yaml").unlink()
    (root / "labels" / "classes.txt").write_text("square\ndisc\n")


FILES: dict[str, tuple[Callable[[Path], None], str, str | None, TaskName | None]] = {
    "table of images": (Table().example, "scans.csv", None, None),
    "boxes": (MaskFolder().example, "boxes.csv", BOXES, "detect"),
    "labels": (MaskFolder().example, "labels.csv", LABELS, "classify"),
    "classes": (MaskFolder().example, "classes.csv", None, None),
    "names of classes": (MaskFolder().example, "classes.txt", "background\nsquare\ndisc\n", None),
    "colours of classes": (MaskFolder().example, "label_colors.txt", COLOURS, None),
    "parts": (MaskFolder().example, "split.csv", None, None),
    "list of a part": (MaskFolder().example, "train.txt", "".join(f"{i}.png\n" for i in range(6)), None),
    "groups": (MaskFolder().example, "groups.csv", None, None),
    "classes of labelImg": (labelimg, "labels/classes.txt", None, None),
}
"""What writes a set, the file that is damaged, its content where the set has none, and the task it is read for."""

IN_THE_WAY = {"classes.txt": ("classes.csv",), "label_colors.txt": ("classes.csv",), "train.txt": ("split.csv",)}
"""Files of the example that come before the damaged one."""


@pytest.mark.parametrize("kind", FILES)
def test_damaged_tables_are_named_or_read(kind: str, tmp_path: Path) -> None:
    write, name, content, task = FILES[kind]
    write(tmp_path)
    file = tmp_path / name
    for other in IN_THE_WAY.get(name, ()):
        (tmp_path / other).unlink()
    if content is not None:
        file.write_text(content)
    root = file if kind == "table of images" else tmp_path  # without its columns the folder holds something else
    original, read = list_records(root, task=task), 0
    for seed, damaged in enumerate(damaged_texts(file.read_bytes(), MUTATIONS, seed=len(kind), strange=STRANGE)):
        file.write_bytes(damaged)
        found = listed(root, task)
        if isinstance(found, SegkitError):
            assert file.name in str(found) or str(tmp_path) in str(found), seed
            assert "\n" not in str(found), seed
        else:
            read += 1
            check(found, original, seed)
    assert read >= 20


def listed(root: Path, task: TaskName | None) -> Listing | SegkitError:
    """The listing, whose classes can be read as well, or why there is none."""
    try:
        listing = list_records(root, task=task)
        declared = listing.declared_classes()
    except SegkitError as error:
        return error
    assert declared is None or len(set(declared.ids)) == len(declared.names)
    return listing


def check(listing: Listing, original: Listing, seed: int) -> None:
    """Images and masks are those that were there, parts have their names, and boxes are numbers."""
    images = {record.image for record in original.records}
    for record in listing.records:
        assert record.split in (*PARTS, None), seed
        assert record.image in images or listing.layout.startswith("table"), seed
        for one in record.annotation.objects if record.annotation else ():
            assert one.label, seed
            assert one.box is not None, seed
            assert not any(map(isnan, one.box)), seed


def test_damaged_split_files_are_named_or_read(tmp_path: Path) -> None:
    MaskFolder().example(tmp_path)
    records = list_records(tmp_path).records
    file = tmp_path / "parts.json"
    content = json.dumps({"train": ["0", "1"], "val": ["2", "3"], "test": ["4", "5"]}).encode()
    for damaged in damaged_texts(content, MUTATIONS, seed=0, strange=STRANGE):
        file.write_bytes(damaged)
        found = named(file)
        if isinstance(found, SegkitError):
            assert "parts.json" in str(found)
        else:
            assert {record.split for record in assign_parts(records, found).records} <= {*PARTS, None}


def named(file: Path) -> list[Named] | SegkitError:
    try:
        return read_split_file(file)
    except SegkitError as error:
        return error
