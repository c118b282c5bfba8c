"""Palms in an image: from the palm model's raw output to crops that hold a whole, upright hand.

The model is MediaPipe's palm_detection_full: a single-shot detector over 2016 fixed anchors, each with a box and seven
keypoints. Numbers are those of its graph files (palm_detection_cpu.pbtxt, palm_detection_detection_to_roi.pbtxt).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from omnistream_nodes.crop import Crop

__all__ = ["SIDE", "Palm", "anchors", "decode", "hand_crop", "whole_image"]

#: The model's input is (1, SIDE, SIDE, 3) float32 RGB in 0..1.
SIDE = 192
#: Cells a side and anchors a cell: stride 8, then three layers of stride 16.
_LAYERS = ((24, 2), (12, 6))
_MAX_OVERLAP = 0.3
_WRIST, _MIDDLE_KNUCKLE = 0, 2


@dataclass(frozen=True, slots=True)
class Palm:
    """A palm in 0..1 of the detector's crop: `box` is x0 y0 x1 y1, `points` (7, 2) begins with wrist, index, middle."""

    score: float
    box: np.ndarray
    points: np.ndarray


@cache
def anchors() -> np.ndarray:
    """Centres of the 2016 anchors, (2016, 2) float32 in 0..1; all have the size of the input."""
    layers: list[np.ndarray] = []
    for cells, each in _LAYERS:
        line = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(line, line, indexing="ij")
        layers.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), each, axis=0))
    return np.concatenate(layers).astype(np.float32)


def decode(boxes: np.ndarray, scores: np.ndarray, min_score: float) -> list[Palm]:
    """Raw output (1, 2016, 18) and (1, 2016, 1) -> palms, the likeliest first, overlapping ones merged into one.

    Merging weighs boxes by their scores (BlazeFace, arXiv:1907.05047, section 4.4), which jitters less than taking the best.
    """
    likely = 1 / (1 + np.exp(-np.clip(scores.reshape(-1).astype(np.float64), -100, 100)))
    keep = np.flatnonzero(likely >= min_score)
    keep = keep[np.argsort(-likely[keep], kind="stable")]
    raw = boxes.reshape(-1, 9, 2)[keep].astype(np.float64) / SIDE
    centre = anchors()[keep].astype(np.float64)
    middle, half = raw[:, 0] + centre, raw[:, 1] / 2
    corners = np.concatenate([middle - half, middle + half], axis=1)
    points = raw[:, 2:] + centre[:, None]
    palms: list[Palm] = []
    left = np.arange(len(keep))
    while len(left):
        same = _overlap(corners[left[0]], corners[left]) > _MAX_OVERLAP
        same[0] = True
        group = left[same]
        weight = likely[keep[group]] / likely[keep[group]].sum()
        palms.append(Palm(float(likely[keep[group[0]]]), weight @ corners[group], np.tensordot(weight, points[group], 1)))
        left = left[~same]
    return palms


def hand_crop(palm: Palm, seen: Crop) -> Crop:
    """The crop that holds the whole hand with its fingers up, given the crop `seen` by the detector."""
    wrist, knuckle = seen.to_image(palm.points[[_WRIST, _MIDDLE_KNUCKLE]])
    corners = seen.to_image(palm.box.reshape(2, 2))
    centre = corners.mean(axis=0)
    side = float(np.abs(corners[1] - corners[0]).max())
    dx, dy = knuckle - wrist
    return Crop(float(centre[0]), float(centre[1]), side, math.atan2(dx, -dy)).moved(0, -0.5, 2.6)


def whole_image(height: int, width: int) -> Crop:
    """The upright square about the whole image: what the detector sees, with black bars."""
    return Crop(width / 2, height / 2, max(height, width))


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with others (N, 4)."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    both = np.clip(size, 0, None).prod(axis=1)
    area = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return both / np.maximum((box[2:] - box[:2]).prod() + area - both, 1e-12)
