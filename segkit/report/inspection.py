"""The pictures of an inspection as files, and one page that shows them all."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from segkit.errors import UsageError
from segkit.explanation.inspection import SHOWN_LAYERS, SHOWN_MAPS, Inspection
from segkit.ops.files import make_folder, write_atomically
from segkit.report.gallery import data_uri
from segkit.report.write import template

PAGE = "index.html"


def write_inspection(inspection: Inspection, model: str, image: str, folder: str | Path) -> Path:
    """Write every picture and `index.html`, which holds them all and asks nothing of the network.

    Raises:
        UsageError: the folder exists and holds other things than an earlier inspection.
        OutputError: it cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / PAGE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is no result of segkit inspect; name another folder with -o")
    make_folder(folder / "activations")
    for picture in (picture for group in inspection.groups.values() for picture in group):
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
        groups=groups,
        shown_maps=SHOWN_MAPS,
        shown_layers=SHOWN_LAYERS,
    )
    write_atomically(folder / PAGE, text.encode())
    return folder / PAGE
