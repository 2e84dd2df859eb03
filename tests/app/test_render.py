"""Results as HTML, without a browser."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from segkit.app.render import drawn_html, found_html
from segkit.inference.results import CombinedResult
from segkit.structures import TASKS
from tests.inference.test_objects import predictor, scene


def picture_in(page: str) -> Image.Image:
    match = re.search(r"data:image/jpeg;base64,([^\"]+)", page)
    assert match is not None
    return Image.open(io.BytesIO(base64.b64decode(match[1])))


def test_boxes_and_objects_are_drawn_and_counted() -> None:
    image = scene(120, 170)
    for task, classes in (("detect", ("dim", "bright")), ("instances", ("cell",))):
        result = predictor((task,)).predict(image)  # type: ignore[arg-type]
        table = found_html(result)
        assert "6 objects" in table
        assert all(f"</span>{name}</th>" in table for name in classes)
        assert picture_in(drawn_html(image, result)).size == (170, 120)


def test_several_heads_are_one_picture_and_a_table_each() -> None:
    image = np.tile(scene(120, 170), (1, 12, 1))
    result = predictor(TASKS, whole_limit=10**7).predict(image)
    assert isinstance(result, CombinedResult)
    table = found_html(result)
    assert table.count("<table>") == 4
    assert "Most probable: b" in table
    assert picture_in(drawn_html(image, result)).size == (1600, round(120 * 1600 / 2040))
