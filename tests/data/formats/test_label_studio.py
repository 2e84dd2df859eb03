"""Label Studio's export: percent, turned rectangles, brush strokes, choices, and where the images are."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon2mask

from segkit.data.drawing import draw_region
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats._brush import decode_brush
from segkit.data.formats.label_studio import image_name
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError, UnreadableFileError
from segkit.structures import Polygons, RunLengths


def pack(words: Sequence[int], lengths: tuple[int, int, int, int] = (3, 4, 8, 16), word: int = 8) -> list[int]:
    """The documented bit stream of rle-pack, written apart: three equal words and more are repeated, others stored."""
    bits = f"{len(words):032b}{word - 1:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and words[end] == words[start]:
            end += 1
        if end - start < 3:
            end = start + 1
            while end < len(words) and len(set(words[end : end + 3])) > 1:
                end += 1
        for chunk in range(start, end, 2 ** lengths[-1]):
            count = min(end - chunk, 2 ** lengths[-1])
            which = next(i for i, length in enumerate(lengths) if count <= 2**length)
            is_repeat = len(set(words[chunk : chunk + count])) == 1
            bits += f"{is_repeat:b}{which:02b}{count - 1:0{lengths[which]}b}"
            bits += "".join(f"{value:0{word}b}" for value in words[chunk : chunk + (1 if is_repeat else count)])
        start = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def rgba(mask: NDArray[Any], color: tuple[int, int, int] | None = None) -> list[int]:
    """Red, green, blue and opacity of the pixels of a mask, row by row; gray of the opacity without a colour."""
    flat = [(*(color or (int(value),) * 3), int(value)) for value in mask.ravel()]
    return [channel for pixel in flat for channel in pixel]


def result(kind: str, label: str | None = None, size: tuple[int, int] = (50, 200), **value: object) -> dict[str, Any]:
    """One region; size is (H, W)."""
    labelled = {f"{kind}labels": [label]} if label else {}
    stated = {"original_height": size[0], "original_width": size[1], "image_rotation": 0}
    return {"id": str(value), "type": f"{kind}labels", "value": {**value, **labelled}, **stated}


def choice(*names: str, id_: str = "choice") -> dict[str, Any]:
    return {"id": id_, "type": "choices", "value": {"choices": list(names)}}


def task(image: str, *results: object, **more: object) -> dict[str, Any]:
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": list(results)}], **more}


def export(root: Path, *tasks: object, size: tuple[int, int] = (50, 200), images: Sequence[str] = ("a.png",)) -> Path:
    for seed, name in enumerate(images):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, size, np.uint8)
        Image.fromarray(pixels).save(root / name)
    (root / "export.json").write_text(json.dumps(tasks))
    return root


def the_objects(listing: Listing) -> list[tuple[str, tuple[float, ...], object]]:
    (record,) = listing.records
    assert record.annotation is not None
    return [(one.label, one.box or (), one.region) for one in record.annotation.objects]


def test_percent_are_of_the_stated_width_and_height(tmp_path: Path) -> None:
    box = result("rectangle", "cell", x=10, y=20, width=5, height=50, rotation=0)
    outline = result("polygon", "cell", points=[[0, 0], [50, 0], [50, 100]])
    listing = list_records(export(tmp_path, task("a.png", box, outline)))
    assert (listing.layout, listing.task) == ("Label Studio", "segment")
    (first, second) = the_objects(listing)
    assert (first[1], second[1]) == ((20, 10, 30, 35), (0, 0, 100, 50))
    assert listing.records[0].annotation is not None
    assert listing.records[0].annotation.size == (50, 200)


def test_a_rectangle_turns_clockwise_about_its_upper_left_corner(tmp_path: Path) -> None:
    turned = result("rectangle", "cell", x=50, y=20, width=20, height=20, rotation=90)
    ((_, box, region),) = the_objects(list_records(export(tmp_path, task("a.png", turned))))
    # From (100, 10) 40 to the right and 10 down; turned by 90 degrees: 40 down and 10 to the left.
    np.testing.assert_allclose(box, (90, 10, 100, 50), atol=1e-4)
    assert isinstance(region, Polygons)
    np.testing.assert_allclose(region.rings[0], [(100, 10), (100, 50), (90, 50), (90, 10)], atol=1e-4)


def test_an_ellipse_turns_about_its_centre(tmp_path: Path) -> None:
    turned = result("ellipse", "cell", x=50, y=50, radiusX=10, radiusY=10, rotation=90)
    ((_, box, region),) = the_objects(list_records(export(tmp_path, task("a.png", turned))))
    np.testing.assert_allclose(box, (95, 5, 105, 45), atol=0.1)
    assert isinstance(region, Polygons)
    assert draw_region(region, (50, 200)).sum() == pytest.approx(math.pi * 20 * 5, rel=0.02)


def test_a_brush_made_by_hand() -> None:
    # One pixel: four words of 8 bits, sizes of 3, 4, 8 and 16 bits; one repeat of 4 times 255 with a length of 3 bits.
    head = "00000000000000000000000000000100" + "00111" + "0010" + "0011" + "0111" + "1111"
    bits = head + "1" + "00" + "011" + "11111111"
    packed = bytes(int(f"{bits:0<72}"[i : i + 8], 2) for i in range(0, 72, 8))
    np.testing.assert_array_equal(decode_brush(packed, (1, 1)), [[True]])
    np.testing.assert_array_equal(decode_brush(packed[:-2] + bytes((packed[-2] & 0b11100000, 0)), (1, 1)), [[False]])


@pytest.mark.parametrize("color", [None, (211, 17, 90)])
@pytest.mark.parametrize(("lengths", "word"), [((3, 4, 8, 16), 8), ((1, 2, 3, 5), 8), ((2, 3, 4, 9), 11)])
def test_brushes_of_an_independent_encoder(
    color: tuple[int, int, int] | None, lengths: tuple[int, int, int, int], word: int
) -> None:
    rng = np.random.default_rng(3)
    blob = np.zeros((23, 37), np.uint8)
    blob[4:15, 6:30] = 255
    for mask in (blob, rng.integers(0, 2, (9, 13)) * 255, rng.integers(0, 256, (8, 11)), np.zeros((5, 4), int)):
        packed = bytes(pack(rgba(mask, color), lengths, word))
        np.testing.assert_array_equal(decode_brush(packed, mask.shape), mask > 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda packed: packed[:-2], "the pixels of a brush are cut short"),
        (lambda packed: packed[:3], "the pixels of a brush are cut short"),
        (lambda packed: [0, 0, 0, 8, *packed[4:]], "the pixels of a brush are 2 pixels, and the image has 6 x 4"),
        (lambda packed: ["x"], "the rle of a brush is no list of numbers from 0 to 255"),
        (lambda packed: [300], "the rle of a brush is no list of numbers from 0 to 255"),
    ],
)
def test_damaged_brushes_are_named(tmp_path: Path, change: Callable[[list[int]], object], reason: str) -> None:
    good = pack(rgba(np.full((4, 6), 255)))
    tasks = [task("a.png", result("brush", "cell", (4, 6), format="rle", rle=rle)) for rle in (good, change(good))]
    tasks[1]["id"] = 8
    listing = list_records(export(tmp_path, *tasks, size=(4, 6)))
    (broken,) = listing.findings
    assert (broken.code, broken.files) == ("unreadable-mask", ("export.json, task 8",))
    assert re.search(rf"^1 annotation cannot be read \(export\.json, task 8: {reason}", broken.message)
    assert len(listing.records) == 1


def test_an_image_too_large_for_brushes_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(DataError, match="masks are read up to 134,217,728 pixels, and the image has 20000 x 20000"):
        decode_brush(bytes(64), (20_000, 20_000))


def test_a_brush_becomes_a_mask(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[3:9, 5:20] = 255
    brush = result("brush", "cell", (20, 30), format="rle", rle=pack(rgba(mask)))
    root = export(
        tmp_path, *(task(f"{n}.png", brush) for n in "abc"), size=(20, 30), images=("a.png", "b.png", "c.png")
    )
    dataset = open_dataset(root)
    record = dataset.records[0]
    assert record.annotation is not None
    assert record.annotation.objects[0].box == (5, 3, 20, 9)
    assert isinstance(record.annotation.objects[0].region, RunLengths)
    np.testing.assert_array_equal(load_sample(record, dataset.classes).mask, mask // 255)


def test_the_first_annotation_counts_that_was_not_cancelled(tmp_path: Path) -> None:
    cancelled, first, second = (result("rectangle", name, x=1, y=1, width=1, height=1) for name in "xyz")
    annotations = [
        {"result": [cancelled], "was_cancelled": True},
        {"result": [first], "was_cancelled": False},
        {"result": [second]},
    ]
    entry = {"data": {"image": "a.png"}, "annotations": annotations, "predictions": [{"result": [second]}]}
    empty = {"data": {"image": "b.png"}, "annotations": [], "predictions": []}
    listing = list_records(export(tmp_path, entry, empty))
    assert [label for label, *_ in the_objects(listing)] == ["y"]
    assert listing.notes == (
        "predictions, which are not used: 1",
        "annotations after the first of an image, which are not used: 1",
        "left out, because they have no annotation: images: 1",
    )


def test_labels_may_stand_in_a_result_of_their_own(tmp_path: Path) -> None:
    shape = {**result("rectangle", x=1, y=1, width=10, height=10), "id": "r", "type": "rectangle"}
    label = {"id": "r", "type": "labels", "value": {"x": 1, "labels": ["cell", "round"]}}
    point, bare = result("keypoint", "cell", x=1, y=1, width=1), result("rectangle", x=1, y=1, width=1, height=1)
    listing = list_records(export(tmp_path, task("a.png", shape, label, point, bare)))
    assert [label for label, *_ in the_objects(listing)] == ["cell"]
    assert listing.notes == (
        "regions of several labels, of which the first counts: 1",
        "shapes left out, which cover no area or have no label: 1 keypoint, 1 rectangle without a label",
    )


def test_choices_are_labels_unless_they_are_about_a_region(tmp_path: Path) -> None:
    region = result("rectangle", "cell", x=1, y=1, width=10, height=10)
    tasks = [
        task("a.png", choice("benign"), region, choice("blurred", id_=region["id"])),
        task("b.png", choice("benign", "malign")),
        task("c.png"),
        task("d.png", choice("malign")),
    ]
    root = export(tmp_path, *tasks, images=[f"{name}.png" for name in "abcd"])
    listing = list_records(root, task="classify")
    assert {record.id: record.label for record in listing.records} == {"a": "benign", "d": "malign"}
    assert [(found.code, found.files) for found in listing.findings] == [
        ("missing-label", ("c.png",)),
        ("unknown-label", ("b.png",)),
    ]
    assert list_records(root).task == "detect"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/1a2b3c4d-b%C3%A4ume.png", "data/upload/3/1a2b3c4d-bäume.png"),
        ("/data/local-files/?d=photos/a%20b.png", "photos/a b.png"),
        ("https://example.org/x/a.png?token=1", "x/a.png"),
        ("s3://bucket/x/a.png", "x/a.png"),
        ("a.png", "a.png"),
    ],
)
def test_addresses_of_images(address: str, name: str) -> None:
    assert image_name({"text": "hello", "image": address}) == name
    assert image_name({"text": "hello", "url": address}) == name


def test_images_are_found_below_the_folder_with_or_without_the_prefix_of_uploads(tmp_path: Path) -> None:
    region = result("rectangle", "cell", x=1, y=1, width=10, height=10)
    addresses = ["/data/upload/1/0123abcd-a.png", "/data/local-files/?d=photos/b.png", "/c", "gs://x/d.png", "e.png"]
    images = ["images/a.png", "photos/b.png", "c.png", "deep/er/d.png"]
    root = export(tmp_path, *(task(address, region) for address in addresses), images=images)
    listing = list_records(root)
    assert [record.image.relative_to(root).as_posix() for record in listing.records] == [
        "images/a.png",
        "c.png",
        "deep/er/d.png",
        "photos/b.png",
    ]
    assert [(found.code, found.files) for found in listing.findings] == [("missing-image", ("e.png",))]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ([], "a task is a list, and an object {...} is expected"),
        ({"data": {"image": "a.png"}}, "annotations is null, and a list is expected"),
        (task("a.png", {"type": "videorectangle"}), "a result is of the type 'videorectangle', which cannot be read"),
        (task("a.png", result("polygon", "c", points=[[1, 2], [3], [4, 5]])), r"a corner is '\[3\]', and two numbers"),
        (task("a.png", result("rectangle", "c", x=1, y=math.nan, width=1, height=1)), "y is 'nan', and a number up to"),
        (task("a.png", result("rectangle", "c", (0, 5), x=1, y=1)), "the image's size is stated as 5 x 0; no image"),
        (task("a.png", {**result("polygon", "c"), "image_rotation": 90}), "the image was turned by 90 degrees while"),
        ({**task("a.png"), "data": {"text": ""}}, "its data names no image file"),
        ({**task("a.png"), "data": {"image": "data:image/png;base64,AAAA"}}, "its data names no image file"),
    ],
)
def test_one_broken_task_is_named_and_the_others_are_read(tmp_path: Path, entry: object, reason: str) -> None:
    good = task("a.png", result("polygon", "cell", points=[[0, 0], [50, 0], [50, 100]]))
    listing = list_records(export(tmp_path, good, entry))
    assert [found.code for found in listing.findings] == ["unreadable-mask"]
    assert re.search(rf"export\.json, task [^:]*: {reason}", listing.findings[0].message), listing.findings
    assert len(listing.records) == 1


def test_exports_of_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "min.json").write_text('[{"image": "a.png", "label": [{"x": 1}]}]')
    with pytest.raises(DataError, match="has no export of Label Studio; export as JSON, not JSON-MIN"):
        list_records(tmp_path, "label-studio")
    (tmp_path / "min.json").write_text('{"a": 1}')
    with pytest.raises(UnreadableFileError, match=r"min\.json: it holds an object, and a list of tasks is expected"):
        list_records(tmp_path / "min.json", "label-studio")
    export(tmp_path, task("a.png"))
    with pytest.raises(DataError, match="was read as Label Studio, but no image of it has a shape or a label"):
        list_records(tmp_path / "export.json")


def test_several_exports_are_named(tmp_path: Path) -> None:
    square = task("a.png", result("rectangle", "cell", x=1, y=1, width=10, height=10))
    export(tmp_path, square)
    (tmp_path / "older.json").write_text(json.dumps([square]))
    expected = r"has several exports of Label Studio: export\.json, older\.json; name one, such as .*export\.json"
    with pytest.raises(DataError, match=expected):
        list_records(tmp_path)
    assert len(list_records(tmp_path / "older.json").records) == 1


def test_where_to_put_images_that_are_not_there(tmp_path: Path) -> None:
    square = result("rectangle", "cell", x=1, y=1, width=10, height=10)
    root = export(tmp_path, task("/image1", square), task("/image2", square), images=())
    place = re.escape(str(root))
    expected = (
        rf"^the annotations of {place} name 2 images, and none is there, for example 'image1'; put them into {place}"
    )
    with pytest.raises(DataError, match=expected):
        list_records(root)
    Image.new("L", (200, 50)).save(root / "image2.jpg")
    (found,) = list_records(root).findings
    assert (found.code, found.files) == ("missing-image", ("image1",))
    assert found.message == (
        f"images that are annotated and not there (1): put them into {root}, or a folder in it, in any format of images"
    )


@pytest.mark.parametrize(
    ("name", "sizes", "labels"),
    [
        ("polygons", [(426, 640)], {"Airplane"}),
        ("rectangles", [(2800, 2800)] * 2, {"parasites", "white"}),
        ("rotated_rectangles", [(768, 597), (768, 433), (768, 716)], {"Butterfly", "butterfly"}),
    ],
)
def test_samples_of_label_studio(
    datasets: Callable[[str], Path], tmp_path: Path, name: str, sizes: list[tuple[int, int]], labels: set[str]
) -> None:
    """The pictures are not published: gray ones of the stated sizes stand in."""
    text = (datasets("annotation_formats") / "label_studio" / f"{name}.json").read_text()
    (tmp_path / "export.json").write_text(text)
    tasks = sorted(json.loads(text), key=lambda one: str(one["data"]["image"]))
    for one, size in zip(tasks, sizes, strict=True):
        Image.fromarray(np.full(size, 99, np.uint8)).save(tmp_path / f"{one['data']['image'].strip('/')}.png")
    listing = list_records(tmp_path)
    assert (listing.findings, len(listing.records)) == ((), len(sizes))
    for record, one in zip(listing.records, tasks, strict=True):
        assert record.annotation is not None
        assert set(record.annotation.labels) <= labels
        stated = record.annotation.size
        assert stated is not None
        results = one["annotations"][0]["result"]
        assert len(record.annotation.objects) == len(results)
        for marked, region in zip(record.annotation.objects, results, strict=True):
            corners = _corners(region["value"], *stated)
            assert marked.box is not None
            np.testing.assert_allclose(marked.box, (*corners.min(axis=0), *corners.max(axis=0)), rtol=1e-5, atol=1e-3)
            if isinstance(marked.region, Polygons):
                ours = draw_region(marked.region, stated)
                theirs = polygon2mask(stated, corners[:, ::-1] - 0.5)
                assert (ours & theirs).sum() / (ours | theirs).sum() > 0.9


def _corners(value: dict[str, Any], height: int, width: int) -> NDArray[np.float64]:
    """By the converter's formula: sides are turned about the corner (x, y), in pixels."""
    if "points" in value:
        return np.array(value["points"]) * (width, height) / 100
    x, w = value["x"] * width / 100, value["width"] * width / 100
    y, h = value["y"] * height / 100, value["height"] * height / 100
    a = math.radians(value["rotation"])
    along, down = np.array([math.cos(a), math.sin(a)]) * w, np.array([-math.sin(a), math.cos(a)]) * h
    start = np.array([x, y])
    return np.array([start, start + along, start + along + down, start + down])
