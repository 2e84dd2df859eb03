from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.description import describe_data
from segkit.data.object_sizes import measure_objects
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.report.check_page import Seen, View, write_check_page

HOSTILE = "</style><script>alert('x')<!script>"


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    write_sample(tmp_path / "cells", count=8, size=96)
    return tmp_path / "cells"


def page_of(root: Path, view: View = View(absent="Nothing to see.")) -> str:  # noqa: B008
    dataset = open_dataset(root)
    objects = measure_objects(dataset)
    write_check_page(root.parent / "page.html", dataset, describe_data(dataset, objects), objects, view)
    return (root.parent / "page.html").read_text(encoding="utf-8")


def finding(page: str, code: str) -> str:
    """The part of the page about one finding."""
    (found,) = [part for part in page.split("<article")[1:] if f'<span class="code">{code}</span>' in part]
    return found.split("</article>")[0]


def test_a_clean_set_is_said_to_be_clean(cells: Path) -> None:
    page = page_of(cells)
    assert "Nothing found" in page
    assert "Ready to train." in page
    assert "<article" not in page
    assert "<code>near-duplicate-across-splits</code>" in page  # what was looked for
    assert "Nothing to see." in page


def test_every_finding_shows_its_files(cells: Path) -> None:
    images, masks = sorted((cells / "images").iterdir()), sorted((cells / "masks").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:500])
    Image.open(masks[1]).resize((48, 48)).save(masks[1])
    masks[2].unlink()
    page = page_of(cells)
    assert "3 errors" in page
    assert "Training would refuse this data set" in page
    broken = finding(page, "unreadable-image")
    assert broken.count("<figure>") == 1
    assert "cannot be shown" in broken
    other_size = finding(page, "size-mismatch")
    assert f"masks/{masks[1].name}" in other_size
    assert "96 × 96, mask 48 × 48" in other_size
    assert finding(page, "missing-mask").count("data:image/webp;base64,") == 1


def test_many_files_are_listed_and_the_first_are_shown(cells: Path) -> None:
    write_sample(cells.parent / "many", count=20, size=64)
    for image in (cells.parent / "many" / "images").iterdir():
        Image.fromarray(np.full((64, 64), 3, np.uint8)).save(image)
    found = finding(page_of(cells.parent / "many"), "constant-image")
    assert found.count("<figure>") == 12
    assert found.count("<li>") == 20
    assert "20 files" in found


def test_nothing_breaks_out_of_the_page(cells: Path) -> None:
    (cells / "classes.csv").write_text(f'id,name\n0,background\n1,"{HOSTILE}"\n2,spindle\n')
    name = "a&b <b>c"
    for folder in ("images", "masks"):
        first = sorted((cells / folder).iterdir())[0]
        shutil.move(first, first.with_name(f"{name}.png"))
    (cells / "split.csv").unlink()
    Image.fromarray(np.full((96, 96), 3, np.uint8)).save(cells / "images" / f"{name}.png")
    picture = np.zeros((8, 8, 3), np.uint8)
    page = page_of(cells, View((Seen(HOSTILE, None, (("as stored", picture),)),), ((HOSTILE, HOSTILE),)))
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("</style>") == 1
    assert unescape(finding(page, "constant-image")).count(f"images/{name}.png") >= 1


def test_the_page_asks_nothing_of_the_network(cells: Path) -> None:
    page = page_of(cells)
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_sizes_are_drawn_where_they_differ(cells: Path) -> None:
    page = page_of(cells)
    assert "Objects of round_cell" in page
    assert "<h3>Images</h3>" not in page
    for folder in ("images", "masks"):
        first = sorted((cells / folder).iterdir())[0]
        Image.open(first).resize((192, 192), Image.Resampling.NEAREST).save(first)
    assert "<h3>Images</h3>" in page_of(cells)
