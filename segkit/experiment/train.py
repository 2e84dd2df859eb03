"""`train`: settings become a plan, the plan becomes a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from segkit.config import read_yaml
from segkit.data.augment import Augmenter
from segkit.data.dataset import TrainingSet
from segkit.data.fingerprint import fingerprint as measure
from segkit.data.loader import EpochSampler, training_loader
from segkit.data.opening import OpenDataset, describe_finding, open_dataset
from segkit.errors import DataError, UsageError
from segkit.evaluation.evaluate import evaluate as evaluate_records
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import announce, progress
from segkit.experiment.duration import format_duration, parse_duration
from segkit.experiment.evaluate import evaluate_test_part
from segkit.experiment.plan import Plan, make_plan
from segkit.experiment.run import Run, environment, new_run, package_versions
from segkit.inference.engines.torch import TorchEngine, resolve_device
from segkit.inference.predictor import Predictor
from segkit.losses import create_loss
from segkit.modelfile import ModelCard, save_model_file
from segkit.models.config import Option
from segkit.models.factory import build_model
from segkit.models.model import Model
from segkit.models.weights import load_weights
from segkit.pipeline import Pipeline
from segkit.report import write_report
from segkit.tasks import ClassifyTask, SegmentTask
from segkit.training.fit import fit


def train(
    data: str | Path | None = None,
    *,
    task: Literal["segment", "classify"] | None = None,
    output: str | Path | None = None,
    config: str | Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    device: str | None = None,
    quiet: bool = False,
    backbone: str | None = None,
    decoder: str | None = None,
    upsample: str | None = None,
    weights: str | None = None,
    backbone_options: Mapping[str, Option] | None = None,
    decoder_options: Mapping[str, Option] | None = None,
    epochs: int | None = None,
    budget: str | None = None,
    batch_size: int | None = None,
    accumulate: int | None = None,
    crop: int | None = None,
    augment: str | None = None,
    learning_rate: float | None = None,
    loss: str | None = None,
    class_weights: Literal["balanced"] | Sequence[float] | None = None,
    patience: int | None = None,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    workers: int | None = None,
    format: str | None = None,  # noqa: A002, the word of the command line
    classes: Path | Sequence[str] | None = None,
    map: Mapping[int | Literal["other"], int] | None = None,  # noqa: A002
    ignore: Sequence[int] | None = None,
    background: int | Literal["none"] | None = None,
    channels: Literal["gray", "rgb"] | None = None,
    allow: Sequence[str] | None = None,
    split: str | Path | tuple[float, float, float] | None = None,
    group_by: str | None = None,
) -> Run:
    """Train a network on a data set and return its run; `segkit train --help` describes every argument.

    The data set is checked, a plan is printed, the best model by validation score is kept, the test part is scored
    and the report written. Arguments override the YAML file in `config`; what neither says, the plan decides.

    Raises:
        UsageError: a wrong argument; nothing has been written then.
        DataError: a data set with errors; the message lists them.
    """
    started = time.monotonic()
    if resume:
        return _resume(output, started, quiet)
    given = {
        "path": data,
        "task": task,
        "device": device,
        "data": {
            "format": format, "classes": classes, "map": map, "ignore": ignore, "background": background,
            "channels": channels, "allow": allow, "split": split, "group_by": group_by,
            "seed": seed,
        },
        "model": {
            "backbone": backbone, "decoder": decoder, "weights": weights, "backbone_options": backbone_options,
            "decoder_options": {**(decoder_options or {}), **({"upsample": upsample} if upsample else {})},
        },
        "sampling": {"crop": crop, "augment": augment},
        "training": {
            "epochs": epochs, "budget_seconds": parse_duration(budget) if budget else None, "batch_size": batch_size,
            "accumulate": accumulate, "learning_rate": learning_rate, "loss": loss, "class_weights": class_weights,
            "patience": patience, "precision": precision, "workers": workers, "seed": seed,
        },
    }  # fmt: skip
    settings = _merge(read_yaml(config) if config else {}, given)
    if "path" not in settings:
        raise UsageError("name the data set to train on: segkit train DATA, or 'path:' in the configuration")
    return _start(ExperimentConfig.parse(settings, source="settings"), Path(output) if output else None, started, quiet)


def _merge(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with everything in `given` that is not None or empty, group by group."""
    merged = dict(base)
    for key, value in given.items():
        if isinstance(value, Mapping):
            value = _merge(base.get(key) or {}, value)
        if value is not None and value != {}:
            merged[key] = value
    return merged


def _start(config: ExperimentConfig, output: Path | None, started: float, quiet: bool) -> Run:
    device = resolve_device(config.device)
    dataset = _open(config, quiet)
    fingerprint = measure(dataset)
    plan = make_plan(config, dataset, fingerprint, device)
    torch.manual_seed(plan.config.training.seed)
    model = build_model(plan.model)
    loaded = load_weights(model, plan.config.model.weights)
    announce(*_describe(plan, model), loaded.describe() if plan.config.model.weights != "none" else "", quiet=quiet)
    run = new_run(output, config.path, "-".join(filter(None, (plan.model.decoder, plan.model.backbone))))
    plan.config.to_yaml(run.folder / "config.yaml")
    run.write_json("splits.json", dataset.splits())
    run.write_json("fingerprint.json", fingerprint)
    run.write_json("environment.json", environment(str(device), plan.pipeline.precision))
    announce(f"run folder {run.folder}", quiet=quiet)
    return _fit(run, plan, model, dataset, fingerprint, device, started, resume=False, quiet=quiet)


def _resume(output: str | Path | None, started: float, quiet: bool) -> Run:
    if output is None:
        raise UsageError("--resume goes on with a run: name its folder with -o")
    run = Run(output)
    if not (run.folder / "config.yaml").exists():
        raise UsageError(
            f"{run.folder} is no run folder: it has no config.yaml; name the folder of the run to go on with"
        )
    config = run.config
    device = resolve_device(config.device)
    dataset = _open(config, quiet)
    fingerprint = measure(dataset)
    if fingerprint != run.read_json("fingerprint.json"):
        raise DataError(
            f"{config.path} has changed since {run.folder} began; a resumed run needs the same files: start a new run"
        )
    plan = make_plan(config, dataset, fingerprint, device)
    torch.manual_seed(plan.config.training.seed)
    model = build_model(plan.model)
    announce(f"going on with {run.folder}", quiet=quiet)
    return _fit(run, plan, model, dataset, fingerprint, device, started, resume=run.checkpoint.exists(), quiet=quiet)


def _open(config: ExperimentConfig, quiet: bool) -> OpenDataset:
    with progress("reading", None, quiet) as advance:
        dataset = open_dataset(config.path, config.data, progress=advance)
    announce(*dataset.describe(), quiet=quiet)
    announce(*(describe_finding(found) for found in dataset.findings if found not in dataset.errors), quiet=quiet)
    dataset.require_usable()
    return dataset


def _fit(
    run: Run,
    plan: Plan,
    model: Model,
    dataset: OpenDataset,
    fingerprint: dict[str, Any],
    device: torch.device,
    started: float,
    resume: bool,
    quiet: bool,
) -> Run:
    config = plan.config.training
    pipeline = plan.pipeline.model_copy(update={"stride_multiple": model.stride_multiple, "margin": model.margin})
    classes, task = dataset.classes, plan.model.task

    def validate(network: nn.Module) -> dict[str, float]:
        predictor = Predictor(TorchEngine(network, device, pipeline.precision), pipeline, classes, task)
        evaluation = evaluate_records(predictor, dataset.split("val"), classes, quick=True)
        return {"score": evaluation.score}

    def keep(network: nn.Module, scores: Mapping[str, float]) -> None:
        card = ModelCard(
            task=task,
            model=model.config.model_dump(mode="json"),
            classes=classes.to_dict(),
            pipeline=pipeline.model_dump(mode="json"),
            data={"name": dataset.root.resolve().name, **fingerprint},
            scores={"val": dict(scores)},
            packages=package_versions(),
        )
        tensors = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in network.state_dict().items()}
        save_model_file(run.model_file, tensors, card)

    assert config.class_weights != "balanced"  # the plan has made numbers of it
    criterion = create_loss(config.loss, classes.num_classes, config.class_weights)
    what = SegmentTask(criterion) if task == "segment" else ClassifyTask(criterion, config.label_smoothing)
    loader = _loader(plan, pipeline, dataset, device)
    result = fit(model, what, loader, validate, keep, config, run.folder, device, resume=resume, started=started)
    announce(f"trained {result.steps} steps in {format_duration(result.seconds)}", quiet=quiet)
    evaluate_test_part(run, dataset, device, quiet)
    write_report(run.folder)
    announce(f"model {run.model_file}", f"report {run.report}", quiet=quiet)
    return run


def _loader(
    plan: Plan, pipeline: Pipeline, dataset: OpenDataset, device: torch.device
) -> DataLoader[dict[str, Tensor]]:
    sampling, config = plan.config.sampling, plan.config.training
    assert sampling.crop is not None
    assert sampling.draws_per_image is not None
    assert sampling.foreground_share is not None
    records = dataset.split("train")
    training_set = TrainingSet(
        records,
        dataset.classes,
        pipeline,
        Augmenter(sampling.augment, pipeline.channels, orientation_free=bool(sampling.orientation_free)),
        crop=(sampling.crop, sampling.crop),
        seed=config.seed,
        foreground_share=sampling.foreground_share,
        task=plan.model.task,
    )
    sampler = EpochSampler(len(records), len(records) * sampling.draws_per_image, config.seed)
    return training_loader(training_set, sampler, config.batch_size, config.workers, pin_memory=device.type == "cuda")


def _describe(plan: Plan, model: Model) -> list[str]:
    """The plan as printed: choice and reason, line by line."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    network = (
        f"{parameters / 1e6:.1f} million parameters",
        f"{plan.model.in_channels} channels in, {plan.model.num_classes} classes out",
    )
    return ["plan:", *(f"  {choice} ({reason})" for choice, reason in (*plan.reasons, network))]
