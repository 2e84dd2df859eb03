"""The target codes of LeNet-5's radial basis functions: the ten digits drawn on bitmaps of 7 x 12."""

from __future__ import annotations

import torch
from torch import Tensor

CODE_HEIGHT, CODE_WIDTH = 12, 7

# The paper prints its characters as a picture (figure 3) and no table: these are drawn in its style.
_DIGITS = """
    .......  .......  .......  .......  .......  .......  .......  .......  .......  .......
    ..###..  ...##..  .#####.  .#####.  .....#.  #######  ..####.  #######  .#####.  .#####.
    .##.##.  ..###..  ##...##  ##...##  ....##.  ##.....  .##....  .....##  ##...##  ##...##
    ##...##  .####..  ##...##  .....##  ...###.  ##.....  ##.....  .....##  ##...##  ##...##
    ##...##  ...##..  .....##  .....##  ..####.  ##.....  ##.....  ....##.  ##...##  ##...##
    ##...##  ...##..  ....##.  ..####.  .##.##.  ######.  ######.  ....##.  .#####.  ##...##
    ##...##  ...##..  ...##..  .....##  ##..##.  .....##  ##...##  ...##..  ##...##  .######
    ##...##  ...##..  ..##...  .....##  #######  .....##  ##...##  ...##..  ##...##  .....##
    ##...##  ...##..  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
    .##.##.  ...##..  ##.....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.
    ..###..  .######  #######  .#####.  ....##.  .#####.  .#####.  ..##...  .#####.  .####..
    .......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""


def digit_codes() -> Tensor:
    """The codes (10, 84) of the digits 0 to 9, row by row from the top left: +1 where there is ink, -1 elsewhere.

    Source: LeCun et al. 1998, section II-B and figure 3.
    """
    rows = [line.split() for line in _DIGITS.split("\n") if line.strip()]
    digits = ["".join(digit) for digit in zip(*rows, strict=True)]
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in digits])
