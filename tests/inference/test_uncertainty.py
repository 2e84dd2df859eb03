"""How unsure a network is: by hand, in views, in tiles, at a temperature, and as files with the worst first."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data.image_io import read_image, write_image
from segkit.errors import UsageError
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.predictor import Predictor
from segkit.inference.results import Uncertainty
from segkit.inference.views import with_views
from segkit.inference.writer import write_predictions
from tests.inference.networks import LocalNetwork, MeanColor, class_map, local_predictor, photo, plain_pipeline
from tests.inference.test_objects import predictor as objects_predictor
from tests.inference.test_objects import scene

IN_TILES: dict[str, Any] = {"whole_limit": 1000, "tile": 32}


def entropy(probabilities: Any) -> Any:
    """In nats over the first axis, by its definition."""
    return -(probabilities * np.log(probabilities)).sum(axis=0)


def test_by_hand() -> None:
    probabilities = np.array([[0.5, 1, 0.9], [0.5, 0, 0.1]], np.float32)
    alone = Uncertainty.of(probabilities, None, 1.0)
    np.testing.assert_allclose(alone.entropy, [1, 0, 0.468996], atol=1e-5)  # in bits: of two classes 1 is the most
    assert alone.disagreement is None
    own = np.array([[0, 0, 0.9 * -np.log(0.9) + 0.1 * -np.log(0.1)]], np.float32)
    several = Uncertainty.of(probabilities, own, 1.0)
    assert several.disagreement is not None
    np.testing.assert_allclose(several.disagreement, [1, 0, 0], atol=1e-5)  # one says this and one that; all are sure


def test_views_disagree_by_what_their_mean_is_less_sure_than_they_are() -> None:
    image, alone = photo(33, 40), local_predictor()
    straight, mirrored = (
        alone.segment(seen, probabilities=True).probabilities for seen in (image, np.ascontiguousarray(image[:, ::-1]))
    )
    assert straight is not None
    assert mirrored is not None
    each = np.stack([straight, mirrored[..., ::-1]]).astype(np.float64)
    total = entropy(each.mean(axis=0))
    found = with_views(alone, "flips").segment(image, uncertainty=True).uncertainty
    assert found is not None
    assert found.disagreement is not None
    np.testing.assert_allclose(found.entropy, total / np.log(4), atol=1e-5)
    expected = (total - (entropy(each[0]) + entropy(each[1])) / 2) / np.log(4)
    np.testing.assert_allclose(found.disagreement, expected, atol=1e-5)
    assert found.disagreement.max() > 0.001
    once = alone.segment(image, uncertainty=True).uncertainty
    assert once is not None
    assert once.disagreement is None
    assert alone.segment(image).uncertainty is None


@pytest.mark.parametrize("views", [None, "flips"])
def test_tiles_are_as_unsure_as_the_whole(views: Any) -> None:
    whole, tiled = local_predictor(), local_predictor(**IN_TILES)
    if views:
        whole, tiled = with_views(whole, views), with_views(tiled, views)
    one, other = (each.segment(photo(61, 50), uncertainty=True) for each in (whole, tiled))
    assert one.uncertainty is not None
    assert other.uncertainty is not None
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_allclose(one.uncertainty.entropy, other.uncertainty.entropy, atol=1e-4)
    if views:
        assert one.uncertainty.disagreement is not None
        assert other.uncertainty.disagreement is not None
        np.testing.assert_allclose(one.uncertainty.disagreement, other.uncertainty.disagreement, atol=1e-4)


@pytest.mark.parametrize("settings", [{}, IN_TILES], ids=["whole", "in tiles"])
def test_a_temperature_shows_in_entropy_and_not_in_disagreement(settings: dict[str, Any]) -> None:
    image = photo(61, 50)
    cold, warm = (
        with_views(local_predictor(temperatures={"segment": t}, **settings), "flips").segment(
            image, probabilities=True, uncertainty=True
        )
        for t in (1.0, 3.0)
    )
    assert warm.probabilities is not None
    assert warm.uncertainty is not None
    assert cold.uncertainty is not None
    np.testing.assert_allclose(warm.uncertainty.entropy, entropy(warm.probabilities) / np.log(4), atol=1e-5)
    assert (warm.uncertainty.entropy >= cold.uncertainty.entropy - 1e-6).all()
    assert warm.uncertainty.disagreement is not None
    assert cold.uncertainty.disagreement is not None
    np.testing.assert_array_equal(warm.uncertainty.disagreement, cold.uncertainty.disagreement)


@pytest.mark.parametrize("settings", [{}, IN_TILES], ids=["whole", "in tiles"])
def test_classes_of_images_too(settings: dict[str, Any]) -> None:
    one = Predictor(TorchEngine(MeanColor()), plain_pipeline(**settings), {"classify": class_map(3)})
    found = EnsemblePredictor.of([one, one], Path("ensemble.json")).predict(photo(61, 50), uncertainty=True)
    uncertainty = getattr(found, "uncertainty", None)
    assert isinstance(uncertainty, Uncertainty)
    assert uncertainty.disagreement is not None
    expected = entropy(one.classify(photo(61, 50)).probabilities.astype(np.float64)) / np.log(3)
    assert uncertainty.entropy == pytest.approx(expected, abs=1e-5)
    assert uncertainty.disagreement == pytest.approx(0, abs=1e-3)  # tiles differ, networks do not


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_and_the_table_with_the_worst_first(tmp_path: Path) -> None:
    class Says:
        """Two classes, as sure as the image is bright."""

        description = "says"

        def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            return {"segment": np.stack([images[:, 0] * 0, images[:, 0] * 5], axis=1)}

    predictor = Predictor(Says(), plain_pipeline(1, mean=[0.0], std=[1.0]), {"segment": class_map(2)})
    for name, value in (("bright", 255), ("dark", 0), ("gray", 60)):
        write_image(tmp_path / f"{name}.png", np.full((20, 30), value, np.uint8))
    files = [tmp_path / f"{name}.png" for name in ("bright", "dark", "gray")]
    write_predictions(predictor, files, tmp_path / "out", uncertainty=True)
    rows = rows_of(tmp_path / "out" / "review.csv")
    assert [Path(row["image"]).stem for row in rows] == ["dark", "gray", "bright"]
    assert list(rows[0]) == ["image", "head", "entropy"]
    assert float(rows[0]["entropy"]) == pytest.approx(1)
    drawn = read_image(tmp_path / "out" / "uncertainty" / "dark.png")
    assert drawn.shape[:2] == (20, 30)
    assert (drawn == 255).all()
    sure = 1 / (1 + np.exp(-5.0))
    expected = entropy(np.array([sure, 1 - sure])) / np.log(2)
    assert float(rows[2]["entropy"]) == pytest.approx(expected, abs=1e-4)
    assert not (tmp_path / "out" / "disagreement").exists()
    write_predictions(with_views(predictor, "flips"), files, tmp_path / "views", uncertainty=True)
    assert list(rows_of(tmp_path / "views" / "review.csv")[0]) == ["image", "head", "entropy", "disagreement"]
    assert (read_image(tmp_path / "views" / "disagreement" / "dark.png") == 0).all()
    write_predictions(predictor, files, tmp_path / "plain")
    assert not (tmp_path / "plain" / "review.csv").exists()


def test_several_heads_have_a_table_each_in_one(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", scene()[..., 0])
    predictor = objects_predictor(("segment", "detect", "classify"))
    write_predictions(predictor, [tmp_path / "a.png"], tmp_path / "out", uncertainty=True)
    assert [row["head"] for row in rows_of(tmp_path / "out" / "review.csv")] == ["segment", "classify"]


def test_models_of_objects_alone_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", scene()[..., 0])
    with pytest.raises(UsageError, match="'--uncertainty' is that of the classes of pixels or images"):
        write_predictions(objects_predictor(("detect",)), [tmp_path / "a.png"], tmp_path / "out", uncertainty=True)


def test_every_slice_of_a_volume_is_reviewed(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "stack.tif", photo(12, 14, channels=9).transpose(2, 0, 1), photometric="minisblack")
    predictor = Predictor(TorchEngine(LocalNetwork(channels=1)), plain_pipeline(1), {"segment": class_map(4)})
    write_predictions(predictor, [tmp_path / "stack.tif"], tmp_path / "out", uncertainty=True)
    assert len(rows_of(tmp_path / "out" / "review.csv")) == 9
    assert len(list((tmp_path / "out" / "uncertainty" / "stack").glob("*.png"))) == 9
