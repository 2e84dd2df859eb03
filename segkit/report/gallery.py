"""The worst, median and best images as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.visualization import split_panels

_RANKS = {"worst": "Worst", "median": "Median", "best": "Best"}
_PANELS = ("Image", "Reference", "Prediction", "Errors")


def gallery(evaluation: Path, scores: dict[str, Any]) -> list[dict[str, Any]]:
    """The examples by rank, each with its pictures; examples whose picture is missing are left out."""
    examples = [example for example in scores.get("examples", []) if (evaluation / example["file"]).is_file()]
    groups = [
        {"title": title, "examples": [_example(evaluation, e, scores["task"]) for e in examples if e["rank"] == rank]}
        for rank, title in _RANKS.items()
    ]
    return [group for group in groups if group["examples"]]


def _example(evaluation: Path, example: dict[str, Any], task: str) -> dict[str, Any]:
    with Image.open(evaluation / example["file"]) as file:
        picture = np.asarray(file.convert("RGB"))
    panels = [(example["caption"], picture)] if task == "classify" else zip(_PANELS, split_panels(picture), strict=True)
    return {
        "image": example["image"],
        "score": example["score"],
        "panels": [{"caption": caption, "uri": data_uri(panel)} for caption, panel in panels],
    }


def data_uri(picture: NDArray[np.uint8]) -> str:
    """An RGB picture (H, W, 3) as a WebP that is part of the page."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="WEBP", quality=88, method=4)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
