"""Hands as a landmark detector sees them: 21 points by geometry, with the noise that the real one has.

The noise was measured on the hands of graphs/recordings/voice_robot.mcap (hand_gesture, 320x240, second differences of 97
frames): 0.009 to 0.018 palms of standard deviation a point, 0.5 to 1.5 degrees of the way that a still finger points; in one
frame of ten, while a hand comes in or goes, points are off by several times that.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

__all__ = ["SHAPES", "hand", "noisy", "ray"]

SHAPES = ("point", "palm", "thumb", "fist", "two")
_STRETCHED = {"point": {1}, "palm": {0, 1, 2, 3, 4}, "thumb": {0}, "fist": set[int](), "two": {1, 2}}
POINT_SD, HEADING_SD_DEG, ODD_SHARE, ODD_SD = 0.015, 1.2, 0.08, 0.15


@cache
def _shape(name: str) -> np.ndarray:
    """(21, 3) in palms, the wrist at 0, fingers up (y is down): a right hand that shows its back."""
    stretched = _STRETCHED[name]
    points = np.zeros((21, 3))
    points[1] = (-0.3, -0.3, 0)
    for n, out in ((2, (-0.45, -0.55, 0)), (3, (-0.55, -0.85, 0)), (4, (-0.62, -1.12, 0))):
        points[n] = out if 0 in stretched else points[1] + (n - 1) * np.array([0.12, -0.14, 0.04])
    if name == "thumb":
        points[2:5] = [(-0.3, -0.7, 0), (-0.3, -1.4, 0), (-0.3, -2.0, 0)]
    for finger in range(1, 5):
        knuckle = 1 + 4 * finger
        points[knuckle] = (-0.45 + 0.22 * finger, -1.0, 0)
        for n, bend in enumerate((0, 4, 6) if finger in stretched else (60, 160, 240)):
            way = np.array([0, -math.cos(math.radians(bend)), -math.sin(math.radians(bend))])
            points[knuckle + n + 1] = points[knuckle + n] + 0.3 * way
    points.flags.writeable = False
    return points


def hand(rng: np.random.Generator, shape: str, heading_deg: float, knuckle: tuple[float, float], palm: float) -> np.ndarray:
    """(21, 3) in pictures' heights: the hand turned so that its index finger leads where `heading_deg` says (0 up, 90 right).

    `knuckle` is where the index finger begins, `palm` the palm's size. The hand is left or right, and tilted at random.
    """
    points = _shape(shape) * (rng.choice((-1.0, 1.0)), 1, 1)
    for axis, degrees in ((0, 22.0), (1, 30.0)):
        a = math.radians(rng.uniform(-degrees, degrees))
        rows = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[np.ix_(rows, rows)] = [[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]
        points = points @ turn.T
    first, last = (2, 4) if shape == "thumb" else (5, 9) if shape == "fist" else (5, 8)
    way = points[last] - points[first]
    turn_by = math.radians(heading_deg) - math.atan2(way[0], -way[1])
    c, s = math.cos(turn_by), math.sin(turn_by)
    points = points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T * palm
    return points + np.array([*knuckle, 0.0]) - points[5]


def noisy(
    rng: np.random.Generator, points: np.ndarray, palm: float, sd: float = POINT_SD, odd_share: float = ODD_SHARE
) -> np.ndarray:
    """The same as the detector gives it in one frame: turned and moved a little, each point off, in some frames much."""
    a = math.radians(rng.normal(0, HEADING_SD_DEG))
    centre = points[5]
    turned = (points - centre) @ np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]]).T + centre
    off = ODD_SD if rng.random() < odd_share else sd
    moved = np.array([*rng.normal(0, 0.02, 2), 0.0]) * palm
    return turned + moved + rng.normal(0, off, points.shape) * palm


def ray(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the index finger's ray begins, its tip, and its unit direction, both (2,)."""
    way = points[8, :2] - points[5, :2]
    return points[8, :2], way / max(1e-9, float(np.linalg.norm(way)))
