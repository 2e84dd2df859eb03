"""Masks of large images: what memory gives, in bounded memory, and the same bytes whatever interrupts them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segkit.data.image_io import read_mask, read_raster
from segkit.errors import OutputError
from segkit.inference import image_parts
from segkit.inference.mask_part import MaskPart
from segkit.inference.predictor import Predictor
from segkit.inference.writer import write_predictions
from tests.full_disk import full_disk
from tests.inference.large_run import Ramp, ramp_predictor
from tests.inference.networks import class_map, photo

SIZE = 1100, 700
RUN = [sys.executable, "-m", "tests.inference.large_run"]


@pytest.fixture
def every_image_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_parts, "LARGE", 1)


@pytest.fixture
def image(tmp_path: Path, every_image_is_large: None) -> Path:
    """A tiled TIFF whose sides are no multiples of anything."""
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, photo(*SIZE), photometric="rgb", tile=(128, 128), compression="zlib")
    return path


def predicted(predictor: Predictor, image: Path, out: Path) -> bytes:
    summary = write_predictions(predictor, [image], out)
    assert not summary.errors
    assert {path.name for path in (out / "masks").iterdir()} == {"slide.tif"}
    return (out / "masks" / "slide.tif").read_bytes()


@pytest.mark.parametrize("normalization", ["8bit", "zscore"])
@pytest.mark.parametrize("options", [{"tile": (128, 128), "compression": "zlib"}, {"rowsperstrip": 40}, {}])
def test_the_file_holds_the_mask_that_memory_gives(
    tmp_path: Path, every_image_is_large: None, normalization: str, options: dict[str, object]
) -> None:
    values = photo(*SIZE)
    tifffile.imwrite(tmp_path / "slide.tif", values, photometric="rgb", **options)
    predictor = ramp_predictor(normalization=normalization)
    predictor.pipeline = predictor.pipeline.model_copy(update={"whole_limit": 1})
    predicted(predictor, tmp_path / "slide.tif", tmp_path / "out")
    mask = tmp_path / "out" / "masks" / "slide.tif"
    expected = predictor.segment(values).mask
    assert np.array_equal(read_mask(mask), expected)
    assert np.array_equal(tifffile.imread(mask), expected)
    assert len(np.unique(expected)) == 3
    raster = read_raster(mask)
    assert raster.palette is not None
    assert raster.palette[:3].tolist() == [list(color) for color in predictor.classes.colors]
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        areas = [int(row["pixels"]) for row in csv.DictReader(file)]
    assert areas == np.bincount(expected.ravel()).tolist()


def test_ids_above_255_are_16_bits(tmp_path: Path, image: Path) -> None:
    predictor = Predictor(Ramp(3), ramp_predictor().pipeline, {"segment": class_map(3, ids=(0, 7, 300))})
    predicted(predictor, image, tmp_path / "out")
    mask = read_mask(tmp_path / "out" / "masks" / "slide.tif")
    assert mask.dtype == np.uint16
    assert np.array_equal(mask, np.array([0, 7, 300])[ramp_predictor().segment(image).mask])


def test_files_that_have_no_parts_are_read_whole(tmp_path: Path, every_image_is_large: None) -> None:
    values = photo(300, 200)
    Image.fromarray(values).save(tmp_path / "slide.png")
    tifffile.imwrite(tmp_path / "turned.tif", values, photometric="rgb", extratags=[(274, 3, 1, 3, True)])
    write_predictions(ramp_predictor(), [tmp_path / "slide.png", tmp_path / "turned.tif"], tmp_path / "out")
    expected = ramp_predictor().segment(values).mask
    assert np.array_equal(read_mask(tmp_path / "out" / "masks" / "slide.tif"), expected)
    turned = ramp_predictor().segment(values[::-1, ::-1]).mask
    assert (read_mask(tmp_path / "out" / "masks" / "turned.tif") == turned).mean() > 0.999


def test_memory_is_what_the_formula_says(tmp_path: Path) -> None:
    """In a process of its own, of an image whose pixels alone are more than that."""
    shape = 20_000, 2048, 3
    empty = np.zeros((512, 512, 3), np.uint8)
    tiles = (empty + np.uint8(number % 256) for number in range(40 * 4))
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, tiles, shape=shape, dtype=np.uint8, tile=(512, 512), photometric="rgb", compression="zlib")
    printed = subprocess.check_output([*RUN, str(path), str(tmp_path / "out")], text=True).splitlines()
    expected, grown = map(int, printed[-1].split())
    assert grown <= expected < np.prod(shape)
    assert printed[0].endswith(
        f"slide.tif: 2,048 x 20,000 pixels in 1,144 tiles of 256 x 256, at most {expected / 2**20:.0f} MiB of memory "
        "besides the program and its network"
    )


def test_killed_and_taken_up_it_has_the_same_bytes(tmp_path: Path, image: Path) -> None:
    whole = predicted(ramp_predictor(), image, tmp_path / "whole")
    out = tmp_path / "out"
    process = subprocess.Popen([*RUN, str(image), str(out), "20"], stdout=subprocess.PIPE, text=True)
    while process.poll() is None and rows_done(out) < 300:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert {path.name for path in (out / "masks").iterdir()} == {".slide.tif.part", ".slide.tif.state"}
    with (out / "masks" / ".slide.tif.part").open("ab") as file:
        file.write(b"half a row")  # as where the kill came while rows were written
    again = subprocess.check_output([*RUN, str(image), str(out)], text=True).splitlines()
    assert "; going on after the " in again[0]
    assert predicted_bytes(out) == whole


def rows_done(out: Path) -> int:
    try:
        return int(json.loads((out / "masks" / ".slide.tif.state").read_bytes())["rows"])
    except FileNotFoundError:
        return 0


def predicted_bytes(out: Path) -> bytes:
    assert {path.name for path in (out / "masks").iterdir()} == {"slide.tif"}
    return (out / "masks" / "slide.tif").read_bytes()


def test_interrupted_at_any_tile_it_has_the_same_bytes_and_goes_on(tmp_path: Path, image: Path) -> None:
    whole = predicted(ramp_predictor(), image, tmp_path / "whole")
    shares: list[float] = []

    def interrupt(done: float, total: int) -> None:
        shares.append(done)
        if done > limit:
            raise KeyboardInterrupt

    for limit in (0.05, 0.5, 0.97):  # noqa: B007, read by `interrupt`
        with pytest.raises(KeyboardInterrupt):
            write_predictions(ramp_predictor(), [image], tmp_path / "out", progress=interrupt)
        assert not (tmp_path / "out" / "masks" / "slide.tif").exists()
    starts = [share for share, before in zip(shares, [1.0, *shares], strict=False) if share < before]
    assert starts[:2] == [0, 0]  # no row of tiles was finished
    assert 0.3 < starts[2] <= 0.5 < 0.9 < max(shares)
    assert predicted(ramp_predictor(), image, tmp_path / "out") == whole


def test_progress_counts_by_area(tmp_path: Path, image: Path) -> None:
    seen: list[tuple[float, int]] = []
    Image.fromarray(photo(16, 16)).save(tmp_path / "small.png")
    write_predictions(
        ramp_predictor(), [tmp_path / "small.png", image], tmp_path / "out", progress=lambda *done: seen.append(done)
    )
    done = [share for share, total in seen if total == 2]
    assert done == sorted(done)
    assert done[-1] == 2
    assert min(share for share in done if share > 1) == pytest.approx(1 + 190 * 174 / (1100 * 700))  # one block


@pytest.mark.parametrize("change", ["network", "image", "classes", "state"])
def test_rows_of_anything_else_are_not_taken_up(tmp_path: Path, image: Path, change: str) -> None:
    interrupt(ramp_predictor(), image, tmp_path / "out")
    predictor = ramp_predictor(classes=4 if change == "classes" else 3)
    if change == "network":
        predictor.engine = Ramp(3)
        predictor.engine.run = lambda images: {"segment": images}  # type: ignore[method-assign]
    elif change == "image":
        tifffile.imwrite(image, photo(*SIZE, seed=1), photometric="rgb", tile=(128, 128))
    elif change == "state":
        (tmp_path / "out" / "masks" / ".slide.tif.state").write_text('{"rows": 3')
    again = predicted(predictor, image, tmp_path / "out")
    assert again == predicted(predictor, image, tmp_path / "anew")


def interrupt(predictor: Predictor, image: Path, out: Path) -> None:
    def stop(done: float, total: int) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(predictor, [image], out, progress=stop)


@pytest.mark.parametrize("limit", [200_000, 760_000])
def test_a_full_disk_keeps_the_rows_that_are_done(tmp_path: Path, image: Path, limit: int) -> None:
    whole = predicted(ramp_predictor(), image, tmp_path / "whole")
    said = (
        r"cannot write .*\.slide\.tif\.part: File too large; free space and give the same command again, which goes on"
    )
    with full_disk(limit), pytest.raises(OutputError, match=said):
        write_predictions(ramp_predictor(), [image], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "masks").iterdir()} == {".slide.tif.part", ".slide.tif.state"}
    assert predicted(ramp_predictor(), image, tmp_path / "out") == whole


def test_a_disk_too_full_for_the_mask_itself_keeps_its_rows(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(tifffile, "imwrite", fill)
        with pytest.raises(OutputError, match=r"slide\.tif: No space left on device.*goes on from"):
            write_predictions(ramp_predictor(), [image], tmp_path / "out")
    calls = counting(predictor := ramp_predictor())
    assert predicted(predictor, image, tmp_path / "out") == predicted(ramp_predictor(), image, tmp_path / "whole")
    assert calls == [(1, 3, 128, 128)]  # the corner by which the network is known


def counting(predictor: Predictor) -> list[tuple[int, ...]]:
    """The shapes of what the engine will be given."""
    shapes: list[tuple[int, ...]] = []
    run: Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]] = predictor.engine.run

    def counted(images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        shapes.append(images.shape)
        return run(images)

    predictor.engine.run = counted  # type: ignore[method-assign]
    return shapes


@pytest.mark.parametrize("option", ["overlay", "probabilities"])
def test_what_is_not_written_part_by_part_is_refused(tmp_path: Path, image: Path, option: str) -> None:
    summary = write_predictions(
        ramp_predictor(),
        [image],
        tmp_path / "out",
        overlay=option == "overlay",
        probabilities=option == "probabilities",
    )
    (reason,) = summary.errors.values()
    assert reason.startswith("700 x 1,100 pixels are more than the ")
    assert reason.endswith(f"of which '--{option}' is written; leave it out, or cut the image into parts")


def test_rows_are_put_where_the_state_says(tmp_path: Path) -> None:
    part = MaskPart(tmp_path / "mask.tif", 3, np.uint16, of="this")
    assert part.take_up() == 0
    part.write(0, np.array([[1, 2, 3], [4, 5, 6]]))
    part.write(2, np.array([[7, 8, 300]]))
    assert part.take_up() == 3
    part.write(1, np.array([[9, 9, 9]]))  # anew from the second row on
    assert MaskPart(tmp_path / "mask.tif", 3, np.uint16, of="this").take_up() == 2
    assert MaskPart(tmp_path / "mask.tif", 3, np.uint16, of="other").take_up() == 0
    bands: Iterator[NDArray[np.uint16]] = part.bands(1)
    assert [band.tolist() for band in bands] == [[[1, 2, 3]], [[9, 9, 9]]]
    (tmp_path / ".mask.tif.part").write_bytes(b"short")
    assert part.take_up() == 0
    part.remove()
    assert not list(tmp_path.iterdir())
