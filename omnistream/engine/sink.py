"""A sink on a worker: nothing leaves too late, and all that leaves is accounted for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omnistream.clock import perf_ns
from omnistream.engine.hosted import Hosted
from omnistream.flow.cell import Cell, Firing
from omnistream.graph.graph import NodeInfo
from omnistream.link.wire import encode_payload
from omnistream.message import INFINITY
from omnistream.node import Context

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["SinkHost"]


class SinkHost(Hosted):
    """A sink: what it consumes goes into its digest (rule 32), and what it hands over is timed.

    In a replay nothing is opened or written: only the digest is made.
    """

    def __init__(self, worker: Worker, info: NodeInfo, cell: Cell, node: Any, ctx: Context) -> None:
        super().__init__(worker, info, cell, node, ctx)
        self.digest = hashlib.blake2b(digest_size=16)
        self.handed = 0
        self.records: list[tuple[int, int, int, Mapping[str, int], str, str]] = []
        self.holding = False
        self.refusing = False

    def advance(self) -> None:
        if not self.holding:
            super().advance()

    def fire(self, t: int) -> bool:
        cell, ctx = self.cell, self.ctx
        firing = cell.begin(t)
        self.firings += 1
        if not self.live:
            self._account(firing)
            cell.end()
            return True
        ctx.now, ctx.cause, ctx.deadline = t, firing.cause, firing.deadline
        fate = self._unfit(firing)
        if fate:
            cell.end(fate)
            return True
        if not self.step.inline:
            self.worker.spawn(self._fire_later(firing))
            return False
        started = perf_ns()
        try:
            self.step.call(firing.args)
            self._account(firing)
            fate = "consumed"
        except Exception as error:
            fate = self.failed(error)
        self.durations.append(perf_ns() - started)
        cell.end(fate)
        return True

    def _unfit(self, firing: Firing) -> str:
        """Why nothing of a firing may go out: the run is stopping, it is too late, or everything in it has expired."""
        if self.refusing:
            return "stopped"
        now = self.worker.clock.now()
        if firing.droppable and now > firing.deadline:
            return "late"
        for port, items in firing.items:
            if getattr(items[0].message.payload, "valid_until_ns", INFINITY) < now:
                firing.args[port.config.name] = None
        return "expired" if all(v is None for v in firing.args.values()) else ""

    async def _fire_later(self, firing: Firing) -> None:
        started = perf_ns()
        fate = "consumed"
        try:
            await self.step.wait(firing.args, _nothing)
            self._account(firing)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            fate = self.failed(error)
        self.durations.append(perf_ns() - started)
        self.cell.end(fate)
        self.worker.wake(self)

    def _account(self, firing: Firing) -> None:
        now = self.worker.clock.now() if self.live else 0
        for port, items in firing.items:
            if firing.args[port.config.name] is None:
                continue
            for item in items:
                message = item.message
                self.digest.update(port.config.name.encode() + message.stamp_ns.to_bytes(8, "big", signed=True))
                self.digest.update(encode_payload(message.payload))
                self.handed += 1
                if self.live:
                    payload = message.payload
                    what = type(payload).__name__ + ":" + str(getattr(payload, "kind", ""))
                    text = str(getattr(payload, "text", ""))
                    self.records.append((now, message.stamp_ns, message.cause_ns, message.lineage, what, text))

    def stats(self) -> dict[str, Any]:
        return super().stats() | {"out": self.handed, "digest": self.digest.hexdigest()}


async def _nothing(_: Any) -> None:
    return None
