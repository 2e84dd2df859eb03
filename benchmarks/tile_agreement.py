"""How far a mask of tiles is that of the whole image, network by network.

    python -m benchmarks.tile_agreement [--size 1024] [--tile 512]

Networks have random weights, whose classes lie nearer to one another than those of trained ones: the shares are low
estimates. The image is smooth noise; tiles share a quarter.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.models.factory import create_model
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap

CLASSES = ClassMap(("background", "one", "other"))


@dataclass(frozen=True)
class Case:
    """A network, and what in it depends on more than a neighbourhood."""

    backbone: str
    decoder: str
    depends: str = "nothing"
    backbone_options: dict[str, str] = field(default_factory=dict)


CASES = (
    Case("plain", "unet"),
    Case("smp/resnet34", "smp/unet"),
    Case("vgg16", "segnet"),
    Case("smp/resnet34", "smp/fpn"),
    Case("plain", "unet", "instance normalization", {"norm": "instance"}),
    Case("smp/efficientnet-b0", "smp/unet", "squeeze and excitation"),
    Case("smp/resnet34", "smp/deeplabv3plus", "global pooling"),
    Case("smp/resnet34", "smp/pspnet", "global pooling"),
)


def smooth_noise(size: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(0).integers(0, 256, (size // 16, size // 16, 3), np.uint8)
    return coarse.repeat(16, axis=0).repeat(16, axis=1)


def settle(network: torch.nn.Module, image: NDArray[np.float32]) -> None:
    """Give batch normalizations the statistics of the image, as training would."""
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(np.stack([image[:, :256, :256], image[:, -256:, -256:]])))
    network.eval()


def agreement(case: Case, size: int, tile: int) -> tuple[float, float]:
    """Share of pixels of one class, and the largest difference of a probability."""
    torch.manual_seed(0)
    network = create_model(
        case.backbone, case.decoder, num_classes=CLASSES.num_classes, backbone_options=case.backbone_options
    )
    steps = {
        "channels": 3,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "stride_multiple": network.stride_multiple,
        "tile": tile,
    }
    image = smooth_noise(size)
    settle(network, Pipeline.parse(steps).prepare(image))
    whole, tiled = (
        Predictor(TorchEngine(network), Pipeline.parse({**steps, "whole_limit": limit}), {"segment": CLASSES}).segment(
            image, probabilities=True
        )
        for limit in (size * size, 1)
    )
    assert whole.probabilities is not None
    assert tiled.probabilities is not None
    return float((whole.mask == tiled.mask).mean()), float(np.abs(whole.probabilities - tiled.probabilities).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="height and width of the image (%(default)s)")
    parser.add_argument("--tile", type=int, default=512, help="height and width of a tile (%(default)s)")
    options = parser.parse_args()
    print("| network | depends on all of the image through | equal pixels | largest difference of a probability |")
    print("| --- | --- | --- | --- |")
    for case in CASES:
        equal, difference = agreement(case, options.size, options.tile)
        print(f"| {case.backbone} + {case.decoder} | {case.depends} | {equal:.3%} | {difference:.3f} |", flush=True)


if __name__ == "__main__":
    main()
