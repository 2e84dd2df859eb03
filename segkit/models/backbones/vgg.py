"""VGG: very deep networks of 3 x 3 convolutions only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor

from segkit.models.backbones._base import BACKBONES, BackboneEntry
from segkit.models.backbones._pattern import parse_pattern
from segkit.models.backbones._torchvision import fetch_state, rename_layers
from segkit.models.backbones.plain import FullyConnected, PlainBackbone
from segkit.models.layers.activation import ActivationName
from segkit.models.layers.conv import ConvStyle
from segkit.models.layers.norm import NormName
from segkit.models.layers.pool import PoolName

# Simonyan and Zisserman 2014, table 1, columns A, B, D and E.
CONFIGURATIONS = {
    11: "[64] P [128] P [256]*2 P [512]*2 P [512]*2 P F4096 F4096",
    13: "[64]*2 P [128]*2 P [256]*2 P [512]*2 P [512]*2 P F4096 F4096",
    16: "[64]*2 P [128]*2 P [256]*3 P [512]*3 P [512]*3 P F4096 F4096",
    19: "[64]*2 P [128]*2 P [256]*4 P [512]*4 P [512]*4 P F4096 F4096",
}
IMAGE_SIZE = 224


class VggBackbone(PlainBackbone):
    """The convolutions of VGG; as a classifier with the paper's fully connected layers.

    The paper starts configuration A from N(0, 0.01) and the deeper ones from the trained A, and notes that Glorot and
    Bengio's start would have spared it that (section 3.1). Here all start as He et al. 2015, which is the same idea
    for layers in front of a ReLU, so that every configuration trains by itself.

    Source: Simonyan and Zisserman 2014, "Very deep convolutional networks for large-scale image recognition".
    """

    def __init__(
        self, in_channels: int, depth: int, style: ConvStyle, pool: PoolName, dropout: float, pooled_maps: bool
    ) -> None:
        pattern = parse_pattern(CONFIGURATIONS[depth])
        super().__init__(
            in_channels,
            pattern.levels,
            style=style,
            pool=pool,
            pooled_maps=pooled_maps,
            fully_connected=FullyConnected(pattern.hidden, IMAGE_SIZE, dropout),
        )
        self.depth = depth

    def fetch_weights(self, name: str) -> dict[str, Tensor]:  # noqa: ARG002
        """The weights trained on ImageNet that torchvision publishes, those with batch normalization where it has it.

        Asks the network; raises `SegkitError` when they cannot be fetched.
        """
        variant = f"VGG{self.depth}{'_BN' if self.style.norm == 'batch' else ''}"
        return rename_torchvision(fetch_state(f"{variant}_Weights.IMAGENET1K_V1"))


def rename_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of torchvision's VGG of any depth under the names of a `Model`.

    torchvision's convolutions have a bias in front of batch normalization too, which only shifts the mean that is
    subtracted next: it is taken off the running mean, and the network computes the same with fewer parameters.
    """
    tensors = rename_layers(state, _torchvision_names(state).get)
    for index, side in ((0, 7), (3, 1), (6, 1)):
        weight = f"heads.classify.layers.{index}.weight"
        tensors[weight] = tensors[weight].unflatten(1, (-1, side, side))
    for mean in [name for name in tensors if name.endswith("running_mean")]:
        tensors[mean] = tensors[mean] - tensors.pop(mean.replace("1.running_mean", "0.bias"))
    return tensors


def _torchvision_names(state: Mapping[str, Tensor]) -> dict[str, str]:
    """torchvision's layers to their names here.

    torchvision numbers convolutions, normalizations, activations and pools in one row: after a longer step than that to
    the next convolution there was a pool.
    """
    names = {f"classifier.{index}": f"heads.classify.layers.{index}" for index in (0, 3, 6)}
    step = 3 if any(name.endswith("running_mean") for name in state) else 2
    level, block, expected = 0, 0, 0
    for number in sorted(int(name.split(".")[1]) for name, tensor in state.items() if _is_filter(name, tensor)):
        if number > expected:
            level, block = level + 1, 0
        names[f"features.{number}"] = f"backbone.levels.{level}.{block}.0"
        names[f"features.{number + 1}"] = f"backbone.levels.{level}.{block}.1"
        block, expected = block + 1, number + step
    return names


def _is_filter(name: str, tensor: Tensor) -> bool:
    return name.startswith("features.") and name.endswith(".weight") and tensor.dim() == 4


def _register(name: str, depth: int, default_norm: NormName) -> None:
    def build(
        in_channels: int,
        *,
        norm: NormName = default_norm,
        activation: ActivationName = "relu",
        weight_standardization: bool = False,
        pool: PoolName = "max",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        pooled_maps: bool = False,
    ) -> VggBackbone:
        """Build a VGG.

        Args:
            in_channels: channels of the images.
            norm: normalization behind every convolution; the paper has none, and in its A-LRN `local_response` behind
                the first convolution only.
            activation: behind every convolution and fully connected layer.
            weight_standardization: whether filters are standardized before use.
            pool: what halves the maps.
            dropout: share of the units dropped in training behind the fully connected layers.
            pooled_maps: whether the maps are those behind the pools, which Long et al. 2015 ("Fully convolutional
                networks for semantic segmentation") fuse, in place of the last ones in front of them.
        """
        style = ConvStyle(norm, activation, weight_standardization)
        return VggBackbone(in_channels, depth, style, pool, dropout, pooled_maps)

    entry = BackboneEntry(
        build,
        "segkit",
        frozenset({"pool_indices"}),
        published_weights=("imagenet",),
        published_options={
            "norm": ("none", "batch"),
            "activation": ("relu",),
            "weight_standardization": (False,),
            "pool": ("max",),
        },
        task_options={"dropout": ("classify",), "pooled_maps": ("segment", "instances", "detect")},
    )
    BACKBONES.register(name)(entry)


for _depth in CONFIGURATIONS:
    _register(f"vgg{_depth}", _depth, "none")
    _register(f"vgg{_depth}_bn", _depth, "batch")
