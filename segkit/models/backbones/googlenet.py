"""GoogLeNet: the paper's, and torchvision's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.backbones._inception import (
    SIDE_MAPS,
    Branches,
    InceptionHead,
    convolution,
    folded_mean,
    for_usual_input,
)
from segkit.models.backbones._torchvision import fetch_state, rename_layers
from segkit.models.features import Features, FeatureSpec
from segkit.models.heads.classify import ClassifyHead
from segkit.models.layers.initialization import initialize
from segkit.models.layers.lrn import LocalResponseNorm

_SPECS = tuple(
    FeatureSpec(channels, stride) for channels, stride in ((64, 2), (192, 4), (480, 8), (832, 16), (1024, 32))
)
_SIDE_CHANNELS = (512, 528)
# Names in a `Model`: of torchvision's first block, and of what is subtracted in front of it.
_FIRST_WEIGHT = "backbone.stages.0.0.0.weight"
_FIRST_MEAN = "backbone.stages.0.0.1.running_mean"
_INPUT_MEAN = "backbone.input_mean"

Widths = tuple[int, int, int, int, int, int]
"""A row of table 1: channels of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection."""

_TABLE: dict[str, tuple[int, Widths]] = {
    "3a": (192, (64, 96, 128, 16, 32, 32)),
    "3b": (256, (128, 128, 192, 32, 96, 64)),
    "4a": (480, (192, 96, 208, 16, 48, 64)),
    "4b": (512, (160, 112, 224, 24, 64, 64)),
    "4c": (512, (128, 128, 256, 24, 64, 64)),
    "4d": (512, (112, 144, 288, 32, 64, 64)),
    "4e": (528, (256, 160, 320, 32, 128, 128)),
    "5a": (832, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (384, 192, 384, 48, 128, 128)),
}


class GoogLeNet(Backbone):
    """Nine inception modules: 1 x 1, 3 x 3 and 5 x 5 convolutions and a pool side by side, reduced by 1 x 1 in front.

    `Features.auxiliary["classifiers"]` holds the maps behind the modules 4a and 4d, for the side classifiers.

    Source: Szegedy et al. 2015, "Going deeper with convolutions", table 1 and figure 3. The paper gives no constants
    for its local response normalization, AlexNet's are used, and no initial weights, He's are used. Its table does not
    fit itself everywhere: the parameters of the rows 4c, 4d and 5b differ from their widths by 1 to 8 %, the operations
    agree; in the rows of the first convolution and of 5a neither agrees.
    """

    wide_kernel: Literal[3, 5] = 5
    normalized: bool = False
    last_pool: Literal[2, 3] = 3

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.specs = _SPECS
        batch = self.normalized
        norms = [[] if batch else [LocalResponseNorm()] for _ in range(2)]
        self.stages = nn.ModuleList(
            [
                nn.Sequential(convolution(in_channels, 64, 7, stride=2, normalized=batch)),
                nn.Sequential(
                    _pool(3),
                    *norms[0],
                    convolution(64, 64, 1, normalized=batch),
                    convolution(64, 192, 3, normalized=batch),
                    *norms[1],
                ),
                nn.Sequential(_pool(3), self._inception("3a"), self._inception("3b")),
                nn.Sequential(_pool(3), self._inception("4a")),
                nn.Sequential(*(self._inception(row) for row in ("4b", "4c", "4d"))),
                nn.Sequential(self._inception("4e")),
                nn.Sequential(_pool(self.last_pool), self._inception("5a"), self._inception("5b")),
            ]
        )
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        outputs: list[Tensor] = []
        x = images
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        *fine, first_side, second_side, middle, coarsest = outputs
        return Features((*fine, middle, coarsest), auxiliary={SIDE_MAPS: (first_side, second_side)})

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Global average pooling, dropout 0.4, a linear layer; in training two side classifiers (section 5).

        A side classifier takes averages of 5 x 5 positions, stride 3: 4 x 4 of them at 224 x 224, the paper's size.
        """
        sides = [
            _side_classifier(nn.AvgPool2d(5, stride=3), channels, num_classes, False) for channels in _SIDE_CHANNELS
        ]
        return InceptionHead(_SPECS[-1].channels, num_classes, 0.4, smallest_image=224, side_classifiers=sides)

    def _inception(self, row: str) -> Branches:
        inputs, (one, reduce_three, three, reduce_five, five, projection) = _TABLE[row]
        batch = self.normalized
        return Branches(
            [
                convolution(inputs, one, 1, normalized=batch),
                nn.Sequential(
                    convolution(inputs, reduce_three, 1, normalized=batch),
                    convolution(reduce_three, three, 3, normalized=batch),
                ),
                nn.Sequential(
                    convolution(inputs, reduce_five, 1, normalized=batch),
                    convolution(reduce_five, five, self.wide_kernel, normalized=batch),
                ),
                nn.Sequential(
                    nn.MaxPool2d(3, stride=1, padding=1), convolution(inputs, projection, 1, normalized=batch)
                ),
            ]
        )


class TorchvisionGoogLeNet(GoogLeNet):
    """GoogLeNet of torchvision: batch normalization in place of local, 3 x 3 filters where the paper has 5 x 5.

    Its last pool is 2 x 2, and its side classifiers pool to 4 x 4 whatever the size.

    Attributes:
        input_mean: subtracted from the channels of the image; 0 but with published weights, see `for_usual_input`.
    """

    input_mean: Tensor

    wide_kernel = 3
    normalized = True
    last_pool = 2

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.register_buffer("input_mean", torch.zeros(in_channels))

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        return super().forward(images - self.input_mean[:, None, None])

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Global average pooling, dropout 0.2, a linear layer; in training two side classifiers."""
        # Adaptive pools are exported wrong; side classifiers are in no exported graph.
        pool = nn.AdaptiveAvgPool2d(4)
        sides = [_side_classifier(pool, channels, num_classes, True) for channels in _SIDE_CHANNELS]
        return InceptionHead(_SPECS[-1].channels, num_classes, 0.2, smallest_image=32, side_classifiers=sides)

    def fetch_weights(self, name: str) -> dict[str, Tensor]:  # noqa: ARG002
        """torchvision's weights, trained on ImageNet, for its usual normalization; see `for_usual_input`.

        The side classifiers are left out: those in the file were not trained, as torchvision warns.
        """
        state = rename_torchvision(fetch_state("GoogLeNet_Weights.IMAGENET1K_V1"))
        state[_FIRST_WEIGHT], state[_INPUT_MEAN] = for_usual_input(state[_FIRST_WEIGHT])
        return {key: tensor for key, tensor in state.items() if "side_classifiers" not in key}

    def fit_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Fold an `input_mean` of other channels into the first normalization: these have no means of their own."""
        if not state.keys() >= {_FIRST_WEIGHT, _FIRST_MEAN, _INPUT_MEAN}:
            return state
        input_mean = state[_INPUT_MEAN]
        if len(input_mean) == len(self.input_mean):
            return state
        folded = folded_mean(state[_FIRST_WEIGHT], input_mean, state[_FIRST_MEAN])
        return {**state, _FIRST_MEAN: folded, _INPUT_MEAN: torch.zeros_like(self.input_mean)}


def rename_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of torchvision's GoogLeNet under the names of a `Model`."""
    blocks = {"conv1": "stages.0.0", "conv2": "stages.1.1", "conv3": "stages.1.2"}
    places = ("2.1", "2.2", "3.1", "4.0", "4.1", "4.2", "5.0", "6.1", "6.2")
    branches = {"branch1": "0", "branch2.0": "1.0", "branch2.1": "1.1", "branch3.0": "2.0", "branch3.1": "2.1"}
    for row, place in zip(_TABLE, places, strict=True):
        for theirs, ours in {**branches, "branch4.1": "3.1"}.items():
            blocks[f"inception{row}.{theirs}"] = f"stages.{place}.{ours}"
    layers = {"fc": "heads.classify.linear"}
    for theirs, ours in blocks.items():
        layers |= {f"{theirs}.conv": f"backbone.{ours}.0", f"{theirs}.bn": f"backbone.{ours}.1"}
    for index in range(2):
        side = f"heads.classify.side_classifiers.{index}"
        layers |= {f"aux{index + 1}.conv.conv": f"{side}.1.0", f"aux{index + 1}.conv.bn": f"{side}.1.1"}
        layers |= {f"aux{index + 1}.fc1": f"{side}.2", f"aux{index + 1}.fc2": f"{side}.5"}
    tensors = {**rename_layers(state, layers.get), _INPUT_MEAN: torch.zeros(3)}
    for index in range(2):
        first, second = (f"heads.classify.side_classifiers.{index}.{layer}.weight" for layer in (2, 5))
        tensors[first] = tensors[first].unflatten(1, (-1, 4, 4))
        tensors[second] = tensors[second][:, :, None, None]
    return tensors


def build_googlenet(in_channels: int) -> GoogLeNet:
    """Build GoogLeNet."""
    return GoogLeNet(in_channels)


def build_googlenet_tv(in_channels: int) -> TorchvisionGoogLeNet:
    """Build torchvision's GoogLeNet."""
    return TorchvisionGoogLeNet(in_channels)


def _pool(kernel_size: int) -> nn.MaxPool2d:
    # The paper's "same" padding: an incomplete window at the end counts.
    return nn.MaxPool2d(kernel_size, stride=2, ceil_mode=True)


def _side_classifier(pool: nn.Module, in_channels: int, num_classes: int, normalized: bool) -> nn.Sequential:
    """1 x 1 to 128 channels, a hidden layer of 1024 over 4 x 4 positions, dropout 0.7, logits (N, K, h, w)."""
    return nn.Sequential(
        pool,
        convolution(in_channels, 128, 1, normalized=normalized),
        nn.Conv2d(128, 1024, 4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.7),
        nn.Conv2d(1024, num_classes, 1),
    )


BACKBONES.register("googlenet")(BackboneEntry(build_googlenet, "segkit", published_variant="googlenet_tv"))
BACKBONES.register("googlenet_tv")(BackboneEntry(build_googlenet_tv, "segkit", published_weights=("imagenet",)))
