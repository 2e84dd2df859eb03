"""How unsure a network is, of every pixel of a mask or of the class of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.ops.scores import entropy, softened_again


@dataclass(frozen=True)
class Uncertainty:
    """Of a mask (H, W), of a class ().

    Attributes:
        entropy: of the probabilities, as a share of the largest there is: 0 sure, 1 all classes alike.
        disagreement: how much of it is because several views or networks say different things, in the same unit: the
            entropy of their mean less the mean of their entropies (Depeweg et al., Decomposition of Uncertainty in
            Bayesian Deep Learning, 2018, equation 2); None where one network looked once.
    """

    entropy: NDArray[np.float32]
    disagreement: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], own: NDArray[np.float32] | None, temperature: float) -> Uncertainty:
        """Of probabilities (K, ...) before a temperature; `own` is the mean entropy (1, ...) of several members."""
        largest = np.float32(np.log(max(len(probabilities), 2)))
        shown = entropy(softened_again(probabilities, temperature, axis=0), axis=0)[0] / largest
        if own is None:
            return cls(shown)
        return cls(shown, np.maximum(entropy(probabilities, axis=0) - own, 0)[0] / largest)

    def blank(self, size: tuple[int, int]) -> Uncertainty:
        """One of `size` (H, W) of the same kind, to be filled part by part."""
        other = None if self.disagreement is None else np.empty(size, np.float32)
        return Uncertainty(np.empty(size, np.float32), other)

    def fill(self, rows: slice, columns: slice, part: Uncertainty) -> None:
        """Take the values of a part of the image."""
        self.entropy[rows, columns] = part.entropy
        if self.disagreement is not None and part.disagreement is not None:
            self.disagreement[rows, columns] = part.disagreement
