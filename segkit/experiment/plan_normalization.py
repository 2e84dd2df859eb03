"""How a plan turns stored values into the network's, and what its channels are called; and why."""

from __future__ import annotations

from typing import Any

from segkit.data.config import DataConfig
from segkit.data.normalization import EIGHT_BIT, choose_normalization, pipeline_settings
from segkit.data.opening import OpenDataset
from segkit.errors import UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.sampling import Reason
from segkit.ops.words import counted
from segkit.pipeline import NormalizationName


def plan_normalization(
    config: ExperimentConfig, dataset: OpenDataset, fingerprint: dict[str, Any]
) -> tuple[NormalizationName, dict[str, Any], list[Reason]]:
    """The way that was asked for, else the one that suits the training images; and the pipeline's settings of it.

    Raises:
        UsageError: `8bit` for values outside 0 to 255, or `ct` for images without masks.
    """
    intensities, name = fingerprint["intensities"], config.normalization
    why = "as asked"
    if name is None:
        name, why = choose_normalization(intensities, fingerprint["dtypes"])
    if name == "8bit":
        _refuse_beyond_8bit(dataset)
    if name == "ct" and dataset.task != "segment":
        raise UsageError(
            f"--normalization ct: it measures the foreground of masks; to {dataset.task} there are none, use zscore"
        )
    settings = pipeline_settings(name, intensities)
    return name, settings, [(f"normalization {name}", f"{why}; {_measured(name, intensities)}")]


def plan_channels(config: DataConfig, dataset: OpenDataset) -> tuple[int, tuple[str, ...], list[Reason]]:
    """The channels the network takes, their names where they are known, and where those come from.

    Raises:
        UsageError: another number of names than of channels, or two of one name.
    """
    number = len(dataset.facts.images[dataset.split("train")[0].id].mean)
    asked, known = config.channel_names, dataset.listing.channel_names
    if asked is not None and (len(asked) != number or len(set(asked)) != number):
        raise UsageError(
            f"--channel-names {','.join(asked)}: the images have {counted(number, 'channel')}; "
            "give each a name of its own"
        )
    if asked is None and (len(set(known)) != number or config.channels is not None):
        return number, (), []
    names, why = (known, "as the data names them") if asked is None else (asked, "as asked")
    return number, names, [(f"channels {', '.join(names)}", why)]


def _measured(name: NormalizationName, intensities: dict[str, Any]) -> str:
    """What the training images contribute."""
    if name == "8bit":
        return "0 to 255 become 0 to 1, then the training images' mean and deviation"
    if name == "zscore":
        return "each image by its own mean and deviation"
    measured = intensities["foreground"] if name == "ct" else intensities
    bounds = zip(measured["low"], measured["high"], strict=True)
    ranges = ", ".join(dict.fromkeys(f"{low:.4g} to {high:.4g}" for low, high in bounds))
    if name == "ct":
        return f"clipped to {ranges}, the 0.5 and 99.5 percentile of the training images' foreground"
    return f"{ranges} become 0 to 1, then the training images' mean and deviation"


def _refuse_beyond_8bit(dataset: OpenDataset) -> None:
    images = [dataset.facts.images[record.id] for record in dataset.split("train")]
    lowest, highest = min(image.minimum for image in images), max(image.maximum for image in images)
    if lowest < EIGHT_BIT[0] or highest > EIGHT_BIT[1]:
        raise UsageError(
            f"--normalization 8bit: it is for values from 0 to 255, the training images hold "
            f"{lowest:g} to {highest:g}; use percentile or zscore"
        )
