"""`segkit train`: from a data set to a run folder with a model file and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segkit.cli import options

NETWORK, TRAINING = "Network", "Training"


def train(
    data: Annotated[
        Path | None, typer.Argument(help="Folder of images and masks, a table, or class folders.", show_default=False)
    ] = None,
    task: options.Task = None,
    heads: options.Heads = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; by default runs/DATA-NETWORK-N.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings; flags override it.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in -o from its last checkpoint.")
    ] = False,
    licence: Annotated[str | None, typer.Option(help="Of the trained weights, kept in the model file.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    devices: Annotated[
        int | None, typer.Option(help="GPUs per machine, or processes on its CPU, that train together.")
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines, each started with torchrun or srun.")] = None,
    quiet: options.Quiet = False,
    backbone: Annotated[str | None, typer.Option(help="Name from 'segkit models'.", rich_help_panel=NETWORK)] = None,
    decoder: Annotated[str | None, typer.Option(help="Name from 'segkit models'.", rich_help_panel=NETWORK)] = None,
    upsample: Annotated[
        str | None,
        typer.Option(
            help="nearest, bilinear, bed_of_nails, max_unpool, transposed or pixel_shuffle.", rich_help_panel=NETWORK
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="none, imagenet, or a model file or run folder.", rich_help_panel=NETWORK)
    ] = None,
    backbone_option: Annotated[
        list[str] | None, typer.Option(help="name=value, as width=24.", rich_help_panel=NETWORK)
    ] = None,
    decoder_option: Annotated[list[str] | None, typer.Option(help="name=value.", rich_help_panel=NETWORK)] = None,
    detect_option: Annotated[
        list[str] | None, typer.Option(help="name=value of the head of boxes, as channels=64.", rich_help_panel=NETWORK)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training part.", rich_help_panel=TRAINING)] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for the training, as 90s, 10m, 1h30m.", rich_help_panel=TRAINING)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Crops per step, of all devices.", rich_help_panel=TRAINING)
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Batches per optimizer step.", rich_help_panel=TRAINING)
    ] = None,
    crop: Annotated[
        int | None, typer.Option(help="Side of the square crop in pixels.", rich_help_panel=TRAINING)
    ] = None,
    draws_per_image: Annotated[
        int | None, typer.Option(help="Crops of each image per epoch.", rich_help_panel=TRAINING)
    ] = None,
    foreground_share: Annotated[
        float | None, typer.Option(help="Share of crops around a class drawn at random.", rich_help_panel=TRAINING)
    ] = None,
    augment: Annotated[
        Literal["none", "light", "standard", "strong", "alexnet"] | None,
        typer.Option(help="How far images are changed.", rich_help_panel=TRAINING),
    ] = None,
    orientation_free: Annotated[
        bool | None,
        typer.Option(
            "--orientation-free/--upright", help="Whether images look alike upside down.", rich_help_panel=TRAINING
        ),
    ] = None,
    optimizer: Annotated[
        Literal["adamw", "sgd"] | None, typer.Option(help="sgd has momentum 0.9.", rich_help_panel=TRAINING)
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(rich_help_panel=TRAINING)] = None,
    loss: Annotated[str | None, typer.Option(help="ce_dice, ce, dice or focal.", rich_help_panel=TRAINING)] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="balanced, or one number per class: 1,5,2.", rich_help_panel=TRAINING)
    ] = None,
    head_weight: Annotated[
        list[str] | None, typer.Option(help="Of several heads' losses, as detect=2.", rich_help_panel=TRAINING)
    ] = None,
    border_weight: Annotated[
        float | None,
        typer.Option(help="Added weight of pixels between objects; 10 in the U-Net's paper.", rich_help_panel=TRAINING),
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Of the labels, for classification.", rich_help_panel=TRAINING)
    ] = None,
    mixup: Annotated[
        float | None, typer.Option(help="Alpha of mixup, for classification.", rich_help_panel=TRAINING)
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after this many validations without gain.", rich_help_panel=TRAINING)
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        typer.Option(help="auto: bf16 where it is fast.", rich_help_panel=TRAINING),
    ] = None,
    normalization: Annotated[
        Literal["8bit", "percentile", "zscore", "ct"] | None,
        typer.Option(
            help="How stored values become the network's; by default from the data.", rich_help_panel=TRAINING
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that load data.", rich_help_panel=TRAINING)] = None,
    format_name: options.Format = None,
    classes: options.Classes = None,
    value_map: options.ValueMap = None,
    ignore: options.Ignore = None,
    background: options.Background = None,
    channels: options.Channels = None,
    channel_names: options.ChannelNames = None,
    axis: options.Axis = None,
    allow: options.Allow = None,
    split: options.Split = None,
    group_by: options.GroupBy = None,
    stratify: options.Stratify = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Cross-validate: so many runs, each scored on other images.", rich_help_panel=options.DATA),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Train only this one of the folds, from 0.", rich_help_panel=options.DATA)
    ] = None,
) -> None:
    """Train on DATA: check it, print the plan, train, evaluate on the test part, write the report."""
    from segkit.experiment.train import train as train_run

    train_run(
        data,
        task=task,
        heads=options.parse_heads(heads),
        output=output,
        config=config,
        resume=resume,
        licence=licence,
        seed=seed,
        device=device,
        devices=devices,
        nodes=nodes,
        quiet=quiet,
        backbone=backbone,
        decoder=decoder,
        upsample=upsample,
        weights=weights,
        backbone_options=options.parse_assignments(backbone_option, "--backbone-option"),
        decoder_options=options.parse_assignments(decoder_option, "--decoder-option"),
        detect_options=options.parse_assignments(detect_option, "--detect-option"),
        epochs=epochs,
        budget=budget,
        batch_size=batch_size,
        accumulate=accumulate,
        crop=crop,
        draws_per_image=draws_per_image,
        foreground_share=foreground_share,
        augment=augment,
        orientation_free=orientation_free,
        optimizer=optimizer,
        learning_rate=learning_rate,
        loss=loss,
        class_weights=options.parse_class_weights(class_weights) if class_weights else None,
        head_weights=options.parse_head_weights(head_weight),
        border_weight=border_weight,
        label_smoothing=label_smoothing,
        mixup=mixup,
        patience=patience,
        precision=precision,
        normalization=normalization,
        workers=workers,
        folds=folds,
        fold=fold,
        **options.data_settings(
            format_name=format_name,
            classes=classes,
            value_map=value_map,
            ignore=ignore,
            background=background,
            channels=channels,
            channel_names=channel_names,
            axis=axis,
            allow=allow,
            split=split,
            group_by=group_by,
            stratify=stratify,
        ),
    )
