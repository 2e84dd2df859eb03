"""DICOM in true values: against pydicom's own way to pixels, and against files written here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from nibabel.affines import voxel_sizes
from nibabel.eulerangles import euler2mat
from numpy.typing import NDArray
from pydicom.pixels import apply_color_lut, apply_rescale, pixel_array
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from segkit.data.image_io import read_image, read_mask, read_raster
from segkit.data.scan import scan
from segkit.data.volumes import open_volume, read_grid, series_files, slice_paths
from segkit.errors import UnreadableFileError
from segkit.structures import Record

NAME, PATIENT = "Testperson^Erika", "PATIENT-4711"

SAMPLES = {
    "CT_small": ((128, 128, 1), "float32", (0.661468, 0.661468)),
    "JPEG2000": ((1024, 256, 1), "float32", (2.26, 2.26)),
    "MR_small": ((64, 64, 1), "float32", (0.3125, 0.3125)),
    "MR_small_RLE": ((64, 64, 1), "float32", (0.3125, 0.3125)),
    "MR_small_bigendian": ((64, 64, 1), "float32", (0.3125, 0.3125)),
    "MR_small_implicit": ((64, 64, 1), "float32", (0.3125, 0.3125)),
    "MR_small_jp2klossless": ((64, 64, 1), "float32", (0.3125, 0.3125)),
    "MR_small_jpeg_ls_lossless": ((64, 64, 1), "float32", (0.3125, 0.3125)),
    "SC_rgb_jpeg_gdcm": ((100, 100, 3), "uint8", (1.0, 1.0)),
    "examples_jpeg2k": ((480, 640, 3), "uint8", None),
    "examples_palette": ((350, 800, 3), "uint8", None),
    "examples_rgb_color": ((240, 320, 3), "uint8", None),
}


def pydicoms(path: Path) -> NDArray[Any]:
    """The true values by pydicom alone, compressed ones through GDCM."""
    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    gdcm = syntax.is_encapsulated and not syntax.name.startswith("RLE")
    stored = pixel_array(dataset, decoding_plugin="gdcm" if gdcm else "")
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(stored, dataset) >> 8
    values = apply_rescale(stored, dataset)
    return values if values.shape[-1] == 3 else values[..., None]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_pydicoms(datasets: Callable[[str], Path], name: str) -> None:
    path = datasets("dicom_samples") / f"{name}.dcm"
    raster = read_raster(path)
    image = raster.image()
    assert (image.shape, image.dtype.name, raster.spacing) == SAMPLES[name]
    np.testing.assert_array_equal(image, pydicoms(path))


def test_two_frames_are_two_slices(datasets: Callable[[str], Path]) -> None:
    path = datasets("dicom_samples") / "SC_rgb_rle_2frame.dcm"
    frames = pydicom.dcmread(path).pixel_array
    slices = slice_paths(path)
    assert [str(one.relative_to(path)) for one in slices] == ["2/000.slice", "2/001.slice"]
    for frame, one in zip(frames, slices, strict=True):
        np.testing.assert_array_equal(read_image(one), frame)
        assert read_raster(one).spacing == (1.0, 1.0)


def test_12_bit_jpeg_which_pydicom_has_no_decoder_for(datasets: Callable[[str], Path]) -> None:
    """Against the values pydicom's own tests state, and the same scan as JPEG 2000, which is lossy too."""
    folder = datasets("dicom_samples")
    jpeg, other = (read_image(folder / f"{name}.dcm")[..., 0] for name in ("JPEG-lossy", "JPEG2000"))
    assert jpeg.dtype == np.uint16
    assert (jpeg[420, 140], jpeg[230, 120]) == (244, 95)
    assert np.corrcoef(jpeg.ravel(), other.ravel())[0, 1] > 0.95


def test_files_without_an_image_and_cut_ones_are_refused_in_one_line(datasets: Callable[[str], Path]) -> None:
    folder = datasets("dicom_samples")
    for name, reason in {
        "rtstruct": r"a DICOM file without an image \(RT Structure Set Storage\); leave it out",
        "MR_truncated": r"damaged, cut short, or stored in a way that is not read \(ValueError\); export it again",
    }.items():
        with pytest.raises(UnreadableFileError, match=reason) as caught:
            read_image(folder / f"{name}.dcm")
        assert "\n" not in str(caught.value)


def write(path: Path, values: NDArray[Any], **elements: Any) -> Path:
    """A DICOM file of these stored values, with the name and number of a patient."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = NAME, PATIENT
    dataset.Rows, dataset.Columns = values.shape[-2:]
    if values.ndim == 3:
        dataset.NumberOfFrames = len(values)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = values.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.add_new("PixelData", "OW" if bits > 8 else "OB", values.tobytes())
    for name, value in elements.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_monochrome1_is_turned_over_within_its_stored_bits(tmp_path: Path) -> None:
    bright_is_0 = np.array([[0, 100], [4000, 4095]], np.uint16)
    path = write(tmp_path / "a.dcm", bright_is_0, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_image(path)[..., 0], [[4095, 3995], [95, 0]])
    signed = np.array([[-128, 127], [0, -1]], np.int8)
    path = write(tmp_path / "b.dcm", signed, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path)[..., 0], [[127, -128], [-1, 0]])


def test_windows_change_nothing_and_slopes_do(tmp_path: Path) -> None:
    stored = np.array([[0, 1000], [2000, 3000]], np.uint16)
    path = write(
        tmp_path / "a.dcm", stored, WindowCenter=40, WindowWidth=80, RescaleSlope="0.5", RescaleIntercept="-1024"
    )
    np.testing.assert_array_equal(read_image(path)[..., 0], stored * 0.5 - 1024)
    assert read_image(write(tmp_path / "b.dcm", stored, WindowCenter=40, WindowWidth=80)).dtype == np.uint16


def test_spacing_is_of_rows_then_columns_and_the_detectors_where_there_is_no_other(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert read_raster(write(tmp_path / "a.dcm", values, PixelSpacing=[0.5, 0.25])).spacing == (0.5, 0.25)
    assert read_raster(write(tmp_path / "b.dcm", values, ImagerPixelSpacing=[0.2, 0.1])).spacing == (0.2, 0.1)
    assert read_raster(write(tmp_path / "c.dcm", values, PixelSpacing=[0, 0])).spacing is None
    assert read_raster(write(tmp_path / "d.dcm", values)).spacing is None


def test_a_palette_gives_ids_to_masks(tmp_path: Path) -> None:
    ids = np.array([[0, 1], [2, 1]], np.uint8)
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color, values in {"Red": [1, 2, 3], "Green": [4, 5, 6], "Blue": [7, 8, 9]}.items():
        elements[f"{color}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        elements[f"{color}PaletteColorLookupTableData"] = (np.array(values, "<u2") << 8).tobytes()
    path = write(tmp_path / "a.dcm", ids, **elements)
    np.testing.assert_array_equal(read_mask(path), ids)
    np.testing.assert_array_equal(read_image(path)[1], [[3, 6, 9], [2, 5, 8]])


def functional_group(**sequences: dict[str, Any]) -> pydicom.Dataset:
    group = pydicom.Dataset()
    for name, elements in sequences.items():
        item = pydicom.Dataset()
        for element, value in elements.items():
            setattr(item, element, value)
        setattr(group, name, [item])
    return group


def test_enhanced_files_state_frame_by_frame(tmp_path: Path) -> None:
    stored = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    shared = functional_group(
        PixelMeasuresSequence={"PixelSpacing": [0.5, 0.25], "SliceThickness": 9},
        PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
    )
    frames = [
        functional_group(
            PlanePositionSequence={"ImagePositionPatient": [10, 20, 30 + 4 * number]},
            PixelValueTransformationSequence={"RescaleSlope": number + 1, "RescaleIntercept": -number},
        )
        for number in range(2)
    ]
    path = write(
        tmp_path / "a.dcm",
        stored,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )
    volume = open_volume(path)
    assert (volume.shape, volume.spacing) == ((3, 4, 2), (0.5, 0.25, 4.0))
    for number in range(2):
        expected = stored[number].astype(np.float32) * (number + 1) - number
        np.testing.assert_array_equal(volume.slice(2, number)[..., 0], expected)
    # Row 1, column 2, frame 1 lies at x = 10 + 2 * 0.25, y = 20 + 0.5, z = 34; NIfTI turns x and y over.
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine @ [1, 2, 1, 1], [-10.5, -20.5, 34, 1])


def write_series(folder: Path, positions: list[float] | None, uid: str, start: int = 0, suffix: str = ".dcm") -> None:
    for number in range(5):
        place = {} if positions is None else {"ImagePositionPatient": [0, 0, positions[number]]}
        orientation = {} if positions is None else {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        elements = {"SeriesInstanceUID": uid, "InstanceNumber": 5 - number, "PixelSpacing": [1, 2]}
        values = np.full((4, 6), start + number, np.uint8)
        write(folder / f"{start + number}{suffix}", values, **elements, **place, **orientation)


def test_series_are_told_apart_and_sorted_by_position(tmp_path: Path) -> None:
    first, second = generate_uid(), generate_uid()
    write_series(tmp_path, [4, 2, 0, 6, 8], first)
    write_series(tmp_path, None, second, start=50, suffix="")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 200)
    series = series_files(tmp_path)
    assert [[file.name for file in one.files] for one in series] == [
        ["2.dcm", "1.dcm", "0.dcm", "3.dcm", "4.dcm"],
        ["54", "53", "52", "51", "50"],
    ]
    assert [one.grid.shape for one in series] == [(4, 6, 5), (4, 6, 5)]
    assert series[0].grid.spacing == (1.0, 2.0, 2.0)
    assert series[0].grid.affine is not None
    np.testing.assert_allclose(series[0].grid.affine @ [0, 1, 3, 1], [-2, 0, 6, 1])
    assert series[1].grid.affine is None
    assert read_image(tmp_path / "54")[0, 0, 0] == 54


def test_orientations_of_one_series_are_told_apart(tmp_path: Path) -> None:
    uid = generate_uid()
    write_series(tmp_path, [0, 1, 2, 3, 4], uid)
    scout = np.zeros((4, 6), np.uint8)
    write(tmp_path / "scout.dcm", scout, SeriesInstanceUID=uid, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    assert [len(one.files) for one in series_files(tmp_path)] == [5, 1]


def test_affine_is_that_of_the_same_scan_as_nifti(tmp_path: Path) -> None:
    """An oblique scan: every voxel lies where nibabel's own geometry, from cosines and positions, puts it."""
    turn = euler2mat(0.3, -0.2, 0.5)
    columns, rows, normal = turn[:, 0], turn[:, 1], turn[:, 2]
    origin = np.array([12.0, -30.0, 7.0])
    for number in range(3):
        write(
            tmp_path / f"{number}.dcm",
            np.zeros((4, 6), np.uint8),
            SeriesInstanceUID="1.2.3",
            PixelSpacing=[0.8, 0.6],
            ImageOrientationPatient=[*map(float, np.round([*columns, *rows], 12))],
            ImagePositionPatient=[*map(float, np.round(origin + 2.5 * number * normal, 12))],
        )
    (series,) = series_files(tmp_path)
    row, column, depth = 2, 5, 1
    expected = origin + column * 0.6 * columns + row * 0.8 * rows + depth * 2.5 * normal
    assert series.grid.affine is not None
    np.testing.assert_allclose((series.grid.affine @ [row, column, depth, 1])[:3], expected * [-1, -1, 1])
    np.testing.assert_allclose(voxel_sizes(series.grid.affine), [0.8, 0.6, 2.5])


def test_nothing_of_the_patient_leaves_the_file(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    whole = write(tmp_path / "whole.dcm", np.arange(4096, dtype=np.uint16).reshape(64, 64))
    data = whole.read_bytes()
    assert NAME.encode() in data
    for number, cut in enumerate((300, 500, 700, 2000, len(data) - 9)):
        (tmp_path / f"cut{number}.dcm").write_bytes(data[:cut])
    for number in range(60):  # a name that runs into the pixels' description, lengths that are wrong, and so on
        damaged = bytearray(data)
        generator = np.random.default_rng(number)
        for place in generator.integers(132, 900, 3):
            damaged[place] = generator.integers(256)
        (tmp_path / f"damaged{number}.dcm").write_bytes(damaged)
    files = sorted(tmp_path.glob("*.dcm"))
    facts = scan([Record(file.stem, file) for file in files], tasks={"classify"})
    said = [str(facts), capfd.readouterr().out, capfd.readouterr().err, caplog.text]
    for file in files:
        for read in (read_raster, read_grid, open_volume):
            try:
                said.append(str(read(file)))  # type: ignore[operator]
            except UnreadableFileError as error:
                said.append(str(error))
    said += [file.read_text() for file in own_cache.rglob("*.json")]
    assert facts.images["whole"].error is None
    for text in said:
        assert "Erika" not in text
        assert PATIENT not in text


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((2, 2), np.uint8))
    volume = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2), np.uint8), np.eye(4)), volume)
    for package, file in {"pydicom": path, "nibabel": volume}.items():
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(UnreadableFileError, match=rf"{package} is not installed; install it with: pip install"):
            read_image(file)


def test_files_without_suffix_are_known_by_their_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.arange(4, dtype=np.uint8).reshape(2, 2))
    for name in ("IM0001", "1.2.840.113", "scan.000"):
        shutil.copy(path, tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name)[..., 0], [[0, 1], [2, 3]])
    (tmp_path / "notes").write_text("x" * 200)
    with pytest.raises(UnreadableFileError, match="suffix '' is not one of"):
        read_image(tmp_path / "notes")
