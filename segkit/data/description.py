"""What a data set looks like: its fingerprint with object sizes and copies, as values and as a short table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segkit.data.fingerprint import fingerprint
from segkit.data.object_sizes import ObjectSizes
from segkit.data.opening import OpenDataset
from segkit.ops.words import counted
from segkit.structures import PARTS

LISTED_CLASSES = 20

_COPIES = {
    "duplicate-across-splits": "equal_across_parts",
    "duplicate-image": "equal_in_one_part",
    "near-duplicate-across-splits": "alike_across_parts",
}


def describe_data(dataset: OpenDataset, objects: ObjectSizes) -> dict[str, Any]:
    """JSON-ready: what `fingerprint` measures, without the hashes, and

    - `object_sizes`: see `ObjectSizes.summary`;
    - `duplicates`: images with equal pixels in different parts and in one, and images that look alike across parts.
    """
    described = fingerprint(dataset)
    del described["hashes"]
    found = {finding.code: len(finding.files) for finding in dataset.findings}
    described["object_sizes"] = objects.summary()
    described["duplicates"] = {name: found.get(code, 0) for code, name in _COPIES.items()}
    return described


def table(described: Mapping[str, Any]) -> list[str]:
    """The description as lines of aligned text: first what differs by part, then what holds for the whole set."""
    parts = [part for part in PARTS if described["images"][part]]
    if not parts:
        return []
    rows = [("", *parts), *_by_part(described, parts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join((name.ljust(widths[0]), *aligned)))
    facts = facts_of(described)
    indent = max(len(name) for name, _ in facts)
    return [*lines, "", *(f"{name.ljust(indent)}  {text}" for name, text in facts)]


def facts_of(described: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What holds for the whole set, as name and text; empty where no image is in any part."""
    return list(_facts(described)) if any(described["images"].values()) else []


def _by_part(described: Mapping[str, Any], parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    yield ("images", *(f"{described['images'][part]:,}" for part in parts))
    if "groups" in described:
        yield ("groups", *(f"{described['groups'][part]:,}" for part in parts))
    images, pixels = described["class_images"], described.get("class_pixels")
    names = list(images[parts[0]])
    for name in names[:LISTED_CLASSES]:
        cells = [f"{images[part][name]:,} images" if images[part][name] != 1 else "1 image" for part in parts]
        if pixels and any(sum(pixels[part].values()) for part in parts):
            shares = [pixels[part][name] / max(1, sum(pixels[part].values())) for part in parts]
            cells = [f"{percent(share)} in {cell}" for share, cell in zip(shares, cells, strict=True)]
        yield (name, *cells)
    if len(names) > LISTED_CLASSES:
        yield (f"and {len(names) - LISTED_CLASSES} more classes", *("" for _ in parts))


def _facts(described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    smallest, middle, largest = (described["sizes"][name] for name in ("smallest", "median", "largest"))
    alike = f"{_by(smallest)} pixels"
    yield "size", alike if smallest == largest else f"{_by(smallest)} to {_by(largest)} pixels, median {_by(middle)}"
    for key, name in (("dtypes", "stored as"), ("channels", "channels")):
        counts = described[key]
        only = len(counts) == 1
        yield name, ", ".join(kind if only else f"{kind} ({counted(n, 'image')})" for kind, n in counts.items())
    if "spacing" in described:
        low, high = described["spacing"]["smallest"], described["spacing"]["largest"]
        yield "spacing", f"{_by(low[::-1])} mm" if low == high else f"{_by(low[::-1])} to {_by(high[::-1])} mm"
    if described["intensities"]:
        yield from _intensities(described["intensities"])
    yield from _objects(described["object_sizes"])
    copies = {name.replace("_", " "): number for name, number in described["duplicates"].items() if number}
    yield "copies", ", ".join(f"{counted(number, 'image')} {name}" for name, number in copies.items()) or "none"


def _objects(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Numbers and areas of objects; where they are those of a sample it is said."""
    images = counted(found["images"], "image")
    measured = "" if found["measured"] == found["images"] else f"measured in {found['measured']:,} of {images}"
    where = f" in {images}" if found["counted"] == found["images"] else ""
    for name, sizes in list(found["classes"].items())[:LISTED_CLASSES]:
        about = [measured] if measured else []
        if sizes["median"] is not None:
            extent = f"{sizes['smallest']:,.0f} to {sizes['largest']:,.0f} pixels, median {sizes['median']:,.0f}"
            about.insert(0, extent)
        yield f"objects of {name}", f"{sizes['objects']:,}{where}" + (f": {', '.join(about)}" if about else "")


def _intensities(intensities: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = min(intensities["low"]), max(intensities["high"])
    yield "values", f"{low:.4g} to {high:.4g} in train (0.1 and 99.9 percentile)"
    means, deviations = (", ".join(f"{value:.4g}" for value in intensities[key]) for key in ("mean", "std"))
    yield "mean, deviation", f"{means}; {deviations}"


def _by(size: Sequence[float]) -> str:
    """(H, W) as people say it: width x height."""
    return f"{size[1]:g} x {size[0]:g}"


def percent(share: float) -> str:
    """A share with as many digits as it needs; small ones are not shown as nothing."""
    if share == 0:
        return "0 %"
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
