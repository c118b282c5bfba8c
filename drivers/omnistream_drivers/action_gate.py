"""What an actions sink lets out: each action once, in time, within limits, and never behind a stop.

Pure and without transport: times come in as arguments. `zmq_actions` and `mqtt_actions` share it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omnistream.errors import PayloadError
from omnistream.message import INFINITY, SECOND, Action, Message
from omnistream.protocol.codec import ActionFrame, action_frame, encode

__all__ = ["ActionGate", "Refusal", "check_limits"]

#: An origin is remembered so long after its `valid_until`: longer than a worker's restart takes.
RESTART_NS = 60 * SECOND
MAX_SEEN = 1 << 16


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action does not go out: a reason for the ledger, and a sentence."""

    reason: str
    text: str


def check_limits(limits: Mapping[str, Sequence[float]]) -> None:
    """Raises ValueError unless every limit is [lowest, highest], finite and in order."""
    for name, pair in limits.items():
        if len(pair) != 2 or not all(math.isfinite(x) for x in pair) or pair[0] > pair[1]:
            raise ValueError(f"limits.{name}: {list(pair)} is no range; write [lowest, highest], such as [-0.5, 0.5]")


class ActionGate:
    """The checks of one sink in one run. `name` and `incarnation` make the ids of its own stops unlike any other."""

    def __init__(
        self,
        *,
        name: str,
        run: int,
        incarnation: int = 0,
        limits: Mapping[str, Sequence[float]] | None = None,
        strict: bool = False,
        watchdog_ns: int = 500_000_000,
    ) -> None:
        self.name, self.run, self.incarnation = name, run, incarnation
        self.limits = dict(limits or {})
        self.strict = strict
        self.watchdog_ns = watchdog_ns
        self.safe_reason = ""
        self._seen: dict[str, int] = {}
        self._newest_ns = 0  # newest stamp let out
        self._stop_ns = -1  # motions stamped so or before are behind a stop
        self._streaming_since_ns: int | None = None
        self._stops = 0

    def admit(self, message: Message[Action], now_ns: int) -> ActionFrame | Refusal:
        """The frame to send now, or why not. A stop is always sent; any other action passes every check or is refused."""
        if message.payload.kind == "stop":
            return self._stop_of(message, now_ns)
        frame = action_frame(message, run=self.run, sent_ns=now_ns)
        refusal = self._refuse(frame, message.payload, now_ns)
        if refusal is None:
            self._remember(frame, now_ns)
        return refusal or frame

    def stop(self, why: str, now_ns: int) -> ActionFrame:
        """A stop of the sink's own. It stands behind all that was let out so far, and before all that will be."""
        self._stops += 1
        name = f"{self.name}/stop/{self.run:x}/{self.incarnation}/{self._stops}"
        self._stopped(self._newest_ns)
        return ActionFrame(id=name, seq=0, stamp_ns=self._newest_ns, kind="stop", text=why, sent_ns=now_ns)

    def sent(self, frame: ActionFrame, now_ns: int) -> None:
        """`frame` was handed to the transport: the watchdog counts from here. A skill does not renew the velocity before it."""
        if frame.kind == "velocity":
            self._streaming_since_ns = now_ns if frame.moves else None

    def deadline_ns(self) -> int:
        """When `watchdog` will give a stop if nothing is sent; INFINITY at rest."""
        return INFINITY if self._streaming_since_ns is None else self._streaming_since_ns + self.watchdog_ns

    def watchdog(self, now_ns: int) -> ActionFrame | None:
        """A stop, once, where the last velocity sent was not zero and no fresh one has been sent since."""
        since = self._streaming_since_ns
        if since is None or now_ns - since < self.watchdog_ns:
            return None
        return self.stop(f"watchdog: no fresh motion for {(now_ns - since) // 1_000_000} ms", now_ns)

    def safe(self, reason: str, now_ns: int) -> ActionFrame:
        """A stop; from now on until `resume` every motion is refused."""
        self.safe_reason = reason or "asked to be safe"
        return self.stop(f"safe: {self.safe_reason}", now_ns)

    def resume(self) -> None:
        self.safe_reason = ""

    def _stop_of(self, message: Message[Action], now_ns: int) -> ActionFrame:
        frame = ActionFrame(
            id=action_frame(message, run=self.run, sent_ns=now_ns).id,
            seq=message.seq,
            stamp_ns=message.stamp_ns,
            kind="stop",
            text=message.payload.text[:200],
            sent_ns=now_ns,
        )
        self._newest_ns = max(self._newest_ns, message.stamp_ns)
        self._stopped(message.stamp_ns)
        try:
            encode(frame, "json")
        except PayloadError:  # whatever is wrong with its words, a stop goes out
            return self.stop("stop", now_ns)
        return frame

    def _stopped(self, stamp_ns: int) -> None:
        self._stop_ns = max(self._stop_ns, stamp_ns)
        self._streaming_since_ns = None

    def _refuse(self, frame: ActionFrame, action: Action, now_ns: int) -> Refusal | None:
        what = f"{frame.kind} {frame.id}"
        if self.safe_reason:
            return Refusal("refused", f"{what}: the robot is in its safe state ({self.safe_reason})")
        if frame.id in self._seen:
            return Refusal("duplicate", f"{what} was sent before")
        if action.valid_until_ns >= INFINITY:
            return Refusal("refused", f"{what} never expires; only a stop may: set valid_until_ns from its cause")
        if now_ns > action.valid_until_ns:
            return Refusal("expired", f"{what} was valid until {(now_ns - action.valid_until_ns) / 1e6:.1f} ms ago")
        if frame.stamp_ns <= self._stop_ns:
            return Refusal("superseded", f"{what} is not newer than the last stop")
        for name, value in action.values.items():
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                return Refusal("refused", f"{what}: {name} is {value!r}, which is no finite number")
            if name not in self.limits:
                if self.strict:
                    return Refusal("refused", f"{what}: no limit is written for {name}; add it under 'limits'")
                continue
            lowest, highest = self.limits[name]
            if not lowest <= value <= highest:
                return Refusal("refused", f"{what}: {name} {value:g} is outside [{lowest:g}, {highest:g}]")
        try:
            encode(frame, "json")
        except PayloadError as error:
            return Refusal("refused", f"{what}: {error}")
        return None

    def _remember(self, frame: ActionFrame, now_ns: int) -> None:
        self._newest_ns = max(self._newest_ns, frame.stamp_ns)
        self._seen[frame.id] = frame.valid_until_ns or 0
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        elif len(self._seen) % 1024 == 0:
            self._seen = {i: until for i, until in self._seen.items() if until + RESTART_NS > now_ns}
