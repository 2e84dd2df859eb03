"""What the objects of a prediction share with those marked in an image."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.data.drawing import regions
from segkit.metrics.masks import Overlaps, Region, overlaps_of_ids, overlaps_of_regions
from segkit.structures import IGNORE_INDEX, ClassMap, Instances, Sample


def marked_overlaps(sample: Sample, classes: ClassMap, prediction: Instances) -> Overlaps:
    """With outlines as they were marked, those below others whole; else with the objects' pixels in one image of ids.

    Args:
        sample: with `instances`.
        classes: background and the classes of objects.
        prediction: of the same size.
    """
    assert sample.instances is not None
    annotation = sample.record.annotation
    if sample.record.instances is not None or annotation is None or _has_background(sample, classes):
        return overlaps_of_ids(sample.instances, prediction)
    return overlaps_of_regions(_marked(sample, classes), prediction)


def _has_background(sample: Sample, classes: ClassMap) -> bool:
    """Whether there are regions of background: these take away what lies below them, which pixels alone tell."""
    annotation, background = sample.record.annotation, classes.background
    return annotation is not None and background is not None and classes.names[background] in annotation.labels


def _marked(sample: Sample, classes: ClassMap) -> Iterator[Region]:
    """The regions of objects and crowds, and in the end all else that does not count."""
    assert sample.record.annotation is not None and sample.instances is not None  # noqa: PT018
    indices = {name: index for index, name in enumerate(classes.names)}
    not_counted = sample.instances.ids == IGNORE_INDEX
    height, width = not_counted.shape
    for one, pixels in regions(sample.record.annotation, (height, width)):
        if one.label in indices:
            yield Region(indices[one.label], one.ignored, pixels, one.area)
            if one.ignored:
                not_counted &= ~pixels
    yield Region(IGNORE_INDEX, True, not_counted)
