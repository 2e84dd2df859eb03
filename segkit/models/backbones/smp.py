"""Every encoder of segmentation-models-pytorch as `smp/NAME`, every model of timm as `smp/tu-NAME`.

smp and timm are imported when one of these names is asked for, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from segkit.errors import SegkitError, UsageError, nearest
from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry
from segkit.models.features import Features, FeatureSpec

_PREFIX = "smp/"
_TIMM = "tu-"
_TIMM_EXAMPLES = ("tu-convnext_tiny", "tu-mobilenetv3_large_100", "tu-resnet50d", "tu-vit_base_patch16_224")
_TRANSFORMER_FAMILIES = {f"timm.models.{family}" for family in ("vision_transformer", "deit", "eva")}


class SmpBackbone(Backbone):
    """An encoder of smp, any depth.

    Its specs are measured on a small image when it is built: encoders of smp and timm begin at stride 1, 2 or 4, and
    return the image itself or empty placeholders among their features. Those are no maps and are dropped.
    """

    takes_any_size = False

    def __init__(self, name: str, encoder: Any, in_channels: int) -> None:
        super().__init__()
        self.name = name
        self.in_channels = in_channels
        self.encoder = encoder
        image = torch.zeros(1, in_channels, 64, 64, device=next(encoder.parameters()).device)
        with _recording(encoder):
            features = encoder(image)
            self._levels = [i for i, map_ in enumerate(features) if map_ is not image and map_.shape[1] > 0]
            maps = [features[level] for level in self._levels]
            _freeze_unused_parameters(encoder, maps)
        self.specs = tuple(FeatureSpec(map_.shape[1], image.shape[2] // map_.shape[2]) for map_ in maps)

    @property
    def stride_multiple(self) -> int:
        """Images whose sides are multiples of this give maps of exactly side / stride."""
        # The attention of mit reduces its keys to stride 32 at every level.
        return 32 if self.name.startswith("mit_") else super().stride_multiple

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        features = self.encoder(images)
        return Features(tuple(features[level] for level in self._levels))

    def fetch_weights(self, name: str) -> dict[str, Tensor]:
        """The published weights, with the first convolution fitted to the number of channels as smp and timm do it."""
        weights: str | Literal[True] = True if self.name.startswith(_TIMM) else name
        build = partial(_smp_encoder, self.name, self.in_channels, depth=5, output_stride=32, weights=weights)
        return _fetched_state(build, f"{name!r} of smp/{self.name}")


class SmpTransformerBackbone(Backbone):
    """A plain vision transformer of timm: four maps of one stride from evenly spaced blocks, as smp's DPT reads them.

    The class and register tokens of each map are in `Features.auxiliary["prefix_tokens"]`.
    """

    takes_any_size = False

    def __init__(self, name: str, encoder: Any, in_channels: int) -> None:
        super().__init__()
        self.name = name
        self.in_channels = in_channels
        self.encoder = encoder
        if encoder.has_prefix_tokens:
            self.capabilities = frozenset({"prefix_tokens"})
        shapes = zip(encoder.out_channels, encoder.output_strides, strict=True)
        self.specs = tuple(FeatureSpec(channels, stride) for channels, stride in shapes)
        side = 2 * self.stride_multiple
        with _recording(encoder):
            maps, tokens = encoder(torch.zeros(1, in_channels, side, side, device=next(encoder.parameters()).device))
            _freeze_unused_parameters(encoder, [*maps, *(token for token in tokens if token is not None)])

    def forward(self, images: Tensor) -> Features:
        """Compute the maps of `images`."""
        maps, tokens = self.encoder(images)
        auxiliary = {"prefix_tokens": tuple(tokens)} if self.encoder.has_prefix_tokens else {}
        return Features(tuple(maps), auxiliary=auxiliary)

    def fetch_weights(self, name: str) -> dict[str, Tensor]:
        """The published weights, with the first convolution fitted to the number of channels as timm does it."""
        build = partial(_transformer_encoder, self.name, self.in_channels, pretrained=True)
        return _fetched_state(build, f"{name!r} of smp/{self.name}")


def build_smp(
    name: str,
    in_channels: int,
    *,
    depth: Annotated[int, Field(ge=3, le=5)] = 5,
    output_stride: Literal[8, 16, 32] = 32,
) -> SmpBackbone:
    """Build an encoder: number of levels, and the stride beyond which convolutions are dilated instead.

    Raises `UsageError` where the encoder cannot be dilated or takes images of one size only.
    """
    try:
        return SmpBackbone(name, _smp_encoder(name, in_channels, depth, output_stride, None), in_channels)
    except (ValueError, TypeError, NotImplementedError, AssertionError, RuntimeError) as error:
        options = f"depth={depth}, output_stride={output_stride}"
        raise UsageError(f"backbone smp/{name} cannot be built with {options}: {error}") from error


def build_transformer(name: str, in_channels: int) -> SmpTransformerBackbone:
    """Build a plain vision transformer; its position embedding is interpolated to the size of the images."""
    return SmpTransformerBackbone(name, _transformer_encoder(name, in_channels, pretrained=False), in_channels)


def encoder_names() -> list[str]:
    """All encoders of smp, then some of timm's."""
    from segmentation_models_pytorch.encoders import encoders

    return [_PREFIX + name for name in (*encoders, *_TIMM_EXAMPLES)]


@BACKBONES.register_family(_PREFIX, encoder_names)
def find_encoder(full_name: str) -> BackboneEntry:
    """The entry of one encoder; raises `UsageError` for a name that neither smp nor timm has."""
    name = full_name.removeprefix(_PREFIX)
    if name.startswith(_TIMM):
        return _find_timm_model(name)
    from segmentation_models_pytorch.encoders import encoders

    if name not in encoders:
        raise BACKBONES.unknown(full_name)
    weights = tuple(encoders[name].get("pretrained_settings", ()))
    return BackboneEntry(partial(build_smp, name), "smp", published_weights=weights)


def _find_timm_model(name: str) -> BackboneEntry:
    import timm

    timm_name = name.removeprefix(_TIMM)
    if not timm.is_model(timm_name):
        hint = nearest(timm_name, timm.list_models()).replace("'", f"'{_PREFIX}{_TIMM}", 1)
        raise UsageError(f"unknown backbone '{_PREFIX}{name}': timm has no such model.{hint}")
    weights = ("imagenet",) if timm.models.is_model_pretrained(timm_name) else ()
    if timm.models.model_entrypoint(timm_name).__module__ in _TRANSFORMER_FAMILIES:
        return BackboneEntry(partial(build_transformer, name), "smp", frozenset({"prefix_tokens"}), weights)
    return BackboneEntry(partial(build_smp, name), "smp", published_weights=weights)


def _smp_encoder(
    name: str, in_channels: int, depth: int, output_stride: int, weights: str | Literal[True] | None
) -> Any:
    from segmentation_models_pytorch.encoders import get_encoder

    return get_encoder(name, in_channels=in_channels, depth=depth, weights=weights, output_stride=output_stride)


def _transformer_encoder(name: str, in_channels: int, pretrained: bool) -> Any:
    from segmentation_models_pytorch.encoders import TimmViTEncoder

    timm_name = name.removeprefix(_TIMM)
    return TimmViTEncoder(timm_name, pretrained=pretrained, in_channels=in_channels, dynamic_img_size=True)


@contextmanager
def _recording(encoder: nn.Module) -> Iterator[None]:
    """Evaluation mode, which changes no statistics and draws no random number, with gradients recorded."""
    with torch.inference_mode(False), torch.enable_grad():
        encoder.eval()
        yield
        encoder.train()


def _freeze_unused_parameters(encoder: nn.Module, maps: Sequence[Tensor]) -> None:
    """Freeze what no map depends on: classifiers left over, stages beyond the depth.

    Distributed training would wait for their gradients. The recorded graph names what the maps depend on; walking it is
    several times faster than computing gradients.
    """
    waiting: list[Any] = [map_.grad_fn for map_ in maps]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting.extend(following for following, _ in node.next_functions)
    used = {id(node.variable) for node in seen if hasattr(node, "variable")}
    for parameter in encoder.parameters():
        parameter.requires_grad_(id(parameter) in used)


def _fetched_state(build: Callable[[], nn.Module], what: str) -> dict[str, Tensor]:
    """State dict of an encoder that fetches its weights while it is built; a missing network becomes one line."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # its many lines about retries say less than the error below
    try:
        encoder = build()
    except (OSError, HfHubHTTPError) as error:
        raise SegkitError(
            f"cannot fetch the weights {what} from huggingface.co ({str(error).splitlines()[0]}); "
            "connect once, give a file, or use '--weights none'"
        ) from error
    return {f"backbone.encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
