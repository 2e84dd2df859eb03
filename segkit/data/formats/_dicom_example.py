"""A DICOM file as small as can be, for the example of the DICOM folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._base import medical_extra_missing
from segkit.ops.files import make_folder

_ROOT = "1.2.826.0.1.3680043.8.498"  # pydicom's, under which examples may be numbered
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def write_slice(path: Path, pixels: NDArray[np.uint8], series: int, number: int) -> None:
    """Write one slice (H, W) of a series: 1 mm from row to row and column to column, 3 mm to the next slice."""
    try:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import UID, ExplicitVRLittleEndian
    except ImportError:
        raise medical_extra_missing(path, "pydicom") from None
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID = UID(_SECONDARY_CAPTURE)
    slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = UID(f"{_ROOT}.{series}.{number + 1}")
    slice_.SeriesInstanceUID = UID(f"{_ROOT}.{series}")
    slice_.Modality = "OT"
    slice_.InstanceNumber = number + 1
    slice_.Rows, slice_.Columns = pixels.shape
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 8, 8, 7, 0
    slice_.PixelSpacing = [1, 1]
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.ImagePositionPatient = [0, 0, 3 * number]
    slice_.PixelData = pixels.tobytes()
    slice_["PixelData"].VR = "OB"
    make_folder(path.parent)
    slice_.save_as(path, enforce_file_format=True)
