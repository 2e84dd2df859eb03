"""Inception v3."""

from __future__ import annotations

from collections.abc import Mapping

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


class InceptionV3(Backbone):
    """Inception modules with factorized convolutions: 5 x 5 as two 3 x 3, 7 x 7 as 1 x 7 and 7 x 1.

    `Features.auxiliary["classifiers"]` holds the map of stride 16, for the side classifier.

    Source: Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", table 1 and figures 5 to
    7 and 10. This is the graph of the published weights, which torchvision has too. It departs from table 1: behind the
    first pool it has a 1 x 1 to 80 channels, a 3 x 3 to 192 and a second pool in place of three 3 x 3, one of stride 2;
    and the modules of stride 8 keep one 5 x 5. Images of 299 x 299 give the sides 147, 71, 35, 17 and 8.

    Args:
        in_channels: channels of the images.
        padded: whether all convolutions and pools are padded, so that every map has ceil(side / stride).
    """

    def __init__(self, in_channels: int, padded: bool) -> None:
        super().__init__()
        levels = ((64, 2), (192, 4), (288, 8), (768, 16), (2048, 32))
        self.specs = tuple(FeatureSpec(channels, stride) for channels, stride in levels)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(
                    convolution(in_channels, 32, 3, stride=2, padded=padded),
                    convolution(32, 32, 3, padded=padded),
                    convolution(32, 64, 3),
                ),
                nn.Sequential(_pool(padded), convolution(64, 80, 1), convolution(80, 192, 3, padded=padded)),
                nn.Sequential(_pool(padded), _module_35(192, 32), _module_35(256, 64), _module_35(288, 64)),
                nn.Sequential(_reduction_35(288, padded), *(_module_17(768, width) for width in (128, 160, 160, 192))),
                nn.Sequential(_reduction_17(768, padded), _module_8(1280), _module_8(2048)),
            ]
        )
        initialize(self)

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        maps: list[Tensor] = []
        x = images
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return Features(tuple(maps), auxiliary={SIDE_MAPS: (maps[3],)})

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Global average pooling, dropout 0.5, a linear layer; in training a side classifier (section 4, figure 8).

        The side classifier takes averages of 5 x 5 positions, stride 3, then 5 x 5 of these: all of them at 299 x 299.
        """
        side = nn.Sequential(
            nn.AvgPool2d(5, stride=3),
            convolution(768, 128, 1),
            convolution(128, 768, 5, padded=False),
            nn.Conv2d(768, num_classes, 1),
        )
        return InceptionHead(2048, num_classes, 0.5, smallest_image=299, side_classifiers=[side])

    def fetch_weights(self, name: str) -> dict[str, Tensor]:  # noqa: ARG002
        """torchvision's weights, trained on ImageNet, for its usual normalization; see `for_usual_input`."""
        state = rename_torchvision(fetch_state("Inception_V3_Weights.IMAGENET1K_V1"))
        weight, mean = "backbone.stages.0.0.0.weight", "backbone.stages.0.0.1.running_mean"
        state[weight], input_mean = for_usual_input(state[weight])
        state[mean] = folded_mean(state[weight], input_mean, state[mean])
        return state


def _module_35(inputs: int, projection: int) -> Branches:
    return Branches(
        [
            convolution(inputs, 64, 1),
            nn.Sequential(convolution(inputs, 48, 1), convolution(48, 64, 5)),
            nn.Sequential(convolution(inputs, 64, 1), convolution(64, 96, 3), convolution(96, 96, 3)),
            _projection(inputs, projection),
        ]
    )


def _reduction_35(inputs: int, padded: bool) -> Branches:
    return Branches(
        [
            convolution(inputs, 384, 3, stride=2, padded=padded),
            nn.Sequential(
                convolution(inputs, 64, 1),
                convolution(64, 96, 3),
                convolution(96, 96, 3, stride=2, padded=padded),
            ),
            _pool(padded),
        ]
    )


def _module_17(inputs: int, width: int) -> Branches:
    wide, tall = (1, 7), (7, 1)
    return Branches(
        [
            convolution(inputs, 192, 1),
            nn.Sequential(
                convolution(inputs, width, 1), convolution(width, width, wide), convolution(width, 192, tall)
            ),
            nn.Sequential(
                convolution(inputs, width, 1),
                convolution(width, width, tall),
                convolution(width, width, wide),
                convolution(width, width, tall),
                convolution(width, 192, wide),
            ),
            _projection(inputs, 192),
        ]
    )


def _reduction_17(inputs: int, padded: bool) -> Branches:
    return Branches(
        [
            nn.Sequential(convolution(inputs, 192, 1), convolution(192, 320, 3, stride=2, padded=padded)),
            nn.Sequential(
                convolution(inputs, 192, 1),
                convolution(192, 192, (1, 7)),
                convolution(192, 192, (7, 1)),
                convolution(192, 192, 3, stride=2, padded=padded),
            ),
            _pool(padded),
        ]
    )


def _module_8(inputs: int) -> Branches:
    return Branches(
        [
            convolution(inputs, 320, 1),
            nn.Sequential(convolution(inputs, 384, 1), _cross(384)),
            nn.Sequential(convolution(inputs, 448, 1), convolution(448, 384, 3), _cross(384)),
            _projection(inputs, 192),
        ]
    )


def _cross(channels: int) -> Branches:
    return Branches([convolution(channels, channels, (1, 3)), convolution(channels, channels, (3, 1))])


def _projection(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), convolution(inputs, outputs, 1))


def _pool(padded: bool) -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, padding=1 if padded else 0)


# Names of torchvision's layers inside a module, in the order of the functions above.
_BRANCHES_35 = {
    "branch1x1": "0",
    "branch5x5_1": "1.0",
    "branch5x5_2": "1.1",
    "branch3x3dbl_1": "2.0",
    "branch3x3dbl_2": "2.1",
    "branch3x3dbl_3": "2.2",
    "branch_pool": "3.1",
}
_BRANCHES_REDUCTION_35 = {"branch3x3": "0", "branch3x3dbl_1": "1.0", "branch3x3dbl_2": "1.1", "branch3x3dbl_3": "1.2"}
_BRANCHES_17 = {
    "branch1x1": "0",
    **{f"branch7x7_{layer + 1}": f"1.{layer}" for layer in range(3)},
    **{f"branch7x7dbl_{layer + 1}": f"2.{layer}" for layer in range(5)},
    "branch_pool": "3.1",
}
_BRANCHES_REDUCTION_17 = {
    "branch3x3_1": "0.0",
    "branch3x3_2": "0.1",
    **{f"branch7x7x3_{layer + 1}": f"1.{layer}" for layer in range(4)},
}
_BRANCHES_8 = {
    "branch1x1": "0",
    "branch3x3_1": "1.0",
    "branch3x3_2a": "1.1.0",
    "branch3x3_2b": "1.1.1",
    "branch3x3dbl_1": "2.0",
    "branch3x3dbl_2": "2.1",
    "branch3x3dbl_3a": "2.2.0",
    "branch3x3dbl_3b": "2.2.1",
    "branch_pool": "3.1",
}
_MODULES = {
    **{f"Mixed_5{letter}": (f"2.{place}", _BRANCHES_35) for place, letter in enumerate("bcd", start=1)},
    "Mixed_6a": ("3.0", _BRANCHES_REDUCTION_35),
    **{f"Mixed_6{letter}": (f"3.{place}", _BRANCHES_17) for place, letter in enumerate("bcde", start=1)},
    "Mixed_7a": ("4.0", _BRANCHES_REDUCTION_17),
    **{f"Mixed_7{letter}": (f"4.{place}", _BRANCHES_8) for place, letter in enumerate("bc", start=1)},
}
_SIDE = "heads.classify.side_classifiers.0"


def rename_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of torchvision's Inception v3 under the names of a `Model`."""
    stem = ("0.0", "0.1", "0.2", "1.1", "1.2")
    names = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
    blocks = {theirs: f"backbone.stages.{ours}" for theirs, ours in zip(names, stem, strict=True)}
    for module, (place, branches) in _MODULES.items():
        blocks |= {f"{module}.{theirs}": f"backbone.stages.{place}.{ours}" for theirs, ours in branches.items()}
    blocks |= {"AuxLogits.conv0": f"{_SIDE}.1", "AuxLogits.conv1": f"{_SIDE}.2"}
    layers = {"fc": "heads.classify.linear", "AuxLogits.fc": f"{_SIDE}.3"}
    for theirs, ours in blocks.items():
        layers |= {f"{theirs}.conv": f"{ours}.0", f"{theirs}.bn": f"{ours}.1"}
    tensors = rename_layers(state, layers.get)
    tensors[f"{_SIDE}.3.weight"] = tensors[f"{_SIDE}.3.weight"][:, :, None, None]
    return tensors


def build_inception_v3(in_channels: int, *, padded: bool = True) -> InceptionV3:
    """Build Inception v3: whether it is padded for maps that line up with the image."""
    return InceptionV3(in_channels, padded)


BACKBONES.register("inception_v3")(BackboneEntry(build_inception_v3, "segkit", published_weights=("imagenet",)))
