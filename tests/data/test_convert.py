"""From one layout to another: what is refused, what is kept, and that nothing half-written remains."""

import gzip
from pathlib import Path

import cv2
import numpy as np
import pytest

from segkit.data.config import DataConfig
from segkit.data.convert import convert_dataset
from segkit.data.formats._base import FORMATS
from segkit.data.formats._writing import WRITERS
from segkit.data.image_io import read_mask
from segkit.data.opening import OpenDataset, open_dataset
from segkit.errors import DataError, OutputError, UsageError
from segkit.experiment.convert import convert


@pytest.fixture
def data(tmp_path: Path) -> Path:
    FORMATS.get("mask-folder")().example(tmp_path / "data")
    return tmp_path / "data"


def test_a_mask_folder_comes_back_with_its_classes_parts_and_groups(data: Path, tmp_path: Path) -> None:
    (data / "classes.csv").write_text("id,name,r,g,b,void\n0,background,0,0,0,\n1,blur,9,9,9,1\n2,disc,1,2,3,\n")
    conversion = convert(data, tmp_path / "out", "mask-folder", quiet=True)
    back = open_dataset(tmp_path / "out")
    assert conversion.losses == ()
    assert (back.classes.names, back.classes.colors[1]) == (("background", "disc"), (1, 2, 3))
    assert [(r.id, r.group, r.split) for r in back.records] == [
        (r.id, r.group, r.split) for r in open_dataset(data).records
    ]
    mask = read_mask(tmp_path / "out/masks/0.png")
    assert np.array_equal(mask, np.array([0, 255, 2])[read_mask(data / "masks/0.png")])
    assert "255,void" in (tmp_path / "out/classes.csv").read_text()


def test_parts_that_nobody_stated_are_not_written(data: Path, tmp_path: Path) -> None:
    (data / "split.csv").unlink()
    (data / "groups.csv").unlink()
    convert(data, tmp_path / "out", "mask-folder", quiet=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["classes.csv", "images", "masks"]
    convert(data, tmp_path / "cut", "mask-folder", quiet=True, split="60/20/20")
    assert (tmp_path / "cut/split.csv").read_text().count("\n") == 7


def test_ids_beyond_255_become_16_bit_masks(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    (data / "classes.csv").write_text("id,name\n0,background\n300,far\n")
    cv2.imwrite(str(data / "images/a.png"), np.eye(8, dtype=np.uint8))
    cv2.imwrite(str(data / "masks/a.png"), 300 * np.eye(8, dtype=np.uint16))
    convert(data, tmp_path / "out", "mask-folder", quiet=True, allow=["class-without-training-pixels"])
    assert np.array_equal(read_mask(tmp_path / "out/masks/a.png"), 300 * np.eye(8))


def test_a_background_of_another_name_is_a_stated_loss(data: Path, tmp_path: Path) -> None:
    (data / "classes.csv").write_text("id,name\n0,sky\n1,square\n2,disc\n")
    conversion = convert(data, tmp_path / "out", "mask-folder", quiet=True, background=0)
    assert conversion.losses == ("that sky is the background is not kept: read it with --background 0",)


def test_numbered_objects_are_a_stated_loss_of_masks(data: Path, tmp_path: Path) -> None:
    (data / "classes.csv").unlink()
    conversion = convert(data, tmp_path / "out", "mask-folder", quiet=True, map={"other": 1})
    assert conversion.losses == ("single objects are not kept: masks tell the class of each pixel only",)


def test_what_was_lost_is_said_aloud(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "classes.csv").write_text("id,name\n0,sky\n1,square\n2,disc\n")
    convert(data, tmp_path / "out", "mask-folder", background=0)
    said = capsys.readouterr().out
    assert "lost: that sky is the background is not kept" in said
    assert f"6 images of {data} written as mask-folder in {tmp_path / 'out'}" in said


def test_a_folder_that_holds_something_is_refused_before_anything_is_read(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="out is not empty; name a new folder"):
        convert(tmp_path / "nothing there", tmp_path / "out", "mask-folder", quiet=True)
    with pytest.raises(UsageError, match=r"mine\.txt is a file; name a new folder"):
        convert(data, tmp_path / "out/mine.txt", "mask-folder", quiet=True)
    (tmp_path / "out/mine.txt").unlink()
    convert(data, tmp_path / "out", "mask-folder", quiet=True)
    assert (tmp_path / "out/masks/0.png").is_file()


def test_an_unknown_layout_is_refused_with_the_nearest(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown layout to write 'mask_folder'\. Did you mean 'mask-folder'"):
        convert(data, tmp_path / "out", "mask_folder", quiet=True)


def test_bad_data_is_refused_or_left_out_when_allowed(data: Path, tmp_path: Path) -> None:
    (data / "images/3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"has 1 error; correct them.*\n.*unreadable-image.*images/3\.png"):
        convert(data, tmp_path / "out", "mask-folder", quiet=True)
    assert not (tmp_path / "out").exists()
    convert(data, tmp_path / "out", "mask-folder", quiet=True, allow=["unreadable-image"])
    assert len(list((tmp_path / "out/images").iterdir())) == 5


def test_what_only_training_would_refuse_is_converted(data: Path, tmp_path: Path) -> None:
    (data / "groups.csv").write_text("id,group\n" + "".join(f"{i},one\n" for i in range(6)))
    dataset = open_dataset(data)
    assert [found.code for found in dataset.errors] == ["group-across-splits"]
    convert_dataset(dataset, tmp_path / "out", "mask-folder")
    assert [found.code for found in open_dataset(tmp_path / "out").errors] == ["group-across-splits"]


def test_nothing_remains_of_a_conversion_that_fails(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(dataset: OpenDataset, out: Path, progress: object = None) -> tuple[str, ...]:
        (out / "half.png").write_bytes(b"half")
        raise error

    monkeypatch.setitem(WRITERS._parts, "mask-folder", fail)
    for error in (OutputError("cannot write half.png: No space left on device"), gzip.BadGzipFile("CRC check failed")):
        with pytest.raises(type(error), match=f"^{error}$"):  # whoever reads and writes can tell what went wrong
            convert_dataset(open_dataset(data, DataConfig()), tmp_path / "out", "mask-folder")
        assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_cannot_take_its_name_is_said(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    def write_nothing(dataset: OpenDataset, out: Path, progress: object = None) -> tuple[str, ...]:
        return ()

    monkeypatch.setitem(WRITERS._parts, "mask-folder", write_nothing)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match=r"cannot write .*out: Permission denied; name another place"):
        convert_dataset(open_dataset(data, DataConfig()), tmp_path / "out", "mask-folder")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_slices_and_images_in_one_file_become_files_of_their_own(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for folder, values in (("images", np.random.default_rng(0).random((6, 5, 4))), ("masks", np.ones((6, 5, 4)))):
        (tmp_path / "data" / folder).mkdir(parents=True)
        values[0] = 0
        image = nibabel.Nifti1Image(
            values.astype(np.float32 if folder == "images" else np.uint8), np.diag([1, 1, 2, 1])
        )
        nibabel.save(image, tmp_path / "data" / folder / "p1.nii.gz")
    conversion = convert(tmp_path / "data", tmp_path / "out", "mask-folder", quiet=True)
    assert sorted(path.name for path in (tmp_path / "out/images").iterdir()) == [f"p1_00{i}.tif" for i in range(4)]
    assert conversion.losses == ("the distance between pixels in mm is not kept",)
    back = open_dataset(tmp_path / "out")
    assert {record.group for record in back.records} == {"p1"}
    assert sorted(f.pixel_hash for f in back.facts.images.values()) == sorted(
        f.pixel_hash for f in conversion.source.facts.images.values()
    )
