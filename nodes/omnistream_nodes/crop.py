"""Rotated square crops of an image: where they lie, how they are sampled, and how points in them come back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Crop"]


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of side `size` pixels about (`x`, `y`), turned by `angle_rad` (positive: clockwise as seen on the image).

    Coordinates are in pixels, x to the right and y down; the centre of the first pixel is at (0.5, 0.5).
    """

    x: float
    y: float
    size: float
    angle_rad: float = 0.0

    def moved(self, along_x: float, along_y: float, scale: float) -> Crop:
        """Shifted by parts of its own size along its own axes, and scaled."""
        dx, dy = self._axes() @ np.array([along_x, along_y]) * self.size
        return Crop(self.x + float(dx), self.y + float(dy), self.size * scale, self.angle_rad)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) in 0..1 of the crop -> pixels of the image, float64."""
        return (np.asarray(points, np.float64) - 0.5) * self.size @ self._axes().T + (self.x, self.y)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of the image -> 0..1 of the crop, float64."""
        return (np.asarray(points, np.float64) - (self.x, self.y)) @ self._axes() / self.size + 0.5

    def sample(self, image: np.ndarray, side: int) -> np.ndarray:
        """The crop of an (H, W, 3) uint8 image as (side, side, 3) float32 in 0..1; outside the image is black.

        Bilinear. A crop much larger than `side` is sampled on a finer grid and averaged, so that it does not alias.
        """
        fine = min(4, max(1, math.ceil(self.size / side / 4)))
        n = side * fine
        across = ((np.arange(n) + 0.5) / n - 0.5) * self.size
        (xx, xy), (yx, yy) = self._axes()
        px = (self.x - 0.5 + xx * across[None, :] + xy * across[:, None]).astype(np.float32)
        py = (self.y - 0.5 + yx * across[None, :] + yy * across[:, None]).astype(np.float32)
        out = _bilinear(image, px, py)
        if fine > 1:
            out = out.reshape(side, fine, side, fine, 3).mean(axis=(1, 3), dtype=np.float32)
        return out * np.float32(1 / 255)

    def _axes(self) -> np.ndarray:
        """Columns: the crop's x and y axes in the image."""
        c, s = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return np.array([[c, -s], [s, c]])


def _bilinear(image: np.ndarray, px: np.ndarray, py: np.ndarray) -> np.ndarray:
    """Values of `image` at float pixel indices, (n, n, 3) float32 in 0..255; black beyond the border."""
    height, width = image.shape[:2]
    inside = (px > -1) & (py > -1) & (px < width) & (py < height)
    x = np.clip(px, 0, width - 1)
    y = np.clip(py, 0, height - 1)
    x0 = x.astype(np.int32)
    y0 = y.astype(np.int32)
    fx = (x - x0.astype(np.float32))[..., None]
    fy = (y - y0.astype(np.float32))[..., None]
    at = y0 * width + x0
    right = (x0 < width - 1).astype(np.int32)
    below = np.where(y0 < height - 1, np.int32(width), np.int32(0))
    flat = np.ascontiguousarray(image).reshape(-1, 3)
    top = _mix(flat.take(at, 0), flat.take(at + right, 0), fx)
    bottom = _mix(flat.take(at + below, 0), flat.take(at + below + right, 0), fx)
    return _mix(top, bottom, fy) * inside[..., None]


def _mix(a: np.ndarray, b: np.ndarray, part: np.ndarray) -> np.ndarray:
    a = a.astype(np.float32, copy=False)
    return a + (b.astype(np.float32, copy=False) - a) * part
