"""Keeps a live run in its budget: hears of paths in trouble, and switches nodes between their variants (flow/quality.py).

While all is well nobody is asked and nothing is sent; a worker answers when one of its sinks comes near the budget.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omnistream.errors import OmniStreamError
from omnistream.flow.ledger import Row
from omnistream.flow.quality import Cost, Ladder, Switch, seen_of
from omnistream.graph.wiring import upstream_of

if TYPE_CHECKING:
    from omnistream.engine.conductor import Conductor

__all__ = ["Quality"]

#: Before a worker is asked again in which nothing can be made cheaper.
_PATIENCE_S = 0.5
#: What several workers say within so long is looked at once.
_LOOK_NS = 50_000_000
_log = logging.getLogger("omnistream")


class Quality:
    """Of one run, from `begin` to `end`. Where no node has variants, or quality is `fixed`, it does nothing."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        graph = conductor.plan.graph
        self._homes = {n: w.name for w in conductor.plan.workers for n in w.nodes}
        variants = {n: info.variants for n, info in graph.nodes.items() if len(info.variants) > 1}
        upstream = {n: upstream_of(graph, n) for n, info in graph.nodes.items() if info.role != "source"}
        self.needed = bool(variants) and graph.quality == "adaptive" and not conductor.fresh
        self.ladder = Ladder(variants, upstream, graph.budget_ns)
        self._shares: dict[str, list[tuple[int, float]]] = {}
        self._looked_ns = 0
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        if self.needed:
            nodes = self._conductor.plan.graph.nodes
            workers = sorted({home for n, home in self._homes.items() if nodes[n].role != "source"})
            self._tasks = [asyncio.create_task(self._listen(w)) for w in workers]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                _log.error("quality was not kept: %s: %s", type(result).__name__, result)

    async def _listen(self, worker: str) -> None:
        while True:
            try:
                shares = await self._conductor.crew.call(worker, "strained", self.ladder.lowered)
            except OmniStreamError:  # it died, which is seen to elsewhere
                await asyncio.sleep(_PATIENCE_S)
                continue
            if shares is not None:
                self._shares.update(shares)
                if not await self._look() and not self.ladder.lowered:
                    await asyncio.sleep(_PATIENCE_S)

    async def _look(self) -> bool:
        """Whether a node has been switched."""
        now = self._conductor.clock.now()
        if now - self._looked_ns < _LOOK_NS:
            return False
        self._looked_ns = now
        costs = await self._costs()
        now, ladder = self._conductor.clock.now(), self.ladder
        places = {place: seen_of(shares, now, ladder.moved_ns) for place, shares in self._shares.items()}
        lowered = ladder.lowered
        switch = ladder.look(now, places, costs)
        if switch is not None:
            await self._switch(switch, now)
        again = [n for n, cost in costs.items() if switch is None and cost.variant != ladder.variant(n)]
        for node in again:  # its worker was made again
            await self._tell(node)
        if lowered != ladder.lowered:  # all are to be asked otherwise from now on
            for other in self._conductor.workers:
                with contextlib.suppress(OmniStreamError):
                    await self._conductor.crew.call(other, "stir")
        return switch is not None

    async def _costs(self) -> dict[str, Cost]:
        found: dict[str, Cost] = {}
        for worker in sorted({self._homes[n] for n in self.ladder.variants}):
            with contextlib.suppress(OmniStreamError):
                said: dict[str, Sequence[object]] = await self._conductor.crew.call(worker, "costs")
                found |= {n: Cost(*fields) for n, fields in said.items() if n in self.ladder.variants}  # type: ignore[arg-type]
        return found

    async def _switch(self, switch: Switch, now: int) -> None:
        """Do it, and let everybody know."""
        await self._tell(switch.node)
        text = f"{switch.before} -> {switch.after}: {switch.why}"
        self._conductor.outcome.switches += 1
        self._conductor.events.append(f"{switch.node} {text}")
        self._conductor.outcome.rows.append(Row(now, switch.node, "variant", detail=text))

    async def _tell(self, node: str) -> None:
        with contextlib.suppress(OmniStreamError):  # its worker is down, and is told when it is back
            await self._conductor.crew.call(self._homes[node], "vary", {node: self.ladder.variant(node)})
