"""Mask R-CNN over segkit's backbones against torchvision's, and what it promises beside."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor

from segkit.errors import UsageError
from segkit.models.complexity import measure_complexity
from segkit.models.config import ModelConfig, Option
from segkit.models.factory import build_model, create_model
from segkit.models.heads.maskrcnn import MaskRcnnHead
from segkit.models.model import Model
from segkit.ops.sizes import pad_mirrored, padding_to_multiple
from segkit.structures import TaskName
from tests.models.test_contracts import (
    BACKBONE_CLASSES,
    VALID_BACKBONES,
    random_images,
    saved_and_built_again,
    with_margin,
)

SMALL: dict[str, Option] = {"width": 4, "depth": 4, "stem_stride": 2}
SMALL_HEAD: dict[str, Option] = {"channels": 8, "hidden": 16, "proposals": 40, "regions": 16}
CLASSES, SIZE = 3, (96, 64)


def small_model() -> Model:
    """With maps of strides 4, 8 and 16, one pooled, and weights from which scores and boxes differ."""
    torch.manual_seed(0)
    model = create_model(
        None,
        "maskrcnn",
        task="instances",
        num_classes=CLASSES,
        in_channels=1,
        backbone_options=SMALL,
        decoder_options=SMALL_HEAD,
    )
    for layer in (head_of(model).rpn.head.cls_logits, head_of(model).rpn.head.bbox_pred):
        nn.init.normal_(layer.weight, std=0.3)
    nn.init.normal_(head_of(model).roi_heads.box_predictor.cls_score.weight, std=1.0)
    return model


def head_of(model: Model) -> MaskRcnnHead:
    head = model.heads["instances"]
    assert isinstance(head, MaskRcnnHead)
    return head


class Maps(nn.Module):
    """The backbone and pyramid of a model as torchvision wants them."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, head_of(model)
        self.out_channels = int(SMALL_HEAD["channels"])  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        maps = self.backbone(images).maps
        levels = enumerate(self.head.indices)
        return self.head.pyramid(OrderedDict((str(level), maps[index]) for level, index in levels))


def torchvisions(model: Model) -> MaskRCNN:
    """torchvision's Mask R-CNN on the maps of the model, with weights of its own, which the model then is given."""
    channels, hidden, proposals = 8, 16, 40
    theirs = MaskRCNN(
        Maps(model),
        min_size=min(SIZE),
        image_mean=[0.0],
        image_std=[1.0],
        rpn_anchor_generator=AnchorGenerator(((16,), (32,), (64,), (128,)), ((0.5, 1.0, 2.0),) * 4),
        **{f"rpn_{when}_nms_top_n_{part}": proposals for when in ("pre", "post") for part in ("train", "test")},
        box_head=TwoMLPHead(channels * 7 * 7, hidden),
        box_predictor=FastRCNNPredictor(hidden, CLASSES),
        box_detections_per_img=300,
        box_batch_size_per_image=16,
        mask_head=MaskRCNNHeads(channels, (channels, channels), 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, CLASSES),
    )
    theirs.rpn.head.load_state_dict(head_of(model).rpn.head.state_dict())
    nn.init.normal_(theirs.roi_heads.box_predictor.cls_score.weight, std=1.0)
    head_of(model).roi_heads.load_state_dict(theirs.roi_heads.state_dict())
    return theirs


def test_objects_equal_torchvisions() -> None:
    model = small_model().eval()
    theirs, image = torchvisions(model).eval(), random_images(1, SIZE)
    with torch.inference_mode():
        ours = model(image)
        (whole,) = theirs([image[0]])
        features = theirs.backbone(image)
        proposals, _ = theirs.rpn(ImageList(image, [SIZE]), features)
        (found,), _ = theirs.roi_heads(features, proposals, [SIZE])
    assert len(found["boxes"]) > 10
    assert set(found["labels"].tolist()) == {1, 2}
    for name, expected in {**found, "masks": found["masks"][:, 0]}.items():
        torch.testing.assert_close(ours[f"instances/{name}"], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours["instances/boxes"], whole["boxes"], rtol=1e-5, atol=1e-5)


def test_proposals_equal_torchvisions() -> None:
    model = small_model().train()
    theirs, images = torchvisions(model).train(), random_images(1, SIZE, count=2)
    targets = [{"boxes": torch.tensor([[4.0, 4, 30, 40]])}] * 2
    with torch.no_grad():
        ours = model(images)["instances/proposals"]
        proposals, _ = theirs.rpn(ImageList(images, [SIZE] * 2), theirs.backbone(images), targets)
    assert ours[:, 0].tolist() == [0.0] * len(proposals[0]) + [1.0] * len(proposals[1])
    torch.testing.assert_close(ours[:, 1:], torch.cat(proposals), rtol=1e-5, atol=1e-4)


def test_objects_of_a_padded_image_are_in_its_own_pixels() -> None:
    model = small_model().eval()
    image = random_images(1, (50, 41))
    padding = padding_to_multiple(50, 41, model.stride_multiple)
    assert padding == (7, 7, 3, 4)
    mirrored = torch.from_numpy(pad_mirrored(image[0].numpy(), padding))[None]
    with torch.inference_mode():
        ours, padded = model(image), model(mirrored)
    shift = torch.tensor([3.0, 7, 3, 7])
    torch.testing.assert_close(ours["instances/boxes"], padded["instances/boxes"] - shift)
    assert torch.equal(ours["instances/masks"], padded["instances/masks"])
    assert model.train()(image.expand(2, -1, -1, -1))["instances/padding"].tolist() == [3, 4, 7, 7]


def test_in_bfloat16_boxes_are_exact_to_a_fraction_of_a_pixel() -> None:
    model = small_model().train()
    images = random_images(1, (64, 512))  # bfloat16 counts in steps of two pixels here
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = model(images)
    assert outputs["instances/pyramid_0"].dtype == torch.bfloat16
    anchors, proposals = outputs["instances/anchors"], outputs["instances/proposals"]
    assert anchors.dtype == proposals.dtype == torch.float32
    assert ((anchors[:, 0] + anchors[:, 2]) / 2).unique().tolist() == list(range(0, 512, 4))
    assert (proposals[:, 1:] % 1 != 0).any()


def test_a_saved_network_built_again_gives_the_same_objects(tmp_path: Path) -> None:
    model = small_model().eval()
    again = saved_and_built_again(model, tmp_path / "weights.safetensors")
    image = random_images(1, (50, 70))
    with torch.inference_mode():
        outputs, expected = again(image), model(image)
    assert len(expected["instances/boxes"])
    assert all(torch.equal(outputs[name], expected[name]) for name in expected)


@pytest.mark.parametrize("backbone", [name for name in BACKBONE_CLASSES if name not in VALID_BACKBONES])
def test_every_backbone_feeds_it(backbone: str) -> None:
    with torch.device("cpu" if backbone == "smp/mit_b0" else "meta"):
        model = create_model(backbone, "maskrcnn", task="instances", num_classes=2).to("meta").eval()
    outputs = model(torch.zeros(1, 3, *with_margin(model, 97, 70), device="meta"))
    assert {name: tuple(found.shape) for name, found in outputs.items()} == {
        "instances/boxes": (300, 4),
        "instances/labels": (300,),
        "instances/scores": (300,),
        "instances/masks": (300, 28, 28),
    }
    strides = head_of(model).strides
    assert list(strides[:-1]) == [s for s in dict.fromkeys(spec.stride for spec in model.backbone.specs) if s >= 4][:4]
    assert head_of(model).rpn.anchor_generator.sizes == tuple((4 * stride,) for stride in strides)


def test_costs_are_those_of_as_many_regions_as_there_can_be() -> None:
    model = small_model().eval()
    layers = {layer.name: layer for layer in measure_complexity(model, 1, SIZE).layers}
    prefix = "heads.instances.roi_heads"
    assert layers[f"{prefix}.box_head.fc6"].multiply_adds == 40 * 8 * 7 * 7 * 16
    assert layers[f"{prefix}.mask_head.0.0"].multiply_adds == 300 * 14 * 14 * 8 * 8 * 9
    assert measure_complexity(model, 1, SIZE).not_run == 0


def test_an_image_without_objects_gives_none() -> None:
    model = small_model().eval()
    nn.init.zeros_(head_of(model).roi_heads.box_predictor.cls_score.weight)
    nn.init.constant_(head_of(model).roi_heads.box_predictor.cls_score.bias, 0.0)
    head_of(model).roi_heads.box_predictor.cls_score.bias.data[0] = 20.0
    with torch.inference_mode():
        outputs = model(random_images(1, SIZE))
    assert {name: tuple(found.shape) for name, found in outputs.items()} == {
        "instances/boxes": (0, 4),
        "instances/labels": (0,),
        "instances/scores": (0,),
        "instances/masks": (0, 28, 28),
    }


def test_anchors_are_those_asked_for() -> None:
    options: dict[str, Option] = {**SMALL_HEAD, "finest_stride": 8, "levels": 1, "anchor_sizes": (20, 50)}
    model = create_model(
        None, "maskrcnn", task="instances", num_classes=2, backbone_options=SMALL, decoder_options=options
    )
    assert head_of(model).strides == (8, 16)
    with torch.no_grad():
        anchors = model.train()(torch.zeros(1, 3, 32, 32))["instances/anchors"]
    assert anchors.shape == (3 * (4 * 4 + 2 * 2), 4)
    assert anchors[1].tolist() == [-10, -10, 10, 10]
    again = build_model(ModelConfig.parse(model.config.model_dump(mode="json")))
    assert head_of(again).rpn.anchor_generator.sizes == ((20,), (50,))


def test_what_does_not_fit_is_refused() -> None:
    def create(backbone: str = "plain", heads: dict[TaskName, int] | None = None, **options: Option) -> Model:
        return create_model(backbone, "maskrcnn", heads=heads or {"instances": 2}, decoder_options=options)

    with pytest.raises(UsageError, match=r"maskrcnn finds objects one by one, for --task instances alone; to segment "):
        create(heads={"segment": 2})
    with pytest.raises(UsageError, match="to instances and classify take another, such as unet"):
        create(heads={"instances": 2, "classify": 2})
    with pytest.raises(UsageError, match=r"maps of strides 1, 2, 4 and decoder maskrcnn reads .* finest_stride=4"):
        create("lenet5", finest_stride=8)
    with pytest.raises(UsageError, match=r"backbone unet2015 lack their borders .*take another backbone"):
        create("unet2015")
    with pytest.raises(UsageError, match=r"anchor_sizes=8x16 is not one .* strides 4, 8, 16, 32; give 4, as 16x32x64"):
        create(anchor_sizes=(8, 16))
    with pytest.raises(UsageError, match="decoder maskrcnn has no option 'upsample'"):
        create(upsample="bilinear")
    with pytest.raises(UsageError, match="objects are found in one image at a time; the batch has 2"):
        small_model().eval()(random_images(1, SIZE, count=2))
