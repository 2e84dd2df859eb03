"""Test-time augmentation: exact inverses, nothing changed for a network that sees no difference, else the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segkit.errors import UsageError
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.inference.results import CombinedResult
from segkit.inference.views import Scaled, Turned, ViewsEngine, with_views
from segkit.ops.scores import softmax
from tests.inference.networks import LocalNetwork, MeanColor, class_map, local_predictor, photo, plain_pipeline
from tests.inference.test_objects import by_place, predictor, scene

TURNS = [Turned(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)]
IN_TILES = {"whole_limit": 1, "tile": 96, "overlap": 0.5}


def equivariant_network() -> LocalNetwork:
    """Its filters look alike from all sides."""
    network = LocalNetwork()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:
                turned = [torch.rot90(parameter, quarters, (2, 3)) for quarters in range(4)]
                parameter.copy_(torch.stack([part for each in turned for part in (each, each.flip(3))]).mean(0))
    return network


@pytest.mark.parametrize("turn", TURNS)
def test_turns_are_taken_back_bit_for_bit(turn: Turned) -> None:
    random = np.random.default_rng(0)
    images = random.random((1, 3, 7, 12)).astype(np.float32)
    seen = turn.show(images)
    assert seen.shape[-2:] == ((12, 7) if turn.quarters % 2 else (7, 12))
    assert np.array_equal(turn.undo({"segment": seen}, (7, 12))["segment"], images)
    # Boxes: those around marked pixels, found in the image and in the view.
    image = np.zeros((1, 1, 7, 12), np.float32)
    image[..., 2:4, 5:11] = 1
    rows, columns = turn.show(image)[0, 0].nonzero()
    found = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    assert turn.undo({"detect/boxes": found}, (7, 12))["detect/boxes"].tolist() == [[5, 2, 11, 4]]


def test_the_eight_turns_differ() -> None:
    image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    assert len({turn.show(image).tobytes() for turn in TURNS}) == 8


@pytest.mark.parametrize("views", ["flips", "d4"])
@pytest.mark.parametrize("settings", [{}, {"stride_multiple": 16}, {"whole_limit": 1000, "tile": 32}])
def test_a_network_that_sees_no_difference_gives_the_same(views: Any, settings: dict[str, Any]) -> None:
    image = photo(61, 47)
    alone = Predictor(TorchEngine(equivariant_network()), plain_pipeline(**settings), {"segment": class_map(4)})
    one, several = (each.segment(image, probabilities=True) for each in (alone, with_views(alone, views)))
    assert one.probabilities is not None
    assert several.probabilities is not None
    np.testing.assert_allclose(several.probabilities, one.probabilities, atol=1e-6)
    np.testing.assert_array_equal(several.mask, one.mask)


@pytest.mark.parametrize("settings", [{}, IN_TILES], ids=["whole", "in tiles"])
@pytest.mark.parametrize("views", ["flips", "d4"])
def test_objects_boxes_and_labels_too(views: Any, settings: dict[str, Any]) -> None:
    alone = predictor(("segment", "instances", "detect", "classify"), stride_multiple=32, **settings)
    one, several = (each.predict(scene()) for each in (alone, with_views(alone, views)))
    assert isinstance(one, CombinedResult)
    assert isinstance(several, CombinedResult)
    np.testing.assert_array_equal(several.mask, one.mask)
    assert several.instances is not None
    assert one.instances is not None
    assert len(one.instances) > 10
    np.testing.assert_array_equal(several.instances.ids, one.instances.ids)
    np.testing.assert_allclose(several.instances.scores, one.instances.scores, atol=1e-6)
    assert several.detect is not None
    assert one.detect is not None
    found, expected = by_place(several.detect), by_place(one.detect)
    assert len(expected) > 10
    np.testing.assert_allclose(found.corners, expected.corners, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert several.classify is not None
    assert one.classify is not None
    np.testing.assert_allclose(several.classify.probabilities, one.classify.probabilities, atol=1e-6)


def test_one_that_does_gives_the_mean_of_its_probabilities() -> None:
    alone = local_predictor()
    image = photo(33, 40)
    straight, mirrored = (
        alone.segment(seen, probabilities=True).probabilities for seen in (image, np.ascontiguousarray(image[:, ::-1]))
    )
    assert straight is not None
    assert mirrored is not None
    expected = (straight + mirrored[..., ::-1]) / 2
    found = with_views(alone, "flips").segment(image, probabilities=True)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert np.abs(straight - expected).max() > 0.01


def test_scales_show_sides_that_the_network_takes_and_measure_boxes_back() -> None:
    view = Scaled(0.75, multiple=16, remainder=4)
    assert view.show(np.zeros((1, 2, 100, 68), np.float32)).shape == (1, 2, 68, 52)  # nearest to 75 and 51
    boxes = np.array([[13, 17, 26, 34]], np.float32)
    back = view.undo({"detect/boxes": boxes}, (100, 68))["detect/boxes"]
    np.testing.assert_allclose(back, [[17, 25, 34, 50]], rtol=1e-6)
    same = Scaled(1.0, multiple=16, remainder=4)
    images = np.random.default_rng(0).random((1, 3, 100, 68)).astype(np.float32)
    assert np.array_equal(same.undo({"segment": same.show(images)}, (100, 68))["segment"], images)


def test_scales_average_maps_of_the_image_s_own_size() -> None:
    class Says:
        """Class 1 with a logit that grows to the right, whatever the size."""

        description = "says"

        def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            height, width = images.shape[-2:]
            across = (np.arange(width, dtype=np.float32) + 0.5) / width
            return {"segment": np.stack([np.zeros((height, width)), np.tile(4 * across - 2, (height, 1))])[None]}

    alone = Predictor(Says(), plain_pipeline(stride_multiple=8), {"segment": class_map(2)})
    one, several = (each.segment(photo(48, 64), probabilities=True) for each in (alone, with_views(alone, "scales")))
    assert one.probabilities is not None
    assert several.probabilities is not None
    np.testing.assert_allclose(several.probabilities[..., 2:-2], one.probabilities[..., 2:-2], atol=2e-3)
    np.testing.assert_array_equal(several.mask, one.mask)


def test_classes_of_images_are_averaged() -> None:
    pipeline = plain_pipeline(size=(8, 8))
    alone = Predictor(TorchEngine(MeanColor()), pipeline, {"classify": class_map(3)})
    found = with_views(alone, "d4").classify(photo(20, 30))
    np.testing.assert_allclose(found.probabilities, alone.classify(photo(20, 30)).probabilities, atol=1e-6)


def test_an_engine_of_views_says_logits_of_the_mean() -> None:
    network = TorchEngine(LocalNetwork())
    images = np.random.default_rng(0).random((1, 3, 16, 16)).astype(np.float32)
    engine = ViewsEngine(network, [Turned(), Turned(mirrored=True)], "flips")
    assert engine.description == "torch, cpu, fp32, mean of 2 views (flips)"
    straight, mirrored = (softmax(network.run(seen)["segment"], axis=1) for seen in (images, images[..., ::-1].copy()))
    mean = (straight + mirrored[..., ::-1]) / 2
    np.testing.assert_allclose(softmax(engine.run(images)["segment"], axis=1), mean, atol=1e-6)


@pytest.mark.parametrize(
    ("views", "settings", "message"),
    [
        ("rotations", {}, "'--tta rotations' is unknown; allowed are flips, d4, scales"),
        ("d4", {"size": (20, 30)}, "'--tta d4' turns images, and the network takes 30 x 20 pixels, no square"),
        ("scales", {"size": (32, 32)}, "'--tta scales' needs a network of any size"),
        ("scales", {"margin": 3}, "the network loses 3 pixels per side"),
    ],
)
def test_views_that_a_network_cannot_be_shown(views: Any, settings: dict[str, Any], message: str) -> None:
    alone = Predictor(TorchEngine(LocalNetwork()), plain_pipeline(**settings), {"segment": class_map(4)})
    with pytest.raises(UsageError, match=message):
        with_views(alone, views)
