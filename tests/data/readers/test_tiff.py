"""TIFF stacks, spacing and regions, against the arrays written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from segkit.data.formats._base import list_records
from segkit.data.image_io import read_image, read_raster, read_region
from segkit.data.readers import tiff
from segkit.data.readers._tiff_head import has_one_page
from segkit.data.volumes import open_volume, read_grid, slice_paths
from segkit.errors import UnreadableFileError


def random(*shape: int, dtype: Any = np.uint16) -> NDArray[Any]:
    generator = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return generator.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(max(limits.min, -(2**20)), min(limits.max, 2**20), shape).astype(dtype)


STACKS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "pages": ((20, 21, 23), {}),
    "compressed pages": ((20, 21, 23), {"compression": "zlib"}),
    "big tiles": ((20, 40, 50), {"bigtiff": True, "tile": (16, 32), "compression": "lzw"}),
    "ImageJ depth": ((4, 21, 23), {"imagej": True, "metadata": {"axes": "ZYX"}}),
    "ImageJ time": ((4, 21, 23), {"imagej": True, "metadata": {"axes": "TYX"}}),
    "OME depth": ((4, 21, 23), {"ome": True, "metadata": {"axes": "ZYX"}}),
    "big-endian": ((20, 21, 23), {"byteorder": ">"}),
}


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_stack_is_read_slice_by_slice(tmp_path: Path, name: str, axis: int) -> None:
    shape, options = STACKS[name]
    written = random(*shape)
    path = tmp_path / ("stack.ome.tif" if "OME" in name else "stack.tif")
    tifffile.imwrite(path, written, photometric="minisblack", **options)
    slices = np.stack([read_image(one)[..., 0] for one in slice_paths(path, axis)], axis)
    assert slices.dtype == np.uint16
    np.testing.assert_array_equal(slices, np.moveaxis(written, 0, 2))


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((5, 3, 11, 13), {"imagej": True, "metadata": {"axes": "ZCYX"}}),
        ((3, 5, 11, 13), {"ome": True, "metadata": {"axes": "CZYX"}}),
        ((5, 11, 13, 3), {"photometric": "rgb"}),
        ((5, 3, 11, 13), {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}),
    ],
)
def test_a_stack_of_channels(tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    written = random(*shape, dtype=np.uint8)
    path = tmp_path / ("stack.ome.tif" if "ome" in options else "stack.tif")
    tifffile.imwrite(path, written, **options)
    by_slice = np.swapaxes(written, 0, 1) if shape[0] == 3 else written
    expected = by_slice if shape[-1] == 3 else np.moveaxis(by_slice, 1, -1)
    paths = slice_paths(path)
    assert len(paths) == 5
    for one, slice_ in zip(paths, expected, strict=True):
        np.testing.assert_array_equal(read_image(one), slice_)


def test_large_stacks_are_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = random(20, 3, 11, 13, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", written, ome=True, compression="zlib", metadata={"axes": "ZCYX"})
    monkeypatch.setattr(tiff, "KEPT_BYTES", 1000)
    volume = open_volume(tmp_path / "a.ome.tif")
    assert type(volume.values) is not np.ndarray
    for axis in range(3):
        np.testing.assert_array_equal(volume.slice(axis, 7), written.transpose(2, 3, 0, 1).take(7, axis))


def test_several_stack_axes_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", random(2, 5, 11, 13), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(UnreadableFileError, match=r"axes TZYX and shape \(2, 5, 11, 13\) are neither an image nor a"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(UnreadableFileError, match="neither an image nor a stack"):
        read_grid(tmp_path / "a.tif")


def test_stacks_in_folders_become_records(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        tifffile.imwrite(tmp_path / kind / "a.tif", random(20, 21, 23, dtype=np.uint8) % 2)
        tifffile.imwrite(tmp_path / kind / "b.tif", random(21, 23, dtype=np.uint8) % 2)
    records = list_records(tmp_path).records
    assert [record.id for record in records] == [*(f"a/{number:03d}" for number in range(20)), "b"]
    assert [record.group for record in records] == ["a"] * 20 + [None]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_every_type_keeps_its_values(tmp_path: Path, dtype: Any, bigtiff: bool) -> None:
    written = random(33, 47, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", written, tile=(16, 16), compression="zlib", bigtiff=bigtiff)
    read = read_image(tmp_path / "a.tif")
    assert read.dtype == (dtype if dtype in (np.uint8, np.uint16) else np.float32)
    np.testing.assert_array_equal(read[..., 0], written.astype(read.dtype))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resolution": (100, 50), "resolutionunit": "CENTIMETER"}, (0.2, 0.1)),
        ({"resolution": (254, 127), "resolutionunit": "INCH"}, (0.2, 0.1)),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (100, 50), "resolutionunit": "NONE"}, None),
        ({}, None),
        ({"imagej": True, "resolution": (2, 4), "metadata": {"unit": "um"}}, (0.00025, 0.0005)),
        ({"imagej": True, "resolution": (2, 4), "metadata": {"unit": "\\u00B5m"}}, (0.00025, 0.0005)),
        ({"imagej": True, "resolution": (2, 4), "metadata": {"unit": "pixel"}}, None),
        ({"imagej": True, "resolution": (2, 4)}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}}, (0.00025, 0.0005)),
        (
            {"ome": True, "metadata": {"PhysicalSizeX": 50, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}},
            (0.00025, 0.00005),
        ),
        ({"ome": True}, None),
    ],
)
def test_spacing_where_the_unit_is_given(
    tmp_path: Path, options: dict[str, Any], expected: tuple[float, float] | None
) -> None:
    path = tmp_path / ("a.ome.tif" if "ome" in options else "a.tif")
    tifffile.imwrite(path, random(21, 23), **options)
    assert read_raster(path).spacing == (None if expected is None else pytest.approx(expected))


def test_spacing_of_a_stack_tells_its_axis(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 3.0}
    tifffile.imwrite(path, random(5, 11, 13), imagej=True, resolution=(2, 4), metadata=metadata)
    grid = read_grid(path)
    assert grid is not None
    assert grid.spacing == pytest.approx((0.00025, 0.0005, 0.003))
    assert read_raster(slice_paths(path)[2]).spacing == pytest.approx((0.00025, 0.0005))


LAYOUTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((70, 90), {}),
    "plain, big-endian": ((70, 90), {"byteorder": ">"}),
    "tiled": ((70, 90), {"tile": (16, 32)}),
    "tiled, compressed": ((70, 90, 3), {"tile": (16, 32), "compression": "zlib", "photometric": "rgb"}),
    "stripped": ((70, 90), {"rowsperstrip": 7, "compression": "lzw", "predictor": True}),
    "planar": (
        (3, 70, 90),
        {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 16), "compression": "zlib"},
    ),
    "planar strips": ((3, 70, 90), {"photometric": "rgb", "planarconfig": "separate", "rowsperstrip": 9}),
    "channel pages": ((5, 70, 90), {"photometric": "minisblack", "compression": "zlib", "rowsperstrip": 16}),
    "big-endian": ((70, 90), {"byteorder": ">", "tile": (16, 16)}),
    "rows as pages": ((70, 90, 5), {"photometric": "minisblack", "compression": "zlib"}),
    "alpha": ((70, 90, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (16, 16)}),
    "turned": ((70, 90), {"tile": (16, 16), "extratags": [(274, 3, 1, 6, True)]}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_region_is_the_part_of_the_whole(tmp_path: Path, name: str) -> None:
    shape, options = LAYOUTS[name]
    tifffile.imwrite(tmp_path / "a.tif", random(*shape), **options)
    whole = read_image(tmp_path / "a.tif")
    for top, left, height, width in [(0, 0, 70, 90), (5, 7, 30, 40), (15, 31, 2, 2), (60, 60, 50, 50), (69, 69, 1, 1)]:
        part = read_region(tmp_path / "a.tif", top, left, height, width)
        assert part.dtype == whole.dtype
        np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])
    with pytest.raises(UnreadableFileError, match=r"5 x 5 pixels from row 95, column 0 of an image of"):
        read_region(tmp_path / "a.tif", 95, 0, 5, 5)


def test_a_region_of_a_palette_is_colors(tmp_path: Path) -> None:
    colors = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256) << 6
    indices = random(40, 40, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colors, tile=(16, 16))
    np.testing.assert_array_equal(read_region(tmp_path / "a.tif", 3, 5, 20, 20), (colors.T >> 8)[indices][3:23, 5:25])


@pytest.mark.parametrize(
    "options", [{"tile": (256, 256), "compression": "zlib"}, {"rowsperstrip": 16, "compression": "zlib"}, {}]
)
def test_a_region_does_not_load_the_image(tmp_path: Path, options: dict[str, Any]) -> None:
    """In a process of its own, whose memory grows by far less than the 128 MB of the image."""
    path = tmp_path / "large.tif"
    row = np.arange(8000, dtype=np.uint16)
    tifffile.imwrite(path, row + row[:, None] % 7, **options)
    code = f"""
import resource, tracemalloc, numpy as np
from segkit.data.image_io import read_region
read_region({str(path)!r}, 0, 0, 8, 8)
tracemalloc.start()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
part = read_region({str(path)!r}, 4000, 3000, 500, 600)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert (part[..., 0] == np.arange(3000, 3600) + np.arange(4000, 4500)[:, None] % 7).all()
print(grown, tracemalloc.get_traced_memory()[1] // 1024)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    grown, traced = map(int, out.split())
    assert grown < 24_000  # KiB
    assert traced < 16_000


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_one_page_is_told_without_opening(tmp_path: Path, bigtiff: bool, byteorder: Any) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random(21, 23), bigtiff=bigtiff, byteorder=byteorder)
    assert has_one_page(path)
    tifffile.imwrite(path, random(20, 21, 23), bigtiff=bigtiff, byteorder=byteorder)
    assert not has_one_page(path)
    tifffile.imwrite(path, random(4, 21, 23), imagej=True, metadata={"axes": "ZYX"})
    assert not has_one_page(path)
    path.write_bytes(path.read_bytes()[:9])
    assert not has_one_page(path)
