"""A graph exported with open sizes computes what the network does, also at sizes it was not traced with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.model import Model


class Multiples(nn.Module):
    """A network for images that need no padding, which is what is exported."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        assert self.model.decoder is not None
        size = (images.shape[-2], images.shape[-1])
        return self.model.heads["segment"](self.model.decoder(self.model.backbone(images), size), size)


@pytest.mark.parametrize(
    ("decoder", "options", "depth"),
    [
        ("fcn8s", {"hidden": (4, 4)}, 6),
        ("segnet", {}, 3),
        # Its sizes are open from the 7 x 7 window on.
        ("deconvnet", {"hidden": (4, 4)}, 3),
        ("enet", {}, 4),
    ],
)
def test_open_sizes(decoder: str, options: dict[str, Option], depth: int) -> None:
    plain: dict[str, Option] = {"width": 4, "depth": depth, "max_width": 8}
    model = create_model("plain", decoder, num_classes=3, backbone_options=plain, decoder_options=options).eval()
    for name, parameter in model.named_parameters():
        if "scores" in name:
            nn.init.normal_(parameter)
    multiple = model.stride_multiple
    height, width = (multiple * Dim(name, min=8, max=64) for name in ("height", "width"))
    images = torch.randn(2, 3, multiple * 9, multiple * 10)
    dynamic = ({0: Dim("count", min=1, max=8), 2: height, 3: width},)
    exported = export(Multiples(model), (images,), dynamic_shapes=dynamic).module()
    for factors in ((8, 12), (13, 8)):
        images = torch.randn(3, 3, multiple * factors[0], multiple * factors[1])
        with torch.inference_mode():
            torch.testing.assert_close(exported(images), model(images)["segment"])
