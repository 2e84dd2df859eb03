"""Parts of large images are those of the whole, and what needs no whole image does without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from segkit.data.image_io import read_image
from segkit.data.readers import _size
from segkit.data.readers._tiff_regions import TiffImage
from segkit.errors import SegkitError, UnreadableFileError, UsageError
from segkit.inference import image_parts, large_memory
from segkit.inference.image_parts import JoinedChannels, OpenImage, open_image
from segkit.inference.large_memory import require_room
from segkit.inference.reading_ahead import read_ahead
from segkit.ops.sizes import pad_mirrored, take_mirrored
from tests.inference.large_run import ramp_predictor
from tests.inference.networks import photo
from tests.inference.test_merging import TILES
from tests.inference.test_objects import predictor


@pytest.fixture(autouse=True)
def every_image_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_parts, "LARGE", 1)
    monkeypatch.setattr(_size, "_SMALL_FILE", 1)


def tiff(path: Path, values: NDArray[np.generic], **options: object) -> Path:
    tifffile.imwrite(path, values, tile=(32, 32), compression="zlib", **options)
    return path


def test_parts_beyond_the_border_are_those_of_the_mirrored_image() -> None:
    image = photo(9, 7)
    mirrored = pad_mirrored(image.transpose(2, 0, 1), (20, 20, 20, 20)).transpose(1, 2, 0)
    for top, bottom, left, right in [(-20, 29, -20, 27), (2, 5, 1, 7), (-3, 4, 5, 20), (8, 9, -2, -1)]:
        part = take_mirrored(image, slice(top, bottom), slice(left, right))
        assert np.array_equal(part, mirrored[top + 20 : bottom + 20, left + 20 : right + 20])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32, np.bool_])
def test_an_open_image_gives_what_the_file_holds(tmp_path: Path, dtype: type[np.generic]) -> None:
    path = tiff(
        tmp_path / "a.tif", (photo(90, 70, 1)[..., 0] % 200).astype(dtype), resolution=(100, 200), resolutionunit=3
    )
    whole = read_image(path)
    with open_image([path]) as image:
        assert isinstance(image.values, TiffImage)
        assert image.values.shape == whole.shape
        assert image.values.dtype == whole.dtype
        assert image.spacing == (0.05, 0.1)
        assert np.array_equal(image.values[5:70, 3:9], whole[5:70, 3:9])
        assert np.array_equal(image.whole(), whole)
        assert image.held_bytes(40, 40) >= 2 * 32 * 2 * 32 * np.dtype(dtype).itemsize


def test_channels_of_several_files(tmp_path: Path) -> None:
    channels = photo(50, 60, 3)
    files = [tiff(tmp_path / f"a_000{channel}.tif", channels[..., channel]) for channel in range(3)]
    with open_image(files) as image:
        assert isinstance(image.values, JoinedChannels)
        assert np.array_equal(image.values[10:40, 20:60], channels[10:40, 20:60])
    tiff(files[1], channels[:40, :, 1])
    with (
        pytest.raises(UnreadableFileError, match=r"a_0001\.tif: holds 60 x 40 uint8, but a_0000\.tif"),
        open_image(files),
    ):
        pass


def test_a_damaged_part_is_an_error_of_its_file(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", photo(200, 200), photometric="rgb")
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.dataoffsets[20]
    content = bytearray(path.read_bytes())
    content[place : place + 200] = bytes(200)
    path.write_bytes(content)
    with open_image([path]) as image, pytest.raises(UnreadableFileError, match=r"a\.tif: damaged or cut short"):
        image.whole()


def test_statistics_are_those_of_the_whole_image(tmp_path: Path) -> None:
    """Bit for bit, though no more than some rows are read at a time."""
    path = tiff(tmp_path / "a.tif", photo(300, 200), photometric="rgb")
    pipeline = ramp_predictor(normalization="zscore").pipeline
    with open_image([path]) as image:
        assert pipeline.scale_of(image.values) == pipeline.scale_of(read_image(path))


def test_a_wrong_number_of_channels_is_said_of_parts_too(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", photo(300, 300, 1)[..., 0])
    with pytest.raises(UsageError, match="the image has 1 channel, the model takes 3"):
        ramp_predictor().segment(path)


@pytest.mark.parametrize("task", ["detect", "classify", "segment", "instances"])
def test_every_head_predicts_a_file_in_parts_as_its_array(tmp_path: Path, task: str) -> None:
    values = np.zeros((160, 160), np.uint8)
    values[20:60, 30:75] = values[90:110, 100:150] = 240
    one = predictor((task,), **TILES)  # type: ignore[arg-type]
    path = tiff(tmp_path / "a.tif", values)
    assert one.predict(path).to_table() == one.predict(values).to_table()  # type: ignore[union-attr]


def test_objects_that_would_not_fit_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_memory, "_machine_bytes", lambda: 2**30)
    image = OpenImage(np.zeros((1, 1, 1), np.uint8), None)
    require_room(predictor(("instances",), **TILES), image, overlay=False, probabilities=False)
    huge = OpenImage(np.broadcast_to(np.uint8(0), (20_000, 10_000, 1)), None)
    said = (
        r"objects of 10,000 x 20,000 pixels are grown .* about 10 GiB, and this machine has 1; cut the image into parts"
    )
    with pytest.raises(SegkitError, match=said):
        require_room(predictor(("instances",), **TILES), huge, overlay=False, probabilities=False)
    require_room(predictor(("detect",), **TILES), huge, overlay=False, probabilities=False)


def test_the_next_is_read_while_the_present_is_worked_on() -> None:
    read: list[int] = []

    def double(number: int) -> int:
        if number == 3:
            raise UnreadableFileError("c.tif", "damaged")
        read.append(number)
        return 2 * number

    given = read_ahead(double, iter(range(5)))
    assert next(given) == (0, 0)
    assert next(given) == (1, 2)
    assert read[:2] == [0, 1]
    assert next(given) == (2, 4)
    with pytest.raises(UnreadableFileError, match=r"c\.tif"):
        next(given)
    assert list(read_ahead(double, [])) == []
