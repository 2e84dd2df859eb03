"""Names for the things a user can choose: backbones, decoders, losses, data formats.

A part registers itself with a decorator when its module is imported; the registry imports every module of its package
on the first look-up. Adding a part therefore means adding one file and editing none.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from segkit.errors import UsageError, nearest

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """A table from name to part, filled by the modules of one package.

    Args:
        kind: what the parts are called in messages, for example `"backbone"`.
        package: the package whose modules register the parts; modules that start with an underscore are skipped.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._parts: dict[str, Part] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[Part], Part]:
        """Decorator that files a part under `name`; raises `ValueError` if the name is taken."""

        def add(part: Part) -> Part:
            if name in self._parts:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._parts[name] = part
            return part

        return add

    def get(self, name: str) -> Part:
        """The part called `name`; raises `UsageError` that names the nearest one."""
        self._discover()
        if name not in self._parts:
            hint = nearest(name, self._parts) or f" Allowed: {', '.join(list(self._parts)[:12])}."
            raise UsageError(f"unknown {self.kind} {name!r}.{hint} 'segkit models' lists all.")
        return self._parts[name]

    def names(self) -> list[str]:
        """All names in the order of registration."""
        self._discover()
        return list(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: str) -> bool:
        self._discover()
        return name in self._parts

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self._package}.{module.name}")
