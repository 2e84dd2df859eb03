"""Volumes are listed and read slice by slice, in every format, as nibabel reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.findings import Severity
from segkit.data.formats._base import list_records
from segkit.data.image_io import read_image, read_mask, read_raster
from segkit.data.opening import open_dataset
from segkit.data.readers import _volumes
from segkit.data.readers._alignment import misalignment
from segkit.data.samples import load_sample
from segkit.data.volumes import Grid, expand_volumes, open_volume, read_grid, slice_paths
from segkit.errors import UnreadableFileError
from segkit.structures import ClassMap, Record


def write_nifti(path: Path, values: NDArray[Any], spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([*spacing, 1.0])), path)
    return path


def ramp(*shape: int, dtype: Any = np.int16) -> NDArray[Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("spacing", "asked", "expected"),
    [
        (None, None, 2),
        ((1, 1, 1), None, 2),
        ((1, 3, 1), None, 1),
        ((5, 1, 2), None, 0),
        ((0.5, 0.5, 3), None, 2),
        ((1.00001, 1, 1), None, 2),
        ((5, 1, 1), 2, 2),
    ],
)
def test_axis_is_that_of_the_largest_spacing(spacing: Any, asked: int | None, expected: int) -> None:
    assert Grid((4, 5, 6), spacing).axis(asked) == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_slice_is_a_record(tmp_path: Path, axis: int) -> None:
    values = ramp(4, 5, 6)
    write_nifti(tmp_path / "images" / "a.nii.gz", values, (1, 2, 3))
    write_nifti(tmp_path / "labels" / "a.nii.gz", (values % 2).astype(np.uint8))
    listing = list_records(tmp_path, axis=axis)
    assert [record.id for record in listing.records] == [f"a/{position:03d}" for position in range(values.shape[axis])]
    assert {record.group for record in listing.records} == {"a"}
    assert listing.notes == (f"read slice by slice along axis {axis} (1 volume, {values.shape[axis]} slices)",)
    classes = ClassMap(("even", "odd"))
    for position, record in enumerate(listing.records):
        sample = load_sample(record, classes)
        expected = values.take(position, axis)
        np.testing.assert_array_equal(sample.image[..., 0], expected)
        np.testing.assert_array_equal(sample.mask, expected % 2)
        assert sample.spacing == tuple(length for other, length in enumerate((1.0, 2.0, 3.0)) if other != axis)


def test_groups_classes_and_channels_are_sliced_alike(tmp_path: Path) -> None:
    files = {
        name: write_nifti(tmp_path / f"{name}.nii", ramp(4, 5, 6, dtype=np.uint8) + number)
        for number, name in enumerate(("t1", "t2", "liver", "tumour"))
    }
    record = Record(
        "p", files["t1"], {"liver": files["liver"], "tumour": files["tumour"]}, group="patient", split="val"
    )
    expanded = expand_volumes([replace(record, channel_files=(files["t2"],))], None, tmp_path)
    third = expanded.records[3]
    assert (len(expanded.records), third.id, third.group, third.split) == (6, "p/003", "patient", "val")
    assert third.image == files["t1"] / "2" / "003.slice"
    assert third.channel_files == (files["t2"] / "2" / "003.slice",)
    assert third.mask == {name: files[name] / "2" / "003.slice" for name in ("liver", "tumour")}


def test_shapes_that_differ_are_a_finding_and_the_rest_is_read(tmp_path: Path) -> None:
    for name, shape in {"a": (4, 5, 6), "b": (4, 5, 7), "c": (4, 5)}.items():
        write_nifti(tmp_path / "images" / f"{name}.nii", ramp(4, 5, 6))
        write_nifti(tmp_path / "labels" / f"{name}.nii", (ramp(*shape) % 2).astype(np.uint8))
    dataset = open_dataset(tmp_path)
    found = next(found for found in dataset.findings if found.code == "size-mismatch")
    assert found.files == ("labels/b.nii", "labels/c.nii")
    assert "2 volumes of another shape than the image" in found.message
    assert {record.group for record in dataset.records} == {"a"}


TURN = np.array([[0.0, -0.7, 0.1, 5], [0.74, 0, -0.97, -3], [0.31, 0, 2.3, 7], [0, 0, 0, 1]])


def write_pair(root: Path, of_mask: NDArray[np.float64] | None) -> Path:
    """An oblique image and its mask with this affine, None: without any, in a folder."""
    values = ramp(8, 8, 8)
    for kind, affine in (("images", TURN), ("labels", of_mask)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(values % 2 if kind == "labels" else values, affine)
        if affine is None:
            image.header.set_zooms(np.linalg.norm(TURN[:3, :3], axis=0))
        nibabel.save(image, root / kind / "a.nii.gz")
    return root


def moved(**at: float) -> NDArray[np.float64]:
    """From the voxels of a mask to the image's: shifted along axes of voxels."""
    return np.array([[1, 0, 0, at.get("i", 0)], [0, 1, 0, at.get("j", 0)], [0, 0, 1, at.get("k", 0)], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (moved(i=20), "lies up to 16 mm away"),  # 20 voxels of sqrt(0.74² + 0.31²) mm
        (moved(k=0.6), "lies up to 1.5 mm away"),
        (moved(i=6.4) @ np.diag([-1.0, 1, 1, 1]), r"lies up to 6\.9 mm away"),  # mirrored, but 0.6 voxels off
        (moved()[[1, 0, 2, 3]], "has its axes in another order"),
        (np.diag([1.0, 1, 2, 1]), r"has voxels of 0\.8023 x 0\.7 x 4\.996 mm, not 0\.8023 x 0\.7 x 2\.498 mm"),
    ],
)
def test_a_mask_on_other_voxels_is_a_finding(tmp_path: Path, mapping: NDArray[np.float64], expected: str) -> None:
    dataset = open_dataset(write_pair(tmp_path, TURN @ mapping))
    found = next(found for found in dataset.findings if found.code == "geometry-mismatch")
    assert (found.severity, found.files) == (Severity.ERROR, ("labels/a.nii.gz",))
    assert re.search(rf"labels/a\.nii\.gz {expected}; resample masks", found.message)


@pytest.mark.parametrize("of_mask", [TURN, TURN @ moved(i=0.4, j=-0.4, k=0.4), None])
def test_masks_within_half_a_voxel_or_without_an_affine_are_as_good(
    tmp_path: Path, of_mask: NDArray[np.float64] | None
) -> None:
    expanded = list_records(write_pair(tmp_path, of_mask))
    assert (expanded.findings, len(expanded.records)) == ((), 8)


@pytest.mark.parametrize("mirrored", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_that_counts_from_the_other_end_is_read_as_it_lies(
    tmp_path: Path, mirrored: tuple[int, ...], axis: int
) -> None:
    """As tools write it that keep another orientation; nibabel turns it back."""
    values = ramp(4, 5, 6)
    image = nibabel.Nifti1Image(values, TURN)
    ends = nibabel.orientations.io_orientation(np.eye(4))
    ends[list(mirrored), 1] = -1
    turned = nibabel.Nifti1Image((values % 7).astype(np.uint8), TURN).as_reoriented(ends)
    for kind, volume in (("images", image), ("labels", turned)):
        (tmp_path / kind).mkdir()
        nibabel.save(volume, tmp_path / kind / "a.nii.gz")
    listing = list_records(tmp_path, axis=axis)
    along = f"{'axis' if len(mirrored) == 1 else 'axes'} {' and '.join(map(str, mirrored))}"
    assert listing.findings == ()
    assert listing.notes[-1] == (
        "turned to lie on the image: 1 volume counted from the other end than the image, by the affines, "
        f"for example labels/a.nii.gz along {along}"
    )
    for position, record in enumerate(listing.records):
        assert isinstance(record.mask, Path)
        np.testing.assert_array_equal(read_mask(record.mask), values.take(position, axis) % 7)
        np.testing.assert_array_equal(read_image(record.image)[..., 0], values.take(position, axis))


def test_a_wrong_affine_can_be_allowed(tmp_path: Path) -> None:
    dataset = open_dataset(write_pair(tmp_path, TURN @ moved(i=20)), DataConfig(allow=("geometry-mismatch",)))
    found = next(found for found in dataset.findings if found.code == "geometry-mismatch")
    assert found.severity is Severity.WARNING
    assert len(dataset.records) == 8


def test_spacings_are_compared_where_no_affine_is_stated() -> None:
    grid = Grid((8, 8, 8), (1, 1, 3))
    assert misalignment(grid, Grid((8, 8, 8), (1, 1, 3.3))) == "has voxels of 1 x 1 x 3.3 mm, not 1 x 1 x 3 mm"
    assert misalignment(grid, Grid((8, 8, 8), (1, 1, 3.00001))) is None
    assert misalignment(grid, Grid((8, 8, 8), None, np.eye(4))) is None


def write_pages(path: Path, pages: NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pages, photometric="minisblack", **options)
    return path


STACK: dict[str, Any] = {"imagej": True, "metadata": {"axes": "ZYX"}}


@pytest.mark.parametrize(
    ("count", "of_image", "of_mask"),
    [(4, {}, {}), (12, {}, {"compression": "zlib"}), (16, {}, {}), (5, STACK, {}), (2, {}, STACK)],
)
def test_as_many_pages_of_image_and_mask_are_slices(
    tmp_path: Path, count: int, of_image: dict[str, Any], of_mask: dict[str, Any]
) -> None:
    pages = ramp(count, 21, 30, dtype=np.uint16)
    write_pages(tmp_path / "images" / "a.tif", pages, **of_image)
    write_pages(tmp_path / "masks" / "a.tif", (pages % 2).astype(np.uint8), **of_mask)
    listing = list_records(tmp_path)
    assert listing.notes[-1] == "the pages of 1 image are slices, not channels: the masks have as many"
    assert len(listing.records) == count
    for page, record in zip(pages, listing.records, strict=True):
        sample = load_sample(record, ClassMap(("even", "odd")))
        np.testing.assert_array_equal(sample.image[..., 0], page)
        np.testing.assert_array_equal(sample.mask, page % 2)


def test_pages_written_by_pillow_are_slices_too(tmp_path: Path) -> None:
    pages = ramp(6, 20, 12, dtype=np.uint8)
    for kind, values in (("images", pages), ("masks", pages % 2)):
        (tmp_path / kind).mkdir()
        first, *others = map(Image.fromarray, values)
        first.save(tmp_path / kind / "a.tif", save_all=True, append_images=others)
    records = list_records(tmp_path).records
    np.testing.assert_array_equal([read_image(record.image)[..., 0] for record in records], pages)


@pytest.mark.parametrize(("of_image", "of_mask"), [(6, None), (6, 5), (2, 2), (3, 3)])
def test_other_pages_stay_channels(tmp_path: Path, of_image: int, of_mask: int | None) -> None:
    write_pages(tmp_path / "images" / "a.tif", ramp(of_image, 20, 30, dtype=np.uint8))
    shape = (20, 30) if of_mask is None else (of_mask, 20, 30)
    mask = write_pages(tmp_path / "masks" / "a.tif", ramp(*shape, dtype=np.uint8))
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == ["a"]
    assert not any("pages" in note for note in listing.notes)
    assert read_image(listing.records[0].image).shape == (20, 30, of_image)
    if of_mask in (2, 5):
        reason = rf"this file has {of_mask}; save one of them, or, where they are slices, image and mask as stacks of"
        with pytest.raises(UnreadableFileError, match=reason):
            read_mask(mask)


def test_damaged_volumes_are_named_by_the_check(tmp_path: Path) -> None:
    for name in "ab":
        write_nifti(tmp_path / "images" / f"{name}.nii.gz", ramp(4, 5, 6))
        write_nifti(tmp_path / "labels" / f"{name}.nii.gz", (ramp(4, 5, 6) % 2).astype(np.uint8))
    image, mask = tmp_path / "images" / "a.nii.gz", tmp_path / "labels" / "b.nii.gz"
    image.write_bytes(b"no gzip")
    mask.write_bytes(mask.read_bytes()[:-30])
    found = {found.code: found for found in open_dataset(tmp_path).findings}
    assert found["unreadable-image"].files == ("images/a.nii.gz",)
    assert found["unreadable-mask"].files[0] == "labels/b.nii.gz/2/000.slice"


def test_slices_must_exist_and_volumes_have_no_pixels_of_their_own(tmp_path: Path) -> None:
    volume = write_nifti(tmp_path / "a.nii", ramp(4, 5, 6))
    reasons = {
        volume / "2" / "006.slice": "the volume has 6 slices along axis 2, 0 to 5",
        volume / "3" / "000.slice": "a slice is named FILE/AXIS/POSITION.slice",
        volume / "2" / "x.slice": "a slice is named FILE/AXIS/POSITION.slice",
        volume: r"a volume of 4 x 5 x 6; name one of its slices, for example .*a\.nii/2/000\.slice",
        tmp_path / "b.nii" / "2" / "000.slice": "no such file",
        tmp_path / "2" / "000.slice": "a slice is named FILE/AXIS/POSITION.slice",
    }
    for path, reason in reasons.items():
        with pytest.raises(UnreadableFileError, match=reason):
            read_raster(path)


def test_kept_volumes_are_bounded_and_read_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [write_nifti(tmp_path / f"{name}.nii.gz", ramp(10, 10, 10)) for name in range(5)]
    monkeypatch.setattr(_volumes, "_opened", {})
    monkeypatch.setattr(_volumes, "KEPT_BYTES", 2 * 2000)
    opened = [open_volume(file) for file in files]
    assert len(_volumes._opened) == 2
    assert open_volume(files[4]) is opened[4]
    assert open_volume(files[0]) is not opened[0]
    write_nifti(files[0], ramp(10, 10, 10) + 1)
    assert read_image(slice_paths(files[0])[0])[0, 0, 0] == 1


def test_hippocampus_is_nibabels(datasets: Callable[[str], Path]) -> None:
    for file in sorted((datasets("hippocampus_nifti") / "images").glob("*.nii.gz"))[::13]:
        expected = nibabel.load(file)
        volume = open_volume(file)
        np.testing.assert_array_equal(volume.affine, expected.affine)
        assert volume.shape == expected.shape
        assert volume.spacing == expected.header.get_zooms()
        for axis in range(3):
            slices = [read_raster(path) for path in slice_paths(file, axis)]
            stacked = np.stack([raster.image()[..., 0] for raster in slices], axis)
            np.testing.assert_array_equal(stacked, np.asarray(expected.dataobj))
            assert {raster.spacing for raster in slices} == {(1.0, 1.0)}
        labels = file.parents[1] / "labels" / file.name
        stacked = np.stack([read_mask(path) for path in slice_paths(labels)], 2)
        np.testing.assert_array_equal(stacked, np.asarray(nibabel.load(labels).dataobj))


def test_hippocampus_opens_as_a_data_set(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for number in (1, 4, 7, 11, 15, 19, 23, 25):
            name = f"hippocampus_{number:03d}.nii.gz"
            (tmp_path / kind / name).symlink_to(datasets("hippocampus_nifti") / kind / name)
    dataset = open_dataset(tmp_path)
    shapes = [nibabel.load(file).shape for file in sorted((tmp_path / "images").iterdir())]
    slices = sum(shape[2] for shape in shapes)
    assert f"read slice by slice along axis 2 (8 volumes, {slices} slices)" in dataset.notes
    assert (len(dataset.listing.records), dataset.unit) == (slices, "group")
    assert dataset.classes.ids == (0, 1, 2)
    parts = [{record.group for record in dataset.split(part)} for part in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 8


def test_every_mask_of_hippocampus_lies_on_its_image(datasets: Callable[[str], Path]) -> None:
    assert list_records(datasets("hippocampus_nifti")).findings == ()


def test_one_image_is_no_volume(tmp_path: Path) -> None:
    assert read_grid(write_nifti(tmp_path / "flat.nii", ramp(4, 5))) is None
    assert read_grid(tmp_path / "photo.png") is None
    assert slice_paths(write_nifti(tmp_path / "one.nii.gz", ramp(4, 1, 6))) == [tmp_path / "one.nii.gz"]
    np.testing.assert_array_equal(read_image(tmp_path / "flat.nii")[..., 0], ramp(4, 5))
    np.testing.assert_array_equal(read_image(tmp_path / "one.nii.gz")[..., 0], ramp(4, 6))
