"""A worker hosts a group of nodes on one event loop, with their queues and links. It is the same on every engine."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from omnistream.clock import Clock, perf_ns
from omnistream.engine.building import build
from omnistream.engine.exchange import Exchange, Post
from omnistream.engine.hosted import Hosted
from omnistream.engine.news import News
from omnistream.engine.options import RunOptions
from omnistream.engine.recorder import Recorder
from omnistream.engine.sink import SinkHost
from omnistream.engine.source import SourceHost
from omnistream.engine.strain import Strain
from omnistream.errors import DeviceError, OmniStreamError
from omnistream.flow.cell import edge_passed
from omnistream.flow.edge import Edge
from omnistream.flow.ledger import Ledger, Row
from omnistream.flow.port import InEdge
from omnistream.flow.rank import FLOW, RANKS
from omnistream.graph.graph import Plan
from omnistream.graph.wiring import upstream_of
from omnistream.message import INFINITY, Message
from omnistream.observe.tracer import Tracer

__all__ = ["TURN_NS", "Worker"]

#: A turn of the nodes that are ready ends after so long, or so many looks: then it is time to hear what has come meanwhile.
TURN_NS, _TURN = 2_000_000, 256
#: Of so many looks, one is at a node of the last ranks that waits, of each in turn: nobody waits for ever.
_SHARE = 8
_log = logging.getLogger("omnistream")


class Worker:
    """`build`, `open`, `connect` to every peer, `start`; then `snapshot` and `probe` until it is `done`; `stop`, `close`."""

    def __init__(self, plan: Plan, name: str, clock: Clock, options: RunOptions, post: Post | None = None) -> None:
        self.plan = plan
        self.name = name
        self.clock = clock
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.exchange = Exchange(self, post)
        self.ledger = Ledger()
        self.strain = Strain(self)
        self._news = News(self)
        self.nodes: dict[str, Hosted] = {}
        self.sources: dict[str, SourceHost] = {}
        self.objects: dict[str, Any] = {}
        self.edges: dict[str, Edge] = {}
        self.in_edges: dict[str, InEdge] = {}
        self.recorder: Recorder | None = None
        share = options.trace_share
        self.tracer = Tracer(share, clock.now, options.incarnation) if share and not options.fresh else None
        self.lead_limit = 0
        self._leading = asyncio.Event()
        self.ready: tuple[deque[Hosted], ...] = tuple(deque() for _ in RANKS)
        self._looks = 0
        self.until = 0
        self._scheduled = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._down: set[str] = set()
        self._opened: set[str] = set()
        self.started = False

    def build(self) -> None:
        """Make this worker's nodes, ports and edges. Nothing is opened."""
        build(self)

    # -- life --------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open every node; in a replay neither devices nor sinks are opened. Raises what hinders a node, as a sentence."""
        for name, node in self.objects.items():
            info = self.plan.graph.nodes[name]
            ctx = (self.sources.get(name) or self.nodes[name]).ctx
            if self.options.fresh and (info.role == "sink" or getattr(node, "is_device", False)):
                continue
            if info.role == "sink" and node.actuator and not self.options.armed:
                raise DeviceError(
                    f"nodes.{name}: {type(node).__name__} moves a real robot; add --arm to run it, or simulated: true"
                )
            try:
                await node.open(ctx)
            except OmniStreamError:
                raise
            except Exception as error:
                raise OmniStreamError(f"nodes.{name}: {type(node).__name__} cannot be opened: {_traced(error)}") from error
            self._opened.add(name)
            if self.recorder is not None and info.role == "node":
                self.recorder.opened(name)

    async def start(self, start_ns: int, ended: Sequence[str] = ()) -> None:
        """Let the sources run, but for those that had `ended` in an earlier life, once every peer has said where it stands.

        `start_ns` is when the whole run began.
        """
        for hosted in (*self.sources.values(), *self.nodes.values()):
            hosted.ctx.start_ns = start_ns
        if self.recorder is not None:
            self.recorder.began(start_ns)
        if self.exchange.peers():
            await self.exchange.all_greeted.wait()
        self.started = True
        for source in self.sources.values():
            if source.was_ended or source.name in ended or (self.options.fresh and source.node.is_device):
                source.end()
            else:
                source.start()
        for hosted in self.nodes.values():
            self.wake(hosted)

    async def stop(self, drain_s: float) -> None:
        """Ctrl-C (rule 26): robots to rest, open windows discarded, queues run on for `drain_s`, the rest is undrained."""
        await asyncio.gather(*(self._safe(h, "the run was stopped", refuse=True) for h in self.sinks()))
        for hosted in self.nodes.values():
            for port in hosted.cell.ports:
                if port.config.take == "window":
                    port.discard("stopped")
        await self.end_sources(list(self.sources))
        until = self.loop.time() + drain_s
        while self.loop.time() < until and not self.done:
            await asyncio.sleep(0.02)
        for hosted in self.nodes.values():
            for port in hosted.cell.triggers:
                port.discard("undrained")
        for edge in self.edges.values():
            while edge.pending:
                edge.drop_first("undrained")

    async def end_sources(self, names: Sequence[str]) -> None:
        """These sources bring no more."""
        await asyncio.gather(*(self.sources[n].stop() for n in names if n in self.sources))

    async def close(self) -> None:
        """Robots to rest, then release everything. Errors of closing are logged, and hold nobody up."""
        if not self.options.fresh:
            sinks = [h for h in self.sinks() if h.name in self._opened]
            await asyncio.gather(*(self._safe(h, "the run has ended", refuse=True) for h in sinks))
        for source in self.sources.values():
            await source.stop()
        self.started = False  # whatever is still ready stays where it is: no node steps that is closed
        for task in list(self.tasks):
            task.cancel()
        for name, node in self.objects.items():
            if name not in self._opened:
                continue
            try:
                await asyncio.wait_for(node.close(), 3)
            except Exception as error:
                _log.warning("%s did not close: %s: %s", name, type(error).__name__, error)
        for hosted in self.nodes.values():
            hosted.step.close()
            if hosted.timer is not None:
                hosted.timer.cancel()

    # -- running -----------------------------------------------------------------------------------

    def wake(self, hosted: Hosted) -> None:
        """Look at a node again soon: something that it may wait for has changed."""
        if hosted.queued:
            return
        hosted.queued = True
        self.ready[hosted.rank].append(hosted)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def receive(self, peer: str, items: list[tuple[Any, ...]]) -> None:
        """A batch from a living peer. Nodes of one input that it wakes are looked at before the event loop goes on; those that
        join wait for what may be in other sockets, too, which is not to be forced."""
        later, self._scheduled = self._scheduled, True
        try:
            self.exchange.receive(peer, items)
            items.clear()  # or this call would keep what its firings are done with
        finally:
            if not later:
                self._turn(joins=False)

    def _turn(self, *, joins: bool = True) -> None:
        """Look at what is ready: stops first, then commands, then the rest; of each in the order of its waking."""
        if not self.started:
            self._scheduled = False
            for ready in self.ready:
                for hosted in ready:
                    hosted.queued = False
                ready.clear()
            return
        self.until = perf_ns() + TURN_NS
        waiting: list[Hosted] = []
        for _ in range(_TURN):
            hosted = self._next()
            if hosted is None:
                break
            if not (joins or hosted.simple):
                waiting.append(hosted)
                continue
            if hosted.rank == FLOW and self.exchange.pressing:
                self.exchange.flush()
            hosted.queued = False
            hosted.advance()
            if perf_ns() > self.until:
                break
        for hosted in waiting:
            self.ready[hosted.rank].append(hosted)
        self._scheduled = any(self.ready)
        if self._scheduled:
            self.loop.call_soon(self._hear)

    def _hear(self) -> None:
        """The next turn comes behind what the sockets have brought during the last one."""
        self.loop.call_soon(self._turn)

    def _next(self) -> Hosted | None:
        urgent, commands, flow = self.ready
        self._looks += 1
        if not self._looks % _SHARE:
            last = (flow or commands) if self._looks % (2 * _SHARE) else (commands or flow)
            if last:
                return last.popleft()
        ready = urgent or commands or flow
        return ready.popleft() if ready else None

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def lead(self, stamp: int) -> None:
        """In a fresh replay: wait until a source may be as far ahead as `stamp` (rule 29)."""
        while stamp > self.lead_limit:
            self._leading.clear()
            await self._leading.wait()

    def set_lead(self, limit: int) -> None:
        self.lead_limit = limit
        self._leading.set()

    def passed(self, edge: Edge) -> int:
        return edge_passed(edge)

    def vary(self, variants: Mapping[str, str]) -> None:
        """From their next firing on, these nodes are so. Names of others, and in a fresh replay all, are passed over."""
        for name, variant in variants.items():
            hosted = self.nodes.get(name)
            if hosted is not None and hosted.live and variant in hosted.variants:
                hosted.vary(variant)

    async def strained(self, often: bool) -> dict[str, list[tuple[int, float]]] | None:
        """What `quality` is decided by, once there is need (engine/strain.py)."""
        return await self.strain.report(often=often)

    def stir(self) -> None:
        """Who waits for `strained` is to ask again."""
        self.strain.stir()

    async def costs(self) -> dict[str, tuple[str, int, float, float, float, float, float]]:
        """What steps of the nodes cost that may be switched."""
        return await self.strain.costs()

    # -- peers and safety --------------------------------------------------------------------------

    def connect(self, peers: Mapping[str, tuple[int, str]]) -> None:
        """Where the other workers are now: name -> (incarnation, address)."""
        for peer in self.exchange.peers() & peers.keys():
            self.exchange.connect(peer, *peers[peer])

    def lost(self, peer: str) -> None:
        self.exchange.lost(peer)

    async def degraded(self, down: Sequence[str], reason: str) -> None:
        """Sinks that depend on a worker that is down bring their robots to rest and hold what comes, until it is back."""
        gone = {node for w in self.plan.workers if w.name in down for node in w.nodes}
        for sink in self.sinks():
            depends = bool(upstream_of(self.plan.graph, sink.name) & gone)
            if depends and not sink.holding:
                sink.holding = True
                await self._safe(sink, reason)
            elif not depends and sink.holding:
                sink.holding = False
                if not sink.refusing:  # after a stop it stays at rest
                    await sink.node.resume()
                self.wake(sink)

    def sinks(self) -> list[SinkHost]:
        return [h for h in self.nodes.values() if isinstance(h, SinkHost)]

    async def _safe(self, sink: SinkHost, reason: str, refuse: bool = False) -> None:
        sink.refusing = sink.refusing or refuse
        try:
            await asyncio.wait_for(sink.node.safe(reason), 1)
        except Exception as error:
            _log.error("%s could not be made safe: %s: %s", sink.name, type(error).__name__, error)
            self.report(sink.name, "unsafe", f"{type(error).__name__}: {error}")

    # -- accounts ----------------------------------------------------------------------------------

    def reporter(self, name: str) -> Callable[[str, str], None]:
        return lambda reason, text: self.report(name, reason, text)

    def report(self, where: str, reason: str, text: str) -> None:
        self.ledger.add(Row(self.clock.now(), where, reason, detail=text[:500]))

    def lost_here(self, edge: Edge, message: Message[Any] | None, reason: str, count: int) -> None:
        self._lose(edge.key, message, reason, count)

    def lost_there(self, edge: InEdge, message: Message[Any], reason: str, detail: str) -> None:
        self._lose(edge.key, message, reason, 1, detail[:500])

    def _lose(self, where: str, message: Message[Any] | None, reason: str, count: int, detail: str = "") -> None:
        now = 0 if self.options.fresh else self.clock.now()
        if message is None:
            self.ledger.add(Row(now, where, reason, count=count))
        else:
            age = now - message.cause_ns
            self.ledger.add(Row(now, where, reason, message.stream, message.seq, age, detail, count))
            if self.tracer is not None:
                self.tracer.ended_on(where, message, reason)

    @property
    def done(self) -> bool:
        """Every source has ended and nothing can fire any more."""
        return (
            all(s.is_done for s in self.sources.values())
            and all(h.is_done or h.cell.done for h in self.nodes.values())
            and not any(e.pending for e in self.edges.values())
        )

    def probe(self) -> dict[str, Any]:
        """For telling whether the whole graph is quiescent, and how far it is (rule 29)."""
        firing = [h.cell.firing.t for h in self.nodes.values() if h.cell.firing is not None]
        content = [p.content() for h in self.nodes.values() for p in h.cell.triggers]
        pending = [e.pending[0][0].stamp_ns for e in self.edges.values() if e.pending]
        return {
            "sent": self.exchange.sent,
            "received": self.exchange.received,
            "busy": any(self.ready) or any(h.cell.firing is not None and not h.blocked for h in self.nodes.values()),
            "oldest": min([*firing, *content, *pending], default=INFINITY),
            "waiting": min([s.waiting_for for s in self.sources.values() if s.waiting_for is not None], default=INFINITY),
            "full": [(e.capacity, k) for k, e in self.edges.items() if e.pending and e.credits <= 0],
            "turns": sum(h.firings for h in self.nodes.values()) + sum(s.emitted for s in self.sources.values()),
            "done": self.done,
        }

    def grow(self, key: str) -> None:
        """Double an edge that is full, so that a fresh replay cannot be stuck for want of room (rule 29)."""
        edge = self.edges[key]
        edge.credits += edge.capacity
        edge.capacity *= 2
        edge.flush()

    async def news(self) -> dict[str, Any] | None:
        """`snapshot`, once there is something new in it (engine/news.py)."""
        return await self._news.wait()

    def snapshot(self) -> dict[str, Any]:
        """Everything an observer wants to know now."""
        return self._news.take()


def _traced(error: Exception) -> str:
    """What went wrong in somebody's code, and on which line of it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""
    return f"{type(error).__name__}: {error}{where}"
