"""A small clean set, and the faults that can be planted into it one by one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

SIZE = (40, 48)


def save(path: Path, pixels: NDArray[Any], orientation: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def image_pixels(seed: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, channels), dtype=np.uint8).squeeze()


def mask_pixels(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1000 + seed).integers(0, 3, SIZE, dtype=np.uint8)


def write_clean(root: Path) -> None:
    """12 images of three classes, eight in train and two in each of the others."""
    for i in range(12):
        save(root / "images" / f"{i:02}.png", image_pixels(i))
        save(root / "masks" / f"{i:02}.png", mask_pixels(i))
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    (root / "split.csv").write_text("id,split\n" + "".join(f"{i:02},{part}\n" for i, part in enumerate(parts)))
    (root / "classes.txt").write_text("background\ncell\nnucleus\n")


def cut_short(root: Path, folder: str) -> None:
    path = root / folder / "03.png"
    path.write_bytes(path.read_bytes()[:200])


def text_as_image(root: Path) -> None:
    (root / "images" / "03.png").write_text("not an image")


def empty_file(root: Path) -> None:
    (root / "masks" / "03.png").write_bytes(b"")


def smaller_mask(root: Path) -> None:
    save(root / "masks" / "03.png", mask_pixels(3)[:12, :16])


def turned_image(root: Path) -> None:
    save(root / "images" / "03.png", image_pixels(3), orientation=3)


def not_finite(root: Path) -> None:
    for path in (root / "images").iterdir():
        pixels = np.asarray(Image.open(path)).astype(np.float32)
        if path.stem == "03":
            pixels[0, 0, 0] = np.nan
        tifffile.imwrite(path.with_suffix(".tif"), pixels, photometric="rgb")
        path.unlink()


def gray_image(root: Path) -> None:
    save(root / "images" / "03.png", image_pixels(3, channels=1))


def deep_image(root: Path) -> None:
    (root / "images" / "03.png").unlink()
    tifffile.imwrite(root / "images" / "03.tif", image_pixels(3).astype(np.uint16) * 257, photometric="rgb")


def black_image(root: Path) -> None:
    save(root / "images" / "03.png", np.zeros((*SIZE, 3), np.uint8))
    save(root / "images" / "11.png", np.zeros((*SIZE, 3), np.uint8))


def jpeg_mask(root: Path) -> None:
    (root / "masks" / "03.png").unlink()
    save(root / "masks" / "03.jpg", np.ones(SIZE, np.uint8))


def unknown_value(root: Path) -> None:
    pixels = mask_pixels(3)
    pixels[5, 5] = 77
    save(root / "masks" / "03.png", pixels)


def empty_masks(root: Path) -> None:
    for path in (root / "masks").iterdir():
        save(path, np.zeros(SIZE, np.uint8))


def without_class_in(*parts: str) -> Callable[[Path], None]:
    """Class 2 vanishes from these parts."""

    def plant(root: Path) -> None:
        for line in (root / "split.csv").read_text().split()[1:]:
            name, part = line.split(",")
            if part in parts:
                save(root / "masks" / f"{name}.png", mask_pixels(int(name)).clip(max=1))

    return plant


def copy_image(source: str, target: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        shutil.copy(root / "images" / f"{source}.png", root / "images" / f"{target}.png")

    return plant


def nearly_copied(root: Path) -> None:
    """A copy of a training image in the test part, a little brighter."""
    pixels = image_pixels(3).astype(np.float32) * 0.9 + 20
    save(root / "images" / "11.png", np.rint(pixels).astype(np.uint8))


def hidden_colours(root: Path) -> None:
    """Every image has a transparent corner; only in one of them colours lie beneath."""
    for path in (root / "images").iterdir():
        pixels = np.dstack([np.asarray(Image.open(path)), np.full(SIZE, 255, np.uint8)])
        pixels[:10, :12] = 0 if path.stem != "03" else np.random.default_rng(0).integers(0, 99, (10, 12, 4))
        save(path, pixels)


def two_names_in_one(root: Path) -> None:
    for name in ("a", "A"):
        save(root / "images" / f"{name}.png", image_pixels(ord(name)))
        save(root / "masks" / f"{name}.png", mask_pixels(ord(name)))
    (root / "split.csv").write_text((root / "split.csv").read_text() + "a,train\nA,train\n")


def of_size(height: int, width: int) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        pixels = np.random.default_rng(9).integers(0, 256, (height, width, 3), dtype=np.uint8)
        save(root / "images" / "03.png", pixels)
        save(root / "masks" / "03.png", np.ones((height, width), np.uint8))

    return plant


def gap_in_ids(root: Path) -> None:
    (root / "classes.txt").unlink()
    pixels = mask_pixels(3)
    pixels[5, 5] = 4
    save(root / "masks" / "03.png", pixels)


def other_spacing(root: Path) -> None:
    for path in sorted((root / "images").iterdir()):
        affine = np.diag([0.5, 0.5, 3, 1]) if path.stem == "03" else np.diag([1, 1, 3, 1])
        pixels = np.asarray(Image.open(path))[..., 0]
        nibabel.save(nibabel.Nifti1Image(pixels, affine), path.with_suffix(".nii.gz"))
        path.unlink()


def boxes_alone(*rows: str) -> Callable[[Path], None]:
    """The masks give way to a box of each class in every image but the last, and these rows of further boxes."""

    def plant(root: Path) -> None:
        shutil.rmtree(root / "masks")
        both = [f"{i:02},{label}" for i in range(11) for label in ("cell,2,3,12,9", "nucleus,20,10,44,38.5")]
        lines = ["image,class,x_min,y_min,x_max,y_max", *both, *rows]
        (root / "boxes.csv").write_text("\n".join(lines))

    return plant


def groups_across(root: Path) -> None:
    (root / "groups.csv").write_text("id,group\n03,first\n07,first\n11,first\n")


def missing_mask(root: Path) -> None:
    (root / "masks" / "03.png").unlink()


def missing_image(root: Path) -> None:
    (root / "images" / "03.png").unlink()


def two_suffixes(root: Path) -> None:
    save(root / "images" / "03.bmp", image_pixels(30))


def not_in_the_split(root: Path) -> None:
    split = root / "split.csv"
    split.write_text(split.read_text().replace("03,train\n", ""))


def twice_in_the_split(root: Path) -> None:
    with (root / "split.csv").open("a") as split:
        split.write("03,val\n")


def no_validation(root: Path) -> None:
    split = root / "split.csv"
    split.write_text(split.read_text().replace("train", "test").replace("val", "test"))


IMAGE, MASK = "images/03.png", "masks/03.png"

# What is planted, the codes found (the one under test first), its files, its message.
FAULTS: dict[str, tuple[Callable[[Path], None], list[str], tuple[str, ...], str]] = {
    "image cut short": (
        lambda root: cut_short(root, "images"),
        ["unreadable-image"],
        (IMAGE,),
        "1 image cannot be read .*cut short",
    ),
    "text as image": (text_as_image, ["unreadable-image"], (IMAGE,), "no image of a kind segkit reads"),
    "mask cut short": (
        lambda root: cut_short(root, "masks"),
        ["unreadable-mask"],
        (MASK,),
        "1 mask cannot be read .*cut short",
    ),
    "empty mask file": (empty_file, ["unreadable-mask"], (MASK,), "0 bytes"),
    "size": (smaller_mask, ["size-mismatch"], (MASK,), "image 48 x 40, mask 16 x 12"),
    "orientation": (
        turned_image,
        ["orientation-mismatch"],
        (IMAGE,),
        r"images/03.png 3 and its mask 1; save both upright",
    ),
    "not finite": (
        not_finite,
        ["not-finite"],
        ("images/03.tif",),
        r"1 image with NaN or infinite values \(at most images/03.tif below 0.1%\)",
    ),
    "hidden colours": (
        hidden_colours,
        ["hidden-by-alpha"],
        (IMAGE,),
        "1 image with colours beneath transparent pixels, .* images/03.png 6.2%; save them without transparency",
    ),
    "two names in one": (
        two_names_in_one,
        ["names-differ-by-case"],
        ("images/A.png", "images/a.png"),
        "2 images whose names differ by upper and lower case alone, for example images/A.png and images/a.png",
    ),
    "far larger": (of_size(330, 400), ["absurd-size"], (IMAGE,), "as usual \\(48 pixels\\), for example .* 400 x 330"),
    "tiny": (of_size(12, 48), ["absurd-size"], (IMAGE,), "1 image below 16 pixels, .* images/03.png 48 x 12"),
    "gap in ids": (gap_in_ids, ["gap-in-ids"], (MASK,), "4 .*leave a gap"),
    "spacing": (
        other_spacing,
        ["spacing-differs"],
        ("images/03.nii.gz",),
        "1 image of another spacing than the usual 1 x 1 mm, for example images/03.nii.gz 0.5 x 0.5",
    ),
    "near copy": (
        nearly_copied,
        ["near-duplicate-across-splits"],
        (IMAGE, "images/11.png"),
        r"2 images in different parts look alike, for example images/03.png \(train\) ~ images/11.png \(test\)",
    ),
    "channels": (
        gray_image,
        ["channels-differ"],
        (IMAGE,),
        "1 image of 1, 11 images of 3; give '--channels rgb' or '--channels gray'",
    ),
    "types": (deep_image, ["dtype-differs"], ("images/03.tif",), "11 uint8, 1 uint16"),
    "constant": (black_image, ["constant-image"], (IMAGE, "images/11.png"), "2 images with one value everywhere"),
    "lossy": (jpeg_mask, ["lossy-mask"], ("masks/03.jpg",), "1 mask stored as JPEG, .* export them as PNG"),
    "unknown value": (unknown_value, ["unknown-id"], (MASK,), "77"),
    "empty masks": (
        empty_masks,
        ["one-class-only"],
        (),
        "every mask is empty: none of 12 images shows a class besides background",
    ),
    "unlearnt": (
        without_class_in("train"),
        ["class-without-training-pixels"],
        ("images/08.png", "images/09.png", "images/10.png", "images/11.png"),
        r"no training image shows nucleus \(2 in val, 2 in test\)",
    ),
    "only in test": (
        without_class_in("train", "val"),
        ["class-without-training-pixels", "class-only-in-test"],
        ("images/10.png", "images/11.png"),
        r"nucleus \(2 in test\)",
    ),
    "nowhere": (
        without_class_in("train", "val", "test"),
        ["class-without-training-pixels"],
        (),
        r"nucleus \(in no image at all\)",
    ),
    "not validated": (
        without_class_in("val"),
        ["class-without-validation-pixels"],
        (),
        "no validation image shows nucleus",
    ),
    "leak": (
        copy_image("03", "11"),
        ["duplicate-across-splits"],
        (IMAGE, "images/11.png"),
        r"images/03.png \(train\) = images/11.png \(test\)",
    ),
    "copy": (copy_image("03", "04"), ["duplicate-image"], (IMAGE, "images/04.png"), "images/03.png = images/04.png"),
    "box outside": (
        boxes_alone("03.png,cell,40,30,60,38"),
        ["annotation-outside"],
        (IMAGE,),
        r"1 object outside the image; correct .*, for example cell \(40, 30, 60, 38\) in images/03.png",
    ),
    "box without area": (
        boxes_alone("images/03.png,nucleus,10,12,10,30"),
        ["zero-area-box"],
        (IMAGE,),
        r"1 object without area; remove them, .* nucleus \(10, 12, 10, 30\) in images/03.png",
    ),
    "box of no class": (boxes_alone("03,alien,1,2,9,9"), ["unknown-label"], (IMAGE,), "alien"),
    "box of no image": (
        boxes_alone("gone.png,cell,1,2,9,9"),
        ["missing-image"],
        ("gone.png",),
        r"boxes.csv names images that are not there \(1\)",
    ),
    "box that is none": (
        boxes_alone("03,cell,1,two,9,9"),
        ["unreadable-annotation"],
        (IMAGE,),
        r"rows of 1 images are no class and four numbers \(images/03.png: cell, 1, two, 9, 9\)",
    ),
    "group in two parts": (
        groups_across,
        ["group-across-splits"],
        (IMAGE, "images/07.png", "images/11.png"),
        r"1 group in more than one part: first \(train/test\)",
    ),
    "missing mask": (missing_mask, ["missing-mask"], (IMAGE,), "mask"),
    "missing image": (missing_image, ["orphan-mask", "unknown-split-id"], (MASK,), "image"),
    "two suffixes": (two_suffixes, ["duplicate-id"], ("images/03.bmp", IMAGE), "differ by the suffix alone"),
    "no part": (not_in_the_split, ["unassigned-image"], ("03",), "^1 image in none of train, val, test"),
    "two parts": (
        twice_in_the_split,
        ["repeated-split-id"],
        ("03",),
        r"split.csv names 1 id more than once, for example '03' \(train, val\); name each once",
    ),
    "no training part": (no_validation, ["empty-part"], (), "no image is in train and none in val"),
}
