"""The finished rows of a mask on disk, from which an interrupted prediction is taken up. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import OutputError
from segkit.ops.files import write_atomically


class MaskPart:
    """Two files beside the place of a mask: `.NAME.part`, its rows as they are, and `.NAME.state`, how many of them.

    The state is written when the rows are on the disk, so a process or a machine that stops at any moment leaves a
    state that is true. It names what is predicted: rows of anything else are not taken up.

    Args:
        mask: where the mask will be.
        width: pixels of a row.
        dtype: of the ids.
        of: text that is the same where the same rows would be predicted again.
    """

    def __init__(self, mask: Path, width: int, dtype: type[np.uint8] | type[np.uint16], of: str) -> None:
        self.mask = mask
        self.path = mask.with_name(f".{mask.name}.part")
        self._state = mask.with_name(f".{mask.name}.state")
        self._width, self._dtype, self._of = width, np.dtype(dtype), of
        self._row_bytes = width * self._dtype.itemsize

    def take_up(self) -> int:
        """The number of rows that were finished before, 0 where there are none of the same mask."""
        try:
            state = json.loads(self._state.read_bytes())
            same = state["of"] == self._of and self.path.stat().st_size >= state["rows"] * self._row_bytes
            return int(state["rows"]) if same else 0
        except (OSError, ValueError, KeyError, TypeError):  # none, or none of ours
            return 0

    def write(self, rows: int, band: NDArray[Any]) -> None:
        """Put a band (h, W) of ids after the first `rows`, and in the place of what may stand there.

        Raises `OutputError`; what was finished before stays.
        """
        with self._said():
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            with os.fdopen(descriptor, "rb+") as file:
                file.truncate(rows * self._row_bytes)
                file.seek(rows * self._row_bytes)
                file.write(np.ascontiguousarray(band, self._dtype).data)
                file.flush()
                os.fsync(file.fileno())
            state = json.dumps({"of": self._of, "rows": rows + len(band)})
            write_atomically(self._state, state.encode())

    def bands(self, height: int) -> Iterator[NDArray[Any]]:
        """All rows, `height` at a time; raises `OutputError`."""
        with self._said(), self.path.open("rb") as file:
            while content := file.read(height * self._row_bytes):
                yield np.frombuffer(content, self._dtype).reshape(-1, self._width)

    def remove(self) -> None:
        """Remove both files."""
        self._state.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (OSError, OutputError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OutputError(
                f"cannot write {self.path}: {reason}; free space and give the same command again, which goes on from "
                "the rows that are done"
            ) from None
