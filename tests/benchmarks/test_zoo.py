"""The table of the classic backbones: whose numbers stand beside whose."""

from __future__ import annotations

import pytest

from benchmarks.zoo import row, torchvision_numbers


@pytest.mark.parametrize("name", ["alexnet", "alexnet_two_tower", "googlenet", "resnet50", "resnet101", "resnet152"])
def test_torchvisions_numbers_do_not_stand_beside_another_graph(name: str) -> None:
    assert torchvision_numbers(name) == ("–", "–")


@pytest.mark.parametrize("name", ["alexnet_tv", "vgg11", "resnet18", "resnet50_tv"])
def test_torchvisions_numbers_are_those_counted(name: str) -> None:
    parameters, ops = torchvision_numbers(name)
    _, shown, _, ours, theirs, multiply_adds, published, *_ = map(str.strip, row(name).split("|"))
    assert shown == name
    assert ours == theirs == parameters
    assert published == ops
    assert float(multiply_adds) == pytest.approx(float(ops), rel=0.01)


def test_a_row_is_described_as_in_the_paper() -> None:
    assert row("lenet5").startswith("| lenet5 | 1 x 32 x 32, 10 | 6")
    assert row("lenet5").endswith(
        "| – | 60,000 (LeCun 1998, section II-B, without the output layer, whose codes were fixed) |"
    )
