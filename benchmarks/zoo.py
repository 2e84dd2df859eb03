"""Parameters and multiply-adds of every classic backbone beside torchvision's and the papers'.

    python -m benchmarks.zoo

Nothing is downloaded and no network has weights: they are counted on PyTorch's meta device. torchvision's numbers are
those in the metadata of its weights; they stand beside the backbone that is torchvision's graph, `NAME_tv` where the
paper's differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torchvision

from segkit.explanation.describe import describe
from segkit.models.backbones._base import BACKBONES


@dataclass(frozen=True)
class Setting:
    """How a backbone is described: as its paper has it."""

    size: int = 224
    classes: int = 1000
    channels: int = 3


SETTINGS = {
    "lenet5": Setting(32, 10, 1),
    "lenet": Setting(32, 10, 1),
    "alexnet": Setting(227),
    "alexnet_two_tower": Setting(227),
    "inception_v3": Setting(299),
    "highway19": Setting(32, 10),
    "highway32": Setting(32, 10),
    "nin": Setting(32, 10),
}

PAPERS = {
    "lenet5": ("60,000", "LeCun 1998, section II-B, without the output layer, whose codes were fixed"),
    "alexnet_two_tower": ("60 M", "Krizhevsky 2012, abstract"),
    "vgg11": ("133 M", "Simonyan 2014, table 2"),
    "vgg13": ("133 M", "Simonyan 2014, table 2"),
    "vgg16": ("138 M", "Simonyan 2014, table 2"),
    "vgg19": ("144 M", "Simonyan 2014, table 2"),
    "googlenet": ("1.5 G", "Szegedy 2014, section 1"),
    "inception_v3": ("5 G", "Szegedy 2015, section 6"),
    "resnet18": ("1.8 G", "He 2015, table 1"),
    "resnet34": ("3.6 G", "He 2015, table 1"),
    "resnet50": ("3.8 G", "He 2015, table 1"),
    "resnet101": ("7.6 G", "He 2015, table 1"),
    "resnet152": ("11.3 G", "He 2015, table 1"),
    "highway19": ("2.3 M", "Srivastava 2015, table 2"),
    "highway32": ("1.25 M", "Srivastava 2015, table 2"),
}


def torchvision_numbers(name: str) -> tuple[str, str]:
    """Parameters and multiply-adds of torchvision's model of the same graph; dashes where it has none."""
    if BACKBONES.get(name).published_variant is not None:
        return "–", "–"
    try:
        meta = torchvision.models.get_model_weights(name.removesuffix("_tv"))["IMAGENET1K_V1"].meta
    except ValueError:
        return "–", "–"
    return f"{meta['num_params']:,}", f"{meta['_ops']:.3f}"


def row(name: str) -> str:
    """The line of one backbone."""
    setting = SETTINGS.get(name, Setting())
    found = describe(
        name, size=setting.size, classes=setting.classes, channels=setting.channels, task="classify"
    ).complexity
    parameters, ops = torchvision_numbers(name)
    printed, where = PAPERS.get(name, ("–", ""))
    paper = f"{printed} ({where})" if where else printed
    used = f"{found.parameters:,}"
    if found.not_run:
        used += f" ({found.parameters - found.not_run:,} without side classifiers)"
    return (
        f"| {name} | {setting.channels} x {setting.size} x {setting.size}, {setting.classes} | {used} "
        f"| {parameters} | {found.multiply_adds / 1e9:.4g} | {ops} | {paper} |"
    )


def main() -> None:
    print("| backbone | image, classes | parameters | torchvision | multiply-adds, 10⁹ | torchvision | paper |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for name in BACKBONES.names():
        if not name.startswith("smp/"):
            print(row(name), flush=True)


if __name__ == "__main__":
    main()
