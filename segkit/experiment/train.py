"""`train`: settings become a plan, the plan becomes a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from segkit.config import read_yaml
from segkit.errors import UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import Teller
from segkit.experiment.duration import parse_duration
from segkit.experiment.flags import flags_of
from segkit.experiment.folds import resume_folds, start_folds
from segkit.experiment.run import CONFIG, Run
from segkit.experiment.start import resume as resume_run
from segkit.experiment.start import start
from segkit.models.config import Option
from segkit.pipeline import NormalizationName
from segkit.structures import TaskName
from segkit.training.processes import outer_environment


def train(
    data: str | Path | None = None,
    *,
    task: TaskName | None = None,
    heads: Sequence[TaskName] | None = None,
    output: str | Path | None = None,
    config: str | Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    device: str | None = None,
    devices: int | None = None,
    nodes: int | None = None,
    quiet: bool = False,
    backbone: str | None = None,
    decoder: str | None = None,
    upsample: str | None = None,
    weights: str | None = None,
    backbone_options: Mapping[str, Option] | None = None,
    decoder_options: Mapping[str, Option] | None = None,
    detect_options: Mapping[str, Option] | None = None,
    epochs: int | None = None,
    budget: str | None = None,
    batch_size: int | None = None,
    accumulate: int | None = None,
    crop: int | None = None,
    draws_per_image: int | None = None,
    foreground_share: float | None = None,
    augment: Literal["none", "light", "standard", "strong", "alexnet"] | None = None,
    orientation_free: bool | None = None,
    optimizer: Literal["adamw", "sgd"] | None = None,
    learning_rate: float | None = None,
    loss: str | None = None,
    class_weights: Literal["balanced"] | Sequence[float] | None = None,
    head_weights: Mapping[TaskName, float] | None = None,
    border_weight: float | None = None,
    label_smoothing: float | None = None,
    mixup: float | None = None,
    patience: int | None = None,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    workers: int | None = None,
    normalization: NormalizationName | None = None,
    licence: str | None = None,
    format: str | None = None,  # noqa: A002, the word of the command line
    classes: Path | Sequence[str] | None = None,
    map: Mapping[int | Literal["other"], int] | None = None,  # noqa: A002
    ignore: Sequence[int] | None = None,
    background: int | Literal["none"] | None = None,
    channels: Literal["gray", "rgb"] | None = None,
    channel_names: Sequence[str] | None = None,
    allow: Sequence[str] | None = None,
    split: str | Path | tuple[float, float, float] | None = None,
    group_by: str | None = None,
    stratify: str | None = None,
    folds: int | None = None,
    fold: int | None = None,
) -> Run:
    """Train a network on a data set and return its run.

    The data set is checked, a plan is printed, the best model by validation score is kept, the test part is scored and
    the report written. Arguments override the YAML file in `config`; what neither says, the plan decides.

    Args:
        data: folder of images and masks, a table, or class folders.
        task: what is learnt: masks, objects one by one, boxes or labels; known from the data where None, masks before
            boxes before labels.
        heads: several tasks that one network learns, the main one first; in the place of `task`.
        output: the run folder, which must not exist; `runs/DATA-NETWORK-N` where None.
        config: YAML file of an `ExperimentConfig`, for example the `config.yaml` of another run.
        resume: go on with the run in `output` from its last checkpoint.
        seed: of the split, weights, order, augmentation and dropout.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        devices: GPUs of each machine, or processes on its CPU, that train together; with `resume` other than before.
        nodes: machines that train together, on each of which torchrun or srun starts the processes.
        quiet: print nothing; `log.txt` is written all the same.
        backbone: a name that `segkit models` lists.
        decoder: a name that `segkit models` lists.
        upsample: the decoder's way to grow: `nearest`, `bilinear`, `bed_of_nails`, `max_unpool`, `transposed` or
            `pixel_shuffle`.
        weights: `none`, `imagenet`, or a segkit model file whose weights fit in part.
        backbone_options: options of the backbone, for example `{"width": 24}`.
        decoder_options: options of the decoder.
        detect_options: options of the head of boxes, for example `{"channels": 64}`.
        epochs: passes over the training part; excludes `budget`.
        budget: time of the whole training, such as `"10m"`; excludes `epochs`.
        batch_size: crops per step, of all processes together.
        accumulate: steps of the network per step of the optimizer.
        crop: side of the square crops in pixels; for classification the side images are resized to.
        draws_per_image: crops of each image per epoch.
        foreground_share: share of the crops around a class drawn at random, 0 to 1.
        augment: how far images are changed; `alexnet` crops and recolours as its paper does (classification).
        orientation_free: whether images mean the same turned by 90 degrees or upside down.
        optimizer: `adamw`, or `sgd` with momentum 0.9.
        learning_rate: the highest of the schedule.
        loss: `ce_dice`, `ce`, `dice` or `focal`.
        class_weights: `balanced`, or one number per class.
        head_weights: how much the loss of each of several heads counts; where not named 1, of labels 0.05.
        border_weight: weight, on top of their class's, of the pixels where two objects meet; the U-Net's is 10.
        label_smoothing: share of the loss that asks for every class alike (classification).
        mixup: alpha of mixup, which blends images of a batch and their losses (classification).
        patience: end after so many validations without a better score.
        precision: `auto` takes bf16 where the device computes it in hardware.
        workers: processes that load data.
        normalization: `8bit`, `percentile`, `zscore` (each image by its own mean and deviation) or `ct`.
        licence: of the trained weights, kept in the model file.
        format: data format; recognised where None.
        classes: class file, or names in the order of their ids.
        map: mask value to class id, for example `{128: 1}`; `{"other": 1}` for every other value but 0.
        ignore: mask values that are not counted.
        background: class id of the background, or `none`.
        channels: convert every image to `gray` or `rgb`.
        channel_names: what the channels show, in their order; kept in the model file.
        allow: codes of check errors to go on with; recorded in the run.
        split: split file, or shares of train, val and test.
        group_by: images that stay together: a table column, or a regular expression on the id.
        stratify: a table column whose values every part gets its share of; the classes present where None.
        folds: cross-validate: so many runs, each validated on another part of the images, scored together; `epochs`
            and `budget` are those of each.
        fold: train only this one of them, counted from 0; the others when the run is gone on with.

    Raises:
        UsageError: a wrong argument; nothing has been written then.
        DataError: a data set with errors; the message lists them.
        OutputError: the run folder cannot be written.
        Interrupted: Ctrl-C or SIGTERM, after saving.
    """
    started = time.monotonic()
    given = {
        "path": data,
        "task": task,
        "heads": tuple(heads) if heads else None,
        "folds": folds,
        "device": device,
        "devices": devices,
        "nodes": nodes,
        "normalization": normalization,
        "licence": licence,
        "data": {
            "format": format, "classes": classes, "map": map, "ignore": ignore, "background": background,
            "channels": channels, "channel_names": channel_names, "allow": allow, "split": split, "group_by": group_by,
            "stratify": stratify,
            "seed": seed,
        },
        "model": {
            "backbone": backbone, "decoder": decoder, "weights": weights, "backbone_options": backbone_options,
            "detect_options": detect_options,
            "decoder_options": {**(decoder_options or {}), **({"upsample": upsample} if upsample else {})},
        },
        "sampling": {
            "crop": crop, "draws_per_image": draws_per_image, "foreground_share": foreground_share, "augment": augment,
            "orientation_free": orientation_free,
        },
        "training": {
            "epochs": epochs, "budget_seconds": parse_duration(budget) if budget else None, "batch_size": batch_size,
            "accumulate": accumulate, "learning_rate": learning_rate, "loss": loss, "class_weights": class_weights,
            "head_weights": head_weights,
            "border_weight": border_weight,
            "label_smoothing": label_smoothing, "mixup": mixup, "optimizer": optimizer, "patience": patience,
            "precision": precision, "workers": workers, "seed": seed,
        },
    }  # fmt: skip
    if resume:
        if config or _merge({}, {**given, "devices": None, "nodes": None}):
            raise UsageError(
                "--resume goes on with a run as it began: give -o RUN and no data or settings; "
                "for others start a new run without --resume"
            )
        return _resume(output, fold, started, Teller(quiet), devices, nodes)
    if epochs is not None and budget is not None:
        raise UsageError(f"--epochs {epochs} and --budget {budget} both end the run; give one of them")
    settings = _merge(_without_end(read_yaml(config), epochs or budget) if config else {}, given)
    if "path" not in settings:
        raise UsageError("name the data set to train on: segkit train DATA, or 'path:' in the configuration")
    source = f"{config} and options" if config else "options"
    parsed = ExperimentConfig.parse(settings, source, flags_of(given))
    folder = Path(output) if output else None
    if parsed.folds is not None:
        _refuse_outer_launcher(parsed)
        return start_folds(parsed, folder, fold, Teller(quiet))
    if fold is not None:
        raise UsageError(f"--fold {fold} is one of several: say of how many with --folds, or go on with them: --resume")
    return start(parsed, folder, started, Teller(quiet))


def _resume(
    output: str | Path | None, fold: int | None, started: float, teller: Teller, devices: int | None, nodes: int | None
) -> Run:
    if output is None:
        raise UsageError("--resume goes on with a run: name its folder with -o")
    run = Run(output)
    if not (run.folder / CONFIG).exists():
        raise UsageError(
            f"{run.folder} is no run folder: it has no config.yaml; name the folder of the run to go on with"
        )
    if run.config.folds is not None:
        if devices or nodes:
            raise UsageError(f"{run.folder} is a run of folds, which keep their number of devices; leave it out")
        _refuse_outer_launcher(run.config)
        return resume_folds(run, fold, teller)
    if fold is not None:
        raise UsageError(f"--fold {fold}: {run.folder} is a run without folds; leave it out")
    return resume_run(run, started, teller, devices, nodes)


def _refuse_outer_launcher(config: ExperimentConfig) -> None:
    if outer_environment(config.devices, config.nodes) is not None:
        raise UsageError("folds are trained by processes that segkit starts; give --devices without torchrun or srun")


def _without_end(base: dict[str, Any], given: int | str | None) -> dict[str, Any]:
    """The settings of a file, their end of the run left to the one `given`: epochs override a budget and vice versa."""
    training = base.get("training")
    if given is None or not isinstance(training, Mapping):
        return base
    kept = {key: value for key, value in training.items() if key not in ("epochs", "budget_seconds")}
    return {**base, "training": kept}


def _merge(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with everything in `given` that is not None or empty, group by group."""
    merged = dict(base)
    for key, value in given.items():
        below = base.get(key) or {}
        if isinstance(value, Mapping):
            if not isinstance(below, Mapping):
                continue  # the file is wrong there, which is said when all of it is read
            value = _merge(below, value)
        if value is not None and value != {}:
            merged[key] = value
    return merged
