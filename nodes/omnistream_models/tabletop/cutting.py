"""How a crop is cut out about a box: the same for training, tests and nodes."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["MARGIN", "ROOM", "SIDE", "cut"]

#: A crop for the network is SIDE pixels square and MARGIN times as large as its box is long; one to train on shows ROOM.
SIDE, MARGIN, ROOM = 40, 1.25, 1.6
_FINEST = 6


def cut(image: np.ndarray, box: np.ndarray, scale: float = MARGIN, side: int = SIDE) -> np.ndarray:
    """The square about a box (4,), in pixels, of an (H, W, 3) uint8 image, as (side, side, 3) float32 in 0..1.

    Bilinear; what is much larger than `side` is sampled on a finer grid and averaged, so that it does not alias. Outside the
    image is black. The centre of the first pixel is at (0.5, 0.5).
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    size = max(x1 - x0, y1 - y0, 2.0) * scale
    fine = min(_FINEST, max(1, math.ceil(size / side / 2)))
    across = ((np.arange(side * fine) + 0.5) / (side * fine) - 0.5) * size - 0.5
    rows, row_part, row_on = _between((y0 + y1) / 2 + across, image.shape[0])
    columns, column_part, column_on = _between((x0 + x1) / 2 + across, image.shape[1])
    left, right = int(columns[0]), int(columns[-1]) + 2
    strip = image[rows, left:right].astype(np.float32)
    strip += (image[np.minimum(rows + 1, image.shape[0] - 1), left:right] - strip) * row_part[:, None, None]
    at = columns - left
    out = strip[:, at]
    out += (strip[:, np.minimum(at + 1, strip.shape[1] - 1)] - out) * column_part[:, None]
    out *= row_on[:, None, None] & column_on[:, None]
    if fine > 1:
        out = out.reshape(side, fine, side, fine, 3).mean(axis=(1, 3), dtype=np.float32)
    return out * np.float32(1 / 255)


def _between(at: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of places among pixels: the pixel before, float32 how far towards the next, and whether they are on the image."""
    inside = np.clip(at, 0, length - 1)
    before = inside.astype(np.int64)
    return before, (inside - before).astype(np.float32), (at > -1) & (at < length)
