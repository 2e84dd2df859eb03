"""The class of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results._images import Image, stored_values
from segkit.inference.results.uncertainty import Uncertainty
from segkit.visualization.display import to_display
from segkit.visualization.labels import write_caption


@dataclass(frozen=True)
class ClassificationResult:
    """The class probabilities (K,) of one image, summing to 1, and how unsure the network is, where asked for."""

    probabilities: NDArray[np.float32]
    names: Sequence[str]
    uncertainty: Uncertainty | None = None

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.names[int(self.probabilities.argmax())]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The `count` most probable class names with their probabilities, best first."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.names[i], float(self.probabilities[i])) for i in best]

    @property
    def caption(self) -> str:
        """The most probable class with its probability."""
        name, probability = self.top(1)[0]
        return f"{name} {probability:.2f}"

    def draw(self, image: Image) -> NDArray[np.uint8]:
        """An RGB picture (H, W, 3) of the image with its class and the probability in the upper left corner."""
        return write_caption(to_display(stored_values(image)), self.caption)

    def to_table(self) -> list[dict[str, Any]]:
        """One row per class, the most probable first: class, probability."""
        return [{"class": name, "probability": probability} for name, probability in self.top(len(self.names))]
