"""Damaged files are refused by name or read as images: no reader crashes, hangs, or takes what a head claims."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.readers import fuzz

SECONDS = 40
"""Most processor time of all readers together."""


def test_damaged_files_never_harm(tmp_path: Path) -> None:
    """In another process, whose memory is limited and whose crash is told by the seed it was at."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "tests.data.readers.fuzz", str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail(f"a reader hangs: {(tmp_path / 'seed').read_text()}")
    assert done.returncode == 0, f"a reader crashes: {(tmp_path / 'seed').read_text()}; {done.stderr[-500:]}"
    assert done.stdout == ""
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < SECONDS


def test_every_reader_is_fuzzed() -> None:
    from segkit.data.image_io import IMAGE_SUFFIXES
    from segkit.data.readers._base import READERS

    fuzzed = {suffix for suffix, _ in fuzz.KINDS.values()}
    readers = {READERS.get(suffix or ".idx") for suffix in fuzzed}
    assert {READERS.get(suffix) for suffix in IMAGE_SUFFIXES} <= readers
    assert {".png", ".jpg", ".bmp", ".webp", ".gif", ".tif", ".nii", ".nii.gz", ".dcm"} <= fuzzed


def test_mutations_are_the_same_every_time_and_damage() -> None:
    data = bytes(range(256)) * 4
    mutated = [fuzz.mutate(data, seed) for seed in range(100)]
    assert mutated == [fuzz.mutate(data, seed) for seed in range(100)]
    assert sum(one != data for one in mutated) > 90
