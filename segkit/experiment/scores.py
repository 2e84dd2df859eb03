"""An evaluation in words: the score with its n, unit and interval, then the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.evaluation.result import Evaluation
from segkit.ops.words import counted

LISTED_CLASSES = 40
"""Classes of a classification that are printed; the rest stand in the files."""


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
    if evaluation.task == "segment":
        lines.append(f"mean IoU {_estimate(scores['dataset']['mean_iou'])}")
        width = max(len(row["name"]) for row in scores["classes"])
        lines += [
            f"  {row['name']:<{width}}  Dice {_estimate(row['dice'])}  IoU {_estimate(row['iou'])}"
            for row in scores["classes"]
        ]
        lines += _describe_boundaries(scores)
        if scores["without_union"]:
            lines.append(
                f"not in the means, absent from reference and prediction: {', '.join(scores['without_union'])}"
            )
    return lines


def _describe_boundaries(scores: Mapping[str, Any]) -> list[str]:
    """One line per foreground class, with the images in which it was missed or invented."""
    whole = scores["boundary"]
    if whole is None:
        return []
    if whole["unit"] is None:
        return ["outlines: some images state their spacing and some do not, so there is no mean of their distances"]
    rows = [row for row in scores["classes"] if row["boundary"] is not None]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = [f"outlines, distances in {whole['unit']}, NSD at {whole['tolerance']:g} {whole['unit']}:"]
    for row in rows:
        found = row["boundary"]
        measures = "  ".join(f"{measure.upper()} {_estimate(found[measure])}" for measure in ("hd95", "assd", "nsd"))
        lines.append(
            f"  {row['name']:<{width}}  {measures}  ({counted(found['images_counted'], 'image')}, "
            f"missed in {found['missed']}, invented in {found['invented']})"
        )
    return lines


def _describe_classification(scores: Mapping[str, Any]) -> list[str]:
    """The scores beside the headline, then one line per class."""
    found, classes = scores["dataset"], scores["classes"]
    lines = [f"top-5 accuracy {_estimate(found['top_5'])}"] if found["top_5"] else []
    lines.append(f"mean F1 {_estimate(found['mean_f1'])}")
    width = max(len(row["name"]) for row in classes[:LISTED_CLASSES])
    lines += [
        f"  {row['name']:<{width}}  F1 {_estimate(row['f1'])}  precision {_number(row['precision']['value'])}"
        f"  recall {_number(row['recall']['value'])}  ({counted(row['images'], 'image')})"
        for row in classes[:LISTED_CLASSES]
    ]
    if len(classes) > LISTED_CLASSES:
        lines.append(f"  and {len(classes) - LISTED_CLASSES} more classes, in metrics.json")
    return lines


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
