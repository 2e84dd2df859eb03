"""The parts of the benchmarks on MNIST, on a few images made here."""

from __future__ import annotations

import gzip
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from benchmarks import _mnist, batchnorm_mnist, lenet_mnist, normalization, relu_tanh
from benchmarks._mnist import BACKGROUND, INK, Digits, Recipe, digits, distort, error_rate, load, train


def shapes(count: int, side: int = 28) -> Digits:
    """Horizontal stripes, vertical stripes, a square, a diagonal: told apart wherever they lie."""
    inner = side - 12
    rows, columns = np.mgrid[:inner, :inner]
    inks = (rows % 4 < 2, columns % 4 < 2, rows >= 0, abs(rows - columns) < 3)
    labels = (np.arange(count) % len(inks)).astype(np.uint8)
    images = np.zeros((count, side, side), np.uint8)
    images[:, 6:-6, 6:-6] = 255 * np.stack(inks)[labels]
    return digits(images, labels)


def test_files_become_tensors_in_the_papers_scale_with_a_border_of_background(tmp_path: Path) -> None:
    images = np.array([[[0, 255]], [[51, 0]]], np.uint8)
    for part in ("train", "t10k"):
        for kind, values, mark in (("images-idx3", images, 3), ("labels-idx1", np.array([7, 2], np.uint8), 1)):
            header = struct.pack(f">4B{mark}I", 0, 0, 8, mark, *values.shape)
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))
    data, test = load(tmp_path, border=1)
    assert data.images.shape == test.images.shape == (2, 1, 3, 4)
    assert data.labels.tolist() == [7, 2]
    assert data.images[0, 0, 1].tolist() == pytest.approx([BACKGROUND, BACKGROUND, INK, BACKGROUND])
    assert data.images[1, 0, 1, 1].item() == pytest.approx(0.2 * 1.275 - 0.1)


def test_one_step_is_sgds() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    data = Digits(torch.randn(8, 1, 2, 2), torch.arange(8) % 3)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    loss = nn.functional.cross_entropy(network(data.images), data.labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=0.5, weight_decay=0.1, one_cycle=False)
    steps = list(train(network, data, recipe, seed=0))
    assert [step for step, _ in steps] == [1]
    torch.testing.assert_close(steps[0][1], loss.detach())
    for old, new, gradient in zip(before, network.parameters(), gradients, strict=True):
        torch.testing.assert_close(new.detach(), old - 0.5 * (gradient + 0.1 * old))


def test_training_depends_on_the_seed_alone() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(1)
        network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        recipe = Recipe(epochs=2, batch_size=4, augment=distort)
        assert len(list(train(network, shapes(14), recipe, seed))) == 6
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_error_rate_is_the_share_of_wrong_answers() -> None:
    class Says(nn.Module):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"classify": images.flatten(1)}

    images = torch.eye(3)[[0, 1, 2, 0, 1]].reshape(5, 1, 1, 3)
    network = Says()
    assert error_rate(network, Digits(images, torch.tensor([0, 1, 1, 2, 1])), batch_size=2) == pytest.approx(2 / 5)
    assert network.training


def test_distortions_are_affine_maps_within_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    images = shapes(200).images
    for name in ("TRANSLATION", "SCALE", "SQUEEZE", "SHEAR"):
        monkeypatch.setattr(_mnist, name, 0.0)
    torch.testing.assert_close(distort(images, torch.Generator().manual_seed(0)), images)
    monkeypatch.setattr(_mnist, "TRANSLATION", 2.0)
    moved = distort(images, torch.Generator().manual_seed(0)) - BACKGROUND
    centres = [ndimage.center_of_mass(image[0].numpy()) for image in moved]
    still = [ndimage.center_of_mass(image[0].numpy()) for image in images - BACKGROUND]
    shifts = np.array(centres) - np.array(still)
    assert 1.8 < np.abs(shifts).max(axis=0).min() <= np.abs(shifts).max() <= 2.001
    monkeypatch.setattr(_mnist, "TRANSLATION", 0.0)
    monkeypatch.setattr(_mnist, "SQUEEZE", 0.3)
    squeezed = distort(images, torch.Generator().manual_seed(0)) - BACKGROUND
    # Narrower and higher, or the reverse: the ink stays.
    torch.testing.assert_close(squeezed.sum((1, 2, 3)), (images - BACKGROUND).sum((1, 2, 3)), rtol=0.05, atol=0)
    assert squeezed[:, 0, 0].abs().max() < 1e-6


def test_lenet5_learns_the_shapes() -> None:
    data = shapes(32, side=32)
    recipe = replace(lenet_mnist.RECIPES["distorted"], epochs=60, batch_size=8, augment=None)
    assert error_rate(lenet_mnist.train_lenet5(data, recipe, seed=0), data) == 0.0


@pytest.mark.parametrize(("normalized", "parameters"), [(False, 99_710), (True, 99_710 - 300 + 600)])
def test_the_fully_connected_network_has_three_hidden_layers_of_100(normalized: bool, parameters: int) -> None:
    network = batchnorm_mnist.create_network("sigmoid", normalized)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_a_curve_finds_when_the_goal_was_reached() -> None:
    curve = batchnorm_mnist.measure("relu", True, shapes(240), shapes(40), iterations=300, seed=0)
    assert list(curve.accuracy) == [100, 200, 300]
    assert curve.iterations_to_goal == 100
    assert batchnorm_mnist.Curve({100: 0.5, 200: 0.89}, 1.0).iterations_to_goal is None
    assert batchnorm_mnist.Curve({100: 0.5, 200: 0.9, 300: 0.8}, 1.0).iterations_to_goal == 200


def test_iterations_to_a_training_error() -> None:
    data = shapes(128)
    assert relu_tanh.iterations_to(0.0, "relu", 0.01, data, seed=0, limit=60) in (20, 40, 60)
    assert relu_tanh.iterations_to(-1.0, "tanh", 0.01, data, seed=0, limit=20) is None


@pytest.mark.parametrize("style", normalization.STYLES)
def test_every_normalization_learns_the_shapes(style: str) -> None:
    found = normalization.accuracy(normalization.STYLES[style], 8, shapes(128), shapes(40), epochs=4, seed=0)
    assert found > 0.9


@pytest.mark.parametrize(
    ("benchmark", "arguments", "message"),
    [
        (normalization, ["--images", "21"], "--images 21: 32 to 40; the other images validate"),
        (normalization, ["--images", "41"], "--images 41: 32 to 40; the other images validate"),
        (batchnorm_mnist, ["--iterations", "99"], "--iterations 99: accuracy is measured every 100"),
    ],
)
def test_too_few_or_too_many_are_refused(
    benchmark: ModuleType,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    monkeypatch.setattr(normalization, "VALIDATION", 20)
    monkeypatch.setattr(benchmark, "load", lambda *_, **__: (shapes(60), shapes(4)))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    with pytest.raises(SystemExit) as left:
        benchmark.main()
    assert left.value.code == 2
    assert message in capsys.readouterr().err
