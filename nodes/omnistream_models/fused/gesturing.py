"""What a hand does while something is said: it points at a thing or to a side, or shows something else, frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from omnistream_models.fused.evidence import HandSeen
from omnistream_models.fused.hands import hand, noisy
from omnistream_models.fused.world import SIZE

__all__ = ["CLEAR_DEG", "Showing", "point_at", "point_to", "show"]

_ASPECT = SIZE[0] / SIZE[1]
#: Other things lie at least so much further off the finger's way than the one that is pointed at.
CLEAR_DEG = 13.0
#: People point past a thing by so much.
_AIM_SD_DEG = 3.0
_FPS = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Showing:
    """`poses`: (21, 3) in pictures' heights, one after the other; `side`: left or right, where one points to a side."""

    poses: tuple[np.ndarray, ...] = ()
    palm: float = 0.1
    side: str = ""

    def frames(self, rng: np.random.Generator, start_s: float, end_s: float, *, before: bool, test: bool) -> list[HandSeen]:
        """As the detector gives them from start to end, at 15 Hz with gaps; `before`: also another gesture, earlier."""
        out: list[HandSeen] = []
        if before:
            other = hand(rng, "point", float(rng.uniform(-180, 180)), (rng.uniform(0.3, 1.0), rng.uniform(0.2, 0.6)), self.palm)
            times = start_s - 0.6 - np.arange(4) / _FPS
            out += [_seen(rng, other, self.palm, t, test=test) for t in times[::-1]]
        if not self.poses:
            return out
        if not test:
            start_s = start_s + float(rng.uniform(0, 0.2)) * (end_s - start_s)
        times = [t for t in np.arange(start_s + 0.01, end_s, 1 / _FPS) if rng.random() > 0.1]
        if len(times) > 12:
            times = times[:: math.ceil(len(times) / 12)]
        for n, t in enumerate(times):
            out.append(_seen(rng, self.poses[n * len(self.poses) // len(times)], self.palm, t, test=test))
        return out


def _seen(rng: np.random.Generator, pose: np.ndarray, palm: float, at_s: float, *, test: bool) -> HandSeen:
    points = noisy(rng, pose, palm, *((0.02, 0.1) if test else (float(rng.uniform(0.01, 0.025)),)))
    return HandSeen(float(at_s), (points / (_ASPECT, 1, _ASPECT)).astype(np.float32))


def point_at(rng: np.random.Generator, boxes: np.ndarray, target: int) -> Showing | None:
    """A hand that points at the box's middle; None where no place for it was found from which that is beyond doubt."""
    middles = np.stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)], axis=1) / SIZE[1]
    for _ in range(12):
        palm = float(rng.uniform(0.09, 0.16))
        u = float(rng.uniform(0.05, 0.95)) * _ASPECT
        v = float(rng.uniform(0.05, 0.3 if 0.2 < u / _ASPECT < 0.8 else 0.9))
        aim = _heading(middles[target] - (u, v)) + float(rng.normal(0, _AIM_SD_DEG))
        tip = np.array([u, v]) + 0.9 * palm * np.array([math.sin(math.radians(aim)), -math.cos(math.radians(aim))])
        ways = middles - tip
        if np.linalg.norm(ways, axis=1).min() < 0.12:
            continue
        off = np.array([abs((_heading(way) - aim + 180) % 360 - 180) for way in ways])
        if off[target] < 8 and np.delete(off, target).min(initial=180.0) > off[target] + CLEAR_DEG:
            return Showing((hand(rng, "point", aim, (u, v), palm),), palm)
    return None


def point_to(rng: np.random.Generator, side: str) -> Showing:
    """A hand that points to a side of the picture, within 35 degrees of level."""
    palm, heading = float(rng.uniform(0.09, 0.2)), float(90 + rng.uniform(-35, 35)) * (1 if side == "right" else -1)
    where = float(rng.uniform(0.3, 0.7)) * _ASPECT, float(rng.uniform(0.2, 0.7))
    return Showing((hand(rng, "point", heading, where, palm),), palm, side)


def show(rng: np.random.Generator, shape: str) -> Showing:
    """A hand that points nowhere: a thumb up, a fist, two fingers."""
    palm, where = float(rng.uniform(0.09, 0.2)), (float(rng.uniform(0.3, 0.7)) * _ASPECT, float(rng.uniform(0.2, 0.7)))
    return Showing((hand(rng, shape, float(rng.uniform(-35, 35)), where, palm),), palm)


def _heading(way: np.ndarray) -> float:
    """0 up, 90 right, as in hand_shape."""
    return math.degrees(math.atan2(way[0], -way[1]))
