"""What the page says: the run's files turned into headings, tables and figures, ready for the template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from segkit.report.data_summary import css_color, data_summary
from segkit.report.figures import curve, histogram
from segkit.report.gallery import gallery
from segkit.report.run_files import RunFiles
from segkit.visualization.errors import CONFUSED, IGNORED, INVENTED, MISSED

LARGEST_MATRIX = 40
"""Above this number of classes the most frequent confusions are listed instead of the whole matrix."""
MOST_FREQUENT = 20

_DATASET_SCORES = {
    "mean_foreground_dice": "Mean foreground Dice",
    "mean_iou": "Mean IoU",
    "pixel_accuracy": "Pixel accuracy",
    "top_1": "Top-1 accuracy",
    "top_5": "Top-5 accuracy",
    "mean_f1": "Mean F1",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ar": "AR",
    "ap_small": "AP of objects below 32 × 32 pixels",
    "ap_medium": "AP of objects up to 96 × 96 pixels",
    "ap_large": "AP of larger objects",
    "panoptic_quality": "Panoptic quality",
    "segmentation_quality": "Segmentation quality",
    "recognition_quality": "Recognition quality",
    "count_error": "Relative count error, mean over images",
}
_OBJECT_COLUMNS = {
    "detect": ("ap", "ap50", "ap75", "ar"),
    "instances": ("ap50", "panoptic_quality", "segmentation_quality", "recognition_quality"),
}
_RANKED_BY = {
    "segment": "their mean foreground Dice",
    "classify": "the probability p given to the true class",
    "detect": "the F1 of their boxes at the score from which boxes are counted",
    "instances": "their AP@0.5",
}
_IMAGE_SCORES = {
    "segment": ("dice", "mean foreground Dice of one image"),
    "classify": ("probability_of_class", "probability of the true class"),
    "detect": ("f1", "F1 of the boxes of one image"),
    "instances": ("ap50", "AP@0.5 of one image"),
}
"""Column of the table of images, and what it is called."""
_SPOKEN = {
    "segment": "Segmentation",
    "classify": "Classification",
    "detect": "Detection",
    "instances": "Instance segmentation",
}
_CURVES = {"train_loss": "Training loss", "score": "Validation score", "learning_rate": "Learning rate"}


def page(run: RunFiles) -> dict[str, Any]:
    """All that the template shows; a section without its files is empty and left out."""
    return {
        "name": run.folder.resolve().name,
        "subtitle": _subtitle(run),
        "headline": _headline(run),
        "stats": _stats(run),
        "scores": run.scores,
        "classes": _classes(run.scores),
        "object_columns": [
            (key, "AP@0.5" if run.scores.get("task") == "instances" and key == "ap50" else _DATASET_SCORES[key])
            for key in _OBJECT_COLUMNS.get(str(run.scores.get("task")), ())
        ],
        "ranked_by": _RANKED_BY.get(str(run.scores.get("task")), "score"),
        "further": run.further,
        "boundary": _boundary(run.scores),
        "confusion": _confusion(run),
        "gallery": gallery(run),
        "error_legend": _error_legend(run.scores),
        "curves": _curves(run.log),
        "histogram": _histogram(run),
        "data": data_summary(run),
        "environment": [(key, value) for key, value in flatten(run.environment) if key != "command"],
        "command": run.environment.get("command"),
        "config": list(flatten(run.config)),
    }


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, value as text) in their order; what is not set is left out."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        elif isinstance(value, str):
            yield name, value
        elif value is not None:
            yield name, json.dumps(value, ensure_ascii=False)


def _subtitle(run: RunFiles) -> str:
    model, task = run.config.get("model") or {}, run.scores.get("task") or run.config.get("task")
    network = " on ".join(str(part) for part in (model.get("decoder"), model.get("backbone")) if part)
    heads = run.config.get("heads") or [task]
    spoken = ", ".join(_SPOKEN[head] for head in heads if head in _SPOKEN)
    return " · ".join(part for part in (spoken, network, run.config.get("path")) if part)


def _headline(run: RunFiles) -> dict[str, Any] | None:
    """The evaluation's score; without an evaluation the best of the validations, and it says so."""
    if run.scores:
        return {"metric": run.scores["metric"], "value": run.scores["score"], "interval": run.scores["interval"]}
    validated = [float(row["score"]) for row in run.log if row.get("score")]
    if not validated:
        return None
    return {"metric": "best validation score", "value": max(validated), "interval": None, "validation": True}


def _stats(run: RunFiles) -> list[dict[str, Any]]:
    """The scores beside the headline, each with its interval."""
    levels = [(_DATASET_SCORES[key], found) for key, found in (run.scores.get("dataset") or {}).items() if found]
    image = (run.scores.get("image") or {}).get("mean_foreground_dice")
    headline = "ap50" if run.scores.get("task") == "instances" else run.scores.get("metric", "").lower()
    rows = [{"name": name, **found} for name, found in levels if name.lower() != headline]
    return rows + ([{"name": "Dice, mean over images", **image}] if image else [])


def _classes(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = scores.get("classes", [])
    total = sum(row.get("reference_pixels", 0) for row in rows)
    return [
        {**row, "css": css_color(row["color"]), "share": row.get("reference_pixels", 0) / total if total else None}
        for row in rows
    ]


def _boundary(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the distances of outlines are measured in; None where there are none, or no unit common to all images."""
    boundary: dict[str, Any] | None = scores.get("boundary")
    return boundary if boundary is not None and boundary["unit"] is not None else None


def _confusion(run: RunFiles) -> dict[str, Any] | None:
    """Rows of counts and shares of the reference class; above `LARGEST_MATRIX` classes the largest off the diagonal."""
    if len(run.confusion) < 2:
        return None
    names = run.confusion[0][1:]
    counts = [[int(count) for count in row[1:]] for row in run.confusion[1:]]
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    colors = [css_color(row["color"]) for row in run.scores.get("classes", [])] or ["transparent"] * len(names)
    pairs = [(i, j) for i in range(len(names)) for j in range(len(names)) if i != j and counts[i][j]]
    pairs.sort(key=lambda pair: -counts[pair[0]][pair[1]])
    return {
        "names": names,
        "colors": colors,
        "rows": [list(zip(count, share, strict=True)) for count, share in zip(counts, shares, strict=True)],
        "whole": len(names) <= LARGEST_MATRIX,
        "frequent": [
            {"reference": names[i], "prediction": names[j], "count": counts[i][j], "share": shares[i][j]}
            for i, j in pairs[:MOST_FREQUENT]
        ],
        "what": "images" if run.scores.get("task") == "classify" else "pixels",
    }


def _error_legend(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    colors = {"missed": MISSED, "invented": INVENTED, "one class for another": CONFUSED}
    if all(row.get("foreground") for row in scores.get("classes", [])):
        colors = {"wrong class": CONFUSED}
    return [(label, css_color(color)) for label, color in colors.items()] + [("not counted", css_color(IGNORED))]


def _curves(log: list[dict[str, str]]) -> list[dict[str, str]]:
    curves = []
    for column, title in _CURVES.items():
        x_name = "epoch" if len({row.get("epoch") for row in log}) > 1 else "step"
        points = [(float(row[x_name]), float(row[column])) for row in log if row.get(column) and row.get(x_name)]
        if points:
            curves.append({"title": title, "svg": curve(points, x_name, best=column == "score")})
    return curves


def _histogram(run: RunFiles) -> str | None:
    column, label = _IMAGE_SCORES[run.scores.get("task", "segment")]
    values = [float(row[column]) for row in run.per_image if row.get(column)]
    return histogram(values, label) if values else None
