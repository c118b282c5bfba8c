"""A node on a worker: its cell, its step, and what is counted of both."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omnistream.clock import perf_ns
from omnistream.engine.step import Step, outputs_of
from omnistream.errors import OmniStreamError
from omnistream.flow.cell import Cell, Firing
from omnistream.flow.edge import Edge
from omnistream.flow.rank import FLOW
from omnistream.flow.typical import Typical
from omnistream.graph.graph import NodeInfo
from omnistream.link.packed import checked
from omnistream.message import INFINITY
from omnistream.node import Context, Ports, ports_of
from omnistream.observe.meter import FULL, Meter
from omnistream.observe.outcome import percentiles

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["Hosted"]

_BATCH = 32
_SAMPLES = 8192
#: What a step may report of the command that it was given, and what its sender is then told instead of "done".
_ANSWERS = ("refused", "expired", "superseded")
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
        self.external = bool(getattr(node, "external", False))
        self.takes_tensors = bool(getattr(node, "takes_tensors", False))
        self.simple = cell.simple and not cell.ports[0].config.urgent
        self.queued = self.blocked = False
        self.rank = FLOW
        self.before = worker.ready[:FLOW]  # the nodes that are ready and come first
        self.fired_at = 0
        self.is_done = False
        self.timer: asyncio.TimerHandle | None = None
        self.timer_at = INFINITY
        self.room_event = asyncio.Event()
        self.firings = self.emitted = self.queue_max = self.forced = 0
        self.durations: deque[int] = deque(maxlen=_SAMPLES)
        self.meter = Meter(cell.budget, sink=info.role == "sink")
        self.typical = Typical()
        self.variants = info.variants
        self.variant = ctx.variants[0] if ctx.variants else ""
        self.varied_at = 0  # how many firings there had been when it became this one
        self.raised: Counter[str] = Counter()
        self.remote: set[str] = set()  # outputs that go to another worker
        self.journaled = False
        self.tracer = worker.tracer
        recorder = worker.recorder
        self.kept = {o.name for o in cell.outs.values() if recorder and (self.external or recorder.taps(o.stream))}
        self._report = ctx.report
        ctx.report = self.report

    def vary(self, variant: str) -> None:
        """Be this one from the next firing on."""
        if variant != self.variant:
            self.variant, self.varied_at = variant, self.firings
            self.typical.anew()

    def take_rank(self, rank: int) -> None:
        """A node is of the rank of its first input."""
        self.rank = min(self.rank, rank)
        self.before = self.worker.ready[: self.rank]

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
            if self.fired_at > self.worker.until or any(self.before):  # between two firings others may come first
                self.worker.wake(self)
                return
        else:
            self.worker.wake(self)
            return
        if cell.publish() >= INFINITY:  # nothing can fire any more
            self.is_done = True
        for edge in cell.out_edges:
            for t in edge.asks:
                cell.need(t)
        if cell.histories:
            cell.trim()

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
        ctx.variant = firing.variant = self.variant
        self.firings += 1
        self.journaled = False
        if self.tracer is not None:
            self.tracer.begun(self.name, firing)
        if firing.droppable and self.live and (now := self.worker.clock.now()) + self.typical.ns > firing.deadline:
            self.worker.strain.lost(self.name, now)
            if now <= firing.deadline:
                self.typical.skipped()
            if self.worker.recorder is not None:
                self._journal([], "skipped")
            self.meter.missed += 1
            if self.tracer is not None:
                self.tracer.ended(self.name, "skipped")
            cell.end("skipped")
            return True
        if not self.step.inline:
            self.worker.spawn(self._fire_later(firing))
            return False
        started = perf_ns()
        failure = ""
        try:
            result = self.step.call(firing.args)
            self.put(result, "consumed")
        except Exception as error:
            failure = self.failed(error)
        self.timed(firing, started)
        self.end(failure)
        return True

    async def _fire_later(self, firing: Firing) -> None:
        started = perf_ns()
        failure = ""
        try:
            await self.step.wait(firing.args, self._put_when_room)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = self.failed(error)
        self.timed(firing, started)
        self.end(failure)
        self.worker.wake(self)

    def timed(self, firing: Firing, started: int) -> None:
        """A step that began at `started` has just ended."""
        self.fired_at = perf_ns()
        took = self.fired_at - started
        self.durations.append(took)
        if firing.droppable:
            self.typical.took(took)
        meter = self.meter
        meter.steps.append(took)
        meter.ages.append(started - firing.cause)
        if len(meter.steps) >= FULL:
            meter.fold(self._behind())

    def _behind(self) -> int:
        """What the clock of durations lacks to run time."""
        return self.worker.clock.now() - perf_ns()

    def end(self, failure: str) -> None:
        """The firing is over; `failure` says why its inputs are lost, if they are."""
        fate = "error" if failure else "consumed"
        if self.worker.recorder is not None:
            self._journal([], fate)
        if self.tracer is not None:
            self.tracer.ended(self.name, fate)
        if not self.cell.end(fate, failure) and failure:
            self._report("error", failure)

    def report(self, reason: str, text: str) -> None:
        """A row in the ledger, and if it is about the only command of this firing, the answer to it."""
        firing = self.cell.firing
        if reason in _ANSWERS and firing is not None and len(firing.acks) == 1:
            firing.answer = reason
        self._report(reason, text)

    def failed(self, error: Exception) -> str:
        """A step that raises loses its inputs, for the reason returned; the graph goes on."""
        kind = type(error).__name__
        text = f"{type(self.node).__name__} raised {kind}: {error}"
        self.raised[kind] += 1
        count = self.raised[kind]
        if count & (count - 1) == 0:  # the ledger has each; a log is read by a person
            again = f" ({count} times)" if count > 1 else ""
            _log.error("%s: %s%s", self.name, text, again, exc_info=error if count == 1 and _is_fault(error) else None)
        return text

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

    def put(self, result: Any, fate: str = "") -> None:
        """Emit what a step returned or yielded: a payload, an `Emit`, or the record of several outputs.

        All of it or, where something is no payload, nothing. `fate` "consumed" says that the firing ends with it.
        """
        if result is None and self.worker.recorder is None:
            return
        outs = outputs_of(self.ports, result) if result is not None else ()
        # What cannot cross, or be kept, is refused here, where the fault is.
        packed = [checked(payload, sent=out in self.kept or out in self.remote) for out, payload, _ in outs]
        if self.worker.recorder is not None:
            self._journal(outs, fate)
        for (out, payload, start), crossing in zip(outs, packed, strict=True):
            self.emitted += 1
            message = self.cell.message(out, payload, start)
            message.packed = crossing
            if out in self.kept and self.worker.recorder is not None:
                self.worker.recorder.message(message, None, "host", tap=not self.external)
            if self.tracer is not None:
                self.tracer.gave(self.name, message)
            self.cell.send(out, message)

    def _journal(self, outs: Sequence[tuple[str, Any, int | None]], fate: str) -> None:
        """Say what is about to leave, before it does (rule 28)."""
        recorder, cell, firing = self.worker.recorder, self.cell, self.cell.firing
        assert recorder is not None
        assert firing is not None
        said = [(out, cell.outs[out].seq, max(firing.t, cell.outs[out].bound)) for out, _, _ in outs]
        if not self.journaled:
            self.journaled = True
            recorder.fired(cell, firing, said, fate)
        elif said:
            recorder.more(self.name, said)
        elif not self.step.inline:
            recorder.ended(self.name, fate)

    # -- bounds ------------------------------------------------------------------------------------

    def need(self, edge: Edge, t: int) -> bool:
        """A receiver of `edge` waits for a bound above t."""
        return self.cell.asked(edge, t)

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
            "meter": self.meter.counts(self._behind()),
        } | ({"variant": self.variant} if self.variants else {})


def _is_fault(error: Exception) -> bool:
    """Whether a person needs to see where in the code it was: our own errors say all in their sentence."""
    return not isinstance(error, OmniStreamError)
