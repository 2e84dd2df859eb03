"""The networks that are compared: every decoder of segkit's own, each with the backbone its paper has or can have."""

from __future__ import annotations

import pytest

from benchmarks.upsampling import NETWORKS, Network, count_parameters
from segkit.models.config import OBJECT_DECODERS
from segkit.models.decoders._base import DECODERS


def test_every_decoder_of_segkits_own_is_compared() -> None:
    own = {name for name in DECODERS if not name.startswith("smp/")}
    assert {network.decoder for network in NETWORKS} == own - set(OBJECT_DECODERS)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{network.decoder}-{network.upsampling}")
def test_none_is_too_large_for_minutes_on_a_processor(network: Network) -> None:
    assert 0.1e6 < count_parameters(network, num_classes=11) < 30e6
