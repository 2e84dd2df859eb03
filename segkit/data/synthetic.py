"""A small data set made on the spot: imaginary cells with every kind of target, the same bytes for the same seed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.data.cells import Scene, draw_scene
from segkit.data.image_io import write_image, write_mask
from segkit.errors import UsageError
from segkit.ops.files import make_folder, write_atomically
from segkit.ops.words import counted
from segkit.structures import ClassMap, Progress

CLASSES = ClassMap(
    names=("background", "round_cell", "spindle_cell"), colors=((0, 0, 0), (64, 160, 224), (240, 150, 48))
)
LEAST_COUNT = 3

_README = """Imaginary cells
===============
{count} images of {size} x {size} pixels, 8-bit gray, made by 'segkit sample' with seed {seed}.
No cell is real; the files may be used for anything. Round cells have grains and a nucleus, spindle cells
have stripes; both are as bright as the ground.

images/       the pictures
masks/        class of each pixel, palette PNG: 0 background, 1 round_cell, 2 spindle_cell
instances/    number of the cell each pixel belongs to, 16-bit PNG, 0 = none
classes.csv   id, name and colour of the classes
split.csv     which images train, validate and test: 70/15/15
boxes.csv     one box per cell, in pixels, x_max and y_max exclusive
labels.csv    the kind that most cells of an image are of
classification/labels.csv   the same as a data set of its own
"""


def write_sample(
    out: str | Path, count: int = 96, seed: int = 0, size: int = 256, progress: Progress | None = None
) -> None:
    """Write `count` images with masks, instance ids, boxes, image labels, classes and a 70/15/15 split.

    Args:
        out: the folder, new or empty; one that holds the sample of the same count, seed and size is written again.
        count: images, at least 3, so that each part of the split has one.
        seed: another seed draws other images.
        size: height and width of the images in pixels.
        progress: called with (done, total) after each image.

    Raises:
        UsageError: the folder holds something else, or too few images are asked for.
        OutputError: the folder or a file cannot be written.
    """
    if count < LEAST_COUNT:
        raise UsageError(
            f"{counted(count, 'image')} cannot be split; ask for {LEAST_COUNT} or more, "
            "one each to train, validate and test"
        )
    out = Path(out)
    readme = _README.format(count=count, size=size, seed=seed)
    _refuse_other_content(out, readme)
    folders = {kind: make_folder(out / kind) for kind in ("images", "masks", "instances", "classification")}
    write_atomically(out / "README.txt", readme.encode())
    names = [f"cells_{index:03d}" for index in range(count)]
    parts = _parts(count, seed)
    boxes: list[Sequence[object]] = []
    labels: list[Sequence[object]] = []
    for index, name in enumerate(names):
        scene = draw_scene(np.random.default_rng((seed, index)), size)
        write_image(folders["images"] / f"{name}.png", scene.image)
        write_mask(folders["masks"] / f"{name}.png", CLASSES.indices_to_ids(scene.mask), CLASSES)
        write_atomically(folders["instances"] / f"{name}.png", _png(scene.instances))
        boxes += [(f"images/{name}.png", *box) for box in _boxes(scene)]
        labels.append((f"images/{name}.png", CLASSES.names[scene.common_kind], parts[index]))
        if progress is not None:
            progress(index + 1, count)
    colors = [(index, name, *CLASSES.colors[index]) for index, name in enumerate(CLASSES.names)]
    write_atomically(out / "classes.csv", _table(("id", "name", "r", "g", "b"), colors))
    write_atomically(out / "split.csv", _table(("id", "split"), zip(names, parts, strict=True)))
    write_atomically(out / "boxes.csv", _table(("image", "cell", "class", "x_min", "y_min", "x_max", "y_max"), boxes))
    write_atomically(out / "labels.csv", _table(("image", "label"), [row[:2] for row in labels]))
    beside = [(f"../{image}", label, part) for image, label, part in labels]
    write_atomically(folders["classification"] / "labels.csv", _table(("image", "label", "split"), beside))


def _refuse_other_content(out: Path, readme: str) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a new folder")
    same = (out / "README.txt").is_file() and (out / "README.txt").read_bytes() == readme.encode()
    if out.is_dir() and any(out.iterdir()) and not same:
        raise UsageError(f"{out} is not empty and holds no sample of this count, seed and size; name a new folder")


def _parts(count: int, seed: int) -> list[str]:
    """ "train", "val" or "test" for each image: 70/15/15, no part empty."""
    held_out = max(round(0.15 * count), 1)
    parts = np.array(["train"] * (count - 2 * held_out) + ["val"] * held_out + ["test"] * held_out)
    return [str(part) for part in np.random.default_rng(seed).permutation(parts)]


def _boxes(scene: Scene) -> Iterable[tuple[object, ...]]:
    """Number, class, x_min, y_min, x_max, y_max of each cell."""
    for index, kind in enumerate(scene.kinds, start=1):
        rows, columns = np.nonzero(scene.instances == index)
        yield index, CLASSES.names[kind], columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def _png(ids: NDArray[np.uint16]) -> bytes:
    return cv2.imencode(".png", ids)[1].tobytes()
