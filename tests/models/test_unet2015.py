"""The U-Net of 2015: its sizes and parameters, no influence of the border, and equal answers whole and in tiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from segkit.errors import UsageError
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.model import Model
from tests.inference.networks import class_map, photo, plain_pipeline
from tests.models.test_contracts import random_images

# Parameters by hand, figure 1: weights k * k * in * out and one bias per channel out.
CONTRACTING = [(1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512), (512, 1024)]
CONVOLUTIONS = [*CONTRACTING, (1024, 1024), (1024, 512), (512, 512), (512, 256), (256, 256), (256, 128), (128, 128)]
LAYERS = [
    *((9, i, o) for i, o in [*CONVOLUTIONS, (128, 64), (64, 64)]),
    *((4, i, i // 2) for i in (1024, 512, 256, 128)),
    (1, 64, 2),
]


def small_model(depth: int = 5, task: str = "segment", width: int = 2) -> Model:
    torch.manual_seed(0)
    options: dict[str, Option] = {"depth": depth, "width": width}
    decoder = "unet2015" if task == "segment" else None
    return create_model(
        "unet2015",
        decoder,
        num_classes=3,
        in_channels=1,
        task="segment" if decoder else "classify",
        backbone_options=options,
    ).eval()


def predictor_of(model: Model, **settings: object) -> Predictor:
    sizes = {name: getattr(model, name) for name in ("stride_multiple", "stride_remainder", "margin")}
    return Predictor(TorchEngine(model), plain_pipeline(1, **sizes, **settings), {"segment": class_map(3)})


def test_the_papers_network_has_the_parameters_counted_by_hand() -> None:
    with torch.device("meta"):
        model = create_model("unet2015", "unet2015", num_classes=2, in_channels=1)
    expected = sum(taps * before * after + after for taps, before, after in LAYERS)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected == 31_030_658


def test_the_papers_tile_of_572_gives_388_through_the_maps_of_figure_1() -> None:
    with torch.device("meta"):
        model = create_model("unet2015", "unet2015", num_classes=2, in_channels=1)
        features = model.backbone(torch.zeros(1, 1, 572, 572))
        logits = model(torch.zeros(1, 1, 572, 572))["segment"]
    sizes = [(map_.shape[1], map_.shape[2]) for map_ in features.maps]
    assert sizes == [(64, 568), (128, 280), (256, 136), (512, 64), (1024, 28)]
    assert [spec.channels for spec in model.backbone.specs] == [channels for channels, _ in sizes]
    assert [spec.stride for spec in model.backbone.specs] == [1, 2, 4, 8, 16]
    assert logits.shape == (1, 2, 388, 388)
    assert (model.margin, model.stride_multiple, model.stride_remainder) == (92, 16, 4)


@pytest.mark.parametrize(("depth", "margin"), [(2, 8), (3, 20), (4, 44), (5, 92), (6, 188)])
def test_margin_and_sizes_of_every_depth(depth: int, margin: int) -> None:
    """Sizes that need no padding come through as they are: the network itself gives them, nothing is cut."""
    model = small_model(depth, width=1)
    assert model.margin == margin
    assert model.decoder is not None
    for blocks in (1, 2):
        side = blocks * model.stride_multiple + model.stride_remainder
        images = torch.zeros(1, 1, side + 2 * margin, side + 2 * margin)
        with torch.inference_mode():
            assert model.decoder(model.backbone(images), (side, side)).shape == (1, 1, side, side)


def test_initial_weights_are_the_papers() -> None:
    """Section 3: N(0, sqrt(2 / N)), N = 9 * channels for 3 x 3 convolutions; one tap of an up-convolution counts."""
    torch.manual_seed(0)
    model = create_model("unet2015", "unet2015", num_classes=2, in_channels=1, backbone_options={"width": 32})
    checked = 0
    for part in (model.backbone, model.decoder):
        assert part is not None
        for layer in part.modules():
            if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                continue
            assert layer.bias is not None
            assert (layer.bias == 0).all()
            taps = 9 if isinstance(layer, nn.Conv2d) else 1
            if layer.weight.numel() > 5000:
                assert float(layer.weight.detach().std()) == pytest.approx(
                    math.sqrt(2 / (taps * layer.in_channels)), rel=0.05
                )
                checked += 1
    assert checked == 21  # all of the 22 but the first, which has few weights


def test_dropout_acts_in_training_behind_the_last_two_levels() -> None:
    model = small_model(3, width=8).train()
    images = random_images(1, (64, 64))
    first, second = model.backbone(images).maps, model.backbone(images).maps
    assert [torch.equal(a, b) for a, b in zip(first, second, strict=True)] == [True, False, False]
    model.eval()
    first, second = model.backbone(images).maps, model.backbone(images).maps
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (20, 36), (37, 53)])
def test_any_size_and_its_margin_in_gives_that_size_out(size: tuple[int, int]) -> None:
    model = small_model()
    with torch.inference_mode():
        logits = model(random_images(1, (size[0] + 184, size[1] + 184)))["segment"]
    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()


def test_an_image_that_is_all_margin_is_refused() -> None:
    with pytest.raises(UsageError, match=r"184 x 300 pixels, of which the network loses 92 on each side; .* 185 x 185"):
        small_model()(torch.zeros(1, 1, 184, 300))


def test_no_pixel_knows_the_border_of_what_the_network_was_given() -> None:
    """Valid convolutions: a part of an image, cut a multiple of the stride from its border, gives the same logits."""
    model = small_model()
    images = random_images(1, (68 + 184, 84 + 184))
    with torch.inference_mode():
        whole = model(images)["segment"]
        part = model(images[..., 16 : 16 + 36 + 184, 32 : 32 + 52 + 184])["segment"]
    torch.testing.assert_close(part, whole[..., 16:52, 32:84], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("depth", "size"), [(5, (101, 149)), (3, (97, 131)), (4, (60, 203))])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_tiles_give_what_the_whole_image_gives(depth: int, size: tuple[int, int], overlap: float) -> None:
    model = small_model(depth)
    image = photo(*size, 1)
    whole = predictor_of(model).segment(image, probabilities=True)
    tiled = predictor_of(model, tile=32, overlap=overlap, whole_limit=1).segment(image, probabilities=True)
    assert whole.probabilities is not None
    assert tiled.probabilities is not None
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert np.ptp(whole.probabilities[0]) > 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 97), (31, 13), (64, 64), (101, 103)])
@pytest.mark.parametrize("whole_limit", [1, 10**6])
def test_the_mask_has_exactly_the_size_of_the_image(size: tuple[int, int], whole_limit: int) -> None:
    assert predictor_of(small_model(4), tile=32, whole_limit=whole_limit).segment(photo(*size, 1)).mask.shape == size


def test_the_predictor_mirrors_the_image_around_its_border() -> None:
    """The answer is the network's on NumPy's reflection by 92 pixels and by the 3 that 33 lacks to 36, one on top."""
    model, image = small_model(), photo(33, 36, 1)
    mirrored = np.pad(image[..., 0], ((92 + 1, 92 + 2), (92, 92)), mode="reflect")
    tensor = ((torch.from_numpy(mirrored) / 255 - 0.5) / 0.25)[None, None]
    with torch.inference_mode():
        expected = model(tensor)["segment"][0].softmax(0)[:, 1:34].numpy()
    found = predictor_of(model).segment(image, probabilities=True).probabilities
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_exported_graph_is_right_at_sizes_it_was_not_traced_with() -> None:
    model = small_model(4)
    height, width = (8 * torch.export.Dim(name, min=12, max=64) + 4 for name in ("rows", "columns"))
    example = random_images(1, (8 * 14 + 4, 8 * 16 + 4))
    graph = torch.export.export(model, (example,), dynamic_shapes=({2: height, 3: width},)).module()
    for size in ((100, 124), (156, 108)):
        images = random_images(1, size)
        torch.testing.assert_close(graph(images)["segment"], model(images)["segment"])


@pytest.mark.parametrize("size", [(1, 1), (139, 140), (150, 170)])
def test_the_backbone_classifies_images_of_any_size(size: tuple[int, int]) -> None:
    model = small_model(task="classify")
    assert (model.margin, model.smallest_image) == (0, 140)
    with torch.inference_mode():
        coarsest = model.backbone(random_images(1, (140, 140))).maps[-1]
        assert coarsest.shape[-2:] == (1, 1)
        assert model(random_images(1, size))["classify"].isfinite().all()


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"decoder unet lines up maps of whole images; .* use decoder unet2015"):
        create_model("unet2015", "unet", num_classes=2)
    with pytest.raises(UsageError, match=r"decoder unet2015 needs valid_convolutions, which backbone plain lacks"):
        create_model("plain", "unet2015", num_classes=2)
