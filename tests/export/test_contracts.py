"""What every network promises as a graph: the outputs of PyTorch at sizes and in batches it was not traced with.

The fast tests hold every decoder, head and operator in networks of a few channels; the slow ones one network of every
class of encoders, and all of them as programs of PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segkit.errors import SegkitError, UsageError
from segkit.export.graph import output_names, to_onnx, to_program
from segkit.export.limits import LIMITS, refuse_unsupported
from segkit.inference.engines.onnxruntime import OnnxRuntimeEngine
from segkit.inference.engines.openvino import OpenVinoEngine
from segkit.inference.exported import Format
from segkit.models.config import Option
from segkit.models.decoders._base import DECODERS
from segkit.models.factory import create_model
from segkit.models.layers.activation import ActivationName
from segkit.models.layers.pool import PoolName
from segkit.models.layers.upsample import UpsamplingName
from segkit.models.model import Model
from tests.export.models import SMALL, small_model
from tests.models.test_contracts import (
    BACKBONE_CLASSES,
    BACKBONE_OF,
    DECODER_OPTIONS_OF,
    OPTIONS_OF,
    VALID_BACKBONES,
    WIDE_CLASSIFIERS,
)

Outputs = Mapping[str, NDArray[np.float32]]
TOLERANCE = 1e-4
"""Largest difference of an output, as a share of its largest value."""

LIMITED = {"maskrcnn", "smp/dpt"}
"""Decoders that the table of limits has, or whose backbone it has; dpt is held in ONNX, see the slow tests."""


def decoder_model(name: str) -> Model:
    """The decoder on a backbone of its family, else on a plain one of the strides it wants."""
    backbone = BACKBONE_OF.get(name, "plain")
    plain: dict[str, Option] = {"width": 4, "depth": 5 if "deeplab" in name else 6}
    return create_model(
        backbone,
        name,
        num_classes=3,
        backbone_options=plain if backbone == "plain" else OPTIONS_OF.get(backbone),
        decoder_options=DECODER_OPTIONS_OF.get(name),
    )


def engines(network: Model, *kinds: Format) -> dict[str, Callable[[NDArray[np.float32]], Outputs]]:
    """What computes the network in the given formats; an ONNX file by ONNX Runtime alone."""
    made: dict[str, Callable[[NDArray[np.float32]], Outputs]] = {}
    content = to_onnx(network) if {"onnx", "openvino"} & set(kinds) else b""
    if "onnx" in kinds:
        made["onnx"] = OnnxRuntimeEngine(content, "fp32").run
    if "openvino" in kinds:
        made["openvino"] = OpenVinoEngine(content, b"", output_names(network), "fp32").run
    if "torch" in kinds:
        program = to_program(network).module()
        made["torch"] = lambda images: {
            name: found.detach().numpy() for name, found in program(torch.from_numpy(images)).items()
        }
    return made


def largest_difference(network: Model, run: Callable[[NDArray[np.float32]], Outputs]) -> float:
    """Of the outputs at two sizes that are not the traced one, alone and in a batch; infinite where shapes differ."""
    multiple, beyond = network.stride_multiple, network.stride_remainder + 2 * network.margin
    least = max(3, -(-8 // multiple), -(-(network.smallest_image - network.stride_remainder) // multiple))
    worst = 0.0
    for count, rows, columns in ((1, least + 1, least), (3, least, least + 2)):
        shape = count, network.config.in_channels, multiple * rows + beyond, multiple * columns + beyond
        images = np.random.default_rng(count).standard_normal(shape).astype(np.float32)
        with torch.no_grad():
            expected = {name: output.numpy() for name, output in network(torch.from_numpy(images)).items()}
        found = run(images)
        for name, values in expected.items():
            if name not in found or found[name].shape != values.shape:
                return float("inf")
            worst = max(worst, float(np.abs(found[name] - values).max() / np.abs(values).max()))
    return worst


def require_equal(network: Model, *kinds: Format) -> None:
    network.eval()
    found = {name: largest_difference(network, run) for name, run in engines(network, *kinds).items()}
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("name", [name for name in DECODERS if name not in LIMITED])
def test_every_decoder(name: str) -> None:
    require_equal(decoder_model(name), "onnx", "openvino")


@pytest.mark.parametrize("name", get_args(UpsamplingName))
def test_every_upsampling(name: UpsamplingName) -> None:
    require_equal(
        create_model("plain", "unet", upsample=name, num_classes=3, backbone_options=SMALL), "onnx", "openvino"
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("activation", name) for name in get_args(ActivationName) if name != "relu"),
        *(("pool", name) for name in get_args(PoolName) if name != "max"),
        ("stem_stride", 4),
        ("norm", "group"),
    ],
)
def test_every_layer_that_can_be_chosen(option: str, value: Any) -> None:
    options = {**SMALL, "width": 8, option: value}
    require_equal(
        create_model("plain", "unet", num_classes=3, in_channels=2, backbone_options=options), "onnx", "openvino"
    )


def test_all_heads_from_one_pass() -> None:
    require_equal(small_model({"segment": 3, "instances": 2, "detect": 2, "classify": 4}), "onnx", "openvino")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DECODERS if name not in LIMITED])
def test_every_decoder_as_a_program(name: str) -> None:
    require_equal(decoder_model(name), "torch")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "classify"])
@pytest.mark.parametrize("name", BACKBONE_CLASSES)
def test_every_class_of_backbones(name: str, task: Any) -> None:
    if task == "classify" and name in WIDE_CLASSIFIERS:
        pytest.skip("a hundred million weights of fully connected layers, which others have smaller")
    decoder = "unet2015" if task == "segment" and name in VALID_BACKBONES else None
    network = create_model(name, decoder, task=task, num_classes=3, backbone_options=OPTIONS_OF.get(name))
    kinds = [kind for kind in get_args(Format) if not is_limited(network, kind)]
    require_equal(network, *kinds)


def is_limited(network: Model, kind: Format) -> bool:
    try:
        refuse_unsupported(network.config, kind, "fp32")
    except UsageError:
        return True
    return False


def is_held(network: Model, kind: Format) -> bool:
    """Whether a format really gives what PyTorch does."""
    try:
        (run,) = engines(network, kind).values()
        return largest_difference(network, run) < TOLERANCE
    except SegkitError:
        return False


EXAMPLES: tuple[Callable[[], Model], ...] = (
    lambda: create_model("plain", "maskrcnn", task="instances", num_classes=2, backbone_options={"width": 8}),
    lambda: create_model("smp/tu-vit_tiny_patch16_224", task="classify", num_classes=3),
    lambda: create_model("lenet5", task="classify", num_classes=3),
)
"""One network of every row of the table, in its order."""


@pytest.mark.slow
@pytest.mark.parametrize("row", range(len(LIMITS)))
def test_the_table_of_limits_is_true(row: int) -> None:
    network = EXAMPLES[row]().eval()
    assert LIMITS[row].concerns(network.config)
    for kind in get_args(Format):
        assert is_held(network, kind) == (kind not in LIMITS[row].formats), kind


@pytest.mark.parametrize("row", range(len(LIMITS)))
def test_what_the_table_has_is_refused_with_its_reason(row: int) -> None:
    with torch.device("meta"):
        network = EXAMPLES[row]().config
    for kind in LIMITS[row].formats:
        with pytest.raises(
            UsageError, match=rf"'--format {kind}' cannot hold backbone {network.backbone}.*: "
        ) as caught:
            refuse_unsupported(network, kind, "fp32")
        assert LIMITS[row].reason in str(caught.value)
