"""Triangles of simple bodies, made in code: turned on a lathe, cut from a prism, bent into a handle. Metres, z up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Solid", "cuboid", "joined", "pipe", "prism", "turned"]


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """`vertices` (V, 3) float64, `faces` (F, 3) int32, counter-clockwise as seen from outside."""

    vertices: np.ndarray
    faces: np.ndarray

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        return Solid(self.vertices + (x, y, z), self.faces)


def turned(profile: Sequence[tuple[float, float]], sides: int = 28) -> Solid:
    """A profile of (radius, height) turned about z, from the axis below, outside up, to the axis again."""
    radii, heights = np.asarray(profile, float).T
    angles = np.arange(sides) * 2 * np.pi / sides
    rings = np.stack(
        [radii[:, None] * np.cos(angles), radii[:, None] * np.sin(angles), np.repeat(heights[:, None], sides, 1)], -1
    )
    return _strip(rings)


def prism(outline: Sequence[tuple[float, float]], height: float, taper: float = 1.0) -> Solid:
    """A convex outline in x and y, counter-clockwise, drawn up to `height` and there scaled by `taper`."""
    flat = np.asarray(outline, float)
    rings = [np.column_stack([flat * s, np.full(len(flat), z)]) for s, z in ((0, 0), (1, 0), (taper, height), (0, height))]
    return _strip(np.stack(rings))


def cuboid(width: float, depth: float, height: float, bevel: float = 0.0) -> Solid:
    """On the table, with its middle at x = y = 0; upright edges may be bevelled."""
    x, y, b = width / 2, depth / 2, bevel
    if not bevel:
        return prism([(x, y), (-x, y), (-x, -y), (x, -y)], height)
    return prism(
        [(x, y - b), (x - b, y), (b - x, y), (-x, y - b), (-x, b - y), (b - x, -y), (x - b, -y), (x, b - y)], height
    )  # fmt: skip


def pipe(path: Sequence[tuple[float, float, float]], radius: float, sides: int = 8) -> Solid:
    """A round pipe along a path in the plane y = 0."""
    points = np.asarray(path, float)
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([along[:, 2], np.zeros(len(points)), -along[:, 0]], 1)
    angles = np.arange(sides) * 2 * np.pi / sides
    offsets = across[:, None] * np.cos(angles)[:, None] + np.array([0.0, 1.0, 0.0]) * np.sin(angles)[:, None]
    rings = points[:, None] + radius * offsets
    ends = np.repeat(points[[0, -1], None], sides, 1)
    return _strip(np.concatenate([ends[:1], rings, ends[1:]]))


def joined(*solids: Solid) -> Solid:
    """Several as one."""
    starts = np.cumsum([0, *(len(s.vertices) for s in solids[:-1])])
    return Solid(
        np.concatenate([s.vertices for s in solids]),
        np.concatenate([s.faces + n for s, n in zip(solids, starts, strict=True)]).astype(np.int32),
    )


def _strip(rings: np.ndarray) -> Solid:
    """Rings (R, N, 3) of points, each joined with the next; triangles without an area are left out."""
    count, sides = rings.shape[:2]
    at = np.arange(count * sides).reshape(count, sides)
    a, b, c, d = at[:-1], np.roll(at, -1, 1)[:-1], np.roll(at, -1, 1)[1:], at[1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    points = rings.reshape(-1, 3)
    p, q, r = (points[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(q - p, r - p), axis=1)
    return Solid(points, faces[area > 1e-10].astype(np.int32))
