"""The plan decides what the user left open, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from segkit.data.fingerprint import fingerprint
from segkit.data.image_io import read_image
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.errors import UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.memory import expected_bytes
from segkit.experiment.plan import Plan, make_plan
from segkit.experiment.plan_training import Crops, balanced_weights, plan_training
from segkit.experiment.speed import seconds_per_step
from segkit.modelfile import ModelCard, save_model_file
from segkit.models.config import ModelConfig, Option
from segkit.models.factory import build_model, create_model
from segkit.structures import TaskName
from segkit.training.config import TrainingConfig
from tests.experiment.conftest import write_tiff_set

CPU = torch.device("cpu")


def plan(data: Path, /, **settings: object) -> Plan:
    config = ExperimentConfig.parse({"path": data, **settings})
    dataset = open_dataset(data, config.data)
    return make_plan(config, dataset, fingerprint(dataset), CPU)


def test_defaults(discs: Path) -> None:
    made = plan(discs)
    assert (made.model.backbone, made.model.decoder, made.model.in_channels, made.model.num_classes) == (
        "plain",
        "unet",
        1,
        2,
    )
    assert made.config.sampling.crop == 64  # images of 48x40: the next multiple of 32 that holds them
    assert made.config.sampling.draws_per_image == 1
    assert made.config.training.batch_size == 4
    assert made.config.training.learning_rate == 3e-3
    assert made.config.training.budget_seconds == 600
    assert made.config.training.precision in ("fp32", "bf16")


def test_the_pipeline_holds_the_training_intensities(discs: Path) -> None:

    made = plan(discs)
    dataset = open_dataset(discs)
    pixels = np.concatenate([read_image(record.image).ravel() for record in dataset.split("train")]) / 255
    assert (made.pipeline.low, made.pipeline.high) == (0, 255)
    assert made.pipeline.mean == pytest.approx((pixels.mean(),))
    assert made.pipeline.std == pytest.approx((pixels.std(),))


def test_what_was_asked_for_stays(discs: Path) -> None:
    training = {"epochs": 3, "batch_size": 2, "learning_rate": 0.01, "precision": "fp32"}
    made = plan(discs, training=training, sampling={"crop": 32}, model={"backbone": "smp/resnet18"})
    assert made.config.training.epochs == 3
    assert made.config.training.budget_seconds is None
    assert (made.config.training.batch_size, made.config.training.learning_rate) == (2, 0.01)
    assert made.config.training.precision == "fp32"
    assert made.config.sampling.crop == 32
    assert made.model.backbone == "smp/resnet18"


def test_other_backbones_learn_more_slowly(discs: Path) -> None:
    assert plan(discs, model={"backbone": "smp/resnet18"}).config.training.learning_rate == 1e-3


def test_imagenet_weights_choose_a_backbone_that_has_them(discs: Path) -> None:
    assert plan(discs, model={"weights": "imagenet"}).model.backbone == "smp/resnet34"


def test_large_crops_are_computed_at_half_resolution_on_a_cpu(discs: Path) -> None:
    made = plan(discs, sampling={"crop": 128}).model
    assert (made.backbone_options, made.decoder_options) == ({"width": 32, "stem_stride": 2}, {"out_stride": 2})
    full = plan(discs, sampling={"crop": 128}, model={"backbone_options": {"stem_stride": 1, "width": 8}}).model
    assert (full.backbone_options, full.decoder_options) == ({"width": 8, "stem_stride": 1}, {"out_stride": 1})
    pattern = {"pattern": "[8] P [16]"}
    assert plan(discs, sampling={"crop": 128}, model={"backbone_options": pattern}).model.backbone_options == pattern
    assert plan(discs).model.backbone_options == {}
    assert plan(discs, sampling={"crop": 128}, model={"backbone": "smp/resnet18"}).model.decoder_options == {}


def test_images_seen_often_are_changed_more(discs: Path) -> None:
    assert plan(discs, training={"epochs": 5}).config.sampling.augment == "light"
    assert plan(discs, training={"epochs": 100}).config.sampling.augment == "standard"

    # 8 crops per pass; 6 per second in fp32: 60 s are 45 passes, 80 s are 60; 20 per second in bf16: 60 s are 150
    def augmentation(seconds: int, precision: str) -> str | None:
        return plan(discs, training={"budget_seconds": seconds, "precision": precision}).config.sampling.augment

    assert augmentation(60, "fp32") == "light"
    assert augmentation(80, "fp32") == "standard"
    assert augmentation(60, "bf16") == "standard"
    assert augmentation(10, "bf16") == "light"
    assert plan(discs, sampling={"augment": "strong"}).config.sampling.augment == "strong"


def test_a_resolved_plan_plans_itself(discs: Path, tmp_path: Path) -> None:
    first = plan(discs)
    first.config.to_yaml(tmp_path / "config.yaml")
    config = ExperimentConfig.from_yaml(tmp_path / "config.yaml")
    dataset = open_dataset(discs, config.data)
    again = make_plan(config, dataset, fingerprint(dataset), CPU)
    assert (again.config, again.model, again.pipeline) == (first.config, first.model, first.pipeline)


def test_classification_takes_no_mask_data(discs: Path) -> None:
    with pytest.raises(UsageError, match=r"--task classify: .* has targets to segment"):
        plan(discs, task="classify")


def test_balanced_weights_by_hand() -> None:
    # 90 and 10 of 100 things in 2 classes: 100 / (2 * 90) and 100 / (2 * 10)
    assert balanced_weights([90, 10]) == pytest.approx((100 / 180, 5.0))


def test_balanced_weights_reach_the_training(discs: Path) -> None:
    weights = plan(discs, training={"class_weights": "balanced"}).config.training.class_weights
    assert isinstance(weights, tuple)
    assert weights[0] < 1 < weights[1]


def test_rare_classes_are_sought(discs: Path) -> None:
    assert plan(discs).config.sampling.foreground_share == 0  # a disc has about 13 % of its image
    assert plan(discs, sampling={"foreground_share": 0.5}).config.sampling.foreground_share == 0.5


def test_a_class_that_training_lacks_is_not_sought(discs: Path) -> None:
    allowed = plan(discs, data={"classes": ("background", "disc", "star"), "allow": ("class-without-training-pixels",)})
    assert allowed.config.sampling.foreground_share == 0
    why = dict(allowed.reasons)["none of the crops around a class drawn at random"]
    assert why == "no class is rare, disc has 13% of the training pixels"


def test_the_speed_is_measured_on_a_copy() -> None:

    torch.manual_seed(3)
    model = create_model(num_classes=2, in_channels=1, backbone_options={"width": 4, "depth": 2})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    assert seconds_per_step(model, (2, 1, 32, 32), CPU, bf16=True) > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    for name, value in (("dark", 50), ("light", 200)):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = np.random.default_rng(number).integers(value - 30, value + 30, (20, 24), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{name}_{number}.png")
    return tmp_path


def test_classification_sees_whole_images_of_one_size(labelled: Path) -> None:
    made = plan(labelled)
    assert (made.model.task, made.model.decoder, made.model.num_classes) == ("classify", None, 2)
    assert made.pipeline.size == (32, 32)
    assert made.config.training.batch_size == 32
    assert made.config.training.loss == "ce"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"decoder": "unet"}}, "to classify there is no decoder; leave out --decoder"),
        ({"model": {"decoder_options": {"upsample": "nearest"}}}, "to classify there is no decoder"),
        ({"training": {"loss": "ce_dice"}}, "--loss ce_dice: Dice compares regions; classification takes ce or focal"),
        ({"sampling": {"foreground_share": 0.5}}, "foreground_share 0.5: classification sees whole images"),
    ],
)
def test_what_classification_would_ignore_is_refused(labelled: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(labelled, **settings)


def test_alexnets_crops_are_in_the_pipeline(labelled: Path) -> None:
    made = plan(labelled, sampling={"augment": "alexnet"})
    assert (made.pipeline.size, made.pipeline.center_crop) == ((256, 256), (224, 224))
    assert made.pipeline.keep_proportions
    assert made.sampling.crop == 224
    smaller = plan(labelled, sampling={"augment": "alexnet", "crop": 28})
    assert (smaller.pipeline.size, smaller.pipeline.center_crop) == ((32, 32), (28, 28))
    plain = plan(labelled).pipeline
    assert (plain.keep_proportions, plain.center_crop) == (False, None)


def test_sgd_has_defaults_of_its_own(labelled: Path) -> None:
    made = plan(labelled, training={"optimizer": "sgd"}).config.training
    assert (made.learning_rate, made.weight_decay, made.momentum) == (0.01, 0.0, 0.9)
    asked = {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4, "momentum": 0.5}
    made = plan(labelled, training=asked).config.training
    assert (made.learning_rate, made.weight_decay, made.momentum) == (0.1, 1e-4, 0.5)
    assert plan(labelled).config.training.weight_decay == 0.01
    with pytest.raises(UsageError, match=r"momentum 0.5: only sgd has it; add --optimizer sgd"):
        plan(labelled, training={"momentum": 0.5})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": {"mixup": 0.2}}, r"--mixup 0.2: it blends whole images, for classification only"),
        ({"sampling": {"augment": "alexnet"}}, r"--augment alexnet: it crops whole images, for classification only"),
    ],
)
def test_what_segmentation_would_ignore_is_refused(discs: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(discs, **settings)


def test_a_resolved_classification_plans_itself(labelled: Path, tmp_path: Path) -> None:
    settings = {"sampling": {"augment": "alexnet"}, "training": {"optimizer": "sgd", "mixup": 0.2}}
    first = plan(labelled, **settings)
    first.config.to_yaml(tmp_path / "config.yaml")
    config = ExperimentConfig.from_yaml(tmp_path / "config.yaml")
    dataset = open_dataset(labelled, config.data)
    again = make_plan(config, dataset, fingerprint(dataset), CPU)
    assert (again.config, again.model, again.pipeline) == (first.config, first.model, first.pipeline)


def saved_network(path: Path, more: dict[str, Option] | None = None, **settings: object) -> str:
    """A model file with the network only, with `more` options of its backbone; its weights do not matter to a plan."""
    # Encoders of smp compute their strides when they are built.
    with torch.device("cpu" if str(settings.get("backbone")).startswith("smp/") else "meta"):
        config = create_model(num_classes=3, in_channels=1, **settings).config  # type: ignore[arg-type]
    model = config.model_dump(mode="json")
    model["backbone_options"] |= more or {}
    card = ModelCard(heads={config.task: {}}, model=model, pipeline={})
    save_model_file(path, {"x": np.zeros(1, np.float32)}, card)
    return str(path)


def test_initial_weights_bring_their_network(discs: Path, tmp_path: Path) -> None:
    """The default network has other widths, so the backbone of a classifier would find no place in it."""
    small = {"width": 4, "depth": 3}
    weights = saved_network(tmp_path / "a.safetensors", task="classify", backbone_options=small)
    made = plan(discs, model={"weights": weights}, sampling={"crop": 128}).model
    assert (made.backbone, made.decoder) == ("plain", "unet")
    assert {name: made.backbone_options[name] for name in ("width", "depth", "stem_stride")} == small | {
        "stem_stride": 1
    }
    assert made.decoder_options["out_stride"] == 1
    asked = plan(discs, model={"weights": weights, "backbone": "smp/resnet18"}).model
    assert (asked.backbone, asked.backbone_options) == ("smp/resnet18", {})


def test_initial_weights_bring_their_decoder(discs: Path, tmp_path: Path) -> None:
    network: dict[str, Any] = {
        "backbone": "smp/resnet18",
        "decoder": "unet",
        "decoder_options": {"upsample": "bilinear"},
    }
    weights = saved_network(tmp_path / "a.safetensors", **network)
    made = plan(discs, model={"weights": weights}).model
    assert (made.backbone, made.decoder, made.decoder_options["upsample"]) == ("smp/resnet18", "unet", "bilinear")


def test_initial_weights_that_find_objects_bring_no_decoder_for_masks(discs: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"decoder_options": {"hidden": 16}, "backbone_options": {"width": 4}}
    weights = saved_network(tmp_path / "a.safetensors", task="instances", decoder="maskrcnn", **options)
    masks = plan(discs, model={"weights": weights}).model
    assert (masks.decoder, masks.decoder_options, masks.backbone_options["width"]) == ("unet", {}, 4)


def test_a_decoder_sets_what_is_its_own_over_a_classifier(discs: Path, tmp_path: Path) -> None:
    """A card holds every option resolved; older cards hold those without effect too."""
    weights = saved_network(
        tmp_path / "a.safetensors",
        {"pooled_maps": False},
        backbone="vgg11",
        task="classify",
        backbone_options={"norm": "group"},
    )
    asked = {"weights": weights, "decoder": "fcn8s"}
    made = plan(discs, model=asked).model
    assert "pooled_maps" not in made.backbone_options, "the decoder's preset"
    assert made.backbone_options["norm"] == "group"
    made = plan(discs, model={**asked, "backbone_options": {"pooled_maps": False}}).model
    assert made.backbone_options["pooled_maps"] is False, "as asked"


def test_what_another_decoder_had_set_is_not_kept(discs: Path, tmp_path: Path) -> None:
    network: dict[str, Any] = {"backbone": "vgg11", "decoder": "fcn8s", "decoder_options": {"hidden": (2, 2)}}
    weights = saved_network(tmp_path / "a.safetensors", **network)
    assert plan(discs, model={"weights": weights}).model.backbone_options["pooled_maps"] is True
    made = plan(discs, model={"weights": weights, "decoder": "unet"}).model
    assert "pooled_maps" not in made.backbone_options, "the maps in front of the pools have the details"


def test_halves_of_one_name_bring_each_other(discs: Path, tmp_path: Path) -> None:
    def parts(**model: str) -> tuple[str, str | None]:
        made = plan(discs, model=model).model
        return made.backbone, made.decoder

    assert parts(backbone="unet2015") == parts(decoder="unet2015") == ("unet2015", "unet2015")
    assert parts(backbone="enet", decoder="unet") == ("enet", "unet")
    plain = saved_network(tmp_path / "plain.safetensors")
    assert parts(backbone="unet2015", weights=plain) == ("unet2015", "unet2015")
    assert parts(decoder="unet2015", weights=plain) == ("unet2015", "unet2015")
    small = {"width": 2, "depth": 2}
    classifier = saved_network(tmp_path / "c.safetensors", backbone="unet2015", task="classify", backbone_options=small)
    assert parts(weights=classifier) == ("unet2015", "unet2015")


def test_options_without_effect_are_refused_where_they_were_given(discs: Path, tmp_path: Path) -> None:
    """Those of the initial weights' network fall away."""
    small = {"width": 4, "depth": 3}
    weights = saved_network(tmp_path / "a.safetensors", {"image_size": 32}, backbone_options=small)
    given = {"weights": weights, "backbone_options": {"pattern": "[4] P [6]"}}
    network = build_model(plan(discs, model=given).model)
    assert network.config.backbone_options.keys() & {"width", "depth", "image_size"} == set()
    with pytest.raises(UsageError, match="backbone plain: option width=8 has no effect: the pattern has the channels"):
        plan(discs, model={**given, "backbone_options": {"pattern": "[4] P [6]", "width": 8}})
    output = saved_network(
        tmp_path / "b.safetensors", backbone="lenet5", task="classify", backbone_options={"output": "rbf"}
    )
    assert build_model(plan(discs, model={"weights": output}).model).config.backbone_options == {"padded": True}


def test_initial_weights_of_others_choose_no_network(discs: Path, tmp_path: Path) -> None:
    save_file({"conv.weight": np.zeros(1, np.float32)}, tmp_path / "foreign.safetensors")
    assert plan(discs, model={"weights": str(tmp_path / "foreign.safetensors")}).model.backbone == "plain"


def test_label_smoothing_is_for_classification(discs: Path, labelled: Path) -> None:
    with pytest.raises(UsageError, match=r"label_smoothing 0.1: it is for classification only"):
        plan(discs, training={"label_smoothing": 0.1})
    assert plan(labelled, training={"label_smoothing": 0.1}).config.training.label_smoothing == 0.1


def reason_of(made: Plan, choice: str) -> str:
    return next(why for said, why in made.reasons if said.startswith(choice))


def test_the_normalization_suits_the_values(discs: Path, tmp_path: Path) -> None:
    assert (plan(discs).pipeline.normalization, plan(discs).config.normalization) == ("8bit", "8bit")
    alike = plan(write_tiff_set(tmp_path / "alike", lambda number: 1 + number / 12))
    assert alike.pipeline.normalization == "percentile"
    assert "they have one scale" in reason_of(alike, "normalization percentile")
    apart = plan(write_tiff_set(tmp_path / "apart", lambda number: 4.0**number))
    assert apart.pipeline.normalization == "zscore"
    assert "more than 10 times: they have no scale in common" in reason_of(apart, "normalization zscore")
    asked = plan(tmp_path / "apart", normalization="percentile")
    assert asked.pipeline.normalization == "percentile"
    assert reason_of(asked, "normalization percentile").startswith("as asked")


def test_8bit_is_refused_for_other_values(tmp_path: Path) -> None:
    data = write_tiff_set(tmp_path, lambda number: 4.0**number)
    with pytest.raises(UsageError, match=r"--normalization 8bit: it is for values from 0 to 255, the training images"):
        plan(data, normalization="8bit")


def test_ct_needs_masks(labelled: Path) -> None:
    with pytest.raises(UsageError, match="--normalization ct: it measures the foreground of masks"):
        plan(labelled, normalization="ct")


def test_channels_keep_their_names(tmp_path: Path) -> None:
    data = write_tiff_set(tmp_path, lambda number: 1.0, channels=4)
    names = ("red", "green", "blue", "nir")
    made = plan(data, data={"channel_names": names})
    assert made.pipeline.channel_names == made.config.data.channel_names == names
    assert plan(data).pipeline.channel_names == ()
    with pytest.raises(UsageError, match="--channel-names red,nir: the images have 4 channels; give each a name"):
        plan(data, data={"channel_names": ("red", "nir")})


def test_small_images_are_predicted_at_the_size_of_the_crops(discs: Path) -> None:
    assert plan(discs).pipeline.smallest == 64
    assert plan(discs, sampling={"crop": 128}).pipeline.smallest == 128


@pytest.mark.parametrize(
    ("side", "per_epoch", "device", "batch"),
    [
        (256, 10_000, "cpu", 4),
        (192, 10_000, "cpu", 4),
        (64, 10_000, "cpu", 8),
        (64, 60, "cpu", 4),  # of 60 crops a batch of 8 would leave 7 steps
        (256, 10_000, "cuda", 16),
        (128, 10_000, "cuda", 64),
        (64, 10_000, "cuda", 128),
        (64, 600, "cuda", 64),
    ],
)
def test_small_crops_make_larger_batches(side: int, per_epoch: int, device: str, batch: int) -> None:
    model = ModelConfig(heads={"segment": 2}, backbone="plain", decoder="unet", in_channels=1)
    given = TrainingConfig(precision="fp32")
    training, _ = plan_training(given, model, {"a": 1, "b": 1}, Crops(side, per_epoch), torch.device(device))
    assert training.batch_size == batch


def test_the_memory_of_a_step_is_said(discs: Path) -> None:
    made = plan(discs, training={"precision": "fp32"})
    said = next(choice for choice, _ in made.reasons if choice.endswith("of memory for a step"))
    outputs, weights = expected_bytes(made.model, 64, 4, "fp32")
    assert said == f"about {(outputs + weights) / 2**20:.0f} MiB of memory for a step"
    assert weights == 5 * 4 * sum(parameter.numel() for parameter in build_model(made.model).parameters())
    assert expected_bytes(made.model, 64, 8, "fp32")[0] == 2 * outputs
    assert expected_bytes(made.model, 64, 4, "bf16")[0] == pytest.approx(outputs / 2, abs=4)
    assert expected_bytes(made.model, 128, 4, "fp32")[0] == pytest.approx(4 * outputs, rel=0.01)


def test_a_batch_that_does_not_fit_is_halved_unless_it_was_asked_for(
    discs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, weights = expected_bytes(plan(discs).model, 64, 1, "fp32")
    monkeypatch.setattr("segkit.experiment.memory.available_bytes", lambda device: (2.5 * outputs + weights) / 0.8)
    made = plan(discs, training={"precision": "fp32"})
    assert made.config.training.batch_size == 2
    assert any("with batches of 2 in place of 4" in choice for choice, _ in made.reasons)
    asked = plan(discs, training={"precision": "fp32", "batch_size": 4})
    assert asked.config.training.batch_size == 4
    assert any("which may not fit" in choice for choice, _ in asked.reasons)


def test_no_class_weights_are_planned_and_why_is_said(discs: Path) -> None:
    made = plan(discs)
    assert made.config.training.class_weights is None
    assert "the Dice half of the loss counts classes alike" in reason_of(made, "no class weights")
    assert plan(discs, training={"class_weights": "balanced"}).config.training.class_weights is not None


@pytest.mark.parametrize(("side", "stem_stride"), [(40, 4), (20, 2)])
def test_boxes_of_large_objects_are_learnt_at_a_quarter_of_the_resolution(
    tmp_path: Path, side: int, stem_stride: int
) -> None:
    (tmp_path / "images").mkdir()
    rows = ["image,class,x_min,y_min,x_max,y_max"]
    generator = np.random.default_rng(0)
    for number in range(20):
        pixels = generator.integers(0, 255, (128, 128), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        rows.append(f"images/{number}.png,cell,10,10,{10 + side},{10 + side}")
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    config = ExperimentConfig.parse({"path": tmp_path, "task": "detect"})
    dataset = open_dataset(tmp_path, task="detect")
    made = make_plan(config, dataset, fingerprint(dataset), CPU)
    assert made.model.backbone_options["stem_stride"] == stem_stride
    assert any("a quarter of the image's size" in choice for choice, _ in made.reasons) == (stem_stride == 4)


def test_labels_count_little_beside_masks(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample", count=8, size=64)

    def weights(**training: object) -> dict[TaskName, float]:
        heads: tuple[TaskName, ...] = ("segment", "classify")
        config = ExperimentConfig.parse({"path": tmp_path / "sample", "heads": heads, "training": training})
        dataset = open_dataset(tmp_path / "sample", heads=heads)
        return make_plan(config, dataset, fingerprint(dataset), CPU).config.training.head_weights

    assert weights() == {"classify": 0.05}
    assert weights(head_weights={"segment": 2.0}) == {"classify": 0.05, "segment": 2.0}
    assert weights(head_weights={"classify": 1.0}) == {"classify": 1.0}
