"""Damaged annotation files of Pascal VOC, CVAT, labelme and Label Studio: an error that names the file, or a result.

Each of 500 mutations with fixed seeds flips, cuts, doubles or replaces pieces of a valid file; values become extreme.
"""

from __future__ import annotations

import math
import random
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from segkit.data.drawing import draw_classes
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.image_io import read_image
from segkit.errors import DataError, SegkitError
from segkit.structures import Record

MUTATIONS = 500

NUMBERS = (b"-1", b"0", b"1e400", b"-1e308", b"1e38", b"99999999999999999999", b"3.7", b"16777217", b"2147483648")
EXTREMES = (
    *NUMBERS,
    *(b"nan", b"inf", b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b'""', b'"x"', b"[[]]", b"[1]", b"\x00"),
    *(b"\xff\xfe", b"&x;", b"<!DOCTYPE a>", b"9" * 400, b"]" * 5, b"[" * 5000, b"<a>" * 200, b"a" * 5000, b"\\ud800"),
    *(b"../" * 30 + b"etc/passwd", b"\\u0000"),
)


NUMBER = rb"(?<=[\"> ])-?\d+(?:\.\d+)?(?=[\"<,\n])"
VALUE = rb'-?\d+(?:\.\d+)?|"[^"]*"|\bnull\b|>[^<>]+<'


def mutated(content: bytes, seed: int) -> bytes:
    """The content after one to three changes."""
    rng = random.Random(seed)
    numbers_only = seed % 2 == 1  # the file stays what it is, so that what reads it is reached
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice((1, 1, 4, 40, 400)))
        change = 4 if numbers_only else rng.randrange(6)
        if change == 0:
            flipped = bytes(byte ^ (1 << rng.randrange(8)) for byte in content[start:end])
            content = content[:start] + flipped + content[end:]
        elif change == 1:
            content = content[:start] + content[end:]
        elif change == 2:
            content = content[:end] + content[start:end] + content[end:]
        elif change == 3:
            content = content[:start]
        else:  # one value, which is more often read than a random piece
            values = list(re.finditer(NUMBER if numbers_only else VALUE, content))
            if values:
                value = rng.choice(values)
                edge = int(value[0][:1] in b'">' and rng.random() < 0.7)  # mostly what is inside quotes or tags
                extreme = rng.choice(NUMBERS if numbers_only else EXTREMES)
                content = content[: value.start() + edge] + extreme + content[value.end() - edge :]
    return content


def prepare(name: str, root: Path) -> tuple[Path, Path]:
    """What to list, and the file of it that is to be damaged: of one file per image only one."""
    FORMATS.get(name)().example(root)
    if name == "voc":
        shutil.rmtree(root / "SegmentationClass")
        shutil.rmtree(root / "SegmentationObject")
        return root, root / "Annotations" / "b.xml"
    if name == "labelme":
        return root, root / "1.json"
    file = root / ("annotations.xml" if name == "cvat" else "export.json")
    return file, file


@pytest.mark.parametrize("name", ["voc", "cvat", "labelme", "label-studio"])
def test_damaged_files_are_named_or_read(name: str, tmp_path: Path) -> None:
    root, file = prepare(name, tmp_path)
    original = file.read_bytes()
    sizes = {path: read_image(path).shape[:2] for path in tmp_path.rglob("*.png")}
    before = FORMATS.get(name)().list(root)
    outcomes = {"error": 0, "finding": 0, "read": 0}
    for seed in range(MUTATIONS):
        file.write_bytes(mutated(original, seed))
        listing = listed(name, root)
        if isinstance(listing, SegkitError):
            assert file.name in str(listing), seed
            assert "\n" not in str(listing), seed
            outcomes["error"] += 1
            continue
        named = any(file.name in shown for found in listing.findings for shown in found.files)
        outcomes["finding" if named else "read"] += 1
        if not named and root != file:  # nothing may vanish without a word: neither that image nor the others
            assert len(listing.records) == len(before.records) or listing.findings, seed
        check(listing, sizes, seed)
    file.write_bytes(original)
    assert FORMATS.get(name)().list(root).records[0].id == before.records[0].id
    assert outcomes["read"] >= 20
    assert outcomes["error"] + outcomes["finding"] >= 100, outcomes


def listed(name: str, root: Path) -> Listing | SegkitError:
    try:
        return FORMATS.get(name)().list(root)
    except SegkitError as error:
        return error


def check(listing: Listing, sizes: dict[Path, tuple[int, ...]], seed: int) -> None:
    """Whatever was read can be used: labels are names, boxes are finite, and masks are drawn or refused."""
    for record in listing.records:
        assert record.annotation is not None or record.label
        for one in record.annotation.objects if record.annotation else ():
            assert one.label
            assert one.box is not None
            assert all(map(math.isfinite, one.box)), seed
        draw(record, sizes[record.image])


def draw(record: Record, size: tuple[int, ...]) -> None:
    annotation = record.annotation
    if annotation is None or annotation.size not in (None, size):
        return  # the check names it: size-mismatch
    indices = {label: index for index, label in enumerate(annotation.labels)}
    with suppress(DataError):  # an outline longer than any image's, which the check names
        painted = draw_classes(annotation, indices, (size[0], size[1]), -1, -2)
        assert painted.shape == size
        assert painted.min() >= -2
        assert painted.max() < max(len(indices), 1)
        assert np.issubdtype(painted.dtype, np.integer)
