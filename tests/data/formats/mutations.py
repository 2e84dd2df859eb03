"""Damaged files for parsers of text: bytes changed at random, and JSON values replaced by others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 3, 1e99, 2**70, 0.5, "", "x", "\0", "a" * 5000, "../..", [], [[]], {}, {"a": 1}, [None], "é"
)  # fmt: skip


_STRANGE = (
    b"-1", b"1e99", b"nan", b"inf", b"\0", b"\xff", b"", b" ", b"\n", b"[", b"{", b"&a *a", b"!!x ", b"9" * 30, b": "
)  # fmt: skip


def mutations(original: bytes, count: int) -> Iterator[bytes]:
    """That many damaged variants of a JSON text, the same ones every time: half of bytes, half of values."""
    for seed in range(count):
        chance = random.Random(seed)
        yield _changed_value(original, chance) if seed % 2 else _changed_bytes(original, chance)


def _changed_bytes(original: bytes, chance: random.Random) -> bytes:
    data = bytearray(original)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        how = chance.randrange(4)
        if how == 0:
            data[at] = chance.randrange(256)
        elif how == 1:
            del data[at : at + chance.randint(1, 20)]
        elif how == 2:
            data[at:at] = data[chance.randrange(len(data)) :][: chance.randint(1, 20)]
        else:
            del data[max(at, 1) :]
    return bytes(data) or b"{"


def _changed_value(original: bytes, chance: random.Random) -> bytes:
    content = json.loads(original)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(content))
        if not places:
            break
        holder, key = chance.choice(places)
        if isinstance(holder, dict) and chance.random() < 0.2:
            holder[str(chance.choice(_VALUES))] = holder.pop(key)
        elif chance.random() < 0.2:
            del holder[key]
        else:
            holder[key] = deepcopy(chance.choice(_VALUES))
    return json.dumps(content).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key of a JSON value."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])


def damaged_texts(text: bytes, count: int, seed: int, strange: Sequence[bytes] = _STRANGE) -> list[bytes]:
    """Variants of a text with one to three pieces cut, doubled or replaced by something strange."""
    rng, variants = np.random.default_rng(seed), []
    for _ in range(count):
        damaged = text
        for _ in range(rng.integers(1, 4)):
            start = int(rng.integers(len(damaged) + 1))
            end = start + int(rng.integers(8))
            piece = (strange[int(rng.integers(len(strange)))], damaged[start:end] * 2)[int(rng.random() < 0.3)]
            damaged = damaged[:start] + piece + damaged[end:]
        variants.append(damaged)
    return variants
