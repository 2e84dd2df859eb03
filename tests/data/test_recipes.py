"""Public sets as their publishers lay them out, in small: each becomes a layout that is read without errors."""

from collections.abc import Callable
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import pytest

from segkit.data.catalogue import catalogue
from segkit.data.convert import ABOUT_TRAINING
from segkit.data.formats._base import FORMATS
from segkit.data.formats._examples import scenes
from segkit.data.image_io import read_image, read_mask
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.recipes import RECIPES, Source, lay_out
from segkit.errors import DataError, OutputError, UnreadableFileError

Scene = tuple[np.ndarray, np.ndarray]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def colored(image: np.ndarray) -> np.ndarray:
    return np.stack([image, image // 2, 255 - image], axis=2)


def kvasir(root: Path) -> None:
    for index, (image, numbers) in enumerate(scenes(4)):
        save(root / f"Kvasir-SEG/images/c{index}.jpg", colored(image))
        save(root / f"Kvasir-SEG/masks/c{index}.jpg", np.dstack([255 * (numbers == 1).astype(np.uint8)] * 3))
    (root / "Kvasir-SEG/kavsir_bboxes.json").write_text("{}")


def isic(root: Path) -> None:
    for part, images in (("Training", range(3)), ("Validation", range(3, 5)), ("Test", range(5, 7))):
        for index, (image, numbers) in enumerate(scenes(7)):
            if index in images:
                name = f"ISIC_{index:07}"
                save(root / f"ISIC2018_Task1-2_{part}_Input/{name}.jpg", colored(image))
                mask = 255 * (numbers == 1).astype(np.uint8)
                save(root / f"ISIC2018_Task1_{part}_GroundTruth/{name}_segmentation.png", mask)
        (root / f"ISIC2018_Task1-2_{part}_Input/LICENSE.txt").write_text("CC BY-NC")


def penn_fudan(root: Path) -> None:
    for index, (image, numbers) in enumerate(scenes(4)):
        save(root / f"PennFudanPed/PNGImages/FudanPed{index:05}.png", colored(image))
        save(root / f"PennFudanPed/PedMasks/FudanPed{index:05}_mask.png", numbers)
    (root / "PennFudanPed/Annotation").mkdir()


def oxford_pet(root: Path) -> None:
    for index, (image, numbers) in enumerate(scenes(6)):
        save(root / f"images/Great_Dane_{index}.jpg", colored(image))
        trimap = np.array([2, 1, 3], np.uint8)[numbers]
        save(root / f"annotations/trimaps/Great_Dane_{index}.png", trimap)
        (root / f"annotations/trimaps/._Great_Dane_{index}.png").write_bytes(b"\0\5\26\7")
    save(root / "images/unlisted_1.jpg", colored(image))
    for name, part in (("trainval", range(4)), ("test", range(4, 6))):
        (root / f"annotations/{name}.txt").write_text("".join(f"Great_Dane_{i} 1 1 1\n" for i in part))


def nuclei(root: Path) -> None:
    for index, (image, numbers) in enumerate(scenes(4)):
        rgba = np.dstack([image, image, image, np.full_like(image, 255)])
        save(root / f"{index:064}/images/{index:064}.png", rgba)
        for number in (1, 2):
            save(root / f"{index:064}/masks/{number}{index:063}.png", 255 * (numbers == number).astype(np.uint8))
    (root / "__MACOSX").mkdir()


def isbi(root: Path) -> None:
    for index, (image, numbers) in enumerate(scenes(4)):
        save(root / f"unet-b45af4d/data/membrane/train/image/{index}.png", image)
        save(root / f"unet-b45af4d/data/membrane/train/label/{index}.png", 255 * (numbers == 0).astype(np.uint8))
        save(root / f"unet-b45af4d/data/membrane/test/{index}.png", image)
        save(root / f"unet-b45af4d/image/{index}.png", image)


def voc(root: Path) -> None:
    FORMATS.get("voc")().example(root / "VOCdevkit/VOC2012")


PUBLISHED: dict[str, Callable[[Path], None]] = {
    "kvasir-seg": kvasir,
    "isic2018": isic,
    "penn-fudan": penn_fudan,
    "oxford-iiit-pet": oxford_pet,
    "nuclei-dsb2018": nuclei,
    "isbi2012-em": isbi,
    "voc2012": voc,
}


@pytest.fixture
def laid_out(tmp_path: Path) -> Callable[[str], OpenDataset]:
    def make(name: str) -> OpenDataset:
        PUBLISHED[name](tmp_path / "source")
        (tmp_path / "out").mkdir()
        lay_out(catalogue()[name], Source(tmp_path / "source"), tmp_path / "out")
        return open_dataset(tmp_path / "out", task=catalogue()[name].task)

    return make


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_set_as_published_is_read_without_errors(laid_out: Callable[[str], OpenDataset], name: str) -> None:
    dataset = laid_out(name)
    assert [found.message for found in dataset.errors if found.code not in ABOUT_TRAINING] == []
    assert len(dataset.records) >= 3


def test_masks_that_jpeg_blurred_have_two_values_again(laid_out: Callable[[str], OpenDataset], tmp_path: Path) -> None:
    dataset = laid_out("kvasir-seg")
    assert set(np.unique(read_image(tmp_path / "source/Kvasir-SEG/masks/c0.jpg"))) > {0, 255}
    for index, (_, numbers) in enumerate(scenes(4)):
        assert np.array_equal(read_mask(tmp_path / f"out/masks/c{index}.png") == 255, numbers == 1)
    assert dataset.classes.names == ("background", "polyp")


def test_pets_keep_their_official_parts_masks_and_breeds(
    laid_out: Callable[[str], OpenDataset], tmp_path: Path
) -> None:
    dataset = laid_out("oxford-iiit-pet")
    assert dataset.classes.names == ("background", "foreground")
    trimap = read_mask(tmp_path / "source/annotations/trimaps/Great_Dane_0.png")
    assert np.array_equal(read_mask(tmp_path / "out/masks/Great_Dane_0.png"), np.array([0, 1, 0, 255])[trimap])
    assert [record.id for record in dataset.split("test")] == ["images/Great_Dane_4", "images/Great_Dane_5"]
    classified = open_dataset(tmp_path / "out", task="classify")
    assert {record.label for record in classified.records} == {"Great_Dane"}


def test_isic_keeps_its_official_parts(laid_out: Callable[[str], OpenDataset]) -> None:
    assert {part: len(ids) for part, ids in laid_out("isic2018").splits().items()} == {"train": 3, "val": 2, "test": 2}


def test_pedestrians_stay_single_objects(laid_out: Callable[[str], OpenDataset]) -> None:
    dataset = laid_out("penn-fudan")
    assert dataset.classes.names == ("background", "pedestrian")
    assert dataset.classes.other == 1


def test_nuclei_lose_their_opacity_channel_and_nothing_else(
    laid_out: Callable[[str], OpenDataset], tmp_path: Path
) -> None:
    dataset = laid_out("nuclei-dsb2018")
    assert len(dataset.records) == 4
    first, _ = next(scenes(1))
    image = read_image(dataset.records[0].image)
    assert image.shape == (32, 32, 3)
    assert np.array_equal(image[..., 0], first)
    assert len(list((tmp_path / "out").glob("*/masks/*.png"))) == 8


def test_the_slices_of_the_challenge_are_found_among_other_folders(
    laid_out: Callable[[str], OpenDataset], tmp_path: Path
) -> None:
    laid_out("isbi2012-em")
    assert len(list((tmp_path / "out/masks").iterdir())) == 4
    assert (tmp_path / "out/classes.csv").read_text() == "id,name,void\n0,membrane,0\n1,cell,0\n"


def test_a_source_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for name, entry in catalogue().items():
        with pytest.raises(DataError, match="give the set as it is published"):
            lay_out(entry, Source(tmp_path / "source"), tmp_path / name)


def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    FORMATS.get("idx")().example(tmp_path / "source")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: the MD5 of its content is .* and not 6bbc9ace"):
        lay_out(catalogue()["mnist"], Source(tmp_path / "source"), tmp_path / "out")


@pytest.mark.parametrize("damage", ["cut", "checksum", "stream", "no gzip"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    """Not the folder that is written, and not its disk."""
    FORMATS.get("idx")().example(tmp_path / "source")
    file = tmp_path / "source/train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    (tmp_path / "out").mkdir()
    file.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "checksum": whole[:-8] + bytes(4) + whole[-4:],
            "stream": whole[:200] + bytes(20) + whole[220:],
            "no gzip": b"<html>not found</html>",
        }[damage]
    )
    with pytest.raises(
        UnreadableFileError, match=r"^cannot read train-images-idx3-ubyte\.gz: damaged or cut short; do"
    ):
        lay_out(catalogue()["mnist"], Source(tmp_path / "source"), tmp_path / "out")


def test_a_file_that_cannot_be_copied_is_named_and_not_the_one_to_write(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/train-images-idx3-ubyte").symlink_to(tmp_path / "nothing")
    (tmp_path / "out").mkdir()
    with pytest.raises(UnreadableFileError, match=r"cannot read .*source/train-images-idx3-ubyte: No such file"):
        lay_out(catalogue()["mnist"], Source(tmp_path / "source"), tmp_path / "out")


def test_a_full_disk_is_no_damaged_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FORMATS.get("idx")().example(tmp_path / "source")
    monkeypatch.setattr(Path, "open", _open_on_a_full_disk(Path.open))
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*out/.*gz: No space left on device; free space"):
        lay_out(catalogue()["mnist"], Source(tmp_path / "source"), tmp_path / "out")


def _open_on_a_full_disk(really_open: Callable[..., IO[bytes]]) -> Callable[..., IO[bytes]]:
    return lambda path, mode="r": really_open(Path("/dev/full") if mode == "wb" else path, mode, buffering=0)


def test_every_recipe_belongs_to_a_set() -> None:
    assert {entry.recipe for entry in catalogue().values() if entry.recipe} == set(RECIPES)
