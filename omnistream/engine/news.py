"""What a worker tells those who observe the run: all that it has counted, once there is something new in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omnistream.clock import perf_ns
from omnistream.flow.edge import Account, Edge
from omnistream.observe.usage import process_usage

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["News"]

#: A worker that is asked for news looks so often whether there are any, and says after so long that there are none.
_LOOK_S, _SILENT_S = 0.25, 4.0


class News:
    """One worker's."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._told = 0
        self._shown: tuple[int, ...] = ()
        self._taken = asyncio.Event()

    async def wait(self) -> dict[str, Any] | None:
        """`take`, once there is something new in it, or after some seconds; None if another one is taken meanwhile."""
        self._taken.clear()
        until = self._worker.loop.time() + _SILENT_S
        while self._mark() == self._shown and self._worker.loop.time() < until:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._taken.wait(), _LOOK_S)
            if self._taken.is_set():
                return None
        return self.take()

    def _mark(self) -> tuple[int, ...]:
        """Changes whenever anything has happened here."""
        worker = self._worker
        ended = sum(s.is_done for s in worker.sources.values())
        turns = sum(h.firings for h in worker.nodes.values()) + sum(s.emitted for s in worker.sources.values())
        return (worker.exchange.sent, worker.exchange.received, turns, worker.ledger.total, ended, worker.done)

    def take(self) -> dict[str, Any]:
        """Everything an observer wants to know now. Ledger rows and sink records are given once."""
        worker = self._worker
        self._shown = self._mark()
        self._taken.set()
        rows = worker.ledger.since(self._told)
        self._told = worker.ledger.total
        held = {k: sum(not i.read for i in e.items) for k, e in worker.in_edges.items()}
        for hosted in worker.nodes.values():  # what a firing that goes on has taken is still here
            for edge in hosted.cell.firing.each if hosted.cell.firing is not None else ():
                held[edge.key] += 1
        records: dict[str, list[Any]] = {}
        for sink in worker.sinks():
            records[sink.name], sink.records = sink.records, []
        return {
            "worker": worker.name,
            "incarnation": worker.options.incarnation,
            "nodes": {n: h.stats() for n, h in worker.nodes.items()} | {n: s.stats() for n, s in worker.sources.items()},
            "edges": {k: self._counts(e) for k, e in worker.edges.items()},
            "accounts": {k: self._account(e) for k, e in worker.edges.items()},
            "received": {
                k: {"received": e.received, "fates": dict(e.fates), "held": held[k]} for k, e in worker.in_edges.items()
            },
            "ledger": rows,
            "counts": dict(worker.ledger.counts),
            "where": dict(worker.ledger.where),
            "at_ns": perf_ns(),
            "process": process_usage() | {"host": worker.options.host},
            "noted": worker.tracer.take() if worker.tracer is not None else [],
            "spans_lost": worker.tracer.lost if worker.tracer is not None else 0,
            "records": records,
            "ended": [n for n, s in worker.sources.items() if s.is_done],
            "done": worker.done,
        }

    def _account(self, edge: Edge) -> Account:
        """What the next life of this worker is to know of an edge; where it ends here, too, both ends will be new."""
        account, there = edge.account(), self._worker.in_edges.get(edge.key)
        return account if there is None else replace(account, reported=dict(there.fates))

    def _counts(self, edge: Edge) -> dict[str, Any]:
        """The account of an edge from here; where it ends here, too, its receiver has told nobody else."""
        found: dict[str, Any] = edge.counts() | edge.load()
        there = self._worker.in_edges.get(edge.key)
        if there is not None:
            found["fates"] = {**Counter(found["fates"]) + Counter(there.fates)}
            found["held"] -= sum(there.fates.values())
        return found
