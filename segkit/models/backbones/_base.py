"""What a backbone is: images to feature maps of growing stride."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import Any

from torch import Tensor, nn

from segkit.models.config import Option
from segkit.models.features import Features, FeatureSpec
from segkit.models.heads.classify import ClassifyHead, PoolingHead
from segkit.registry import Registry
from segkit.structures import TaskName


class Backbone(nn.Module):
    """Images (N, in_channels, H, W) to `Features`. |h - H / stride| <= 1 holds for every map.

    Attributes:
        specs: channels and stride of every map, fine to coarse.
        capabilities: what this instance offers beyond maps. `pool_indices`: `Features.pools[i]` lies between the maps
            i and i + 1, has the channels of map i, and is a 2 x 2 max pool of stride 2.
        takes_any_size: whether images need no padding to `stride_multiple` unless a decoder wants the maps to line up.
    """

    specs: tuple[FeatureSpec, ...]
    capabilities: frozenset[str] = frozenset()
    takes_any_size: bool = True

    @property
    def stride_multiple(self) -> int:
        """Images whose sides are multiples of this give maps of exactly side / stride."""
        return lcm(*(spec.stride for spec in self.specs))

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        raise NotImplementedError

    def create_classifier(self, num_classes: int) -> ClassifyHead:
        """The head that turns features into class logits: the paper's, where it has one of its own."""
        return PoolingHead(self.specs[-1].channels, num_classes, smallest_image=self.specs[-1].stride)

    def fetch_weights(self, name: str) -> dict[str, Tensor]:
        """The published weights `name` under the names of a `Model` (`backbone.…`, `heads.classify.…`).

        Asks the network. Raises `SegkitError` when they cannot be fetched.
        """
        raise NotImplementedError

    def fit_state(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors under the names of a `Model`, of images of any number of channels, fitted to this backbone's images.

        Only what `fit_channels` does not do to the first convolution: most networks have nothing else to fit.
        """
        return state


def _none_idle(options: Mapping[str, Any]) -> Mapping[str, str]:  # noqa: ARG001
    return {}


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone that can be built.

    Attributes:
        build: function (in_channels, *, typed options) to `Backbone`. An option `padded` is set by the task: true for
            segmentation, where maps line up with the image, false for the paper's classifier, unless the user does.
        family: the library it comes from.
        capabilities: what its instances offer with default options.
        published_weights: names of the pretrained weights that can be fetched for it.
        published_options: the values published weights were trained with, of the options with which the network would
            take the weights and compute something else.
        published_variant: the backbone that published weights fit where they do not fit this one.
        task_options: options that change nothing but under some tasks, and these.
        idle_options: function from all options to those that change nothing beside the others, each with the reason.
    """

    build: Callable[..., Backbone]
    family: str
    capabilities: frozenset[str] = frozenset()
    published_weights: tuple[str, ...] = ()
    published_options: Mapping[str, Sequence[Option]] = field(default_factory=dict)
    published_variant: str | None = None
    task_options: Mapping[str, Sequence[TaskName]] = field(default_factory=dict)
    idle_options: Callable[[Mapping[str, Any]], Mapping[str, str]] = _none_idle

    def without_effect(self, options: Mapping[str, Any], heads: Collection[TaskName]) -> dict[str, str]:
        """Those of all `options` that change nothing where only `heads` read the maps, each with the reason."""
        idle = {
            name: f"it is for --task {' or '.join(tasks)}"
            for name, tasks in self.task_options.items()
            if not set(tasks) & set(heads)
        }
        return {**idle, **self.idle_options(options)}


BACKBONES: Registry[BackboneEntry] = Registry("backbone", "segkit.models.backbones")
