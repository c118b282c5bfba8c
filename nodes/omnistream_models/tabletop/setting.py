"""What is drawn by lot for one picture: things and how they look, the surfaces, the lights and where the camera stands.

Lengths are table widths, which are metres here; x to the right, y away from the robot, z up from the table's top, as in
`omnistream_models.fused.world`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from omnistream_models.fused.making import Maker
from omnistream_models.fused.world import SIZE, Thing, sprinkle
from omnistream_models.tabletop.colours import OTHERS, drawn

__all__ = ["Light", "Looks", "Setting", "View", "drawn_setting"]

#: Of each kind a stage has so many shapes, of each surface and pattern so many.
SHAPES, SURFACES, PATTERNS = 5, 6, 6
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Looks:
    """How one thing looks: `shape` and `pattern` number those of the stage."""

    rgb: Vector
    shape: int
    pattern: int
    yaw_rad: float


@dataclass(frozen=True, slots=True)
class Light:
    position: Vector
    rgb: Vector
    shadow: bool


@dataclass(frozen=True, slots=True)
class View:
    """A camera at `position` that looks at `target`, `fov_rad` high, turned about its axis by `roll_rad`."""

    position: Vector
    target: Vector
    fov_rad: float
    roll_rad: float = 0.0

    def axes(self) -> np.ndarray:
        """(3, 3): the columns are the camera's right, up and back."""
        back = np.subtract(self.position, self.target)
        back /= np.linalg.norm(back)
        right = np.cross((0.0, 0.0, 1.0), back)
        right /= np.linalg.norm(right)
        up = np.cross(back, right)
        c, s = math.cos(self.roll_rad), math.sin(self.roll_rad)
        return np.stack([c * right + s * up, c * up - s * right, back], 1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) -> pixels (N, 2)."""
        x, y, z = ((points - np.asarray(self.position)) @ self.axes()).T
        scale = SIZE[1] / 2 / math.tan(self.fov_rad / 2) / -z
        return np.stack([SIZE[0] / 2 + x * scale, SIZE[1] / 2 - y * scale], 1)


@dataclass(frozen=True, slots=True)
class Setting:
    """`surfaces` number the stage's for table, floor and wall; `noise` is the camera's, of 255."""

    things: tuple[Thing, ...]
    looks: tuple[Looks, ...]
    view: View
    lights: tuple[Light, ...]
    ambient: Vector
    surfaces: tuple[int, int, int]
    noise: float


def drawn_setting(rng: np.random.Generator, *, test: bool) -> Setting:
    """Training: only kinds and colours of training, in their inner shades, seen by cameras and lit by lamps of training."""
    make = Maker(rng, test)
    names = [make.name(free=True) for _ in range(int(rng.integers(2, 9)))]
    if make.chance(0.35):  # a colour that has no word here, or a thing that has none
        names[-1] = (make.one([k for k, _ in names]), make.one(OTHERS)) if make.chance(0.7) else ("object", make.one(OTHERS))
    counts = dict.fromkeys((k for k, _ in names), 0)
    things = sprinkle(rng, names)
    looks, numbers = list[Looks](), {k: rng.permutation(SHAPES) for k in counts}
    for n, thing in enumerate(things):
        rgb = drawn(rng, thing.colour, test=test)
        number = int(numbers[thing.kind][counts[thing.kind] % SHAPES])
        counts[thing.kind] += 1
        pattern = 0 if make.chance(0.55) else int(rng.integers(PATTERNS))
        looks.append(Looks(rgb, number, pattern, float(rng.uniform(-math.pi, math.pi))))
        if thing.colour in OTHERS:
            things[n] = Thing(thing.kind, "", thing.x, thing.y)
    kept = [n for n in range(len(things)) if counts[things[n].kind] <= SHAPES]
    surfaces = tuple(int(v) for v in rng.integers(0, SURFACES, 3))
    lights, ambient = _lights(rng, test)
    return Setting(
        tuple(things[n] for n in kept), tuple(looks[n] for n in kept), _view(rng, test), lights, ambient,
        (surfaces[0], surfaces[1], surfaces[2]), float(rng.uniform(1, 6)),
    )  # fmt: skip


def _view(rng: np.random.Generator, test: bool) -> View:
    """Cameras of tests stand nearer, and lower or higher, than any of training; each sees wherever things may be."""
    near, steep = rng.uniform(1.0, 1.8), rng.uniform(0.7, 1.1)
    if test:
        near, steep = rng.uniform(0.8, 1.0), rng.uniform(*((0.62, 0.7) if rng.random() < 0.5 else (1.1, 1.3)))
    high = near * steep
    position = (float(rng.uniform(-0.2, 0.2)), -float(near), float(high))
    target = (float(rng.uniform(-0.06, 0.06)), float(rng.uniform(0.3, 0.45)), 0.05)
    view = View(position, target, 1.0, float(rng.normal(0, 0.02)))
    corners = np.array([(x, y, z) for x in (-0.57, 0.57) for y in (-0.07, 1.07) for z in (0, 0.12)])
    x, y, z = ((corners - np.asarray(position)) @ view.axes()).T
    half = float(max((np.abs(x) / -z).max() * SIZE[1] / SIZE[0], (np.abs(y) / -z).max()))
    return View(position, target, 2 * math.atan(half * float(rng.uniform(0.97, 1.12))), view.roll_rad)


def _lights(rng: np.random.Generator, test: bool) -> tuple[tuple[Light, ...], Vector]:
    """One or two lamps, the first of which casts shadows, and the light from everywhere. Tests have warmer and colder lamps."""
    warmth = float(rng.uniform(-1, 1)) * (0.16 if test else 0.1)
    tint = (1 + warmth, 1.0, 1 - warmth)
    strength = float(rng.uniform(0.4, 0.8))
    side = -1 if rng.random() < 0.5 else 1
    first = (side * float(rng.uniform(0.2, 1.6)), float(rng.uniform(-0.9, 1.2)), float(rng.uniform(1.2, 2.4)))
    lights = [Light(first, _times(tint, strength), shadow=bool(rng.random() < 0.8))]
    if rng.random() < 0.5:
        other = (-first[0], float(rng.uniform(-1, 1)), float(rng.uniform(1.0, 2.0)))
        lights.append(Light(other, _times((1.0, 1.0, 1.0), float(rng.uniform(0.1, 0.35))), shadow=False))
    return tuple(lights), _times(tint, float(rng.uniform(0.25, 0.45)))


def _times(v: Vector, factor: float) -> Vector:
    return (v[0] * factor, v[1] * factor, v[2] * factor)
