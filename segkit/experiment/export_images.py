"""Which images an export is compared on, and on which int8 is calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segkit.data.config import DataConfig
from segkit.data.opening import OpenDataset
from segkit.data.samples import load_targets
from segkit.errors import UsageError
from segkit.experiment.console import Teller
from segkit.experiment.evaluate import choose_records
from segkit.experiment.opening import open_aloud
from segkit.export.parity import Recording, Shown
from segkit.inference.predictor import Predictor
from segkit.ops.words import counted
from segkit.pipeline import Pipeline

MOST_IMAGES = 100
"""Images that are compared, and images that int8 is calibrated on, spread evenly over those there are."""

NOISE_SIZES = ((64, 64), (97, 131), (160, 96))
"""Of the images of noise: a square, one of prime sides, one upright; smaller ones the pipeline enlarges."""

_Item = TypeVar("_Item")


def noise(pipeline: Pipeline) -> Shown:
    """Images of noise over the range of values that the pipeline scales."""
    random = np.random.default_rng(0)
    low, high = (
        np.broadcast_to(np.asarray(value, np.float32), pipeline.channels) for value in (pipeline.low, pipeline.high)
    )
    arrays = [low + (high - low) * random.random((*size, pipeline.channels), np.float32) for size in NOISE_SIZES]
    return Shown("noise", arrays=arrays)


def open_images(predictor: Predictor, data: str | Path, teller: Teller) -> tuple[OpenDataset, Shown]:
    """Open a data set, and choose the images that an evaluation of the model would score.

    Raises:
        UsageError: it has no targets of the model's main head.
        DataError: it has errors, or the model was trained on all of it.
    """
    settings = DataConfig.parse({"channels": predictor.pipeline.convert}, "options")
    dataset = open_aloud(data, settings, teller, predictor.heads, predictor.task, tuple(predictor.heads))
    if dataset.task != predictor.task:
        raise UsageError(
            f"the model was trained to {predictor.task}, {dataset.root} has targets to {dataset.task}; name other data"
        )
    dataset.require_usable()
    chosen = choose_records(predictor, dataset, None)
    records = _spread(chosen.records)
    origin = chosen.part if len(records) == len(chosen.records) else f"{chosen.part}, {len(chosen.records)} in all"
    return dataset, Shown(origin, records, heads=predictor.heads)


def calibration_batches(
    predictor: Predictor, dataset: OpenDataset, shown: Shown, teller: Teller
) -> list[NDArray[np.float32]]:
    """What the network is given of training images, the first tile of a large one; raises `UsageError` without any.

    They are the images the model was trained on, else the data set's own training part, never images that are compared.
    """
    hashes = predictor.card.data.get("hashes", {}).get("train", ()) if predictor.card else ()
    compared = {record.id for record in shown.records}
    own = [record for record in dataset.records if dataset.facts.images[record.id].pixel_hash in hashes]
    training = [record for record in own or dataset.split("train") if record.id not in compared]
    if not training:
        raise UsageError(
            f"int8 is calibrated on training images, and {dataset.root} holds none of the model's and has no part "
            "called train; name the data the model was trained on"
        )
    records = _spread(training)
    teller.tell(f"int8 is calibrated on {counted(len(records), 'training image')}")
    recording = Recording(predictor.engine)
    recorded = Predictor(recording, predictor.pipeline, predictor.heads)
    batches = []
    with teller.progress("calibrating", len(records)) as advance:
        for done, record in enumerate(records, start=1):
            recording.start()
            recorded.predict(load_targets(record, {}).image)
            batches.append(recording.batches[0][0])
            advance(done, len(records))
    return batches


def _spread(items: Sequence[_Item]) -> tuple[_Item, ...]:
    """At most `MOST_IMAGES` of them, evenly over the whole."""
    count = min(len(items), MOST_IMAGES)
    return tuple(items[position * len(items) // count] for position in range(count))
