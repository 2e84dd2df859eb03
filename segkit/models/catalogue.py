"""What can be built, as rows for people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.models.backbones._base import BACKBONES
from segkit.models.config import DENSE, OBJECT_DECODERS
from segkit.models.decoders._base import DECODERS
from segkit.models.heads.detect import build_detect_head
from segkit.models.options import default_options
from segkit.structures import TASKS, TaskName


def list_models() -> list[dict[str, Any]]:
    """One JSON-ready row per backbone, decoder and head; nothing is built.

    Every row has `name`, `kind` (`backbone`, `decoder` or `head`), `family` (`segkit` or `smp`) and `options`
    (`name=default`, `name=auto` where the default follows from the rest of the network);
    a backbone also has `weights` (the published sets) and `capabilities`, a decoder what it `requires` of them and the
    `heads` it serves, a head what it `reads`.
    Besides the rows every model of timm can be built as backbone `smp/tu-NAME`.
    """
    return [*map(_backbone_row, BACKBONES), *map(_decoder_row, DECODERS), *map(_head_row, TASKS)]


def _backbone_row(name: str) -> dict[str, Any]:
    entry = BACKBONES.get(name)
    defaults = default_options(entry.build)
    if "padded" in defaults:
        defaults["padded"] = None  # the task decides
    return {
        "name": name,
        "kind": "backbone",
        "family": entry.family,
        "options": _listed(defaults),
        "weights": list(entry.published_weights),
        "capabilities": sorted(entry.capabilities),
    }


def _decoder_row(name: str) -> dict[str, Any]:
    entry = DECODERS.get(name)
    return {
        "name": name,
        "kind": "decoder",
        "family": entry.family,
        "options": _listed(default_options(entry.build)),
        "requires": sorted(entry.requires),
        "heads": ["instances"] if name in OBJECT_DECODERS else list(DENSE),
    }


def _head_row(task: TaskName) -> dict[str, Any]:
    return {
        "name": task,
        "kind": "head",
        "family": "segkit",
        "options": _listed(default_options(build_detect_head) if task == "detect" else {}),
        "reads": "decoder" if task in DENSE else "backbone",
    }


def _listed(defaults: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_plain(default)}" for name, default in defaults.items()]


def _plain(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else "auto" if value is None else str(value)
