"""torchvision's FCOS under the loop of its reference scripts, as the yardstick: nothing of segkit's training in it.

Pyramid and head of 256 channels, images of their own size, horizontal flips, linear warm-up and cosine decay, batches
of four, fp32, the best checkpoint by validation. AdamW 1e-3 stands in the place of the scripts' SGD 0.01, which from
scratch diverges at first: AP50 was 0.002 after twenty minutes, on blood cells, with two cores. The backbone is
segkit's, untrained; segkit reads the data and scores the boxes, so that only the training differs.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from segkit.data.opening import OpenDataset
from segkit.data.samples import load_targets
from segkit.evaluation.evaluate import evaluate
from segkit.inference.results import DetectionResult
from segkit.models.backbones._base import Backbone
from segkit.structures import IGNORE_INDEX, ClassMap, Sample, TaskName

BATCH_SIZE = 4
LEARNING_RATE = 1e-3
WARMUP = 0.05
"""Share of the time in which the learning rate rises; torchvision's scripts take 1,000 steps of some 100,000."""

_CHANNELS = 256
_STRIDES = (8, 16, 32)


class PyramidBackbone(nn.Module):
    """A segkit backbone as torchvision's detectors want it: maps of strides 8 to 32, and two coarser ones."""

    out_channels = _CHANNELS

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.indices = [index for index, spec in enumerate(backbone.specs) if spec.stride in _STRIDES]
        channels = [backbone.specs[index].channels for index in self.indices]
        self.pyramid = FeaturePyramidNetwork(channels, _CHANNELS, LastLevelP6P7(_CHANNELS, _CHANNELS))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, C, H, W) to the maps of the pyramid."""
        maps = self.backbone(images).maps
        return self.pyramid(OrderedDict((str(index), maps[index]) for index in self.indices))


class FcosPredictor:
    """Whole images through torchvision's detector, which resizes, decides and suppresses by its own rules."""

    def __init__(self, network: FCOS, classes: ClassMap) -> None:
        self.network = network
        self.classes = classes
        self.heads: Mapping[TaskName, ClassMap] = {"detect": classes}
        self.threshold = 0.5

    @torch.inference_mode()
    def predict(self, image: NDArray[Any]) -> DetectionResult:
        """The boxes in one image of stored values (H, W, C)."""
        self.network.eval()
        found = self.network([as_tensor(image)])[0]
        corners, labels, scores = (found[name].numpy() for name in ("boxes", "labels", "scores"))
        return DetectionResult(corners, labels, scores, self.classes, (image.shape[0], image.shape[1]))


def as_tensor(image: NDArray[Any]) -> Tensor:
    """8-bit values (H, W, C) to (C, H, W) from 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255


def train_fcos(dataset: OpenDataset, backbone: Backbone, minutes: float, seed: int) -> FcosPredictor:
    """Train for the given minutes and return the best network by validation.

    Reading and validation count, but for the validation after the last step.

    Args:
        dataset: with training and validation parts, 8-bit.
        backbone: with fresh weights; trained in place.
        minutes: of wall clock.
        seed: of order and flips.
    """
    seconds = 60 * minutes
    end = time.monotonic() + seconds
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(seed)
    samples = [load_targets(record, dataset.heads) for record in dataset.split("train")]
    images = [as_tensor(sample.image) for sample in samples]
    targets = [_target(sample) for sample in samples]
    pixels = torch.cat([image.flatten(1) for image in images], dim=1)
    sides = [side for image in images for side in image.shape[1:]]
    network = FCOS(
        PyramidBackbone(backbone),
        num_classes=dataset.classes.num_classes,
        min_size=min(sides),
        max_size=max(sides),
        image_mean=pixels.mean(1).tolist(),
        image_std=pixels.std(1).tolist(),
    )
    predictor = FcosPredictor(network, dataset.classes)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-4)
    best_score, best_state = -1.0, network.state_dict()
    while time.monotonic() < end:
        _train_epoch(network, optimizer, images, targets, seconds, end)
        score = evaluate(predictor, dataset.split("val"), dataset.classes, quick=True).score
        if score > best_score:
            best_score, best_state = score, copy.deepcopy(network.state_dict())
    network.load_state_dict(best_state)
    return predictor


def _train_epoch(
    network: FCOS,
    optimizer: torch.optim.Optimizer,
    images: Sequence[Tensor],
    targets: Sequence[dict[str, Tensor]],
    seconds: float,
    end: float,
) -> None:
    """One pass over the images, or less where the time `end` comes first."""
    network.train()
    order = torch.randperm(len(images)).tolist()
    for start in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
        left = end - time.monotonic()
        if left <= 0:
            return
        done = 1 - left / seconds
        factor = done / WARMUP if done < WARMUP else (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))) / 2
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * factor
        batch = [_flipped(images[index], targets[index]) for index in order[start : start + BATCH_SIZE]]
        losses = network([image for image, _ in batch], [target for _, target in batch])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()


def _target(sample: Sample) -> dict[str, Tensor]:
    assert sample.boxes is not None
    counted = sample.boxes.labels != IGNORE_INDEX
    return {
        "boxes": torch.from_numpy(sample.boxes.corners[counted]),
        "labels": torch.from_numpy(sample.boxes.labels[counted]),
    }


def _flipped(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Left and right exchanged in every second image."""
    if random.random() < 0.5:
        return image, target
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    boxes = torch.stack([width - right, top, width - left, bottom], dim=1)
    return image.flip(2), {**target, "boxes": boxes}
