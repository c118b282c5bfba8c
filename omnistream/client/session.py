"""A robot's side of the actions link, without I/O: bytes in, bytes and actions out (docs/protocol.md)."""

from __future__ import annotations

from collections import Counter, deque

from omnistream.client.guard import ActionGuard
from omnistream.client.offset import ClockOffset
from omnistream.errors import PayloadError
from omnistream.protocol.codec import Ack, ActionFrame, Bye, Form, Frame, Hello, Ping, Pong, Unknown, Welcome, decode, encode

__all__ = ["RobotSession"]

_MS = 1_000_000
#: Until it is welcomed a client says hello so often.
HELLO_NS = 100 * _MS


class RobotSession:
    """Takes what was received, says what to send and what to do next. All times are of the client's own clock.

    `watchdog_ms` None takes the sender's. `counts` says how often each thing happened.
    """

    def __init__(self, client: str, *, watchdog_ms: int | None = None, form: Form = "msgpack") -> None:
        self.client = client
        self.form: Form = form
        self.guard = ActionGuard((watchdog_ms or 500) * _MS)
        self.offset = ClockOffset()
        self.welcomed = False
        self.refused = ""
        self.counts: Counter[str] = Counter()
        self._own_watchdog = watchdog_ms is not None
        self._run: int | None = None
        self._heartbeat_ns = 200 * _MS
        self._heard_ns = 0
        self._next_ns: int | None = None  # when the next hello or ping is due; None: now
        self._acks: list[Ack] = []
        self._stops: deque[ActionFrame] = deque()
        self._motions: deque[ActionFrame] = deque()
        self._doing: ActionFrame | None = None

    def connected(self, now_ns: int) -> bool:
        """Whether the sender has welcomed us and was heard of lately."""
        return self.welcomed and now_ns - self._heard_ns < self.guard.link_ns

    def outgoing(self, now_ns: int) -> list[bytes]:
        """What to send now: acknowledgements, and a hello or heartbeat where one is due."""
        frames: list[Frame] = [*self._acks]
        self._acks.clear()
        if self._next_ns is None or now_ns >= self._next_ns:
            self.offset.asked(now_ns)
            frames.append(Ping(t0_ns=now_ns) if self.welcomed else Hello(client=self.client, t0_ns=now_ns))
            self._next_ns = now_ns + (self._heartbeat_ns if self.welcomed else HELLO_NS)
        return [encode(f, self.form) for f in frames]

    def unsent(self, now_ns: int) -> None:
        """There was nobody to send to: try the hello again soon."""
        self.counts["unsent"] += 1
        if not self.welcomed:
            self._next_ns = now_ns + 20 * _MS

    def wake_ns(self, now_ns: int) -> int:
        """When `outgoing` or `next` will have something though nothing was received; no later than in one heartbeat."""
        wake = now_ns if self._next_ns is None else min(self._next_ns, now_ns + self._heartbeat_ns)
        deadline = self.guard.deadline_ns(self._heard_ns)
        return wake if deadline is None else min(wake, deadline)

    def received(self, frames: list[bytes], now_ns: int) -> None:
        """Take one message. What is no frame of the protocol is counted as `garbage` and ignored."""
        try:
            if len(frames) != 1:
                raise PayloadError("a message is one frame")
            frame = decode(frames[0], ActionFrame, Welcome, Pong, Unknown)
        except PayloadError:
            self.counts["garbage"] += 1
            return
        self._heard_ns = now_ns
        if isinstance(frame, ActionFrame):
            self._action(frame, now_ns)
        elif isinstance(frame, Unknown):
            self.welcomed, self.refused = False, frame.detail
        else:
            self._clock(frame, now_ns)

    def next(self, now_ns: int) -> ActionFrame | None:
        """What to do now, if anything: a stop before all else. What was given before counts as done."""
        self.finish("done")
        while self._stops or self._motions:
            frame = self._stops.popleft() if self._stops else self._motions.popleft()
            verdict = self.guard.still_valid(frame, self.offset.latest_run_time(now_ns))
            if verdict.do:
                return self._do(frame, now_ns)
            self._answer(frame, verdict.status, verdict.detail)
        stop = self.guard.watchdog(now_ns, self._heard_ns)
        if stop is not None:
            self.counts["watchdog"] += 1
        return stop

    def finish(self, status: str, detail: str = "") -> None:
        """Acknowledge what `next` gave, once."""
        if self._doing is not None:
            self._answer(self._doing, status, detail)
            self._doing = None

    def goodbye(self) -> list[bytes]:
        """What to send at the end: what is still to be acknowledged, and a farewell."""
        frames: list[Frame] = [*self._acks, Bye()]
        self._acks.clear()
        return [encode(f, self.form) for f in frames]

    def _do(self, frame: ActionFrame, now_ns: int) -> ActionFrame:
        self._doing = frame
        self.counts["stop" if frame.is_stop else "done"] += 1
        self.guard.done(frame, now_ns)
        return frame

    def _action(self, frame: ActionFrame, now_ns: int) -> None:
        verdict = self.guard.judge(frame, self.offset.latest_run_time(now_ns))
        if verdict.do:
            (self._stops if frame.is_stop else self._motions).append(frame)
        elif not (frame.is_stop and self._owes(frame)):  # a repeated stop is acknowledged when it has been done
            self._answer(frame, verdict.status, verdict.detail)

    def _owes(self, frame: ActionFrame) -> bool:
        return any(f.id == frame.id for f in self._stops) or (self._doing is not None and self._doing.id == frame.id)

    def _answer(self, frame: ActionFrame, status: str, detail: str) -> None:
        if status != "done":
            self.counts[status] += 1
        self._acks.append(Ack(id=frame.id, status=status, detail=detail[:500]))

    def _clock(self, frame: Welcome | Pong, now_ns: int) -> None:
        if frame.run != self._run:
            self._run = frame.run
            self.offset.reset()
            self.guard.new_run()
            while self._motions:  # they may wait behind a stop, which the new run knows nothing of
                self._answer(self._motions.popleft(), "superseded", "the run that sent it is over")
        self.offset.answered(frame.t0_ns, frame.t1_ns, frame.t2_ns, now_ns)
        if isinstance(frame, Welcome):
            self.welcomed, self.refused = True, ""
            self._heartbeat_ns = min(max(frame.heartbeat_ms, 20), 5000) * _MS
            self._next_ns = now_ns + self._heartbeat_ns
            if not self._own_watchdog:
                self.guard.watchdog_ns = min(max(frame.watchdog_ms, 20), 60_000) * _MS
            self.guard.link_ns = max(self.guard.watchdog_ns, 3 * self._heartbeat_ns)
