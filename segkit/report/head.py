"""What the page says of one head: its evaluation turned into headline, tables and figures, ready for the template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.metrics.detection import MOST_DETECTIONS
from segkit.ops.words import counted
from segkit.report.data_summary import css_color
from segkit.report.figures import histogram, precision_recall
from segkit.report.gallery import gallery
from segkit.report.run_files import HeadFiles
from segkit.visualization.errors import CONFUSED, IGNORED, INVENTED, MISSED

LARGEST_MATRIX = 40
"""Above this number of classes the most frequent confusions are listed instead of the whole matrix."""
MOST_FREQUENT = 20
MOST_CURVES = 12
"""Classes whose precision is drawn."""

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
_COCO_SCORES = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ar": "AR",
    "ap_small": "AP, small",
    "ap_medium": "AP, medium",
    "ap_large": "AP, large",
}
_OBJECT_COLUMNS = {
    "detect": ("ap", "ap50", "ap75", "ar"),
    "instances": ("ap50", "panoptic_quality", "segmentation_quality", "recognition_quality"),
}
_RANKED_BY = {
    "segment": "their mean foreground Dice",
    "classify": "the probability p given to the true class",
    "detect": "the F1 of the boxes that are shown",
    "instances": "their AP@0.5",
}
_IMAGE_SCORES = {
    "segment": ("dice", "mean foreground Dice of one image"),
    "classify": ("probability_of_class", "probability of the true class"),
    "detect": ("f1", "F1 of the boxes of one image"),
    "instances": ("ap50", "AP@0.5 of one image"),
}
"""Column of the table of images, and what it is called."""
_SHORT = {"segment": "Dice", "detect": "F1", "instances": "AP@0.5"}
"""The score of one image beside its picture."""
SPOKEN = {
    "segment": "Segmentation",
    "classify": "Classification",
    "detect": "Detection",
    "instances": "Instance segmentation",
}


def head_section(head: HeadFiles) -> dict[str, Any]:
    """All that the template shows of a head; what a missing file would tell is empty and left out."""
    task = str(head.scores.get("task", ""))
    return {
        "name": task,
        "title": SPOKEN.get(task, "Scores"),
        "headline": _headline(head.scores),
        "counts": _counts(head.scores),
        "stats": _stats(head.scores),
        "scores": head.scores,
        "classes": _classes(head.scores),
        "object_columns": _object_columns(task),
        "coco": _coco(head.scores),
        "cut": _cut(head.scores),
        "precision": _precision(head.scores),
        "ranked_by": _RANKED_BY.get(task, "score"),
        "image_score": _SHORT.get(task, ""),
        "boundary": _boundary(head.scores),
        "confusion": _confusion(head),
        "gallery": gallery(head),
        "error_legend": _error_legend(head.scores),
        "histogram": _histogram(head),
        "rules": _rules(head.scores),
    }


def _headline(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    return {"metric": scores["metric"], "value": scores["score"], "interval": scores["interval"]} if scores else None


def _counts(scores: Mapping[str, Any]) -> str | None:
    """Of objects how many are found and how many are invented, in words."""
    rows = [row for row in scores.get("classes", []) if "found" in row]
    if not rows:
        return None
    found, objects, invented = (sum(row[key] for row in rows) for key in ("found", "objects", "invented"))
    shown = f"With boxes from a score of {scores['threshold']:g} on" if "threshold" in scores else "With all objects"
    return f"{shown}, at an intersection over union of one half: {found} of {objects} found, {invented} invented."


def _stats(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scores beside the headline, each with its interval."""
    levels = [(key, found) for key, found in (scores.get("dataset") or {}).items() if found]
    image = (scores.get("image") or {}).get("mean_foreground_dice")
    headline = "ap50" if scores.get("task") == "instances" else scores.get("metric", "").lower()
    rows = [
        {"name": _DATASET_SCORES[key], **found}
        for key, found in levels
        if headline not in (key, _DATASET_SCORES[key].lower())
    ]
    coco = scores.get("coco")
    rows += [{"name": "COCO's AP of the masks", **coco["ap"]}] if coco else []
    return rows + ([{"name": "Dice, mean over images", **image}] if image else [])


def _object_columns(task: str) -> list[tuple[str, str]]:
    """The scores of a class of objects, and what they are called."""
    named = {**_DATASET_SCORES, "ap50": "AP@0.5"} if task == "instances" else _DATASET_SCORES
    return [(key, named[key]) for key in _OBJECT_COLUMNS.get(task, ())]


def _coco(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """COCO's scores of masks, one row per class, of several below that of their means."""
    whole = scores.get("coco")
    if not whole:
        return None
    rows = [{"name": row["name"], "css": css_color(row["color"]), **row["coco"]} for row in scores["classes"]]
    means = [{"name": "Mean over classes", "css": None, **whole}] if len(rows) > 1 else []
    return {"columns": list(_COCO_SCORES.items()), "rows": [*means, *rows], "cut": _cut(whole)}


def _cut(scores: Mapping[str, Any]) -> str | None:
    """In how many images COCO's rule leaves objects out, in words."""
    images = scores.get("cut")
    if not images:
        return None
    return (
        f"{counted(images, 'image')} {'holds' if images == 1 else 'hold'} more than {MOST_DETECTIONS} objects of a "
        f"class, of which COCO counts the {MOST_DETECTIONS} surest found: there its scores cannot reach 1."
    )


def _precision(scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """Precision over recall of the classes that occur, of many those with the most objects, as they stand."""
    curves = scores.get("curves") or {}
    found = [row for row in scores.get("classes", []) if curves.get(row["name"], {}).get("precision")]
    if not found:
        return None
    most = sorted(found, key=lambda row: -int(row["objects"]))[:MOST_CURVES]
    threshold = scores.get("threshold")
    of_masks = "coco" in scores
    figures = [
        {
            "name": row["name"],
            "css": css_color(row["color"]),
            "ap50": (row["coco"] if of_masks else row)["ap50"]["value"],
            "svg": precision_recall(curves[row["name"]], "" if threshold is None else f"{threshold:g}"),
        }
        for row in found
        if row in most
    ]
    return {"figures": figures, "left_out": len(found) - len(most), "threshold": threshold}


def _rules(scores: Mapping[str, Any]) -> list[str]:
    """How the scores count, in sentences."""
    rules = [f"Empty masks: {scores['empty_masks']}."] if scores.get("empty_masks") else []
    rules += [f"{scores['rule']}."] if scores.get("rule") else []
    rules += [f"{scores['coco']['rule']}."] if scores.get("coco") else []
    if boundary := _boundary(scores):
        rules.append(f"Outlines: {boundary['rule']}.")
    if absent := scores.get("without_union"):
        rules.append(f"In no mean, because neither reference nor prediction holds them: {', '.join(absent)}.")
    return rules


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


def _confusion(head: HeadFiles) -> dict[str, Any] | None:
    """Rows of counts and shares of the reference class; above `LARGEST_MATRIX` classes the largest off the diagonal."""
    if len(head.confusion) < 2:
        return None
    names = head.confusion[0][1:]
    counts = [[int(count) for count in row[1:]] for row in head.confusion[1:]]
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    colors = [css_color(row["color"]) for row in head.scores.get("classes", [])] or ["transparent"] * len(names)
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
        "what": "images" if head.scores.get("task") == "classify" else "pixels",
    }


def _error_legend(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    colors = {"missed": MISSED, "invented": INVENTED, "one class for another": CONFUSED}
    if all(row.get("foreground") for row in scores.get("classes", [])):
        colors = {"wrong class": CONFUSED}
    return [(label, css_color(color)) for label, color in colors.items()] + [("not counted", css_color(IGNORED))]


def _histogram(head: HeadFiles) -> str | None:
    column, label = _IMAGE_SCORES[head.scores.get("task", "segment")]
    values = [float(row[column]) for row in head.per_image if row.get(column)]
    return histogram(values, label) if values else None
