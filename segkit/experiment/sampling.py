"""What of an image the network sees in one training step: crops, their place, and how far they are changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from statistics import median

import torch

from segkit.data.augment import PresetName
from segkit.data.opening import OpenDataset
from segkit.data.samples import load_targets
from segkit.experiment.config import SamplingSettings
from segkit.experiment.orientation import IMAGES, class_map_of, has_up
from segkit.ops.words import counted
from segkit.training.config import TrainingConfig
from segkit.training.precision import choose_precision

CROP = 256
WIDE_CROP = 512
"""Where boxes or labels are learnt, for which an object, or the whole image, should be seen at once."""

CLASSIFY_SIDE = 128
RARE = 0.05

ALEXNET_SIDE = 224
ALEXNET_RESIZED = 256
"""Krizhevsky et al. 2012, section 4.1: crops of 224 from images whose middle was resized to 256."""

MANY_PASSES = 50
"""Passes over the images above which they are changed more; below, it would only slow the learning."""

CROPS_PER_SECOND_ON_GPU = 200
CROPS_PER_SECOND_ON_CPU = {"bf16": 20, "fp32": 6}
"""What the default network trains on, as measured on two cores; only a guess before a run."""

DEFAULT_BUDGET = {False: 600.0, True: 1800.0}
"""Seconds, without and with a GPU."""

Reason = tuple[str, str]
"""A choice and why it was made, as printed."""


@dataclass(frozen=True)
class Sampling:
    """What of an image the network sees in one training step; the fields are those of `SamplingSettings`, decided."""

    crop: int
    draws_per_image: int
    foreground_share: float
    augment: PresetName
    orientation_free: bool

    @property
    def resized_side(self) -> int:
        """The side whole images are resized to; larger than `crop` where `alexnet` crops them."""
        return round(self.crop * ALEXNET_RESIZED / ALEXNET_SIDE) if self.augment == "alexnet" else self.crop


@dataclass(frozen=True)
class RunLength:
    """How long a run will be, as far as it is known before the network is built."""

    training: TrainingConfig
    device: torch.device

    def passes(self, crops_per_pass: int) -> float:
        """Times that training will see every crop: the epochs, or a guess from the budget and a usual speed."""
        if self.training.epochs is not None:
            return self.training.epochs
        gpu = self.device.type == "cuda"
        precision = choose_precision(self.training.precision, self.device).name
        crops_per_second = CROPS_PER_SECOND_ON_GPU if gpu else CROPS_PER_SECOND_ON_CPU[precision]
        return (self.training.budget_seconds or DEFAULT_BUDGET[gpu]) * crops_per_second / crops_per_pass

    def augmentation(self, given: PresetName | None, crops_per_pass: int) -> tuple[PresetName, str]:
        """How far to change images, and why: what is seen often is changed more."""
        if given is not None:
            return given, "as asked"
        passes = self.passes(crops_per_pass)
        return "standard" if passes > MANY_PASSES else "light", f"about {counted(max(round(passes), 1), 'epoch')}"


def sees_whole_images(dataset: OpenDataset) -> bool:
    """Whether the network sees whole images, resized to one size: where labels alone are learnt."""
    return set(dataset.heads) == {"classify"}


def plan_whole_images(
    given: SamplingSettings, dataset: OpenDataset, _: Mapping[str, int], length: RunLength
) -> tuple[Sampling, list[Reason]]:
    """Whole images, resized to one size; `alexnet` crops them."""
    augment, why_augment = length.augmentation(given.augment, len(dataset.split("train")))
    longest = max(max(size) for size in _training_sizes(dataset))
    fitting, why = min(CLASSIFY_SIDE, 32 * ceil(longest / 32)), f"the longest side is {longest} pixels"
    if augment == "alexnet":
        fitting, why = ALEXNET_SIDE, "the paper's"
    side = given.crop or fitting
    sampling = Sampling(side, given.draws_per_image or 1, 0.0, augment, bool(given.orientation_free))
    size = f"images resized to {sampling.resized_side}×{sampling.resized_side}"
    if augment == "alexnet":
        channels = {len(dataset.facts.images[record.id].mean) for record in dataset.split("train")}
        why_augment += "" if channels == {3} else "; colours stay, for three channels only they are shifted"
        size += f", crops of {side}×{side} in training, the middle one in validation and prediction"
    return sampling, [(size, "as asked" if given.crop else why), (f"augmentation {augment}", why_augment)]


def plan_crops(
    given: SamplingSettings, dataset: OpenDataset, pixels: Mapping[str, int], length: RunLength
) -> tuple[Sampling, list[Reason]]:
    """Square crops; the class pixels of the training part, where there are masks, decide how they are placed."""
    height, width = (median(side) for side in zip(*_training_sizes(dataset), strict=True))
    widest = WIDE_CROP if {"detect", "classify"} & set(dataset.heads) else CROP
    crop = given.crop or min(widest, 32 * ceil(max(height, width) / 32))
    draws = given.draws_per_image or max(1, round(height * width / crop**2))
    share, why_share = _foreground_share(given, dataset, pixels)
    free, why_free = _orientation(given, dataset)
    augment, why_augment = length.augmentation(given.augment, draws * len(dataset.split("train")))
    turned = "turned and flipped freely" if free else "flipped sideways only"
    return Sampling(crop, draws, share, augment, free), [
        (f"crops of {crop}×{crop}, {draws} per image and epoch", f"images are {height:.0f}×{width:.0f} (median)"),
        (f"{f'{share:.0%}' if share else 'none'} of the crops around a class drawn at random", why_share),
        (f"augmentation {augment}", why_augment),
        (turned if augment != "none" else "not flipped", why_free),
    ]


def _training_sizes(dataset: OpenDataset) -> list[tuple[int, int]]:
    return [dataset.facts.images[record.id].size for record in dataset.split("train")]


def _foreground_share(given: SamplingSettings, dataset: OpenDataset, pixels: Mapping[str, int]) -> tuple[float, str]:
    if given.foreground_share is not None:
        return given.foreground_share, "as asked"
    if dataset.task == "detect":
        return 1 / 3, "crops without an object teach little"
    foreground = (dataset.classes.names[index] for index in dataset.classes.foreground)
    shares = {name: pixels[name] / sum(pixels.values()) for name in foreground if pixels[name]}
    if not shares:
        return 0.0, "no training image shows a foreground class"
    rarest = min(shares, key=lambda name: shares[name])
    if shares[rarest] < RARE:
        share = f"{shares[rarest]:.1%}" if shares[rarest] >= 0.001 else "less than 0.1%"
        return 1 / 3, f"{rarest} has {share} of the training pixels"
    return 0.0, f"no class is rare, {rarest} has {shares[rarest]:.0%} of the training pixels"


def _orientation(given: SamplingSettings, dataset: OpenDataset) -> tuple[bool, str]:
    if given.orientation_free is not None:
        return given.orientation_free, "as asked"
    if "classify" in dataset.heads:
        return False, "labels may depend on it"
    records = dataset.split("train")
    seen = [load_targets(record, dataset.heads) for record in records[:: max(1, len(records) // IMAGES)][:IMAGES]]
    maps = [map_ for sample in seen if (map_ := class_map_of(sample)) is not None]
    what = "boxes" if dataset.task == "detect" else "masks"
    if has_up(maps, dataset.classes):
        return False, f"the {what} have an up and a down"
    return True, f"the {what} look alike upside down"
