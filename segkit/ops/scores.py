"""Scores of classes: from logits to probabilities, and to the class that is decided on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_indices(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """The class decided on at every pixel: (K, H, W) logits or probabilities to (H, W); of equals the lower index."""
    indices: NDArray[np.intp] = scores.argmax(axis=0)
    return indices


def softmax(logits: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Probabilities along `axis`, computed without overflow."""
    probabilities = logits - logits.max(axis=axis, keepdims=True)
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=axis, keepdims=True)
    return probabilities


def softened(logits: NDArray[np.float32], temperature: float, axis: int) -> NDArray[np.float32]:
    """Probabilities of logits divided by a temperature, which says how far they can be believed; 1 changes nothing.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2.
    """
    return softmax(logits if temperature == 1 else logits / np.float32(temperature), axis)


def softened_again(probabilities: NDArray[np.float32], temperature: float, axis: int) -> NDArray[np.float32]:
    """The same of probabilities that are a mean already: of tiles, views or networks."""
    if temperature == 1:
        return probabilities
    return softened(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)), temperature, axis)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of logits that each decide alone, computed without overflow."""
    shrunk = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, shrunk) / (1 + shrunk), np.float32)


def entropy(probabilities: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """How unsure probabilities are, in nats: along the axis of the classes, which stays with length 1."""
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    logarithms *= probabilities
    return np.asarray(-logarithms.sum(axis=axis, keepdims=True))
