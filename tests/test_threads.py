"""Threads that wait must leave the processor to others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PRINT_POLICY = "import os, segkit, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.parametrize(("given", "wanted"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_is_passive_unless_the_user_says_otherwise(given: str | None, wanted: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    printed = subprocess.check_output([sys.executable, "-c", PRINT_POLICY], env=environment, text=True)
    assert printed.split() == [wanted, "False"]  # torch reads it when it is imported, which comes later
