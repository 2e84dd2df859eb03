"""One large image in tiles: segkit beside MONAI's sliding window, by time and by memory.

    pip install --no-deps monai
    python -m benchmarks.tiled [--size 10000] [--rounds 3] [--precision fp32] [--exported FILE]

Both read the same tiled TIFF and write a compressed TIFF of class ids, with the same network (U-Net/ResNet-34 with
random weights), tiles, overlap, Gaussian window and precision. They take turns, each in a process of its own, whose
time counts from the loaded network to the written mask; memory is the most that the process had resident.
With `--folder` image and model are kept, so that the model can be exported; `--exported` measures that file as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import tifffile
from numpy.typing import NDArray

CLASSES = ("background", "one", "other")
IMAGE, MODEL = "image.tif", "model.safetensors"


def make_image(path: Path, size: int) -> None:
    """Smooth noise, a part at a time."""
    generator, side = np.random.default_rng(0), 512

    def tiles() -> Iterator[NDArray[np.uint8]]:
        for _ in range((-(-size // side)) ** 2):
            coarse = generator.integers(0, 256, (side // 16, side // 16, 3), np.uint8)
            yield coarse.repeat(16, axis=0).repeat(16, axis=1)

    options = {"tile": (side, side), "photometric": "rgb", "compression": "zlib"}
    tifffile.imwrite(path, tiles(), shape=(size, size, 3), dtype=np.uint8, **options)


def make_model(path: Path, tile: int, precision: str) -> None:
    """A network as a training would save it, but not trained."""
    import torch

    from segkit.modelfile import ModelCard, save_model_file
    from segkit.models.factory import create_model
    from segkit.pipeline import Pipeline
    from segkit.structures import ClassMap

    torch.manual_seed(0)
    network = create_model("smp/resnet34", "smp/unet", num_classes=len(CLASSES))
    pipeline = Pipeline.parse(
        {
            "channels": 3,
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
            "tile": tile,
            "stride_multiple": network.stride_multiple,
            "precision": precision,
        }
    )
    card = ModelCard(
        heads={"segment": ClassMap(CLASSES).to_dict()},
        model=network.config.model_dump(mode="json"),
        pipeline=pipeline.model_dump(mode="json"),
    )
    save_model_file(path, {name: value.numpy() for name, value in network.state_dict().items()}, card)


def run_segkit(folder: Path, model: Path) -> float:
    """Predict as `segkit predict` does; seconds."""
    from segkit.inference import image_parts
    from segkit.inference.loading import load
    from segkit.inference.writer import write_predictions

    image_parts.LARGE = 1  # a small image for a trial goes the same way
    predictor = load(model, device="cpu")
    begin = time.perf_counter()
    summary = write_predictions(predictor, [folder / IMAGE], folder / "segkit", tell=_tell)
    assert not summary.errors, summary.errors
    return time.perf_counter() - begin


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def run_monai(folder: Path, model: Path) -> float:
    """Read the image, slide MONAI's window over it, write the classes; seconds."""
    import torch
    from monai.inferers import sliding_window_inference

    from segkit.data.image_io import read_image
    from segkit.inference.engines.torch import TorchEngine
    from segkit.inference.loading import load

    predictor = load(model, device="cpu")
    engine, pipeline = predictor.engine, predictor.pipeline
    assert isinstance(engine, TorchEngine)
    begin = time.perf_counter()
    images = torch.from_numpy(pipeline.prepare(read_image(folder / IMAGE)))[None]

    def window(tile: torch.Tensor) -> torch.Tensor:
        return engine.model(tile.contiguous(memory_format=torch.channels_last))["segment"]

    engine.model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=engine.precision == "bf16"):
        scores = sliding_window_inference(
            images, (pipeline.tile, pipeline.tile), 1, window, overlap=pipeline.overlap, mode="gaussian"
        )
    ids = scores[0].argmax(0).to(torch.uint8).numpy()
    tifffile.imwrite(folder / "monai.tif", ids, tile=(512, 512), compression="zlib")
    return time.perf_counter() - begin


def measure(contestant: str, folder: Path, model: Path) -> tuple[float, float]:
    """Seconds and MiB of a contestant in a process of its own."""
    options = ["--folder", str(folder), "--only", contestant, "--model", str(model)]
    command = [sys.executable, "-m", "benchmarks.tiled", *options]
    seconds, mebibytes = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    return seconds, mebibytes


def report(measured: dict[str, list[tuple[float, float]]]) -> None:
    """A table of medians, and of ratios to MONAI within each round."""
    print("| | seconds | MiB | time, MONAI / this | memory, this / MONAI |\n| --- | --- | --- | --- | --- |")
    for name, rows in measured.items():
        seconds, mebibytes = (median(column) for column in zip(*rows, strict=True))
        pairs = list(zip(rows, measured["monai"], strict=True))
        faster = median(other[0] / own[0] for own, other in pairs)
        smaller = median(own[1] / other[1] for own, other in pairs)
        print(f"| {name} | {seconds:.1f} | {mebibytes:.0f} | {faster:.2f} | {smaller:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000, help="height and width of the image (%(default)s)")
    parser.add_argument("--tile", type=int, default=640, help="height and width of a tile (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (%(default)s)")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--exported", type=Path, help="the model exported, measured as well")
    parser.add_argument("--folder", type=Path, help="where image, model and masks are kept")
    parser.add_argument("--only", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        import resource

        seconds = RUNS[options.only](options.folder, options.model)
        print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        compare(folder, options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Make what is needed, let the contestants take turns, and print the table."""
    folder.mkdir(exist_ok=True)
    make_image(folder / IMAGE, options.size)
    make_model(folder / MODEL, options.tile, options.precision)
    runs = {"segkit": folder / MODEL, "monai": folder / MODEL}
    if options.exported:
        runs = {**runs, f"segkit, {options.exported.name}": options.exported}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, model in runs.items():
            measured[name].append(measure(name.split(",")[0], folder, model))
    print(
        f"{options.size} x {options.size} pixels, tiles of {options.tile}, {options.precision}, {os.cpu_count()} cores"
    )
    report(measured)
    if not options.exported:  # whose mask is the last that was written
        ours, theirs = (tifffile.imread(folder / name) for name in ("segkit/masks/image.tif", "monai.tif"))
        print(f"classes agree in {(ours == theirs).mean():.4%} of pixels")


RUNS: dict[str, Callable[[Path, Path], float]] = {"segkit": run_segkit, "monai": run_monai}

if __name__ == "__main__":
    main()
