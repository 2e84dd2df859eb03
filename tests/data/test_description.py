from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.data.description import describe_data, percent, table
from segkit.data.object_sizes import measure_objects
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample


def lines(root: Path) -> list[str]:
    dataset = open_dataset(root)
    return table(describe_data(dataset, measure_objects(dataset)))


def by_name(root: Path) -> dict[str, str]:
    """The facts below the table."""
    found = lines(root)
    return dict(re.split(" {2,}", line, maxsplit=1) for line in found[found.index("") + 1 :])


def test_every_line_by_hand(tmp_path: Path) -> None:
    """Two rows of 5, 6, 7 and 8 bright pixels, all other pixels of the images 0, 40, 80 and 120."""
    for i, part in enumerate(("train", "train", "val", "test")):
        for folder, pixels in (
            ("images", np.full((10, 20), 40 * i, np.uint8)),
            ("masks", np.zeros((10, 20), np.uint8)),
        ):
            pixels[2:4, 3 : 8 if folder == "images" else 8 + i] = 1 if folder == "masks" else 90
            (tmp_path / part / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / part / folder / f"{i}.png")
    (tmp_path / "classes.txt").write_text("background\ncell\n")
    assert lines(tmp_path) == [
        "                         train                val               test",
        "images                       2                  1                  1",
        "background  94.5 % in 2 images  93.0 % in 1 image  92.0 % in 1 image",
        "cell         5.5 % in 2 images   7.0 % in 1 image   8.0 % in 1 image",
        "",
        "size             20 x 10 pixels",
        "stored as        uint8",
        "channels         1",
        "values           0 to 90 in train (0.1 and 99.9 percentile)",
        "mean, deviation  23.5; 24.75",
        "objects of cell  4 in 4 images: 10 to 16 pixels, median 13",
        "copies           none",
    ]


def test_the_description_is_for_programs_too(tmp_path: Path) -> None:
    write_sample(tmp_path / "cells", count=6, size=64)
    dataset = open_dataset(tmp_path / "cells")
    described = describe_data(dataset, measure_objects(dataset))
    assert json.loads(json.dumps(described)) == described
    assert "hashes" not in described
    assert described["duplicates"] == {"equal_across_parts": 0, "equal_in_one_part": 0, "alike_across_parts": 0}


def test_copies_are_counted(tmp_path: Path) -> None:
    write_sample(tmp_path, count=12, size=64)
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    shutil.copy(tmp_path / "images" / names[0], tmp_path / "images" / names[1])
    assert by_name(tmp_path)["copies"].startswith("2 images equal")


def test_images_that_do_not_fit_together_are_described_too(tmp_path: Path) -> None:
    write_sample(tmp_path, count=6, size=64)
    image = next((tmp_path / "images").iterdir())
    Image.open(image).convert("RGB").save(image)
    assert by_name(tmp_path)["channels"] in ("1 (5 images), 3 (1 image)", "3 (1 image), 1 (5 images)")


def test_nothing_to_describe(tmp_path: Path) -> None:
    write_sample(tmp_path, count=6, size=64)
    for image in (tmp_path / "images").iterdir():
        image.write_bytes(b"")
    assert lines(tmp_path) == []


def test_small_shares_do_not_vanish() -> None:
    assert [percent(share) for share in (0, 1e-5, 0.0012, 1)] == ["0 %", "< 0.1 %", "0.1 %", "100.0 %"]
