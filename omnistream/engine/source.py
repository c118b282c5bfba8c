"""A source on a worker: stamps what the world brings, promises bounds, and waits for room."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from omnistream.errors import OmniStreamError, PayloadError
from omnistream.flow.cell import OutPort
from omnistream.flow.edge import Edge
from omnistream.flow.token import Token
from omnistream.graph.graph import NodeInfo
from omnistream.link.packed import checked
from omnistream.message import INFINITY, PAYLOADS, SECOND, Message
from omnistream.node import Context, Emit, Source

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["MAX_SKEW_NS", "SourceHost"]

#: A device stamp further than this from its arrival is replaced by the arrival (rule 1).
MAX_SKEW_NS = SECOND
_log = logging.getLogger("omnistream")


class SourceHost:
    """One source that runs. Its only output is "out"."""

    def __init__(self, worker: Worker, info: NodeInfo, out: OutPort, node: Source, ctx: Context, budget_ns: int) -> None:
        self.worker = worker
        self.info = info
        self.name = info.name
        self.out = out
        self.node = node
        self.ctx = ctx
        self.budget = budget_ns
        self.tracer = worker.tracer
        self.remote = False  # whether anything goes to another worker
        self.live = not worker.options.fresh
        self.exact = False
        self.task: asyncio.Task[None] | None = None
        self.is_done = False
        self.was_ended = False  # an earlier life of it has told receivers of its end
        self.room_event = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        self.timer_for = 0
        self.emitted = self.raised = self.skewed = 0
        self.waiting_for: int | None = None
        self.held_ns = 0  # how long we made it wait since its stamps were last near their arrival

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run(), name=f"source {self.name}")

    async def _run(self) -> None:
        stream = self.node.run(self.ctx)
        try:
            async for item in stream:
                await self._take(item if type(item) is Emit else Emit(item))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            text = f"{type(self.node).__name__} raised {type(error).__name__}: {error}"
            _log.error("%s: %s", self.name, text, exc_info=None if isinstance(error, OmniStreamError) else error)
            self.ctx.report("error", text)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
            self.end()

    async def _take(self, emit: Emit[Any]) -> None:
        kind = type(emit.payload)
        if PAYLOADS.get(kind.__name__) is not kind:
            raise PayloadError(f"{kind.__name__} is not a payload; yield one of {', '.join(PAYLOADS)}")
        packed = checked(emit.payload, sent=self.remote)  # what cannot cross is refused here, where the fault is
        stamp = self._stamp(emit)
        if not self.live:
            if stamp > self.worker.lead_limit:
                self.out.raise_bound(stamp)  # who waits for what it does not say before holds back those that it waits for
            self.waiting_for = stamp
            await self.worker.lead(stamp)
            self.waiting_for = None
        while not self.out.room():
            self.room_event.clear()
            since = self.worker.clock.now()
            await self.room_event.wait()
            self.held_ns += self.worker.clock.now() - since
        if stamp < self.out.bound:
            stamp = self.out.bound
        bound = self._next_bound(emit, stamp)
        message = self._message(emit, stamp)
        message.packed = packed
        if self.worker.recorder is not None:
            self.worker.recorder.message(message, bound, emit.clock_source, coded=emit.coded)
        if self.tracer is not None:
            self.tracer.emitted(self.name, message)
        self._send(message, emit)
        self.emitted += 1
        if bound > self.out.bound:
            self.out.raise_bound(bound)
        if self.emitted % 64 == 0:
            await asyncio.sleep(0)

    def _stamp(self, emit: Emit[Any]) -> int:
        if emit.stamp_ns is None:
            now = self.worker.clock.now()
            return now if now > self.out.bound else self.out.bound
        stamp = emit.stamp_ns
        if self.live and self.node.is_device:
            now = self.worker.clock.now()
            if abs(stamp - now) <= MAX_SKEW_NS:
                self.held_ns = 0
            elif not now - self.held_ns - MAX_SKEW_NS <= stamp < now:  # what waited for us has arrived when it was stamped
                self.skewed += 1
                text = f"a stamp {(stamp - now) / 1e9:+.3f} s from its arrival was replaced by the arrival"
                self.ctx.report("clock_skew", text)
                stamp, emit.clock_source = now, "arrival"
        if stamp < self.out.bound:
            self.raised += 1
            stamp = self.out.bound
        return stamp

    def _next_bound(self, emit: Emit[Any], stamp: int) -> int:
        if emit.bound_ns is not None:
            self.exact = True
            return max(stamp + 1, emit.bound_ns)
        return stamp + max(1, self.node.period_ns * 4 // 5)

    def _message(self, emit: Emit[Any], stamp: int) -> Message[Any]:
        out = self.out
        origin = emit.origin or (out.stream, out.epoch, out.seq)
        deadline = stamp + self.budget
        lineage = {out.stream: stamp} if self.node.sense else {}
        return Message(out.stream, out.epoch, out.seq, origin, stamp, stamp, deadline, lineage, emit.payload, emit.start_ns)

    def _send(self, message: Message[Any], emit: Emit[Any]) -> None:
        """To every edge that admits it (rule 20); the client is told when all effects have ended."""
        out = self.out
        out.seq += 1
        out.bound = message.stamp_ns + 1
        token = Token([emit.settled]) if emit.settled is not None else None
        for edge in out.edges:
            edge.stream_bound = out.bound
            if self.live and edge.in_flight and not edge.admit(message.stamp_ns, self.worker.passed(edge)):
                edge.refuse(message, "admission")
            else:
                edge.offer(message, token.hold() if token is not None and not edge.queue.droppable else None)
        if token is not None:
            token.release("done")

    # -- bounds ------------------------------------------------------------------------------------

    def need(self, edge: Edge, t: int) -> bool:
        """Somebody waits for a bound above t: promise `now - delay` (rule 3), now or when that is enough."""
        if edge.need(t):
            return True
        if self.live and not self.exact:
            promise = self.worker.clock.now() - self.node.delay_ns
            if promise > t:
                self.out.raise_bound(promise)
                return True
            self._promise_at(t, promise)
        return False

    def _promise_at(self, t: int, promise: int) -> None:
        """Promise again when that will be above t, or sooner where somebody waits for less."""
        if self.timer is not None:
            if self.timer_for <= t:
                return
            self.timer.cancel()
        self.timer_for = t
        self.timer = self.worker.loop.call_later((t + 1 - promise) / 1e9, self._promise)

    def _promise(self) -> None:
        self.timer = None
        if self.exact:  # since then it says itself what it promises
            return
        promise = self.worker.clock.now() - self.node.delay_ns
        self.out.raise_bound(promise)
        waiting = [t for e in self.out.edges for t in e.asks if t >= promise]
        if waiting and not self.is_done:
            self._promise_at(min(waiting), promise)

    def passed(self) -> int:
        return INFINITY

    def room_again(self) -> None:
        self.room_event.set()

    def end(self) -> None:
        """No more messages: the bound is infinity (rule 26)."""
        if not self.is_done:
            self.is_done = True
            self.out.raise_bound(INFINITY)

    async def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        self.end()

    def stats(self) -> dict[str, Any]:
        pending = sum(len(e.pending) for e in self.out.edges)
        return {
            "in": 0,
            "out": self.emitted,
            "step_ms": {},
            "queue": pending,
            "queue_max": pending,
            "raised": self.raised,
            "role": "source",
        }
