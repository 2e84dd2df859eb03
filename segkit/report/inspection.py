"""The pictures of an inspection as files, and one page that shows them all."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from segkit.errors import UsageError
from segkit.explanation.inspection import SHOWN_LAYERS, SHOWN_MAPS, Inspection, Picture
from segkit.ops.files import make_folder, write_atomically
from segkit.report.gallery import data_uri
from segkit.report.write import template

VERBS = {"segment": "segments", "instances": "tells objects apart", "detect": "finds boxes", "classify": "classifies"}
"""What the heads do, for people."""

PAGE, PICTURES = "index.html", "pictures.csv"
_COLUMNS = ("picture", "shows")


def claim_folder(folder: str | Path) -> Path:
    """Make the folder of an inspection, or take up one of an earlier, known by the `pictures.csv` written first.

    Raises:
        UsageError: the folder holds other things.
        OutputError: it cannot be made or written into.
    """
    folder = Path(folder)
    table = folder / PICTURES
    if table.is_file() and table.read_bytes().startswith(_table([])):
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is no result of segkit inspect; name another folder with -o")
    write_atomically(make_folder(folder) / PICTURES, _table([]))
    return folder


def write_inspection(inspection: Inspection, model: str, image: str, folder: str | Path) -> Path:
    """Write every picture, `pictures.csv`, which lists them, and `index.html`, which holds them all.

    The page asks nothing of the network. The pictures of an earlier inspection in the folder are removed.

    Raises:
        UsageError, OutputError: as `claim_folder`.
    """
    folder = claim_folder(folder)
    _remove_pictures(folder)
    pictures = [picture for group in inspection.groups.values() for picture in group]
    write_atomically(folder / PICTURES, _table(pictures))
    make_folder(folder / "activations")
    for picture in pictures:
        content = io.BytesIO()
        Image.fromarray(picture.pixels).save(content, format="PNG")
        write_atomically(folder / picture.file, content.getvalue())
    groups = {
        name: [{"uri": data_uri(picture.pixels), "caption": picture.caption, "file": picture.file} for picture in group]
        for name, group in inspection.groups.items()
    }
    text = template("inspection.html.jinja").render(
        model=model,
        image=image,
        inspection=inspection,
        verbs=VERBS,
        groups=groups,
        shown_maps=SHOWN_MAPS,
        shown_layers=SHOWN_LAYERS,
    )
    write_atomically(folder / PAGE, text.encode())
    return folder / PAGE


def _remove_pictures(folder: Path) -> None:
    """Remove what `pictures.csv` lists, nothing outside the folder and nothing but pictures, and the page of it."""
    with (folder / PICTURES).open(encoding="utf-8", newline="") as file:
        listed = [folder / row["picture"] for row in csv.DictReader(file)]
    inside = [path for path in listed if path.resolve().is_relative_to(folder.resolve()) and path.suffix == ".png"]
    for path in (folder / PAGE, *inside):
        path.unlink(missing_ok=True)


def _table(pictures: Sequence[Picture]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((picture.file, picture.caption) for picture in pictures)
    return text.getvalue().encode("utf-8")
