"""What a user may ask to have described."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.errors import UsageError
from segkit.explanation.describe import describe
from segkit.explanation.table import layer_cells, short_bytes, short_count, summary
from tests.explanation.networks import write_image
from tests.inference.test_loading import save


@pytest.mark.parametrize(
    ("name", "task", "size"),
    [
        ("resnet18", "classify", 224),
        ("lenet5", "classify", 32),
        ("alexnet", "classify", 227),
        ("vgg11+unet", "segment", 224),
    ],
)
def test_defaults_follow_from_the_name(name: str, task: str, size: int) -> None:
    found = describe(name)
    assert (found.config.task, found.complexity.size) == (task, (size, size))
    assert found.config.num_classes == (1000 if task == "classify" else 2)


def test_networks_of_other_libraries_with_decoders_that_have_skips() -> None:
    found = describe("smp/resnet18+smp/unet", size=128, classes=4, channels=1)
    assert found.complexity.layers[-1].output == (4, 128, 128)
    # The skips join maps of one stride, so that no field is unknown.
    assert all(layer.field or layer.sees_whole_image for layer in found.complexity.layers)
    assert found.to_dict()["totals"]["parameters"] == found.complexity.parameters


def test_a_head_of_boxes_has_a_line_for_every_level_it_reads() -> None:
    found = describe("resnet18", task="detect", classes=3, size=256)
    scores = [layer for layer in found.complexity.layers if layer.name.endswith("cls_logits")]
    # Maps of strides 8, 16, 32 and 64, all read by the same filters.
    assert [layer.output for layer in scores] == [(3, 32, 32), (3, 16, 16), (3, 8, 8), (3, 4, 4)]
    assert [layer.jump for layer in scores] == [(8, 8), (16, 16), (32, 32), (64, 64)]
    assert [layer.parameters for layer in scores] == [3 * (64 * 9 + 1), 0, 0, 0]
    assert found.complexity.layers[-1].output == (32**2 + 16**2 + 8**2 + 4**2, 4)
    assert found.complexity.not_run == 0


def test_of_objects_the_border_is_a_class_of_its_own() -> None:
    assert describe("plain", task="instances", classes=2, size=64).complexity.layers[-1].output == (3, 64, 64)


def test_options_reach_the_parts() -> None:
    small = describe("plain+unet", backbone_options={"width": 4}, decoder_options={"upsample": "nearest"}, size=64)
    assert small.config.backbone_options["width"] == 4
    assert small.complexity.layers[-1].output == (2, 64, 64)


def test_options_without_effect_are_refused() -> None:
    with pytest.raises(UsageError, match=r"lenet5: option output=rbf has no effect: it is for --task classify"):
        describe("lenet5+unet", backbone_options={"output": "rbf"})


def test_a_model_file_and_an_image(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save(model)
    plain = describe(str(model), size=64)
    assert plain.config.num_classes == 3
    assert plain.effective == ()
    assert "normalization: 8bit, stored values 0 to 255 become 0 to 1" in "\n".join(summary(plain))
    assert plain.to_dict()["pipeline"]["normalization"] == "8bit"
    found = describe(str(model), image=write_image(tmp_path / "image.png"))
    assert found.complexity.size == (64, 64)
    assert [field.name for field in found.effective] == ["map 1", "map 2", "map 3", "map 4", "map 5", "logits"]
    assert "effective receptive field of map 1" in "\n".join(summary(found))
    assert len(found.to_dict()["effective_fields"]) == 6
    assert found.pipeline == plain.pipeline
    assert describe("lenet5").pipeline is None


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save(model)
    image = write_image(tmp_path / "image.png")
    with pytest.raises(UsageError, match=r"unknown backbone 'resnet19'.* Did you mean 'resnet1"):
        describe("resnet19")
    with pytest.raises(UsageError, match="--image needs trained weights, and resnet18 has none"):
        describe("resnet18", image=image)
    with pytest.raises(UsageError, match="is a trained model, so its --classes is settled; leave it out"):
        describe(str(model), classes=3)
    with pytest.raises(UsageError, match="give either '--size' or '--image'"):
        describe(str(model), size=64, image=image)


def test_cells() -> None:
    layer = describe("vgg11").complexity.layers[0]
    named = next(layer for layer in describe("vgg11").complexity.layers if layer.kind == "Conv2d")
    assert layer_cells(named)[2:7] == ("64 x 224 x 224", "3", "1", "1", "1,792")
    assert layer.name.startswith("backbone")
    assert (short_count(999), short_count(112_896_000), short_count(15_470_264_320)) == ("999", "112.9 M", "15.47 G")
    assert (short_bytes(512), short_bytes(3 * 2**20), short_bytes(0)) == ("0.5 KiB", "3.0 MiB", "")


def test_a_model_file_is_described_at_the_size_its_network_sees(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save(model, size=(40, 40), center_crop=(32, 32))
    assert describe(str(model)).complexity.size == (32, 32)
    save(model, size=(48, 64))
    assert describe(str(model)).complexity.size == (48, 64)


def test_a_folder_called_like_a_backbone_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("vgg11", "resnet18", "results"):
        Path(folder).mkdir()
    save(Path("resnet18/model.safetensors"))
    assert describe("vgg11", size=32).config.backbone == "vgg11"
    assert describe("resnet18", size=32).config.backbone == "plain"  # a run, named by its folder
    with pytest.raises(UsageError, match=r"the folder results has no model.safetensors"):
        describe("results")
