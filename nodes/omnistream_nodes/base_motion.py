"""A differential-drive base: actions such as "forward 2 m" -> velocity commands until they are done or stopped."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from omnistream.errors import GraphError
from omnistream.message import INFINITY, MS, SECOND, Action, Event, Message
from omnistream.node import Context, Node
from omnistream_nodes.ramp import Ramp

__all__ = ["BaseMotion", "MotionOutputs"]

_LINES = {"forward": 1.0, "backward": -1.0, "come": 1.0, "follow": 1.0}
_TURNS = {"left": math.pi / 2, "right": -math.pi / 2, "around": math.pi}
#: A way that is nearer than this to its end is done: dead reckoning knows no better.
_NEAR = 1e-9
_SLOWEST = 1 / 8


class MotionOutputs(NamedTuple):
    """`motion`: a velocity, a stop, or what passes through."""

    motion: Action | None


@dataclass(slots=True)
class _Way:
    """What is left of a motion: metres ahead (backward: negative), or radians to the left (right: negative)."""

    x_m: float = 0.0
    yaw_rad: float = 0.0


@dataclass(kw_only=True)
class BaseMotion(Node):
    """Motions become velocities (x_mps forward, yaw_radps to the left) at once and on every tick, until done by dead reckoning.

    - forward and backward (distance_m), turn (angle_rad, left positive; else `target` left, right, around). come and follow
      drive ahead by distance_m, else `come_m` and `follow_m`: nothing here sees the person. A new motion replaces the old one.
    - slow halves the speed of the motion in progress, or else of the next one, until the base is at rest again. wait passes
      through and brings the base to rest. home passes through behind a velocity of zero that ends a motion in progress: from
      there on the robot drives itself. A velocity within limits ends it, too, and is not renewed.
    - Any other action (pick, place, gripper, look, wave, give, describe) passes through; the base keeps moving.
    - A stop ends everything at once and is sent on; it wins over an action of the same firing, and an action that is
      stamped no later than a stop is not begun (`superseded`), however late it comes.

    Each velocity is valid for `ttl_ms` from its cause. Dead reckoning is in event time and counts a velocity only as long
    as it is valid: where ticks are missing the robot's watchdog has stopped it. A motion ends with one velocity of zero.
    An action past its `valid_until` is reported as `expired`; one that is not finite, without a way, over `max_distance_m` or
    `max_angle_rad`, as `refused`. Nothing is clipped. Acceleration is limited, but for a stop and home.

    ```yaml
    graph: drive
    nodes:
      typed: {use: zmq_commands, with: {bind: "tcp://127.0.0.1:*"}}
      clock: {use: tick, with: {rate_hz: 20}}
      parse: {use: command_parser, inputs: {text: typed}}
      reason: {use: rule_reasoner, inputs: {intent: parse}}
      drive:
        use: base_motion
        with: {rate_hz: 20, max_mps: 0.3}
        inputs:
          action: {from: reason.action, wait: 60ms}
          tick: {from: clock, queue: {drop_oldest: 4}}
          stop: {from: reason.stop, urgent: true}
      robot: {use: zmq_actions, inputs: {action: drive.motion}, with: {bind: "tcp://127.0.0.1:*", simulated: true}}
    ```
    """

    rate_hz: float = 20.0  # of the ticks
    max_mps: float = 0.3
    max_radps: float = 1.0
    max_mps2: float = 0.5
    max_radps2: float = 2.0
    max_distance_m: float = 20.0
    max_angle_rad: float = 2 * math.pi
    forward_m: float = 1.0  # forward and backward without a distance
    come_m: float = 1.0
    follow_m: float = 3.0
    ttl_ms: int = 500  # a velocity is valid so long from its cause

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise GraphError(f"base_motion: {name} is {value}; write a number above 0")
        if self.ttl_ms * self.rate_hz < 1500:
            raise GraphError(
                f"base_motion: a velocity of ttl_ms {self.ttl_ms} would run out between ticks of rate_hz {self.rate_hz:g}; "
                f"write ttl_ms {math.ceil(1500 / self.rate_hz)} or more"
            )

    async def open(self, ctx: Context) -> None:
        self._ctx = ctx
        self._line = Ramp(self.max_mps, self.max_mps2, 1 / self.rate_hz)
        self._turn = Ramp(self.max_radps, self.max_radps2, 1 / self.rate_hz)
        self._stop_ns = -1
        self._counted_ns = self._commanded_ns = self._until_ns = 0
        self._rest()

    async def step(
        self,
        action: Message[Action] | None,
        tick: Event | None = None,  # noqa: ARG002 (that it comes is all it says)
        stop: Message[Action] | None = None,
    ) -> AsyncIterator[MotionOutputs]:
        for motion in self._decide(action, stop):
            yield MotionOutputs(motion)

    def _decide(self, action: Message[Action] | None, stop: Message[Action] | None) -> Iterator[Action]:
        self._reckon()
        if action is not None and action.payload.kind == "stop":
            stop, action = action if stop is None or action.stamp_ns > stop.stamp_ns else stop, None
        if stop is not None:
            self._stop_ns = max(self._stop_ns, stop.stamp_ns)
            self._rest()
            if action is not None:
                self._report("superseded", action.payload, "comes with a stop")
            yield Action("stop", INFINITY, text=stop.payload.text, model=stop.payload.model)
            return
        through = None if action is None else self._begin(action)
        if through is None:
            yield from self._velocity()
            return
        if through.kind == "home":
            yield from self._halt()
        yield through

    def _begin(self, message: Message[Action]) -> Action | None:
        """Take up an action: what is to pass through is returned, a motion becomes the way to go."""
        action = message.payload
        if message.stamp_ns <= self._stop_ns:
            return self._report("superseded", action, "is not newer than the last stop")
        if action.valid_until_ns <= self._ctx.now:
            late_ms = (self._ctx.now - action.valid_until_ns) / MS
            return self._report("expired", action, f"was valid until {late_ms:.0f} ms before its turn")
        if fault := self._fault(action):
            return self._report("refused", action, fault)
        match action.kind:
            case "slow":
                self._scale = max(_SLOWEST, self._scale / 2)
                return None
            case "turn":
                self._way = _Way(yaw_rad=self._angle(action))
            case kind if kind in _LINES:
                self._way = _Way(x_m=_LINES[kind] * self._distance(action))
            case "wait":
                self._way = _Way() if self._way is not None else None
                return action
            case "velocity":
                self._rest()
                return action
            case _:
                return action
        return None

    def _fault(self, action: Action) -> str:
        """Why the base must not take it; empty if it may."""
        for name, value in action.values.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                return f"has {name} {value!r}, which is no finite number"
        match action.kind:
            case "velocity":
                return self._outside(action.values, {"x_mps": self.max_mps, "yaw_radps": self.max_radps})
            case "turn":
                if not self._angle(action):
                    return f"turns to '{action.target}'; give angle_rad, or the target left, right or around"
                return self._outside(action.values, {"angle_rad": self.max_angle_rad})
            case kind if kind in _LINES:
                if self._distance(action) <= 0:
                    return f"has distance_m {self._distance(action):g}; a distance is above 0, the kind says which way"
                return self._outside(action.values, {"distance_m": self.max_distance_m})
            case _:
                return ""

    def _outside(self, values: Mapping[str, float], limits: Mapping[str, float]) -> str:
        for name, limit in limits.items():
            if abs(values.get(name, 0.0)) > limit:
                return f"has {name} {values[name]:g}, over the limit of {limit:g}"
        return ""

    def _distance(self, action: Action) -> float:
        own = {"come": self.come_m, "follow": self.follow_m}.get(action.kind, self.forward_m)
        return float(action.values.get("distance_m", own))

    def _angle(self, action: Action) -> float:
        return float(action.values.get("angle_rad", _TURNS.get(action.target, 0.0)))

    def _reckon(self) -> None:
        """Take from the way what the last velocity has covered since it was counted last, while it was valid."""
        now = self._ctx.now
        covered_s = max(0, min(now, self._until_ns) - self._counted_ns) / SECOND
        self._counted_ns = max(self._counted_ns, now)
        if self._way is not None:
            self._way.x_m = _left(self._way.x_m, self._x_mps * covered_s)
            self._way.yaw_rad = _left(self._way.yaw_rad, self._yaw_radps * covered_s)
        if now >= self._until_ns:
            self._x_mps = self._yaw_radps = 0.0

    def _velocity(self) -> Iterator[Action]:
        """The next velocity of the motion in progress; none at rest."""
        if self._way is None:
            return
        now, until = self._ctx.now, self._ctx.cause + self.ttl_ms * MS
        if until <= now:
            return
        passed_s = (now - self._commanded_ns) / SECOND
        self._x_mps = self._line.next_speed(self._x_mps, self._way.x_m, passed_s, self._scale)
        self._yaw_radps = self._turn.next_speed(self._yaw_radps, self._way.yaw_rad, passed_s, self._scale)
        self._commanded_ns, self._until_ns = now, until
        values = {"x_mps": self._x_mps + 0.0, "yaw_radps": self._yaw_radps + 0.0}
        if self._x_mps == 0 and self._yaw_radps == 0 and self._way == _Way():
            self._rest()
        yield Action("velocity", until, values)

    def _halt(self) -> Iterator[Action]:
        """End a motion in progress: a velocity that nobody renews calls the watchdog, and that stops all."""
        if self._way is not None:
            self._rest()
            yield Action("velocity", self._ctx.cause + self.ttl_ms * MS, {"x_mps": 0.0, "yaw_radps": 0.0})

    def _rest(self) -> None:
        self._way: _Way | None = None
        self._x_mps = self._yaw_radps = 0.0
        self._scale = 1.0

    def _report(self, reason: str, action: Action, what: str) -> None:
        self._ctx.report(reason, f"{self._ctx.name}: the action {action.kind} ({action.text or 'no text'}) {what}")


def _left(way: float, covered: float) -> float:
    """What is left of a way; 0 where it is done or overshot, for the base does not go back for a remainder."""
    rest = way - covered
    return 0.0 if abs(rest) < _NEAR or rest * way <= 0 else rest
