"""DICOM: single images, multi-frame files and series, in true values, with nothing of the patient's identity.

Only the elements that describe the pixels are read from a file: names, dates and numbers of patients are skipped, and
messages are worded here, because those of a decoder may quote what stands in the file.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._base import DICOM_SUFFIXES, READERS, Raster, medical_extra_missing
from segkit.data.readers._dicom_geometry import GEOMETRY, frame_grid
from segkit.data.readers._volumes import VOLUME_READERS, Grid, Volume, VolumeReader, check_grid, read_single
from segkit.errors import SegkitError, UnreadableFileError

MAX_BYTES = 2**32
"""Most bytes that the frames of one file may have when decoded."""

_LOSSY = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
}
"""Transfer syntaxes of JPEG, near-lossless JPEG-LS and JPEG 2000 that may be lossy (DICOM PS3.5, annex A)."""

_PALETTE = "PaletteColorLookupTable"
_PIXELS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "FloatPixelData"),
    *("DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "SOPClassUID"),
    *(f"{color}{_PALETTE}{part}" for color in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
    *(f"Segmented{color}{_PALETTE}Data" for color in ("Red", "Green", "Blue")),
]


def read_dicom(path: Path) -> Raster:
    """The image of a DICOM file of one frame; raises `UnreadableFileError` for several, whose slices are read."""
    return read_single(path, _READER)


def read_dicom_grid(path: Path) -> Grid | None:
    """The grid of a file of many frames, None where it holds one."""
    with _own_words(path):
        grid = _grid(path, read_head(path, [*_PIXELS, *GEOMETRY]))
    return None if grid.shape[2] == 1 else grid


def open_dicom(path: Path) -> Volume:
    """Decode a DICOM file: (rows, columns, frames), of one frame or many.

    Stored values are rescaled by slope and intercept, or by their table, MONOCHROME1 (0 is white) is inverted within
    its stored bits, YBR becomes RGB, and the colours of a palette are kept beside its indices. Windows change nothing.
    """
    with _own_words(path):
        dataset = read_head(path, [*_PIXELS, *GEOMETRY], pixels=True)
        grid = _grid(path, dataset)
        frames = _upright_values(dataset, _decode(path, dataset)).reshape(*_stacked(dataset), -1)
        slope, intercept = _rescale(dataset)
        values = np.moveaxis(frames, 0, 2)
        if dataset.get("ModalityLUTSequence"):
            from pydicom.pixels import apply_modality_lut

            values, slope, intercept = apply_modality_lut(values, dataset), 1.0, 0.0
        elif not isinstance(slope, float) or not isinstance(intercept, float):  # frames have their own
            values = (values * np.reshape(slope, (-1, 1)) + np.reshape(intercept, (-1, 1))).astype(np.float32)
            slope, intercept = 1.0, 0.0
        lossy = str(dataset.file_meta.TransferSyntaxUID) in _LOSSY
        return Volume(path, grid, values, slope, intercept, _palette(dataset), lossy)


_READER = VolumeReader(read_dicom_grid, open_dicom)
for _suffix in DICOM_SUFFIXES:
    READERS.register(_suffix)(read_dicom)
    VOLUME_READERS.register(_suffix)(_READER)


def read_head(path: Path, elements: list[str], pixels: bool = False) -> Any:
    """The named elements of a DICOM file, without its pixels unless asked for.

    Raises `UnreadableFileError` where it is no DICOM file, and whatever pydicom raises on a damaged one.
    """
    try:
        import pydicom
    except ImportError:
        raise medical_extra_missing(path, "pydicom") from None
    # What pydicom warns of may quote the file. It is silenced for the process, as undoing that is not safe in threads.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    dataset = pydicom.dcmread(path, force=True, stop_before_pixels=not pixels, specific_tags=list(elements))
    if "TransferSyntaxUID" not in dataset.file_meta:  # a file without the heading of part 10, as older devices write
        if not {"Rows", "SOPClassUID"} & set(dataset.dir()):
            raise UnreadableFileError(path, "it is no DICOM file")
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        )
    return dataset


@contextmanager
def _own_words(path: Path) -> Iterator[None]:
    """Errors of pydicom and its decoders without what they quote."""
    try:
        yield
    except (SegkitError, OSError):
        raise
    except Exception as error:
        raise UnreadableFileError(
            path, f"damaged, cut short, or stored in a way that is not read ({type(error).__name__}); export it again"
        ) from None


def _grid(path: Path, dataset: Any) -> Grid:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        kind = dataset.get("SOPClassUID")
        name = f" ({kind.name})" if kind is not None and kind.name != kind else ""
        raise UnreadableFileError(path, f"a DICOM file without an image{name}; leave it out")
    shape = int(dataset.Rows), int(dataset.Columns), int(dataset.get("NumberOfFrames") or 1)
    check_grid(path, shape)
    return frame_grid(dataset, shape)


def _decode(path: Path, dataset: Any) -> NDArray[Any]:
    from pydicom.pixels import pixel_array

    from segkit.data.readers import _dicom_codecs

    rows, columns, frames = (int(dataset.get(name) or 1) for name in ("Rows", "Columns", "NumberOfFrames"))
    stated = rows * columns * frames * int(dataset.SamplesPerPixel) * max(8, int(dataset.BitsAllocated)) // 8
    if stated > MAX_BYTES:
        raise UnreadableFileError(
            path, f"it states {stated:,} bytes, above {MAX_BYTES / 2**30:g} GiB; cut it into parts"
        )
    if frames > path.stat().st_size:
        raise UnreadableFileError(path, f"it states {frames:,} frames and is cut short; copy or export it again")
    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = _dicom_codecs.PLUGIN if _dicom_codecs.is_available(syntax) else ""
    decoded: NDArray[Any] = pixel_array(dataset, decoding_plugin=plugin)
    return decoded


def _stacked(dataset: Any) -> tuple[int, int, int]:
    return int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)


def _upright_values(dataset: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Higher values brighter: those of MONOCHROME1 are turned over within the range of their stored bits."""
    if dataset.get("PhotometricInterpretation") != "MONOCHROME1" or not np.issubdtype(values.dtype, np.integer):
        return values
    highest = -1 if dataset.PixelRepresentation else 2 ** int(dataset.BitsStored) - 1
    return np.subtract(highest, values, dtype=values.dtype)


def _rescale(dataset: Any) -> tuple[Any, Any]:
    """Slope and intercept: one number, or one per frame where frames state their own."""
    return _per_frame(dataset, "Slope", 1.0), _per_frame(dataset, "Intercept", 0.0)


def _per_frame(dataset: Any, name: str, default: float) -> float | NDArray[np.float64]:
    groups = [*dataset.get("SharedFunctionalGroupsSequence", ()), *dataset.get("PerFrameFunctionalGroupsSequence", ())]
    stated = [
        float(item.get(f"Rescale{name}", default))
        for group in groups
        for item in group.get("PixelValueTransformationSequence", ())
    ]
    if not stated:
        found = dataset.get(f"Rescale{name}")
        return default if found is None else float(found)
    return stated[0] if len(set(stated)) == 1 else np.array(stated)


def _palette(dataset: Any) -> NDArray[np.uint8] | None:
    """(P, 3): the colour of every index that the allocated bits can hold, the upper 8 bits of deeper ones."""
    if dataset.get("PhotometricInterpretation") != "PALETTE COLOR":
        return None
    from pydicom.pixels import apply_color_lut

    indices = np.arange(2 ** int(dataset.BitsAllocated), dtype=f"uint{int(dataset.BitsAllocated)}")
    colors = apply_color_lut(indices[None], dataset)[0]
    return colors if colors.dtype == np.uint8 else (colors >> 8).astype(np.uint8)
