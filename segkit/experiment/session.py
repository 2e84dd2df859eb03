"""A plan put to work: network, data and task built from it, trained, scored and reported."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from segkit.data.augment import Augmenter
from segkit.data.color import color_axes
from segkit.data.dataset import TrainingSet, decoded_bytes
from segkit.data.instance_ids import number_objects
from segkit.data.loader import EpochSampler, Share, training_loader
from segkit.data.opening import OpenDataset
from segkit.evaluation.evaluate import evaluate_heads
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import Teller
from segkit.experiment.devices import process_count
from segkit.experiment.duration import format_duration
from segkit.experiment.evaluate import score, write_evaluations
from segkit.experiment.launch import train_here
from segkit.experiment.object_rule import choose_box_rule, choose_instance_rule
from segkit.experiment.plan import Plan
from segkit.experiment.run import Run, package_versions
from segkit.experiment.scores import describe_heads
from segkit.experiment.speed import seconds_per_step
from segkit.experiment.tasks import create_task
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.loading import load
from segkit.inference.predictor import Predictor
from segkit.modelfile import ModelCard, load_model_file, save_model_file
from segkit.models.factory import build_model
from segkit.models.weights import load_weights
from segkit.report import write_report
from segkit.structures import TaskName
from segkit.training.fit import fit
from segkit.training.processes import Processes

METRICS: Mapping[TaskName, str] = {"segment": "Dice", "instances": "AP@0.5", "detect": "AP50", "classify": "top-1"}
"""What a quick evaluation scores."""

KEPT_BYTES = 2**30
"""Decoded training images of up to this size are kept in memory."""


class Session:
    """One training from its plan to its report.

    Args:
        plan: every choice made.
        dataset: the data set the plan was made for.
        device: where to compute.
        teller: whom to tell.
        fresh: whether to load the plan's initial weights; a run that goes on takes them from its checkpoint.
        processes: those that train it together, where they are running already.

    Raises:
        UsageError: an unknown part or option of the network or loss, or weights that cannot be loaded.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: OpenDataset,
        device: torch.device,
        teller: Teller,
        fresh: bool = True,
        processes: Processes = Processes(),  # noqa: B008, it cannot change
    ) -> None:
        self.processes = processes
        self.plan = plan
        self.dataset = dataset
        self.device = device
        self.teller = teller
        torch.manual_seed(plan.config.training.seed)
        self.model = build_model(plan.model)
        network = {name: getattr(self.model, name) for name in ("stride_multiple", "stride_remainder", "margin")}
        self.pipeline = plan.pipeline.model_copy(update=network)
        self.task = create_task(plan.config.training, self.model)
        if fresh and plan.config.model.weights != "none":
            teller.tell(load_weights(self.model, plan.config.model.weights).describe())

    @property
    def config(self) -> ExperimentConfig:
        """The settings with nothing left open, and true from any folder."""
        config, network = self.plan.config.from_anywhere(), self.model.config
        names = ("backbone_options", "decoder_options", "detect_options")
        options = {name: getattr(network, name) for name in names}
        model = config.model.model_copy(update=options)
        device = self.device.type if self._count > 1 else str(self.device)
        return config.model_copy(update={"device": device, "model": model})

    @property
    def _count(self) -> int:
        """The processes that train, whether they are running already or not."""
        return process_count(self.plan.config)

    def describe(self) -> list[str]:
        """The plan as printed: choice and reason, line by line."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        network = (
            f"{parameters / 1e6:.1f} million parameters",
            f"{self.plan.model.in_channels} channels in, {self.plan.model.num_classes} classes out",
        )
        reasons = [*self.plan.reasons, network]
        if self.model.margin:
            seen = "they are seen with each crop, mirrored only beyond the border of an image"
            reasons.append((f"the network loses {self.model.margin} pixels on each side", seen))
        reasons.append(self._duration())
        return ["plan:", *(f"  {choice} ({reason})" for choice, reason in reasons)]

    @property
    def _metric(self) -> str:
        """What the validation score is; of several heads the mean of their scores."""
        return " and ".join(METRICS[head] for head in self.plan.model.heads)

    def _duration(self) -> tuple[str, str]:
        """How long the training will take, and how that is known."""
        sampling, config = self.plan.sampling, self.plan.config.training
        if config.epochs is None:
            return (
                f"ends after {format_duration(config.budget_seconds or 0)}",
                "validations included; scoring the test part follows",
            )
        side = sampling.crop + 2 * self.model.margin
        # On a CPU the processes share what one alone has.
        images = config.batch_size // (self._count if self.device.type == "cuda" else 1)
        batch = images, self.plan.model.in_channels, side, side
        seconds = seconds_per_step(self.model, batch, self.device, config.precision == "bf16")
        steps = config.epochs * max(1, len(self.dataset.split("train")) * sampling.draws_per_image // config.batch_size)
        return (
            f"{steps} steps, about {format_duration(steps * seconds)}",
            f"{seconds:.2g} s per step here; validations come on top",
        )

    def run(self, run: Run, started: float, resume: bool) -> Run:
        """Train, score the test part with the best network, write the report.

        Args:
            run: the folder everything goes to.
            started: `time.monotonic()` from which a budget counts.
            resume: whether to go on from the run's checkpoint.
        """
        if self._count > self.processes.count:
            train_here(run, self._count, started, self.teller.quiet)
        else:
            self.fit(run, started, resume)
        if self.processes.is_first:
            self._choose_rule(run)
            self._score_test_part(run)
            write_report(run.folder)
            self.teller.tell(f"model {run.model_file}", f"report {run.report}")
        return run

    def fit(self, run: Run, started: float, resume: bool) -> None:
        """Train in this process, with the others where there are any; args as of `run`."""
        result = fit(
            self.model,
            self.task,
            self._loader(),
            validate=self._validate,
            on_best=lambda network, scores: self._keep(run, network, scores),
            config=self.plan.config.training,
            folder=run.folder,
            device=self.device,
            resume=resume,
            started=started,
            console=self.teller,
            score_name=self._metric,
            processes=self.processes,
        )
        self.teller.tell(
            f"trained {result.steps} steps in {format_duration(result.seconds)}, ended by {result.stopped}; "
            f"best validation score {result.scores['score']:.3f} in epoch {result.best_epoch}"
        )

    def _loader(self) -> DataLoader[dict[str, Tensor]]:
        sampling, config = self.plan.sampling, self.plan.config.training
        records, channels = self.dataset.split("train"), self.pipeline.channels
        axes = color_axes(records, self.pipeline) if sampling.augment == "alexnet" and channels == 3 else None
        training_set = TrainingSet(
            records,
            self.dataset.heads,
            self.pipeline,
            Augmenter(sampling.augment, channels, sampling.orientation_free, axes),
            crop=(sampling.crop, sampling.crop),
            seed=config.seed,
            foreground_share=sampling.foreground_share,
            border_weight=config.border_weight,
            numbered_objects=bool(config.border_weight) and number_objects(self.dataset.facts.masks),
            instance_targets="objects" if self.model.config.finds_objects else "cells",
        )
        self._keep_in_memory(training_set)
        whole = EpochSampler(len(records), len(records) * sampling.draws_per_image, config.seed)
        sampler = Share(whole, config.batch_size, self.processes.rank, self._count)
        workers = math.ceil(config.workers / self.plan.config.devices)
        pin_memory = self.device.type == "cuda"
        return training_loader(training_set, sampler, config.batch_size // self._count, workers, pin_memory)

    def _keep_in_memory(self, training_set: TrainingSet) -> None:
        """Decode the training images once where they are small enough and the loader's processes share them."""
        facts = [self.dataset.facts.images[record.id] for record in training_set.records]
        size = decoded_bytes(facts, training_set.heads, bool(training_set.border_weight))
        shared = self.plan.config.training.workers == 0 or multiprocessing.get_start_method() == "fork"
        if size * self.plan.config.devices <= KEPT_BYTES and shared:  # each process keeps its own
            with self.teller.progress("decoding", len(facts)) as advance:
                training_set.keep_in_memory(advance)
            self.teller.tell(f"training images are kept in memory, {size / 2**20:.0f} MiB")

    def _validate(self, network: nn.Module) -> dict[str, float]:
        """The score of the network on the validation part, by the predictor that everybody uses."""
        engine = TorchEngine(network, self.device, self.pipeline.precision)
        predictor = Predictor(engine, self.pipeline, self.dataset.heads)
        found = evaluate_heads(predictor, self.dataset.split("val"), self.dataset.heads, quick=True)
        scores = {head: evaluation.score for head, evaluation in found.items()}
        further = scores if len(scores) > 1 else {}
        return {"score": sum(scores.values()) / len(scores), **{str(head): value for head, value in further.items()}}

    def _keep(self, run: Run, network: nn.Module, scores: Mapping[str, float]) -> None:
        card = ModelCard(
            heads={task: classes.to_dict() for task, classes in self.dataset.heads.items()},
            model=self.model.config.model_dump(mode="json"),
            pipeline=self.pipeline.model_dump(mode="json"),
            data={"name": self.dataset.root.resolve().name, **self.plan.fingerprint},
            scores={"val": {**scores, "metric": self._metric, "images": len(self.dataset.split("val"))}},
            packages=package_versions(),
            licence=self.plan.config.licence,
        )
        tensors = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in network.state_dict().items()}
        save_model_file(run.model_file, tensors, card)

    def _choose_rule(self, run: Run) -> None:
        """Keep in the model file the rule by which its objects are best on the validation part."""
        if not {"detect", "instances"} & self.dataset.heads.keys():
            return
        predictor, records = load(run.model_file, device=str(self.device)), self.dataset.split("val")
        rule = predictor.pipeline.objects
        if "detect" in self.dataset.heads:
            rule, told = choose_box_rule(predictor, rule, records)
            self.teller.tell(told)
        if "instances" in self.dataset.heads:
            rule, told = choose_instance_rule(predictor, rule, records, not self.model.config.finds_objects)
            self.teller.tell(told)
        card, tensors = load_model_file(run.model_file)
        pipeline = {**card.pipeline, "objects": rule.model_dump(mode="json")}
        save_model_file(run.model_file, tensors, card.model_copy(update={"pipeline": pipeline}))

    def _score_test_part(self, run: Run) -> None:
        records = self.dataset.split("test")
        if not records:
            self.teller.tell("no test part: nothing to score; give the data set one with --split")
            return
        predictor = load(run.model_file, device=str(self.device))
        found = score(predictor, records, self.dataset.heads, self.teller)
        write_evaluations(found, run.folder / "evaluation")
        card, tensors = load_model_file(run.model_file)
        main, *others = (
            {name: value for name, value in evaluation.scores.items() if name not in ("examples", "curves")}
            for evaluation in found.values()
        )
        further = {f"test {scores['task']}": scores for scores in others}
        scores = {**card.scores, "test": main, **further}
        save_model_file(run.model_file, tensors, card.model_copy(update={"scores": scores}))
        self.teller.tell(*describe_heads(found, self.dataset.heads))
