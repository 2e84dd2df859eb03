"""Heat maps point at what the answer really rests on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segkit.explanation.activations import activations, convolutions, first_filters
from segkit.explanation.effective_field import effective_fields, effective_size
from segkit.explanation.heat import grad_cam, likely_classes, occlusion
from segkit.explanation.subject import open_subject
from tests.explanation.networks import (
    SIDE,
    SQUARE,
    bright_classifier,
    bright_segmenter,
    bright_unet2015,
    write_image,
)
from tests.inference.networks import photo


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


def test_grad_cam_lies_where_the_image_lies_in_what_the_network_mirrors_on(tmp_path: Path) -> None:
    """Of 50 x 70 pixels a network of stride 16 makes 64 x 80, 7 above and 5 before the image."""
    subject = open_subject(bright_segmenter(depth=5), write_image(tmp_path / "odd.png", photo(50, 70)))
    assert subject.padding == (7, 7, 5, 5)
    heat = grad_cam(subject, likely_classes(subject, 1)[0])
    mirrored = np.pad(subject.batch[0].numpy(), ((0, 0), (7, 7), (5, 5)), mode="reflect")
    whole = replace(subject, batch=torch.from_numpy(mirrored)[None])
    with torch.no_grad():
        decided = subject.logits(subject.batch)[0].argmax(dim=0)
    maps = whole.network.backbone(whole.batch)
    coarsest = maps.maps[-1].detach().requires_grad_()
    decoder = whole.network.decoder
    assert decoder is not None
    decoded = decoder(maps._replace(maps=(*maps.maps[:-1], coarsest)), (64, 80))
    logits = whole.network.heads["segment"](decoded, (64, 80))[0][:, 7:57, 5:75]
    index = likely_classes(subject, 1)[0]
    logits[index][decided == index].sum().backward()
    assert coarsest.grad is not None
    map_ = (coarsest.grad.mean(dim=(2, 3), keepdim=True) * coarsest).sum(dim=1)[0].relu().detach().numpy()
    expected = cv2.resize(map_, (80, 64), interpolation=cv2.INTER_LINEAR)[7:57, 5:75]
    assert expected.max() > 0
    assert np.allclose(heat.values * heat.peak, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("task", ["segment", "classify"])
def test_grad_cam_of_maps_without_borders(tmp_path: Path, task: str) -> None:
    """The units of the coarsest map, 9 or 19 of stride 4, see the middle of the image: 14 pixels are lost per side."""
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    image[20:36, 28:44] = 255
    subject = open_subject(bright_unet2015(task), write_image(tmp_path / "square.png", image))
    heat = grad_cam(subject, 1)
    assert heat.peak > 0
    rows, columns = (heat.values > 0.5).nonzero()
    assert rows.mean() == pytest.approx(27.5, abs=1)
    assert columns.mean() == pytest.approx(35.5, abs=1)


def test_grad_cam_of_maps_without_borders_at_odd_sizes(tmp_path: Path) -> None:
    image = np.full((50, 70, 3), 128, np.uint8)
    image[12:28, 40:56] = 255
    heat = grad_cam(open_subject(bright_unet2015("segment"), write_image(tmp_path / "square.png", image)), 1)
    assert heat.values.shape == (50, 70)
    rows, columns = (heat.values > 0.5).nonzero()
    assert rows.mean() == pytest.approx(19.5, abs=1.5)
    assert columns.mean() == pytest.approx(47.5, abs=1.5)


def test_occlusion_takes_no_more_pixels_at_once_than_the_model_may(image: Path) -> None:
    subject = open_subject(bright_classifier(), image)
    counts: list[int] = []
    subject.network.register_forward_pre_hook(lambda _module, given: counts.append(len(given[0])))
    heats = []
    for limit, most in ((100 * SIDE * SIDE, 8), (3 * SIDE * SIDE, 3), (SIDE * SIDE - 1, 1)):
        counts.clear()
        heats += occlusion(replace(subject, whole_limit=limit), [1])
        assert max(counts) == most
    assert np.allclose(heats[0].values, heats[1].values, atol=1e-5)
    assert np.allclose(heats[0].values, heats[2].values, atol=1e-5)


def test_likely_classes_puts_the_background_last(image: Path) -> None:
    subject = open_subject(bright_segmenter(), image)
    found = likely_classes(subject, 3)
    present = set(subject.logits(subject.batch)[0].argmax(dim=0).unique().tolist())
    assert set(found) == present
    assert 0 not in found[:-1]
    assert likely_classes(open_subject(bright_classifier(), image), 1) == [1]


def test_activations_are_those_behind_the_relu(image: Path) -> None:
    subject = open_subject(bright_classifier(), image)
    names = convolutions(subject)
    assert names[:2] == ["backbone.levels.0.0.0", "backbone.levels.0.1.0"]
    found = activations(subject, range(len(names)), 100)
    assert [activation.name for activation in found] == names
    maps = subject.network.backbone(subject.batch).maps
    for activation, map_ in zip(found[1::2], maps, strict=True):
        expected = map_[0].detach().numpy()
        assert activation.shape == expected.shape
        assert np.array_equal(activation.maps, expected)  # the first channel of all is the strongest, then equals
    assert first_filters(subject.network).shape == (2, 3, 3, 3)


def test_only_the_strongest_maps_of_the_wanted_layers_are_kept(image: Path) -> None:
    subject = open_subject(bright_segmenter(), image)
    first, last = activations(subject, (0, 3), 2)
    assert [first.name, last.name] == [convolutions(subject)[number] for number in (0, 3)]
    every = activations(subject, (3,), 100)[0]
    strength = np.abs(every.maps).mean(axis=(1, 2))
    assert (np.diff(strength) <= 0).all()
    assert last.shape == every.shape == (8, 32, 32)
    assert np.array_equal(last.maps, every.maps[:2])
    for array in (first.maps, last.maps):
        assert len(array) == 2
        assert array.base is None or array.base.nbytes == array.nbytes  # no view that keeps all maps alive


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


def test_effective_fields_of_images_smaller_than_the_network_takes(tmp_path: Path) -> None:
    subject = open_subject(bright_segmenter(depth=5), write_image(tmp_path / "small.png", photo(10, 13)))
    fields = effective_fields(subject)
    assert [field.stride for field in fields] == [1, 2, 4, 8, 16, 1]
    for field in fields:
        assert field.gradient.shape == (10, 13)
    assert fields[-1].size > 0
