"""The engine computes what PyTorch computes, and refuses devices this machine lacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segkit.errors import SegkitError, UsageError
from segkit.inference.engines.torch import TorchEngine, resolve_device
from tests.inference.networks import LocalNetwork


def images(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(2, 3, 32, 48)).astype(np.float32)


def test_logits_equal_plain_torch() -> None:
    network = LocalNetwork().eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(images()))["segment"].numpy()
    logits = TorchEngine(LocalNetwork()).run(images())["segment"]
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_bf16_comes_back_as_float32_near_the_exact_answer() -> None:
    exact = TorchEngine(LocalNetwork()).run(images())["segment"]
    rounded = TorchEngine(LocalNetwork(), precision="bf16").run(images())["segment"]
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.05


def test_batch_statistics_stay_untouched_after_training_went_on() -> None:
    network = LocalNetwork()
    engine = TorchEngine(network)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    engine.run(images())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_description_names_device_and_precision() -> None:
    assert TorchEngine(LocalNetwork(), precision="bf16").description == "torch, cpu, bf16"


def test_no_memory_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(_: torch.Tensor) -> dict[str, torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")

    network = LocalNetwork()
    monkeypatch.setattr(network, "forward", exhaust)
    with pytest.raises(SegkitError, match=r"cpu has not enough memory for 2 x 32 x 48 pixels; .*'--device cpu'"):
        TorchEngine(network).run(images())


@pytest.mark.parametrize("name", ["gpu", "cuda:one", "cuda:", "cpu:0", ""])
def test_unknown_device(name: str) -> None:
    with pytest.raises(UsageError, match=f"'--device {name}' is no device; allowed: auto, cpu, cuda, cuda:1"):
        resolve_device(name)


def test_devices_that_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(
        UsageError, match="'--device cuda': PyTorch finds none of NVIDIA's GPUs here; use '--device auto'"
    ):
        resolve_device("cuda")
    with pytest.raises(UsageError, match="'--device mps' needs an Apple GPU"):
        resolve_device("mps")


def test_one_gpu_is_not_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(UsageError, match="'--device cuda:1': PyTorch finds only 1 of NVIDIA's GPUs here"):
        resolve_device("cuda:1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_agrees_with_the_cpu_and_with_itself() -> None:
    network = LocalNetwork()
    on_cpu = TorchEngine(LocalNetwork()).run(images())["segment"]
    engine = TorchEngine(network, resolve_device("cuda"))
    on_gpu = engine.run(images())["segment"]
    np.testing.assert_allclose(on_gpu, on_cpu, atol=5e-3)
    assert np.array_equal(engine.run(images())["segment"], on_gpu)
