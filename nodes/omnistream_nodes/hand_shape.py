"""The gesture that 21 points of a hand make, by geometry alone: which fingers are stretched, and where they point.

The thresholds lie in the middle of wide gaps, measured on photographs (tests/nodes/test_hand_gesture.py): stretched
fingers bend by 0-25 degrees, folded ones by 120-180, a half bent one by 88; a thumb up is 1.6-2.3 palms from the middle
finger's joint, one that lies on a fist 0.3-0.8.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["GESTURES", "classify", "heading_deg", "stretched"]

GESTURES = ("none", "point_left", "point_right", "point_up", "open_palm", "thumbs_up")

#: A finger counts as fully stretched below the first bend and as folded above the second, in degrees.
_STRAIGHT_DEG, _FOLDED_DEG = 50.0, 110.0
#: The same for the thumb's tip: its distance from the middle finger's joint, in palms.
_THUMB_IN, _THUMB_OUT = 0.8, 1.6
#: A finger that is shorter than this on the image, in palms, points at the camera or away from it, not to a side.
_MIN_LENGTH = 0.45
#: Up is within 40 degrees of upright; left and right reach 50 degrees below and above the horizon.
_UP_DEG, _SIDE_DEG = 40.0, 140.0
#: An open hand whose fingers hang lower than this is at rest, and no palm held up.
_HANGING_DEG = 120.0


def classify(points: np.ndarray, mirror: bool = False) -> tuple[str, float]:
    """Gesture and confidence (0.5..1; "none": 0..1) of points (21, 3) in units that are the same along x, y and z.

    x is to the right of the image, y down. Left is the image's left; `mirror` swaps left and right.
    """
    thumb, index, *others = stretched(points)
    best_other, worst_other = max(others), min(others)
    found: list[tuple[float, str]] = []
    if min(index, worst_other) >= 0.5 and abs(_palm_heading(points)) <= _HANGING_DEG:
        found.append((min(index, worst_other), "open_palm"))
    if min(index, 1 - best_other) >= 0.5 and _length(points, 5, 8) >= _MIN_LENGTH:
        found.append((min(index, 1 - best_other), _side(heading_deg(points, 5, 8), "point_up")))
    if min(thumb, 1 - index, 1 - best_other) >= 0.5 and _length(points, 2, 4) >= _MIN_LENGTH:
        found.append((min(thumb, 1 - index, 1 - best_other), _side(heading_deg(points, 2, 4), "thumbs_up")))
    confidence, name = found[0] if found else (1.0, "none")  # at most one holds: they differ in the index or middle finger
    if mirror and name in ("point_left", "point_right"):
        name = "point_right" if name == "point_left" else "point_left"
    return name, confidence


def stretched(points: np.ndarray) -> list[float]:
    """How far each finger is stretched, thumb first: 0 folded .. 1 straight."""
    out = (_distance(points, 4, 10) / _palm_size(points) - _THUMB_IN) / (_THUMB_OUT - _THUMB_IN)
    fingers = [min(1.0, max(0.0, out))]
    for knuckle in (5, 9, 13, 17):
        first, middle, last = np.diff(points[knuckle : knuckle + 4], axis=0)
        bend = _angle_deg(first, middle) + _angle_deg(middle, last)
        fingers.append(min(1.0, max(0.0, (_FOLDED_DEG - bend) / (_FOLDED_DEG - _STRAIGHT_DEG))))
    return fingers


def heading_deg(points: np.ndarray, start: int, end: int) -> float:
    """Where the way from one point to another leads on the image: 0 up, 90 right, -90 left, +-180 down."""
    dx, dy = points[end, :2] - points[start, :2]
    return math.degrees(math.atan2(dx, -dy))


def _side(heading: float, upright: str) -> str:
    if abs(heading) <= _UP_DEG:
        return upright
    if abs(heading) <= _SIDE_DEG:
        return "point_right" if heading > 0 else "point_left"
    return "none"


def _palm_heading(points: np.ndarray) -> float:
    tips, knuckles = points[[8, 12, 16, 20], :2].mean(axis=0), points[[5, 9, 13, 17], :2].mean(axis=0)
    return heading_deg(np.stack([knuckles, tips]), 0, 1)


def _palm_size(points: np.ndarray) -> float:
    return max(1e-6, (_distance(points, 0, 5) + _distance(points, 0, 9) + _distance(points, 0, 17)) / 3)


def _length(points: np.ndarray, start: int, end: int) -> float:
    """On the image, in palms."""
    return float(np.linalg.norm(points[end, :2] - points[start, :2])) / _palm_size(points)


def _distance(points: np.ndarray, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a] - points[b]))


def _angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return math.degrees(math.acos(min(1.0, max(-1.0, float(a @ b) / size)))) if size > 0 else 180.0
