"""The worst, median and best images as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.report.data_summary import css_color
from segkit.report.run_files import HeadFiles
from segkit.visualization import split_panels

_RANKS = {"worst": "Worst", "median": "Median", "best": "Best"}
_PANELS = ("Image", "Reference", "Prediction", "Errors")


def gallery(head: HeadFiles) -> list[dict[str, Any]]:
    """The examples by rank, each with its pictures; examples whose picture is missing are left out."""
    found = head.scores.get("examples", [])
    examples = [example for example in found if (head.folder / example["file"]).is_file()]
    labels = _labels(head) if head.scores.get("task") == "classify" else {}
    groups = [
        {"title": title, "examples": [_example(head.folder, e, labels) for e in examples if e["rank"] == rank]}
        for rank, title in _RANKS.items()
    ]
    return [group for group in groups if group["examples"]]


def _labels(head: HeadFiles) -> dict[str, list[dict[str, Any]]]:
    """Image to its true and its predicted class, each with name, colour and probability."""
    colors = {row["name"]: css_color(row["color"]) for row in head.scores.get("classes", [])}

    def label(title: str, name: str, probability: str) -> dict[str, Any]:
        shown = {"title": title, "name": name, "css": colors.get(name, "transparent")}
        return {**shown, "probability": float(probability)}

    return {
        row["image"]: [
            label("True class", row["class"], row["probability_of_class"]),
            label("Predicted", row["predicted"], row["probability"]),
        ]
        for row in head.per_image
    }


def _example(folder: Path, example: dict[str, Any], labels: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A picture with its labels where there are any, else the four panels of a segmentation."""
    with Image.open(folder / example["file"]) as file:
        picture = np.asarray(file.convert("RGB"))
    seen = labels.get(example["image"], [])
    panels = [("Image", picture)] if example["caption"] else zip(_PANELS, split_panels(picture), strict=True)
    return {
        "labels": seen,
        "wrong": len({label["name"] for label in seen}) > 1,
        "image": example["image"],
        "score": example["score"],
        "caption": example["caption"],
        "panels": [{"caption": caption, "uri": data_uri(panel)} for caption, panel in panels],
    }


def data_uri(picture: NDArray[np.uint8]) -> str:
    """An RGB picture (H, W, 3) as a WebP that is part of the page."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="WEBP", quality=88, method=4)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
