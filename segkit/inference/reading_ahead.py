"""What is needed next is read while the present is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(read: Callable[[Item], Content], items: Iterable[Item]) -> Iterator[tuple[Item, Content]]:
    """Each item with what `read` gives for it; one thread reads, in their order, and is one item ahead.

    Raises what `read` does, when the item's turn has come.
    """
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        waiting: tuple[Item, Future[Content]] | None = None
        for item in items:
            following = item, thread.submit(read, item)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting is not None:
            yield waiting[0], waiting[1].result()
