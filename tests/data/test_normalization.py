"""What each normalization takes from the training images, by hand and by nnU-Net's formula."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segkit.data import normalization
from segkit.data.facts import ImageFacts
from segkit.data.fingerprint import fingerprint
from segkit.data.normalization import choose_normalization, measure_foreground, measure_intensities, pipeline_settings
from segkit.data.opening import OpenDataset, open_dataset
from segkit.errors import UsageError
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap, Record


def facts(low: float, high: float, channels: int = 1) -> ImageFacts:
    return ImageFacts(
        size=(2, 2),
        channels=channels,
        dtype="uint16",
        mean=((low + high) / 2,) * channels,
        std=(1.0,) * channels,
        percentile_low=(low,) * channels,
        percentile_high=(high,) * channels,
    )


def write_set(root: Path, images: dict[str, NDArray[Any]], masks: dict[str, NDArray[np.uint8]]) -> OpenDataset:
    """Names start with the part of the split."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for name, image in images.items():
        tifffile.imwrite(root / "images" / f"{name}.tif", image)
        Image.fromarray(masks[name]).save(root / "masks" / f"{name}.png")
    (root / "split.csv").write_text("id,split\n" + "".join(f"{name},{name.split('_')[0]}\n" for name in images))
    return open_dataset(root)


def test_pooled_statistics_by_hand() -> None:
    """Two images of 4 and 12 pixels: mean (4 * 2 + 12 * 6) / 16, variance of all pixels about it."""
    one = ImageFacts(size=(2, 2), mean=(2.0,), std=(1.0,), percentile_low=(1.0,), percentile_high=(3.0,))
    two = ImageFacts(size=(3, 4), mean=(6.0,), std=(2.0,), percentile_low=(2.0,), percentile_high=(9.0,))
    found = measure_intensities([one, two], ["a", "b"])
    assert (found["low"], found["high"], found["mean"]) == ([1.0], [9.0], [5.0])
    assert found["std"] == pytest.approx([((4 * (1 + 9) + 12 * (4 + 1)) / 16) ** 0.5])
    assert found["deviations"] == pytest.approx([1.05, 1.95])  # 1 and 2
    assert found["ranges"] == pytest.approx([2.25, 6.75])  # 2 and 7: 5 and 95 % of the way between


def test_images_of_one_volume_are_judged_by_its_widest() -> None:
    """The slices at the ends of a scan show next to nothing, and say nothing of the scanner's scale."""
    slices = [facts(0, high) for high in (5, 900, 1000, 4, 1100, 1200)]
    assert measure_intensities(slices, ["a"] * 3 + ["b"] * 3)["ranges"] == pytest.approx([1010, 1190])
    assert measure_intensities([facts(3, 3), facts(0, 8)], ["a", "b"])["ranges"] == [8, 8], "empty ones do not count"
    assert measure_intensities([facts(3, 3)], ["a"])["ranges"] == [0, 0]


@pytest.mark.parametrize(
    ("dtypes", "ranges", "name", "why"),
    [
        ({"uint8": 3}, [1.0, 200.0], "8bit", "stored as uint8"),
        ({"uint16": 3}, [100.0, 1000.0], "percentile", "from 100 to 1000 .*, less than 10 times: they have one scale"),
        ({"uint16": 3}, [100.0, 1001.0], "zscore", "from 100 to 1001 .*, more than 10 times: they have no scale"),
        ({"uint8": 1, "float32": 9}, [104.0, 464000.0], "zscore", "from 104 to 4.64e[+]05"),
        ({"uint16": 1}, [0.0, 0.0], "percentile", "one scale"),
    ],
)
def test_the_choice(dtypes: dict[str, int], ranges: list[float], name: str, why: str) -> None:
    chosen, reason = choose_normalization({"ranges": ranges, "deviations": [10.0, 40.0]}, dtypes)
    assert chosen == name
    assert re.search(why, reason)


def test_8_bit_images_of_unequal_contrast_have_no_scale_in_common() -> None:
    chosen, reason = choose_normalization({"ranges": [1.0, 200.0], "deviations": [10.0, 40.1]}, {"uint8": 3})
    assert chosen == "zscore"
    assert "stored as uint8, and their deviations go from 10 to 40.1" in reason


def test_ct_is_that_of_nnunet(tmp_path: Path) -> None:
    """`CTNormalization.run` of nnU-Net's version 2, with the statistics of all training foreground voxels."""
    generator = np.random.default_rng(0)
    images = {
        f"{part}_{i}": generator.normal(40, 300, (24, 31)).astype(np.float32)
        for part in ("train", "val", "test")
        for i in range(3)
    }
    masks = {name: (generator.random((24, 31)) < 0.3).astype(np.uint8) for name in images}
    dataset = write_set(tmp_path, images, masks)
    found = fingerprint(dataset, foreground=True)["intensities"]
    foreground = np.concatenate([images[name][masks[name] > 0] for name in images if name.startswith("train")])
    lower, upper = np.percentile(foreground, [0.5, 99.5])
    assert found["foreground"]["low"] == pytest.approx([lower])
    assert found["foreground"]["high"] == pytest.approx([upper])
    pipeline = Pipeline(channels=1, **pipeline_settings("ct", found))
    for image in images.values():
        expected = (np.clip(image, lower, upper) - foreground.mean()) / max(float(foreground.std()), 1e-8)
        np.testing.assert_allclose(pipeline.prepare(image)[0], expected, atol=1e-5)


def test_the_foreground_is_drawn_evenly_where_there_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, masks = {}, {}
    for number in range(4):
        name = f"train_{number}" if number < 2 else f"{('val', 'test')[number - 2]}_0"
        images[name] = np.full((10, 10 * (1 + 9 * number)), number + 1, np.float32)
        images[name][0, 0] = 0
        masks[name] = np.ones(images[name].shape, np.uint8)
        masks[name][0, 0] = 0
    dataset = write_set(tmp_path, images, masks)
    whole = measure_foreground(dataset.split("train"), dataset.classes)
    assert whole["mean"] == pytest.approx([(99 * 1 + 999 * 2) / 1098])
    monkeypatch.setattr(normalization, "FOREGROUND_VALUES", 20)
    drawn = measure_foreground(dataset.split("train"), dataset.classes)
    assert drawn == measure_foreground(dataset.split("train"), dataset.classes), "with a fixed seed"
    assert drawn["mean"] == [1.5], "ten of each image"


def test_ct_needs_foreground() -> None:
    with pytest.raises(UsageError, match="--normalization ct: the training images show no foreground"):
        measure_foreground([Record("a", Path("a.png"))][:0], ClassMap(("background", "x")))


def test_channels_are_scaled_by_themselves() -> None:
    found = {"low": [0.0, -5.0], "high": [100.0, 5.0], "mean": [50.0, 0.0], "std": [10.0, 2.0]}
    settings = pipeline_settings("percentile", found)
    assert (settings["low"], settings["high"]) == ((0.0, -5.0), (100.0, 5.0))
    assert (settings["mean"], settings["std"]) == ((0.5, 0.5), (0.1, 0.2))
    assert pipeline_settings("8bit", found)["high"] == 255.0
