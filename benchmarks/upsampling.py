"""Decoders and ways of upsampling beside one another on street scenes (CamVid), each trained for the same time.

`python -m benchmarks.upsampling --minutes 10`

All stand on the same plain backbone at half the image's resolution, which leaves the decoder as the only difference.
ENet has its own, and so has the U-Net of 2015, with 16 channels and 4 levels where the paper has 64 and 5. FCN and the
deconvolution network have 512 channels where the papers have 4096. Images/s are those of prediction, one image at a
time, reading not counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import get_args

import numpy as np
import torch

import segkit
from benchmarks._data import find
from segkit.data.config import DataConfig
from segkit.data.image_io import read_image
from segkit.data.opening import open_dataset
from segkit.models.config import Option
from segkit.models.layers.upsample import UpsamplingName
from segkit.structures import Record

WARM_UP, TIMED = 3, 20
"""Images predicted before the clock starts, and under it."""


@dataclass(frozen=True)
class Network:
    """One row of the table."""

    decoder: str
    upsampling: str
    options: Mapping[str, Option] = field(default_factory=dict)
    backbone: str = "plain"
    backbone_options: Mapping[str, Option] = field(default_factory=lambda: {"width": 32, "stem_stride": 2})
    learning_rate: float = 3e-3
    """That of the plain U-Net."""


HIDDEN = {"hidden": (512, 512)}
NETWORKS = (
    *(Network("unet", name, {"upsample": name, "out_stride": 2}) for name in get_args(UpsamplingName)),
    *(Network(name, "transposed, from bilinear", HIDDEN) for name in ("fcn32s", "fcn16s", "fcn8s")),
    Network("segnet", "max_unpool"),
    Network("deconvnet", "max_unpool", HIDDEN),
    Network("enet", "max_unpool", backbone="enet", backbone_options={}),
    Network(
        "unet2015",
        "transposed",
        backbone="unet2015",
        backbone_options={"width": 16, "depth": 4},
        learning_rate=1e-3,  # it has no normalization
    ),
)


def train(network: Network, data: Path, minutes: float, seed: int) -> segkit.Run:
    return segkit.train(
        data,
        backbone=network.backbone,
        decoder=network.decoder,
        backbone_options=network.backbone_options,
        decoder_options=network.options,
        learning_rate=network.learning_rate,
        budget=f"{60 * minutes:g}s",
        seed=seed,
    )


def count_parameters(network: Network, num_classes: int) -> int:
    with torch.device("meta"):
        model = segkit.create_model(
            network.backbone,
            network.decoder,
            num_classes=num_classes,
            backbone_options=network.backbone_options,
            decoder_options=network.options,
        )
    return sum(parameter.numel() for parameter in model.parameters())


def images_per_second(run: segkit.Run, records: Sequence[Record]) -> float:
    predictor = segkit.load(run.folder)
    images = [read_image(record.image) for record in records[: WARM_UP + TIMED]]
    for image in images[:WARM_UP]:
        predictor.predict(image)
    started = perf_counter()
    for image in images[WARM_UP:]:
        predictor.predict(image)
    return len(images[WARM_UP:]) / (perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of training, for each network (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="number of trainings of each (%(default)s)")
    parser.add_argument("--data", type=Path, help="the unpacked data set; else found through SEGKIT_DATASETS")
    options = parser.parse_args()
    data = find("camvid", options.data)
    dataset = open_dataset(data, DataConfig())
    dataset.require_usable()
    test = dataset.split("test")
    rows = []
    for network in NETWORKS:
        runs = [train(network, data, options.minutes, seed) for seed in range(options.seeds)]
        scores = [run.scores["dataset"]["mean_iou"]["value"] for run in runs]
        spread = f" ({min(scores):.3f} to {max(scores):.3f})" if len(scores) > 1 else ""
        millions = count_parameters(network, dataset.classes.num_classes) / 1e6
        speed = images_per_second(runs[0], test)
        cells = (
            network.decoder,
            network.upsampling,
            f"{np.mean(scores):.3f}{spread}",
            f"{millions:.2f}",
            f"{speed:.1f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    print(f"\n{options.minutes:g} minutes each, {options.seeds} seed(s), mIoU on {len(test)} test images\n")
    print("| decoder | upsampling | mIoU | million parameters | images/s |\n| --- | --- | --- | --- | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
