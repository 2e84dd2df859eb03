"""What a person sees while something runs: lines and progress bars, silent where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[float, int], None]
"""Called with (done, total)."""


class Teller(Console):
    """A console that remembers its lines, so that a run's `log.txt` holds what was said, even if quiet."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(highlight=False, soft_wrap=True, quiet=quiet)
        self._said: list[str] = []
        self._log: Path | None = None

    def tell(self, *lines: str) -> None:
        """Print lines for a person."""
        for line in lines:
            self.print(line, markup=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as a console does, and keep what is text."""
        super().print(*objects, **options)
        self._said += [text for text in objects if isinstance(text, str)]
        self._write()

    def log_to(self, path: Path) -> None:
        """Append all lines so far, and those that come, to a file."""
        self._log = path
        self._write()

    def _write(self) -> None:
        if self._log is not None and self._said:
            with self._log.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in self._said)
            self._said.clear()

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Advance]:
        """A progress bar on a terminal, nothing elsewhere; yields the function to call with (done, total)."""
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        hidden = self.quiet or not self.is_terminal
        with Progress(*columns, console=self, transient=True, disable=hidden) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done, whole: bar.update(task, completed=done, total=whole)
