"""`draw` of every result: pictures of exactly the image's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data.image_io import write_image
from segkit.errors import UsageError
from segkit.inference.results import (
    ClassificationResult,
    CombinedResult,
    DetectionResult,
    InstanceResult,
    SegmentationResult,
)
from segkit.structures import ClassMap
from segkit.visualization import overlay

CELLS = ClassMap(("background", "cell"))
THINGS = ClassMap(("cat", "dog"), ((200, 30, 30), (30, 200, 30)), background=None)
GRAY = np.full((120, 160, 3), 90, np.uint8)


def boxes() -> DetectionResult:
    corners = np.array([[30, 40, 100, 110], [140, 5, 156, 20]], np.float32)
    return DetectionResult(corners, np.array([0, 1]), np.array([0.9, 0.6], np.float32), THINGS, (120, 160))


def objects() -> InstanceResult:
    ids = np.zeros((120, 160), np.int32)
    ids[10:50, 10:50], ids[10:50, 50:90] = 1, 2
    return InstanceResult(ids, np.array([1, 1]), np.array([0.9, 0.8], np.float32), CELLS)


def mask() -> SegmentationResult:
    return SegmentationResult((objects().ids > 0).astype(np.uint8), CELLS)


def label() -> ClassificationResult:
    return ClassificationResult(np.array([0.2, 0.8], np.float32), ("day", "night"))


def changed(picture: NDArray[np.uint8], image: NDArray[np.uint8] = GRAY) -> NDArray[np.bool_]:
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    return np.asarray((picture != image).any(axis=2))


def test_masks_are_overlays() -> None:
    np.testing.assert_array_equal(mask().draw(GRAY), overlay(GRAY, mask().mask, CELLS))


def test_boxes_leave_what_they_hold_as_it_is() -> None:
    drawn = changed(boxes().draw(GRAY))
    assert not drawn[40:110, 30:100].any()
    assert not drawn[5:20, 140:156].any()
    assert (boxes().draw(GRAY)[40:110, 29] == (200, 30, 30)).all()


def test_the_label_stands_in_the_corner() -> None:
    drawn = changed(label().draw(GRAY))
    assert drawn[:10, :40].all()
    assert not drawn[30:].any()


def test_all_heads_are_in_one_picture_and_the_originals_stay_as_they_are() -> None:
    before = GRAY.copy()
    picture = CombinedResult(mask(), None, boxes(), label()).draw(GRAY)
    drawn = changed(picture)
    for one in (boxes().draw(GRAY), label().draw(GRAY)):
        shown = changed(one)
        np.testing.assert_array_equal(picture[shown], one[shown])
    assert drawn[30, 70]
    np.testing.assert_array_equal(GRAY, before)


def test_no_name_of_a_box_covers_the_caption() -> None:
    at_the_corner = DetectionResult(
        np.array([[2, 16, 100, 110]], np.float32), np.array([0]), np.array([0.9], np.float32), THINGS, (120, 160)
    )
    shown = changed(label().draw(GRAY))
    picture = CombinedResult(detect=at_the_corner, classify=label()).draw(GRAY)
    np.testing.assert_array_equal(picture[shown], label().draw(GRAY)[shown])
    whole = at_the_corner.draw(GRAY)
    assert shown[(whole == THINGS.colors[0]).all(axis=2)].any()  # alone it would stand there
    assert (picture == THINGS.colors[0]).all(axis=2).sum() == (whole == THINGS.colors[0]).all(axis=2).sum()


def test_numbers_are_written_where_asked_for() -> None:
    plain, numbered = objects().draw(GRAY), objects().draw(GRAY, numbers=True)
    different = np.argwhere((plain != numbered).any(axis=2))
    assert len(different)
    assert different.min(axis=0).tolist() >= [20, 20]
    assert different.max(axis=0).tolist() <= [40, 80]


def test_files_and_other_depths_are_drawn_on(tmp_path: Path) -> None:
    path = tmp_path / "gray.png"
    write_image(path, GRAY)
    np.testing.assert_array_equal(boxes().draw(path), boxes().draw(GRAY))
    deep = np.linspace(0, 60_000, 120 * 160).reshape(120, 160).astype(np.uint16)
    for result in (mask(), boxes(), objects(), label()):
        assert result.draw(deep).shape == (120, 160, 3)


def test_an_image_of_another_size_is_refused() -> None:
    for result in (mask(), boxes(), objects(), CombinedResult(detect=boxes())):
        with pytest.raises(
            UsageError, match="the image is of 160 x 60 pixels, and the result of one of 160 x 120; give"
        ):
            result.draw(GRAY[:60])
    with pytest.raises(UsageError, match="160 x 60 pixels"):
        objects().to_table(GRAY[:60])


def test_nothing_found_leaves_the_image_as_it_is() -> None:
    nothing = InstanceResult(np.zeros((120, 160), np.int32), np.zeros(0, np.int64), np.zeros(0, np.float32), CELLS)
    np.testing.assert_array_equal(nothing.draw(GRAY, numbers=True), GRAY)
    np.testing.assert_array_equal(boxes().above(1).draw(GRAY), GRAY)
    assert nothing.to_table() == nothing.to_coco() == nothing.to_geojson()["features"] == []
    assert boxes().above(1).to_table() == boxes().above(1).to_coco() == []
