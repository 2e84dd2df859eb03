"""What is looked into is what the network sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segkit.errors import UsageError
from segkit.explanation.heat import grad_cam, occlusion
from segkit.explanation.subject import open_subject
from segkit.inference.predictor import Predictor
from tests.explanation.networks import bright_classifier, bright_segmenter, losing_segmenter, write_image
from tests.inference.networks import photo, plain_pipeline


def with_pipeline(predictor: Predictor, **settings: Any) -> Predictor:
    return Predictor(predictor.engine, plain_pipeline(**settings), predictor.heads)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": (32, 48)},
        {"size": (40, 40), "center_crop": (32, 28)},
        {"size": (40, 40), "keep_proportions": True},
        {"size": (40, 48), "keep_proportions": True, "center_crop": (32, 32)},
    ],
)
def test_the_shown_image_is_the_one_that_is_prepared(tmp_path: Path, settings: dict[str, Any]) -> None:
    predictor = with_pipeline(bright_classifier(), **settings)
    subject = open_subject(predictor, write_image(tmp_path / "image.png", photo(90, 61)))
    assert subject.image.dtype == np.uint8
    prepared = subject.batch[0].numpy().transpose(1, 2, 0)
    shown = (subject.image / 255 - 0.5) / 0.25
    assert shown.shape == prepared.shape
    assert np.abs(shown - prepared).max() < 0.51 / 255 / 0.25  # rounded to whole values
    assert grad_cam(subject, 1).values.shape == subject.image.shape[:2]
    assert occlusion(subject, [1])[0].values.shape == subject.image.shape[:2]


def test_other_types_are_shown_unrounded() -> None:
    image = np.random.default_rng(0).random((20, 30, 1), np.float32)
    seen = plain_pipeline(1, size=(8, 8), center_crop=(4, 6), low=0.0, high=1.0).seen(image)
    prepared = plain_pipeline(1, size=(8, 8), center_crop=(4, 6), low=0.0, high=1.0).prepare(image)
    assert np.allclose((seen[..., 0] - 0.5) / 0.25, prepared[0], atol=1e-6)


@pytest.mark.parametrize("smallest", [1, 96])
@pytest.mark.parametrize("size", [(20, 30), (50, 71), (70, 140)])
@pytest.mark.parametrize("build", [bright_segmenter, losing_segmenter])
def test_the_network_sees_what_it_is_given_for_prediction(
    tmp_path: Path, build: Callable[[], Predictor], size: tuple[int, int], smallest: int
) -> None:
    """Images smaller than the crops of training are mirrored up to these."""
    predictor = build()
    predictor.pipeline = predictor.pipeline.model_copy(update={"smallest": smallest})
    image = write_image(tmp_path / "image.png", photo(*size))
    subject = open_subject(predictor, image)
    with torch.no_grad():
        explained = subject.logits(subject.batch)[0].softmax(dim=0).numpy()
    predicted = predictor.segment(image, probabilities=True).probabilities
    assert predicted is not None
    np.testing.assert_allclose(explained, predicted, atol=1e-6)
    assert grad_cam(subject, 1).values.shape == size


def test_too_large_images_are_refused_unless_they_are_resized(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.png")
    with pytest.raises(UsageError, match=r"image.png has 64 x 64 pixels, too many to look into at once"):
        open_subject(with_pipeline(bright_classifier(), whole_limit=4095), image)
    open_subject(with_pipeline(bright_classifier(), whole_limit=4095, size=(32, 32)), image)
