"""Where the check stores the fingerprint of a data set: a JSON file beside the facts that the scan keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.data.fingerprint import fingerprint
from segkit.data.opening import OpenDataset
from segkit.data.scan_cache import cache_folder
from segkit.ops.files import make_folder, write_atomically


def store_fingerprint(dataset: OpenDataset, described: Mapping[str, Any]) -> Path:
    """Write what was measured, with the hashes of the images, over what an earlier check with the same options wrote.

    The file lies in `fingerprints/` of the cache folder and is called after the data set, with some letters that stand
    for its place and the options; it holds `data`, `task`, what `described` holds, and the `hashes` of `fingerprint`.

    Args:
        dataset: the data set.
        described: of `segkit.data.description.describe_data`.

    Raises:
        OutputError: the file cannot be written.
    """
    root = dataset.root.resolve()
    asked = json.dumps([str(root), list(dataset.heads), dataset.config.model_dump(mode="json")])
    name = f"{root.name}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.json"
    stored = {"data": str(root), "task": dataset.task, **described, "hashes": fingerprint(dataset)["hashes"]}
    path = make_folder(cache_folder() / "fingerprints") / name
    write_atomically(path, json.dumps(stored, indent=1).encode())
    return path
