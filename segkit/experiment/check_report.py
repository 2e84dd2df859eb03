"""The page about a data set, with what the run that `segkit train` plans would show its network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from segkit.data.augment import Augmenter, Mask, Unit
from segkit.data.color import color_axes
from segkit.data.dataset import TrainingSet
from segkit.data.findings import shown
from segkit.data.fingerprint import fingerprint
from segkit.data.loader import Draw
from segkit.data.motion import Move
from segkit.data.object_sizes import ObjectSizes
from segkit.data.opening import OpenDataset
from segkit.data.samples import load_sample
from segkit.errors import SegkitError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.plan import Plan, make_plan
from segkit.pipeline import Pipeline
from segkit.report.check_page import Seen, View, write_check_page
from segkit.report.check_pictures import LARGEST_PICTURE, FindingPictures, is_shown
from segkit.structures import IGNORE_INDEX, ClassMap, Record
from segkit.visualization import marked_picture

SHOWN_IMAGES = 5
SIDE = 320
"""Longer side of the pictures in pixels."""


def write_check_report(dataset: OpenDataset, described: dict[str, Any], objects: ObjectSizes, path: Path) -> None:
    """Write the page; raises `OutputError` when that is not possible.

    Args:
        dataset: the checked data set, whatever was found in it.
        described: of `segkit.data.description.describe_data`.
        objects: the areas of its objects.
        path: the file.
    """
    write_check_page(path, dataset, described, objects, _view(dataset))


def _view(dataset: OpenDataset) -> View:
    """Some training images on their way through the pipeline and the augmentation of the run that would be planned."""
    training = [record for record in dataset.split("train") if is_shown(record, dataset)]
    if not training and dataset.split("train"):
        return View(
            absent=f"Images of more than {LARGEST_PICTURE / 1e6:.0f} megapixels are not read again for pictures."
        )
    records = training[:: max(1, len(training) // SHOWN_IMAGES)][:SHOWN_IMAGES]
    if not records:
        return View(absent="No image is in the training part; the findings say why.")
    pictures = FindingPictures(dataset)
    measured = fingerprint(dataset)
    if measured["intensities"] is None:
        return View(absent="The training images have different numbers of channels, and a network takes one number.")
    try:
        config = ExperimentConfig(path=dataset.root, task=dataset.task, data=dataset.config)
        plan = make_plan(config, dataset, measured, torch.device("cpu"))
        ways = _ways(plan, dataset, records)
        seen = [
            Seen(
                _name(record, dataset),
                record.label,
                (_stored(record, dataset, pictures), *_drawn(index, ways, plan.pipeline, dataset.classes)),
            )
            for index, record in enumerate(records)
        ]
    except SegkitError as error:
        return View(absent=f"It cannot be shown before the errors are solved: {error}")
    return View(tuple(seen), plan.reasons)


class _Changed(Augmenter):
    """The run's augmentation of the same crops, changed by other seeds, or not at all."""

    def __init__(self, like: Augmenter, again: int | None) -> None:
        super().__init__(like.preset, like.channels, like.orientation_free, like.color_axes)
        self._again = again

    @override
    def change(self, unit: Unit, mask: Mask | None, seed: int) -> tuple[Unit, Mask | None, Sequence[Move]]:
        return (unit, mask, ()) if self._again is None else super().change(unit, mask, seed + self._again)


def _ways(plan: Plan, dataset: OpenDataset, records: Sequence[Record]) -> dict[str, TrainingSet]:
    """Caption -> the training set that draws the same crops, each changed differently."""
    sampling, channels = plan.sampling, plan.pipeline.channels
    axes = color_axes(records, plan.pipeline) if sampling.augment == "alexnet" and channels == 3 else None
    augmenter = Augmenter(sampling.augment, channels, sampling.orientation_free, axes)
    return {
        caption: TrainingSet(
            records,
            dataset.heads,
            plan.pipeline,
            _Changed(augmenter, again),
            crop=(sampling.crop, sampling.crop),
            seed=plan.config.training.seed,
            foreground_share=sampling.foreground_share,
        )
        for caption, again in (("As the network sees it", None), ("Augmented", 0), ("Augmented again", 1))
    }


def _drawn(
    index: int, ways: Mapping[str, TrainingSet], pipeline: Pipeline, classes: ClassMap
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """One crop as each training set draws it, normalized values brought back to what a screen shows."""
    for caption, images in ways.items():
        item = images[Draw(epoch=0, position=index, index=index)]
        unit = item["image"].numpy().transpose(1, 2, 0) * np.array(pipeline.std, np.float32)
        unit += np.array(pipeline.mean, np.float32)
        visible = np.rint(unit.clip(0, 1) * 255).astype(np.uint8)
        indices = item["mask"].numpy() if "mask" in item else None
        boxes = (
            [
                (tuple(box), classes.colors[label])
                for box, label in zip(item["boxes"].tolist(), item["box_label"].tolist(), strict=True)
                if label != IGNORE_INDEX
            ]
            if "boxes" in item
            else ()
        )
        yield caption, marked_picture(visible, classes, SIDE, indices, boxes)


def _stored(record: Record, dataset: OpenDataset, pictures: FindingPictures) -> tuple[str, NDArray[np.uint8]]:
    sample = load_sample(record, dataset.classes, dataset.task)
    height, width = sample.image.shape[:2]
    picture = marked_picture(sample.image, dataset.classes, SIDE, sample.mask, pictures.boxes(record))
    return f"Stored, {width} × {height}", picture


def _name(record: Record, dataset: OpenDataset) -> str:
    return shown(record.image, dataset.root)
