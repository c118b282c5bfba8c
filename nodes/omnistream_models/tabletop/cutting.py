"""How a crop is cut out about a box: the same for training, tests and nodes."""

from __future__ import annotations

import numpy as np

from omnistream_nodes.crop import Crop

__all__ = ["MARGIN", "ROOM", "SIDE", "about"]

#: A crop for the network is SIDE pixels square and MARGIN times as large as its box is long; one to train on shows ROOM.
SIDE, MARGIN, ROOM = 40, 1.25, 1.6


def about(box: np.ndarray, scale: float = MARGIN) -> Crop:
    """The square about a box (4,) that the network looks at."""
    x0, y0, x1, y1 = (float(v) for v in box)
    return Crop((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0, 2.0) * scale)
