"""Patterns made in code: of tables, floors and walls in colour, and of things as shades that tint what they are on."""

from __future__ import annotations

import colorsys

import numpy as np

__all__ = ["PATTERNS", "SIDE", "pattern", "surface"]

SIDE = 128
#: The first are for training, the others for tests.
_SURFACES = (("wood", "plain", "marble", "checks"), ("planks", "cloth", "tiles", "speckles"))
PATTERNS = (("even", "stripes", "worn"), ("even", "dots", "cloudy"))


def surface(rng: np.random.Generator, *, test: bool) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 of a table, floor or wall."""
    name = _SURFACES[test][int(rng.integers(4))]
    hue = float(rng.uniform(0, 1)) if rng.random() < 0.35 else float(rng.uniform(0.05, 0.12))
    low = rng.uniform(0.25, 0.75)
    one = np.array(colorsys.hsv_to_rgb(hue, float(rng.uniform(0, 0.45)), float(low)))
    other = np.clip(one * rng.uniform(0.6, 1.35) + rng.normal(0, 0.03, 3), 0, 1)
    share = _share(rng, name)[..., None]
    mixed = one * (1 - share) + other * share + rng.normal(0, 0.012, (SIDE, SIDE, 1))
    return (np.clip(mixed, 0, 1) * 255).astype(np.uint8)


def pattern(rng: np.random.Generator, name: str) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 shades from dark to white, by which a thing's colour is multiplied."""
    low = rng.uniform(0.62, 0.85)
    share = np.zeros((SIDE, SIDE)) if name == "even" else _share(rng, name)
    shades = 1 - (1 - low) * share
    return np.repeat((np.clip(shades, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def _share(rng: np.random.Generator, name: str) -> np.ndarray:
    """(SIDE, SIDE) in 0..1: how much of the second colour is where."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    n = int(rng.integers(2, 9))
    if name in ("wood", "planks"):
        bent = x * n + 0.35 * _clouds(rng, 4)
        grain = 0.5 + 0.5 * np.sin(2 * np.pi * (bent if name == "wood" else bent * 3))
        seams = (np.abs(y * n - np.round(y * n)) < 0.04) if name == "planks" else np.zeros_like(x)
        return np.clip(0.8 * grain * _clouds(rng, 16) + seams, 0, 1)
    if name in ("marble", "cloudy", "worn"):
        return np.abs(np.sin(np.pi * (x + y + 2 * _clouds(rng, 3)))) if name == "marble" else _clouds(rng, 6)
    if name == "checks":
        return ((np.floor(x * n) + np.floor(y * n)) % 2).astype(float)
    if name == "cloth":
        return 0.5 + 0.25 * np.sign(np.sin(2 * np.pi * x * 4 * n)) + 0.25 * np.sign(np.sin(2 * np.pi * y * 4 * n))
    if name == "tiles":
        return ((np.abs(x * n - np.round(x * n)) < 0.05) | (np.abs(y * n - np.round(y * n)) < 0.05)).astype(float)
    if name == "speckles":
        return (_clouds(rng, 40) > 0.68).astype(float)
    if name == "stripes":
        return (np.floor(y * n * 2) % 2).astype(float)
    if name == "dots":
        return ((x * n % 1 - 0.5) ** 2 + (y * n % 1 - 0.5) ** 2 < 0.06).astype(float)
    return np.full_like(x, 0.15) * _clouds(rng, 3)


def _clouds(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise in 0..1 of so many cells a side, that joins at the edges."""
    grid = rng.uniform(0, 1, (cells, cells))
    at = np.arange(SIDE) / SIDE * cells
    low = at.astype(int) % cells
    part = (at - np.floor(at))[:, None] ** 2 * (3 - 2 * (at - np.floor(at))[:, None])
    rows = grid[low] * (1 - part) + grid[(low + 1) % cells] * part
    return rows[:, low] * (1 - part.T) + rows[:, (low + 1) % cells] * part.T
