"""Targets beside masks, joined for several heads: what each head lists, and every fault named with its files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from segkit.cli import main
from segkit.data.config import DataConfig
from segkit.data.formats._base import list_records
from segkit.data.image_io import read_mask
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.samples import load_targets
from segkit.data.synthetic import write_sample
from segkit.errors import UsageError
from segkit.structures import IGNORE_INDEX, TaskName
from tests.data.planted import image_pixels, save

ALL: tuple[TaskName, ...] = ("segment", "instances", "detect", "classify")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clean") / "sample"
    write_sample(out, count=24, size=64)
    return out


@pytest.fixture
def sample(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "sample"))


def append(file: Path, line: str) -> None:
    with file.open("a") as opened:
        opened.write(line + "\n")


def errors(dataset: OpenDataset) -> dict[str, tuple[str, ...]]:
    return {found.code: found.files for found in dataset.errors}


def drop(file: Path, name: str) -> None:
    file.write_text("".join(line for line in file.read_text().splitlines(True) if name not in line))


def test_the_clean_set_has_every_target_and_one_split(clean: Path) -> None:
    joined = open_dataset(clean, heads=ALL)
    assert not joined.errors
    assert list(joined.heads) == list(ALL)
    for task in ALL:
        alone = open_dataset(clean, task=task)
        assert not alone.errors
        assert alone.classes.to_dict() == joined.heads[task].to_dict()
        assert alone.splits() == joined.splits()


def test_without_parts_of_its_own_no_unit_is_in_two(sample: Path) -> None:
    (sample / "split.csv").unlink()
    drop(sample / "labels.csv", "cells_000")
    joined = open_dataset(sample, heads=ALL)
    parts = joined.splits()
    assert sorted(id_ for ids in parts.values() for id_ in ids) == [f"cells_{number:03}" for number in range(24)]
    assert not joined.errors  # an image without a label has other targets
    assert parts == open_dataset(sample, task="segment").splits()


FAULTS: dict[str, tuple[Callable[[Path], object], TaskName, str, str]] = {
    "a row of an absent image": (
        lambda root: append(root / "boxes.csv", "images/gone.png,9,round_cell,1,2,3,4"),
        "detect", "missing-image", "images/gone.png",
    ),
    "a side that is no number": (
        lambda root: append(root / "boxes.csv", "images/cells_003.png,9,round_cell,1,two,3,4"),
        "detect", "unreadable-annotation", "images/cells_003.png",
    ),
    "a box without a class": (
        lambda root: append(root / "boxes.csv", "images/cells_003.png,9,,1,2,3,4"),
        "detect", "unreadable-annotation", "images/cells_003.png",
    ),
    "a box outside": (
        lambda root: append(root / "boxes.csv", "images/cells_003.png,9,round_cell,60,2,90,4"),
        "detect", "annotation-outside", "images/cells_003.png",
    ),
    "a class that the class file does not know": (
        lambda root: append(root / "boxes.csv", "images/cells_003.png,9,alien,1,2,3,4"),
        "detect", "unknown-label", "images/cells_003.png",
    ),
    "an image without a label": (
        lambda root: drop(root / "labels.csv", "cells_003"), "classify", "missing-label", "images/cells_003.png",
    ),
    "two labels": (
        lambda root: append(root / "labels.csv", "images/cells_003.png,round_cell\nimages/cells_003.png,spindle_cell"),
        "classify", "unknown-label", "images/cells_003.png",
    ),
    "a damaged file of numbers": (
        lambda root: (root / "instances" / "cells_003.png").write_bytes(b"no picture"),
        "instances", "unreadable-mask", "instances/cells_003.png",
    ),
    "numbers of another size": (
        lambda root: save(root / "instances" / "cells_003.png", np.ones((20, 20), np.uint8)),
        "instances", "size-mismatch", "instances/cells_003.png",
    ),
    "an image without its numbers": (
        lambda root: (root / "instances" / "cells_003.png").unlink(),
        "instances", "missing-mask", "images/cells_003.png",
    ),
    "numbers without an image": (
        lambda root: save(root / "instances" / "more.png", np.ones((64, 64), np.uint8)),
        "instances", "orphan-mask", "instances/more.png",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_an_error_with_its_file(fault: str, sample: Path) -> None:
    plant, task, code, file = FAULTS[fault]
    plant(sample)
    found = errors(open_dataset(sample, task=task))
    assert code in found
    assert any(name.endswith(file) for name in found[code])


def test_a_box_without_area_is_said_and_left_out_and_no_row_is_an_empty_image(sample: Path) -> None:
    drop(sample / "boxes.csv", "cells_003")
    append(sample / "boxes.csv", "images/cells_004.png,9,round_cell,5,5,5,9")
    dataset = open_dataset(sample, task="detect")
    assert not dataset.errors
    assert "zero-area-box" in {found.code for found in dataset.findings}
    records = {record.id: record for record in dataset.records}
    empty = load_targets(records["cells_003"], dataset.heads).boxes
    assert empty is not None
    assert len(empty.labels) == 0
    left = load_targets(records["cells_004"], dataset.heads).boxes
    assert left is not None
    assert (left.corners[:, 2:] > left.corners[:, :2]).all()


def test_a_table_without_its_columns_is_refused(sample: Path) -> None:
    (sample / "boxes.csv").write_text("image,class\n")
    with pytest.raises(UsageError, match=r"boxes.csv lacks the column x_min, y_min, x_max, y_max; it has image, class"):
        open_dataset(sample, task="detect")


def test_heads_without_any_target_are_refused(sample: Path) -> None:
    (sample / "labels.csv").unlink()
    with pytest.raises(UsageError, match=r"has no targets to classify, only to segment; leave those heads out"):
        open_dataset(sample, heads=("segment", "classify"))


def test_masks_of_one_value_do_not_number_objects(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / "images" / f"{number}.png", image_pixels(number))
        mask = np.zeros((40, 48), np.uint8)
        cv2.circle(mask, (20, 20), 6 + number, 255, -1)
        save(tmp_path / "masks" / f"{number}.png", mask)
    found = open_dataset(tmp_path, task="instances").errors
    assert [one.code for one in found] == ["objects-not-told-apart"]
    assert "learn the masks with --task segment" in found[0].message


def test_what_the_mask_does_not_count_is_no_object(sample: Path) -> None:
    """Beside a file of numbers the mask tells the classes, and where nothing counts."""
    mask, numbers = (read_mask(sample / folder / "cells_003.png") for folder in ("masks", "instances"))
    save(sample / "masks" / "cells_003.png", np.where(numbers == 1, 255, mask).astype(np.uint8))
    dataset = open_dataset(sample, DataConfig(ignore=(255,)), task="instances")
    record = next(record for record in dataset.records if record.id == "cells_003")
    found = load_targets(record, dataset.heads).instances
    assert found is not None
    assert (found.ids[numbers == 1] == IGNORE_INDEX).all()
    assert len(found.labels) == numbers.max() - 1


def test_masks_and_boxes_of_one_annotation_file(datasets: Callable[[str], Path]) -> None:
    root = datasets("coco_mini")
    joined = open_dataset(root, heads=("segment", "detect"))
    masks, boxes = open_dataset(root, task="segment"), open_dataset(root, task="detect")
    assert joined.classes.to_dict() == masks.classes.to_dict()
    assert joined.heads["detect"].to_dict() == boxes.classes.to_dict()
    record = joined.records[0]
    both = load_targets(record, joined.heads)
    alone = [load_targets(next(r for r in one.records if r.id == record.id), one.heads) for one in (masks, boxes)]
    assert both.mask is not None
    assert both.boxes is not None
    assert alone[1].boxes is not None
    np.testing.assert_array_equal(both.mask, alone[0].mask)
    np.testing.assert_array_equal(both.boxes.corners, alone[1].boxes.corners)


def test_the_command_checks_heads_together(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", str(sample), "--heads", "segment,detect"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert "targets: segment 24 images, detect 24 images" in told
    assert f"ready: segkit train {sample} --heads segment,detect" in told
    with pytest.raises(SystemExit) as caught:
        main(["check", str(sample), "--heads", "segment,detct"])
    assert caught.value.code == 2
    assert "'detct' is no task; allowed are segment, instances, detect, classify" in capsys.readouterr().err


BOX_TABLE = "image,class,x_min,y_min,x_max,y_max\na,cell,1,2,9,8\nb.png,nucleus,3,3,12,10\n"


@pytest.mark.parametrize(
    ("places", "layout", "splits"),
    [
        (("a.png", "b.png", "c.png"), "images, flat", (None, None, None)),
        (("images/a.png", "images/b.png", "images/c.png"), "images, flat", (None, None, None)),
        (
            ("images/train/a.png", "images/val/b.png", "images/test/c.png"),
            "images, kind first",
            ("train", "val", "test"),
        ),
        (("train/a.png", "val/images/b.png", "test/c.png"), "images, split first", ("train", "val", "test")),
    ],
)
def test_boxes_need_no_masks(
    tmp_path: Path, places: tuple[str, ...], layout: str, splits: tuple[str | None, ...]
) -> None:
    for seed, place in enumerate(places):
        save(tmp_path / place, image_pixels(seed))
    (tmp_path / "boxes.csv").write_text(BOX_TABLE)
    listing = list_records(tmp_path)
    assert (listing.task, listing.layout, listing.findings) == ("detect", layout, ())
    assert tuple(record.split for record in listing.records) == splits
    boxes = [
        [(one.label, one.box) for one in record.annotation.objects] for record in listing.records if record.annotation
    ]
    assert boxes == [[("cell", (1, 2, 9, 8))], [("nucleus", (3, 3, 12, 10))], []]


def test_boxes_come_before_labels_and_give_way_to_them_on_request(tmp_path: Path) -> None:
    for seed, name in enumerate("abc"):
        save(tmp_path / "images" / f"{name}.png", image_pixels(seed))
    (tmp_path / "boxes.csv").write_text(BOX_TABLE)
    (tmp_path / "labels.csv").write_text("image,label\na,x\nb,y\nc,x\n")
    assert [list_records(tmp_path, task=task).task for task in (None, "detect", "classify")] == [
        "detect",
        "detect",
        "classify",
    ]
    with pytest.raises(UsageError, match="read as images, flat, which does not tell objects apart"):
        list_records(tmp_path, task="instances")
