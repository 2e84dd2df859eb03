"""The data section: images per part, what they look like, and how the classes are spread over the parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segkit.report.run_files import RunFiles

_LISTED_CLASSES = 40


def data_summary(run: RunFiles) -> dict[str, Any] | None:
    """Counts per part, facts about the images and the share of each class per part; None where nothing is known."""
    if not (run.fingerprint or run.splits):
        return None
    images = run.fingerprint.get("images") or {part: len(ids) for part, ids in run.splits.items()}
    parts = [part for part, count in images.items() if count]
    counts = [{"name": "Images", "counts": [images[part] for part in parts]}]
    if run.fingerprint.get("groups"):
        counts.append({"name": "Groups", "counts": [run.fingerprint["groups"][part] for part in parts]})
    return {
        "parts": parts,
        "counts": counts,
        "classes": _class_shares(run, parts),
        "of": "pixels" if "class_pixels" in run.fingerprint else "images",
        "facts": [*_facts(run.fingerprint), *_preprocessing(run.config)],
    }


def css_color(color: Sequence[int]) -> str:
    """An RGB colour for a style attribute; whatever is no number cannot pass."""
    red, green, blue = (int(value) for value in color)
    return f"rgb({red} {green} {blue})"


def _class_shares(run: RunFiles, parts: list[str]) -> list[dict[str, Any]]:
    """Share of each class of the pixels (segmentation) or images (classification) per part."""
    counts = run.fingerprint.get("class_pixels") or run.fingerprint.get("class_images") or {}
    if not counts:
        return []
    colors = {row["name"]: css_color(row["color"]) for row in run.scores.get("classes", [])}
    totals = {part: max(1, sum(counts[part].values())) for part in parts}
    names = list(counts[parts[0]])[:_LISTED_CLASSES]
    return [
        {
            "name": name,
            "css": colors.get(name, "transparent"),
            "shares": [counts[part][name] / totals[part] for part in parts],
        }
        for name in names
    ]


def _facts(fingerprint: dict[str, Any]) -> list[tuple[str, str]]:
    """Sizes, spacing, types, channels and intensities in words."""
    facts = []
    for name, (height, width) in (fingerprint.get("sizes") or {}).items():
        facts.append((f"{name.capitalize()} image", f"{width:g} × {height:g} pixels"))
    if spacing := fingerprint.get("spacing"):
        rows, columns = zip(*(spacing[name] for name in ("smallest", "median", "largest")), strict=True)
        words = " × ".join(f"{low:.3g} to {high:.3g} ({middle:.3g})" for low, middle, high in (rows, columns))
        facts.append(("Spacing (median)", f"{words} mm, {spacing['images']} images"))
    for key, title in (("dtypes", "Stored as"), ("channels", "Channels")):
        if found := fingerprint.get(key):
            facts.append((title, ", ".join(f"{kind} ({count} images)" for kind, count in found.items())))
    if intensities := fingerprint.get("intensities"):
        ranges = zip(intensities["low"], intensities["high"], strict=True)
        facts.append(("Stored values", ", ".join(f"{low:.5g} to {high:.5g}" for low, high in ranges)))
        for key, title in (("mean", "Mean per channel"), ("std", "Deviation per channel")):
            facts.append((title, ", ".join(f"{value:.4g}" for value in intensities[key])))
    return facts


def _preprocessing(config: dict[str, Any]) -> list[tuple[str, str]]:
    """How stored values became the network's, and what the channels show."""
    names = (config.get("data") or {}).get("channel_names")
    facts = [("Channels show", ", ".join(map(str, names)))] if names else []
    return [*facts, *([("Normalization", str(config["normalization"]))] if config.get("normalization") else [])]
