"""The usual recipe of segmentation-models-pytorch users, as the yardstick: nothing of segkit's training in it.

U-Net with ResNet-34, not pretrained, fp32, AdamW 2e-4 with cosine decay, cross-entropy + Dice, batches of eight
256 x 256 random crops with flips, the best checkpoint by validation. segkit reads the data and scores the masks, so
that only the training differs.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import albumentations
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from segkit.data.opening import OpenDataset
from segkit.data.samples import load_sample
from segkit.evaluation.evaluate import evaluate
from segkit.inference.results import SegmentationResult
from segkit.structures import IGNORE_INDEX, ClassMap, TaskName

BATCH_SIZE = 8
CROP = 256
LEARNING_RATE = 2e-4
_LEAST_CROPS_PER_EPOCH = 100
_STRIDE = 32


class SmpPredictor:
    """Whole images through an smp network: padded to its stride, argmax, cropped back."""

    def __init__(self, network: nn.Module, classes: ClassMap, mean: NDArray[Any], std: NDArray[Any]) -> None:
        self.network = network
        self.classes = classes
        self.heads: Mapping[TaskName, ClassMap] = {"segment": classes}
        self.threshold = 0.5
        self._mean = mean
        self._std = std

    def normalize(self, image: NDArray[Any]) -> Tensor:
        """Stored values (H, W, C) to (C, H, W) of zero mean and unit deviation over the training set."""
        return torch.from_numpy(((image - self._mean) / self._std).astype(np.float32).transpose(2, 0, 1))

    @torch.inference_mode()
    def predict(self, image: NDArray[Any]) -> SegmentationResult:
        """The mask of one image of stored values (H, W, C)."""
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(image, 0, -height % _STRIDE, 0, -width % _STRIDE, cv2.BORDER_REFLECT_101)
        padded = padded.reshape(*padded.shape[:2], image.shape[2])
        self.network.eval()
        indices = self.network(self.normalize(padded)[None])[0].argmax(0)[:height, :width]
        return SegmentationResult(self.classes.indices_to_ids(indices.numpy()), self.classes)


class _Crops(Dataset[tuple[Tensor, Tensor]]):
    """Random crops with flips of images held in memory."""

    def __init__(
        self,
        images: Sequence[NDArray[Any]],
        masks: Sequence[NDArray[Any]],
        predictor: SmpPredictor,
        vertical_flips: bool,
    ) -> None:
        self._images = images
        self._masks = masks
        self._normalize = predictor.normalize
        self._repeats = max(1, round(_LEAST_CROPS_PER_EPOCH / len(images)))
        self._draw = albumentations.Compose(
            [
                albumentations.RandomCrop(CROP, CROP, pad_if_needed=True, fill_mask=IGNORE_INDEX),
                albumentations.HorizontalFlip(),
                albumentations.VerticalFlip(p=0.5 if vertical_flips else 0),
            ],
            seed=random.randrange(2**31),
        )

    def __len__(self) -> int:
        return self._repeats * len(self._images)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        index = position % len(self._images)
        drawn = self._draw(image=self._images[index], mask=self._masks[index])
        return self._normalize(drawn["image"]), torch.from_numpy(drawn["mask"].astype(np.int64))


def train_smp(dataset: OpenDataset, minutes: float, seed: int, vertical_flips: bool) -> SmpPredictor:
    """Train for the given minutes and return the best network by validation Dice.

    Reading and validation count, but for the validation after the last step.

    Args:
        dataset: with training and validation parts.
        minutes: of wall clock.
        seed: of weights, order and crops.
        vertical_flips: whether up and down mean nothing in these images.
    """
    end = time.monotonic() + 60 * minutes
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(seed)
    samples = [load_sample(record, dataset.classes) for record in dataset.split("train")]
    pixels = np.concatenate([sample.image.reshape(-1, sample.image.shape[2]) for sample in samples])
    classes, channels = dataset.classes.num_classes, pixels.shape[1]
    network = smp.Unet("resnet34", encoder_weights=None, in_channels=channels, classes=classes)
    predictor = SmpPredictor(network, dataset.classes, pixels.mean(0), pixels.std(0))
    masks = [sample.mask for sample in samples if sample.mask is not None]
    crops = _Crops([sample.image for sample in samples], masks, predictor, vertical_flips)
    loader = DataLoader(crops, BATCH_SIZE, shuffle=True, drop_last=True)
    best_score, best_state = -1.0, network.state_dict()
    for _ in _epochs(network, loader, 60 * minutes, end):
        score = evaluate(predictor, dataset.split("val"), dataset.classes, quick=True).score
        if score > best_score:
            best_score, best_state = score, copy.deepcopy(network.state_dict())
    network.load_state_dict(best_state)
    return predictor


def _epochs(
    network: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]], seconds: float, end: float
) -> Iterator[None]:
    """Yield after each epoch; the last one stops at the time `end`, at which the learning rate reaches 0."""
    cross_entropy = nn.CrossEntropyLoss(ignore_index=IGNORE_INDEX)
    dice: Callable[[Tensor, Tensor], Tensor] = smp.losses.DiceLoss("multiclass", ignore_index=IGNORE_INDEX)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
    while (left := end - time.monotonic()) > 0:
        network.train()
        for images, targets in loader:
            left = max(0.0, end - time.monotonic())
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - math.cos(math.pi * left / seconds)) / 2
            logits = network(images)
            loss = cross_entropy(logits, targets) + dice(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if left == 0:
                break
        yield
