"""Tasks: which output is compared with which target."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segkit.losses import create_loss
from segkit.tasks import ClassifyTask, SegmentTask


def test_segment_compares_logits_with_the_mask() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=random)
    mask = torch.randint(0, 3, (2, 4, 5), generator=random)
    losses = SegmentTask(create_loss("ce", 3)).loss({"segment": logits}, {"mask": mask})
    assert list(losses) == ["loss"]
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits, mask))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classify_smooths_labels_as_torch_does(smoothing: float) -> None:
    random = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 4, generator=random), torch.tensor([0, 1, 2, 3, 3, 0])
    losses = ClassifyTask(create_loss("ce", 4), smoothing).loss({"classify": logits}, {"label": labels})
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits, labels, label_smoothing=smoothing))


def test_class_weights_belong_to_the_task() -> None:
    task = SegmentTask(create_loss("ce", 2, (1.0, 3.0)))
    assert [tuple(buffer.tolist()) for buffer in task.buffers()] == [(1.0, 3.0)]
