"""An evaluation in words: the score with its n, unit and interval, then the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from segkit.evaluation.result import Evaluation
from segkit.metrics.detection import MOST_DETECTIONS
from segkit.ops.words import counted
from segkit.structures import TaskName

Row = Mapping[str, Any]
"""The scores of one class."""

LISTED_CLASSES = 40
"""Classes that are printed; the rest stand in the files."""


def describe_heads(found: Mapping[TaskName, Evaluation], heads: Iterable[TaskName]) -> list[str]:
    """Lines for people on every head that was scored, and on which of a network's several heads were not."""
    lines = []
    for task, evaluation in found.items():
        lines += [f"to {task}:"] if len(found) > 1 else []
        lines += describe_scores(evaluation)
    left_out = [task for task in heads if task not in found]
    return [*lines, f"not scored, as these images have no targets: {', '.join(left_out)}"] if left_out else lines


def describe_scores(evaluation: Evaluation) -> list[str]:
    """Lines for people: headline, one line per class, and the rule where something was not counted."""
    scores = evaluation.scores
    of_whole = {"value": scores["score"], "interval": scores["interval"]}
    lines = [f"{scores['metric']} {_estimate(of_whole)}, n = {_sample(scores)}"]
    if scores.get("unit_scores"):
        listed = ", ".join(f"{unit} {_number(value)}" for unit, value in scores["unit_scores"].items())
        lines.append(f"too few {scores['unit']}s for an interval; each: {listed}")
    if evaluation.task == "classify":
        lines += _describe_classification(scores)
    if evaluation.task in ("detect", "instances"):
        lines += _describe_objects(scores)
    if evaluation.task == "segment":
        lines.append(f"mean IoU {_estimate(scores['dataset']['mean_iou'])}")
        rows = [row for row in scores["classes"] if row["dice"]["value"] is not None]
        lines += _one_per_class(rows, lambda row: f"Dice {_estimate(row['dice'])}  IoU {_estimate(row['iou'])}")
        lines += _describe_boundaries(scores, rows)
        if scores["without_union"]:
            lines.append(
                f"not in the means, absent from reference and prediction: {', '.join(scores['without_union'])}"
            )
    return lines


def _describe_boundaries(scores: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """One line per foreground class of these, with the images in which it was missed or invented."""
    whole = scores["boundary"]
    if whole is None:
        return []
    if whole["unit"] is None:
        return ["outlines: some images state their spacing and some do not, so there is no mean of their distances"]

    def measured(row: Row) -> str:
        found = row["boundary"]
        measures = "  ".join(f"{measure.upper()} {_estimate(found[measure])}" for measure in ("hd95", "assd", "nsd"))
        images = counted(found["images_counted"], "image")
        return f"{measures}  ({images}, missed in {found['missed']}, invented in {found['invented']})"

    return [
        f"outlines, distances in {whole['unit']}, NSD at {whole['tolerance']:g} {whole['unit']}:",
        *_one_per_class([row for row in rows if row["boundary"] is not None], measured),
    ]


_OBJECT_SCORES = {
    "ap50": "AP50",
    "ap75": "AP75",
    "ar": "AR",
    "panoptic_quality": "panoptic quality",
    "count_error": "mean relative count error",
}


def _describe_objects(scores: Mapping[str, Any]) -> list[str]:
    """The scores beside the headline, then one line per class, and from which score boxes are counted."""
    named = {key: name for key, name in _OBJECT_SCORES.items() if key in scores["dataset"]}
    if scores["task"] == "instances":
        del named["ap50"]  # the headline
    lines = [", ".join(f"{name} {_estimate(scores['dataset'][key])}" for key, name in named.items())]
    if coco := scores.get("coco"):
        lines += _describe_coco(coco)
    lines += _describe_cut((coco or scores)["cut"])
    headline = "ap" if scores["task"] == "detect" else "ap50"
    lines += _one_per_class(
        scores["classes"],
        lambda row: (
            f"{scores['metric']} {_estimate(row[headline])}"
            f"  ({counted(row['objects'], 'object')}, found {row['found']}, invented {row['invented']})"
        ),
    )
    if "threshold" in scores:
        lines.append(f"found and invented: boxes with a score of {scores['threshold']:g} or more")
    return lines


def _describe_coco(coco: Mapping[str, Any]) -> list[str]:
    """COCO's scores of masks."""
    named = {"ap": "COCO's mask AP", "ap50": "AP50", "ap75": "AP75", "ar": "AR"}
    return [", ".join(f"{name} {_estimate(coco[key])}" for key, name in named.items())]


def _describe_cut(images: int) -> list[str]:
    """Where COCO's rule leaves objects out."""
    if not images:
        return []
    return [
        f"{counted(images, 'image')} with more than {MOST_DETECTIONS} objects of a class, of which COCO counts the "
        f"{MOST_DETECTIONS} surest found"
    ]


def _describe_classification(scores: Mapping[str, Any]) -> list[str]:
    """The scores beside the headline, then one line per class."""
    found, classes = scores["dataset"], scores["classes"]
    lines = [f"top-5 accuracy {_estimate(found['top_5'])}"] if found["top_5"] else []
    lines.append(f"mean F1 {_estimate(found['mean_f1'])}")
    return lines + _one_per_class(
        classes,
        lambda row: (
            f"F1 {_estimate(row['f1'])}  precision {_number(row['precision']['value'])}"
            f"  recall {_number(row['recall']['value'])}  ({counted(row['images'], 'image')})"
        ),
    )


def _one_per_class(rows: Sequence[Row], said: Callable[[Row], str]) -> list[str]:
    """One line per class, of many the first ones."""
    listed = rows[:LISTED_CLASSES]
    width = max((len(row["name"]) for row in listed), default=0)
    lines = [f"  {row['name']:<{width}}  {said(row)}" for row in listed]
    more = len(rows) - len(listed)
    return [*lines, f"  and {more} more classes, in metrics.json"] if more else lines


def _sample(scores: Mapping[str, Any]) -> str:
    images = counted(scores["images"], "image")
    return f"{images} in {counted(scores['units'], 'group')}" if scores["unit"] == "group" else images


def _estimate(estimate: Mapping[str, Any]) -> str:
    value = _number(estimate["value"])
    if estimate["interval"] is None:
        return value
    low, high = estimate["interval"]
    return f"{value} [{low:.3f}, {high:.3f}]"


def _number(value: float | None) -> str:
    return "not counted" if value is None else f"{value:.3f}"
