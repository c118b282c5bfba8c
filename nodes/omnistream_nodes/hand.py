"""A hand's 21 points: from the landmark model's output to the image, and the crop in which to look for them next.

The model is MediaPipe's hand_landmark_full; numbers are those of its graph files (hand_landmark_landmarks_to_roi.pbtxt).
Points: 0 wrist; then four each, from the palm outwards, of thumb 1-4, index 5-8, middle 9-12, ring 13-16, little finger 17-20.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from omnistream_nodes.crop import Crop

__all__ = ["SIDE", "Hand", "decode", "next_crop"]

#: The model's input is (1, SIDE, SIDE, 3) float32 RGB in 0..1.
SIDE = 224
_PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]  # wrist to first joints: their box is steadier than with the tips


@dataclass(frozen=True, slots=True)
class Hand:
    """`points` (21, 3) float64: x, y in pixels of the image, z in the same unit, relative to the wrist, away from the camera.

    `presence` 0..1: that this is a hand at all. `side`: left or right, as the person has it.
    """

    points: np.ndarray
    presence: float
    side: str


def decode(points: np.ndarray, presence: float, right: float, crop: Crop, mirrored: bool) -> Hand:
    """Raw outputs (1, 63), presence and handedness in 0..1 -> the hand in the image that `crop` was taken from.

    `right` is the chance of a right hand if the image is not a mirror image (MediaPipe's labels are for one that is).
    """
    local = points.reshape(21, 3).astype(np.float64) / SIDE
    flat = crop.to_image(local[:, :2])
    side = "right" if (right >= 0.5) != mirrored else "left"
    return Hand(np.concatenate([flat, local[:, 2:] * crop.size], axis=1), presence, side)


def next_crop(points: np.ndarray) -> Crop:
    """The crop in which to look for the hand with these `points` (21, 3) in the next image."""
    flat = points[:, :2]
    dx, dy = (flat[5] + flat[13]) / 4 + flat[9] / 2 - flat[0]
    turned = Crop(0.0, 0.0, 1.0, math.atan2(dx, -dy))
    own = turned.to_crop(flat[_PALM])
    low, high = own.min(axis=0), own.max(axis=0)
    x, y = turned.to_image((low + high)[None] / 2)[0]
    return Crop(float(x), float(y), max(float((high - low).max()), 1.0), turned.angle_rad).moved(0, -0.1, 2.0)
