"""Every encoder of segmentation-models-pytorch as `smp/NAME`, every model of timm as `smp/tu-NAME`.

smp and timm are imported when one of these names is asked for, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

from segkit.errors import SegkitError, UsageError, nearest
from segkit.models.backbones._base import BACKBONES, Backbone, BackboneEntry, Features, FeatureSpec

_PREFIX = "smp/"
_TIMM = "tu-"
_TIMM_EXAMPLES = ("tu-convnext_tiny", "tu-mobilenetv3_large_100", "tu-resnet50d", "tu-vit_base_patch16_224")
_TRANSFORMER_FAMILIES = {f"timm.models.{family}" for family in ("vision_transformer", "deit", "beit", "eva")}


class SmpBackbone(Backbone):
    """An encoder of smp: features at strides 1, 2, 4, ...

    The image, which most encoders return as their first feature, and empty placeholders are no maps and are dropped.
    """

    def __init__(self, name: str, encoder: Any, in_channels: int, output_stride: int) -> None:
        super().__init__()
        self.name = name
        self.in_channels = in_channels
        self.encoder = encoder
        first = 0 if name.startswith("vgg") or getattr(encoder, "_is_vgg_style", False) else 1
        channels = encoder.out_channels
        self._levels = [level for level in range(first, len(channels)) if channels[level] > 0]
        self.specs = tuple(FeatureSpec(channels[level], min(2**level, output_stride)) for level in self._levels)

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

    def __init__(self, name: str, encoder: Any, in_channels: int) -> None:
        super().__init__()
        self.name = name
        self.in_channels = in_channels
        self.encoder = encoder
        self.capabilities = frozenset({"token_maps", "prefix_tokens"} if encoder.has_prefix_tokens else {"token_maps"})
        shapes = zip(encoder.out_channels, encoder.output_strides, strict=True)
        self.specs = tuple(FeatureSpec(channels, stride) for channels, stride in shapes)

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
    """Build an encoder: number of levels, and the stride beyond which convolutions are dilated instead."""
    try:
        encoder = _smp_encoder(name, in_channels, depth, output_stride, None)
    except (ValueError, TypeError, NotImplementedError, AssertionError, RuntimeError) as error:
        options = f"depth={depth}, output_stride={output_stride}"
        raise UsageError(f"backbone smp/{name} cannot be built with {options}: {error}") from error
    _freeze_unused_stages(encoder, depth)
    return SmpBackbone(name, encoder, in_channels, output_stride)


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
        capabilities = frozenset({"token_maps", "prefix_tokens"})
        return BackboneEntry(partial(build_transformer, name), "timm", capabilities, weights)
    return BackboneEntry(partial(build_smp, name), "timm", published_weights=weights)


def _smp_encoder(
    name: str, in_channels: int, depth: int, output_stride: int, weights: str | Literal[True] | None
) -> Any:
    from segmentation_models_pytorch.encoders import get_encoder

    return get_encoder(name, in_channels=in_channels, depth=depth, weights=weights, output_stride=output_stride)


def _transformer_encoder(name: str, in_channels: int, pretrained: bool) -> Any:
    from segmentation_models_pytorch.encoders import TimmViTEncoder

    timm_name = name.removeprefix(_TIMM)
    return TimmViTEncoder(timm_name, pretrained=pretrained, in_channels=in_channels, dynamic_img_size=True)


def _freeze_unused_stages(encoder: Any, depth: int) -> None:
    """Stages beyond `depth` never run; distributed training would wait for their gradients."""
    if depth == 5 or not hasattr(encoder, "get_stages"):
        return
    for stride, stages in encoder.get_stages().items():
        if stride > 2**depth:
            for stage in stages:
                stage.requires_grad_(False)


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
    return {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
