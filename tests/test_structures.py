"""Class maps and results against answers computed by hand."""

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import DataError
from segkit.inference.results import ClassificationResult, SegmentationResult
from segkit.structures import (
    IGNORE_INDEX,
    ClassMap,
    Record,
    class_map,
    palette,
)

STREET = ClassMap(
    names=("road", "car", "sky"), ids=(7, 300, 2), values={7: 0, 44: 1, 2: 2, 255: IGNORE_INDEX}, background=None
)


def test_defaults_number_the_classes() -> None:
    classes = ClassMap(("background", "cell"))
    assert classes.ids == (0, 1)
    assert classes.values == {0: 0, 1: 1}
    assert classes.colors == ((0, 0, 0), (128, 0, 0))
    assert classes.foreground == (1,)


def test_encode_maps_stored_values_to_indices() -> None:
    raw = np.array([[2, 7], [255, 44]], np.uint8)
    indices = STREET.values_to_indices(raw)
    assert indices.dtype == np.int16
    assert indices.tolist() == [[2, 0], [IGNORE_INDEX, 1]]


def test_encode_goes_block_by_block_through_large_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = np.random.default_rng(0).choice(np.array([2, 7, 44, 255], np.uint8), (31, 17))
    whole = STREET.values_to_indices(raw)
    for block in (1, 17, 50, 10_000):
        monkeypatch.setattr(class_map, "_BLOCK", block)
        assert np.array_equal(STREET.values_to_indices(raw), whole)
    monkeypatch.setattr(class_map, "_BLOCK", 17)
    raw[30, 16] = 9
    with pytest.raises(DataError, match="mask value 9 is no class"):
        STREET.values_to_indices(raw)


def test_encode_reads_packed_colours() -> None:
    classes = ClassMap(("sky", "road"), values={0x808080: 0, 0x804080: 1})
    assert classes.values_to_indices(np.array([[0x804080, 0x808080]], np.int32)).tolist() == [[1, 0]]


@pytest.mark.parametrize("value", [0, 3, 254, 60000])
def test_encode_names_unknown_values(value: int) -> None:
    with pytest.raises(DataError, match=rf"mask value {value} is no class; known values: 2, 7, 44, 255"):
        STREET.values_to_indices(np.array([[7, value]], np.uint16))


def test_decode_gives_ids_in_the_smallest_type() -> None:
    ids = STREET.indices_to_ids(np.array([[0, 1, 2]]))
    assert ids.dtype == np.uint16
    assert ids.tolist() == [[7, 300, 2]]
    assert ClassMap(("a", "b")).indices_to_ids(np.array([[1]])).dtype == np.uint8


def test_ids_decode_what_encode_read() -> None:
    classes = ClassMap(tuple("abcd"), ids=(9, 0, 255, 4))
    raw = np.random.default_rng(0).choice(classes.ids, (31, 17)).astype(np.uint8)
    assert np.array_equal(classes.indices_to_ids(classes.values_to_indices(raw)), raw)


def test_json_and_pickle_there_and_back() -> None:
    assert ClassMap.from_dict(json.loads(json.dumps(STREET.to_dict()))) == STREET
    assert pickle.loads(pickle.dumps(STREET)) == STREET


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("a", "a")}, "unique"),
        ({"ids": (1, 1)}, "unique"),
        ({"colors": ((0, 0, 0),)}, "one entry per class"),
        ({"ids": (0, 65536)}, "0 to 65535"),
        ({"ids": (-1, 0)}, "0 to 65535"),
        ({"background": 2}, r"background 2 is no class index 0\.\.1"),
    ],
)
def test_impossible_class_maps(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ClassMap(("a", "b")), **changes)


def test_palette_is_pascal_vocs() -> None:
    # The first colours of the VOC development kit: background, aeroplane, bicycle, bird, boat; and its 255 = void.
    assert palette(5) == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert palette(256)[255] == (224, 224, 192)
    assert len(set(palette(1000))) == 1000


def test_the_group_is_the_unit() -> None:
    assert Record("a", Path("a.png")).unit == "a"
    assert Record("a", Path("a.png"), group="patient 3").unit == "patient 3"


def test_areas_and_shares() -> None:
    result = SegmentationResult(np.array([[7, 7, 7, 300]], np.uint16), STREET)
    assert result.areas() == {"road": 3, "car": 1, "sky": 0}
    assert result.shares() == {"road": 0.75, "car": 0.25, "sky": 0.0}


def test_top_classes_best_first() -> None:
    result = ClassificationResult(np.array([0.25, 0.5, 0.25], np.float32), ("a", "b", "c"))
    assert result.label == "b"
    assert result.top(2) == [("b", 0.5), ("a", 0.25)]
