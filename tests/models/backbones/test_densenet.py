"""DenseNets: equal to torchvision's, the paper's counts, and where the maps are taken."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from segkit.models.backbones._base import BACKBONES
from segkit.models.backbones.densenet import DenseBlock, rename_torchvision
from segkit.models.factory import create_model
from segkit.models.model import Model
from tests.models.backbones.sensitive import assert_equal_to_torchvision, torchvision_network

# Parameters with 1000 classes: torchvision's documentation.
PARAMETERS = {
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}


def classifier(name: str) -> Model:
    return create_model(name, task="classify", num_classes=1000)


def random_images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 64, 96, generator=torch.Generator().manual_seed(0))


# DenseNet-161 and DenseNet-169 are built as these are, with other numbers of layers and channels.
@pytest.mark.parametrize("name", ["densenet121", "densenet201"])
def test_logits_are_those_of_torchvision_in_training_and_evaluation(name: str) -> None:
    theirs = torchvision_network(name, random_images())
    assert_equal_to_torchvision(classifier(name), theirs, rename_torchvision, random_images())


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_tensors_of_torchvision_are_all_ours(name: str) -> None:
    with torch.device("meta"):
        renamed = rename_torchvision(torchvision.models.get_model(name).state_dict())
        model = classifier(name)
    ours = model.state_dict()
    assert {key: tensor.shape for key, tensor in renamed.items()} == {key: tensor.shape for key, tensor in ours.items()}
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]
    # A name counts the stem, two convolutions per dense layer, the three transitions and the classifier.
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in model.modules()) == int(name[-3:])


def test_the_older_names_of_the_published_files_are_known() -> None:
    tensor = torch.zeros(1)
    old = {"features.denseblock2.denselayer10.norm.2.running_var": tensor}
    new = {"features.denseblock2.denselayer10.norm2.running_var": tensor}
    assert rename_torchvision(old) == rename_torchvision(new) == {"backbone.blocks.1.9.1.0.running_var": tensor}


def test_a_name_that_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(LookupError, match=r"has no tensor 'features\.conv1\.weight'"):
        rename_torchvision({"features.conv1.weight": torch.zeros(1)})


def test_maps_are_taken_in_front_of_every_pool() -> None:
    theirs = torchvision_network("densenet121", random_images())
    ours = classifier("densenet121").eval()
    ours.load_state_dict(rename_torchvision(theirs.state_dict()))
    expected: list[Tensor] = []
    for name, layer in theirs.features.named_modules():
        if name == "pool0" or name.endswith(".pool"):
            layer.register_forward_pre_hook(lambda _, inputs: expected.append(inputs[0].clone()))
    with torch.no_grad():
        expected.append(theirs.features(random_images(1)).relu())
        maps = ours.backbone(random_images(1)).maps
    assert [(spec.channels, spec.stride) for spec in ours.backbone.specs] == [
        (64, 2),
        (128, 4),
        (256, 8),
        (512, 16),
        (1024, 32),
    ]
    for map_, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(map_, other, rtol=1e-4, atol=1e-4)


def test_growth_rate_sets_the_channels_of_every_part() -> None:
    """k = 12: stem 2k = 24; blocks add 6k, 12k, 24k, 16k, and each transition halves."""
    backbone = BACKBONES.get("densenet121").build(3, growth_rate=12)
    assert [spec.channels for spec in backbone.specs] == [
        24,
        (24 + 72) // 2,
        (48 + 144) // 2,
        (96 + 288) // 2,
        192 + 192,
    ]


def test_a_dense_block_keeps_its_input_and_appends_the_new_maps() -> None:
    torch.manual_seed(0)
    block = DenseBlock(3, 2, 2).eval()
    x = torch.randn(1, 3, 5, 7)
    first = block[0](x)
    second = block[1](torch.cat([x, first], 1))
    assert torch.equal(block(x), torch.cat([x, first, second], 1))
    # 1 x 1 to 4k = 8 channels, 3 x 3 to k = 2; the second layer sees 3 + 2 channels.
    shapes = [tuple(layer.weight.shape) for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert shapes == [(8, 3, 1, 1), (2, 8, 3, 3), (8, 5, 1, 1), (2, 8, 3, 3)]


def test_imagenet_weights_are_torchvisions_under_our_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    state = torchvision.models.densenet121().state_dict()

    def fetch(weights: str) -> dict[str, Tensor]:
        asked.append(weights)
        return dict(state)

    monkeypatch.setattr("segkit.models.backbones.densenet.fetch_state", fetch)
    model = create_model("densenet121", num_classes=2, weights="imagenet")
    assert asked == ["DenseNet121_Weights.IMAGENET1K_V1"]
    assert torch.equal(model.state_dict()["backbone.stem.0.weight"], state["features.conv0.weight"])


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_weights_named_are_published(name: str) -> None:
    with torch.device("meta"):
        weights = torchvision.models.get_weight(BACKBONES.get(name).build(3).torchvision_weights)
    assert weights.url.split("/")[-1].startswith(f"{name}-")
