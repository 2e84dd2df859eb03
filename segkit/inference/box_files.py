"""Boxes of many images as the files that other tools read. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from segkit.data.csv_table import format_table
from segkit.data.image_io import read_image, write_image
from segkit.inference.jobs import output_names
from segkit.inference.object_files import coco_document
from segkit.inference.results import DetectionResult
from segkit.ops.files import make_folder, write_atomically

BoxFormat = Literal["coco", "yolo", "csv"]


def write_boxes(
    found: Iterable[tuple[Path, DetectionResult]], out: str | Path, layout: BoxFormat, overlay: bool = False
) -> int:
    """Write the boxes of images, and their number.

    `coco` is one `boxes.json`, `csv` one `boxes.csv` with the columns image, class, score, left, top, right and bottom;
    `yolo` a file `labels/NAME.txt` per image (class number, middle, width and height in shares of the image, score) and
    `classes.txt`. With `overlay` also `overlays/NAME.png`. NAME follows from `output_names`.

    Raises:
        OutputError: the files cannot be written.
    """
    folder, results = make_folder(out), list(found)
    names = output_names([file for file, _ in results])
    if layout == "yolo":
        make_folder(folder / "labels")
        for file, result in results:
            path = folder / "labels" / f"{names[file]}.txt"
            make_folder(path.parent)
            write_atomically(path, _yolo_lines(result))
        if results:
            write_atomically(folder / "classes.txt", "".join(f"{n}\n" for n in results[0][1].classes.names).encode())
    elif layout == "coco" and results:
        write_atomically(folder / "boxes.json", coco_document([(file.name, result) for file, result in results]))
    else:
        rows: list[list[Any]] = [[file, *row.values()] for file, result in results for row in result.to_table()]
        columns = ("image", "class", "score", "left", "top", "right", "bottom")
        write_atomically(folder / "boxes.csv", format_table(columns, rows))
    if overlay:
        for file, result in results:
            path = folder / "overlays" / f"{names[file]}.png"
            make_folder(path.parent)
            write_image(path, result.draw(read_image(file)))
    return len(results)


def _yolo_lines(result: DetectionResult) -> bytes:
    height, width = result.size
    lines = []
    for label, score, (left, top, right, bottom) in zip(result.labels, result.scores, result.corners, strict=True):
        middle = (left + right) / 2 / width, (top + bottom) / 2 / height
        shares = *middle, (right - left) / width, (bottom - top) / height
        lines.append(" ".join((str(label), *(f"{share:.6f}" for share in shares), f"{score:.4f}")) + "\n")
    return "".join(lines).encode()
