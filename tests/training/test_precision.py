"""bf16 where it is fast."""

from __future__ import annotations

import pytest
import torch

from segkit.errors import UsageError
from segkit.training.precision import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("features", "name", "reason"),
    [
        ({"avx512_bf16": True, "amx_bf16": True}, "bf16", "cpu has it in hardware: amx_bf16"),
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16", "cpu has it in hardware: avx512_bf16"),
        ({"bf16": True}, "bf16", "cpu has it in hardware: bf16"),
        ({"avx2": True, "avx512_f": True}, "fp32", "cpu has no bf16 in hardware"),
    ],
)
def test_what_the_cpu_has(monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], name: str, reason: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    precision = choose_precision("auto", CPU)
    assert (precision.name, precision.reason, str(precision)) == (name, reason, f"{name} ({reason})")


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_what_was_set(name: str) -> None:
    precision = choose_precision(name, CPU)  # type: ignore[arg-type]
    assert str(precision) == f"{name} (as set)"


def test_apple_gpus_train_in_fp32() -> None:
    assert choose_precision("auto", torch.device("mps")).name == "fp32"
    with pytest.raises(
        UsageError, match="bf16 was given for the device mps, which trains in fp32 only; use '--precision fp32'"
    ):
        choose_precision("bf16", torch.device("mps"))
