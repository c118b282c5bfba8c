"""Speed along one axis, from rest to rest over a given way, within limits of speed and acceleration."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Ramp"]


@dataclass(frozen=True, slots=True)
class Ramp:
    """Limits of one axis (m or rad), and the period in seconds after which the next speed is commonly given."""

    max_speed: float
    max_acceleration: float
    period_s: float

    def next_speed(self, speed: float, remaining: float, passed_s: float, scale: float = 1.0) -> float:
        """The speed to command now, after `speed` was commanded `passed_s` ago, with the signed way `remaining` ahead.

        It leaves room to stop in time: one period at this speed and then braking take no more than `remaining`.
        The change is at most the acceleration over the time passed, but over no more than two periods, and over one from
        rest, however long that was: a late tick is made up for, a lost one is not.
        """
        sign = math.copysign(1.0, remaining)
        way, a, dt = abs(remaining), self.max_acceleration, self.period_s
        in_time = max(a * dt, a * (math.sqrt(dt * dt + 2 * way / a) - dt))
        wanted = sign * min(way / dt, in_time, self.max_speed * scale)
        change = a * min(max(passed_s, 0.0), 2 * dt if speed else dt)
        return min(max(wanted, speed - change), speed + change)
