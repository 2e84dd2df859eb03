"""What writers are built from: lossless images, objects and ids of records, and what is said to be lost."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.measure import label

from segkit.data.config import DataConfig
from segkit.data.drawing import draw_region
from segkit.data.formats._objects import VOID, with_boxes
from segkit.data.formats._writing import (
    class_ids,
    copy_image,
    flat_names,
    holdable,
    not_kept,
    objects_of,
    require_task,
    write_lossless,
    written_classes,
)
from segkit.data.formats.coco import write_coco
from segkit.data.formats.voc import Voc
from segkit.data.image_io import read_image
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError, UsageError
from segkit.structures import (
    IGNORE_INDEX,
    Annotation,
    MaskFile,
    ObjectAnnotation,
    Polygons,
    Record,
    RunLengths,
)

TYPES = [("uint8", channels) for channels in (1, 3)] + [("uint16", channels) for channels in (1, 3)]
DEEP = [(dtype, channels) for dtype in ("uint8", "uint16", "float32") for channels in (1, 2, 3, 4, 5, 16)]


def noise(dtype: str, channels: int) -> np.ndarray:
    values = np.random.default_rng(channels).random((7, 19, channels)) * (1 if dtype == "float32" else 250)
    return values.astype(dtype)


def mask_folder(root: Path, masks: dict[str, np.ndarray], config: DataConfig | None = None) -> OpenDataset:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for position, (name, mask) in enumerate(masks.items()):
        image = np.random.default_rng(position).integers(0, 255, mask.shape, np.uint8)
        cv2.imwrite(str(root / "images" / f"{name}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    return open_dataset(root, config or DataConfig())


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"), [(".png", *kind) for kind in TYPES] + [(".tif", *k) for k in DEEP]
)
def test_an_image_is_read_back_with_equal_values(tmp_path: Path, suffix: str, dtype: str, channels: int) -> None:
    image = noise(dtype, channels)
    write_lossless(tmp_path / f"a{suffix}", image)
    read = read_image(tmp_path / f"a{suffix}")
    assert read.dtype == image.dtype
    assert np.array_equal(read, image)


def test_a_file_is_copied_byte_by_byte_where_its_suffix_fits(tmp_path: Path) -> None:
    dataset = mask_folder(tmp_path / "a", {"x": np.eye(8, dtype=np.uint8)})
    copied = copy_image(dataset, dataset.records[0], tmp_path / "out" / "x", {".jpg", ".png"})
    assert copied == tmp_path / "out" / "x.png"
    assert copied.read_bytes() == dataset.records[0].image.read_bytes()


def test_another_suffix_means_another_encoding_of_equal_values(tmp_path: Path) -> None:
    dataset = mask_folder(tmp_path / "a", {"x": np.eye(8, dtype=np.uint8)})
    copied = copy_image(dataset, dataset.records[0], tmp_path / "x", {".tif"})
    assert copied.suffix == ".tif"
    assert np.array_equal(read_image(copied), read_image(dataset.records[0].image))


def test_a_turned_photograph_is_written_upright(tmp_path: Path) -> None:
    dataset = mask_folder(tmp_path / "a", {"x": np.zeros((6, 4), np.uint8), "y": np.eye(6, 4, dtype=np.uint8)})
    exif = Image.Exif()
    exif[0x0112] = 6
    for folder in ("images", "masks"):
        Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 2).save(
            tmp_path / "a" / folder / "x.png", exif=exif
        )
    dataset = open_dataset(tmp_path / "a")
    copied = copy_image(dataset, dataset.records[0], tmp_path / "x", {".png"})
    assert Image.open(copied).size == (4, 6)
    assert np.array_equal(read_image(copied), read_image(dataset.records[0].image))


def test_images_that_fit_no_file_of_the_layout_are_left_out_and_said(tmp_path: Path) -> None:
    dataset = mask_folder(tmp_path / "a", {"x": np.eye(8, dtype=np.uint8), "y": np.eye(8, dtype=np.uint8)})
    (tmp_path / "a/images/x.png").unlink()
    write_lossless(tmp_path / "a/images/x.tif", np.ones((8, 8, 1), np.float32))
    dataset = open_dataset(tmp_path / "a")
    kept, said = holdable(dataset, {".png", ".jpg"})
    assert [record.id for record in kept] == ["y"]
    assert said == ("1 image left out, as x: float32 images of 1 channel fit none of .jpg, .png",)
    assert holdable(dataset, {".png", ".tif"}) == (list(dataset.records), ())
    (tmp_path / "a/images/y.png").unlink()
    write_lossless(tmp_path / "a/images/y.tif", np.zeros((8, 8, 1), np.float32))
    with pytest.raises(DataError, match=r"float32 images of 1 channel fit none of \.png; choose another --to"):
        holdable(open_dataset(tmp_path / "a"), {".png"})


def test_names_in_a_flat_folder_are_unique_and_lead_nowhere() -> None:
    ids = ["p1/001", "p1_001", "P1_001", "../../up", "/abs/olute", "x"]
    names = flat_names([Record(id_, Path("x.png")) for id_ in ids])
    assert list(names.values()) == ["p1_001", "p1_001_2", "P1_001_3", "up", "abs_olute", "x"]


def test_a_semantic_mask_gives_one_object_per_class_and_connected_region(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    mask = rng.choice(np.array([0, 1, 2, 255], np.uint8), (20, 30), p=[0.55, 0.2, 0.2, 0.05])
    dataset = mask_folder(tmp_path / "a", {"x": mask})
    objects = objects_of(dataset, dataset.records[0])
    expected = [
        ("void", np.flatnonzero(mask == 255).tolist()),
        *(
            (f"class {value}", np.flatnonzero(regions == number).tolist())
            for value in (1, 2)
            for regions in [label(mask == value, connectivity=2)]
            for number in range(1, regions.max() + 1)
        ),
    ]
    found = [(one.label, np.flatnonzero(draw_region(one.region, mask.shape)).tolist()) for one in objects if one.region]
    assert sorted(found) == sorted(expected)
    assert [one.label for one in objects if one.ignored] == [VOID]
    for one in objects:
        assert one.region is not None
        rows, columns = np.nonzero(draw_region(one.region, mask.shape))
        assert one.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_void_of_a_mask_stays_where_objects_are_marked_beside_it(tmp_path: Path) -> None:
    """Pascal VOC's borders of 255: in the masks alone, and of no object."""
    Voc().example(tmp_path / "voc")
    dataset = open_dataset(tmp_path / "voc")
    for record in dataset.records:
        *marked, void = objects_of(dataset, record)
        assert [(one.label, one.ignored) for one in marked] == [("square", False), ("disc", False)]
        assert (void.label, void.ignored) == (VOID, True)
        assert isinstance(record.mask, Path)
        assert isinstance(void.region, RunLengths)
        stored = np.array(Image.open(record.mask))
        assert np.array_equal(draw_region(void.region, (stored.shape[0], stored.shape[1])), stored == 255)
    assert write_coco(dataset, tmp_path / "coco") == ()  # nothing is lost: outlines, boxes and void are there
    masks = [load_sample(record, dataset.classes).mask for record in dataset.records]
    written = open_dataset(tmp_path / "coco", DataConfig(format="coco"))
    read_back = {record.id: load_sample(record, written.classes).mask for record in written.records}
    for record, mask in zip(dataset.records, masks, strict=True):
        found = read_back[record.id]
        assert mask is not None
        assert found is not None
        assert (found == IGNORE_INDEX).sum() == (mask == IGNORE_INDEX).sum() > 0
        assert np.array_equal(found, mask)


def test_boxes_beside_masks_are_lost_where_masks_alone_are_written(tmp_path: Path) -> None:
    Voc().example(tmp_path)
    dataset = open_dataset(tmp_path)
    lost = "objects marked beside the masks are not kept"
    assert lost in not_kept(dataset)
    assert lost not in not_kept(dataset, {"objects"})
    boxes = replace(dataset.records[0], annotation=Annotation((ObjectAnnotation("disc", (1, 1, 4, 4)),), tmp_path))
    assert lost in not_kept(replace(dataset, records=(boxes, *dataset.records[1:])), {"objects"})


def test_a_mask_that_numbers_objects_gives_one_object_per_number(tmp_path: Path) -> None:
    mask = np.zeros((6, 9), np.uint8)
    mask[1, 1], mask[4, 5] = 7, 7  # one object in two pieces
    mask[1, 2] = 3  # touches the other
    dataset = mask_folder(tmp_path / "a", {"x": mask}, DataConfig.model_validate({"map": {"other": 1}}))
    objects = objects_of(dataset, dataset.records[0])
    assert [one.box for one in objects] == [(2, 1, 3, 2), (1, 1, 6, 5)]
    assert {one.label for one in objects} == {"foreground"}


def test_the_mask_of_a_record_holds_ids_and_void_where_nothing_counts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/classes.csv").write_text("id,name,void\n3,sky,\n9,tree,\n11,blur,1\n")
    mask = np.array([[3, 9, 11]], np.uint8)
    dataset = mask_folder(tmp_path / "a", {"x": mask})
    classes = written_classes(dataset)
    assert (classes.names, classes.ids) == (("sky", "tree", "void"), (3, 9, 255))
    assert class_ids(dataset, dataset.records[0], classes).tolist() == [[3, 9, 255]]


def test_no_void_is_declared_where_every_pixel_counts(tmp_path: Path) -> None:
    dataset = mask_folder(tmp_path / "a", {"x": np.array([[0, 1, 1]], np.uint8)})
    assert written_classes(dataset).names == ("background", "foreground")


def test_regions_in_mask_files_become_run_lengths_with_boxes(tmp_path: Path) -> None:
    mask = np.zeros((5, 6), np.uint8)
    mask[2:4, 1:5] = 4
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    ring = np.array([[1, 1], [3, 1], [3, 4]], np.float32)
    annotation = Annotation(
        (
            ObjectAnnotation("a", None, MaskFile(tmp_path / "m.png", 4)),
            ObjectAnnotation("gone", None, MaskFile(tmp_path / "m.png", 5)),
            ObjectAnnotation("b", None, Polygons((ring,))),
            ObjectAnnotation("c", (0, 0, 2, 2)),
        ),
        tmp_path / "m.png",
    )
    objects = with_boxes(annotation, (5, 6))
    assert [(one.label, one.box) for one in objects] == [("a", (1, 2, 5, 4)), ("b", (1, 1, 3, 4)), ("c", (0, 0, 2, 2))]
    assert objects[0].region is not None
    assert np.array_equal(draw_region(objects[0].region, (5, 6)), mask == 4)


def test_what_a_layout_does_not_keep_is_said(tmp_path: Path) -> None:
    masks = {f"p{n}_{i}": np.eye(4, dtype=np.uint8) for n in range(2) for i in range(2)}
    dataset = mask_folder(tmp_path / "a", masks, DataConfig(group_by="^(p.)"))
    assert len(not_kept(dataset)) == 1
    assert not_kept(dataset)[0].startswith("groups are not kept")
    assert not_kept(dataset, {"groups"}) == ()


def test_a_layout_of_other_targets_is_refused(tmp_path: Path) -> None:
    dataset = mask_folder(tmp_path / "a", {"x": np.eye(4, dtype=np.uint8)})
    with pytest.raises(UsageError, match="has masks, and nothing holds labels of whole images; choose another --to"):
        require_task(dataset, "nothing", ("classify",))
    require_task(dataset, "coco", ("detect", "segment"))
