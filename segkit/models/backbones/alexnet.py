"""AlexNet: the paper's in one tower and in two, and torchvision's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.backbones._torchvision import fetch_state, rename_layers
from segkit.models.features import Features, FeatureSpec
from segkit.models.heads.classify import ClassifyHead
from segkit.models.heads.fully_connected import FullyConnectedHead
from segkit.models.layers.lrn import LocalResponseNorm

_STRIDES = (4, 8, 16, 32)


class AlexNet(Backbone):
    """Five convolutions, three overlapping 3 x 3 max pools of stride 2, local response normalization.

    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks". The maps are what
    the pools take (section 3.5: with the normalization) and what the last one gives. Images of 227 x 227 give the sides
    55, 27, 13, 6 of the paper's figure 2; its 224 do not, with filters of 11 at stride 4.

    With two towers the second, fourth and fifth convolution see the maps of their own half only (section 3.2). The
    normalization runs over all maps of a layer, as equation 1 of section 3.3 has it.

    Args:
        in_channels: channels of the images.
        towers: groups of the second, fourth and fifth convolution.
        padded: whether the first convolution and the pools are padded, so that every map has ceil(side / stride).
    """

    channels: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    stem_padding: int = 0
    normalized: bool = True

    def __init__(self, in_channels: int, towers: int, padded: bool) -> None:
        super().__init__()
        first, second, third, fourth, fifth = self.channels
        levels = (first, second, fifth, fifth)
        self.specs = tuple(FeatureSpec(count, stride) for count, stride in zip(levels, _STRIDES, strict=True))
        norms = [[LocalResponseNorm()] if self.normalized else [] for _ in range(2)]
        stem = nn.Conv2d(in_channels, first, 11, stride=4, padding=5 if padded else self.stem_padding)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(stem, nn.ReLU(inplace=True), *norms[0]),
                nn.Sequential(*_convolution(first, second, 5, towers), *norms[1]),
                nn.Sequential(
                    *_convolution(second, third, 3),
                    *_convolution(third, fourth, 3, towers),
                    *_convolution(fourth, fifth, 3, towers),
                ),
            ]
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1 if padded else 0)
        self.initialize()

    def initialize(self) -> None:
        """Weights from N(0, 0.01); biases 1 in the second, fourth and fifth convolution, else 0 (section 5)."""
        convolutions = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d)]
        _initialize(convolutions, biases=(0, 1, 0, 1, 1))

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        maps: list[Tensor] = []
        x = images
        for stage in self.stages:
            maps.append(stage(x))
            x = self.pool(maps[-1])
        return Features((*maps, x))

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Two hidden layers of 4096 with dropout 0.5, biases 1, then the logits; for images of 227 x 227 and more."""
        head = FullyConnectedHead(self.specs[-1].channels, num_classes, kernel_size=6, smallest_image=227)
        _initialize([layer for layer in head.modules() if isinstance(layer, nn.Conv2d)], biases=(1, 1, 0))
        return head


class TorchvisionAlexNet(AlexNet):
    """The narrower AlexNet of torchvision: 64, 192, 384, 256, 256 channels, no normalization, dropout before layers.

    Source: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks". Initial weights are
    torch's, as in torchvision. Its adaptive pool to 6 x 6 in front of the classifier does nothing at 224 x 224, the
    size the weights were made for, and is left out: adaptive pools are exported wrong. Smaller images are mirrored up
    to that size, larger ones get the mean logits of all positions.
    """

    channels = (64, 192, 384, 256, 256)
    stem_padding = 2
    normalized = False

    def initialize(self) -> None:
        """Keep torch's initial weights."""

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """Two hidden layers of 4096, each after dropout 0.5, then the logits; for images of 224 x 224 and more."""
        channels = self.specs[-1].channels
        return FullyConnectedHead(channels, num_classes, kernel_size=6, smallest_image=224, dropout_first=True)

    def fetch_weights(self, name: str) -> dict[str, Tensor]:  # noqa: ARG002
        """torchvision's weights, trained on ImageNet."""
        return rename_torchvision(fetch_state("AlexNet_Weights.IMAGENET1K_V1"))


_TORCHVISION_NAMES = {
    "features.0": "backbone.stages.0.0",
    "features.3": "backbone.stages.1.0",
    "features.6": "backbone.stages.2.0",
    "features.8": "backbone.stages.2.2",
    "features.10": "backbone.stages.2.4",
    "classifier.1": "heads.classify.layers.1",
    "classifier.4": "heads.classify.layers.4",
    "classifier.6": "heads.classify.layers.6",
}


def rename_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of torchvision's AlexNet under the names of a `Model`; its linear layers become convolutions."""
    tensors = rename_layers(state, _TORCHVISION_NAMES.get)
    for index, side in ((1, 6), (4, 1), (6, 1)):
        weight = f"heads.classify.layers.{index}.weight"
        tensors[weight] = tensors[weight].unflatten(1, (-1, side, side))
    return tensors


def build_alexnet(in_channels: int, *, padded: bool = True) -> AlexNet:
    """Build AlexNet in one tower: whether it is padded for maps that line up with the image."""
    return AlexNet(in_channels, towers=1, padded=padded)


def build_alexnet_two_tower(in_channels: int, *, padded: bool = True) -> AlexNet:
    """Build AlexNet as it was spread over two GPUs: whether it is padded for maps that line up with the image."""
    return AlexNet(in_channels, towers=2, padded=padded)


def build_alexnet_tv(in_channels: int, *, padded: bool = True) -> TorchvisionAlexNet:
    """Build torchvision's AlexNet: whether it is padded for maps that line up with the image."""
    return TorchvisionAlexNet(in_channels, towers=1, padded=padded)


def _convolution(in_channels: int, out_channels: int, kernel_size: int, towers: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=towers)
    return [convolution, nn.ReLU(inplace=True)]


def _initialize(convolutions: list[nn.Conv2d], biases: tuple[float, ...]) -> None:
    for convolution, value in zip(convolutions, biases, strict=True):
        nn.init.normal_(convolution.weight, std=0.01)
        assert convolution.bias is not None
        nn.init.constant_(convolution.bias, value)


BACKBONES.register("alexnet")(BackboneEntry(build_alexnet, "segkit", published_variant="alexnet_tv"))
BACKBONES.register("alexnet_two_tower")(
    BackboneEntry(build_alexnet_two_tower, "segkit", published_variant="alexnet_tv")
)
BACKBONES.register("alexnet_tv")(BackboneEntry(build_alexnet_tv, "segkit", published_weights=("imagenet",)))
