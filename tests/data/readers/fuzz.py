"""Damaged files for the readers, in a process of its own: `python -m tests.data.readers.fuzz FOLDER [KIND]`.

It leaves the seed at work in FOLDER/seed, so that a crash tells it, and prints what a reader did that it must not.
"""

from __future__ import annotations

import gzip
import random
import resource
import struct
import sys
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import pydicom
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate

from segkit.data.image_io import read_raster, read_region
from segkit.data.readers._base import MAX_PIXELS, file_on_disk
from segkit.data.volumes import open_volume, read_grid, slice_paths
from segkit.errors import UnreadableFileError

MUTATIONS = 500
MEMORY = 2 * 2**30
"""Most bytes a reader may take, beyond those of the libraries."""

HEIGHT, WIDTH, DEPTH = 24, 20, 4


def gradient(*shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return (np.arange(np.prod(shape)) * 7 % (200 if dtype == np.uint8 else 4000)).reshape(shape).astype(dtype)


def pillow(kind: str, *shape: int, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(gradient(*shape)).save(stream, format=kind, **options)
    return stream.getvalue()


def tiff(*shape: int, **options: Any) -> bytes:
    stream = BytesIO()
    tifffile.imwrite(stream, gradient(*shape, dtype=np.uint16), **options)
    return stream.getvalue()


def nifti(dtype: Any = np.int16) -> bytes:
    image = nibabel.Nifti1Image(gradient(HEIGHT, WIDTH, DEPTH, dtype=dtype), np.diag([1.0, 2.0, 3.0, 1.0]))
    image.header.set_slope_inter(0.5, -10)
    return image.to_bytes()


def dicom(
    syntax: str = "1.2.840.10008.1.2.1", encode: Callable[[NDArray[Any]], bytes | bytearray] | None = None
) -> bytes:
    values = gradient(HEIGHT, WIDTH, dtype=np.uint8)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = "A", [1, 2], "2", "-5"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = HEIGHT, WIDTH, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.add_new("PixelData", "OB", values.tobytes() if encode is None else encapsulate([bytes(encode(values))]))
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def rle(values: NDArray[Any]) -> bytes:
    rows = b"".join(struct.pack("B", WIDTH - 1) + row.tobytes() for row in values)
    return struct.pack("<16I", 1, 64, *[0] * 14) + rows


KINDS: dict[str, tuple[str, Callable[[], bytes | bytearray]]] = {
    "png": (".png", lambda: pillow("PNG", HEIGHT, WIDTH, 3)),
    "png of 16 bits": (".png", lambda: imagecodecs.png_encode(gradient(HEIGHT, WIDTH, 3, dtype=np.uint16))),
    "jpeg": (".jpg", lambda: pillow("JPEG", HEIGHT, WIDTH, 3)),
    "progressive jpeg": (".jpg", lambda: pillow("JPEG", HEIGHT, WIDTH, 3, progressive=True)),
    "bmp": (".bmp", lambda: pillow("BMP", HEIGHT, WIDTH, 3)),
    "webp": (".webp", lambda: pillow("WEBP", HEIGHT, WIDTH, 3)),
    "gif": (".gif", lambda: pillow("GIF", HEIGHT, WIDTH)),
    "tiff in strips": (".tif", lambda: tiff(HEIGHT, WIDTH, rowsperstrip=5)),
    "tiff in tiles": (".tif", lambda: tiff(HEIGHT, WIDTH, 3, photometric="rgb", tile=(16, 16))),
    "deflated tiff": (".tif", lambda: tiff(HEIGHT, WIDTH, compression="zlib", predictor=True, rowsperstrip=8)),
    "tiff stack": (".tif", lambda: tiff(DEPTH, HEIGHT, WIDTH, imagej=True, metadata={"axes": "ZYX"})),
    "nifti": (".nii", nifti),
    "compressed nifti": (".nii.gz", lambda: gzip.compress(nifti(np.uint8), mtime=0)),
    "dicom": (".dcm", dicom),
    "dicom of runs": (".dcm", lambda: dicom("1.2.840.10008.1.2.5", rle)),
    "dicom of jpeg": (".dcm", lambda: dicom("1.2.840.10008.1.2.4.50", imagecodecs.jpeg8_encode)),
    "dicom of lossless jpeg": (
        ".dcm",
        lambda: dicom("1.2.840.10008.1.2.4.70", lambda values: imagecodecs.jpeg8_encode(values, lossless=True)),
    ),
    "dicom of jpeg-ls": (".dcm", lambda: dicom("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode)),
    "dicom of jpeg 2000": (
        ".dcm",
        lambda: dicom("1.2.840.10008.1.2.4.90", lambda values: imagecodecs.jpeg2k_encode(values, codecformat="J2K")),
    ),
    "idx": ("", lambda: struct.pack(">4I", 0x803, DEPTH, HEIGHT, WIDTH) + gradient(DEPTH, HEIGHT, WIDTH).tobytes()),
}
"""Name -> suffix and how to make a valid file."""


def mutate(data: bytes, seed: int) -> bytes:
    """The file with a few bits turned, cut short, with a piece of it copied elsewhere, or with other numbers in it."""
    generator = random.Random(seed)
    damaged = bytearray(data)
    kind = seed % 4
    if kind == 0:
        for _ in range(generator.randint(1, 8)):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
    elif kind == 1:
        del damaged[generator.randrange(len(damaged)) :]
    elif kind == 2:
        start, length = generator.randrange(len(damaged)), generator.randint(1, 64)
        target = generator.randrange(len(damaged))
        damaged[target : target + generator.choice([0, length])] = damaged[start : start + length]
    else:  # heads stand at the start of most files, and behind the pixels of a TIFF file
        for _ in range(generator.randint(1, 3)):
            size = generator.choice([1, 2, 4, 8])
            place = generator.randrange(min(400, len(damaged) - 8))
            place = generator.choice([place, len(damaged) - 8 - place])
            number = generator.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63, generator.getrandbits(64)])
            damaged[place : place + size] = (number % 256**size).to_bytes(size, generator.choice(["little", "big"]))
    return bytes(damaged)


def damage(kind: str, data: bytes, seed: int) -> bytes:
    """Every second compressed volume is damaged inside, where its checksum does not show it."""
    if kind == "compressed nifti" and seed % 8 < 4:
        return gzip.compress(mutate(gzip.decompress(data), seed), compresslevel=1, mtime=0)
    return mutate(data, seed)


def is_cut(seed: int) -> bool:
    """Whether `damage` cuts a file short."""
    return seed % 4 == 1


def read_everything(path: Path) -> list[NDArray[Any]]:
    """What the package reads of a file, whatever it holds."""
    if not path.suffix:
        return [read_raster(path / f"{position:05}.idx").image() for position in range(DEPTH)]
    if read_grid(path) is not None:
        last = open_volume(path).shape[2] - 1
        paths = [*slice_paths(path, 0)[:2], *slice_paths(path, 1)[:2], *(slice_paths(path, 2)[at] for at in (0, last))]
        return [read_raster(one).image() for one in paths]
    images = [read_raster(path).image()]
    return [*images, read_region(path, 0, 0, 9, 9)] if path.suffix == ".tif" else images


def complaint(path: Path, whole: list[NDArray[Any]] | None) -> str | None:
    """What is wrong with the way a file is read, None where nothing is.

    One that was cut short has the images of the `whole` file, where what is missing is no part of them, or none.
    """
    try:
        images = read_everything(path)
    except UnreadableFileError as error:
        said = str(error)
        if path.name not in said or file_on_disk(error.path) != path or "\n" in said:
            return f"an error that does not name the file in one line: {said!r}"
        return None
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    sizes = [image.shape for image in images if np.prod(image.shape[:2]) > MAX_PIXELS]
    if sizes:
        return f"images of {sizes}"
    half_read = whole is not None and not all(map(np.array_equal, images, whole))
    return "a file that was cut short is half-read" if half_read else None


def main(kind: str, folder: Path) -> None:
    """Read `MUTATIONS` damaged files of one kind."""
    warnings.simplefilter("ignore")
    suffix, make = KINDS[kind]
    data = bytes(make())
    path = folder / f"whole{suffix}"
    path.write_bytes(data)
    whole = read_everything(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # What is only reserved is no harm, so that the limit of addresses lies above that of memory.
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (reserved + 2 * MEMORY, resource.RLIM_INFINITY))
    for seed in range(MUTATIONS):
        (folder / "seed").write_text(f"{kind}, seed {seed}")
        path = folder / f"damaged{seed}{suffix}"  # a name of its own, as opened files are known by name and time
        path.write_bytes(damage(kind, data, seed))
        found = complaint(path, whole if is_cut(seed) else None)
        if found:
            print(f"{kind}, seed {seed}: {found}")
        path.unlink()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if grown > MEMORY:
        print(f"{kind}: {grown / 2**30:.1f} GiB")


if __name__ == "__main__":
    for name in sys.argv[2:] or KINDS:
        main(name, Path(sys.argv[1]))
