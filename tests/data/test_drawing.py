from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon2mask

from segkit.data.drawing import draw_classes, draw_region, encode_region
from segkit.data.samples import load_sample
from segkit.data.scan import scan
from segkit.errors import DataError
from segkit.structures import (
    IGNORE_INDEX,
    Annotation,
    ClassMap,
    MaskFile,
    ObjectAnnotation,
    Polygons,
    Record,
    Region,
    RunLengths,
)

SOURCE = Path("objects.json")
CLASSES = ClassMap(("background", "cat", "dog"))


def polygons(*rings: Sequence[tuple[float, float]]) -> Polygons:
    return Polygons(tuple(np.array(ring, np.float32) for ring in rings))


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygons:
    return polygons([(left, top), (right, top), (right, bottom), (left, bottom)])


def annotation(*objects: tuple[str, Region | None], ignored: Sequence[str] = (), relative: bool = False) -> Annotation:
    marked = tuple(ObjectAnnotation(label, region=region, ignored=label in ignored) for label, region in objects)
    return Annotation(marked, SOURCE, relative=relative)


def painted(marked: Annotation, size: tuple[int, int]) -> NDArray[np.int16]:
    return draw_classes(marked, {"cat": 1, "dog": 2}, size, unclaimed=0, ignored=-1)


def test_a_rectangle_covers_the_pixels_between_its_edges() -> None:
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(draw_region(rectangle(1, 1, 4, 3), (5, 6)), expected)


def test_a_polygon_agrees_with_another_implementation_but_for_its_border() -> None:
    corners = [(10.0, 5.0), (52.0, 12.0), (45.0, 40.0), (30.0, 22.0), (12.0, 44.0)]
    ours = draw_region(polygons(corners), (50, 60))
    theirs = polygon2mask((50, 60), [(y - 0.5, x - 0.5) for x, y in corners])
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95


def test_rings_are_united_and_what_lies_outside_is_cut_off() -> None:
    drawn = draw_region(polygons([(0, 0), (2, 0), (2, 2), (0, 2)], [(3, 3), (9, 3), (9, 9), (3, 9)]), (4, 5))
    np.testing.assert_array_equal(drawn, [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]])


def test_run_lengths_come_back_as_they_were() -> None:
    pixels = np.random.default_rng(0).random((7, 9)) > 0.5
    np.testing.assert_array_equal(draw_region(encode_region(pixels), (7, 9)), pixels)


def test_run_lengths_count_down_the_columns() -> None:
    # Three pixels off, two on, four off: column by column, as in COCO's format.
    from pycocotools import mask as coco_mask

    counts = coco_mask.frPyObjects({"size": [3, 3], "counts": [3, 2, 4]}, 3, 3)["counts"]
    np.testing.assert_array_equal(draw_region(RunLengths((3, 3), counts), (3, 3)), [[0, 1, 0], [0, 1, 0], [0, 0, 0]])


def test_a_mask_file_shows_everything_but_zero_or_one_value(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).save(tmp_path / "objects.png")
    everything = draw_region(MaskFile(tmp_path / "objects.png"), (2, 2))
    np.testing.assert_array_equal(everything, [[False, True], [True, True]])
    first = draw_region(MaskFile(tmp_path / "objects.png", 1), (2, 2))
    np.testing.assert_array_equal(first, [[False, True], [False, True]])


def test_the_later_object_has_the_pixel_and_ignored_ones_do_not_count() -> None:
    marked = annotation(
        ("cat", rectangle(0, 0, 3, 1)),
        ("dog", rectangle(1, 0, 2, 1)),
        ("crowd", rectangle(4, 0, 5, 1)),
        ignored=["crowd"],
    )
    np.testing.assert_array_equal(painted(marked, (1, 6)), [[1, 2, 1, 0, -1, 0]])


def test_relative_outlines_follow_the_size_of_the_image() -> None:
    marked = annotation(("cat", rectangle(0.5, 0, 1, 0.5)), relative=True)
    np.testing.assert_array_equal(painted(marked, (2, 4)), [[0, 0, 1, 1], [0, 0, 0, 0]])
    box = Annotation((ObjectAnnotation("cat", (0.25, 0.5, 0.75, 1.0)),), SOURCE, relative=True).in_pixels((10, 20))
    assert box.objects[0].box == (5.0, 5.0, 15.0, 10.0)


def test_objects_without_region_and_box_leave_no_trace() -> None:
    assert not painted(annotation(("cat", None)), (2, 2)).any()


@pytest.mark.parametrize("first", [True, False])
def test_a_box_without_a_region_is_not_counted_but_for_other_regions(first: bool) -> None:
    outlined, boxed = ObjectAnnotation("cat", region=rectangle(2, 0, 4, 1)), ObjectAnnotation("bird", (1, 0, 3.4, 1))
    marked = Annotation((boxed, outlined) if first else (outlined, boxed), SOURCE)
    np.testing.assert_array_equal(painted(marked, (2, 5)), [[0, -1, 1, 1, 0], [0] * 5])
    shares = Annotation((ObjectAnnotation("cat", (0.5, 0, 1e30, 0.5)),), SOURCE, relative=True)
    np.testing.assert_array_equal(painted(shares, (2, 4)), [[0, 0, -1, -1], [0] * 4])


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(DataError, match=r"objects.json: 'bird' is no class; classes: cat, dog"):
        painted(annotation(("bird", rectangle(0, 0, 1, 1))), (2, 2))


def test_an_outline_that_reaches_absurdly_far_is_named_before_memory_is_taken() -> None:
    with pytest.raises(DataError, match=r"from \(0, 0\) to \(1e\+09, 2\) is longer than 8,388,608 pixels"):
        draw_region(rectangle(0, 0, 1e9, 2), (2, 4))
    with pytest.raises(DataError, match="is longer than"):
        draw_region(polygons([(0, 0), (float("nan"), 1), (2, 2)]), (2, 4))


def test_a_region_of_another_size_is_named() -> None:
    region = encode_region(np.ones((2, 3), bool))
    with pytest.raises(DataError, match="a region is of 3 x 2 pixels, and its image of 4 x 2"):
        painted(annotation(("cat", region)), (2, 4))


def test_the_box_of_polygons_is_the_smallest_around_them() -> None:
    assert polygons([(1, 2), (5, 3), (2, 8)], [(0, 4), (3, 4), (3, 5)]).box == (0, 2, 5, 8)


def test_scan_and_sample_draw_the_mask_of_marked_objects(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a.png")
    marked = annotation(
        ("cat", rectangle(0, 0, 2, 2)),
        ("dog", rectangle(1, 0, 3, 2)),
        ("crowd", rectangle(0, 3, 6, 4)),
        ignored=["crowd"],
    )
    record = Record("a", tmp_path / "a.png", annotation=marked)
    facts = scan([record]).masks["a"]
    assert (facts.kind, facts.size, facts.error) == ("objects", (4, 6), None)
    assert (facts.classes, facts.ignored) == ({"cat": 2, "dog": 4}, 6)
    mask = load_sample(record, CLASSES).mask
    assert mask is not None
    assert [(mask == index).sum() for index in (0, 1, 2, IGNORE_INDEX)] == [12, 2, 4, 6]


def test_channels_of_several_files_become_one_image(tmp_path: Path) -> None:
    planes = [np.full((3, 5), value, np.uint16) for value in (7, 900, 40)]
    files = [tmp_path / f"case_{number:04}.png" for number in range(3)]
    for file, plane in zip(files, planes, strict=True):
        Image.fromarray(plane).save(file)
    record = Record("case", files[0], channel_files=tuple(files[1:]))
    np.testing.assert_array_equal(load_sample(record, CLASSES).image, np.dstack(planes))
    facts = scan([record]).images["case"]
    assert (facts.channels, facts.mean) == (3, (7.0, 900.0, 40.0))


def test_a_channel_of_another_size_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 5), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "b.png")
    record = Record("case", tmp_path / "a.png", channel_files=(tmp_path / "b.png",))
    error = scan([record]).images["case"].error
    assert error == "holds 4 x 3 uint8, but a.png, a channel of the same image, holds 5 x 3 uint8"
