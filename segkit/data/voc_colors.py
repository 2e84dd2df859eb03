"""Pascal VOC's colours, which count up with the ids: masks painted with them need names of classes only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from segkit.data.class_file import ClassFile
from segkit.data.mask_values import pack
from segkit.structures import palette

VOC_BORDER = pack((224, 224, 192))
"""Colour of the borders of objects in Pascal VOC, which are not counted."""

_IDS = {pack(color): id_ for id_, color in enumerate(palette(255))}


def voc_ids(colors: Collection[int]) -> list[int]:
    """The ids that packed colours stand for in Pascal VOC, ascending; none where one is not among its colours.

    A single colour besides black and the border is no palette yet, unless it is the first.
    """
    ids = sorted(_IDS.get(color, -1) for color in colors if color != VOC_BORDER)
    return ids if ids and ids[0] >= 0 and (len(ids) > 2 or ids[-1] == 1) else []


def with_voc_colors(declared: ClassFile, colors: Collection[int]) -> ClassFile | None:
    """Declared classes with Pascal VOC's colours, where they have none and the masks hold those of their ids alone."""
    ids = voc_ids(colors)
    if declared.colors or not ids or not set(ids) <= set(declared.ids) or max(declared.ids) >= len(_IDS):
        return None
    table = palette(max(declared.ids) + 1)
    return replace(declared, colors=tuple(table[id_] for id_ in declared.ids))
