"""The page as a visitor sees it, in a real browser."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from playwright.sync_api import expect

from segkit.inference.predictor import Predictor
from segkit.inference.results import SegmentationResult
from tests.app.conftest import ThresholdEngine, Visit

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::UserWarning")]


def predicted(predictor: Predictor, image: Path) -> SegmentationResult:
    result = predictor.predict(image)
    assert isinstance(result, SegmentationResult)
    return result


def downloaded(visit: Visit, folder: Path) -> Path:
    with visit.page.expect_download() as download:
        visit.page.locator("#download").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_the_downloaded_mask_is_the_predictors(
    visit: Visit, predictors: dict[str, Predictor], cells: Path, tmp_path: Path
) -> None:
    visit.drop(cells)
    file = downloaded(visit, tmp_path)
    assert file.name == "cells_mask.png"
    mask = np.asarray(Image.open(file))
    assert mask.shape == (203, 301)
    assert np.array_equal(mask, predicted(predictors["cells"], cells).mask)
    assert set(np.unique(mask)) == {0, 1, 2}


def test_the_table_says_what_each_class_takes(visit: Visit, predictors: dict[str, Predictor], cells: Path) -> None:
    visit.drop(cells)
    rows = visit.page.locator("#shares tr")
    result = predicted(predictors["cells"], cells)
    for row, name in enumerate(("background", "cell", "nucleus")):
        expect(rows.nth(row)).to_contain_text(f"{name}{100 * result.shares()[name]:.2f} %{result.areas()[name]:,} px")
    expect(visit.page.locator("#shares .swatch").nth(1)).to_have_css("background-color", "rgb(230, 159, 0)")


def test_the_opacity_is_set_in_the_browser_alone(visit: Visit, engine: ThresholdEngine, cells: Path) -> None:
    visit.drop(cells)
    layer = visit.page.locator("#picture .mask-layer")
    expect(layer).to_have_css("opacity", "0.5")
    requests: list[str] = []
    visit.page.on("request", lambda request: requests.append(request.url))
    visit.page.locator("#opacity input[type=number]").fill("0.2")
    expect(layer).to_have_css("opacity", "0.2")
    assert engine.runs == 1
    assert requests == []


def test_sixteen_bits_arrive_as_they_are(visit: Visit, predictors: dict[str, Predictor], tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 240 * 160).reshape(160, 240).astype(np.uint16)
    tifffile.imwrite(tmp_path / "ramp.tif", ramp)
    visit.page.get_by_label("Model").click()
    visit.page.get_by_role("option", name="cells-12-bit").click()
    visit.drop(tmp_path / "ramp.tif")
    mask = np.asarray(Image.open(downloaded(visit, tmp_path)))
    assert np.array_equal(mask, predicted(predictors["cells-12-bit"], tmp_path / "ramp.tif").mask)
    assert set(np.unique(mask)) == {0, 1, 2}


def test_another_model_answers_for_the_same_image(visit: Visit, cells: Path) -> None:
    visit.drop(cells)
    expect(visit.page.locator("#picture figure")).to_be_visible()
    visit.page.get_by_label("Model").click()
    visit.page.get_by_role("option", name="kinds").click()
    expect(visit.page.locator("#shares caption")).to_have_text("Most probable: cell")
    expect(visit.page.locator("#download")).to_be_hidden()
    expect(visit.page.locator("#picture figure")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.png", b"no picture at all", "cannot read notes.png:"),
        ("empty.png", b"", "cannot read empty.png:"),
    ],
)
def test_a_bad_file_is_answered_in_words(
    visit: Visit, tmp_path: Path, cells: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    visit.drop(tmp_path / name)
    problem = visit.page.get_by_role("alert")
    expect(problem).to_contain_text(message)
    assert str(tmp_path) not in problem.inner_text()
    visit.page.get_by_label("Clear").click()
    visit.drop(cells)
    expect(visit.page.locator("#picture figure")).to_be_visible()


def test_a_colour_image_for_a_gray_model_is_answered_in_words(visit: Visit, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "colour.png")
    visit.drop(tmp_path / "colour.png")
    expect(visit.page.get_by_role("alert")).to_contain_text("the image has 3 channels, the model takes 1")


def test_an_example_is_at_hand(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Try a sample image").click()
    expect(visit.page.locator("#shares caption")).to_have_text("256 × 256 pixels")


def test_nothing_is_asked_from_outside(visit: Visit, cells: Path) -> None:
    visit.drop(cells)
    expect(visit.page.locator("#picture figure")).to_be_visible()
    assert visit.outside == []
    assert visit.problems == []


def test_a_phone_shows_it_without_sideways_scrolling(visit: Visit, cells: Path) -> None:
    visit.page.set_viewport_size({"width": 400, "height": 800})
    visit.drop(cells)
    expect(visit.page.locator("#picture figure")).to_be_visible()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400
