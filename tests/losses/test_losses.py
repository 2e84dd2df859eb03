"""Every loss against answers computed by hand, torch's and segmentation-models-pytorch's."""

from __future__ import annotations

import math
from inspect import signature

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.errors import UsageError
from segkit.losses import BORDER_WEIGHTED, LOSSES, create_loss
from segkit.structures import IGNORE_INDEX

NUM_CLASSES = 3
WEIGHTS = (1.0, 2.0, 0.5)


def example(ignored: bool = True) -> tuple[Tensor, Tensor]:
    """Logits (2, 3, 8, 8) and a mask with every class and, if wanted, a corner that is not counted."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, NUM_CLASSES, 8, 8, generator=random)
    mask = torch.randint(0, NUM_CLASSES, (2, 8, 8), generator=random)
    if ignored:
        mask[:, :3, :3] = IGNORE_INDEX
    return logits, mask


def test_names() -> None:
    assert set(LOSSES.names()) == {"ce", "dice", "ce_dice", "focal"}


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_is_torchs(weights: tuple[float, ...] | None) -> None:
    logits, mask = example()
    expected = F.cross_entropy(logits, mask, torch.tensor(weights) if weights else None, ignore_index=IGNORE_INDEX)
    torch.testing.assert_close(create_loss("ce", NUM_CLASSES, weights)(logits, mask), expected)


def test_cross_entropy_takes_labels_of_images() -> None:
    logits, labels = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]]), torch.tensor([1, 0])
    expected = (-math.log(0.75) - math.log(0.5)) / 2
    assert create_loss("ce", 2)(logits, labels).item() == pytest.approx(expected)


def test_dice_computed_by_hand() -> None:
    # Four pixels, two classes; probabilities of class 1: 0.8, 0.4, 0.1, and 0.9 in a pixel that is not counted.
    probabilities = torch.tensor([0.8, 0.4, 0.1, 0.9])
    logits = torch.stack([(1 - probabilities).log(), probabilities.log()]).view(1, 2, 1, 4)
    mask = torch.tensor([[[1, 0, 0, IGNORE_INDEX]]])
    background = 2 * (0.6 + 0.9) / ((0.2 + 0.6 + 0.9) + 2)
    foreground = 2 * 0.8 / ((0.8 + 0.4 + 0.1) + 1)
    dice = create_loss("dice", 2)
    assert dice(logits, mask).item() == pytest.approx(1 - (background + foreground) / 2, abs=1e-6)
    weighted = create_loss("dice", 2, (1.0, 3.0))
    assert weighted(logits, mask).item() == pytest.approx(1 - (background + 3 * foreground) / 4, abs=1e-6)


def test_dice_is_smps_where_every_class_is_present() -> None:
    logits, mask = example()
    expected = smp.losses.DiceLoss("multiclass", ignore_index=IGNORE_INDEX)(logits, mask)
    torch.testing.assert_close(create_loss("dice", NUM_CLASSES)(logits, mask), expected)


def test_dice_leaves_absent_classes_out_of_the_mean() -> None:
    logits, mask = example()
    mask[mask == 2] = IGNORE_INDEX
    of_three = smp.losses.DiceLoss("multiclass", ignore_index=IGNORE_INDEX)(logits, mask)  # counts the absent one as 0
    torch.testing.assert_close(create_loss("dice", NUM_CLASSES)(logits, mask), of_three * 3 / 2)


def test_ce_dice_is_the_mean_of_both() -> None:
    logits, mask = example()
    ce, dice = (create_loss(name, NUM_CLASSES, WEIGHTS)(logits, mask) for name in ("ce", "dice"))
    torch.testing.assert_close(create_loss("ce_dice", NUM_CLASSES, WEIGHTS)(logits, mask), (ce + dice) / 2)


def test_focal_computed_by_hand() -> None:
    # One pixel of class 0 with logits 2 and 0, beside one that is not counted: each class against the rest.
    logits = torch.tensor([[[[2.0, 5.0]], [[0.0, -5.0]]]])
    mask = torch.tensor([[[0, IGNORE_INDEX]]])
    right, wrong = 1 / (1 + math.exp(-2)), 0.5
    expected = ((1 - right) ** 2 * -math.log(right) + (1 - wrong) ** 2 * -math.log(1 - wrong)) / 2
    assert create_loss("focal", 2)(logits, mask).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_pixels_not_counted_have_no_gradient(name: str) -> None:
    logits, mask = example()
    logits.requires_grad_()
    create_loss(name, NUM_CLASSES)(logits, mask).backward()
    assert logits.grad is not None
    assert (logits.grad[:, :, :3, :3] == 0).all()
    assert (logits.grad[:, :, 4:, 4:] != 0).all()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", LOSSES)
def test_nothing_counted_is_zero_and_not_nan(name: str, weights: tuple[float, ...] | None) -> None:
    logits, mask = example()
    logits.requires_grad_()
    loss = create_loss(name, NUM_CLASSES, weights)(logits, torch.full_like(mask, IGNORE_INDEX))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_bf16_logits_are_computed_in_fp32(name: str) -> None:
    logits, mask = example()
    rounded = logits.bfloat16()
    loss = create_loss(name, NUM_CLASSES)(rounded, mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, create_loss(name, NUM_CLASSES)(rounded.float(), mask), rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_perfect_logits_cost_nothing(name: str) -> None:
    _, mask = example(ignored=False)
    perfect = 100 * (F.one_hot(mask, NUM_CLASSES).permute(0, 3, 1, 2).float() - 0.5)
    assert create_loss(name, NUM_CLASSES)(perfect, mask).item() == pytest.approx(0, abs=1e-6)


def test_class_weights_move_with_the_loss() -> None:
    loss = create_loss("ce_dice", NUM_CLASSES, WEIGHTS).to("meta")
    assert {buffer.device.type for buffer in loss.buffers()} == {"meta"}


@pytest.mark.parametrize("weights", [(1.0, 2.0), (1.0, 0.0, 2.0)])
def test_wrong_class_weights(weights: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=r"class weights 1, .* for 3 classes; give one number above 0 per class"):
        create_loss("ce", NUM_CLASSES, weights)


def test_unknown_loss_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown loss 'ce_dcie'. Did you mean 'ce_dice'?"):
        create_loss("ce_dcie", NUM_CLASSES)


def test_border_weights_are_added_to_class_weights_by_hand() -> None:
    # Three pixels, the last not counted; -log of the target's probability is log 4 and log 2.
    logits = torch.tensor([[[[0.0, 0.0, 9.0]], [[math.log(3.0), 0.0, 0.0]]]])
    mask, border = torch.tensor([[[0, 1, IGNORE_INDEX]]]), torch.tensor([[[10.0, 0.5, 7.0]]])
    plain = ((1 + 10) * math.log(4) + (1 + 0.5) * math.log(2)) / (11 + 1.5)
    assert create_loss("ce", 2)(logits, mask, border).item() == pytest.approx(plain)
    weighted = ((2 + 10) * math.log(4) + (4 + 0.5) * math.log(2)) / (12 + 4.5)
    assert create_loss("ce", 2, (2.0, 4.0))(logits, mask, border).item() == pytest.approx(weighted)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_border_weights_of_zero_change_nothing(weights: tuple[float, ...] | None) -> None:
    logits, mask = example()
    loss = create_loss("ce", NUM_CLASSES, weights)
    torch.testing.assert_close(loss(logits, mask, torch.zeros(mask.shape)), loss(logits, mask))
    nothing = torch.full_like(mask, IGNORE_INDEX)
    assert loss(logits, nothing, torch.ones(mask.shape)).item() == 0


def test_border_weights_leave_dice_as_it_is() -> None:
    logits, mask = example()
    border = torch.rand(mask.shape, generator=torch.Generator().manual_seed(1))
    ce, dice = create_loss("ce", NUM_CLASSES)(logits, mask, border), create_loss("dice", NUM_CLASSES)(logits, mask)
    torch.testing.assert_close(create_loss("ce_dice", NUM_CLASSES)(logits, mask, border), (ce + dice) / 2)


def test_the_losses_said_to_take_border_weights_are_those_that_do() -> None:
    able = [name for name in LOSSES if "border_weight" in signature(create_loss(name, 2).forward).parameters]
    assert sorted(BORDER_WEIGHTED) == sorted(able)
