"""The losses of Mask R-CNN against torchvision's, what does not count, and learning by heart."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import roi_heads
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align

from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.metrics.instances import object_sums, pair_objects, precision_at_half
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.ops.boxes import boxes_of_ids
from segkit.structures import IGNORE_INDEX, ClassMap, Instances
from segkit.tasks import MaskRcnnTask
from segkit.tasks.maskrcnn import Regions, Target, _mask_targets, _not_counted
from tests.inference.networks import plain_pipeline
from tests.models.test_maskrcnn import head_of, small_model, torchvisions

SIZE = (96, 64)


def batch_of(instances: list[Instances], images: Tensor) -> dict[str, Tensor]:
    """A batch as the loader makes it."""
    longest = max(len(one.labels) for one in instances)
    boxes, labels = torch.zeros(len(instances), longest, 4), torch.full((len(instances), longest), IGNORE_INDEX)
    for row, one in enumerate(instances):
        count = len(one.labels)
        boxes[row, :count] = torch.from_numpy(boxes_of_ids(one.ids, count))
        labels[row, :count] = torch.from_numpy(one.labels)
    ids = torch.from_numpy(np.stack([one.ids for one in instances])).long()
    return {"image": images, "instances": ids, "boxes": boxes, "box_label": labels}


def discs(seed: int, count: int = 4, size: tuple[int, int] = SIZE, classes: int = 2) -> Instances:
    """Discs of radius 6 to 10 that do not touch, on a grid, so that `count` is at most 4."""
    generator = np.random.default_rng(seed)
    ids = np.zeros(size, np.int32)
    y, x = np.mgrid[: size[0], : size[1]]
    for number in range(count):
        row, column = ((np.array(divmod(number, 2)) + 0.5) * np.array(size) / 2 + generator.integers(-4, 5, 2)).tolist()
        ids[(y - row) ** 2 + (x - column) ** 2 < generator.integers(6, 11) ** 2] = number + 1
    return Instances(ids, generator.integers(1, classes + 1, count))


def image_of(instances: Instances, seed: int) -> NDArray[np.uint8]:
    """Brightness tells objects, and their class, on noise."""
    level = np.concatenate([[60], 120 + 60 * (instances.labels - 1)])[instances.ids.clip(0)]
    noise = np.random.default_rng(seed).normal(0, 10, level.shape)
    return (level + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(2))
def test_losses_equal_torchvisions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # The one departure: cells of masks lie where they are pasted, not half a pixel beside.
    monkeypatch.setattr(roi_heads, "roi_align", partial(roi_align, aligned=True))
    model = small_model().train()
    theirs = torchvisions(model).train()
    instances = [discs(seed), discs(seed + 10, 2), discs(0, 0)]
    images = torch.rand(3, 1, *SIZE, generator=torch.Generator().manual_seed(seed))
    batch = batch_of(instances, images)
    targets = [
        {
            "boxes": batch["boxes"][i, : len(one.labels)],
            "labels": batch["box_label"][i, : len(one.labels)],
            "masks": (batch["instances"][i] == torch.arange(1, len(one.labels) + 1)[:, None, None]).to(torch.uint8),
        }
        for i, one in enumerate(instances)
    ]
    torch.manual_seed(seed)
    found = MaskRcnnTask(head_of(model)).loss(model(images), batch)
    torch.manual_seed(seed)
    features = theirs.backbone(images)
    proposals, first = theirs.rpn(ImageList(images, [SIZE] * 3), features, targets)
    _, second = theirs.roi_heads(features, proposals, [SIZE] * 3, targets)
    for ours, other in {
        "anchor_loss": first["loss_objectness"],
        "anchor_box_loss": first["loss_rpn_box_reg"],
        "class_loss": second["loss_classifier"],
        "box_loss": second["loss_box_reg"],
        "mask_loss": second["loss_mask"],
    }.items():
        torch.testing.assert_close(found[ours], other, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["loss"], sum({**first, **second}.values()), rtol=1e-5, atol=1e-6)


def test_the_head_belongs_to_the_network_alone() -> None:
    task = MaskRcnnTask(head_of(small_model()))
    assert list(task.parameters()) == []
    assert task.state_dict() == {}


def test_boxes_that_do_not_count_by_hand() -> None:
    ids = torch.zeros(10, 20, dtype=torch.int64)
    ids[:, 10:] = IGNORE_INDEX
    boxes = [
        [0, 0, 8, 8],
        [8, 0, 12, 8],
        [9, 0, 13, 8],
        [7, 0, 13, 8],
        [-40, 2, 21, 8],
        [14, -9, 30, 3],
        [30, 0, 40, 9],
    ]
    # Half of the second and of the fourth counts, and of the fifth, of which only what lies in the image is asked.
    expected = [False, False, True, False, False, True, False]
    assert _not_counted(torch.tensor(boxes, dtype=torch.float32), ids).tolist() == expected


def test_masks_by_hand_lie_where_they_are_pasted_and_leave_out_what_does_not_count() -> None:
    ids = torch.zeros(12, 12, dtype=torch.int64)
    ids[2:10, 2:6], ids[2:10, 6:8], ids[2:10, 8:10] = 2, IGNORE_INDEX, 1
    target = Target(torch.tensor([[8.0, 2, 10, 10], [2, 2, 6, 10]]), torch.tensor([1, 1]), ids)
    region = Regions(torch.tensor([[2.0, 2, 10, 10]]), torch.tensor([1]), torch.tensor([1]))
    shares, counted = _mask_targets([region], [target], 8)  # a cell of a pixel
    assert torch.equal(shares[0], (ids[2:10, 2:10] == 2).float())
    assert torch.equal(counted[0], (ids[2:10, 2:10] != IGNORE_INDEX).float())


@pytest.mark.parametrize("size", [(64, 64), (50, 41)])  # beyond 50 x 41 the network sees a mirror image
def test_where_nothing_counts_the_loss_is_zero_and_gradients_are(size: tuple[int, int]) -> None:
    model = small_model().train()
    nothing = Instances(np.full(size, IGNORE_INDEX, np.int32), np.empty(0, np.int64))
    batch = batch_of([nothing, nothing], torch.rand(2, 1, *size))
    found = MaskRcnnTask(head_of(model)).loss(model(batch["image"]), batch)
    assert {name: loss.item() for name, loss in found.items()} == dict.fromkeys(found, 0.0)
    found["loss"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_what_does_not_count_is_drawn_neither_as_object_nor_as_background() -> None:
    """With all anchors and regions drawn, only those that count, or fit an object, have a gradient."""
    model = small_model().train()
    head = head_of(model)
    for sampler in (head.rpn.fg_bg_sampler, head.roi_heads.fg_bg_sampler):
        sampler.batch_size_per_image = 10**6
    instances = discs(3)
    instances.ids[:, 32:] = IGNORE_INDEX  # with them two of the four discs
    left = Instances(np.where(instances.ids == 3, 2, instances.ids).astype(np.int32), instances.labels[[0, 2]])
    batch = batch_of([left], torch.rand(1, 1, *SIZE))
    outputs = model(batch["image"])
    outputs["instances/objectness"].retain_grad()
    MaskRcnnTask(head).loss(outputs, batch)["loss"].backward()
    taught = outputs["instances/objectness"].grad[0] != 0
    middle = outputs["instances/anchors"][:, [0, 2]].clamp(0, SIZE[1]).mean(dim=1)
    assert taught[middle < 24].float().mean() > 0.9
    assert not taught[middle > 40].any()


def test_targets_move_with_what_the_network_mirrors_on() -> None:
    """An image that is no multiple of the stride teaches what its mirrored copy, not counted outside, does."""
    model = small_model().train()
    instances, image = discs(5, size=(50, 41)), torch.rand(1, 1, 50, 41)
    task, batch = MaskRcnnTask(head_of(model)), batch_of([instances], image)
    torch.manual_seed(0)
    found = task.loss(model(image), batch)
    around = ((7, 7), (3, 4))
    seen = torch.from_numpy(np.pad(image[0, 0].numpy(), around, mode="reflect"))[None, None]
    wider = Instances(np.pad(instances.ids, around, constant_values=IGNORE_INDEX), instances.labels)
    torch.manual_seed(0)
    expected = task.loss(model(seen), batch_of([wider], seen))
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss)


def test_losses_in_bfloat16_are_close_and_everything_learns() -> None:
    model = small_model().train()
    batch = batch_of([discs(1), discs(2)], torch.rand(2, 1, *SIZE))
    with torch.autocast("cpu", torch.bfloat16):
        found = MaskRcnnTask(head_of(model)).loss(model(batch["image"]), batch)
    assert {loss.dtype for loss in found.values()} == {torch.float32}
    found["loss"].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    idle = [name for name, p in model.named_parameters() if not (p.grad.any() or name.endswith("bias"))]  # type: ignore[union-attr]
    assert idle == []


@pytest.fixture(scope="module")
def learnt() -> tuple[Model, list[Instances], list[NDArray[np.uint8]]]:
    """A network that has seen four images until it knew them."""
    torch.manual_seed(0)
    model = create_model(
        None,
        "maskrcnn",
        task="instances",
        num_classes=3,
        in_channels=1,
        backbone_options={"width": 8, "depth": 4, "stem_stride": 2},
        decoder_options={"channels": 16, "hidden": 32, "levels": 2, "proposals": 50, "regions": 32},
    ).train()
    instances = [discs(seed, size=(64, 64)) for seed in range(4)]
    images = [image_of(one, seed) for seed, one in enumerate(instances)]
    pipeline = plain_pipeline(channels=1)
    batch = batch_of(instances, torch.from_numpy(np.stack([pipeline.prepare(image) for image in images])))
    task, optimizer = MaskRcnnTask(head_of(model)), torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        task.loss(model(batch["image"]), batch)["loss"].backward()
        optimizer.step()
    return model, instances, images


def quality(model: Model, instances: Instances, image: NDArray[np.uint8], **settings: int) -> tuple[float, float]:
    """AP@0.5, and the mean IoU of the objects found."""
    classes = ClassMap(names=("background", "dark", "bright"), background=0)
    pipeline = plain_pipeline(channels=1, stride_multiple=model.stride_multiple, **settings)
    result = Predictor(TorchEngine(model), pipeline, {"instances": classes}).instances(image)
    found = Instances(result.ids, result.labels)
    sums = object_sums(pair_objects(instances, found), instances, found, 3).sum(axis=1)
    return float(precision_at_half(sums)), sums[3] / sums[0]


def test_a_few_images_are_learnt_by_heart(learnt: tuple[Model, list[Instances], list[NDArray[np.uint8]]]) -> None:
    model, instances, images = learnt
    found = [quality(model, one, image) for one, image in zip(instances, images, strict=True)]
    precision, overlap = np.mean(found, axis=0)
    assert precision > 0.9
    assert overlap > 0.8


def test_a_large_image_is_predicted_in_tiles(learnt: tuple[Model, list[Instances], list[NDArray[np.uint8]]]) -> None:
    """The four images side by side, cut elsewhere than where they meet."""
    model, instances, images = learnt
    image = np.block([images[:2], images[2:]])
    ids = [np.where(one.ids > 0, one.ids + 4 * number, 0) for number, one in enumerate(instances)]
    whole = Instances(np.block([ids[:2], ids[2:]]).astype(np.int32), np.concatenate([one.labels for one in instances]))
    in_one_piece, in_tiles = (
        quality(model, whole, image, **settings) for settings in ({}, {"whole_limit": 1, "tile": 80})
    )
    assert min(in_one_piece[0], in_tiles[0]) > 0.85
    assert min(in_one_piece[1], in_tiles[1]) > 0.8
