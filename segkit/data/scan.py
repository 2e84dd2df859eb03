"""Read every file of a data set once: in parallel, and never again as long as it does not change."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.data.drawing import draw_classes
from segkit.data.facts import ImageFacts, MaskFacts, from_plain, hidden_share, pixel_hash, to_plain
from segkit.data.image_io import read_channels, read_raster
from segkit.data.near_duplicates import thumbnail
from segkit.data.pixel_statistics import count_values, measure_intensities
from segkit.data.readers._size import decoded_bytes
from segkit.data.room import Room
from segkit.data.scan_cache import ScanCache
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.blocks import blocks
from segkit.structures import MASKED, Annotation, MaskFile, Progress, Record, TaskName

__all__ = ["Facts", "ImageFacts", "MaskFacts", "scan"]

LARGE = 2**26
"""Pixels from which on the size that a file of objects states is not believed: a mask of it takes some bytes each."""

ROOM = 2**29
"""Bytes of pixels that are decoded at once, unless one image alone has more: decoding and counting take as many again.
"""

Convert = Literal["gray", "rgb"] | None

SEGMENT: tuple[TaskName, ...] = ("segment",)
"""What is read where nothing else is asked for: images and masks."""


@dataclass(frozen=True)
class Facts:
    """Everything the scan learnt.

    Attributes:
        images: record id -> facts of its image.
        masks: record id -> facts of its mask, for records that have one.
        instances: likewise of what tells its objects apart, where that is not the mask itself.
        notes: what the user should know about the scan itself.
    """

    images: Mapping[str, ImageFacts]
    masks: Mapping[str, MaskFacts]
    instances: Mapping[str, MaskFacts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def scan(
    records: Sequence[Record],
    progress: Progress | None = None,
    convert: Convert = None,
    tasks: Collection[TaskName] = SEGMENT,
) -> Facts:
    """Measure every image and the masks that tasks need; what cannot be read has its reason in the facts' `error`.

    Args:
        records: what to read.
        progress: told about every image and every mask.
        convert: conversion after which mean, deviation and range are measured, so that they are those training sees.
        tasks: which targets are wanted; boxes and labels need no reading.
    """
    masks = _mask_jobs(records) if not set(MASKED).isdisjoint(tasks) else ()
    jobs = [*_image_jobs(records, convert), *masks, *(_instance_jobs(records) if "instances" in tasks else ())]
    cache = ScanCache([path for job in jobs for path in job.paths], _variant(convert))
    facts: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    missing = []
    for job in jobs:
        plain = cache.get(job.key, job.paths)
        if plain is None:
            missing.append(job)
        else:
            facts[job.kind][job.id] = from_plain(_KINDS[job.kind], plain)
    try:
        for done, (job, measured) in enumerate(_measure_all(missing), start=1 + len(jobs) - len(missing)):
            facts[job.kind][job.id] = measured
            if measured.error is None:  # an error may have its cause outside the file: read again next time
                cache.put(job.key, job.paths, to_plain(measured))
            if progress is not None:
                progress(done, len(jobs))
    finally:
        note = cache.save()  # an interrupted scan goes on where it stopped
    return Facts(facts["image"], facts["mask"], facts["instances"], () if note is None else (note,))


_KINDS: dict[str, type[ImageFacts] | type[MaskFacts]] = {"image": ImageFacts, "mask": MaskFacts, "instances": MaskFacts}


@dataclass(frozen=True)
class _Job:
    """One image or mask to measure."""

    kind: Literal["image", "mask", "instances"]
    id: str
    paths: tuple[Path, ...]
    measure: Callable[[], ImageFacts | MaskFacts]
    besides: str = ""
    """What the facts depend on besides the files."""

    @property
    def key(self) -> str:
        """Under which the facts are kept for the files."""
        return f"{self.kind} {self.besides}"


def _image_jobs(records: Sequence[Record], convert: Convert) -> Iterator[_Job]:
    for record in records:
        paths = tuple(path.absolute() for path in record.image_files)
        yield _Job("image", record.id, paths, partial(_measure_image, paths, convert))


def _mask_jobs(records: Sequence[Record]) -> Iterator[_Job]:
    for record in records:
        if isinstance(record.mask, Path):
            path = record.mask.absolute()
            yield _Job("mask", record.id, (path,), partial(_measure_mask, path))
        elif record.mask is not None:
            files = {name: path.absolute() for name, path in record.mask.items()}
            yield _Job("mask", record.id, tuple(files.values()), partial(_measure_class_files, files))
        elif record.annotation is not None:
            yield _job_of_objects("mask", record, record.annotation)


def _instance_jobs(records: Sequence[Record]) -> Iterator[_Job]:
    """Of what tells objects apart beside a mask."""
    for record in records:
        if record.instances is not None:
            path = record.instances.absolute()
            yield _Job("instances", record.id, (path,), partial(_measure_mask, path))
        elif record.annotation is not None and record.mask is not None:
            yield _job_of_objects("instances", record, record.annotation)


def _job_of_objects(kind: Literal["mask", "instances"], record: Record, annotation: Annotation) -> _Job:
    paths = (record.image.absolute(), *_annotation_files(annotation))
    measure = partial(_measure_objects, annotation, record.image.absolute())
    return _Job(kind, record.id, paths, measure, _kinds_of_objects(annotation))


def _kinds_of_objects(annotation: Annotation) -> str:
    """What the objects' own files do not tell: other files name the classes, and decide what a box alone means."""
    kinds = [(one.label, one.ignored, type(one.region).__name__) for one in annotation.objects]
    return hashlib.sha256(repr(kinds).encode()).hexdigest()[:24]


def _annotation_files(annotation: Annotation) -> Iterator[Path]:
    """The files that an annotation's masks depend on."""
    masks = (one.region.path for one in annotation.objects if isinstance(one.region, MaskFile))
    yield from (path.absolute() for path in dict.fromkeys((annotation.source, *masks)))


def _measure_all(jobs: Sequence[_Job]) -> Iterator[tuple[_Job, ImageFacts | MaskFacts]]:
    """Threads, because decoding, hashing and counting leave Python's lock, and facts need no copying back."""
    pool, room = ThreadPoolExecutor(max_workers=_processors()), Room(ROOM)

    def measure(job: _Job) -> ImageFacts | MaskFacts:
        with room.hold(sum(map(decoded_bytes, job.paths))):
            return job.measure()

    try:
        yield from zip(jobs, pool.map(measure, jobs), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _measure_image(paths: Sequence[Path], convert: Convert) -> ImageFacts:
    try:
        raster = read_channels(paths)
        image = raster.image()
    except UnreadableFileError as error:
        return ImageFacts(error=error.reason)
    measured = measure_intensities(image, convert)
    return ImageFacts(
        size=image.shape[:2],
        channels=image.shape[2],
        dtype=image.dtype.name,
        mean=measured.mean,
        std=measured.std,
        percentile_low=measured.percentile_low,
        percentile_high=measured.percentile_high,
        minimum=measured.minimum,
        maximum=measured.maximum,
        pixel_hash=pixel_hash(image),
        orientation=raster.orientation,
        not_finite=measured.not_finite,
        spacing=raster.spacing,
        thumbnail=thumbnail(image),
        hidden=hidden_share(raster.pixels) if raster.alpha else 0.0,
        frames=raster.frames,
    )


def _measure_mask(path: Path) -> MaskFacts:
    try:
        raster = read_raster(path)
        values, distinct, dtype = count_values(raster.mask_blocks())
    except UnreadableFileError as error:
        return MaskFacts(error=error.reason)
    return MaskFacts(
        size=raster.pixels.shape[:2],
        values=values,
        distinct=distinct,
        dtype=dtype,
        kind=raster.kind,
        lossy=raster.lossy,
        orientation=raster.orientation,
    )


def _measure_class_files(files: Mapping[str, Path]) -> MaskFacts:
    """The facts of a mask that has one file per class."""
    claimed: NDArray[np.bool_] | None = None
    sizes, orientations, lossy, pixels = set(), set(), False, {}
    try:
        for name, path in files.items():  # one after the other: a mask may have a hundred classes
            raster = read_raster(path)
            mask = raster.mask() != 0
            sizes.add(mask.shape)
            orientations.add(raster.orientation)
            lossy |= raster.lossy
            pixels[name] = int(np.count_nonzero(mask))
            claimed = mask if claimed is None or claimed.shape != mask.shape else claimed | mask
    except UnreadableFileError as error:
        return MaskFacts(error=f"{error.path.name}: {error.reason}")
    for what, stated in (("sizes", sizes), ("orientations", orientations)):
        if len(stated) > 1:
            return MaskFacts(
                error=f"the files of its classes have different {what}: {', '.join(map(str, sorted(stated)))}"
            )
    return MaskFacts(
        size=sizes.pop(),
        dtype="bool",
        kind="per-class",
        classes=pixels,
        overlap=sum(pixels.values()) - (0 if claimed is None else int(np.count_nonzero(claimed))),
        lossy=lossy,
        orientation=orientations.pop(),
    )


def _measure_objects(annotation: Annotation, image: Path) -> MaskFacts:
    """The facts of a mask drawn from objects, of the size that their file states, else that of the image.

    Nothing is drawn where a file states a large size that is not the image's, which is a finding of its own.
    """
    indices = {label: index for index, label in enumerate(annotation.labels)}
    try:
        size = annotation.size
        if size is None or size[0] * size[1] > LARGE:
            true = read_raster(image).pixels.shape[:2]
            if size is not None and size != true:
                return MaskFacts(size=size, dtype="bool", kind="objects", classes=dict.fromkeys(indices, 0))
            size = true
        painted = draw_classes(annotation, indices, size, unclaimed=len(indices), ignored=len(indices) + 1)
    except (DataError, UnreadableFileError) as error:
        return MaskFacts(error=str(error))
    counts = [np.bincount(block.ravel(), minlength=len(indices) + 2) for block in blocks(painted)]
    *pixels, _, ignored = np.sum(counts, axis=0).tolist()
    return MaskFacts(
        size=size, dtype="bool", kind="objects", classes=dict(zip(indices, pixels, strict=True)), ignored=ignored
    )


def _variant(convert: Convert) -> str:
    """What cached facts depend on besides the files: the conversion, and which facts there are."""
    names = [field.name for kind in _KINDS.values() for field in dataclasses.fields(kind)]
    return f"{convert} {' '.join(names)}"
