"""What is chosen on the validation part: from where on boxes are shown, and what starts an object."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segkit.data.borders import draw_cells
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.samples import load_targets
from segkit.experiment.object_rule import choose_instance_rule
from segkit.inference.predictor import Predictor
from segkit.pipeline import ObjectRule
from tests.inference.networks import plain_pipeline

SIDE = 96


class Maps:
    """An engine that gives the next of the maps it is given, each once."""

    description = "maps"

    def __init__(self, maps: list[np.ndarray]) -> None:
        self.maps = list(maps)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        assert images.shape[-2:] == (SIDE, SIDE)
        return {"instances": self.maps.pop(0)[None]}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> OpenDataset:
    """Three squares of 20 x 20 pixels in the upper half of every image."""
    folder = tmp_path_factory.mktemp("rule")
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    for number in range(3):
        numbers[10:30, 5 + 30 * number : 25 + 30 * number] = number + 1
    for image in range(6):
        for kind, values in (
            ("images", np.random.default_rng(image).integers(0, 255, (SIDE, SIDE))),
            ("masks", numbers),
        ):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(folder / kind / f"{image}.png")
    return open_dataset(folder, task="instances")


def logits(dataset: OpenDataset, side: int, inside: float) -> list[np.ndarray]:
    """The logarithms of the true maps of every image, but for a square of background that seems an inside."""
    found = []
    for record in dataset.records:
        instances = load_targets(record, dataset.heads).instances
        assert instances is not None
        number = dataset.classes.num_classes
        cells = draw_cells(instances, border=number)
        probabilities = np.stack([cells == index for index in range(number + 1)]).astype(np.float32)
        square = slice(60, 60 + side), slice(40, 40 + side)
        probabilities[(slice(None), *square)] = 0
        probabilities[(0, *square)], probabilities[(1, *square)] = 1 - inside, inside
        found.append(np.log(probabilities.clip(1e-6)))
    return found


def chosen(dataset: OpenDataset, maps: list[np.ndarray]) -> ObjectRule:
    engine = Maps([*maps, *maps])
    predictor = Predictor(engine, plain_pipeline(1), dataset.heads)
    rule, told = choose_instance_rule(predictor, predictor.pipeline.objects, dataset.records, grown=True)
    assert f"with a probability above {rule.seed_threshold:g}" in told
    assert not engine.maps  # twice, once for either choice, however many rules there are
    return rule


def test_small_false_insides_start_no_object(dataset: OpenDataset) -> None:
    assert 10 <= chosen(dataset, logits(dataset, 3, 0.99)).smallest_seed <= 16


def test_unsure_false_insides_start_no_object(dataset: OpenDataset) -> None:
    rule = chosen(dataset, logits(dataset, 10, 0.55))
    assert rule.seed_threshold == 0.6


def test_the_usual_rule_stays_where_none_is_better(dataset: OpenDataset) -> None:
    rule = chosen(dataset, logits(dataset, 1, 0.1))
    assert (rule.smallest_seed, rule.seed_threshold) == (1, 0.5)
