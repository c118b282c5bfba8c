"""How near to its budget a worker's sinks hand over what they do, and what steps of its nodes cost: what quality is decided by.

A worker in which all is well says nothing, and is asked nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from itertools import islice
from math import inf
from statistics import median
from typing import TYPE_CHECKING

from omnistream.clock import perf_ns
from omnistream.flow.quality import LOST, STRAINED, Seen, seen_of
from omnistream.observe.usage import host_busy_s

if TYPE_CHECKING:
    from omnistream.engine.worker import Worker

__all__ = ["Strain"]

_KEPT = 64
#: What is near the budget is gathered for so long; while nodes are cheaper than they could be, all is told so often.
_GATHER_S, _OFTEN_S, _SILENT_S = 0.1, 0.25, 4.0
#: The newest steps of a node, by which its cost is told, and the time by which its rate is.
_STEPS, _MARK_NS = 16, 500_000_000
#: So many of them tell what a step usually takes.
_MANY = 512
#: What of the host's cores is idle is known of a time between these: what is shorter says nothing, and what is longer is over.
_SHORT_NS, _LONG_NS = 50_000_000, 1_000_000_000


class Strain:
    """One worker's. `shares` are (when, share of the budget) by place: a sink, or a node that has skipped."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._budget = worker.plan.graph.budget_ns
        self._shares: dict[str, deque[tuple[int, float]]] = {}
        self._strained = asyncio.Event()
        self._began = perf_ns()
        self._marks: dict[str, deque[tuple[int, int]]] = {}
        self._asked = 0
        self._cores = Cores()

    def handed(self, sink: str, now: int, cause: int) -> None:
        """A sink has handed over what comes of `cause`."""
        share = (now - cause) / self._budget
        self._of(sink).append((now, share))
        if share > STRAINED:
            self._strained.set()

    def lost(self, place: str, now: int) -> None:
        """Something was skipped, or not let out, because it was too late."""
        self._of(place).append((now, LOST))
        self._strained.set()

    def _of(self, place: str) -> deque[tuple[int, float]]:
        found = self._shares.get(place)
        if found is None:
            found = self._shares[place] = deque(maxlen=_KEPT)
        return found

    def seen(self, place: str) -> Seen:
        return seen_of(self._shares.get(place, ()), self._worker.clock.now())

    async def report(self, *, often: bool) -> dict[str, list[tuple[int, float]]] | None:
        """The newest shares of every place, once one of them is in trouble; soon, if asked for `often`. None for no news.

        A later call ends an earlier one.
        """
        self.stir()
        asked = self._asked
        await asyncio.sleep(0)
        self._strained.clear()
        if often:
            await asyncio.sleep(_OFTEN_S)
        elif not self._any():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._strained.wait(), _SILENT_S)
            if self._strained.is_set() and asked == self._asked:
                await asyncio.sleep(_GATHER_S)
        if asked != self._asked or not (often or self._any()):
            return None
        return {place: list(found) for place, found in self._shares.items()}

    def stir(self) -> None:
        """Whoever waits for a report gets none, and may ask again."""
        self._asked += 1
        self._strained.set()

    def _any(self) -> bool:
        return any(self.seen(place).strained for place in self._shares)

    async def costs(self) -> dict[str, tuple[str, int, float, float, float, float, float]]:
        """The fields of a `Cost` of every node here that may be switched."""
        found: dict[str, tuple[str, int, float, float, float, float, float]] = {}
        idle = await self._cores.idle()
        for name, hosted in self._worker.nodes.items():
            if not hosted.variants or name in self._worker.options.variants:
                continue
            since = max(0, hosted.firings - hosted.varied_at)
            kept = [*islice(reversed(hosted.durations), min(since, _MANY))]
            newest = sorted(kept[:_STEPS]) or [0]
            n = len(kept[:_STEPS])
            p95 = newest[min(len(newest) - 1, int(len(newest) * 0.95))]
            usual = median(kept) if kept else 0.0
            rate = self._rate_hz(name, hosted.firings)
            found[name] = (hosted.variant, n, rate, sum(newest) / len(newest), float(p95), usual, idle)
        return found

    def _rate_hz(self, node: str, firings: int) -> float:
        """How often a node has fired, a second, since it was last asked for at least half a second ago."""
        now = perf_ns()
        marks = self._marks.setdefault(node, deque([(self._began, 0)]))
        while len(marks) > 1 and now - marks[1][0] > _MARK_NS:
            marks.popleft()
        at, count = marks[0]
        marks.append((now, firings))
        return (firings - count) / max(now - at, 1) * 1e9


class Cores:
    """How many cores of this host had nothing to do lately."""

    def __init__(self) -> None:
        self._count = os.cpu_count() or 1
        self._mark = (0, 0.0)
        self._found = inf

    async def idle(self) -> float:
        """Since the last call, if that was lately, or in the next moment. Without end where nobody tells."""
        if perf_ns() - self._mark[0] > _LONG_NS:
            self._mark = (perf_ns(), host_busy_s())
            await asyncio.sleep(_SHORT_NS / 1e9)
        (at, before), now, busy = self._mark, perf_ns(), host_busy_s()
        if busy and now - at >= _SHORT_NS:
            self._mark, self._found = (now, busy), max(0.0, self._count - (busy - before) / ((now - at) / 1e9))
        return self._found
