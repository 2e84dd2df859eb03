"""A bound on what several threads hold in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class Room:
    """Room for so many bytes, given to those who ask in their order; who asks for more than there is has it alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._holders = 0
        self._turn = Lock()
        self._left = Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait for room, and have it inside the block."""
        with self._turn, self._left:
            self._left.wait_for(lambda: not self._holders or self._used + size <= self._size)
            self._used, self._holders = self._used + size, self._holders + 1
        try:
            yield
        finally:
            with self._left:
                self._used, self._holders = self._used - size, self._holders - 1
                self._left.notify_all()
