"""Initial weights from elsewhere: published ones of the backbone, or a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from segkit.errors import ModelFileError, UsageError, nearest
from segkit.modelfile import find_in_run, read_card
from segkit.models.backbones._base import BACKBONES, BackboneEntry
from segkit.models.model import Model

# How names in files become the model's: a bare backbone, a bare encoder of smp or timm, a whole model of smp, a
# classifier with fully connected layers, which FCN turns into convolutions of a decoder; with dropout in front of them.
_RENAMINGS: tuple[Mapping[str, str], ...] = (
    {"": ""},
    {"": "backbone."},
    {"": "backbone.encoder."},
    {
        "encoder.": "backbone.encoder.",
        "decoder.": "decoder.decoder.",
        "segmentation_head.0.": "heads.segment.convolution.",
    },
    {"heads.classify.layers.0.": "decoder.fc6.", "heads.classify.layers.3.": "decoder.fc7.", "": ""},
    {"heads.classify.layers.1.": "decoder.fc6.", "heads.classify.layers.4.": "decoder.fc7.", "": ""},
)
# FCN's first fully connected layer, without which the second, trained with it, sees other features.
_FC6 = "decoder.fc6.weight"


@dataclass(frozen=True)
class WeightsReport:
    """What was loaded into a model and what starts new.

    Attributes:
        source: the words the user gave.
        loaded: names of the model's tensors that were loaded.
        new: names of the model's tensors that keep their initial values.
        unused: names of the source's tensors that have no place in the model.
        adapted: name of the first convolution where it was fitted to another number of channels.
        share: share of the model's parameters that were loaded, 0 to 1.
        differing: options of the backbone that are others than those the weights were trained with, in words.
    """

    source: str
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...] = ()
    adapted: str | None = None
    share: float = 0.0
    differing: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people: what loaded, what starts new, what was left over."""
        if not self.loaded:
            return f"weights {self.source}: all {len(self.new)} tensors start new"
        count = f"{len(self.loaded)} of {len(self.loaded) + len(self.new)}"
        said = [f"weights {self.source}: {count} tensors loaded ({self.share:.1%} of the parameters)"]
        if self.adapted:
            said.append(f"{self.adapted} fitted to the number of channels")
        if self.new:
            said.append(f"new: {_by_part(self.new)}")
        if self.differing:
            said.append(f"trained with other options of the backbone: {', '.join(self.differing)}")
        if self.unused:
            said.append(f"not used: {_by_part(self.unused)}")
        return "; ".join(said)


def load_weights(model: Model, weights: str | Path) -> WeightsReport:
    """Load initial weights into `model`, in place: every tensor whose name and shape fit; the others keep their values.

    Where only the number of input channels differs, the first convolution is fitted as `fit_channels` says. Published
    networks were trained on images normalized with ImageNet's mean and standard deviation; segkit normalizes with those
    of the data at hand, to which the first layers adapt in training.

    Args:
        model: the network.
        weights: `none`; a published set of the backbone such as `imagenet`, which asks the network; or a safetensors
            file: a segkit model of any task and classes, or a state dict of this network, of its backbone, or of
            smp's same network. A run folder means its model.

    Raises:
        UsageError: unknown weights, published weights under options they were not trained with, a folder without a
            model, or a file of which nothing fits.
        ModelFileError: a file that cannot be read.
        SegkitError: published weights that cannot be fetched.
    """
    if str(weights) == "none":
        return WeightsReport("none", (), tuple(model.state_dict()))
    entry = BACKBONES.get(model.config.backbone)
    published = entry.published_weights
    if str(weights) in published:
        _require_published_options(model, entry, str(weights))
        return _load(model, _aligned(model.backbone.fetch_weights(str(weights)), model.state_dict()), str(weights))
    if not Path(weights).exists():
        hint = nearest(str(weights), ["none", *published]) or " Most backbones smp/NAME have 'imagenet'."
        if entry.published_variant:
            hint = f" Published weights are for backbone {entry.published_variant}, which departs from the paper."
        sets = ", ".join(("none", *published))
        raise UsageError(f"no file {str(weights)!r}; backbone {model.config.backbone} has the weights {sets}.{hint}")
    file = find_in_run(weights)
    report = _load(model, _aligned(_read(file), model.state_dict()), str(weights))
    return replace(report, differing=_differing_options(model, file))


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """The weight (out, in, h, w) of a first convolution for another number of input channels, as smp and timm fit it.

    One channel gets the sum; more get the channels in turn, scaled by the ratio of the numbers.
    """
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    given = weight.shape[1]
    return weight[:, torch.arange(channels) % given] * (given / channels)


def _require_published_options(model: Model, entry: BackboneEntry, weights: str) -> None:
    """Raise `UsageError` where the weights would fit but the network compute something else than they were made for."""
    options = model.config.backbone_options
    other = {name: values for name, values in entry.published_options.items() if options[name] not in values}
    if other:
        given = ", ".join(f"{name}={options[name]}" for name in other)
        trained = ", ".join(f"{name}={' or '.join(map(str, values))}" for name, values in other.items())
        raise UsageError(
            f"backbone {model.config.backbone} with {given}: the weights {weights} were trained with {trained}; "
            "leave the options as they were trained, or use '--weights none'"
        )


def _differing_options(model: Model, file: Path) -> tuple[str, ...]:
    """Options of the same backbone that a segkit file was trained with otherwise; a network's norm has no shape."""
    try:
        trained = read_card(file).model
    except ModelFileError:
        return ()  # a state dict of another program, which does not say
    if trained.get("backbone") != model.config.backbone:
        return ()
    plain = model.config.model_dump(mode="json")["backbone_options"]
    before = trained.get("backbone_options", {})
    return tuple(
        f"{name} {before[name]}, here {plain[name]}" for name in plain if name in before and before[name] != plain[name]
    )


def _load(model: Model, tensors: Mapping[str, Tensor], source: str) -> WeightsReport:
    state = model.state_dict()
    tensors = model.backbone.fit_state(tensors)
    first = _first_convolution(model)
    fitting = {name: tensor for name, tensor in tensors.items() if name in state and tensor.shape == state[name].shape}
    adapted = None
    if first is not None and first in tensors and first not in fitting:
        fitted = fit_channels(tensors[first], model.config.in_channels)
        if fitted.shape == state[first].shape:
            fitting[first], adapted = fitted, first
    if _FC6 in state and _FC6 not in fitting:
        fitting = {k: tensor for k, tensor in fitting.items() if not k.startswith(("decoder.fc6.", "decoder.fc7."))}
    if not any(name in fitting for name, _ in model.named_parameters()):
        raise UsageError(
            f"nothing in the weights {source} fits this network (backbone {model.config.backbone}); "
            "build it with the backbone and options the weights were made for"
        )
    model.load_state_dict(fitting, strict=False)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    return WeightsReport(
        source,
        loaded=tuple(name for name in state if name in fitting),
        new=tuple(name for name in state if name not in fitting),
        unused=tuple(name for name in tensors if name not in fitting),
        adapted=adapted,
        share=sum(size for name, size in sizes.items() if name in fitting) / sum(sizes.values()),
    )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        read_card(path)  # raises the error that says what the file is instead
        raise


def _aligned(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file under the model's names: of the known renamings the one that meets most of them."""
    candidates = [{_renamed(name, renaming): name for name in tensors} for renaming in _RENAMINGS]
    best = max(candidates, key=lambda candidate: len(candidate.keys() & state.keys()))
    return {name: tensors[original] for name, original in best.items()}


def _renamed(name: str, renaming: Mapping[str, str]) -> str:
    for prefix, replacement in renaming.items():
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name


def _first_convolution(model: Model) -> str | None:
    """Name of the first convolution's weight if it takes the image; None where pixels are rearranged before."""
    convolutions = ((name, layer) for name, layer in model.backbone.named_modules() if isinstance(layer, nn.Conv2d))
    name, first = next(convolutions, ("", None))
    return f"backbone.{name}.weight" if first and first.in_channels == model.config.in_channels else None


def _by_part(names: Iterable[str]) -> str:
    """Tensors counted by part of the network: `decoder (30), heads.segment (2)`."""
    depth = {"heads": 2}
    parts = Counter(".".join(name.split(".")[: depth.get(name.split(".")[0], 1)]) for name in names)
    return ", ".join(f"{part} ({count})" for part, count in parts.items())
