"""Outputs that no network should give, and detections that no camera should: for tests and benchmarks of the decoder."""

from __future__ import annotations

import numpy as np

from omnistream.message import Detections
from omnistream_models.fused.schema import HEADS

__all__ = ["random_detections", "random_logits"]

_SCALES = (0.0, 1.0, 30.0, 1e30)
_ODD = (np.nan, np.inf, -np.inf)


def random_logits(rng: np.random.Generator, detections: int | None = None) -> dict[str, np.ndarray]:
    """Of any size, flat to certain; in one of four some are not finite."""
    lengths = {**HEADS, "target": int(rng.integers(0, 13)) if detections is None else detections}
    logits = {name: rng.normal(0, 1, length) * rng.choice(_SCALES) for name, length in lengths.items()}
    if rng.random() < 0.25:
        for values in logits.values():
            values[rng.random(len(values)) < 0.3] = rng.choice(_ODD)
    return logits


def random_detections(rng: np.random.Generator) -> Detections | None:
    """None, or twelve of them with boxes that may lie anywhere, or nowhere."""
    if rng.random() < 0.3:
        return None
    boxes = rng.normal(100, 10 ** rng.uniform(0, 6), (12, 4)).astype(np.float32)
    boxes[rng.random((12, 4)) < 0.05] = np.nan
    labels = tuple(str(rng.choice(["red cup", "ball", "", "thing of no kind"])) for _ in range(12))
    return Detections(boxes, labels, rng.random(12).astype(np.float32))
