"""Any image gives a mask of exactly its size, whole or in tiles, the same bits every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from segkit.errors import UnreadableFileError, UsageError
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.inference.results import ClassificationResult, SegmentationResult
from segkit.inference.tiling import Axis
from tests.inference.networks import (
    LocalNetwork,
    MeanColor,
    Recorder,
    class_map,
    local_predictor,
    photo,
    plain_pipeline,
)

SIZES = [(1, 1), (7, 13), (257, 255), (64, 1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("whole_limit", [1, 10**6])
def test_mask_has_exactly_the_size_of_the_image(size: tuple[int, int], whole_limit: int) -> None:
    predictor = local_predictor(stride_multiple=32, tile=64, whole_limit=whole_limit)
    result = predictor.segment(photo(*size), probabilities=True)
    assert result.mask.shape == size
    assert result.mask.dtype == np.uint8
    assert result.probabilities is not None
    assert result.probabilities.shape == (4, *size)
    np.testing.assert_allclose(result.probabilities.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(result.probabilities.argmax(axis=0), result.mask)


def test_whole_image_equals_plain_torch() -> None:
    """Where nothing is padded, the answer is the network's on the prepared image."""
    image = photo(64, 96)
    tensor = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    with torch.inference_mode():
        expected = LocalNetwork().eval()(tensor)["segment"][0].softmax(0).numpy()
    result = local_predictor(stride_multiple=32).segment(image, probabilities=True)
    assert result.probabilities is not None
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    assert np.array_equal(result.mask, expected.argmax(axis=0))


@pytest.mark.parametrize("size", [(200, 330), (257, 255)])
@pytest.mark.parametrize("stride_multiple", [1, 16])
def test_tiles_equal_the_whole_image_of_a_local_network(size: tuple[int, int], stride_multiple: int) -> None:
    image = photo(*size)
    whole = local_predictor(stride_multiple=stride_multiple).segment(image, probabilities=True)
    tiled = local_predictor(stride_multiple=stride_multiple, tile=96, whole_limit=1).segment(image, probabilities=True)
    assert whole.probabilities is not None
    assert tiled.probabilities is not None
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert (tiled.mask != whole.mask).mean() < 1e-4


@pytest.mark.parametrize("name", ["8bit", "percentile", "zscore", "ct"])
def test_tiles_show_the_network_the_pixels_of_the_whole_image(name: str) -> None:
    """Bit for bit, with every normalization: a dark corner is not made bright because its tile is dark."""
    image = (photo(90, 130).astype(np.float32) ** 2) * np.linspace(0.01, 1, 130, dtype=np.float32)[:, None]
    low, high = (-2.0, 2.0) if name == "zscore" else (50.0, 20_000.0)
    settings: dict[str, Any] = {"normalization": name, "low": low, "high": high, "tile": 32}

    class Collector(Recorder):
        seen: ClassVar[list[NDArray[np.float32]]] = []

        def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            self.seen.append(images[0].copy())
            return super().run(images)

    collector = Collector(3)
    predictor = Predictor(collector, plain_pipeline(whole_limit=1, **settings), {"segment": class_map(3)})
    predictor.segment(image)
    whole = predictor.pipeline.prepare(image)
    assert len(collector.seen) > 6
    rows, columns = (Axis.plan(side, 32, 0.25, 1).starts for side in (90, 130))
    places = [(row, column) for row in rows for column in columns]
    for (row, column), tile in zip(places, collector.seen, strict=True):
        assert np.array_equal(tile, whole[:, row : row + 32, column : column + 32])


def test_smaller_images_are_mirrored_to_the_crops_of_training() -> None:
    """A network trained on slices amid mirrored ones takes their border for the place it is at."""
    recorder = Recorder(3)
    image = photo(35, 49)
    predictor = Predictor(recorder, plain_pipeline(smallest=64, stride_multiple=16), {"segment": class_map(3)})
    mask = predictor.segment(image).mask
    predictor.segment(photo(35, 100))
    assert recorder.shapes == [(1, 3, 64, 64), (1, 3, 64, 112)]
    assert np.array_equal(mask, predictor.pipeline.prepare(image).argmax(axis=0))


def test_lost_margin_is_mirrored_beforehand() -> None:
    """A network without padding, given its margin of three pixels, answers what it answers on NumPy's reflection."""
    image = photo(40, 50)
    mirrored = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="reflect")
    tensor = (torch.from_numpy(mirrored).permute(2, 0, 1)[None] / 255 - 0.5) / 0.25
    with torch.inference_mode():
        expected = LocalNetwork(valid=True).eval()(tensor)["segment"][0].softmax(0).numpy()
    for whole_limit in (1, 10**6):
        predictor = local_predictor(valid=True, margin=3, tile=32, whole_limit=whole_limit)
        result = predictor.segment(image, probabilities=True)
        assert result.probabilities is not None
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)


def test_network_sees_single_images_of_multiples_of_its_stride() -> None:
    engine = Recorder(2)
    predictor = Predictor(
        engine, plain_pipeline(stride_multiple=16, tile=48, whole_limit=2500), {"segment": class_map(2)}
    )
    predictor.predict(photo(30, 33))
    assert engine.shapes == [(1, 3, 32, 48)]
    engine.shapes.clear()
    predictor.predict(photo(60, 100))
    assert set(engine.shapes) == {(1, 3, 48, 48)}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("whole_limit", [1, 10**6])
def test_equal_bits_every_time(precision: str, whole_limit: int) -> None:
    first, second = (
        local_predictor("bf16" if precision == "bf16" else "fp32", whole_limit=whole_limit, tile=64) for _ in range(2)
    )
    image = photo(100, 90)
    answers = [predictor.segment(image, probabilities=True) for predictor in (first, second, first)]
    assert len({answer.mask.tobytes() for answer in answers}) == 1
    assert len({np.asarray(answer.probabilities).tobytes() for answer in answers}) == 1


def test_mask_holds_ids_not_indices() -> None:
    predictor = Predictor(Recorder(3), plain_pipeline(), {"segment": class_map(3, ids=(0, 7, 300))})
    image: NDArray[np.uint8] = np.zeros((1, 3, 3), np.uint8)
    image[0, [0, 1, 2], [0, 1, 2]] = 255
    assert predictor.segment(image).mask.tolist() == [[0, 7, 300]]
    assert predictor.segment(image).mask.dtype == np.uint16


def test_probabilities_are_given_only_when_asked_for() -> None:
    assert local_predictor().segment(photo(5, 5)).probabilities is None


def test_file_and_its_array_agree(tmp_path: Path) -> None:
    image = photo(31, 21)
    Image.fromarray(image).save(tmp_path / "image.png")
    predictor = local_predictor()
    assert np.array_equal(predictor.segment(tmp_path / "image.png").mask, predictor.segment(image).mask)


def test_classification_by_hand() -> None:
    predictor = Predictor(TorchEngine(MeanColor()), plain_pipeline(stride_multiple=8), {"classify": class_map(3)})
    result = predictor.predict(np.full((8, 16, 3), (0, 255, 51), np.uint8))
    logits = (np.array([0, 1, 0.2]) - 0.5) / 0.25
    expected = np.exp(logits) / np.exp(logits).sum()
    assert isinstance(result, ClassificationResult)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    assert result.label == "class 1"


def test_classification_resizes_to_the_pipelines_size() -> None:
    predictor = Predictor(TorchEngine(MeanColor()), plain_pipeline(size=(32, 32)), {"classify": class_map(3)})
    large, small = np.full((90, 70, 3), 200, np.uint8), np.full((1, 1, 3), 200, np.uint8)
    assert np.array_equal(predictor.classify(large).probabilities, predictor.classify(small).probabilities)


def test_predict_does_what_the_model_does() -> None:
    assert isinstance(local_predictor().predict(photo(4, 4)), SegmentationResult)
    with pytest.raises(UsageError, match="the model's task is 'segment', not 'classify'"):
        local_predictor().classify(photo(4, 4))


@pytest.mark.parametrize("channels", [1, 4])
def test_wrong_number_of_channels(channels: int) -> None:
    with pytest.raises(UsageError, match=f"the image has {channels} channels?, the model takes 3"):
        local_predictor().predict(photo(9, 9, channels))


def test_file_that_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not an image")
    with pytest.raises(UnreadableFileError, match=r"cannot read .*notes\.png"):
        local_predictor().predict(tmp_path / "notes.png")


@pytest.mark.parametrize(("name", "image"), [("camvid", "test/*.jpg"), ("isbi2012_em", "image/*.png")])
def test_real_images_whole_and_in_tiles(datasets: Callable[[str], Path], name: str, image: str) -> None:
    file = min(datasets(name).glob(image))
    with Image.open(file) as opened:
        size = opened.size[::-1]
    answers = []
    for whole_limit in (1, 10**6):
        pipeline = plain_pipeline(convert="rgb", stride_multiple=32, tile=160, whole_limit=whole_limit)
        answers.append(Predictor(TorchEngine(LocalNetwork()), pipeline, {"segment": class_map(4)}).segment(file).mask)
    tiled, whole = answers
    assert whole.shape == tiled.shape == size
    assert (tiled != whole).mean() < 1e-4
