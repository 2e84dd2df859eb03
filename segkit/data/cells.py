"""Pictures of imaginary cells as a phase-contrast microscope would show them, with the truth about every pixel.

Round cells have grains and a nucleus, spindle cells have stripes along their length. Both have a dark outline with a
bright halo, and both are on average as bright as the mottled, unevenly lit ground: no threshold finds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
"""One value per pixel (H, W)."""

ROUND, SPINDLE = 1, 2
_LEAST_VISIBLE = 0.8
_LEAST_AREA = 60
_ATTEMPTS = 150
_REACH = 60
"""Pixels from a cell's centre within which all of it lies, its halo included."""

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Scene:
    """A picture and what is on it.

    Attributes:
        image: (H, W) uint8.
        instances: (H, W) uint16, 0 on the ground, 1..n for the cells.
        kinds: `ROUND` or `SPINDLE` for each of the n cells.
    """

    image: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    kinds: tuple[int, ...]

    @property
    def common_kind(self) -> int:
        """The kind that most cells are of."""
        return max((ROUND, SPINDLE), key=self.kinds.count)

    @property
    def mask(self) -> NDArray[np.int16]:
        """Kinds per pixel (H, W), 0 on the ground."""
        return np.asarray((0, *self.kinds), np.int16)[self.instances]


@dataclass(frozen=True)
class _Cell:
    """The window around a cell: how deep inside the outline each pixel lies (negative: outside), and its look."""

    kind: int
    window: Window
    depth: Field
    inside: Field


@dataclass(frozen=True)
class _Noise:
    """Smooth noise over the whole picture; the cells and the ground take their texture from it."""

    grain: Field
    mottle: Field
    wave: Field
    cloud: Field

    @classmethod
    def draw(cls, generator: np.random.Generator, size: int) -> _Noise:
        return cls(*(_noise(size, width, generator) for width in (1.2, 3, 8, 45)))

    def within(self, window: Window) -> _Noise:
        return _Noise(self.grain[window], self.mottle[window], self.wave[window], self.cloud[window])


def draw_scene(generator: np.random.Generator, size: int = 256) -> Scene:
    """A square picture with up to 22 cells, one kind three times as common as the other, many of them touching."""
    instances = np.zeros((size, size), np.uint16)
    noise = _Noise.draw(generator, size)
    common = int(generator.choice([ROUND, SPINDLE]))
    cells: list[_Cell] = []
    wanted = generator.integers(12, 23)
    for _ in range(_ATTEMPTS):
        if len(cells) == wanted:
            break
        kind = ROUND + SPINDLE - common if len(cells) % 4 == 3 else common
        cell = _cell(kind, _place(instances, generator), noise, generator)
        free = (cell.depth > 0) & (instances[cell.window] == 0)
        if free.sum() >= max(_LEAST_VISIBLE * (cell.depth > 0).sum(), _LEAST_AREA):
            cells.append(cell)
            instances[cell.window][free] = len(cells)
    return Scene(_photograph(cells, noise, generator), instances, tuple(cell.kind for cell in cells))


def _place(instances: NDArray[np.uint16], generator: np.random.Generator) -> tuple[float, float]:
    """A random centre (y, x); two out of three beside a cell that is already there, so that cells form groups."""
    size = len(instances)
    taken = np.flatnonzero(instances)
    if len(taken) == 0 or generator.random() < 0.33:
        return generator.uniform(0, size), generator.uniform(0, size)
    y, x = divmod(int(generator.choice(taken)), size)
    angle, distance = generator.uniform(0, 2 * math.pi), generator.uniform(20, 38)
    return y + distance * math.sin(angle), x + distance * math.cos(angle)


def _cell(kind: int, center: tuple[float, float], noise: _Noise, generator: np.random.Generator) -> _Cell:
    """A cell of random size and direction; its outline is the zero line of a function that falls outwards."""
    rows, columns = (slice(max(int(middle) - _REACH, 0), int(middle) + _REACH) for middle in center)
    y, x = _grid(len(noise.grain))
    dy, dx = y[rows] - np.float32(center[0]), x[:, columns] - np.float32(center[1])
    angle = generator.uniform(0, 2 * math.pi)
    sine, cosine = np.float32(math.sin(angle)), np.float32(math.cos(angle))
    draw = _round if kind == ROUND else _spindle
    height, inside = draw(dx * cosine + dy * sine, dy * cosine - dx * sine, noise.within((rows, columns)), generator)
    slope = np.hypot(*np.gradient(height))
    return _Cell(kind, (rows, columns), height / np.maximum(slope, np.float32(1e-3)), inside)


def _round(along: Field, across: Field, noise: _Noise, generator: np.random.Generator) -> tuple[Field, Field]:
    """A wavy disc with grains and a ringed nucleus."""
    radius, direction = np.hypot(along, across), np.arctan2(across, along)
    outline: Field = np.full_like(radius, generator.uniform(15, 23))
    for waves in (2, 3, 4):
        outline *= 1 + generator.uniform(0.02, 0.16 / waves) * np.cos(waves * direction + generator.uniform(0, 6.3))
    shift = generator.uniform(-4, 4, 2).astype(np.float32)
    nucleus = np.hypot(along - shift[0], across - shift[1]) - np.float32(generator.uniform(6, 8.5))
    ring = 0.5 * _inside(-nucleus) - np.exp(-((nucleus / 1.3) ** 2))
    return 1 - (radius / outline) ** 2, 0.075 * noise.grain - 0.045 * noise.mottle + 0.12 * ring


def _spindle(along: Field, across: Field, noise: _Noise, generator: np.random.Generator) -> tuple[Field, Field]:
    """A bent, long body with pointed ends and stripes along it."""
    length, width = generator.uniform(32, 48), generator.uniform(10, 13.5)
    bent = across - generator.uniform(-0.3, 0.3) / length * along**2
    height = 1 - np.abs(along / length) ** 1.6 - (bent / width) ** 2
    wavelength, phase = generator.uniform(4.6, 5.8), generator.uniform(0, 6.3)
    stripes = np.sin((bent + 1.2 * noise.wave) * (2 * math.pi / wavelength) + phase)
    return height, 0.09 * stripes + 0.03 * noise.grain


def _photograph(cells: list[_Cell], noise: _Noise, generator: np.random.Generator) -> NDArray[np.uint8]:
    """The picture: ground, cells from back to front, uneven light, the microscope's blur and the camera's noise."""
    picture = _ground(noise, generator)
    for cell in reversed(cells):
        body, tone = _inside(cell.depth), np.float32(generator.normal(0, 0.05))
        outline = np.exp(-(((cell.depth - 0.8) / 1.2) ** 2))
        halo = np.exp(-(((cell.depth + 2.2) / 1.8) ** 2))
        behind = picture[cell.window]
        picture[cell.window] = behind + (0.35 + tone + cell.inside - 0.7 * behind) * body + 0.16 * halo - 0.2 * outline
    y, x = (2 * axis / len(picture) - 1 for axis in _grid(len(picture)))
    tilt = generator.uniform(-0.16, 0.16, 2).astype(np.float32)
    light = 1 + tilt[0] * x + tilt[1] * y - 0.12 * (x**2 + y**2) + 0.06 * noise.cloud
    sharp = cv2.GaussianBlur(picture * light, (0, 0), 0.7)
    grain = 0.035 * generator.standard_normal(sharp.shape, np.float32) * np.sqrt(np.clip(sharp, 0.02, 1))
    return np.clip((sharp + grain) * 255, 0, 255).round().astype(np.uint8)


def _ground(noise: _Noise, generator: np.random.Generator) -> Field:
    """Mottled ground with dust: specks and rings, some out of focus, that belong to no cell."""
    ground = 0.5 + 0.04 * noise.grain + 0.045 * noise.mottle + 0.045 * noise.wave
    y, x = _grid(len(ground))
    for _ in range(generator.integers(8, 20)):
        top, left, radius, strength = generator.uniform((0, 0, 1, -0.2), (*ground.shape, 4, 0.2)).astype(np.float32)
        distance = np.hypot(y - top, x - left) / radius
        ground = ground + strength * (np.exp(-(distance**2)) - 0.5 * np.exp(-((distance - 2) ** 2)))
    return ground


def _inside(depth: Field) -> Field:
    """1 inside, 0 outside, soft over about a pixel."""
    return 0.5 + 0.5 * np.tanh(depth)


def _grid(size: int) -> tuple[Field, Field]:
    """Row and column of each pixel, ready to be broadcast: (H, 1) and (1, W)."""
    axis = np.arange(size, dtype=np.float32)
    return axis[:, None], axis[None, :]


def _noise(size: int, width: float, generator: np.random.Generator) -> Field:
    """Smooth noise of mean 0 and deviation 1 with structures about `width` pixels wide."""
    step = max(int(width / 3), 1)  # broad structures need few points
    points = generator.standard_normal((size // step + 1, size // step + 1), np.float32)
    smooth = cv2.resize(cv2.GaussianBlur(points, (0, 0), width / step), (size, size), interpolation=cv2.INTER_CUBIC)
    return (smooth - smooth.mean()) / smooth.std()
