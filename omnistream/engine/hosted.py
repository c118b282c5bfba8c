"""A node on a worker: its cell, its step, and what is counted of both."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import numpy as np

from omnistream.clock import perf_ns
from omnistream.engine.step import Step
from omnistream.errors import OmniStreamError, PayloadError
from omnistream.flow.cell import Cell, Firing
from omnistream.flow.edge import Edge
from omnistream.graph.graph import NodeInfo
from omnistream.message import INFINITY, PAYLOADS
from omnistream.node import Context, Emit, Ports, ports_of
from omnistream.observe.outcome import percentiles

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["Hosted"]

_BATCH = 32
_SAMPLES = 8192
_log = logging.getLogger("omnistream")


class Hosted:
    """One node that runs. `advance` fires it as long as it can be fired now."""

    def __init__(self, worker: Worker, info: NodeInfo, cell: Cell, node: Any, ctx: Context) -> None:
        self.worker = worker
        self.info = info
        self.name = info.name
        self.cell = cell
        self.node = node
        self.ctx = ctx
        self.ports: Ports = ports_of(type(node))
        method = "write" if info.role == "sink" else "step"
        blocking = bool(getattr(node, "blocking", False))
        self.step = Step(getattr(node, method), generator=self.ports.generator, blocking=blocking)
        self.live = not worker.options.fresh
        self.simple = cell.simple and not cell.ports[0].config.urgent
        self.queued = self.blocked = False
        self.is_done = False
        self.timer: asyncio.TimerHandle | None = None
        self.timer_at = INFINITY
        self.room_event = asyncio.Event()
        self.firings = self.emitted = self.queue_max = self.forced = 0
        self.durations: deque[int] = deque(maxlen=_SAMPLES)
        self.typical_ns = 0
        self.raised: Counter[str] = Counter()

    # -- firing ------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Fire while there is room and the least candidate is settled; then let the bound follow."""
        cell = self.cell
        for _ in range(_BATCH):
            if cell.firing is not None:
                return
            if not cell.room():
                for edge in cell.out_edges:
                    if self.live and edge.pending:
                        edge.expire(self.worker.clock.now())
                if not cell.room():
                    break
            t = cell.candidate()
            if t >= INFINITY:
                break
            if not self.simple and (late := cell.lagging(t)) and not self._settle(t, late):
                break
            if not self.fire(t):
                return
        else:
            self.worker.wake(self)
            return
        cell.publish()
        for edge in cell.out_edges:
            for t in edge.asks:
                cell.need(t)
        if not self.is_done and cell.done:
            self.is_done = True

    def _settle(self, t: int, late: Any) -> bool:
        """Ask for the bounds that are missing; force them when `wait` has run out (rules 11 and 14)."""
        cell = self.cell
        cell.ask(late, t)
        late = cell.lagging(t)
        if not late or not self.live:
            return not late
        now = self.worker.clock.now()
        hurried = bool(cell.urgent) and cell.hurried()
        again = INFINITY
        for port, edges in late:
            when = now if hurried else cell.force_time(t, port)
            edges = edges if now >= when else [e for e in edges if e.dead]
            if edges:
                self.forced += len(edges)
                port.force(t, edges)
            if now < when < again:
                again = when
        if not cell.lagging(t):
            return True
        self.wake_at(again, now)
        return False

    def wake_at(self, when: int, now: int) -> None:
        if when >= INFINITY or (self.timer is not None and self.timer_at <= when):
            return
        if self.timer is not None:
            self.timer.cancel()
        self.timer_at = when
        self.timer = self.worker.loop.call_later(max(0.0, (when - now) / 1e9), self._timer_fired)

    def _timer_fired(self) -> None:
        self.timer, self.timer_at = None, INFINITY
        self.worker.wake(self)

    def fire(self, t: int) -> bool:
        """Start the firing at t. False if it goes on after this call has returned."""
        cell, ctx = self.cell, self.ctx
        firing = cell.begin(t)
        ctx.now, ctx.cause, ctx.deadline = t, firing.cause, firing.deadline
        self.firings += 1
        if firing.droppable and self.live and self.worker.clock.now() + self.typical_ns > firing.deadline:
            cell.end("skipped")
            return True
        if not self.step.inline:
            self.worker.spawn(self._fire_later(firing))
            return False
        started = perf_ns()
        fate = "consumed"
        try:
            result = self.step.call(firing.args)
            if result is not None:
                self.put(result)
        except Exception as error:
            fate = self.failed(error)
        self.durations.append(perf_ns() - started)
        cell.end(fate)
        return True

    async def _fire_later(self, firing: Firing) -> None:
        started = perf_ns()
        fate = "consumed"
        try:
            await self.step.wait(firing.args, self._put_when_room)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            fate = self.failed(error)
        self.durations.append(perf_ns() - started)
        if self.firings % 16 == 0:
            self.typical_ns = int(np.median(list(self.durations)[-64:]))
        self.cell.end(fate)
        self.worker.wake(self)

    def failed(self, error: Exception) -> str:
        """A step that raises loses its inputs by name; the graph goes on."""
        kind = type(error).__name__
        text = f"{type(self.node).__name__} raised {kind}: {error}"
        self.raised[kind] += 1
        count = self.raised[kind]
        if count & (count - 1) == 0:  # the ledger has each; a log is read by a person
            again = f" ({count} times)" if count > 1 else ""
            _log.error("%s: %s%s", self.name, text, again, exc_info=error if count == 1 and _is_fault(error) else None)
        self.ctx.report("error", text)
        return "error"

    # -- output ------------------------------------------------------------------------------------

    async def _put_when_room(self, result: Any) -> None:
        if result is None:
            return
        self.blocked = not self.cell.room()
        while not self.cell.room():
            self.room_event.clear()
            await self.room_event.wait()
        self.blocked = False
        self.put(result)

    def put(self, result: Any) -> None:
        """Emit what a step returned or yielded: a payload, an `Emit`, or the record of several outputs."""
        record = self.ports.record
        if record is not None and type(result) is record:
            for name in self.ports.outputs:
                payload = getattr(result, name)
                if payload is not None:
                    self._emit(name, payload)
        else:
            self._emit("out", result)

    def _emit(self, out: str, payload: Any) -> None:
        start = None
        if type(payload) is Emit:
            payload, start = payload.payload, payload.start_ns
        kind = type(payload)
        if PAYLOADS.get(kind.__name__) is not kind:
            raise PayloadError(f"{kind.__name__} is not a payload; emit one of {', '.join(PAYLOADS)}")
        self.emitted += 1
        self.cell.emit(out, payload, start)

    # -- bounds ------------------------------------------------------------------------------------

    def need(self, edge: Edge, t: int) -> bool:
        """A receiver of `edge` waits for a bound above t."""
        self.cell.publish()
        if edge.need(t):
            return True
        self.cell.need(t)
        return False

    def passed(self) -> int:
        return self.cell.passed()

    def room_again(self) -> None:
        self.room_event.set()
        self.worker.wake(self)

    # -- accounts ----------------------------------------------------------------------------------

    def queue_length(self) -> int:
        n = sum(p.held() for p in self.cell.ports)
        self.queue_max = max(self.queue_max, n)
        return n

    def stats(self) -> dict[str, Any]:
        received = sum(e.received for p in self.cell.ports for e in p.edges)
        return {
            "in": received,
            "out": self.emitted,
            "firings": self.firings,
            "step_ms": percentiles(self.durations),
            "queue": self.queue_length(),
            "queue_max": self.queue_max,
            "forced": self.forced,
            "role": self.info.role,
        }


def _is_fault(error: Exception) -> bool:
    """Whether a person needs to see where in the code it was: our own errors say all in their sentence."""
    return not isinstance(error, OmniStreamError)
