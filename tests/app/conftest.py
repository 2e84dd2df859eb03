"""A page over predictors whose engine is a threshold, in a browser that may reach nothing else."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from segkit.app.server import running_page
from segkit.inference.predictor import Predictor
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap

CLASSES = ClassMap(("background", "cell", "nucleus"), colors=((0, 0, 0), (230, 159, 0), (0, 114, 178)))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]


class ThresholdEngine:
    """Dark pixels are background, bright ones nuclei, those between cells; classifies by the mean."""

    description = "threshold"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.runs += 1
        values = images[:, :1]
        logits = np.concatenate([0.4 - values, 0.3 - abs(values - 0.6), values - 0.8], axis=1)
        return {"segment": logits, "classify": logits.mean(axis=(2, 3))}


@pytest.fixture
def engine() -> ThresholdEngine:
    return ThresholdEngine()


@pytest.fixture
def predictors(engine: ThresholdEngine) -> dict[str, Predictor]:
    eight_bit = Pipeline(channels=1, mean=(0,), std=(1,), stride_multiple=16)
    sixteen_bit = Pipeline(channels=1, high=4095, mean=(0,), std=(1,), stride_multiple=16)
    return {
        "cells": Predictor(engine, eight_bit, {"segment": CLASSES}),
        "cells-12-bit": Predictor(engine, sixteen_bit, {"segment": CLASSES}),
        "kinds": Predictor(engine, eight_bit, {"classify": CLASSES}),
    }


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A gray PNG of 301 x 203 pixels with bright discs on a dark ramp."""
    rows, columns = np.mgrid[:203, :301]
    values = 40 + 60 * columns / 301
    for row, column, radius in [(60, 70, 40), (120, 200, 55), (170, 60, 25)]:
        distance = np.hypot(rows - row, columns - column)
        values = np.where(distance < radius, 150, values)
        values = np.where(distance < radius / 3, 240, values)
    path = tmp_path / "cells.png"
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium found; install one to test the page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def address(predictors: dict[str, Predictor]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running_page(predictors, "127.0.0.1", port) as url:
        yield url


class Visit:
    """One visitor's page, and what it asked from outside (refused) or complained about."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.outside: list[str] = []
        self.problems: list[str] = []
        self._address = address
        context.set_default_timeout(60_000)  # a busy machine takes its time; a page that hangs never ends
        context.route("**/*", self._let_through)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(address)
        self.page.locator("#image input[type=file]").wait_for(state="attached")

    def _let_through(self, route: Route) -> None:
        if route.request.url.startswith((self._address, "data:", "blob:")):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def drop(self, path: Path) -> None:
        self.page.locator("#image input[type=file]").set_input_files(path)


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    yield Visit(context, address)
    context.close()
