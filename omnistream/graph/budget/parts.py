"""Nodes of a simulated run: the flow's own state machines, with measured costs in place of steps.

They follow `engine.hosted.Hosted`, but for ranks, variants that are switched and
payloads that expire, which are not simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from omnistream.flow.cell import Cell, Firing
from omnistream.flow.edge import Edge
from omnistream.flow.port import InEdge, Port
from omnistream.graph.budget.cores import Events
from omnistream.graph.budget.loop import Pieces, Turns, Work
from omnistream.graph.budget.trace import Leg, Trace
from omnistream.message import INFINITY, Message

__all__ = ["Bag", "Costs", "Seen", "SimNode"]

_BATCH = 32


class Bag:
    """What stands for a payload."""


@dataclass(slots=True)
class Seen:
    """What a simulation has seen, by the nodes on the way there. `ages` are of effects, from cause to the sink's hand; `fired`
    and `late` count the firings of the way's last node, and those that were skipped or refused."""

    from_ns: int = 0
    ages: dict[tuple[str, ...], list[float]] = field(default_factory=dict)
    legs: dict[tuple[str, ...], list[Trace]] = field(default_factory=dict)
    fired: dict[tuple[str, ...], int] = field(default_factory=dict)
    late: dict[tuple[str, ...], int] = field(default_factory=dict)
    lags: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    joined: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    firings: int = 0

    def began(self, firing: Firing, way: tuple[str, ...]) -> None:
        if firing.cause >= self.from_ns:
            self.fired[way] = self.fired.get(way, 0) + 1

    def delivered(self, now: int, firing: Firing, trace: Trace) -> None:
        if firing.cause >= self.from_ns:
            self.ages.setdefault(trace.way, []).append(now - firing.cause)
            self.legs.setdefault(trace.way, []).append(trace)

    def missed(self, firing: Firing, trace: Trace) -> None:
        """Too late to be of use: skipped on the way, or refused by the sink."""
        if firing.cause >= self.from_ns:
            self.late[trace.way] = self.late.get(trace.way, 0) + 1


@dataclass(slots=True)
class Costs:
    """What a node's firing takes: computing and resting in nanoseconds, how much of the computing with Python's
    lock, and how often that is taken."""

    kind: str
    cpu: Callable[[], float]
    rest: Callable[[], float]
    gil: float
    takes: float
    engine_ns: float
    typical_ns: float = 0.0


class SimNode:
    """A node or sink. See `Hosted`."""

    def __init__(
        self, name: str, turns: Turns, cell: Cell, costs: Costs, emits: Mapping[str, tuple[Callable[[], int], Any]], seen: Seen,
        traces: Mapping[str, list[Trace]],
    ) -> None:  # fmt: skip
        self.name, self.turns, self.cell, self.costs, self.emits = name, turns, cell, costs, emits
        self.loop = turns.loop
        self.events: Events = self.loop.events
        self.seen, self.traces = seen, traces
        self.simple = cell.simple and not cell.ports[0].config.urgent
        self.is_sink = not cell.outs
        self.queued = False
        self.busy_ns = 0.0
        self.began = 0
        self.stepping: Trace | None = None
        self.timer_at = INFINITY
        self.waited: tuple[int, int] = (-1, 0)
        self.hops: dict[tuple[str, int], float] = {}

    def wake(self) -> None:
        if not self.queued:
            self.queued = True
            self.turns.wake(self._turn)

    def _turn(self) -> Pieces:
        self.queued = False
        return self.advance()

    def advance(self) -> Pieces:
        cell = self.cell
        for _ in range(_BATCH):
            if cell.firing is not None or not cell.room():
                break
            t = cell.candidate()
            if t >= INFINITY:
                break
            if not self.simple and (late := cell.lagging(t)) and not self._settle(t, late):
                break
            firing = self._begin(t)
            now = self.events.now
            if firing.droppable and now + self.costs.typical_ns > firing.deadline:
                self.seen.missed(firing, self.stepping)  # type: ignore[arg-type]
                cell.end("late" if self.is_sink else "skipped")
                continue
            if self.costs.kind != "inline":  # a task begins after the turn
                self.loop.call_soon(self._in_thread if self.costs.kind == "thread" else self._as_task)
                return
            yield from self._compute()
            self._end()
            if self.turns.over():  # between two firings others may come first
                self.wake()
                return
        else:
            self.wake()
            return
        if cell.firing is not None:
            return
        cell.publish()
        for edge in cell.out_edges:
            for t in edge.asks:
                cell.need(t)
        if cell.histories:
            cell.trim()

    def _compute(self) -> Pieces:
        """A firing, on the loop."""
        if self.costs.gil >= 1.0:
            yield self.costs.engine_ns + self.costs.cpu()
        else:
            yield self.costs.engine_ns
            yield self._work()

    def _work(self) -> Work:
        cpu = self.costs.cpu()
        held = cpu * self.costs.gil
        return Work(held, cpu - held, max(1, int(self.costs.takes + 0.5)))

    def _as_task(self) -> Pieces:
        yield from self._compute()
        self.events.at(self.events.now + int(self.costs.rest()), self._back)

    def _in_thread(self) -> Pieces:
        yield self.costs.engine_ns
        rest = int(self.costs.rest())
        self.loop.compute(self._work(), lambda: self.events.at(self.events.now + rest, self._back))

    def _back(self) -> None:
        self.loop.call_soon(self._end_later, woken=True)

    def _end_later(self) -> None:
        self._end()
        self.wake()

    def _settle(self, t: int, late: Any) -> bool:
        cell = self.cell
        cell.ask(late, t)
        late = cell.lagging(t)
        if not late:
            return True
        now = self.events.now
        if self.waited[0] != t:
            self.waited = (t, now)
        hurried = bool(cell.urgent) and cell.hurried()
        again = INFINITY
        for port, edges in late:
            when = now if hurried else cell.force_time(t, port)
            if now >= when:
                self._forced(port, edges, t)
                port.force(t, edges)
            elif when < again:
                again = when
        if not cell.lagging(t):
            return True
        if again < self.timer_at:
            self.timer_at = again
            self.events.at(again, lambda: self._timer(again))
        return False

    def _timer(self, when: int) -> None:
        if self.timer_at == when:
            self.timer_at = INFINITY
            self.wake()

    def _forced(self, port: Port, edges: list[InEdge], t: int) -> None:
        """How far a port would have had to look back for nobody to wait: a `lag` that long needs no force."""
        if t >= self.seen.from_ns:
            lacks = max(t - e.clear for e in edges) + 1
            self.seen.lags.setdefault((self.name, port.config.name), []).append(lacks)

    def _begin(self, t: int) -> Firing:
        cell = self.cell
        firing = cell.begin(t)
        self.seen.firings += 1
        now = self.began = self.events.now
        oldest: Message[Any] | None = None
        fill = 0.0
        for port, items in firing.items:
            if port.triggers:
                newest = items[0].message if len(items) == 1 else max(items, key=lambda i: i.stamp).message
                if oldest is None or newest.cause_ns < oldest.cause_ns:
                    oldest = newest
                    fill = t - newest.stamp_ns if port.config.take == "window" else 0.0
        assert oldest is not None
        if t >= self.seen.from_ns:
            for port in () if self.simple else cell.ports:
                self.seen.joined.setdefault((self.name, port.config.name), [0])[0] += 1
        before = self.traces[oldest.stream][oldest.seq]
        hop = self.hops.pop((oldest.stream, oldest.seq), 0.0)
        queue = max(0.0, now - before.emitted_ns - hop)
        wait = now - self.waited[1] if self.waited[0] == t else 0.0
        fill = min(fill, queue)
        leg = Leg(self.name, hop, queue, max(0.0, min(wait, queue - fill)), fill)
        self.stepping = Trace(leg, before, now)
        self.seen.began(firing, self.stepping.way)
        return firing

    def _end(self) -> None:
        cell, trace, now = self.cell, self.stepping, self.events.now
        firing = cell.firing
        assert trace is not None
        assert firing is not None
        took = now - self.began
        self.busy_ns += took
        trace.leg.step = took
        trace.emitted_ns = now
        if self.is_sink:
            self.seen.delivered(now, firing, trace)
        for out, (count, payload) in self.emits.items():
            for _ in range(count()):
                self.traces[cell.outs[out].stream].append(trace)
                cell.emit(out, payload)
        cell.end()

    def need(self, edge: Edge, t: int) -> bool:
        return self.cell.asked(edge, t)

    def passed(self) -> int:
        return self.cell.passed()

    def room_again(self) -> None:
        self.wake()
