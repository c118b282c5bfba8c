"""Sources of a simulated run: their rhythm, what they promise, and how long they wait for room.

They follow `engine.source.SourceHost`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from omnistream.flow.cell import OutPort, edge_passed
from omnistream.flow.edge import Edge
from omnistream.graph.budget.cores import Events
from omnistream.graph.budget.loop import Loop, Pieces
from omnistream.graph.budget.trace import Leg, Trace
from omnistream.message import INFINITY, Message

__all__ = ["Rhythm", "SimSource"]


@dataclass(slots=True)
class Rhythm:
    """When a source's messages come, and what it promises between them."""

    interval: Callable[[], float]
    late: Callable[[], float]
    cpu: Callable[[], float]
    first_ns: int
    stamped: bool
    exact: bool
    period_ns: int
    delay_ns: int


class SimSource:
    """A source. See `SourceHost`."""

    def __init__(
        self, name: str, loop: Loop, out: OutPort, rhythm: Rhythm, payload: Any, budget_ns: int, engine_ns: float,
        traces: Mapping[str, list[Trace]],
    ) -> None:  # fmt: skip
        self.name, self.loop, self.out, self.rhythm = name, loop, out, rhythm
        self.events: Events = loop.events
        self.payload, self.budget, self.engine_ns = payload, budget_ns, engine_ns
        self.traces = traces[out.stream]
        self.due = rhythm.first_ns
        self.following = self.due + max(1, int(rhythm.interval()))
        self.stamp = 0
        self.blocked = False
        self.timer_for = -1

    def start(self) -> None:
        self.events.at(self.due + int(self.rhythm.late()), self._arrived)

    def _arrived(self) -> None:
        self.loop.call_soon(self._take, woken=True)

    def _take(self) -> Pieces:
        self.stamp = self.due if self.rhythm.stamped else self.events.now
        yield self.engine_ns + self.rhythm.cpu()
        self._try()

    def _try(self) -> None:
        if not self.out.room():
            self.blocked = True
            return
        self.blocked = False
        out, rhythm = self.out, self.rhythm
        stamp = max(self.stamp, out.bound)
        origin = (out.stream, 0, out.seq)
        message = Message(out.stream, 0, out.seq, origin, stamp, stamp, stamp + self.budget, {out.stream: stamp}, self.payload)
        leg = Leg(self.name, step=self.events.now - stamp)
        self.traces.append(Trace(leg, None, self.events.now))
        out.seq += 1
        out.bound = stamp + 1
        for edge in out.edges:
            edge.stream_bound = out.bound
            if edge.in_flight and not edge.admit(stamp, edge_passed(edge)):
                edge.refuse(message, "admission")
            else:
                edge.offer(message, None)
        self.due, self.following = self.following, self.following + max(1, int(rhythm.interval()))
        bound = max(stamp + 1, self.due) if rhythm.exact else stamp + max(1, rhythm.period_ns * 4 // 5)
        if bound > out.bound:
            out.raise_bound(bound)
        self.events.at(self.due + int(rhythm.late()), self._arrived)

    def need(self, edge: Edge, t: int) -> bool:
        if edge.need(t):
            return True
        if not self.rhythm.exact:
            promise = self.events.now - self.rhythm.delay_ns
            if promise > t:
                self.out.raise_bound(promise)
                return True
            self._promise_at(t)
        return False

    def _promise_at(self, t: int) -> None:
        if self.timer_for < self.events.now - self.rhythm.delay_ns or t < self.timer_for:
            self.timer_for = t
            self.events.at(t + 1 + self.rhythm.delay_ns, lambda: self._promise(t))

    def _promise(self, t: int) -> None:
        if self.timer_for != t:
            return
        self.timer_for = -1
        self.loop.call_soon(self._promise_now)

    def _promise_now(self) -> None:
        promise = self.events.now - self.rhythm.delay_ns
        self.out.raise_bound(promise)
        waiting = [t for e in self.out.edges for t in e.asks if t >= promise]
        if waiting:
            self._promise_at(min(waiting))

    def passed(self) -> int:
        return INFINITY

    def room_again(self) -> None:
        if self.blocked:
            self.loop.call_soon(self._tried)

    def _tried(self) -> None:
        if self.blocked:
            self._try()
