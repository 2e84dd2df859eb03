"""Pictures of the worst, the median and the best images of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.structures import IGNORE_INDEX, ClassMap
from segkit.visualization import side_by_side

Rank = Literal["worst", "median", "best"]

PER_RANK = 3


@dataclass(frozen=True)
class Example:
    """One image of an evaluation as a picture.

    Attributes:
        rank: which end of the scores it comes from.
        position: 1, 2, 3 within its rank.
        image: the record's id.
        score: the image's score, by which it was ranked.
        caption: for classification the class and what was predicted.
        picture: (H, W, 3) RGB.
    """

    rank: Rank
    position: int
    image: str
    score: float
    caption: str
    picture: NDArray[np.uint8]

    @property
    def file(self) -> str:
        """Where the picture lies in the evaluation's folder; never made from the image's name."""
        return f"overlays/{self.rank}-{self.position}.png"

    def to_json(self) -> dict[str, Any]:
        """Everything but the picture."""
        return {
            "rank": self.rank,
            "image": self.image,
            "score": self.score,
            "caption": self.caption,
            "file": self.file,
        }


def choose(scores: Sequence[float]) -> list[tuple[Rank, int, int]]:
    """Rank, position and index of up to three worst, median and best scores, each index once; NaN is never chosen."""
    order = [int(i) for i in np.argsort(scores, kind="stable") if not np.isnan(scores[i])]
    ends = min(PER_RANK, -(-len(order) // 3))
    worst = order[:ends]
    best = order[max(ends, len(order) - ends) :][::-1]
    between = order[ends : len(order) - len(best)]
    first = max(0, (len(between) - PER_RANK) // 2)
    median = between[first : first + PER_RANK]
    ranked: tuple[tuple[Rank, list[int]], ...] = (("worst", worst), ("median", median), ("best", best))
    return [(rank, position, index) for rank, indices in ranked for position, index in enumerate(indices, start=1)]


def draw(
    image: NDArray[Any],
    reference: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    classes: ClassMap,
    title: str,
) -> NDArray[np.uint8]:
    """Image, reference, prediction and errors beside each other; both masks (H, W) are class indices."""
    ids = np.where(reference == IGNORE_INDEX, IGNORE_INDEX, classes.indices_to_ids(reference.clip(0)).astype(np.int32))
    return side_by_side(image, ids, classes.indices_to_ids(prediction), classes, title)
