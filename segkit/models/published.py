"""Published scores of classifiers, with their source."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class PublishedScore:
    """What somebody else measured.

    Attributes:
        backbone: name from `list_models`.
        top1: percent of the 50,000 validation images of ImageNet (ILSVRC 2012) whose class is the most probable one.
        size: height and width of the images in that test.
        source: paper and table, or package and weights, with the number of crops.
    """

    backbone: str
    top1: float
    size: int
    source: str


def published_scores() -> list[PublishedScore]:
    """All of `published_scores.csv`."""
    text = files("segkit.models").joinpath("published_scores.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return [PublishedScore(row["backbone"], float(row["top1"]), int(row["size"]), row["source"]) for row in rows]
