"""Names for the things a user can choose: backbones, decoders, losses, data formats.

A part registers itself with a decorator when its module is imported; the registry imports every module of its package
on the first look-up. Adding a part therefore means adding one file and editing none.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from segkit.errors import UsageError, nearest

Part = TypeVar("Part")

SHOWN = 12
"""Names listed in a message."""


@dataclass(frozen=True)
class _Family(Generic[Part]):
    make: Callable[[str], Part]
    names: Callable[[], Iterable[str]]


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
        self._families: dict[str, _Family[Part]] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[Part], Part]:
        """Decorator that files a part under `name`; raises `ValueError` if the name is taken."""

        def add(part: Part) -> Part:
            if name in self._parts:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._parts[name] = part
            return part

        return add

    def register_family(
        self, prefix: str, names: Callable[[], Iterable[str]]
    ) -> Callable[[Callable[[str], Part]], Callable[[str], Part]]:
        """Decorator that files a maker of parts for every name that starts with `prefix`.

        Nothing of a family is imported until one of its names is asked for. The maker takes the full name and raises
        `UsageError` for a name it does not know; `names` lists the names to show.
        """

        def add(make: Callable[[str], Part]) -> Callable[[str], Part]:
            if prefix in self._families:
                raise ValueError(f"{self.kind} family {prefix!r} is registered twice")
            self._families[prefix] = _Family(make, names)
            return make

        return add

    def get(self, name: str) -> Part:
        """The part called `name`; raises `UsageError` that names the nearest one."""
        self._discover()
        if name in self._parts:
            return self._parts[name]
        for prefix, family in self._families.items():
            if name.startswith(prefix):
                return family.make(name)
        raise self.unknown(name)

    def unknown(self, name: str) -> UsageError:
        """The error for a name that nothing here has, with the nearest one."""
        names = self.names()
        more = f" and {len(names) - SHOWN} more ('segkit models' lists all)" if len(names) > SHOWN else ""
        return UsageError(
            f"unknown {self.kind} {name!r}.{nearest(name, names)} Allowed: {', '.join(names[:SHOWN])}{more}."
        )

    def names(self) -> list[str]:
        """All names in the order of registration, then those of the families."""
        self._discover()
        return [*self._parts, *(name for family in self._families.values() for name in family.names())]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: str) -> bool:
        self._discover()
        families = ((prefix, family) for prefix, family in self._families.items() if name.startswith(prefix))
        return name in self._parts or any(name in family.names() for _, family in families)

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self._package}.{module.name}")
