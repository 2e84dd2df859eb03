"""CVAT for images 1.1: every shape, the order of painting, subsets, and broken files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.drawing import draw_region
from segkit.data.formats._base import Listing, list_records
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError, UnreadableFileError
from segkit.structures import IGNORE_INDEX, Polygons, RunLengths

LABELS = (("car", "#c06060"), ("road", "#00ff00"), ("unused", "#0000ff"))


def image(name: str, *shapes: str, subset: str = "", size: tuple[object, object] = (30, 40)) -> str:
    """An <image>; size is (H, W)."""
    part = f' subset="{subset}"' if subset else ""
    return f'<image id="0" name="{name}"{part} width="{size[1]}" height="{size[0]}">{"".join(shapes)}</image>'


def export(
    root: Path, *images: str, files: Sequence[str] = ("images/a.png",), labels: Sequence[tuple[str, str]] = LABELS
) -> Path:
    declared = "".join(f"<label><name>{name}</name><color>{color}</color></label>" for name, color in labels)
    meta = f"<meta><task><labels>{declared}</labels></task></meta>"
    for seed, name in enumerate(files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (30, 40), np.uint8)).save(root / name)
    content = f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>"
    (root / "annotations.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{content}')
    return root


def box(label: str, left: object, top: object, right: object, bottom: object, more: str = "") -> str:
    return f'<box label="{label}" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}" {more}></box>'


def objects(listing: Listing) -> list[tuple[str, tuple[float, ...]]]:
    (record,) = listing.records
    assert record.annotation is not None
    return [(one.label, one.box or ()) for one in record.annotation.objects]


def test_boxes_are_pixels_from_the_corner(tmp_path: Path) -> None:
    attribute = '<attribute name="colour">red</attribute>'
    shape = box("car", 1.5, 2, 11.25, 9).replace("></box>", f">{attribute}</box>")
    listing = list_records(export(tmp_path, image("a.png", shape, '<tag label="road"></tag>')))
    assert (listing.layout, listing.task) == ("CVAT for images", "detect")
    assert objects(listing) == [("car", (1.5, 2, 11.25, 9))]
    assert listing.records[0].annotation is not None
    assert listing.records[0].annotation.size == (30, 40)
    assert listing.declared is not None
    assert (listing.declared.names, listing.declared.colors) == (("car",), ((0xC0, 0x60, 0x60),))


def test_a_turned_box_and_an_ellipse_turn_clockwise_about_their_centre(tmp_path: Path) -> None:
    turned = box("car", 10, 10, 20, 14, 'rotation="90"')
    ellipse = '<ellipse label="road" cx="20" cy="15" rx="8" ry="4" rotation="30"></ellipse>'
    listing = list_records(export(tmp_path, image("a.png", turned, ellipse)))
    np.testing.assert_allclose(objects(listing)[0][1], (13, 7, 17, 17), atol=1e-4)
    assert listing.records[0].annotation is not None
    region = listing.records[0].annotation.objects[1].region
    assert isinstance(region, Polygons)
    rows, columns = np.mgrid[:30, :40] + 0.5
    x, y = columns - 20, rows - 15
    angle = math.radians(30)
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    inside = (along / 8) ** 2 + (across / 4) ** 2 <= 1
    drawn = draw_region(region, (30, 40))
    assert (drawn & inside).sum() / (drawn | inside).sum() > 0.95


def test_masks_are_runs_down_the_rows_of_their_own_frame(tmp_path: Path) -> None:
    # Off 2, on 3, off 4, on 3 in 4 x 3 pixels, whose corner is at column 30, row 20.
    mask = '<mask label="car" rle="2, 3, 4, 3" left="30" top="20" width="4" height="3"></mask>'
    root = export(tmp_path, *(image(f"{n}.png", mask) for n in "abc"), files=[f"images/{n}.png" for n in "abc"])
    dataset = open_dataset(root)
    expected = np.zeros((30, 40), int)
    expected[20:23, 30:34] = [[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 1, 1]]
    np.testing.assert_array_equal(load_sample(dataset.records[0], dataset.classes).mask, expected)
    annotation = dataset.records[0].annotation
    assert annotation is not None
    assert isinstance(annotation.objects[0].region, RunLengths)
    assert annotation.objects[0].box == (30, 20, 34, 23)


def test_masks_beyond_the_image_are_cut_off(tmp_path: Path) -> None:
    mask = '<mask label="car" rle="0,12" left="-2" top="28" width="4" height="3"></mask>'
    listing = list_records(export(tmp_path, image("a.png", mask)))
    assert objects(listing) == [("car", (0, 28, 2, 30))]


def test_the_order_of_painting_is_z_order_then_the_files(tmp_path: Path) -> None:
    def square(label: str, left: int, height: int) -> str:
        corners = f"{left},0;{left + 4},0;{left + 4},4;{left},4"
        return f'<polygon label="{label}" points="{corners}" z_order="{height}"></polygon>'

    shapes = [square("car", 0, 2), square("road", 2, 1), square("road", 3, 2), box("car", 0, 10, 4, 12)]
    root = export(tmp_path, *(image(f"{n}.png", *shapes) for n in "abc"), files=[f"images/{n}.png" for n in "abc"])
    dataset = open_dataset(root)
    assert dataset.classes.names == ("background", "car", "road")
    [boxed] = [finding for finding in dataset.findings if finding.code == "object-without-outline"]
    assert (boxed.message.partition(" of a")[0], boxed.records) == (
        "3 objects without an outline in 3 images",
        ("a", "b", "c"),
    )
    mask = load_sample(dataset.records[0], dataset.classes).mask
    assert mask is not None
    assert mask[0, :9].tolist() == [1, 1, 1, 2, 2, 2, 2, 0, 0]
    assert mask[10:12, :5].tolist() == [[IGNORE_INDEX] * 4 + [0]] * 2


def test_boxes_are_painted_as_rectangles_where_nothing_has_an_outline(tmp_path: Path) -> None:
    boxes = box("car", 0, 10, 4, 12), box("road", 8, 10, 9, 12)
    root = export(tmp_path, *(image(f"{n}.png", *boxes) for n in "abc"), files=[f"images/{n}.png" for n in "abc"])
    assert list_records(root).task == "detect"
    dataset = open_dataset(root, task="segment")
    assert "boxes that are painted as rectangles: 6" in dataset.notes
    assert "object-without-outline" not in {finding.code for finding in dataset.findings}
    mask = load_sample(dataset.records[0], dataset.classes).mask
    assert mask is not None
    assert mask[10:13, :10].tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 2, 0]] * 2 + [[0] * 10]


def test_shapes_without_area_are_left_out_and_said(tmp_path: Path) -> None:
    flat = [
        '<polyline label="car" points="1,1;2,2"></polyline>',
        '<points label="car" points="1,1"></points>',
        '<polygon label="car" points="1,1;2,2"></polygon>',
        '<mask label="car" rle="4" left="0" top="0" width="2" height="2"></mask>',
        '<skeleton label="car"><points label="car" points="1,1"></points></skeleton>',
    ]
    listing = list_records(export(tmp_path, image("a.png", *flat, box("car", 1, 1, 2, 2))))
    said = "shapes left out, which cover no area or have no label: 1 polyline, 1 points, 1 polygon, 1 mask, 1 skeleton"
    assert said in listing.notes
    assert objects(listing) == [("car", (1, 1, 2, 2))]


def test_subsets_are_parts_and_lead_to_images_of_one_name(tmp_path: Path) -> None:
    shape = box("car", 1, 1, 2, 2)
    files = ["images/Train/a.png", "images/Validation/a.png", "images/b.png"]
    images = [image("a.png", shape, subset="Train"), image("a.png", shape, subset="Validation")]
    listing = list_records(export(tmp_path, *images, image("b.png", subset="default"), files=files))
    assert [(record.id, record.split) for record in listing.records] == [
        ("Train/a", "train"),
        ("Validation/a", "val"),
        ("b", None),
    ]


def test_tags_are_labels(tmp_path: Path) -> None:
    images = [
        image("a.png", '<tag label="road"/>'),
        image("b.png"),
        image("c.png", '<tag label="car"/>', '<tag label="road"/>'),
    ]
    root = export(tmp_path, *images, files=[f"images/{name}.png" for name in "abc"])
    listing = list_records(root)
    assert (listing.task, [(record.id, record.label) for record in listing.records]) == ("classify", [("a", "road")])
    assert [found.files for found in listing.findings] == [("images/b.png",), ("images/c.png",)]


def test_images_that_are_not_there_or_twice_are_named(tmp_path: Path) -> None:
    shape = box("car", 1, 1, 2, 2)
    listing = list_records(export(tmp_path, image("a.png", shape), image("a.png"), image("none.png", shape)))
    assert {found.code: found.files for found in listing.findings} == {
        "missing-image": ("images/none.png",),
        "duplicate-id": ("annotations.xml", "images/a.png"),
    }


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (image("b.png", box("", 1, 1, 2, 2)), "a <box> has no label"),
        (image("b.png", box("car", 1, 1, "two", 2)), "xbr of a <box> is 'two', and a number up to"),
        (image("b.png", '<polygon label="car" points="1,1;2;3,3"/>'), "a corner is "),
        (image("b.png", '<mask label="car" rle="1,2" left="0" top="0" width="2" height="2"/>'), "add up to 3 pixels"),
        (
            image("b.png", '<mask label="car" rle="1,-2" left="0" top="0" width="2" height="2"/>'),
            "a run of a mask is '-2'",
        ),
        (image("b.png", '<blob label="car"/>'), "<blob> is no shape of CVAT for images 1.1"),
        (image("b.png", size=(0, 9)), "the image's size is stated as 9 x 0"),
        (image("b.png", size=(10**6, 10**6)), "the image's size is stated as 1000000 x 1000000"),
    ],
)
def test_one_broken_image_is_named_and_the_others_are_read(tmp_path: Path, broken: str, reason: str) -> None:
    files = ["images/a.png", "images/b.png"]
    listing = list_records(export(tmp_path, image("a.png", box("car", 1, 1, 2, 2)), broken, files=files))
    (found,) = listing.findings
    assert (found.code, found.files) == ("unreadable-annotation", ("annotations.xml, image 'b.png'",))
    assert re.search(rf"annotations\.xml, image 'b\.png': .*{reason}", found.message)
    assert [record.id for record in listing.records] == ["a"]


def test_files_that_are_not_cvats_for_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text("<annotations><track id='0'/></annotations>")
    with pytest.raises(
        UnreadableFileError, match=r"it is CVAT for video; export the task as 'CVAT for images 1\.1' inst"
    ):
        list_records(tmp_path)
    path.write_text('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>')
    with pytest.raises(UnreadableFileError, match=r"annotations\.xml: it declares a document type"):
        list_records(tmp_path)
    export(tmp_path, image("a.png"))
    with pytest.raises(DataError, match="was read as CVAT for images, but no image of it has a shape or a label"):
        list_records(path)
    (tmp_path / "more.xml").write_text("<annotations/>")
    with pytest.raises(DataError, match=r"needs one XML file of CVAT .* and has annotations\.xml, more\.xml"):
        list_records(tmp_path, "cvat")
