"""Masks that tell classes apart by colour: class files of every kind, and what is said where colours mean nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.class_file import read_class_file
from segkit.data.config import DataConfig
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.data.voc_colors import voc_ids
from segkit.errors import UsageError
from segkit.structures import IGNORE_INDEX, palette

COLORS = ((128, 128, 128), (64, 0, 128), (255, 255, 0))
IDS = np.random.default_rng(0).integers(0, 3, (3, 12, 16))


def paint(root: Path, colors: tuple[tuple[int, int, int], ...], ids: np.ndarray = IDS) -> Path:
    """A mask folder of coloured masks."""
    rng = np.random.default_rng(1)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number, mask in enumerate(ids):
        image = rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / f"images/{number}.png")
        Image.fromarray(np.array(colors, np.uint8)[mask]).save(root / f"masks/{number}.png")
    return root


def masks(root: Path, config: DataConfig = DataConfig()) -> list[np.ndarray]:  # noqa: B008, frozen
    dataset = open_dataset(root, config)
    dataset.require_usable()
    loaded = {record.id: load_sample(record, dataset.classes).mask for record in dataset.records}
    return [mask for _, mask in sorted(loaded.items()) if mask is not None]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.csv", "id,name,r,g,b\n0,sky,128,128,128\n1,car,64,0,128\n2,lane,255,255,0\n"),
        ("class_dict.csv", "name, r, g, b\nsky, 128, 128, 128\ncar, 64, 0, 128\nlane, 255, 255, 0\n"),
        ("label_colors.txt", "128 128 128\tsky\n64 0 128\tcar\n255 255 0\t\tlane\n"),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nsky:128,128,128::\ncar:64,0,128:wheel,door:\nlane:255,255,0::\n",
        ),
    ],
)
def test_the_class_file_beside_the_data_says_what_colors_mean(tmp_path: Path, name: str, text: str) -> None:
    paint(tmp_path / "set", COLORS)
    (tmp_path / "set" / name).write_text(text)
    assert open_dataset(tmp_path / "set").classes.names == ("sky", "car", "lane")
    np.testing.assert_array_equal(masks(tmp_path / "set"), IDS)


def test_names_alone_are_enough_for_the_colors_of_pascal_voc(tmp_path: Path) -> None:
    voc = palette(5)
    ids = np.where(IDS == 2, 4, IDS)
    paint(tmp_path / "set", (*voc, (224, 224, 192)), np.where(np.arange(16) == 3, 5, ids))
    config = DataConfig(classes=("background", "cat", "dog", "cow", "sheep"), allow=("class-without-training-pixels",))
    dataset = open_dataset(tmp_path / "set", config)
    assert "the colours are Pascal VOC's for the ids of --classes" in dataset.notes
    expected = ids.copy()
    expected[:, :, 3] = IGNORE_INDEX
    np.testing.assert_array_equal(masks(tmp_path / "set", config), expected)


def test_colors_beyond_the_declared_names_are_not_guessed(tmp_path: Path) -> None:
    paint(tmp_path / "set", palette(3))
    (tmp_path / "set/classes.txt").write_text("background\ncat\n")
    (found,) = [found for found in open_dataset(tmp_path / "set").errors if found.code == "unknown-id"]
    assert found.message == (
        "masks hold colours and nothing says which classes they are: (0, 0, 0), (0, 128, 0), (128, 0, 0); "
        f"give {tmp_path}/set/classes.txt the columns r,g,b, or write a class file with the columns id,name,r,g,b"
    )


def test_unknown_colors_are_answered_with_what_to_write(tmp_path: Path) -> None:
    paint(tmp_path / "set", COLORS)
    (found,) = [found for found in open_dataset(tmp_path / "set").errors if found.code == "unknown-id"]
    assert found.message == (
        "masks hold colours and nothing says which classes they are: (64, 0, 128), (128, 128, 128), (255, 255, 0); "
        "give a class file: --classes FILE.csv with the columns id,name,r,g,b, "
        "rows such as 0,NAME,64,0,128 and 1,NAME,128,128,128"
    )
    paint(tmp_path / "voc", palette(3))
    (found,) = [found for found in open_dataset(tmp_path / "voc").errors if found.code == "unknown-id"]
    assert found.message.endswith(
        "or, as they are Pascal VOC's for the ids 0, 1, 2, names alone: --classes NAME0,NAME1,..."
    )


def test_smoothed_colors_are_told_from_classes(tmp_path: Path) -> None:
    root = paint(tmp_path / "set", COLORS)
    (root / "classes.csv").write_text("name,r,g,b\nsky,128,128,128\ncar,64,0,128\nlane,255,255,0\n")
    for file in (root / "masks").iterdir():
        Image.open(file).resize((64, 48), Image.Resampling.BILINEAR).save(file)
        image = root / "images" / file.name
        Image.open(image).resize((64, 48)).save(image)
    (found,) = [found for found in open_dataset(root).errors if found.code == "unknown-id"]
    assert "are traces of smoothing or JPEG; export the masks anew as PNG, without smoothing" in found.message
    assert len(found.files) == 3


def test_two_colors_are_a_palette_only_where_they_are_its_first() -> None:
    assert voc_ids([0x000000, 0x800000]) == [0, 1]
    assert voc_ids([0x000000, 0x000080]) == []
    assert voc_ids([0x000000, 0x000080, 0xE0E0C0]) == []
    assert voc_ids([0x000000, 0x800000, 0x008000, 0xE0E0C0]) == [0, 1, 2]
    assert voc_ids([0x000000, 0x123456, 0x008000]) == []


def test_a_labelmap_with_a_color_beyond_a_byte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("sky:1,2,256::\n")
    with pytest.raises(UsageError, match=r"labelmap\.txt: '256' is no colour value; r, g and b are 0 to 255"):
        read_class_file(tmp_path / "labelmap.txt")
