"""The plan: every choice the user left open, made from the data and the machine, with its reason.

| choice | default |
| --- | --- |
| network | that of the initial weights; else `plain`, and for masks a decoder of the backbone's name, else `unet` |
| resolution of the maps | half the image's on a CPU where crops are 128 or more, a quarter for boxes of large objects |
| augmentation | `light` up to about 50 passes over the images, `standard` for more |
| crop | 256, 512 where boxes or labels are learnt; or the multiple of 32 that holds an image where they are smaller |
| size (classification) | 128, or the longest side where all images are smaller |
| normalization | `8bit` for uint8 of about one contrast; `zscore` where ranges differ tenfold, else `percentile` |
| batch | segmentation 4 on a CPU, 16 on a GPU, more of small crops, less of memory; classification 32 and 128 |
| class weights | none, as the Dice half of the loss counts classes alike |
| weights of heads | 1, of labels beside masks or boxes 0.05 |
| budget | 10 minutes on a CPU, 30 on a GPU, unless `--epochs` or `--budget` is given |
| loss | `ce_dice`, cross-entropy and Dice; `ce` for classification; FCOS's for boxes, Mask R-CNN's for its objects |
| optimizer | `adamw` |
| learning rate | 3e-3 for `plain`, 1e-3 for the others; with `sgd` 0.01, as AlexNet and VGG were trained |
| weight decay | 0.01 for `adamw`, none for `sgd` |
| precision | bf16 where the device computes it in hardware, else fp32 |
| workers | 2 on a CPU, which computes most of the time; one per processor up to 8 on a GPU |
| draws per image | as many crops as cover the image |
| foreground share | 1/3 where a foreground class has less than 5 % of the pixels or boxes are learnt, else 0 |
| orientation | free unless a class keeps to the upper or lower half of the images (see `orientation`) or has a label |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from segkit.data.opening import OpenDataset
from segkit.experiment.config import ExperimentConfig, SamplingSettings
from segkit.experiment.devices import process_count, share_batches
from segkit.experiment.memory import Sharing, fit_to_memory
from segkit.experiment.plan_network import plan_network
from segkit.experiment.plan_normalization import plan_channels, plan_normalization
from segkit.experiment.plan_refusals import (
    refuse_idle_head_weights,
    refuse_idle_loss,
    refuse_idle_settings,
    refuse_idle_side_weight,
)
from segkit.experiment.plan_training import Crops, plan_training
from segkit.experiment.sampling import (
    Reason,
    RunLength,
    Sampling,
    plan_crops,
    plan_whole_images,
    sees_whole_images,
)
from segkit.models.config import ModelConfig
from segkit.pipeline import Pipeline

COARSE_CROP = 128
"""Crops from this size on are decoded at half resolution on a CPU; smaller images may hang on single pixels."""


@dataclass(frozen=True)
class Plan:
    """A run with nothing left open.

    Attributes:
        config: the settings, resolved.
        model: the network.
        pipeline: pre- and postprocessing; `stride_multiple` and `margin` are the network's, filled in once it is built.
        sampling: crops and augmentation.
        fingerprint: what the data set measured.
        reasons: choices and reasons, in the order they are printed.
    """

    config: ExperimentConfig
    model: ModelConfig
    pipeline: Pipeline
    sampling: Sampling
    fingerprint: dict[str, Any]
    reasons: tuple[Reason, ...]


def make_plan(
    config: ExperimentConfig, dataset: OpenDataset, fingerprint: dict[str, Any], device: torch.device
) -> Plan:
    """Decide everything `config` leaves open.

    Args:
        config: what the user asked for.
        dataset: the checked data set.
        fingerprint: its measurements.
        device: where the run computes.

    Raises:
        UsageError: settings that do not fit the task or the data.
    """
    whole = sees_whole_images(dataset)
    refuse_idle_settings(config, dataset)
    counts = fingerprint.get("class_pixels", fingerprint["class_images"])["train"]
    normalization, scaling, why_normalization = plan_normalization(config, dataset, fingerprint)
    channels, channel_names, why_channels = plan_channels(config.data, dataset)
    plan_sampling = plan_whole_images if whole else plan_crops
    sampling, why_sampling = plan_sampling(config.sampling, dataset, counts, RunLength(config.training, device))
    coarse = not whole and device.type == "cpu" and sampling.crop >= COARSE_CROP
    model, why_model = plan_network(config.model, dataset, channels=channels, coarse=coarse)
    refuse_idle_loss(config.training, model)
    refuse_idle_side_weight(config.training, model)
    refuse_idle_head_weights(config.training, model)
    crops = Crops(sampling.crop, sampling.draws_per_image * len(dataset.split("train")))
    training, why_training = plan_training(config.training, model, counts, crops, device)
    training, why_shared = share_batches(config.training, training, config, crops.per_epoch)
    sharing = Sharing(process_count(config), config.devices)
    training, why_memory = fit_to_memory(config.training, training, model, sampling.crop, device, sharing)
    pipeline = Pipeline(
        channels=model.in_channels,
        channel_names=channel_names,
        convert=config.data.channels,
        axis=config.data.axis,
        precision="bf16" if training.precision == "bf16" else "fp32",
        **scaling,
        **(_whole_image(sampling) if whole else {"smallest": sampling.crop}),
    )
    resolved = config.model_copy(
        update={
            "task": dataset.task if len(dataset.heads) == 1 else None,
            "heads": tuple(dataset.heads) if len(dataset.heads) > 1 else None,
            "normalization": normalization,
            "data": config.data.model_copy(update={"channel_names": channel_names or None}),
            "model": config.model.model_copy(update={"backbone": model.backbone, "decoder": model.decoder}),
            "sampling": SamplingSettings(**vars(sampling)),
            "training": training,
        }
    )
    reasons = (*why_model, *why_channels, *why_normalization, *why_sampling, *why_training, *why_shared, *why_memory)
    return Plan(resolved, model, pipeline, sampling, fingerprint, reasons)


def _whole_image(sampling: Sampling) -> dict[str, Any]:
    """The pipeline's settings for whole images: resized to one size, and with `alexnet` their middle seen."""
    size = (sampling.resized_side, sampling.resized_side)
    if sampling.augment != "alexnet":
        return {"size": size}
    return {"size": size, "keep_proportions": True, "center_crop": (sampling.crop, sampling.crop)}
