"""Receptive fields, against what actually reaches a unit and against published values."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from segkit.models.complexity import measure_complexity
from segkit.models.factory import create_model
from segkit.models.receptive_field import UNKNOWN, WHOLE_IMAGE, Axis, ReceptiveField

SIDE = 96


class Residual(nn.Module):
    """Two convolutions of stride 2 in all beside a 1 x 1 shortcut of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(2, 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
        self.shortcut = nn.Conv2d(2, 2, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        sum_: Tensor = self.branch(x) + self.shortcut(x)
        return sum_.relu()


class Logits(nn.Module):
    def __init__(self, upsample: str) -> None:
        super().__init__()
        small = {"width": 2, "depth": 3}
        self.model = create_model("plain", "unet", num_classes=2, upsample=upsample, backbone_options=small)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)["segment"]


UPSAMPLINGS = ("transposed", "bilinear", "max_unpool", "bed_of_nails")


def convolution(
    kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0, dilation: int = 1
) -> nn.Module:
    return nn.Conv2d(2, 2, kernel, stride, padding, dilation)


NETWORKS: dict[str, list[nn.Module]] = {
    "VGG": [nn.Conv2d(3, 2, 3), convolution(3, 1, 1), nn.MaxPool2d(2), convolution(3, 1, 1), nn.MaxPool2d(2)],
    "AlexNet": [nn.Conv2d(3, 2, 7, 2, 2), nn.MaxPool2d(3, 2), convolution(5, 1, 2), nn.MaxPool2d(3, 2)],
    "dilated": [nn.Conv2d(3, 2, 3, 2, 1), convolution(3, 1, 2, 2), convolution(3, 1, 4, 4), nn.AvgPool2d(2)],
    "asymmetric": [nn.Conv2d(3, 2, (1, 5), padding=(0, 2)), convolution((5, 1), 1, (2, 0)), convolution((1, 3), 2)],
    "residual": [nn.Conv2d(3, 2, 3, padding=1), Residual(), Residual(), nn.LocalResponseNorm(3)],
    "transposed 2": [nn.Conv2d(3, 2, 3, 2, 1), nn.MaxPool2d(2), nn.ConvTranspose2d(2, 2, 2, 2), convolution(3, 1, 1)],
    "transposed 4": [nn.Conv2d(3, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 4, 2, 1), convolution(3, 1, 1)],
    "transposed 3": [nn.Conv2d(3, 2, 5, 4, 2), *(nn.ConvTranspose2d(2, 2, 3, 2, 1, 1) for _ in range(2))],
    "nearest": [nn.Conv2d(3, 2, 5, 4, 2), nn.Upsample(scale_factor=2, mode="nearest"), convolution(3, 1, 1)],
    "bilinear": [nn.Conv2d(3, 2, 5, 4, 2), nn.Upsample(scale_factor=4, mode="bilinear"), convolution(3, 1, 1)],
    "shuffled": [nn.PixelUnshuffle(2), nn.Conv2d(12, 8, 3, padding=1), nn.PixelShuffle(2), convolution(3, 1, 1)],
    "padded": [nn.ZeroPad2d((2, 1, 3, 0)), nn.Conv2d(3, 2, 4, 2), nn.MaxPool2d(2)],
    **{f"unet, {upsample}": [Logits(upsample)] for upsample in UPSAMPLINGS},
}  # fmt: skip


@torch.no_grad()
def reached(network: nn.Module, dimension: int) -> list[tuple[int, int] | None]:
    """The first and last row (dimension 2) or column (3) that reach each unit: those whose NaN arrives there."""
    images = torch.rand(SIDE, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for number, image in enumerate(images):
        image.select(dimension - 1, number).fill_(torch.nan)
    arrived = network(images).isnan().any(dim=1).any(dim=5 - dimension - 1)
    rows = [column.nonzero().flatten().tolist() for column in arrived.T]
    return [(seen[0], seen[-1]) if seen else None for seen in rows]


@pytest.mark.parametrize("name", NETWORKS)
def test_field_and_centre_are_where_values_really_come_from(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*NETWORKS[name]).eval()
    layer = measure_complexity(network, 3, (SIDE, SIDE)).layers[-1]
    assert layer.field is not None
    assert layer.jump is not None
    assert layer.centre is not None
    for axis, dimension in enumerate((2, 3)):
        spans = reached(network, dimension)
        # Those that reach neither border are whole.
        inner = {unit: span for unit, span in enumerate(spans) if span and span[0] > 0 and span[1] < SIDE - 1}
        assert len(inner) > 5
        assert max(last - first + 1 for first, last in inner.values()) == layer.field[axis]
        period = 16  # a multiple of the periods of all these networks
        like_first = {unit: span for unit, span in inner.items() if unit % period == 0}
        for unit, (first, last) in like_first.items():
            assert (first + last) / 2 == layer.centre[axis] + unit * layer.jump[axis]


def test_first_layers_by_hand() -> None:
    stem = Axis().slide(7, 2, 3)
    assert (stem.field, float(stem.jump), stem.centre) == (7, 2, 0)
    pool = stem.slide(3, 2, 1)
    assert (pool.field, float(pool.jump), pool.centre) == (11, 4, 0)
    dilated = pool.slide(3, 1, 2, 2)
    assert (dilated.field, float(dilated.jump)) == (11 + 2 * 2 * 4, 4)
    assert pool.repeat(8).jump == Fraction(1, 2)


def test_a_bed_of_nails_has_units_that_see_nothing() -> None:
    nails = Axis().slide(4, 4).transpose(1, 4)
    assert nails.spans == ((0, 3), None, None, None)
    assert nails.slide(3, padding=1).spans == ((0, 3), (0, 3), None, (4, 7))


def test_joining() -> None:
    near, far = Axis().slide(3, 1, 1), Axis().slide(7, 1, 3)
    both = near.join(far)
    assert both is not None
    assert both.field == 7
    assert near.join(Axis().slide(2, 2)) is None
    field, coarse = ReceptiveField((near, near)), ReceptiveField((Axis().slide(2, 2),) * 2)
    assert field.join(coarse) == UNKNOWN
    assert UNKNOWN.join(WHOLE_IMAGE) == WHOLE_IMAGE
    assert field.join(WHOLE_IMAGE) == WHOLE_IMAGE


# Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", table 1. Their ResNets have the
# stride where the paper has it; torchvision's in the 3 x 3 convolution, which then sees the finer map.
@pytest.mark.parametrize(
    ("backbone", "kind", "expected"),
    [
        ("alexnet", "MaxPool2d", 195),
        ("vgg16", "MaxPool2d", 212),
        ("resnet50", "add", 483),
        ("resnet101", "add", 1027),
        ("resnet152", "add", 1507),
        ("resnet50_tv", "add", 483 - 8 - 16 - 32),
    ],
)
def test_published_fields(backbone: str, kind: str, expected: int) -> None:
    with torch.device("meta"):
        model = create_model(backbone, num_classes=10, task="classify")
    layers = measure_complexity(model, 3, (227, 227)).layers
    fields = [layer.field for layer in layers if layer.kind == kind]
    assert fields[-1] == (expected, expected)
