"""The page itself: what is on it and what happens on a click."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio
import numpy as np

from segkit.app.render import classification_html, drawn_html, found_html, message_html, picture_html, shares_html
from segkit.data.cells import draw_scene
from segkit.data.image_io import read_image, write_image, write_mask
from segkit.errors import SegkitError
from segkit.inference.predictor import Predictor
from segkit.inference.results import ClassificationResult, CombinedResult, DetectionResult, SegmentationResult

_OPACITY = 0.5
# The two layers of the picture are in the browser already: moving the slider asks the server nothing.
_SET_OPACITY = "(value) => { document.documentElement.style.setProperty('--mask-opacity', value); }"


def build_page(predictors: Mapping[str, Predictor], folder: Path) -> gradio.Blocks:
    """Compose the page.

    Args:
        predictors: the models by the name shown to the visitor, at least one.
        folder: where the example and the masks for download are written; the caller deletes it.
    """
    names = list(predictors)
    example = _write_example(folder)
    takes_gray = all(model.pipeline.channels == 1 or model.pipeline.convert == "rgb" for model in predictors.values())

    def answer(image: str | None, model: str) -> tuple[str, Any, str, Any]:
        """Picture, opacity slider, table and download button; what belongs to a mask is hidden where there is none."""
        if image is None:
            return _without_mask("")
        path = Path(image)
        try:
            stored = read_image(path)
            predictor = predictors[model]
            result = predictor.predict(stored)
        except SegkitError as error:
            return _without_mask(message_html(str(error).replace(str(path), path.name)))
        if isinstance(result, ClassificationResult):
            return _without_mask(classification_html(result))
        if not isinstance(result, SegmentationResult):
            if isinstance(result, DetectionResult | CombinedResult):
                result = result.above(predictor.pipeline.objects.threshold)
            return _without_mask(found_html(result), drawn_html(stored, result))
        mask = Path(tempfile.mkdtemp(dir=folder)) / f"{path.stem}_mask.png"
        write_mask(mask, result.mask, result.classes)
        download = gradio.DownloadButton(visible=True, value=str(mask))
        return picture_html(stored, result), gradio.Slider(visible=True), shares_html(result), download

    with gradio.Blocks(title="segkit", analytics_enabled=False) as page:
        gradio.HTML("<h1>segkit</h1><p>Drop an image: the model marks what it sees.</p>", elem_id="title")
        with gradio.Row():
            with gradio.Column(scale=1, min_width=260):
                model = gradio.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
                image = gradio.File(label="Image", file_types=["image", ".tif", ".tiff"], height=140, elem_id="image")
                try_example = gradio.Button("Try a sample image", visible=takes_gray, size="sm")
            with gradio.Column(scale=3, min_width=300):
                picture = gradio.HTML(elem_id="picture")
                opacity = gradio.Slider(
                    0, 1, _OPACITY, step=0.01, label="Mask opacity", visible=False, buttons=[], elem_id="opacity"
                )
                shares = gradio.HTML(elem_id="shares")
                download = gradio.DownloadButton("Download the mask", visible=False, elem_id="download")
        gradio.on(
            [image.change, model.change],
            answer,
            [image, model],
            [picture, opacity, shares, download],
            show_progress="minimal",
            api_name="predict",
        )
        try_example.click(lambda: str(example), outputs=image, api_name=False)
        opacity.change(None, opacity, js=_SET_OPACITY, api_name=False)
    return page


def _without_mask(text: str, picture: str = "") -> tuple[str, Any, str, Any]:
    return picture, gradio.Slider(visible=False), text, gradio.DownloadButton(visible=False, value=None)


def _write_example(folder: Path) -> Path:
    path = folder / "cells.png"
    write_image(path, draw_scene(np.random.default_rng(0)).image)
    return path


def look() -> dict[str, Any]:
    """Theme and style for `launch`: system fonts only, so that the page asks nothing from outside."""
    fonts = ["ui-sans-serif", "system-ui", "sans-serif"]
    mono = ["ui-monospace", "Consolas", "monospace"]
    theme = gradio.themes.Default(primary_hue="teal", font=fonts, font_mono=mono)
    return {"theme": theme, "css_paths": Path(__file__).with_name("style.css")}
