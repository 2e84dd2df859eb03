"""Public data sets by name: what they hold, under which licence, where they come from and how they are laid out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from segkit.config import Config, read_yaml
from segkit.errors import UsageError, nearest
from segkit.structures import Color, TaskName

FILE = Path(__file__).with_name("catalogue.yaml")


class RemoteFile(Config):
    """A file to download, with a checksum where its publisher, or a library that checks it, states one."""

    url: str
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")

    @property
    def name(self) -> str:
        """The file's name at the end of its address."""
        return Path(urlsplit(self.url).path).name

    @property
    def checksum(self) -> tuple[Literal["sha256", "md5"], str] | None:
        """The stronger checksum that is known, with its kind."""
        if self.sha256 is not None:
            return "sha256", self.sha256
        return None if self.md5 is None else ("md5", self.md5)


class CatalogueClass(Config):
    """A class, its id in the masks (else its position) and colour; `void` is not counted."""

    name: str
    id: int | None = None
    color: Color | None = None
    void: bool = False


class Take(Config):
    """Files of the unpacked source that are put into a folder of the data set.

    `from_` holds patterns for the last parts of their paths, the first that finds any is used; of several folders that
    hold such files the topmost is. `as_`: `copy` bytes; `binary`: save a mask of two values that JPEG blurred as PNG of
    0 and 255. `map`: save a mask as PNG with these values in place of those of the file.
    """

    from_: tuple[str, ...] = Field(alias="from")
    to: str
    as_: Literal["copy", "binary"] = Field("copy", alias="as")
    map: dict[int, int] = Field(default_factory=dict)

    @field_validator("from_", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given


class Score(Config):
    """A published result."""

    score: str
    of: str
    source: str


class PublicSet(Config):
    """One entry of the catalogue.

    Attributes are the fields of `catalogue.yaml`: `images` counts them per official part, `content` holds the MD5 of
    files that must be exactly these (unpacked, where they are gzipped), `recipe` names what `take` cannot say.
    """

    title: str
    task: TaskName
    classes: tuple[CatalogueClass, ...]
    images: dict[Literal["train", "val", "test"], int]
    licence: str
    page: str
    cite: str
    split: str
    files: tuple[RemoteFile, ...] = Field(min_length=1)
    take: tuple[Take, ...] = ()
    content: dict[str, str] = Field(default_factory=dict)
    recipe: str | None = None
    write_classes: bool = True
    scores: tuple[Score, ...] = ()

    @field_validator("classes", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        return [{"name": row} if isinstance(row, str) else row for row in given] if isinstance(given, list) else given

    def describe(self) -> list[str]:
        """What a person should know before downloading, the licence first."""
        counted = [one.name for one in self.classes if not one.void]
        checked = [file.checksum is not None for file in self.files]
        checksums = "known" if all(checked) else "of some files known" if any(checked) else "none published"
        return [
            f"licence: {self.licence}",
            f"{self.title}; to {self.task}",
            f"classes: {', '.join(counted)}",
            f"images: {', '.join(f'{number:,} {part}' for part, number in self.images.items())}; split: {self.split}",
            f"cite: {self.cite}",
            f"origin: {self.page}; checksums: {checksums}",
            *(f"published: {one.score}, {one.of} ({one.source})" for one in self.scores),
        ]


@cache
def catalogue() -> dict[str, PublicSet]:
    """Every public set by name."""
    return {name: PublicSet.parse(values, f"{FILE.name}, {name}") for name, values in read_yaml(FILE).items()}


def public_set(name: str) -> PublicSet:
    """The set called `name`; raises `UsageError` with the nearest name."""
    if name not in catalogue():
        hint = nearest(name, catalogue()) or f" Allowed: {', '.join(catalogue())}."
        raise UsageError(f"there is no public data set {name!r} in the catalogue.{hint}")
    return catalogue()[name]
