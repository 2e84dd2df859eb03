"""Tasks: which output is compared with which target."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segkit.losses import create_loss
from segkit.structures import IGNORE_INDEX
from segkit.tasks import ClassifyTask, PixelTask


def test_segment_compares_logits_with_the_mask() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=random)
    mask = torch.randint(0, 3, (2, 4, 5), generator=random)
    losses = PixelTask("segment", create_loss("ce", 3)).loss({"segment": logits}, {"mask": mask})
    assert list(losses) == ["loss"]
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits, mask))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classify_smooths_labels_as_torch_does(smoothing: float) -> None:
    random = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 4, generator=random), torch.tensor([0, 1, 2, 3, 3, 0])
    losses = ClassifyTask(create_loss("ce", 4), smoothing).loss({"classify": logits}, {"label": labels})
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits, labels, label_smoothing=smoothing))


def test_images_without_a_label_are_not_smoothed_either() -> None:
    random = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(4, 3, generator=random), torch.tensor([0, IGNORE_INDEX, 2, IGNORE_INDEX])
    task = ClassifyTask(create_loss("ce", 3), label_smoothing=0.1)
    losses = task.loss({"classify": logits}, {"label": labels})
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits[[0, 2]], labels[[0, 2]], label_smoothing=0.1))


def test_mixup_is_cross_entropy_with_mixed_labels() -> None:
    """Zhang et al. 2018, equation 1: images and one-hot labels, both in shares drawn from Beta(alpha, alpha)."""
    task = ClassifyTask(create_loss("ce", 5), label_smoothing=0.1, mixup=0.4)
    images, labels = torch.eye(6)[:, :, None, None] * 2, torch.tensor([0, 1, 2, 3, 4, 0])
    torch.manual_seed(1)
    mixed = task.mix({"image": images, "label": labels})
    share = mixed["own_share"]
    assert 0 < share < 1
    other = [(row - 2 * share * torch.eye(6)[i]).argmax().item() for i, row in enumerate(mixed["image"].flatten(1))]
    assert sorted(other) == list(range(6)), "every image is blended with one other"
    torch.testing.assert_close(mixed["image"], share * images + (1 - share) * images[other])
    logits = torch.randn(6, 5)
    target = share * F.one_hot(labels, 5) + (1 - share) * F.one_hot(labels[other], 5)
    expected = F.cross_entropy(logits, target, label_smoothing=0.1)
    torch.testing.assert_close(task.loss({"classify": logits}, mixed)["loss"], expected)


def test_mixups_shares_are_beta_distributed() -> None:
    from scipy.stats import beta, kstest

    task = ClassifyTask(create_loss("ce", 2), mixup=0.4)
    batch = {"image": torch.zeros(2, 1, 1, 1), "label": torch.tensor([0, 1])}
    torch.manual_seed(0)
    shares = [float(task.mix(batch)["own_share"]) for _ in range(400)]
    assert kstest(shares, beta(0.4, 0.4).cdf).pvalue > 0.01


def test_mixups_draws_are_those_of_the_steps_random_state() -> None:
    task = ClassifyTask(create_loss("ce", 2), mixup=1.0)
    batch = {"image": torch.rand(8, 1, 2, 2), "label": torch.arange(8) % 2}
    drawn = []
    for seed in (3, 4, 3):
        torch.manual_seed(seed)
        drawn.append(task.mix(batch)["image"])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_without_mixup_a_batch_stays_as_it_is() -> None:
    batch = {"image": torch.rand(2, 1, 2, 2), "label": torch.tensor([0, 1])}
    state = torch.get_rng_state()
    assert ClassifyTask(create_loss("ce", 2)).mix(batch) is batch
    assert PixelTask("segment", create_loss("ce", 2)).mix(batch) is batch
    assert torch.equal(torch.get_rng_state(), state)


def test_class_weights_belong_to_the_task() -> None:
    task = PixelTask("segment", create_loss("ce", 2, (1.0, 3.0)))
    assert [tuple(buffer.tolist()) for buffer in task.buffers()] == [(1.0, 3.0)]
