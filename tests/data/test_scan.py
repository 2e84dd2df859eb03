from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.check_files import check_files
from segkit.data.image_io import read_image, read_mask, read_raster
from segkit.data.readers._base import Raster
from segkit.data.scan import Facts, scan
from segkit.data.scan_cache import cache_folder
from segkit.structures import Annotation, ObjectAnnotation, Polygons, Record


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pairs(tmp_path: Path) -> list[Record]:
    generator = np.random.default_rng(0)
    found = []
    for i in range(5):
        image, mask = tmp_path / f"{i}.png", tmp_path / f"{i}_mask.png"
        Image.fromarray(generator.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)).save(image)
        Image.fromarray(generator.integers(0, 3, (20 + i, 30), dtype=np.uint8)).save(mask)
        found.append(Record(str(i), image, mask))
    return found


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that is decoded from now on."""
    read: list[Path] = []

    def reading(path: Path) -> Raster:
        read.append(path)
        return read_raster(path)

    for module in ("scan", "image_io"):
        monkeypatch.setattr(f"segkit.data.{module}.read_raster", reading)
    return read


def test_facts_of_images_and_masks(pairs: list[Record], cache: Path) -> None:
    facts = scan(pairs)
    image = np.asarray(Image.open(pairs[3].image))
    mask = np.asarray(Image.open(pairs[3].mask))  # type: ignore[arg-type]
    found = facts.images["3"]
    assert (found.size, found.channels, found.dtype, found.error) == ((23, 30), 3, "uint8", None)
    np.testing.assert_allclose(found.mean, image.mean(axis=(0, 1)))
    np.testing.assert_allclose(found.std, image.std(axis=(0, 1)))
    assert facts.masks["3"].size == (23, 30)
    assert facts.masks["3"].values == {value: int((mask == value).sum()) for value in range(3)}
    assert facts.masks["3"].kind == "ids"


def test_statistics_are_those_after_conversion(pairs: list[Record], cache: Path) -> None:
    image = np.asarray(Image.open(pairs[0].image)).astype(np.float64)
    gray = np.rint(image @ [0.299, 0.587, 0.114])
    found = scan(pairs, convert="gray").images["0"]
    assert found.channels == 3
    np.testing.assert_allclose(found.mean, [gray.mean()], atol=1e-3)
    np.testing.assert_allclose(found.std, [gray.std()], atol=1e-3)
    assert len(scan(pairs).images["0"].mean) == 3  # not the cached ones of another conversion


def test_a_second_scan_reads_nothing(pairs: list[Record], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scan(pairs)
    read = count_reads(monkeypatch)
    assert scan(pairs) == first
    assert read == []


def test_only_what_changed_is_read_again(pairs: list[Record], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan(pairs)
    Image.fromarray(np.full((21, 30, 3), 9, np.uint8)).save(pairs[1].image)
    later = time.time() + 10
    os.utime(pairs[2].image, (later, later))
    read = count_reads(monkeypatch)
    facts = scan(pairs)
    assert sorted(read) == [pairs[1].image, pairs[2].image]
    assert facts.images["1"].mean == (9.0, 9.0, 9.0)


@pytest.mark.parametrize("damage", [b"", b"not json", None])
def test_a_damaged_cache_is_harmless(pairs: list[Record], cache: Path, damage: bytes | None) -> None:
    first = scan(pairs)
    (file,) = (cache / "scan").iterdir()
    content = file.read_bytes()
    # One digit changed: still JSON, but no longer what was written.
    file.write_bytes(content.replace(b"30", b"31", 1) if damage is None else damage)
    assert scan(pairs) == first
    assert file.read_bytes() == content


def test_an_unwritable_cache_is_said_and_harmless(
    pairs: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGKIT_CACHE", str(tmp_path / "file"))
    facts = scan(pairs)
    assert len(facts.images) == 5
    (note,) = facts.notes
    assert note.startswith("the scan could not be kept for next time: cannot make the folder ")
    assert note.endswith(": Not a directory; name another place with $SEGKIT_CACHE")


def test_an_interrupted_scan_goes_on_where_it_stopped(
    pairs: list[Record], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(pairs, interrupt)
    read = count_reads(monkeypatch)
    scan(pairs)
    assert len(read) == 4


def test_progress_counts_every_file(pairs: list[Record], cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    scan(pairs, lambda done, total: seen.append((done, total)))
    assert seen == [(i, 10) for i in range(1, 11)]


def test_errors_are_facts_and_are_not_cached(pairs: list[Record], cache: Path) -> None:
    content = pairs[0].image.read_bytes()
    pairs[0].image.write_bytes(content[: len(content) // 2])
    missing = replace(pairs[1], image=pairs[1].image.with_name("gone.png"))
    facts = scan([pairs[0], missing])
    assert "cut short" in (facts.images["0"].error or "")
    assert facts.images["1"].error == "no such file"
    stamp = pairs[0].image.stat()
    pairs[0].image.write_bytes(content)
    os.utime(pairs[0].image, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert scan([pairs[0]]).images["0"].error is None


def test_a_large_size_that_is_not_the_images_draws_nothing(tmp_path: Path, cache: Path) -> None:
    """A file of objects that states 20,000 x 20,000 pixels for a small image took gigabytes."""
    Image.fromarray(np.zeros((40, 48), np.uint8)).save(tmp_path / "a.png")
    ring = Polygons((np.array([(2, 2), (12, 2), (12, 12), (2, 12)], np.float32),))
    annotation = Annotation((ObjectAnnotation("cell", (2, 2, 12, 12), ring),), tmp_path / "all.json", (20_000, 20_000))
    (tmp_path / "all.json").write_text("{}")
    tracemalloc.start()
    facts = scan([Record("a", tmp_path / "a.png", annotation=annotation)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert (facts.masks["a"].size, facts.masks["a"].error) == ((20_000, 20_000), None)
    assert facts.masks["a"].classes == {"cell": 0}
    found = [one.code for one in check_files([Record("a", tmp_path / "a.png", annotation=annotation)], facts, tmp_path)]
    assert "size-mismatch" in found


def test_objects_are_drawn_again_where_another_file_changes_what_they_mean(tmp_path: Path, cache: Path) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 ...")  # the names stand in a file of their own
    region = Polygons((np.array([(0, 0), (3, 0), (3, 2), (0, 2)], np.float32),))

    def claimed(one: ObjectAnnotation) -> tuple[dict[str, int], int]:
        record = Record("a", tmp_path / "a.png", annotation=Annotation((one,), tmp_path / "a.txt"))
        facts = scan([record]).masks["a"]
        return dict(facts.classes), facts.ignored

    assert claimed(ObjectAnnotation("cat", region.box, region)) == ({"cat": 6}, 0)
    assert claimed(ObjectAnnotation("dog", region.box, region)) == ({"dog": 6}, 0)
    assert claimed(ObjectAnnotation("dog", region.box)) == ({"dog": 0}, 6)
    assert claimed(ObjectAnnotation("dog", region.box, region, ignored=True)) == ({}, 6)


def test_one_mask_file_per_class(tmp_path: Path, cache: Path) -> None:
    cell, nucleus = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)
    cell[:2, :3], nucleus[1:3, 2] = 255, 1
    Image.fromarray(cell).save(tmp_path / "cell.png")
    Image.fromarray(nucleus).save(tmp_path / "nucleus.png")
    Image.fromarray(cell).save(tmp_path / "image.png")
    record = Record("a", tmp_path / "image.png", {"cell": tmp_path / "cell.png", "nucleus": tmp_path / "nucleus.png"})
    facts = [scan([record]).masks["a"] for _ in range(2)]
    assert facts[0] == facts[1]
    assert (facts[0].kind, facts[0].classes, facts[0].overlap) == ("per-class", {"cell": 6, "nucleus": 2}, 1)
    Image.fromarray(cell[:3]).save(tmp_path / "nucleus.png")
    assert scan([record]).masks["a"].error == "the files of its classes have different sizes: (3, 5), (4, 5)"


def test_equal_pixels_have_equal_hashes_in_any_file_format(tmp_path: Path, cache: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.tif")
    facts = scan([Record("png", tmp_path / "a.png"), Record("tif", tmp_path / "a.tif")])
    assert facts.images["png"].pixel_hash == facts.images["tif"].pixel_hash


def test_camvid_facts_equal_a_plain_loop(datasets: Callable[[str], Path], cache: Path) -> None:
    root = datasets("camvid")
    found = [
        Record(path.stem, path, root / "valannot" / f"{path.stem}.png")
        for path in sorted((root / "val").iterdir())[:12]
    ]
    facts: Facts = scan(found)
    for record in found:
        assert isinstance(record.mask, Path)
        image, mask = read_image(record.image), read_mask(record.mask)
        np.testing.assert_allclose(facts.images[record.id].mean, image.mean(axis=(0, 1)))
        assert facts.masks[record.id].values == {int(v): int((mask == v).sum()) for v in np.unique(mask)}


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEGKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "segkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "segkit"


def test_scanning_needs_no_torch() -> None:
    code = (
        "import sys; import segkit.data.scan, segkit.data.check, segkit.data.split; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
