"""Nearest images, against distances computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.data.image_io import read_image
from segkit.errors import UsageError
from segkit.explanation.similar import find_similar, hidden_vector
from segkit.explanation.subject import network_of, prepare
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.models.factory import create_model
from tests.explanation.networks import bright_classifier, bright_segmenter, bright_square, write_image
from tests.inference.networks import class_map, plain_pipeline


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The square image, a copy that is nearly equal, one without a square, one upside down, one that is no image."""
    square = bright_square()
    dimmer = square - (square // 25)
    paths = [
        write_image(tmp_path / f"{name}.png", image)
        for name, image in (
            ("query", square),
            ("dimmer", dimmer),
            ("flat", np.full_like(square, 128)),
            ("flipped", np.ascontiguousarray(square[::-1])),
        )
    ]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    return [*paths, broken]


def test_nearest_first_bad_files_apart(files: list[Path]) -> None:
    found = find_similar(bright_classifier(), files[0], files, top=2)
    assert [file.stem for file, _ in found.nearest] == ["flipped", "dimmer"]
    assert found.nearest[0][1] == pytest.approx(0, abs=1e-5)
    assert [file.name for file in found.errors] == ["broken.png"]
    assert "cannot read" in found.errors[files[-1]]


def test_the_vector_is_what_the_last_layer_is_given(files: list[Path]) -> None:
    torch.manual_seed(0)
    network = create_model("alexnet_tv", num_classes=3, task="classify").eval()
    predictor = Predictor(TorchEngine(network), plain_pipeline(size=(224, 224)), {"classify": class_map(3)})
    vector = torch.from_numpy(hidden_vector(predictor, files[0]))
    assert vector.shape == (4096,)
    last = list(network.heads.modules())[-1]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        logits = last.weight[:, :, 0, 0] @ vector + last.bias
        expected = network(prepare(predictor, read_image(files[0])))["classify"][0]
    assert torch.allclose(logits, expected, atol=1e-4)


def test_segmentation_takes_the_mean_of_the_coarsest_map(files: list[Path]) -> None:
    predictor = bright_segmenter()
    with torch.no_grad():
        maps = network_of(predictor).backbone(prepare(predictor, read_image(files[0]))).maps
    expected = maps[-1][0].mean(dim=(1, 2)).numpy()
    assert np.allclose(hidden_vector(predictor, files[0]), expected, atol=1e-6)


def test_an_image_alone_has_no_neighbours(files: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"there is no image besides .*query\.png; name a folder with others"):
        find_similar(bright_classifier(), files[0], files[:1], top=6)


def test_images_too_large_for_one_piece_are_refused(files: list[Path]) -> None:
    small = bright_segmenter()
    predictor = Predictor(small.engine, plain_pipeline(whole_limit=4095), {"segment": small.classes})
    with pytest.raises(UsageError, match=r"query\.png has 64 x 64 pixels, too many to look into at once"):
        find_similar(predictor, files[0], files, top=1)
