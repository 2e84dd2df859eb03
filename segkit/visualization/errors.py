"""Where a prediction is wrong, and how."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.structures import IGNORE_INDEX, ClassMap, Color
from segkit.visualization.display import to_display

# Colours that stay apart for colour-blind readers (M. Okabe, K. Ito, Color Universal Design, 2008).
MISSED: Color = (230, 96, 0)
INVENTED: Color = (40, 150, 255)
CONFUSED: Color = (240, 228, 66)
IGNORED: Color = (96, 96, 96)

_GRAY_SHARE = 0.45


def error_map(
    image: NDArray[Any],
    reference: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    classes: ClassMap,
) -> NDArray[np.uint8]:
    """Mark the wrong pixels on a dimmed gray picture of the image; ignored pixels are flat gray.

    Foreground predicted as background is `MISSED`, background predicted as foreground is `INVENTED`, and one foreground
    class in place of another is `CONFUSED`.

    Args:
        image: (H, W) or (H, W, C) of any type.
        reference: (H, W) class ids; a value that is no class's id is ignored.
        prediction: (H, W) class ids.
        classes: what the ids mean.

    Returns:
        (H, W, 3) RGB.
    """
    truth, predicted = classes.ids_to_indices(reference), classes.ids_to_indices(prediction)
    counted = truth != IGNORE_INDEX
    wrong = counted & (truth != predicted)
    gray = (to_display(image).mean(axis=2) * _GRAY_SHARE).astype(np.uint8)
    picture = np.repeat(gray[..., None], 3, axis=2)
    picture[~counted] = IGNORED
    picture[wrong] = CONFUSED
    if classes.background is not None:
        picture[wrong & (predicted == classes.background)] = MISSED
        picture[wrong & (truth == classes.background)] = INVENTED
    return picture


def error_share(reference: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]], classes: ClassMap) -> float:
    """Share of the counted pixels, 0 to 1, whose class is wrong; 0 where none is counted."""
    truth = classes.ids_to_indices(reference)
    counted = truth != IGNORE_INDEX
    wrong = counted & (truth != classes.ids_to_indices(prediction))
    return float(wrong.sum() / max(1, counted.sum()))
