"""What is predicted and written in one go: an image, or a volume slice by slice."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import write_image, write_mask
from segkit.data.readers._base import cut_suffix, suffix_of
from segkit.data.volume_io import TIFF_SUFFIXES, write_volume
from segkit.inference.items import Item, VolumeItem
from segkit.inference.object_files import write_objects
from segkit.inference.predictor import Predictor
from segkit.inference.results import ClassificationResult, SegmentationResult
from segkit.ops.files import make_folder, write_atomically
from segkit.visualization.overlay import overlay as draw_overlay

Row = Mapping[str, Any]
"""One row of the summary."""


@dataclass(frozen=True)
class Job:
    """One image or volume, and where its results go.

    Attributes:
        item: what is predicted.
        out: the folder of all results.
        name: of its results, without suffix.
        overlay: whether the mask is drawn over the image as well.
        probabilities: whether the probabilities of the classes are written as well.
    """

    item: Item
    out: Path
    name: str
    overlay: bool
    probabilities: bool

    @property
    def file(self) -> Path:
        """What the tables call it."""
        return self.item.name

    @property
    def mask_file(self) -> Path:
        """A volume's mask is a volume: NIfTI, or a TIFF stack for a TIFF stack."""
        suffix = ".png"
        if isinstance(self.item, VolumeItem):
            own = suffix_of(self.item.path)
            suffix = ".tif" if own in TIFF_SUFFIXES else own if own == ".nii" else ".nii.gz"
        return self.out / "masks" / f"{self.name}{suffix}"

    @property
    def targets(self) -> tuple[Path, ...]:
        """The files that could stand where an input does."""
        return self.mask_file, self._overlay_file(self.name), self._probabilities_file(self.name)

    def run(self, predictor: Predictor) -> list[Row]:
        """Predict, write the results, and return the rows of the summary."""
        if isinstance(self.item, VolumeItem):
            return self._run_volume(self.item, predictor)
        image = self.item.image()
        result = predictor.predict(image, probabilities=self.probabilities)
        if isinstance(result, ClassificationResult):
            best_first = result.top(len(result.names))
            return [{"image": self.file, "class": name, "probability": f"{share:.6f}"} for name, share in best_first]
        if isinstance(result, SegmentationResult):
            make_folder(self.mask_file.parent)
            write_mask(self.mask_file, result.mask, result.classes)
            self._write_further(self.name, image, result)
            return self._areas(result)
        return write_objects(self, result, image, predictor.pipeline.objects.threshold)

    def _run_volume(self, volume: VolumeItem, predictor: Predictor) -> list[Row]:
        mask = np.empty(volume.grid.shape, predictor.classes.id_dtype)
        for position, image in enumerate(item.image() for item in volume.slices):
            result = predictor.segment(image, probabilities=self.probabilities)
            np.moveaxis(mask, volume.axis, 0)[position] = result.mask
            self._write_further(f"{self.name}/{volume.slices[position].name.stem}", image, result)
        make_folder(self.mask_file.parent)
        write_volume(self.mask_file, mask, volume.grid, volume.path)
        return self._areas(SegmentationResult(mask, predictor.classes))

    def _write_further(self, name: str, image: NDArray[Any], result: SegmentationResult) -> None:
        if self.overlay:
            make_folder(self._overlay_file(name).parent)
            write_image(self._overlay_file(name), draw_overlay(image, result.mask, result.classes))
        if result.probabilities is not None:
            make_folder(self._probabilities_file(name).parent)
            content = _npz(probabilities=result.probabilities, classes=result.classes.names)
            write_atomically(self._probabilities_file(name), content)

    def _overlay_file(self, name: str) -> Path:
        return self.out / "overlays" / f"{name}.png"

    def _probabilities_file(self, name: str) -> Path:
        return self.out / "probabilities" / f"{name}.npz"

    def _areas(self, result: SegmentationResult) -> list[Row]:
        return [
            {"image": self.file, "class": name, "pixels": pixels, "share": f"{pixels / result.mask.size:.6f}"}
            for name, pixels in result.areas().items()
        ]


def make_jobs(items: Sequence[Item], out: Path, overlay: bool, probabilities: bool) -> list[Job]:
    """One job per image or volume; the arguments are the attributes of `Job`."""
    named = output_names([item.name for item in items])
    return [Job(item, out, name, overlay, probabilities) for item, name in zip(items, named.values(), strict=True)]


def output_names(files: Sequence[Path]) -> dict[Path, str]:
    """Names for results, one rule for all files: the stem; where stems repeat the path below the files' common folder
    without suffix; where these repeat too the path with suffix. Case does not tell names apart, as on some disks."""
    if not files:
        return {}
    root = Path(commonpath([file.absolute().parent for file in files]))
    below = [file.absolute().relative_to(root) for file in files]
    rules = [[cut_suffix(path.name)[0] for path in below], [cut_suffix(path.as_posix())[0] for path in below]]
    fallback = [path.as_posix() for path in below]
    names = next((names for names in rules if len({name.casefold() for name in names}) == len(files)), fallback)
    return dict(zip(files, names, strict=True))


def _npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()
