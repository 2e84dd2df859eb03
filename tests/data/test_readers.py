"""Every kind of file keeps its values: checked against the array written, and against other decoders."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segkit.data.image_io import read_image, read_mask, read_raster
from segkit.data.opening import open_dataset
from segkit.data.readers._base import MAX_PIXELS, orient
from segkit.errors import UnreadableFileError


def random_image(*shape: int, dtype: type[np.generic] = np.uint8) -> NDArray[Any]:
    generator = np.random.default_rng(0)
    if dtype is np.float32:
        return generator.normal(size=shape).astype(dtype)
    return generator.integers(0, 256 if dtype is np.uint8 else 65536, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_keeps_every_value(tmp_path: Path, dtype: type[np.generic], channels: int) -> None:
    written = random_image(13, 7, channels, dtype=dtype)
    path = tmp_path / "image.png"
    path.write_bytes(imagecodecs.png_encode(written))
    read = read_image(path)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, written)


def test_a_16_bit_ramp_keeps_all_its_levels(tmp_path: Path) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    cv2.imwrite(str(tmp_path / "gray.png"), ramp)
    cv2.imwrite(str(tmp_path / "color.png"), np.dstack([ramp, ramp[::-1], ramp.T])[..., ::-1])
    tifffile.imwrite(tmp_path / "gray.tif", ramp)
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png")[..., 0], ramp)
    np.testing.assert_array_equal(read_image(tmp_path / "gray.tif")[..., 0], ramp)
    np.testing.assert_array_equal(read_image(tmp_path / "color.png"), np.dstack([ramp, ramp[::-1], ramp.T]))


@pytest.mark.parametrize("suffix", [".bmp", ".webp"])
def test_lossless_color_files(tmp_path: Path, suffix: str) -> None:
    written = random_image(9, 12, 3)
    Image.fromarray(written).save(tmp_path / f"image{suffix}", lossless=True)
    np.testing.assert_array_equal(read_image(tmp_path / f"image{suffix}"), written)


def test_jpeg_decodes_as_opencv_does(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(random_image(48, 64, 3), (0, 0), 4)
    Image.fromarray(smooth).save(tmp_path / "image.JPG", quality=90)
    bgr = cv2.imread(str(tmp_path / "image.JPG"))
    assert bgr is not None
    difference = read_image(tmp_path / "image.JPG").astype(int) - bgr[..., ::-1]
    assert abs(difference).max() <= 2
    assert read_raster(tmp_path / "image.JPG").lossy


@pytest.mark.parametrize("stored", ["CMYK", "YCCK"])
@pytest.mark.parametrize("inks", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255), (10, 200, 90, 60)])
def test_inks_become_the_colors_they_print(tmp_path: Path, stored: str, inks: tuple[int, ...]) -> None:
    """By the formula of Pillow and PostScript, R = (255 - C)(255 - K) / 255; Adobe's files store 255 - ink."""
    sheet = np.full((16, 16, 4), 255 - np.array(inks), np.uint8)
    encoded = imagecodecs.jpeg8_encode(sheet, level=100, colorspace="CMYK", outcolorspace=stored)
    assert b"Adobe" in encoded
    (tmp_path / "print.jpg").write_bytes(encoded)
    *colors, black = inks
    expected = [(255 - ink) * (255 - black) / 255 for ink in colors]
    read = read_image(tmp_path / "print.jpg")
    assert read.shape == (16, 16, 3)
    assert abs(read - np.array(expected)).max() <= 2
    with Image.open(tmp_path / "print.jpg") as image:
        np.testing.assert_array_equal(read, np.asarray(image.convert("RGB")))


def test_two_level_png_is_0_and_255(tmp_path: Path) -> None:
    bits = random_image(6, 9) > 128
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "bits.png"), bits * 255)


TIFF_LAYOUTS: dict[str, dict[str, Any]] = {
    "interleaved": {"photometric": "rgb", "planarconfig": "contig"},
    "planar": {"photometric": "rgb", "planarconfig": "separate"},
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("layout", TIFF_LAYOUTS)
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_tiff_keeps_every_value(tmp_path: Path, dtype: type[np.generic], layout: str, compression: str | None) -> None:
    written = random_image(21, 34, 3, dtype=dtype)
    stored = written if layout == "interleaved" else np.moveaxis(written, -1, 0)
    tifffile.imwrite(tmp_path / "image.tif", stored, compression=compression, **TIFF_LAYOUTS[layout])
    read = read_image(tmp_path / "image.tif")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, written)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("last, unsaid", {}),
        ("last, said", {"planarconfig": "contig", "photometric": "minisblack"}),
        ("first, unsaid", {}),
        ("first, ImageJ", {"imagej": True, "metadata": {"axes": "CYX"}}),
        ("first, OME", {"ome": True, "metadata": {"axes": "CYX"}}),
    ],
)
def test_tiff_of_five_channels(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    written = random_image(40, 30, 5, dtype=np.uint16)
    stored = written if name.startswith("last") else np.ascontiguousarray(np.moveaxis(written, -1, 0))
    path = tmp_path / ("image.ome.tif" if "OME" in name else "image.tif")
    tifffile.imwrite(path, stored, **options)
    np.testing.assert_array_equal(read_image(path), written)


def test_tiff_of_plain_pages_has_one_channel_per_page(tmp_path: Path) -> None:
    pages = random_image(4, 10, 11)
    Image.fromarray(pages[0]).save(tmp_path / "pages.tif", save_all=True, append_images=map(Image.fromarray, pages[1:]))
    np.testing.assert_array_equal(read_image(tmp_path / "pages.tif"), np.moveaxis(pages, 0, -1))


def test_stacks_are_no_image(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "depth.tif", random_image(4, 20, 20), imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(
        UnreadableFileError, match=r"a volume of 20 x 20 x 4; name one of its slices, for example .*depth"
    ):
        read_image(tmp_path / "depth.tif")
    tifffile.imwrite(tmp_path / "many.tif", random_image(30, 40, 50))
    with pytest.raises(UnreadableFileError, match="a volume of 40 x 50 x 30"):
        read_image(tmp_path / "many.tif")


def test_nan_passes_and_wide_integers_must_fit(tmp_path: Path) -> None:
    floats = random_image(5, 6, dtype=np.float32)
    floats[2, 3] = np.nan
    tifffile.imwrite(tmp_path / "floats.tif", floats)
    np.testing.assert_array_equal(read_image(tmp_path / "floats.tif")[..., 0], floats)
    tifffile.imwrite(tmp_path / "signed.tif", np.full((4, 4), -1024, np.int16))
    assert read_image(tmp_path / "signed.tif").dtype == np.float32
    assert (read_image(tmp_path / "signed.tif") == -1024).all()
    tifffile.imwrite(tmp_path / "wide.tif", np.full((4, 4), 2**24 + 1, np.int32))
    with pytest.raises(UnreadableFileError, match=r"int32 values above 2\^24, which float32 cannot hold"):
        read_image(tmp_path / "wide.tif")


def test_interrupted_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "killed.tif"
    tifffile.imwrite(path, random_image(64, 64), compression="zlib", rowsperstrip=16)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["StripByteCounts"].overwrite((10, 10, 0, 0))
    with pytest.raises(UnreadableFileError, match="2 of 4 strips hold no data: writing was interrupted"):
        read_image(path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_truncated_tiff_is_refused(tmp_path: Path, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "whole.tif", random_image(64, 64), compression=compression)
    data = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableFileError, match=r"cut\.tif: damaged or cut short"):
        read_image(tmp_path / "cut.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_pillows(tmp_path: Path, orientation: int) -> None:
    pixels = random_image(6, 9, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    Image.fromarray(pixels).save(tmp_path / "turned.tif", tiffinfo={0x0112: orientation})
    for suffix in (".png", ".jpg", ".tif"):
        path = tmp_path / f"turned{suffix}"
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(read_image(path), expected)
        assert read_raster(path).orientation == orientation
    mask = np.arange(54, dtype=np.uint8).reshape(6, 9)
    Image.fromarray(mask).save(tmp_path / "mask.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), orient(mask[..., None], orientation)[..., 0])


def test_opaque_alpha_is_dropped_and_other_alpha_stays(tmp_path: Path) -> None:
    pixels = random_image(5, 5, 4)
    pixels[..., 3] = 255
    Image.fromarray(pixels).save(tmp_path / "opaque.png")
    assert read_image(tmp_path / "opaque.png").shape == (5, 5, 3)
    pixels[0, 0, 3] = 254
    Image.fromarray(pixels).save(tmp_path / "transparent.png")
    assert read_image(tmp_path / "transparent.png").shape == (5, 5, 4)
    with pytest.raises(UnreadableFileError, match="transparent pixels; save it without transparency"):
        read_mask(tmp_path / "transparent.png")


def test_palette_is_colors_in_an_image_and_ids_in_a_mask(tmp_path: Path) -> None:
    ids = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(ids, mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png")[1], [[70, 80, 90], [40, 50, 60]])
    np.testing.assert_array_equal(read_mask(tmp_path / "palette.png"), ids)
    assert read_raster(tmp_path / "palette.png").kind == "palette"
    tifffile.imwrite(tmp_path / "palette.tif", ids, photometric="palette", colormap=np.full((3, 256), 257, np.uint16))
    np.testing.assert_array_equal(read_mask(tmp_path / "palette.tif"), ids)
    assert (read_image(tmp_path / "palette.tif") == 1).all()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [24_000, 200_000])
def test_pixel_bombs_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    assert side * side > MAX_PIXELS
    (tmp_path / "bomb.png").write_bytes(png_claiming(side, side))
    with pytest.raises(UnreadableFileError, match=f"limit of {MAX_PIXELS:,} pixels; cut it into tiles"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_of_an_animation_the_first_frame_is_read_and_the_check_says_so(tmp_path: Path, suffix: str) -> None:
    frames = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(3)]
    first, *others = map(Image.fromarray, frames)
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        others[0].save(tmp_path / name / "still.png")
    first.save(tmp_path / "cats" / f"moving{suffix}", save_all=True, append_images=others, lossless=True)
    path = tmp_path / "cats" / f"moving{suffix}"
    np.testing.assert_array_equal(read_image(path), frames[0])
    assert read_raster(path).frames == 3
    dataset = open_dataset(tmp_path, task="classify")
    (found,) = [found for found in dataset.findings if found.code == "animated-image"]
    assert (found.severity, found.files) == ("warning", (f"cats/moving{suffix}",))
    assert found.message.startswith("1 animation, of which only the first frame is read")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "deep"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_cut_files_are_never_half_read(tmp_path: Path, kind: str, share: float) -> None:
    if kind == "deep":
        data = imagecodecs.png_encode(random_image(40, 50, 3, dtype=np.uint16))
    else:
        whole = BytesIO()
        Image.fromarray(random_image(40, 50)).save(whole, format=kind)
        data = whole.getvalue()
    path = tmp_path / f"cut.{'png' if kind == 'deep' else kind.lower()}"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UnreadableFileError, match=r"cannot read .*cut\..*: .*(cut short|no image)"):
        read_image(path)


def test_complex_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random_image(5, 4, dtype=np.float32).astype(np.complex64))
    for read in (read_image, read_mask):
        with pytest.raises(UnreadableFileError, match=r"complex values; save their magnitude, or one part, as float32"):
            read(path)
