"""The page about results: its examples run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.data.image_io import write_image
from segkit.modelfile import ModelCard, save_model_file
from segkit.models.factory import create_model
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap, TaskName

PAGE = Path(__file__).parents[3] / "docs" / "results.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
HEADS: dict[TaskName, ClassMap] = {
    "segment": ClassMap(("background", "cell")),
    "detect": ClassMap(("cat", "dog"), background=None),
    "classify": ClassMap(("day", "night"), background=None),
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model file with untrained heads, and an image."""
    folder = tmp_path_factory.mktemp("page")
    network = create_model(
        "plain", decoder="unet", heads={task: classes.num_classes for task, classes in HEADS.items()}
    )
    card = ModelCard(
        heads={task: classes.to_dict() for task, classes in HEADS.items()},
        model=network.config.model_dump(mode="json"),
        pipeline=Pipeline(
            channels=3, mean=(0.5,) * 3, std=(0.25,) * 3, stride_multiple=network.stride_multiple
        ).model_dump(mode="json"),
    )
    save_model_file(folder / "model.safetensors", {k: v.numpy() for k, v in network.state_dict().items()}, card)
    write_image(folder / "image.png", np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8))
    return {"model": folder / "model.safetensors", "image": folder / "image.png"}


def test_all_heads(names: dict[str, Any]) -> None:
    scope = dict(names)
    exec(EXAMPLES[0], scope)
    assert scope["picture"].shape == (90, 70, 3)
    assert scope["result"].mask.shape == (90, 70)
    assert json.loads(scope["text"])["type"] == "FeatureCollection"
    assert all(one["image_id"] == 1 for one in scope["annotations"])


def test_one_label_and_one_box(names: dict[str, Any]) -> None:
    import segkit

    scope = {**names, "segkit": segkit}
    exec(EXAMPLES[1], scope)
    assert scope["result"].label in HEADS["classify"].names
    assert scope["place"].corners.shape == (1, 4)
    assert scope["place"].scores[0] == scope["result"].detect.scores.max()


def test_the_columns_are_those_of_the_page(names: dict[str, Any]) -> None:
    import segkit

    result = segkit.load(names["model"]).predict(names["image"])
    assert isinstance(result, segkit.CombinedResult)
    page = PAGE.read_text(encoding="utf-8")
    for rows in result.to_table().values():
        assert f": {', '.join(rows[0])} |" in page
