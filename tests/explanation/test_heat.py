"""Heat maps point at what the answer really rests on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segkit.explanation.activations import activations, first_filters
from segkit.explanation.effective_field import effective_fields, effective_size
from segkit.explanation.heat import grad_cam, likely_classes, occlusion
from segkit.explanation.subject import open_subject
from tests.explanation.networks import SIDE, SQUARE, bright_classifier, bright_segmenter, write_image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_image(tmp_path / "image.png")


def test_grad_cam_lies_on_the_bright_square(image: Path) -> None:
    subject = open_subject(bright_classifier(), image)
    heat = grad_cam(subject, 1)
    assert heat.values.shape == (SIDE, SIDE)
    assert heat.values.max() == 1
    assert heat.values[SQUARE].mean() > 0.7
    outside = np.ones((SIDE, SIDE), bool)
    outside[SQUARE] = False
    assert heat.values[outside].mean() < 0.1
    # Maps of stride 4: the centre of the square is found to half a unit.
    rows, columns = (heat.values > 0.5).nonzero()
    assert rows.mean() == pytest.approx(15.5, abs=2)
    assert columns.mean() == pytest.approx(47.5, abs=2)


def test_occlusion_lies_on_the_bright_square_and_has_the_true_fall(image: Path) -> None:
    subject = open_subject(bright_classifier(), image)
    heat, without = occlusion(subject, [1, 0])
    assert without.peak == 0
    assert not without.values.any()
    rows, columns = (heat.values > 0.1).nonzero()
    assert SQUARE[0].start - 4 <= rows.min() <= rows.max() < SQUARE[0].stop + 4
    assert SQUARE[1].start - 4 <= columns.min() <= columns.max() < SQUARE[1].stop + 4
    covered = subject.batch.clone()
    covered[:, :, 12:20, 44:52] = 0
    with torch.no_grad():
        before, after = (subject.logits(batch).softmax(dim=1)[0, 1] for batch in (subject.batch, covered))
    # Patches of 8 by steps of 4, four over each pixel: in the middle of the square all of them lie inside it.
    assert heat.peak == pytest.approx(float(before - after), rel=1e-4)


def test_segmentation_sums_the_pixels_of_the_class(image: Path) -> None:
    subject = open_subject(bright_segmenter(), image)
    for index in likely_classes(subject, 3):
        heat = grad_cam(subject, index)
        # The same from its definition, with a gradient taken by hand.
        maps = subject.network.backbone(subject.batch)
        coarsest = maps.maps[-1].detach().requires_grad_()
        decoder = subject.network.decoder
        assert decoder is not None
        decoded = decoder(maps._replace(maps=(*maps.maps[:-1], coarsest)), (SIDE, SIDE))
        logits = subject.network.heads["segment"](decoded, (SIDE, SIDE))[0]
        logits[index][logits.argmax(dim=0) == index].sum().backward()
        assert coarsest.grad is not None
        expected = (coarsest.grad.mean(dim=(2, 3), keepdim=True) * coarsest).sum(dim=1)[0].relu().detach().numpy()
        enlarged = cv2.resize(expected, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        assert np.allclose(heat.values * heat.peak, enlarged, rtol=1e-3, atol=1e-5)


def test_likely_classes_puts_the_background_last(image: Path) -> None:
    subject = open_subject(bright_segmenter(), image)
    found = likely_classes(subject, 3)
    present = set(subject.logits(subject.batch)[0].argmax(dim=0).unique().tolist())
    assert set(found) == present
    assert 0 not in found[:-1]
    assert likely_classes(open_subject(bright_classifier(), image), 1) == [1]


def test_activations_are_those_behind_the_relu(image: Path) -> None:
    subject = open_subject(bright_classifier(), image)
    found = activations(subject)
    assert [activation.name for activation in found[:2]] == ["backbone.levels.0.0.0", "backbone.levels.0.1.0"]
    maps = subject.network.backbone(subject.batch).maps
    for activation, map_ in zip(found[1::2], maps, strict=True):
        assert np.array_equal(activation.maps, map_[0].detach().numpy())
    assert found[0].strongest(2).tolist() == [0, 1]
    assert first_filters(subject.network).shape == (2, 3, 3, 3)


def test_effective_field_of_a_gaussian_is_two_deviations_wide() -> None:
    ys, xs = torch.meshgrid(torch.arange(-60.0, 61), torch.arange(-60.0, 61), indexing="ij")
    deviation = 10
    size, _ = effective_size(torch.exp(-(ys**2 + xs**2) / (2 * deviation**2)))
    # The pixels above 4.55 % of the peak fill a disc of radius sqrt(2 ln(1 / 0.0455)) deviations.
    radius = deviation * np.sqrt(2 * np.log(1 / 0.0455))
    assert size == pytest.approx(np.sqrt(np.pi) * radius, rel=0.01)


def test_effective_field_is_never_wider_than_the_theoretical_one(image: Path) -> None:
    subject = open_subject(bright_segmenter(), image)
    fields = effective_fields(subject)
    assert [(field.name, field.stride) for field in fields] == [("map 1", 1), ("map 2", 2), ("map 3", 4), ("logits", 1)]
    for field, theoretical in zip(fields[:3], (5, 14, 32), strict=True):
        rows, columns = field.gradient.nonzero()
        assert np.ptp(rows) < theoretical
        assert np.ptp(columns) < theoretical
        assert 0 < field.size <= theoretical
    # A network of which only the middle taps are not zero sees one pixel.
    assert effective_fields(open_subject(bright_classifier(), image))[0].size == 1
