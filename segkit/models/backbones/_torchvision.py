"""Weights published with torchvision."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from segkit.errors import SegkitError


def fetch_state(weights: str) -> dict[str, Tensor]:
    """The state dict that torchvision publishes as `weights`, for example `VGG16_Weights.IMAGENET1K_V1`.

    Asks the network, once per machine. Raises `SegkitError` when it cannot be fetched.
    """
    from torchvision.models import get_weight

    try:
        return dict(get_weight(weights).get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as error:
        raise SegkitError(
            f"cannot fetch the weights {weights} from download.pytorch.org ({str(error).splitlines()[0]}); "
            "connect once, give a file, or use '--weights none'"
        ) from error


def rename_layers(state: Mapping[str, Tensor], rename: Callable[[str], str | None]) -> dict[str, Tensor]:
    """The tensors of `state` with the part of their names in front of the last dot replaced as `rename` says.

    Raises `LookupError` for a layer that `rename` gives None for.
    """
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        layer, _, kind = key.rpartition(".")
        name = rename(layer)
        if name is None:
            raise LookupError(f"torchvision's network has no tensor {key!r}")
        renamed[f"{name}.{kind}"] = tensor
    return renamed
