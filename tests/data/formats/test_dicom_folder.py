"""Folders of DICOM images: names with and without suffix, masks per slice or per scan, and slices kept together."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

from segkit.data.findings import Finding
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats._dicom_example import write_slice
from segkit.data.formats.dicom_folder import DicomFolder
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.data.volumes import series_files
from segkit.errors import DataError


def found(listing: Listing, code: str) -> Finding:
    return next(finding for finding in listing.findings if finding.code == code)


def scan(folder: Path, names: list[str], series: int) -> np.ndarray:
    """A series whose files are in another order than its slices; the values (rows, columns, slices)."""
    values = np.random.default_rng(series).integers(0, 256, (6, 5, len(names)), dtype=np.uint8)
    for position, name in enumerate(reversed(names)):
        write_slice(folder / name, values[:, :, position], series, position)
    return values


def write(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def test_slices_pair_by_name_and_patients_stay_together(tmp_path: Path) -> None:
    DicomFolder().example(tmp_path)
    dataset = open_dataset(tmp_path)
    dataset.require_usable()
    assert dataset.listing.layout == "DICOM folder"
    assert dataset.unit == "group"
    assert {record.unit for record in dataset.records} == {"patient1", "patient2", "patient3"}
    for record in dataset.records:
        assert record.unit == record.id.split("/")[0]
        sample = load_sample(record, dataset.classes)
        np.testing.assert_array_equal(sample.image[..., 0], pydicom.dcmread(record.image).pixel_array)
        np.testing.assert_array_equal(sample.mask, np.asarray(Image.open(tmp_path / f"masks/{record.id}.png")))
        assert sample.spacing == (1, 1)


def test_a_mask_volume_on_the_grid_of_its_scan_is_cut_into_its_slices(tmp_path: Path) -> None:
    names = [f"IM-{number:04d}.dcm" for number in range(4)]
    labels = {}
    for number, patient in enumerate(("p1", "p2", "p3"), start=1):
        scan(tmp_path / "dicom" / patient, names, number)
        (series,) = series_files(tmp_path / "dicom" / patient)
        labels[patient] = np.random.default_rng(9 + number).integers(0, 2, (6, 5, 4), dtype=np.uint8)
        volume = nibabel.Nifti1Image(labels[patient], series.grid.affine)
        (tmp_path / "masks").mkdir(exist_ok=True)
        volume.to_filename(tmp_path / f"masks/{patient}.nii.gz")
    dataset = open_dataset(tmp_path)
    dataset.require_usable()
    assert len(dataset.records) == 12
    for record in dataset.records:
        position = 3 - int(record.id[-4:])  # the last file is the first slice
        sample = load_sample(record, dataset.classes)
        np.testing.assert_array_equal(sample.mask, labels[record.unit][:, :, position])
        assert pydicom.dcmread(record.image).ImagePositionPatient[2] == 3 * position


def test_a_mask_volume_that_lies_elsewhere_is_named_and_not_cut(tmp_path: Path) -> None:
    for number, patient in enumerate(("p1", "p2"), start=1):
        scan(tmp_path / "images" / patient, [f"{slice_}.dcm" for slice_ in range(3)], number)
    (series,) = series_files(tmp_path / "images/p1")
    (tmp_path / "masks").mkdir()
    mask = np.ones((6, 5, 3), np.uint8)
    nibabel.Nifti1Image(mask, series.grid.affine).to_filename(tmp_path / "masks/p1.nii.gz")
    turned = series.grid.affine @ np.diag([-1, 1, 1, 1])
    nibabel.Nifti1Image(mask, turned).to_filename(tmp_path / "masks/p2.nii.gz")
    listing = list_records(tmp_path)
    assert {record.group for record in listing.records} == {"p1"}
    assert found(listing, "size-mismatch").files == ("masks/p2.nii.gz",)
    assert "save them on it, or convert the scan to NIfTI too" in found(listing, "size-mismatch").message


def test_files_without_a_suffix_are_known_by_their_mark(tmp_path: Path) -> None:
    names = ["1.2.840.1", "1.2.840.2", "IM0003"]
    values = scan(tmp_path / "images", names, 1)
    (tmp_path / "images/notes").write_text("no image")
    for name in names[:2]:
        write(tmp_path / f"masks/{name}.png", np.eye(6, 5, dtype=np.uint8))
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == ["1.2.840.1", "1.2.840.2"]
    assert found(listing, "missing-mask").files == ("images/IM0003",)
    dataset = open_dataset(tmp_path)
    np.testing.assert_array_equal(load_sample(dataset.records[0], dataset.classes).image[..., 0], values[:, :, 2])


def test_scans_in_one_folder_are_groups(tmp_path: Path) -> None:
    for series, names in ((1, ["a.dcm", "b.dcm"]), (2, ["c.dcm"]), (3, ["d.dcm", "e.dcm"])):
        scan(tmp_path / "images", names, series)
        for name in names:
            write(tmp_path / "masks" / f"{name[0]}_seg.png", np.ones((6, 5), np.uint8))
    write(tmp_path / "masks/z_seg.png", np.ones((6, 5), np.uint8))
    listing = list_records(tmp_path)
    groups = {record.id: record.group for record in listing.records}
    assert groups == {"a": "b", "b": "b", "c": "c", "d": "e", "e": "e"}  # the first slice stands in the last file
    assert listing.notes == ("masks pair by the suffix '_seg'",)
    assert found(listing, "orphan-mask").files == ("masks/z_seg.png",)


def test_folders_of_other_images_are_none(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", np.ones((6, 5), np.uint8))
    write(tmp_path / "masks/a.png", np.ones((6, 5), np.uint8))
    assert list_records(tmp_path).layout == "mask folder, flat"
    with pytest.raises(DataError, match=r"has no DICOM image with a mask of its name; expected images/NAME\.dcm and"):
        list_records(tmp_path, "dicom-folder")
