"""Networks of several heads are looked into head by head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segkit.errors import UsageError
from segkit.explanation.heat import grad_cam, likely_classes, occlusion
from segkit.explanation.inspection import inspect
from segkit.explanation.subject import open_subject
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.models.model import Model
from segkit.structures import TASKS
from tests.explanation.networks import write_image
from tests.inference.networks import class_map, plain_pipeline


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """All four heads, random weights."""
    torch.manual_seed(0)
    options = {"width": 4, "depth": 4}
    model = build_model(
        ModelConfig(
            heads=dict.fromkeys(TASKS, 3), backbone_options=options, detect_options={"channels": 64, "levels": 2}
        )
    )
    pipeline = plain_pipeline(stride_multiple=model.stride_multiple)
    return Predictor(TorchEngine(model), pipeline, dict.fromkeys(TASKS, class_map(3)))


def test_every_head_is_shown_and_one_may_be_chosen(predictor: Predictor, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.png")
    calls: list[tuple[int, int]] = []
    found = inspect(predictor, image, lambda done, total: calls.append((done, total)))
    assert list(found.answers) == list(predictor.heads)
    files = [picture.file for group in ("grad_cam", "occlusion") for picture in found.groups[group]]
    assert len(set(files)) == len(files)
    for head in TASKS:
        of_head = [picture for picture in found.groups["grad_cam"] if f"_{head}_" in picture.file]
        assert 1 <= len(of_head) <= 3
        assert all(picture.caption.startswith(f"{head}: ") for picture in of_head)
    assert sum(done == total for done, total in calls) == len(TASKS)  # occlusion of each
    alone = inspect(predictor, image, head="classify")
    assert {picture.file.removeprefix("grad_cam_")[0] for picture in alone.groups["grad_cam"]} <= set("012")
    of_all = {picture.file: picture.pixels for picture in found.groups["grad_cam"]}
    for picture in alone.groups["grad_cam"]:
        assert np.array_equal(picture.pixels, of_all[picture.file.replace("grad_cam_", "grad_cam_classify_")])


def test_the_border_between_objects_is_a_class_too(predictor: Predictor, tmp_path: Path) -> None:
    subject = open_subject(predictor, write_image(tmp_path / "image.png"), "instances")
    assert subject.names == ("class 0", "class 1", "class 2", "border")
    with torch.no_grad():
        expected = predictor.engine.run(subject.batch.numpy())["instances"]
        assert np.allclose(subject.logits(subject.batch).numpy(), expected, atol=1e-5)
    assert grad_cam(subject, 3).values.shape == (64, 64)


def test_a_class_of_boxes_is_as_sure_as_its_surest_place(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = open_subject(predictor, write_image(tmp_path / "image.png"), "detect")
    outputs = predictor.engine.run(subject.batch.numpy())["detect"]
    logits = subject.logits(subject.batch)
    np.testing.assert_allclose(logits.detach().numpy(), outputs.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(subject.probabilities(logits).sum(dim=1).item(), logits.sigmoid().sum().item())
    # A head whose class 1 is as sure as one pixel is bright: what covers it lets the probability fall.

    def forward(_model: Model, images: Tensor) -> dict[str, Tensor]:
        places = torch.full((len(images), 2, 3), -9.0)
        places[:, 0, 1] = images[:, 0, 20, 44]
        return {"detect": places}

    monkeypatch.setattr(Model, "forward", forward)
    assert likely_classes(subject, 1) == [1]
    fall = occlusion(subject, [1])[0]
    assert fall.peak == pytest.approx(1 / (1 + np.exp(-2)) - 0.5, abs=1e-5)
    rows, columns = fall.values.nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 27, 40, 51)


def test_a_head_that_the_network_lacks_is_refused(tmp_path: Path, predictor: Predictor) -> None:
    one = Predictor(predictor.engine, predictor.pipeline, {"segment": class_map(3)})
    with pytest.raises(UsageError, match="the network has no head 'detect', it has segment; name one of them"):
        open_subject(one, write_image(tmp_path / "image.png"), "detect")


def test_objects_one_by_one_have_no_logits_to_explain(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = open_subject(predictor, write_image(tmp_path / "image.png"), "instances")
    monkeypatch.setattr(Model, "forward", lambda self, images: {"instances/boxes": images})
    with pytest.raises(UsageError, match="the head 'instances' finds objects one by one"):
        subject.logits(subject.batch)
