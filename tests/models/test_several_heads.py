"""Networks of several heads: one pass of the backbone, every head's outputs, any size."""

from __future__ import annotations

import re
from math import ceil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segkit.errors import ConfigError, UsageError
from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.heads.detect import DetectHead
from segkit.models.model import Model
from segkit.models.weights import load_weights
from segkit.ops.sizes import padding_to_multiple
from segkit.structures import TaskName
from tests.models.test_contracts import (
    BACKBONE_CLASSES,
    MAP_DECODERS,
    VALID_BACKBONES,
    backbone_of,
    random_images,
    saved_and_built_again,
)

ALL: dict[TaskName, int] = {"segment": 3, "instances": 2, "detect": 2, "classify": 4}
SMALL: dict[str, Option] = {"width": 4, "depth": 4, "stem_stride": 2}
SMALL_HEAD: dict[str, Option] = {"channels": 64, "convolutions": 1}
COARSEST_4 = {"highway19", "lenet", "lenet5", "nin"}


def small_model(heads: dict[TaskName, int]) -> Model:
    torch.manual_seed(0)
    options = SMALL_HEAD if "detect" in heads else None
    return create_model(heads=heads, in_channels=1, backbone_options=SMALL, detect_options=options)


@pytest.mark.parametrize("backbone", [name for name in BACKBONE_CLASSES if name not in VALID_BACKBONES])
def test_every_backbone_feeds_all_heads_in_one_pass(backbone: str) -> None:
    device = "cpu" if backbone == "smp/mit_b0" else "meta"
    finest = 4 if backbone in COARSEST_4 else 8
    with torch.device(device):
        model = create_model(backbone, "unet", heads=ALL, detect_options={"finest_stride": finest}).eval()
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        outputs = model(torch.zeros(1, 3, 97, 70, device=device))
    assert calls == [1]
    detect = model.heads["detect"]
    assert isinstance(detect, DetectHead)
    assert len(detect.strides) == 4
    padding = padding_to_multiple(97, 70, model.stride_multiple, model.smallest_image)
    height, width = 97 + padding[0] + padding[1], 70 + padding[2] + padding[3]
    places = sum(ceil(height / stride) * ceil(width / stride) for stride in detect.strides)
    assert {name: tuple(found.shape) for name, found in outputs.items()} == {
        "segment": (1, 3, 97, 70),
        "instances": (1, 3, 97, 70),
        "detect": (1, places, 2),
        "detect/boxes": (1, places, 4),
        "detect/centerness": (1, places),
        "classify": (1, 4),
    }


@pytest.mark.parametrize("decoder", [name for name in MAP_DECODERS if name not in VALID_BACKBONES])
def test_every_decoder_serves_objects_beside_boxes(decoder: str) -> None:
    with torch.device("meta"):
        heads: dict[TaskName, int] = {"instances": 2, "detect": 1}
        model = create_model(backbone_of(decoder), decoder, heads=heads).eval()
        outputs = model(torch.zeros(1, 3, 37, 53))
    assert outputs["instances"].shape == (1, 3, 37, 53)
    assert outputs["detect"].shape[2] == 1


def test_side_classifiers_train_only_where_a_head_classifies() -> None:
    with torch.device("meta"):
        images = torch.zeros(2, 3, 224, 224)
        both = create_model("googlenet_tv", heads={"detect": 2, "classify": 3}).train()(images)
        alone = create_model("googlenet_tv", heads={"detect": 2}).train()(images)
    assert {name for name in both if "auxiliary" in name} == {"classify/auxiliary_1", "classify/auxiliary_2"}
    assert set(alone) == {"detect", "detect/boxes", "detect/centerness", "detect/places"}


@pytest.mark.parametrize("heads", [{"detect": 2}, ALL, {"segment": 3, "detect": 2, "classify": 4}])
def test_a_saved_network_built_again_gives_the_same_outputs(heads: dict[TaskName, int], tmp_path: Path) -> None:
    model = small_model(heads).eval()
    again = saved_and_built_again(model, tmp_path / "weights.safetensors")
    images = random_images(1, (50, 70))
    with torch.inference_mode():
        outputs, expected = again(images), model(images)
    assert outputs.keys() == expected.keys()
    assert all(torch.equal(outputs[name], expected[name]) for name in expected)


def test_heads_do_not_change_what_others_give() -> None:
    """The logits of a mask are those of the network that has no other head."""
    several = small_model(ALL).eval()
    alone = small_model({"segment": 3}).eval()
    alone.load_state_dict(several.state_dict(), strict=False)
    images = random_images(1, (50, 70))
    with torch.inference_mode():
        assert torch.equal(several(images)["segment"], alone(images)["segment"])


def test_weights_of_a_network_with_one_head_start_one_with_more(tmp_path: Path) -> None:
    alone, several = small_model({"segment": 3}), small_model({"segment": 3, "detect": 2})
    save_file(alone.state_dict(), tmp_path / "mask.safetensors")
    report = load_weights(several, tmp_path / "mask.safetensors")
    assert {name for name in report.new if not name.startswith("heads.detect.")} == set()
    assert report.unused == ()
    assert re.search(r"new: heads\.detect \(\d+\)$", report.describe())
    assert all(torch.equal(several.state_dict()[name], weight) for name, weight in alone.state_dict().items())
    other = small_model({"segment": 5, "detect": 2})
    assert "not used: heads.segment (2)" in load_weights(other, tmp_path / "mask.safetensors").describe()


def test_an_exported_graph_of_all_heads_is_right_at_sizes_it_was_not_traced_with() -> None:
    model = small_model(ALL).eval()
    multiple = model.stride_multiple
    # A map of one cell is another graph to torch: the coarsest, of stride 64, has two from here on.
    height, width = (multiple * torch.export.Dim(name, min=5, max=64) for name in ("rows", "columns"))
    traced = random_images(1, (6 * multiple, 7 * multiple))
    graph = torch.export.export(model, (traced,), dynamic_shapes=({2: height, 3: width},)).module()
    for size in ((5 * multiple, 8 * multiple), (9 * multiple, 6 * multiple)):
        images = random_images(1, size)
        torch.testing.assert_close(graph(images), model(images))


def test_gradients_reach_every_head_and_the_backbone() -> None:
    model = small_model(ALL).train()
    sum(found.float().mean() for found in model(torch.rand(2, 1, 64, 64)).values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_places_and_boxes_are_in_pixels_of_the_image_whatever_was_padded() -> None:
    torch.manual_seed(0)
    model = create_model(task="detect", num_classes=2, in_channels=1, backbone_options={"width": 8}).train()
    outputs = model(torch.rand(2, 1, 50, 40))  # mirrored to 64 x 48: 7 rows and 4 columns at either side
    finest = outputs["detect/places"][: 8 * 6, :2]
    assert finest[0].tolist() == [4 - 4, 4 - 7]
    assert finest[-1].tolist() == [44 - 4, 60 - 7]
    middles = (outputs["detect/boxes"][:, :, :2] + outputs["detect/boxes"][:, :, 2:]) / 2
    assert (middles[:, : 8 * 6] - finest).abs().max() < 8


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"maps of strides 1, 2, 4.*finest_stride=4"):
        create_model(backbone="lenet5", task="detect", num_classes=2, in_channels=1)
    with pytest.raises(
        UsageError, match=r"backbone unet2015 lack their borders .*take another backbone, such as plain"
    ):
        create_model("unet2015", heads={"segment": 2, "detect": 2})
    with pytest.raises(ConfigError, match="segment and classify finds no boxes; leave out 'detect_options'"):
        create_model(heads={"segment": 2, "classify": 2}, detect_options={"levels": 3})
    with pytest.raises(UsageError, match=r"dropout=0\.3 has no effect: it is for --task classify"):
        create_model("vgg11", task="detect", num_classes=2, backbone_options={"dropout": 0.3})
    with pytest.raises(UsageError, match="gives logits of one head"):
        create_model(backbone="vgg16", decoder="fcn8s", heads={"segment": 2, "instances": 2})
    with pytest.raises(UsageError, match="num_classes for one task, or heads"):
        create_model(backbone="resnet18")
    for channels in (32, 80):  # groups of one channel, and of two and a half
        with pytest.raises(UsageError, match=f"channels={channels} is not allowed"):
            create_model(task="detect", num_classes=2, detect_options={"channels": channels})
