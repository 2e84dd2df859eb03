"""The page about a data set: what was found, with pictures, and what a network will see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.description import facts_of
from segkit.data.findings import Severity
from segkit.data.object_sizes import ObjectSizes
from segkit.data.opening import OpenDataset
from segkit.data.rules import RULES
from segkit.ops.files import write_atomically
from segkit.ops.words import counted
from segkit.report.check_pictures import SHOWN_FILES, FindingPictures
from segkit.report.data_summary import css_color
from segkit.report.figures import size_histogram
from segkit.report.gallery import data_uri
from segkit.report.write import template
from segkit.structures import PARTS

LISTED_FILES = 500
SHOWN_HISTOGRAMS = 6


@dataclass(frozen=True)
class Seen:
    """One training image on its way to the network, as RGB pictures.

    Attributes:
        name: the image's file.
        label: its class, for classification.
        pictures: caption and picture: as stored, as the network sees it, as augmentation changes it.
    """

    name: str
    label: str | None
    pictures: tuple[tuple[str, NDArray[np.uint8]], ...]


@dataclass(frozen=True)
class View:
    """What the network will see.

    Attributes:
        images: some of the training images.
        choices: what the plan decided about it, and why.
        absent: why there are no images, in a sentence.
    """

    images: tuple[Seen, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    absent: str = ""


def write_check_page(
    path: Path, dataset: OpenDataset, described: Mapping[str, Any], objects: ObjectSizes, view: View
) -> None:
    """Write the page, one file that asks nothing of the network; raises `OutputError` when that is not possible.

    Args:
        path: the file.
        dataset: the checked data set.
        described: of `segkit.data.description.describe_data`.
        objects: the areas of its objects.
        view: what the network will see.
    """
    numbers = {severity: sum(found.severity is severity for found in dataset.findings) for severity in Severity}
    content = template("check.html.jinja").render(
        name=dataset.root.resolve().name,
        path=str(dataset.root),
        lines=dataset.describe(),
        errors=numbers[Severity.ERROR],
        warnings=numbers[Severity.WARNING],
        stats=_stats(dataset, described),
        findings=_findings(dataset),
        shown_files=SHOWN_FILES,
        clean=[(code, rule.about) for code, rule in RULES.items() if code not in {f.code for f in dataset.findings}],
        seen=[_seen(seen) for seen in view.images],
        choices=view.choices,
        absent=view.absent,
        classes=_classes(dataset, described),
        parts=[part for part in PARTS if described["images"][part]],
        histograms=_histograms(dataset, objects),
        facts=facts_of(described),
    )
    write_atomically(path, content.encode())


def _stats(dataset: OpenDataset, described: Mapping[str, Any]) -> list[tuple[str, str]]:
    images = described["images"]
    parts = " / ".join(f"{images[part]:,}" for part in PARTS)
    stats = [("Images", f"{len(dataset.records):,}"), ("Train / val / test", parts)]
    if "groups" in described:
        stats.append(("Groups", f"{sum(described['groups'].values()):,}"))
    return [*stats, ("Classes", str(dataset.classes.num_classes))]


def _findings(dataset: OpenDataset) -> list[dict[str, Any]]:
    pictures = FindingPictures(dataset)
    return [
        {
            "severity": found.severity.value,
            "code": found.code,
            "about": RULES[found.code].about,
            "message": found.message,
            "count": counted(len(found.files), "file") if found.files else "",
            "thumbnails": pictures.of(found),
            "files": found.files[:LISTED_FILES],
            "more": max(0, len(found.files) - LISTED_FILES),
        }
        for found in dataset.findings
    ]


def _seen(seen: Seen) -> dict[str, Any]:
    pictures = [{"caption": caption, "uri": data_uri(picture)} for caption, picture in seen.pictures]
    return {"name": seen.name, "label": seen.label, "panels": pictures}


def _classes(dataset: OpenDataset, described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per class its colour, and its share of the pixels and number of images in each part that has images."""
    images, pixels = described["class_images"], described.get("class_pixels") or {}
    parts = [part for part in PARTS if described["images"][part]]
    totals = {part: sum(pixels.get(part, {}).values()) for part in parts}
    return [
        {
            "name": name,
            "css": css_color(color),
            "background": index == dataset.classes.background,
            "cells": [
                {
                    "share": pixels[part][name] / totals[part] if totals[part] else None,
                    "images": images[part][name],
                }
                for part in parts
            ],
        }
        for index, (name, color) in enumerate(zip(dataset.classes.names, dataset.classes.colors, strict=True))
    ]


def _histograms(dataset: OpenDataset, objects: ObjectSizes) -> list[dict[str, str]]:
    """Object areas by class, and the sizes of the images where they differ."""
    of_class = sorted(objects.areas.items(), key=lambda pair: -len(pair[1]))[:SHOWN_HISTOGRAMS]
    found = [
        {"title": f"Objects of {name}", "svg": size_histogram(areas, "area in pixels", "objects")}
        for name, areas in of_class
    ]
    sides = [max(dataset.facts.images[record.id].size) for record in dataset.records]
    if len(set(sides)) > 1:
        found.append({"title": "Images", "svg": size_histogram(_floats(sides), "longer side in pixels", "images")})
    return found


def _floats(values: Sequence[int]) -> list[float]:
    return [float(value) for value in values]
