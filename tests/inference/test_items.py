"""Volumes come back as volumes, in their geometry, every slice as it is predicted by itself."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segkit.inference.engines.torch import TorchEngine
from segkit.inference.inputs import expand_inputs
from segkit.inference.items import ImageItem, VolumeItem, find_items, single_images
from segkit.inference.predictor import Predictor
from segkit.inference.writer import write_predictions
from tests.inference.networks import LocalNetwork, MeanColor, class_map, plain_pipeline

AFFINE = np.array([[0.0, -0.5, 0, 10], [0.75, 0, 0, -20], [0, 0, 3, 7], [0, 0, 0, 1]])
PATIENT = "Doe^Jane"


def gray_predictor(**settings: Any) -> Predictor:
    engine = TorchEngine(LocalNetwork(channels=1), "cpu", "fp32")
    return Predictor(engine, plain_pipeline(channels=1, **settings), {"segment": class_map(4)})


def voxels(*shape: int) -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.int16)


def write_nifti(path: Path, shape: tuple[int, int, int] = (20, 24, 5)) -> Path:
    image = nibabel.Nifti1Image(voxels(*shape), AFFINE)
    image.header.set_xyzt_units("mm")
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 4)
    image.header["descrip"] = PATIENT
    nibabel.save(image, path)
    return path


def write_series(folder: Path, count: int = 4, uid: str | None = None) -> Path:
    """Slices 2 mm apart whose names are in the reverse of their order in space."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = uid or generate_uid()
    for position in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        path = folder / f"{count - position:02}.dcm"
        file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        file.PatientName, file.SeriesInstanceUID, file.InstanceNumber = PATIENT, uid, position
        file.Rows, file.Columns, file.SamplesPerPixel, file.PhotometricInterpretation = 12, 16, 1, "MONOCHROME2"
        file.BitsAllocated = file.BitsStored = 16
        file.HighBit, file.PixelRepresentation = 15, 1
        file.RescaleSlope, file.RescaleIntercept = 1, -100
        file.PixelSpacing, file.SliceThickness = [0.5, 0.25], 2
        file.ImageOrientationPatient, file.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [5, 6, 2 * position]
        file.PixelData = (voxels(12, 16) + position).tobytes()
        file.save_as(path, enforce_file_format=True)
    return folder


def expected(predictor: Predictor, volume: NDArray[Any], axis: int) -> NDArray[Any]:
    slices = [predictor.segment(one[..., None].astype(np.float32)).mask for one in np.moveaxis(volume, axis, 0)]
    return np.moveaxis(np.stack(slices), 0, axis)


def test_a_nifti_volume_comes_back_with_its_shape_and_both_transforms(tmp_path: Path) -> None:
    predictor, file = gray_predictor(), write_nifti(tmp_path / "scan.nii.gz")
    summary = write_predictions(predictor, [file], tmp_path / "out")
    assert not summary.errors
    mask, image = nibabel.load(tmp_path / "out" / "masks" / "scan.nii.gz"), nibabel.load(file)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected(predictor, np.asarray(image.dataobj), 2))
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, image.affine)
    assert mask.header.get_zooms() == image.header.get_zooms()
    assert mask.header.get_xyzt_units() == ("mm", "unknown")
    for ours, theirs in ((mask.get_qform(True), image.get_qform(True)), (mask.get_sform(True), image.get_sform(True))):
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1] == theirs[1]


@pytest.mark.parametrize("axis", [0, 1])
def test_the_slices_follow_the_axis_of_the_training(axis: int, tmp_path: Path) -> None:
    predictor, file = gray_predictor(axis=axis), write_nifti(tmp_path / "scan.nii")
    write_predictions(predictor, [file], tmp_path / "out")
    mask = np.asarray(nibabel.load(tmp_path / "out" / "masks" / "scan.nii").dataobj)
    np.testing.assert_array_equal(mask, expected(predictor, np.asarray(nibabel.load(file).dataobj), axis))


def test_a_dicom_series_becomes_one_nifti_volume_in_the_order_of_space(tmp_path: Path) -> None:
    predictor, folder = gray_predictor(), write_series(tmp_path / "ct")
    files = sorted(folder.iterdir())
    write_predictions(predictor, files, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["ct.nii.gz"]
    mask = nibabel.load(tmp_path / "out" / "masks" / "ct.nii.gz")
    stack = np.stack([pydicom.dcmread(file).pixel_array - 100 for file in reversed(files)], axis=2)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected(predictor, stack, 2))
    # Row i and column j of slice k lie at x = 5 + 0.25 j, y = 6 + 0.5 i, z = 2 k for DICOM, x and y reversed for NIfTI.
    np.testing.assert_allclose(mask.affine @ [3, 4, 2, 1], [-6, -7.5, 4, 1], atol=1e-6)
    np.testing.assert_allclose(mask.header.get_zooms(), (0.5, 0.25, 2))


def test_files_of_several_series_are_told_apart_and_single_files_stay_images(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "scans", count=3)
    (folder / "01.dcm").rename(folder / "a.dcm")
    write_series(folder, count=2, uid=generate_uid())
    items = find_items(sorted(folder.iterdir()))
    assert [len(item.slices) for item in items if isinstance(item, VolumeItem)] == [2, 2]
    assert [item.path.name for item in items if isinstance(item, VolumeItem)] == ["01.dcm", "03.dcm"]
    assert find_items([folder / "01.dcm"]) == [ImageItem((folder / "01.dcm",), folder / "01.dcm")]


def test_a_series_and_a_scout_without_suffixes_are_a_volume_and_an_image(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "ct", count=3)
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"IM{number}")
    write_series(tmp_path / "scout", count=1)
    (tmp_path / "scout" / "01.dcm").rename(folder / "LOCALIZER")
    summary = write_predictions(gray_predictor(), expand_inputs([folder]), tmp_path / "out")
    assert not summary.errors
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == ["LOCALIZER.png", "ct.nii.gz"]
    assert nibabel.load(tmp_path / "out" / "masks" / "ct.nii.gz").shape == (12, 16, 3)


def test_nothing_of_the_patient_reaches_the_results(tmp_path: Path) -> None:
    files = [*write_series(tmp_path / "ct").iterdir(), write_nifti(tmp_path / "scan.nii")]
    write_predictions(gray_predictor(), files, tmp_path / "out")
    volumes = [nibabel.load(path) for path in (tmp_path / "out" / "masks").iterdir()]
    assert len(volumes) == 2
    assert all(PATIENT.encode() not in volume.to_bytes() for volume in volumes)


def test_overlays_and_probabilities_of_a_volume_are_one_file_per_slice(tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "scan.nii.gz")
    write_predictions(gray_predictor(), [file], tmp_path / "out", overlay=True, probabilities=True)
    names = [f"{position:03}" for position in range(5)]
    assert sorted(path.name for path in (tmp_path / "out" / "overlays" / "scan").iterdir()) == [
        f"{n}.png" for n in names
    ]
    with np.load(tmp_path / "out" / "probabilities" / "scan" / "004.npz") as stored:
        assert stored["probabilities"].shape == (4, 20, 24)


def test_the_summary_counts_voxels_and_a_broken_volume_stops_nothing(tmp_path: Path) -> None:
    good, broken = write_nifti(tmp_path / "good.nii.gz"), tmp_path / "broken.nii.gz"
    broken.write_bytes(good.read_bytes()[:200])
    Image.fromarray(voxels(9, 9).astype(np.uint8)).save(tmp_path / "flat.png")
    summary = write_predictions(gray_predictor(), [broken, good, tmp_path / "flat.png"], tmp_path / "out")
    assert list(summary.errors) == [broken]
    assert "broken.nii.gz" in summary.errors[broken]
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["pixels"]) for row in rows if row["image"] == str(good)) == 20 * 24 * 5
    assert sum(int(row["pixels"]) for row in rows if row["image"] == str(tmp_path / "flat.png")) == 81


def test_a_tiff_stack_comes_back_as_a_stack(tmp_path: Path) -> None:
    pages = voxels(20, 14, 18).astype(np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    predictor = gray_predictor()
    write_predictions(predictor, [tmp_path / "stack.tif"], tmp_path / "out")
    written = tifffile.imread(tmp_path / "out" / "masks" / "stack.tif")
    np.testing.assert_array_equal(written, expected(predictor, pages, 0))


def test_pages_that_no_model_of_one_channel_takes_are_slices(tmp_path: Path) -> None:
    pages = voxels(12, 14, 18).astype(np.uint8)
    tifffile.imwrite(tmp_path / "plain.tif", pages)
    predictor = gray_predictor()
    summary = write_predictions(predictor, [tmp_path / "plain.tif"], tmp_path / "out")
    assert "; the pages of 1 file were taken for slices, " in summary.describe()
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "masks" / "plain.tif"), expected(predictor, pages, 0)
    )


@pytest.mark.parametrize(
    ("pages", "channels", "convert", "slices"),
    [
        (12, 1, None, 12),
        (2, 1, "gray", 2),
        (3, 1, None, 3),
        (3, 1, "gray", None),
        (12, 3, "rgb", 12),
        (12, 3, None, None),
        (12, 12, None, None),
        (5, 4, None, None),
    ],
)
def test_pages_are_channels_where_the_model_takes_them_or_no_gray_images(
    tmp_path: Path, pages: int, channels: int, convert: Any, slices: int | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", voxels(pages, 14, 18).astype(np.uint8), photometric="minisblack")
    [item] = find_items([tmp_path / "a.tif"], channels, None, convert)
    assert (len(item.slices) if isinstance(item, VolumeItem) else None) == slices


def test_channels_in_files_of_their_own_are_one_image_or_volume(tmp_path: Path) -> None:
    predictor = Predictor(
        TorchEngine(LocalNetwork(channels=2), "cpu"), plain_pipeline(channels=2), {"segment": class_map(4)}
    )
    planes = [voxels(11, 13).astype(np.uint8) + channel for channel in range(2)]
    for channel, plane in enumerate(planes):
        Image.fromarray(plane).save(tmp_path / f"case_{channel:04}.png")
        write_nifti(tmp_path / f"scan_{channel:04}.nii.gz")
    Image.fromarray(planes[0]).save(tmp_path / "lonely_0000.png")
    summary = write_predictions(predictor, sorted(tmp_path.glob("*_*")), tmp_path / "out")
    masks = tmp_path / "out" / "masks"
    assert sorted(path.name for path in masks.iterdir()) == ["case.png", "scan.nii.gz"]
    np.testing.assert_array_equal(np.asarray(Image.open(masks / "case.png")), predictor.segment(np.dstack(planes)).mask)
    assert nibabel.load(masks / "scan.nii.gz").shape == (20, 24, 5)
    [(lonely, reason)] = summary.errors.items()
    assert (lonely.name, "1 channel, the model takes 2" in reason) == ("lonely_0000.png", True)


def test_a_classifier_takes_the_slices_one_by_one(tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "scan.nii.gz")
    predictor = Predictor(TorchEngine(MeanColor(), "cpu"), plain_pipeline(channels=1), {"classify": class_map(1)})
    summary = write_predictions(predictor, [file], tmp_path / "out")
    assert [row["image"] for row in summary.rows] == [item.name for item in single_images(find_items([file]))]
    assert len(summary.rows) == 5


def test_a_real_volume_keeps_its_affine(tmp_path: Path, datasets: Callable[[str], Path]) -> None:
    file = sorted((datasets("hippocampus_nifti") / "images").glob("*.nii.gz"))[0]
    write_predictions(gray_predictor(), [file], tmp_path / "out")
    mask, image = nibabel.load(tmp_path / "out" / "masks" / file.name), nibabel.load(file)
    assert mask.shape == image.shape
    np.testing.assert_array_equal(mask.affine, image.affine)
    assert mask.header.get_zooms() == image.header.get_zooms()
