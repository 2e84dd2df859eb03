"""Every registered format and writer, without being told: examples are read, and converted examples come back equal."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from segkit.data.convert import ABOUT_TRAINING, Conversion, convert_dataset
from segkit.data.formats._base import FORMATS
from segkit.data.formats._writing import WRITERS, objects_of
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.samples import load_sample
from segkit.errors import UsageError
from segkit.structures import IGNORE_INDEX, Record, TaskName

TASKS: tuple[TaskName, ...] = ("segment", "detect")


@pytest.fixture(scope="module", params=FORMATS.names())
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name and folder of the example of each format."""
    root = tmp_path_factory.mktemp(request.param) / "example"
    FORMATS.get(request.param)().example(root)
    return request.param, root


def test_an_example_is_recognised_as_its_own_format_and_no_other(example: tuple[str, Path]) -> None:
    name, root = example
    recognising = [other for other in FORMATS if FORMATS.get(other)().recognises(root)]
    ranks = {other: FORMATS.get(other).rank for other in recognising}
    assert [other for other in recognising if ranks[other] <= FORMATS.get(name).rank] == [name]


def test_a_format_recognises_nothing_in_an_empty_folder_nor_in_a_file(name: str, tmp_path: Path) -> None:
    assert not FORMATS.get(name)().recognises(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    assert not FORMATS.get(name)().recognises(tmp_path / "notes.txt")


def test_an_example_is_small_and_opens_without_errors(example: tuple[str, Path]) -> None:
    dataset = open_dataset(example[1])
    assert 2 <= len(dataset.records) <= 16
    assert [found.message for found in dataset.errors] == []
    assert len(dataset.split("train")) >= 1


def test_every_record_of_an_example_loads_as_a_sample(example: tuple[str, Path]) -> None:
    dataset = open_dataset(example[1])
    for record in dataset.records:
        sample = load_sample(record, dataset.classes, dataset.task)
        facts = dataset.facts.images[record.id]
        assert sample.image.shape == (*facts.size, facts.channels)
        if dataset.task == "segment":
            assert sample.mask is not None
            assert sample.mask.shape == facts.size
            assert sample.mask.max() < dataset.classes.num_classes
        elif dataset.task == "classify":
            assert sample.label in range(dataset.classes.num_classes)
        else:
            assert record.annotation is not None
            assert set(record.annotation.labels) <= set(dataset.classes.names)


@pytest.mark.parametrize("layout", WRITERS.names())
def test_a_converted_example_comes_back_equal(example: tuple[str, Path], layout: str, tmp_path: Path) -> None:
    for task in TASKS:
        dataset = open_dataset(example[1], task=task)
        conversion = _converted(dataset, tmp_path / task, layout) if dataset.task == task else None
        if conversion is None:
            continue
        back = open_dataset(tmp_path / task, task=task)
        assert [found.message for found in back.errors if found.code not in ABOUT_TRAINING] == []
        assert back.task == task
        assert _recognised(tmp_path / task) == layout
        assert len(back.records) == len(dataset.records)
        for first, second in _pairs(conversion.source, back):
            (_compare_masks if task == "segment" else _compare_boxes)(conversion, first, back, second)


@pytest.mark.parametrize("layout", WRITERS.names())
def test_a_layout_for_pixels_refuses_labels_of_whole_images(layout: str, tmp_path: Path) -> None:
    FORMATS.get("image-folder")().example(tmp_path / "example")
    with pytest.raises(UsageError, match=r"has labels of whole images, and .* holds .*; choose another --to"):
        convert_dataset(open_dataset(tmp_path / "example"), tmp_path / "out", layout)


@pytest.fixture(params=FORMATS.names())
def name(request: pytest.FixtureRequest) -> str:
    """The name of each format."""
    return str(request.param)


def _recognised(root: Path) -> str:
    return min(
        (name for name in FORMATS if FORMATS.get(name)().recognises(root)), key=lambda name: FORMATS.get(name).rank
    )


def _converted(dataset: OpenDataset, out: Path, layout: str) -> Conversion | None:
    """What was written; None where the layout has no place for the targets, and says so."""
    try:
        return convert_dataset(dataset, out, layout)
    except UsageError as error:
        refused = str(error)
    assert "choose another --to" in refused
    assert not out.exists()
    return None


def _pairs(source: OpenDataset, back: OpenDataset) -> Iterator[tuple[Record, Record]]:
    """Records of equal pixels: a layout may call its images otherwise."""
    by_pixels = {back.facts.images[record.id].pixel_hash: record for record in back.records}
    for record in source.records:
        yield record, by_pixels[source.facts.images[record.id].pixel_hash]


def _compare_masks(conversion: Conversion, first: Record, back: OpenDataset, second: Record) -> None:
    """Equal names at every pixel; a background may have become what no object covers, and say so."""
    one = _names(first, conversion.source)
    other = _names(second, back)
    differing = {(str(a), str(b)) for a, b in zip(one[one != other], other[one != other], strict=True)}
    assert not differing or conversion.losses, differing
    stated = next(record.split for record in back.listing.records if record.id == second.id)
    assert stated == first.split or conversion.losses or first.split is None


def _names(record: Record, dataset: OpenDataset) -> np.ndarray:
    """The class name at each pixel, `-` where nothing counts."""
    mask = load_sample(record, dataset.classes).mask
    assert mask is not None
    names = np.array([*dataset.classes.names, "-"])
    return names[np.where(mask == IGNORE_INDEX, len(names) - 1, mask)]


def _compare_boxes(conversion: Conversion, first: Record, back: OpenDataset, second: Record) -> None:
    """Equal labels, and boxes to a hundredth of a pixel; objects that are not counted may be lost and said so."""
    one = _boxes(first, conversion.source)
    other = _boxes(second, back)
    if len(one) != len(other):
        assert conversion.losses
        return
    assert [label for label, _ in one] == [label for label, _ in other]
    np.testing.assert_allclose([box for _, box in one], [box for _, box in other], atol=0.01)


def _boxes(record: Record, dataset: OpenDataset) -> list[tuple[str, tuple[float, ...]]]:
    return sorted((one.label, one.box) for one in objects_of(dataset, record) if one.box is not None)
