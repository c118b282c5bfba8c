"""A sink on a worker: nothing leaves too late, and all that leaves is accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from omnistream.clock import perf_ns
from omnistream.engine.hosted import Hosted
from omnistream.flow.cell import Cell, Firing
from omnistream.graph.graph import Graph, NodeInfo
from omnistream.link.inexact import exact_buffers
from omnistream.message import INFINITY
from omnistream.node import Context
from omnistream.observe.outcome import DIGEST_BYTES

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["Inexact", "SinkHost", "chained", "inexact_of"]

#: By port and place in its ``from:``, the fields that a digest leaves out.
Inexact = Mapping[tuple[str, int], frozenset[str]]


class SinkHost(Hosted):
    """A sink: what it consumes goes into its digest (rule 32), before it is written; what it hands over is timed.

    The digest is a chain of hashes, so that another life of the sink can take it up from the journal.

    In a replay nothing is opened or written: only the digest is made.
    """

    def __init__(self, worker: Worker, info: NodeInfo, cell: Cell, node: Any, ctx: Context) -> None:
        super().__init__(worker, info, cell, node, ctx)
        recorder = worker.recorder
        self.chain = recorder.chain(info.name) if recorder is not None else b""
        self.inexact = inexact_of(worker.plan.graph, info)
        self.whole = not worker.options.incarnation or bool(recorder)
        self.handed = 0
        self.records: list[tuple[int, int, int, int, str, str]] = []
        self.holding = False
        self.refusing = False

    def advance(self) -> None:
        if not self.holding:
            super().advance()

    def fire(self, t: int) -> bool:
        cell, ctx = self.cell, self.ctx
        firing = cell.begin(t)
        self.firings += 1
        ctx.now, ctx.cause, ctx.deadline = t, firing.cause, firing.deadline
        if self.tracer is not None:
            self.tracer.begun(self.name, firing)
        fate = self._unfit(firing) if self.live else ""
        if fate in ("late", "expired"):
            self.meter.missed += 1
        failure = ""
        try:
            self._consume(firing, fate)
        except Exception as error:
            failure = self.failed(error)
        if not self.live and not failure:
            self._handed(firing)
        if failure or fate or not self.live:
            self.close_firing(fate, failure)
            return True
        if not self.step.inline:
            self.worker.spawn(self._fire_later(firing))
            return False
        started = perf_ns()
        try:
            self.step.call(firing.args)
            self._handed(firing)
        except Exception as error:
            failure = self.failed(error)
        self.timed(firing, started)
        self.close_firing("", failure)
        return True

    def _unfit(self, firing: Firing) -> str:
        """Why nothing of a firing may go out: the run is stopping, it is too late, or everything in it has expired."""
        if self.refusing:
            return "stopped"
        now = self.worker.clock.now()
        if firing.droppable and now > firing.deadline:
            self.worker.strain.lost(self.name, now)
            return "late"
        for port, items in firing.items:
            if getattr(items[0].message.payload, "valid_until_ns", INFINITY) < now:
                firing.args[port.config.name] = None
        return "expired" if all(v is None for v in firing.args.values()) else ""

    async def _fire_later(self, firing: Firing) -> None:
        started = perf_ns()
        failure = ""
        try:
            await self.step.wait(firing.args, _nothing)
            self._handed(firing)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = self.failed(error)
        self.timed(firing, started)
        self.close_firing("", failure)
        self.worker.wake(self)

    def close_firing(self, fate: str, failure: str) -> None:
        """The firing is over: it was unfit (`fate`), failed (`failure`) or is done."""
        fate = fate or ("error" if failure else "consumed")
        if self.tracer is not None:
            self.tracer.ended(self.name, fate)
        if not self.cell.end(fate, failure) and failure:
            self.report("error", failure)

    def _consume(self, firing: Firing, fate: str) -> None:
        """Take what a firing has into the digest and the journal, before any of it leaves. Raises PayloadError."""
        void = [i for i, port in enumerate(self.cell.ports) if firing.args[port.config.name] is None]
        if not fate:
            self.chain = chained(self.chain, firing, self.inexact)
        if self.worker.recorder is not None:
            self.worker.recorder.consumed(self.cell, firing, fate or "consumed", self.chain, void)

    def _handed(self, firing: Firing) -> None:
        now = self.worker.clock.now() if self.live else 0
        for port, items in firing.items:
            if firing.args[port.config.name] is None:
                continue
            self.handed += len(items)
            if self.live:
                self.worker.strain.handed(self.name, now, firing.cause)
            for item in items if self.live else ():
                message = item.message
                payload = message.payload
                what = type(payload).__name__ + ":" + str(getattr(payload, "kind", ""))
                text = str(getattr(payload, "text", ""))
                newest = max(message.lineage.values(), default=0)
                self.records.append((now, message.stamp_ns, message.cause_ns, newest, what, text))

    def stats(self) -> dict[str, Any]:
        return super().stats() | {"out": self.handed, "digest": self.chain.hex(), "whole": self.whole}


def inexact_of(graph: Graph, sink: NodeInfo) -> Inexact:
    """The fields that are inexact of what a sink's ports read."""
    return {
        (port.config.name, place): fields
        for port in sink.inputs
        for place, stream in enumerate(port.streams)
        if (fields := frozenset(graph.nodes[stream.rpartition(".")[0]].inexact))
    }


def chained(chain: bytes, firing: Firing, inexact: Inexact) -> bytes:
    """A sink's digest with one firing more: over port, stamp and canonical payload of what it consumes (rule 32)."""
    digest = blake3(chain)
    for port, items in firing.items:
        if firing.args[port.config.name] is None:
            continue
        for item in items:
            digest.update(port.config.name.encode() + item.message.stamp_ns.to_bytes(8, "big", signed=True))
            fields = inexact.get((port.config.name, item.edge.index), ())
            for buffer in exact_buffers(item.message.payload, fields):
                digest.update(buffer)
    return digest.digest(DIGEST_BYTES)


async def _nothing(_: Any) -> None:
    return None
